"""Small training sets: pictures in storage and the manifest that speaks of them."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa

from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.training.exports.choices import ExportFormat
from nachet_pipeline.training.exports.converting import ConvertingPool
from nachet_pipeline.training.exports.exporting import Exported, ExportRequest, export
from nachet_pipeline.training.exports.fetching import Fetcher
from nachet_pipeline.training.manifest import LABEL_COLUMNS, ManifestClass, ManifestWriter
from nachet_pipeline_tests.pictures.files import saved, seed_image

SPECIES = ("Brassica napus", "Cirsium arvense", "Solanum nigrum", "Lolium temulentum")
_NAMES = uuid.UUID(int=5)


def row_of(number: int, content: bytes, container: str, **values: Any) -> dict[str, Any]:
    """A row of a manifest, of a picture that is stored as `<number>`."""
    index = values.get("class_index", number % 3)
    identifier = str(uuid.uuid5(_NAMES, str(number)))
    row: dict[str, Any] = {
        "picture_id": identifier,
        "picture_set_id": str(uuid.UUID(int=number // 2)),
        "owner_id": str(uuid.UUID(int=1)),
        "split": "train",
        "label": f"{index:03} {SPECIES[index]}",
        "class_index": index,
        "scientific_name": SPECIES[index],
        "taxon_id": str(uuid.UUID(int=100 + index)),
        "group": identifier,
        "number_of_seeds": 1,
        "zoom": 30.0,
        "container": container,
        "blob": str(number),
        "url": f"https://example.org/{container}/{number}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "format": "PNG",
        "width": 24,
        "height": 16,
        "sharpness": 0.5,
        "captured_at": datetime(2026, 5, 1, 12, tzinfo=UTC),
    }
    return row | values


class CountedStorage:
    """The real storage, which counts what is read, and may go away after some pictures."""

    def __init__(self, blobs: BlobStorage, leave_after: int | None = None) -> None:
        self._blobs = blobs
        self._left = leave_after
        self._lock = Lock()
        self.reads: list[str] = []

    def read(self, container: str, blob: str, **settings: Any) -> bytes:
        with self._lock:
            if self._left is not None and len(self.reads) >= self._left:
                raise StorageError("Blob storage at 127.0.0.1: it went away")
            self.reads.append(blob)
        return self._blobs.read(container, blob, **settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)


@dataclass
class Sets:
    """Makes training sets and exports them."""

    blobs: BlobStorage
    pool: ConvertingPool
    place: Path
    container: str
    name: str = "seeds"
    rows: list[dict[str, Any]] = field(default_factory=list)
    several_labels: bool = False

    def store(self, number: int, content: bytes | None = None, **values: Any) -> dict[str, Any]:
        """Store a picture and give it a row."""
        kind = values.get("format", "PNG")
        if content is None:
            image = seed_image(size=(24, 16))
            image.putpixel((number % 24, number // 24 % 16), (255, 0, 0))
            content = saved(image, kind)
        self.blobs.upload(self.container, str(number), content, content_type="image/png", overwrite=True)
        row = row_of(number, content, self.container, **values)
        self.rows.append(row)
        return row

    def several(self, pictures: int = 12) -> None:
        """Pictures of one to three of three classes, in two splits."""
        self.several_labels = True
        for number in range(pictures):
            indices = [index for index in range(3) if (number % 7 + 1) >> index & 1]
            lists = {
                "labels": [f"{index:03} {SPECIES[index]}" for index in indices],
                "class_indices": indices,
                "scientific_names": [SPECIES[index] for index in indices],
                "taxon_ids": [str(uuid.UUID(int=100 + index)) for index in indices],
                "seeds_of_class": [2 + index for index in indices],
            }
            split = "test" if number % 6 == 5 else "train"
            self.store(number, split=split, number_of_seeds=6, class_index=0, **lists)
            self.rows[-1] |= dict.fromkeys(LABEL_COLUMNS)

    def usual(self, pictures: int = 24) -> None:
        """Three classes in three splits, of one or two seeds."""
        for number in range(pictures):
            split = {6: "validation", 7: "test"}.get(number % 8, "train")
            self.store(number, split=split, class_index=(number // 8) % 3, number_of_seeds=1 + number % 2)

    def manifest(self, rows: Iterable[dict[str, Any]] | None = None) -> Path:
        file = self.place / "given.parquet"
        chosen = sorted(self.rows if rows is None else rows, key=lambda row: row["picture_id"])
        names = {row["class_index"]: (row["label"], row["scientific_name"], row["taxon_id"]) for row in chosen}
        if self.several_labels:
            names = {index: (f"{index:03} {SPECIES[index]}", SPECIES[index], str(index)) for index in range(3)}
        classes = [ManifestClass(label, index, name, taxon) for index, (label, name, taxon) in sorted(names.items())]
        settings: dict[str, Any] = {"name": self.name, "recipe": {}, "recipe_digest": "ab" * 32, "classes": classes}
        settings["several_labels"] = self.several_labels
        with file.open("wb") as stream, ManifestWriter(stream, **settings) as writer:
            writer.write(pa.RecordBatch.from_pylist(chosen, schema=writer.schema))
            writer.finish()
        return file

    def request(self, folder: str, kind: str, **options: Any) -> ExportRequest:
        return ExportRequest(self.manifest(), self.place / folder, ExportFormat(kind), **options)

    def export(self, folder: str, kind: str, *, storage: Any = None, **options: Any) -> Exported:
        fetcher = Fetcher(storage or self.blobs, self.pool, readers=4, memory_bytes=64 * 1024**2)
        return export(self.request(folder, kind, **options), fetcher)


def visible(folder: Path) -> dict[str, bytes]:
    """The files of an export that are for readers, by path."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {
        path: file.read_bytes()
        for file in files
        if not (path := str(file.relative_to(folder))).startswith(".nachet-export")
    }


def made(folder: Path) -> Iterator[Path]:
    """The unfinished files of an export."""
    return (file for file in (folder / ".nachet-export").rglob("*") if file.is_file())
