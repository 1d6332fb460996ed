"""Small files of a home: written whole or not at all, readable by their owner only; and locks."""

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nachet_pipeline.local.errors import LocalServiceError


def private_folder(folder: Path, *, passable: bool = True) -> None:
    """Make a folder that its owner alone can list; one of ours that is there already is closed to others.

    Root's stays open to pass through, where `passable`, because PostgreSQL runs there as another user; one that is
    everybody's, as /tmp is, stays as it is.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX:
        folder.chmod(0o701 if passable and not os.geteuid() else 0o700)


def write_private(file: Path, text: str) -> None:
    """Replace a file's content in one step; only its owner can read it."""
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)


class FileLock:
    """A lock between processes that the system drops when its holder ends, however that happens.

    Attributes:
        file: the file that carries the lock; its content means nothing.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)

    def share(self) -> None:
        """Wait until nobody holds the lock alone, then hold it together with others."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def take(self) -> None:
        """Wait until nobody else holds the lock, then hold it alone."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def try_take(self) -> bool:
        """Hold the lock alone if nobody else holds it; a share may be lost in a vain attempt."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let the lock go; calling this twice does no harm."""
        if self._descriptor >= 0:
            # Said aloud, because a forked child would otherwise keep the lock through its copy.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def held(file: Path, *, unless_busy: str | None = None) -> Iterator[None]:
    """Hold a lock alone while the context lasts.

    Args:
        file: the file that carries the lock.
        unless_busy: the error if somebody else holds the lock; not given: wait until nobody does.

    Raises:
        LocalServiceError: somebody else holds the lock.
    """
    lock = FileLock(file)
    try:
        if unless_busy is None:
            lock.take()
        elif not lock.try_take():
            raise LocalServiceError(unless_busy)
        yield
    finally:
        lock.close()
