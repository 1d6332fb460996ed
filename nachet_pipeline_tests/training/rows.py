"""Rows of manifests for tests, without a database."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pyarrow as pa

from nachet_pipeline.training.manifest import LABEL_COLUMNS, MULTI_SCHEMA, SCHEMA, ManifestClass

NAMES = ("Brassica napus", "Brassica juncea", "Cirsium arvense")


def uuid(number: int) -> str:
    return str(UUID(int=number))


def sha256(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def classes(number: int = 2) -> list[ManifestClass]:
    return [
        ManifestClass(f"{index:03d} {NAMES[index]}", index, NAMES[index], uuid(900 + index)) for index in range(number)
    ]


def row(number: int, **columns: Any) -> dict[str, Any]:
    """A picture that is tied to no other, unless columns say so; `index` is its class, `session` a number."""
    index = columns.pop("index", 0)
    session = columns.pop("session", 10_000 + number)
    return {
        "picture_id": uuid(number),
        "picture_set_id": uuid(session),
        "owner_id": uuid(1),
        "parent_id": None,
        "split": "train",
        "label": f"{index:03d} {NAMES[index]}",
        "class_index": index,
        "scientific_name": NAMES[index],
        "taxon_id": uuid(900 + index),
        "group": uuid(number),
        "number_of_seeds": 1,
        "zoom": 30.0,
        "container": "user-x",
        "blob": f"{number}.png",
        "url": f"http://example.org/user-x/{number}.png",
        "sha256": sha256(number),
        "size": 1000,
        "format": "PNG",
        "width": 64,
        "height": 48,
        "pixel_sha256": sha256(f"pixels {number}"),
        "perceptual_hash": sha256(f"looks {number}"),
        "sharpness": 50.0,
        "quality_score": 0.5,
        "captured_at": datetime(2026, 5, 1, tzinfo=UTC),
        "box_left": None,
        "box_top": None,
        "box_right": None,
        "box_bottom": None,
        "photograph_sha256": None,
        "photograph_pixel_sha256": None,
        **columns,
    }


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=SCHEMA)


def several(*shown: dict[str, Any]) -> pa.RecordBatch:
    """Rows of a manifest of several labels, in the order of their pictures.

    Each is given by its `number`, its seeds by class index (`shows`), and other columns.
    """
    return pa.RecordBatch.from_pylist(
        [_several(**one) for one in sorted(shown, key=lambda one: int(one["number"]))], schema=MULTI_SCHEMA
    )


def _several(number: int, shows: dict[int, int | None], **columns: Any) -> dict[str, Any]:
    indices = sorted(shows)
    return {
        **row(number, **columns),
        **dict.fromkeys(LABEL_COLUMNS),
        "labels": [f"{index:03d} {NAMES[index]}" for index in indices],
        "class_indices": indices,
        "scientific_names": [NAMES[index] for index in indices],
        "taxon_ids": [uuid(900 + index) for index in indices],
        "seeds_of_class": [shows[index] for index in indices],
    }
