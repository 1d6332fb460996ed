"""Temporary SQLite databases for what is too much for memory."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Self

# It is never read after a crash, so nothing waits for the disk.
_SETTINGS = "pragma journal_mode=off; pragma synchronous=off; pragma cache_size=-2000;"


@contextmanager
def _place() -> Iterator[str]:
    """A file that has a name only while it is opened, so that nothing remains of it however this process ends.

    As long as its transaction lasts, SQLite writes to it what its cache has no room for. Where no temporary folder
    takes a file, SQLite looks for a place of its own when it needs one, which it does not for a small folder.
    """
    try:
        handle, path = tempfile.mkstemp(prefix="nachet-", suffix=".sqlite")
    except OSError:
        yield ""
        return
    try:
        os.close(handle)
        yield path
    finally:
        Path(path).unlink()


class Scratch:
    """A temporary database; a context manager that forgets it at the end."""

    def __init__(self, schema: str, *, in_memory: bool = False) -> None:
        """Open an empty one.

        Args:
            schema: its tables.
            in_memory: whether it has no file, because little is kept in it.
        """
        # One thread at a time uses it, but not always the same one.
        with nullcontext(":memory:") if in_memory else _place() as place:
            self._db = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
        try:
            self._db.executescript(f"{_SETTINGS} begin; {schema}")
        except sqlite3.Error:  # a disk that is full
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self._db.close()
