"""Where an upload's files are read from: a local folder, or anything else that lists and reads files."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file of an upload.

    Attributes:
        path: relative to the upload, with `/` between its parts.
        size: in bytes.
        version: changes whenever the content does (a blob's ETag); reading pins it.
        modified: when it was last written.
        regular: False for links, devices, pipes and sockets, which are never opened.
    """

    path: str
    size: int
    version: str
    modified: datetime
    regular: bool = True


class FileChangedError(Exception):
    """A file is no longer what was listed: changed or deleted while the upload was read."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} changed or vanished while the upload was read")
        self.path = path


class Folder(Protocol):
    """An upload's folder."""

    @property
    def name(self) -> str:
        """The folder's own name."""
        ...

    def files(self) -> Iterator[StagedFile]:
        """All files below the folder, in a stable order."""
        ...

    def read(self, file: StagedFile) -> bytes:
        """The content of a file, exactly as it was listed.

        Raises:
            FileChangedError: it is no longer what was listed.
        """
        ...


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"


class LocalFolder:
    """A folder on this machine's disk. Symbolic links and special files are listed, never followed or opened."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.root.resolve().name

    def files(self) -> Iterator[StagedFile]:
        """All files below the folder, sorted by path within each folder."""
        yield from self._below(self.root, "")

    def _below(self, folder: Path, prefix: str) -> Iterator[StagedFile]:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from self._below(Path(entry.path), f"{path}/")
                continue
            status = entry.stat(follow_symlinks=False)
            modified = datetime.fromtimestamp(status.st_mtime, UTC)
            yield StagedFile(path, status.st_size, _version(status), modified, stat.S_ISREG(status.st_mode))

    def read(self, file: StagedFile) -> bytes:
        """The content of a file, exactly as it was listed.

        Raises:
            FileChangedError: it is no longer what was listed.
        """
        try:
            # What is opened is looked at after opening: between listing and opening it may have been exchanged.
            descriptor = os.open(self.root / file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise FileChangedError(file.path) from error
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode) or _version(status) != file.version:
                raise FileChangedError(file.path)
            return stream.read()
