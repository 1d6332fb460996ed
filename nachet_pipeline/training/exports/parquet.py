"""Parquet as the Hugging Face libraries lay it out: an image, a label, and the manifest's other columns."""

import json
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from nachet_pipeline.training.exports.shards import ShardEntry, WriteShard
from nachet_pipeline.training.exports.source import TrainingClass
from nachet_pipeline.training.manifest import LABEL_COLUMNS, MULTI_SCHEMA, SCHEMA

CLASS_FOLDER = "class_folder"
"""Column of the class as the manifest's `label` says it; `label` is a number here, as trainers want it."""
CLASS_FOLDERS = "class_folders"
"""The same of several labels; `labels` are numbers."""

# `url` names the account; the last two are for finding leaks, and younger than exports that are under way.
_LEFT_OUT = {"url", "label", "photograph_sha256", "photograph_pixel_sha256"}
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_GROUP_BYTES = 32 * 1024**2
_NAMES_OF_TYPES = {"double": "float64", "float": "float32"}


def columns_of(classes: tuple[TrainingClass, ...], *, several_labels: bool = False) -> pa.Schema:
    """The columns of a shard, with the metadata by which the Hugging Face libraries know pictures and labels.

    Args:
        classes: of the training set, in order.
        several_labels: whether pictures may have several: then columns are lists, and none has one label of several.
    """
    if several_labels:
        left_out = {*_LEFT_OUT, *LABEL_COLUMNS, "labels"}
        label = [pa.field("labels", pa.list_(pa.int64())), pa.field(CLASS_FOLDERS, pa.list_(pa.string()))]
    else:
        left_out = _LEFT_OUT
        label = [pa.field("label", pa.int64()), pa.field(CLASS_FOLDER, pa.string())]
    kept = [column for column in (MULTI_SCHEMA if several_labels else SCHEMA) if column.name not in left_out]
    features = {column.name: _feature(column.type) for column in (*label, *kept)}
    named = {"names": [each.folder for each in classes], "_type": "ClassLabel"}
    features[label[0].name] = {"feature": named, "_type": "Sequence"} if several_labels else named
    return pa.schema(
        [pa.field("image", _IMAGE), *label, *(pa.field(column.name, column.type) for column in kept)],
        metadata={"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}, **features}}})},
    )


def _feature(kind: pa.DataType) -> dict[str, Any]:
    """A column for the Hugging Face libraries; every version of theirs knows a list by this name."""
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "Sequence"}
    return {"dtype": _name_of(kind), "_type": "Value"}


def _name_of(kind: pa.DataType) -> str:
    return _NAMES_OF_TYPES.get(str(kind), str(kind))


def shard_writer(classes: tuple[TrainingClass, ...], *, several_labels: bool = False) -> WriteShard:
    """What writes a shard, in row groups of bounded size."""
    schema = columns_of(classes, several_labels=several_labels)
    # Pictures are compressed already, and no two are the same.
    with_dictionary = [
        f"{column.name}.list.element" if pa.types.is_list(column.type) else column.name
        for column in schema
        if column.name != "image"
    ]
    compression = {**dict.fromkeys(with_dictionary, "ZSTD"), "image.bytes": "NONE", "image.path": "ZSTD"}

    def write(stream: IO[bytes], entries: Iterator[ShardEntry]) -> None:
        with pq.ParquetWriter(stream, schema, compression=compression, use_dictionary=with_dictionary) as writer:
            for group in _groups(entries, classes, several_labels=several_labels):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))

    return write


def _groups(
    entries: Iterator[ShardEntry], classes: tuple[TrainingClass, ...], *, several_labels: bool
) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for picture, file in entries:
        content = file.read_bytes()
        image = {"bytes": content, "path": f"{picture.identifier}.tiff"}
        folders = [classes[index].folder for index in picture.classes]
        label: dict[str, Any] = {"labels": list(picture.classes), CLASS_FOLDERS: folders}
        if not several_labels:
            label = {"label": picture.class_index, CLASS_FOLDER: folders[0]}
        group.append(picture.row | {"image": image} | label)
        size += len(content)
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
