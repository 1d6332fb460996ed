"""Temporary SQLite databases for what is too much for memory."""

import sqlite3
import tempfile
from pathlib import Path
from typing import Self


class Scratch:
    """A temporary database; a context manager that removes its file at the end."""

    def __init__(self, schema: str, folder: Path | None = None, *, in_memory: bool = False) -> None:
        """Open an empty one.

        Args:
            schema: its tables.
            folder: where its file lies; the system's temporary folder if not given.
            in_memory: whether it has no file, because little is kept in it.
        """
        self._directory = None if in_memory else tempfile.TemporaryDirectory(prefix="nachet-", dir=folder)
        place = Path(self._directory.name) / "scratch.sqlite" if self._directory else ":memory:"
        # One thread at a time uses it, but not always the same one.
        self._db = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
        try:
            # The file is never read after a crash, so nothing waits for the disk.
            self._db.executescript(f"pragma journal_mode=off; pragma synchronous=off; {schema} begin;")
        except sqlite3.Error:  # a disk that is full
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it and remove its file."""
        self._db.close()
        if self._directory:
            self._directory.cleanup()
