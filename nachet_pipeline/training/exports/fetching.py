"""Stored pictures, verified and converted, many at a time: the part that every format of an export shares."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
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
        self._room = MemoryBudget(memory_bytes)

    def fetch(self, folder: Path, journal: Journal, wanted: Iterator[WantedPicture]) -> Iterator[Fetched]:
        """Make each picture's file, and note it; finished ones are not fetched again.

        Raises:
            StorageError: storage does not answer; what is finished stays, for the next call.
        """
        threads = ThreadPoolExecutor(self._readers, thread_name_prefix="export")
        try:
            tasks = (
                (one, None if one.finished else threads.submit(self._make, folder, one.path, one.picture))
                for one in wanted
            )
            for one, task in bounded_map(tasks, 2 * self._readers):
                yield _noted(one, task, journal)
        finally:
            threads.shutdown(cancel_futures=True)

    def _make(self, folder: Path, path: str, picture: Picture) -> _Made:
        with self._room.taken(picture.size + 2 * _BYTES_PER_PIXEL * picture.pixels):
            content = self._verified(picture)
            converted = self._pool.convert(content, picture.format)
            with written(folder, path) as stream:
                stream.write(converted)
            return _Made(len(converted), hashlib.sha256(converted).digest())

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


def _noted(one: WantedPicture, task: "Future[_Made] | None", journal: Journal) -> Fetched:
    if task is None:
        return Fetched(one, None)
    try:
        made = task.result()
    except NotConvertedError as error:
        failure = Failure(one.picture.identifier, *one.picture.address, str(error))
        journal.fail(failure)
        return Fetched(one, failure)
    journal.finish(one.path, made.size, made.sha256)
    return Fetched(one, None)
