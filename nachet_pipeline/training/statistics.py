"""What is in a training set, counted from its manifest in one pass and in constant memory."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nachet_pipeline.training.manifest import FILE_COLUMNS, PictureFile, by_class

SAMPLES_PER_CLASS = 8
SAMPLED_CLASSES = 30
"""A contact sheet is made of so many classes, in the order of their indices; each costs a look at its pictures."""
PAIRED_CLASSES = 40
"""Pairs of classes that pictures show together are counted below this index, so that memory does not grow with them."""

_BINS_PER_DECADE, _LOWEST_DECADE, _DECADES = 20, -2, 8
SHARPNESS_BINS = _BINS_PER_DECADE * _DECADES
QUALITY_BINS = 100
_ZOOMS = 1000
_NEEDED = (
    *FILE_COLUMNS,
    "split",
    "label",
    "class_index",
    "number_of_seeds",
    "zoom",
    "sharpness",
    "quality_score",
)
_OF_SEVERAL = ("labels", "class_indices")


@dataclass
class Distribution:
    """How often which value was found, as a histogram: exact numbers, values to the width of a bin."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> float | None:
        """The value that this share of all values is below, None if there are none."""
        if not self.total:
            return None
        reached = np.cumsum(self.counts)
        # Of no value at all the smallest one's bin, never an empty bin before it.
        place = int(np.searchsorted(reached, max(share * self.total, 1)))
        within = 1 - (reached[place] - share * self.total) / self.counts[place]
        low, high = self.edges[place], self.edges[place + 1]
        return float(low + (high - low) * min(max(within, 0.0), 1.0))


def sharpness_edges() -> NDArray[np.float64]:
    """Edges of the bins of sharpness, which spans decades: twenty a decade, from 0.01 to 1,000,000."""
    return np.logspace(_LOWEST_DECADE, _LOWEST_DECADE + _DECADES, SHARPNESS_BINS + 1)


@dataclass
class Statistics:
    """The numbers of a training set.

    Attributes:
        labels: class folder by class index, of the classes that have pictures.
        of_split: number of pictures by split.
        pictures: number of pictures by class index and split; one of several classes counts for each.
        number_of_classes: number of pictures by how many classes they have; empty if none may have several.
        together: pictures by two class indices that they have both, of the first classes.
        seeds: number of pictures by class index and number of seeds in the picture.
        bytes_by_split: size of the pictures' files.
        formats: pictures by format.
        zooms: pictures by zoom, of the first thousand different ones.
        sharpness: bins of `sharpness_edges()` by class index.
        quality: hundred bins from 0 to 1 by class index.
        quality_of_all: the same of all pictures, each counted once.
        samples: a few pictures of each class, of as many sessions as possible; always the same ones.
    """

    labels: dict[int, str] = field(default_factory=dict)
    of_split: Counter[str] = field(default_factory=Counter)
    pictures: Counter[tuple[int, str]] = field(default_factory=Counter)
    seeds: Counter[tuple[int, int]] = field(default_factory=Counter)
    number_of_classes: Counter[int] = field(default_factory=Counter)
    together: Counter[tuple[int, int]] = field(default_factory=Counter)
    bytes_by_split: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    zooms: Counter[float] = field(default_factory=Counter)
    sharpness: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    quality: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    quality_of_all: NDArray[np.int64] = field(default_factory=lambda: np.zeros(QUALITY_BINS, np.int64))
    samples: dict[int, list[PictureFile]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of pictures."""
        return sum(self.of_split.values())

    def by_split(self) -> dict[str, int]:
        """Number of pictures of each split."""
        return dict(self.of_split)

    def of_class(self, index: int) -> int:
        """Number of pictures of a class."""
        return sum(count for (number, _), count in self.pictures.items() if number == index)

    def sharpness_of(self, index: int) -> Distribution:
        """The sharpness of a class's pictures."""
        return Distribution(sharpness_edges(), self.sharpness.get(index, np.zeros(SHARPNESS_BINS, np.int64)))

    def quality_of(self, index: int | None = None) -> Distribution:
        """The quality score of a class's pictures, or of all."""
        edges = np.linspace(0, 1, QUALITY_BINS + 1)
        if index is None:
            return Distribution(edges, self.quality_of_all)
        return Distribution(edges, self.quality.get(index, np.zeros(QUALITY_BINS, np.int64)))


def statistics(batches: Iterable[pa.RecordBatch]) -> Statistics:
    """Count what is in a manifest.

    Args:
        batches: its rows, with at least the columns that are counted.
    """
    found = Statistics()
    samples = _Samples()
    for batch in batches:
        if not batch.num_rows:
            continue
        several = "class_indices" in batch.schema.names
        counted = batch.select([*_NEEDED, *(_OF_SEVERAL if several else ())])
        if several:
            _count_several(counted.column("class_indices"), found)
        each = by_class(counted)
        _count(pa.Table.from_batches([counted]), pa.Table.from_batches([each]), found)
        _measure(counted, each, found)
        samples.look_at(each)
    found.samples = samples.chosen()
    return found


def _count(table: pa.Table, each: pa.Table, found: Statistics) -> None:
    """Count pictures, and pictures under each of their classes."""
    for row in _groups(each, ["class_index", "label", "split", "number_of_seeds"]):
        index, split, count = row["class_index"], row["split"], row["count"]
        found.labels[index] = row["label"]
        found.pictures[index, split] += count
        found.seeds[index, row["number_of_seeds"] or 0] += count
    for row in _groups(table, ["split"]):
        found.of_split[row["split"]] += row["count"]
        found.bytes_by_split[row["split"]] += row["size_sum"]
    for row in _groups(table, ["format"]):
        found.formats[row["format"]] += row["count"]
    for row in _groups(table, ["zoom"]):
        if row["zoom"] is not None and (row["zoom"] in found.zooms or len(found.zooms) < _ZOOMS):
            found.zooms[row["zoom"]] += row["count"]


def _groups(table: pa.Table, columns: list[str]) -> Iterator[Mapping[str, Any]]:
    grouped = table.group_by(columns).aggregate([("size", "sum"), ([], "count_all")])
    for row in grouped.to_pylist():
        yield {**row, "count": row["count_all"]}


def _count_several(classes: pa.ListArray, found: Statistics) -> None:
    """Count pictures by their number of classes, and by pairs of them."""
    numbers, counts = np.unique(pc.list_value_length(classes), return_counts=True)
    found.number_of_classes.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
    if numbers[-1] > 1:
        several = classes.filter(pc.greater(pc.list_value_length(classes), 1))
        for indices in several.to_pylist():
            shown = [index for index in indices if index < PAIRED_CLASSES]
            found.together.update(combinations(shown, 2))


def _measure(batch: pa.RecordBatch, each: pa.RecordBatch, found: Statistics) -> None:
    classes = _numbers(each, "class_index").astype(np.int64)
    sharpness, quality = _numbers(each, "sharpness"), _numbers(each, "quality_score")
    every = _numbers(batch, "quality_score")
    known = np.clip(every[~np.isnan(every)] * QUALITY_BINS, 0, QUALITY_BINS - 1).astype(np.int64)
    found.quality_of_all += np.bincount(known, minlength=QUALITY_BINS)
    with np.errstate(divide="ignore"):
        decades = (np.log10(sharpness) - _LOWEST_DECADE) * _BINS_PER_DECADE
    _add(found.sharpness, classes, decades, SHARPNESS_BINS)
    _add(found.quality, classes, quality * QUALITY_BINS, QUALITY_BINS)


def _numbers(batch: pa.RecordBatch, column: str) -> NDArray[np.float64]:
    """A column as floats, NaN where nothing is known."""
    values = batch.column(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float64)


def _add(
    histograms: dict[int, NDArray[np.int64]], classes: NDArray[np.int64], places: NDArray[np.float64], bins: int
) -> None:
    known = ~np.isnan(places)
    chosen = np.clip(places[known], 0, bins - 1).astype(np.int64)
    numbers, at = np.unique(classes[known], return_inverse=True)
    counts = np.bincount(at * bins + chosen, minlength=len(numbers) * bins).reshape(-1, bins)
    for number, row in zip(numbers.tolist(), counts, strict=True):
        histograms[number] = histograms.get(number, 0) + row


class _Samples:
    """The pictures of each class whose checksums are smallest, one a session as long as there are enough."""

    def __init__(self) -> None:
        self._of_sessions: dict[int, list[PictureFile]] = {}
        self._of_all: dict[int, list[PictureFile]] = {}

    def look_at(self, batch: pa.RecordBatch) -> None:
        classes = batch.column("class_index")
        for index in sorted(pc.unique(classes).to_pylist()):
            if not self._has_room(index):
                continue
            wanted = pc.equal(classes, index)
            held = self._of_sessions.get(index, [])
            if len(held) == SAMPLES_PER_CLASS:
                # Most rows of a large class are skipped at once.
                wanted = pc.and_(wanted, pc.less_equal(batch.column("sha256"), held[-1].sha256))
            rows = batch.filter(wanted)
            if rows.num_rows:
                self._take(index, rows)

    def _has_room(self, index: int) -> bool:
        if index in self._of_all or len(self._of_all) < SAMPLED_CLASSES:
            return True
        highest = max(self._of_all)
        if index > highest:
            return False
        del self._of_sessions[highest], self._of_all[highest]
        return True

    def _take(self, index: int, rows: pa.RecordBatch) -> None:
        rows = rows.take(pc.sort_indices(rows, sort_keys=[("sha256", "ascending"), ("picture_id", "ascending")]))
        sessions = rows.column("picture_set_id").dictionary_encode().indices.to_numpy(zero_copy_only=False)
        first = np.sort(np.unique(sessions, return_index=True)[1])[:SAMPLES_PER_CLASS]
        smallest: dict[str, PictureFile] = {}
        for picture in sorted((*self._of_sessions.get(index, []), *_files(rows.take(pa.array(first)))), key=_key):
            smallest.setdefault(picture.picture_set_id, picture)
        self._of_sessions[index] = list(smallest.values())[:SAMPLES_PER_CLASS]
        few = _files(rows.slice(0, SAMPLES_PER_CLASS))
        self._of_all[index] = sorted((*self._of_all.get(index, []), *few), key=_key)[:SAMPLES_PER_CLASS]

    def chosen(self) -> dict[int, list[PictureFile]]:
        return {
            index: list(dict.fromkeys((*self._of_sessions[index], *pictures)))[:SAMPLES_PER_CLASS]
            for index, pictures in sorted(self._of_all.items())
        }


def _files(rows: pa.RecordBatch) -> list[PictureFile]:
    return [PictureFile(**row) for row in rows.select(FILE_COLUMNS).to_pylist()]


def _key(picture: PictureFile) -> tuple[str, str]:
    return picture.sha256, picture.picture_id
