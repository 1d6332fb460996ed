"""What an export has finished so far: one small file beside it, which survives a kill at any moment."""

import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nachet_pipeline.training.exports.errors import ExportRefusedError

JOURNAL_FOLDER = ".nachet-export"
"""Holds the journal and unfinished files, in the folder of the export; readers pass over hidden folders."""

_TABLES = """
create table if not exists export (place integer primary key check (place = 1), request text not null);
create table if not exists file (
    path text primary key, size integer not null, sha256 blob not null, whole integer not null
) without rowid;
create table if not exists failure (picture text primary key, container text, blob text, why text) without rowid;
"""
_COMMIT_EVERY = 32


@dataclass(frozen=True, slots=True)
class Failure:
    """A picture that is not in the export.

    Attributes:
        picture: its identifier.
        container: where it should be.
        blob: and under which name.
        why: what is wrong with it.
    """

    picture: str
    container: str
    blob: str
    why: str

    def __str__(self) -> str:
        return f"{self.picture} ({self.container}/{self.blob}): {self.why}"


class Journal:
    """Finished files with size and checksum, and pictures that failed. For one thread."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._uncommitted = 0

    def finished(self, path: str) -> bool:
        """Whether a file of the export is finished, lacks nothing, and is still what it was."""
        row = self._connection.execute("select size, sha256 from file where path = ? and whole", (path,)).fetchone()
        file = self._folder / path
        if row is None or not file.is_file() or file.stat().st_size != row[0]:
            return False
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest() == bytes(row[1])

    def finish(self, path: str, size: int, sha256: bytes, *, whole: bool = True) -> None:
        """Record a file that has its final name; one that lacks pictures is made again by the next call."""
        self._connection.execute("insert or replace into file values (?, ?, ?, ?)", (path, size, sha256, whole))
        self._uncommitted += 1
        if self._uncommitted >= _COMMIT_EVERY:
            self.commit()

    def forget(self, paths: Iterable[str]) -> None:
        """Files that are needed no longer."""
        self._connection.executemany("delete from file where path = ?", ((path,) for path in paths))

    def checksum(self, path: str) -> tuple[int, str]:
        """Size and SHA-256, in hexadecimal, of a finished file."""
        size, sha256 = self._connection.execute("select size, sha256 from file where path = ?", (path,)).fetchone()
        return int(size), bytes(sha256).hex()

    def fail(self, failure: Failure) -> None:
        """Record a picture that is not in the export."""
        values = (failure.picture, failure.container, failure.blob, failure.why)
        self._connection.execute("insert or replace into failure values (?, ?, ?, ?)", values)

    def failures(self) -> Iterator[Failure]:
        """Every picture that failed, in the order of their identifiers."""
        for row in self._connection.execute("select picture, container, blob, why from failure order by picture"):
            yield Failure(*row)

    def commit(self) -> None:
        """Keep what was noted."""
        self._connection.commit()
        self._uncommitted = 0


@contextmanager
def journal_of(folder: Path, request: Mapping[str, object]) -> Iterator[Journal]:
    """The journal of an export, begun or continued, for one process at a time.

    Args:
        folder: of the export; new, empty, or of an earlier call with the same request.
        request: what makes two exports the same.

    Raises:
        ExportRefusedError: the folder holds something else, or another process writes there.
    """
    place = folder / JOURNAL_FOLDER
    if folder.exists() and not place.is_dir() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportRefusedError(f"{folder} is neither an export nor a new or empty folder: name another one")
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportRefusedError(f"another export is under way in {folder}: wait for its end") from None
        connection = sqlite3.connect(place / "journal.sqlite")
        try:
            connection.executescript(f"pragma journal_mode = wal; pragma synchronous = normal; {_TABLES}")
            _claim(connection, folder, json.dumps(request, sort_keys=True))
            journal = Journal(connection, folder)
            try:
                yield journal
            finally:
                journal.commit()
        finally:
            connection.close()


def _claim(connection: sqlite3.Connection, folder: Path, request: str) -> None:
    connection.execute("insert or ignore into export values (1, ?)", (request,))
    connection.execute("delete from failure")
    connection.commit()
    (known,) = connection.execute("select request from export").fetchone()
    if known != request:
        raise ExportRefusedError(
            f"{folder} holds another export (another training set, format or option): name another folder"
        )


@contextmanager
def written(folder: Path, path: str) -> Iterator[IO[bytes]]:
    """A file of an export, which gets its name when all of it is on the disk."""
    unfinished = folder / JOURNAL_FOLDER / "unfinished" / path.replace("/", "~")
    unfinished.parent.mkdir(exist_ok=True)
    with unfinished.open("wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished.replace(target)
