"""Croissant: a description of the exported Parquet shards that programs read, with checksums, fields and splits."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from nachet_pipeline.training.exports.parquet import CLASS_FOLDER, CLASS_FOLDERS
from nachet_pipeline.training.exports.source import TrainingClass
from nachet_pipeline.training.manifest import ManifestMetadata

NAME = "croissant.json"

# The terms of Croissant 1.0, as every such file repeats them.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_SHARDS, _PICTURES, _SPLITS, _CLASSES = "shards", "pictures", "splits", "classes"
_ROLES = {
    "train": "cr:TrainingSplit",
    "validation": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}
_SPLIT_OF_PATH = "^data/(train|validation|test)-.+[.]parquet$"
_DESCRIPTIONS = {
    "image": "The picture, an RGB TIFF of 8 bits.",
    "label": "The class, as a number.",
    CLASS_FOLDER: "The class, as the name of its folder in an ImageFolder.",
    "labels": "The classes that the picture shows, as numbers.",
    CLASS_FOLDERS: "These classes by name.",
    "class_indices": "The classes that the picture shows, as numbers.",
    "seeds_of_class": "Seeds of each of these classes in the picture.",
    "group": "Pictures of one group are never on two sides of the split.",
    "sha256": "Of the picture as it is stored, before it was converted.",
    "size": "Of the picture as it is stored, in bytes.",
    "format": "Of the picture as it is stored.",
    "width": "Of the picture as it is stored, in pixels.",
    "height": "Of the picture as it is stored, in pixels.",
}


@dataclass(frozen=True, slots=True)
class ShardFile:
    """A shard that is there.

    Attributes:
        path: relative to the description.
        size: in bytes.
        sha256: in hexadecimal.
    """

    path: str
    size: int
    sha256: str


def described(
    of: ManifestMetadata,
    shards: Iterable[ShardFile],
    columns: pa.Schema,
    classes: tuple[TrainingClass, ...],
    splits: tuple[str, ...],
) -> dict[str, Any]:
    """The description, as JSON-LD.

    Args:
        of: the manifest's metadata.
        shards: the files.
        columns: of a shard.
        classes: of the training set, in order.
        splits: that the shards hold.
    """
    description = f"Photographs of seeds, {len(classes)} classes; the training set {of.name}, version {of.digest}."
    stated = {"license": of.recipe["license"]} if of.recipe.get("license") else {}
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": of.name,
        "description": description,
        "identifier": of.digest,
        **stated,
        "distribution": [
            *(
                {
                    "@type": "cr:FileObject",
                    "@id": shard.path,
                    "name": shard.path,
                    "contentUrl": shard.path,
                    "contentSize": f"{shard.size} B",
                    "encodingFormat": "application/x-parquet",
                    "sha256": shard.sha256,
                }
                for shard in shards
            ),
            {
                "@type": "cr:FileSet",
                "@id": _SHARDS,
                "name": _SHARDS,
                "description": "All pictures with what is known of them.",
                "encodingFormat": "application/x-parquet",
                "includes": "data/*.parquet",
            },
        ],
        "recordSet": [_splits(splits), _classes(classes), _pictures(columns)],
    }


def _record_set(name: str, description: str, *, key: str, kind: str | None = None) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        **({"dataType": kind} if kind else {}),
        "key": {"@id": f"{name}/{key}"},
    }


def _splits(splits: tuple[str, ...]) -> dict[str, Any]:
    return {
        **_record_set(_SPLITS, "The sides of the split, and what each is for.", key="name", kind="cr:Split"),
        "field": [
            _field(_SPLITS, "name", "sc:Text", "The side's name."),
            _field(_SPLITS, "url", "sc:URL", "What it is for, in Croissant's terms."),
        ],
        "data": [
            {f"{_SPLITS}/name": split, f"{_SPLITS}/url": _ROLES[split].replace("cr:", _CONTEXT["cr"])}
            for split in splits
        ],
    }


def _classes(classes: tuple[TrainingClass, ...]) -> dict[str, Any]:
    return {
        **_record_set(_CLASSES, "The species that a trainer tells apart.", key="index", kind="sc:Enumeration"),
        "field": [
            _field(_CLASSES, "index", "sc:Integer", "The class, as a number."),
            _field(_CLASSES, "name", "sc:Text", "The class, as the name of its folder."),
            _field(_CLASSES, "scientific_name", "sc:Text", "The species; empty where no picture shows it."),
        ],
        "data": [
            {
                f"{_CLASSES}/index": each.index,
                f"{_CLASSES}/name": each.folder,
                f"{_CLASSES}/scientific_name": each.scientific_name,
            }
            for each in classes
        ],
    }


def _field(record_set: str, name: str, kind: str, description: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": description,
        "dataType": kind,
    }


def _pictures(columns: pa.Schema) -> dict[str, Any]:
    return {
        **_record_set(_PICTURES, "One record for each picture.", key="picture_id"),
        "field": [_picture_field(column) for column in columns],
    }


def _picture_field(column: pa.Field) -> dict[str, Any]:
    image = column.name == "image"
    description = _DESCRIPTIONS.get(column.name, column.name.replace("_", " ").capitalize() + ".")
    repeated = pa.types.is_list(column.type)
    kind = _data_type(column.type.value_type if repeated else column.type)
    field = _field(_PICTURES, column.name, "sc:ImageObject" if image else kind, description)
    if repeated:
        field["repeated"] = True
    source: dict[str, Any] = {"fileSet": {"@id": _SHARDS}, "extract": {"column": column.name}}
    if image:
        source["transform"] = {"jsonPath": "bytes"}
    field["source"] = source
    if column.name == "split":
        # As the shard's name says it, so that who wants one split reads no other file. It does not refer to the record
        # set of splits: to join the two, mlcroissant would hold all pictures in memory at once.
        source["extract"] = {"fileProperty": "fullpath"}
        source["transform"] = {"regex": _SPLIT_OF_PATH}
    return field


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    if pa.types.is_timestamp(kind):
        return "sc:DateTime"
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    return "sc:Text"
