"""Shards: a split's pictures in files of bounded size, whose names and contents are known before the first is fetched.

A shard is filled by the number of its pictures' pixels, which the manifest knows, and not by their compressed size. So
every call plans the same shards, also one that continues another.
"""

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from nachet_pipeline.training.exports.fetching import Fetched, Fetcher, WantedPicture
from nachet_pipeline.training.exports.journal import JOURNAL_FOLDER, Journal, written
from nachet_pipeline.training.exports.source import ExportManifest, Picture

_MOST_PICTURES = 10_000
_BYTES_PER_PIXEL = 3

ShardEntry = tuple[Picture, Path]
"""A picture of a shard, and the file that holds it as an RGB TIFF."""

WriteShard = Callable[[IO[bytes], Iterator[ShardEntry]], None]
"""Writes a shard's pictures, which are drawn one after the other."""


@dataclass
class _Filling:
    pictures: int = 0
    pixel_bytes: int = 0
    shard: int = 0


@dataclass
class Assignment:
    """Gives each picture its shard, in the manifest's order.

    Attributes:
        most_bytes: pixels that a shard holds at most, uncompressed; a larger picture has one for itself.
        sizes: number of pictures by split, and in it by shard.
    """

    most_bytes: int
    sizes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _filling: dict[str, _Filling] = field(default_factory=lambda: defaultdict(_Filling))

    def shard_of(self, picture: Picture) -> int:
        """The shard of the next picture of its split."""
        filling, sizes = self._filling[picture.split], self.sizes[picture.split]
        size = _BYTES_PER_PIXEL * picture.pixels
        full = filling.pictures >= _MOST_PICTURES or filling.pixel_bytes + size > self.most_bytes
        if not sizes or (filling.pictures and full):
            sizes.append(0)
            filling.shard, filling.pictures, filling.pixel_bytes = len(sizes) - 1, 0, 0
        sizes[-1] += 1
        filling.pictures += 1
        filling.pixel_bytes += size
        return filling.shard


@dataclass(frozen=True, slots=True)
class ExportShard:
    """One shard of a split.

    Attributes:
        path: relative to the export's folder.
        pictures: how many the manifest puts into it.
        finished: whether it is there already.
    """

    path: str
    pictures: int
    finished: bool


class ShardedExport:
    """An export in shards. Pictures wait as files beside it until all of their shard are there."""

    def __init__(self, folder: Path, journal: Journal, manifest: ExportManifest, splits: tuple[str, ...]) -> None:
        self._folder = folder
        self._journal = journal
        self._manifest = manifest
        self._splits = splits

    def run(self, fetcher: Fetcher, *, suffix: str, most_bytes: int, write: WriteShard) -> Iterator[Fetched]:
        """Write all shards that are not finished; reports every picture.

        Args:
            fetcher: what makes the pictures.
            suffix: of a shard's name.
            most_bytes: see `Assignment`.
            write: writes one shard.
        """
        planned = Assignment(most_bytes)
        for picture in self._manifest.pictures(self._splits):
            planned.shard_of(picture)
        shards = {
            (split, number): self._shard(f"data/{split}-{number:05}-of-{len(sizes):05}{suffix}", size)
            for split, sizes in planned.sizes.items()
            for number, size in enumerate(sizes)
        }
        waiting: dict[str, list[Fetched]] = defaultdict(list)
        wanted = self._wanted(shards, most_bytes)
        shard_of = {shard.path: shard for shard in shards.values()}
        for fetched in fetcher.fetch(self._folder, self._journal, wanted):
            yield fetched
            shard = shard_of[_shard_of_waiting(fetched.wanted.path)]
            if shard.finished:
                continue
            waiting[shard.path].append(fetched)
            if len(waiting[shard.path]) == shard.pictures:
                self._write(shard, waiting.pop(shard.path), write)

    def _shard(self, path: str, pictures: int) -> ExportShard:
        return ExportShard(path, pictures, self._journal.finished(path))

    def _wanted(self, shards: dict[tuple[str, int], ExportShard], most_bytes: int) -> Iterator[WantedPicture]:
        assignment = Assignment(most_bytes)
        for picture in self._manifest.pictures(self._splits):
            shard = shards[picture.split, assignment.shard_of(picture)]
            path = f"{_waiting(shard.path)}/{picture.identifier}.tiff"
            yield WantedPicture(picture, path, shard.finished or self._journal.finished(path))

    def _write(self, shard: ExportShard, fetched: list[Fetched], write: WriteShard) -> None:
        entries = [(one.wanted.picture, one.wanted.path) for one in fetched if one.failure is None]
        with written(self._folder, shard.path) as stream:
            write(stream, ((picture, self._folder / path) for picture, path in entries))
        file = self._folder / shard.path
        with file.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").digest()
        self._journal.finish(shard.path, file.stat().st_size, sha256, whole=len(entries) == shard.pictures)
        self._journal.forget(path for _, path in entries)
        self._journal.commit()
        shutil.rmtree(self._folder / _waiting(shard.path), ignore_errors=True)


def _waiting(shard: str) -> str:
    return f"{JOURNAL_FOLDER}/waiting/{shard.removeprefix('data/')}"


def _shard_of_waiting(path: str) -> str:
    return f"data/{Path(path).parent.name}"
