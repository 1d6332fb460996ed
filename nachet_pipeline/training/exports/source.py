"""The manifest of a training set as exports read it: picture after picture, and what it holds in all."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from nachet_pipeline.identifiers import archive_container, training_container, training_picture_blob
from nachet_pipeline.training.manifest import ManifestClass, ManifestError, open_manifest
from nachet_pipeline.training.recipe import SPLITS

_ROWS = 4096
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')
# What readers take for the name of a split where it stands between two of these characters, in lower case.
_SPLIT_WORD = re.compile(
    r"(?<![^-._ 0-9])(train|training|validation|valid|dev|val|test|testing|eval|evaluation)(?![^-._ 0-9])"
)
_LONGEST_FOLDER = 120


@dataclass(frozen=True, slots=True)
class Picture:
    """A row of the manifest.

    Attributes:
        identifier: of the picture; names its file.
        split: `train`, `validation` or `test`.
        classes: indices of its classes: one, unless pictures may have several labels.
        seeds: number of seeds it shows.
        address: its container and blob.
        elsewhere: containers and blobs where its bytes may be too: its owner's archive, if its folder was archived
            since, and the copy that its training set may have, which nothing replaces.
        sha256: of the stored bytes, in hexadecimal.
        size: of the stored bytes.
        format: of the stored bytes: `TIFF`, `PNG` or `JPEG`.
        pixels: how many it has.
        row: all its columns.
    """

    identifier: str
    split: str
    classes: tuple[int, ...]
    seeds: int
    address: tuple[str, str]
    elsewhere: tuple[tuple[str, str], ...]
    sha256: str
    size: int
    format: str
    pixels: int
    row: dict[str, Any]

    @property
    def class_index(self) -> int:
        """Its one class.

        Raises:
            ValueError: it has several.
        """
        (one,) = self.classes
        return one


@dataclass(frozen=True, slots=True)
class TrainingClass:
    """A class of a training set.

    Attributes:
        index: what a trainer knows it by.
        folder: its name, which sorts as the index counts: `000 Brassica napus`.
        scientific_name: its species; empty for an index that has no picture in this training set.
    """

    index: int
    folder: str
    scientific_name: str


@dataclass(frozen=True)
class ExportContents:
    """What a manifest holds in all.

    Attributes:
        classes: every index from 0 to the greatest, in order.
        pictures: pictures by split, number of seeds and class index, None if pictures may have several.
    """

    classes: tuple[TrainingClass, ...]
    pictures: dict[tuple[str, int, int | None], int]

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold pictures, in their usual order."""
        return tuple(self.by_split)

    @cached_property
    def by_split(self) -> dict[str, int]:
        """How many pictures each split holds, of those that hold any, in their usual order."""
        counts: Counter[str] = Counter()
        for (split, _, _), number in self.pictures.items():
            counts[split] += number
        return {split: counts[split] for split in SPLITS if split in counts}


class ExportManifest:
    """A manifest file, read as a stream as often as wanted."""

    def __init__(self, file: Path) -> None:
        """Open a manifest, and compare its rows with its digest.

        Raises:
            ManifestError: it is none, or is damaged.
        """
        self.file = file
        with open_manifest(file) as manifest:
            manifest.verify()
            self.metadata = manifest.metadata

    def pictures(self, splits: tuple[str, ...]) -> Iterator[Picture]:
        """The pictures of these splits, in the manifest's order.

        Raises:
            ManifestError: a row that is not a picture's.
        """
        with open_manifest(self.file) as manifest:
            # Exports that are under way have no more; the rest is for finding leaks.
            columns = [name for name in manifest.schema.names if not name.startswith("photograph_")]
            for batch in manifest.rows(columns, batch_rows=_ROWS):
                for row in batch.to_pylist():
                    if row["split"] in splits:
                        yield self._picture(row)

    def _picture(self, row: dict[str, Any]) -> Picture:
        try:
            # It becomes a file's name.
            identifier = str(UUID(row["picture_id"]))
        except (ValueError, AttributeError, TypeError):
            raise ManifestError(f"{self.file}: {row['picture_id']!r} is not the identifier of a picture") from None
        return Picture(
            identifier,
            row["split"],
            tuple(row["class_indices"]) if self.metadata.several_labels else (row["class_index"],),
            row["number_of_seeds"],
            (row["container"], row["blob"]),
            (
                (archive_container(UUID(row["owner_id"])), row["blob"]),
                (training_container(self.metadata.name), training_picture_blob(row["sha256"], row["format"])),
            ),
            row["sha256"],
            row["size"],
            row["format"],
            row["width"] * row["height"],
            row,
        )

    def contents(self) -> ExportContents:
        """What it holds in all.

        Raises:
            ManifestError: a split that there is not, or a class that the manifest does not name.
        """
        columns = ["split", "number_of_seeds", "class_index"]
        classes = _classes(self.metadata.classes)
        indices = "class_indices" if self.metadata.several_labels else "class_index"
        counted: Counter[tuple[str, int, int | None]] = Counter()
        with open_manifest(self.file) as manifest:
            for batch in manifest.rows([*columns, "class_indices"]):
                known = batch.column(indices)
                for index in pc.unique(known.flatten() if self.metadata.several_labels else known).to_pylist():
                    if not 0 <= index < len(classes):
                        raise ManifestError(f"{self.file}: found a picture of class {index}, of {len(classes)} classes")
                for group in pa.table(batch).group_by(columns).aggregate([([], "count_all")]).to_pylist():
                    split, seeds, index = (group[name] for name in columns)
                    if split not in SPLITS:
                        raise ManifestError(f"{self.file}: found a picture in the split {split!r}")
                    counted[split, seeds, index] += group["count_all"]
        return ExportContents(classes, dict(counted))


def _classes(named: tuple[ManifestClass, ...]) -> tuple[TrainingClass, ...]:
    known = {each.class_index: each for each in named}
    most = max(known, default=-1)
    digits = max(3, len(str(most)))
    return tuple(
        TrainingClass(index, portable_folder(index, each.label, digits), each.scientific_name)
        if (each := known.get(index))
        else TrainingClass(index, portable_folder(index, "no pictures", digits), "")
        for index in range(most + 1)
    )


def portable_folder(index: int, label: str, digits: int = 3) -> str:
    """A class's name as one folder's name on any system, which sorts as the indexes count.

    Args:
        index: of the class.
        label: `000 Brassica napus`, or the name alone.
        digits: of the index, at least.

    >>> portable_folder(7, "007 Solanum/../nigrum.")
    '007 Solanum-..-nigrum'
    >>> portable_folder(0, "000 Avena test")
    '000 Avena TEST'
    """
    name = re.sub(r"^\d+\s+", "", unicodedata.normalize("NFC", label))
    name = _SPLIT_WORD.sub(lambda word: word[0].upper(), _UNSAFE.sub("-", name))
    while len(name.encode()) > _LONGEST_FOLDER:
        name = name[:-1]
    return f"{index:0{digits}} {name.strip(' .') or 'unnamed'}"
