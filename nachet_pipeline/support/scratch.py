"""Temporary SQLite databases for what is too much for memory."""

import sqlite3
from typing import Self

_ON_DISK_IF_LARGE = ""
"""SQLite's name of a database that nobody else can open: what its cache has no room for goes to a file in the system's
temporary folder, which has no name, so that nothing remains of it however this process ends."""

# It is never read after a crash, so nothing waits for the disk.
_SETTINGS = "pragma journal_mode=off; pragma synchronous=off; pragma cache_size=-2000;"


class Scratch:
    """A temporary database; a context manager that forgets it at the end."""

    def __init__(self, schema: str, *, in_memory: bool = False) -> None:
        """Open an empty one.

        Args:
            schema: its tables.
            in_memory: whether it has no file, because little is kept in it.
        """
        # One thread at a time uses it, but not always the same one.
        place = ":memory:" if in_memory else _ON_DISK_IF_LARGE
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
