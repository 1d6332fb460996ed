"""Stored pictures, verified and converted, many at a time: the part that every format of an export shares."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.bounded import MemoryBudget, bounded_map
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.training.exports.converting import ConvertingPool, NotConvertedError
from nachet_pipeline.training.exports.journal import Failure, Journal, written
from nachet_pipeline.training.exports.source import Picture

_BYTES_PER_PIXEL = 3


@dataclass(frozen=True, slots=True)
class WantedPicture:
    """A picture, and the file that it is to become.

    Attributes:
        picture: from the manifest.
        path: of the file, relative to the export's folder.
        finished: whether the file is there already.
    """

    picture: Picture
    path: str
    finished: bool


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of a picture.

    Attributes:
        wanted: what was asked for.
        failure: why it could not be done; None: its file is there.
    """

    wanted: WantedPicture
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class _Made:
    size: int
    sha256: bytes


class Fetcher:
    """Fetches pictures with some threads and converts them with a pool's processes.

    Pictures come back in order, and no more than a few are under way: memory does not grow with their number.
    """

    def __init__(
        self,
        blobs: BlobStorage,
        pool: ConvertingPool,
        *,
        readers: int,
        memory_bytes: int,
        places: Callable[[Picture], Sequence[tuple[str, str]]] = lambda _picture: (),
    ) -> None:
        """Prepare to fetch.

        Args:
            blobs: where the pictures are.
            pool: what converts them.
            readers: pictures under way at a time.
            memory_bytes: what they may hold at a time, stored and converted; a larger one waits for all others.
            places: asked for containers and blobs where a picture's bytes may be today, if they are nowhere else.
        """
        self._blobs = blobs
        self._pool = pool
        self._readers = readers
        self._places = places
        self._budget = MemoryBudget(memory_bytes)

    def fetch(self, folder: Path, journal: Journal, wanted: Iterator[WantedPicture]) -> Iterator[Fetched]:
        """Make each picture's file, and record it; finished ones are not fetched again.

        Raises:
            StorageError: storage does not answer; what is finished stays, for the next call.
        """
        for one, outcome in bounded_map(
            partial(self._make, folder),
            wanted,
            workers=self._readers,
            budget=self._budget,
            size=_bytes_held,
            name="export",
        ):
            yield _recorded(one, outcome, journal)

    def _make(self, folder: Path, wanted: WantedPicture) -> tuple[WantedPicture, _Made | str | None]:
        """Make a picture's file, unless it is finished; why not, if it cannot be made."""
        if wanted.finished:
            return wanted, None
        try:
            content = self._verified(wanted.picture)
            converted = self._pool.convert(content, wanted.picture.format)
        except NotConvertedError as error:
            return wanted, str(error)
        with written(folder, wanted.path) as stream:
            stream.write(converted)
        return wanted, _Made(len(converted), hashlib.sha256(converted).digest())

    def _verified(self, picture: Picture) -> bytes:
        """The stored bytes; where they are gone or others, those of the archive, the set's copy, or the same file."""
        try:
            return self._read(picture, picture.address)
        except NotConvertedError:
            for address in self._elsewhere(picture):
                with suppress(NotConvertedError):
                    return self._read(picture, address)
            raise

    def _elsewhere(self, picture: Picture) -> Iterator[tuple[str, str]]:
        yield from picture.elsewhere
        yield from (place for place in self._places(picture) if place not in (picture.address, *picture.elsewhere))

    def _read(self, picture: Picture, address: tuple[str, str]) -> bytes:
        try:
            content = self._blobs.read(*address, size=picture.size)
        except FileChangedError:
            if self._blobs.properties_of(*address) is None:
                raise NotConvertedError("it is not in storage") from None
            raise NotConvertedError("the stored picture has another size than the manifest says") from None
        if hashlib.sha256(content).hexdigest() != picture.sha256:
            raise NotConvertedError("the stored picture has another SHA-256 than the manifest says")
        return content


def _bytes_held(wanted: WantedPicture) -> int:
    """What a picture takes in memory while it is made, stored and converted."""
    return 0 if wanted.finished else wanted.picture.size + 2 * _BYTES_PER_PIXEL * wanted.picture.pixels


def _recorded(wanted: WantedPicture, outcome: _Made | str | None, journal: Journal) -> Fetched:
    if isinstance(outcome, str):
        failure = Failure(wanted.picture.identifier, *wanted.picture.address, outcome)
        journal.fail(failure)
        return Fetched(wanted, failure)
    if outcome is not None:
        journal.finish(wanted.path, outcome.size, outcome.sha256)
    return Fetched(wanted, None)
