"""Parquet as the Hugging Face libraries lay it out: an image, a label, and the manifest's other columns."""

import json
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from nachet_pipeline.training.exports.shards import ShardEntry, WriteShard
from nachet_pipeline.training.exports.source import TrainingClass
from nachet_pipeline.training.manifest import SCHEMA

CLASS_FOLDER = "class_folder"
"""Column of the class as the manifest's `label` says it; `label` is a number here, as trainers want it."""

# `url` names the account; the last two are for finding leaks, and younger than exports that are under way.
_LEFT_OUT = {"url", "label", "photograph_sha256", "photograph_pixel_sha256"}
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_GROUP_BYTES = 32 * 1024**2
_NAMES_OF_TYPES = {"double": "float64", "float": "float32"}


def columns_of(classes: tuple[TrainingClass, ...]) -> pa.Schema:
    """The columns of a shard, with the metadata by which the Hugging Face libraries know pictures and labels."""
    kept = [column for column in SCHEMA if column.name not in _LEFT_OUT]
    features: dict[str, dict[str, Any]] = {
        "image": {"_type": "Image"},
        "label": {"names": [each.folder for each in classes], "_type": "ClassLabel"},
        CLASS_FOLDER: {"dtype": "string", "_type": "Value"},
    }
    features |= {column.name: {"dtype": _name_of(column.type), "_type": "Value"} for column in kept}
    return pa.schema(
        [
            pa.field("image", _IMAGE),
            pa.field("label", pa.int64()),
            pa.field(CLASS_FOLDER, pa.string()),
            *(pa.field(column.name, column.type) for column in kept),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


def _name_of(kind: pa.DataType) -> str:
    return _NAMES_OF_TYPES.get(str(kind), str(kind))


def shard_writer(classes: tuple[TrainingClass, ...]) -> WriteShard:
    """What writes a shard, in row groups of bounded size."""
    schema = columns_of(classes)
    # Pictures are compressed already, and no two are the same.
    compression = {name: "ZSTD" for name in schema.names if name != "image"}
    compression |= {"image.bytes": "NONE", "image.path": "ZSTD"}
    with_dictionary = [name for name in schema.names if name != "image"]

    def write(stream: IO[bytes], entries: Iterator[ShardEntry]) -> None:
        with pq.ParquetWriter(stream, schema, compression=compression, use_dictionary=with_dictionary) as writer:
            for group in _groups(entries, classes):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))

    return write


def _groups(entries: Iterator[ShardEntry], classes: tuple[TrainingClass, ...]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for picture, file in entries:
        content = file.read_bytes()
        image = {"bytes": content, "path": f"{picture.identifier}.tiff"}
        index = picture.class_index
        group.append(picture.row | {"image": image, "label": index, CLASS_FOLDER: classes[index].folder})
        size += len(content)
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
