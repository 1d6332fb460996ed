"""Where an upload's files are read from: a local folder, or anything else that lists and reads files."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import IO, Protocol

from nachet_pipeline.errors import RefusedError, UsageError

_MAX_DEPTH = 30
"""Depth to which folders are read: the contract needs two levels, and each level holds a descriptor open."""

_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
"""Errors of opening an entry that vanished, or became a link or a pipe, after it was listed."""


class EntryKind(StrEnum):
    """What an entry of a folder is."""

    FILE = "file"
    SYMBOLIC_LINK = "symbolic link"
    HARD_LINK = "hard link"
    PIPE = "pipe"
    SOCKET = "socket"
    DEVICE = "device"
    DEEP_FOLDER = "deep folder"


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file of an upload.

    Attributes:
        path: relative to the upload, with `/` between its parts.
        size: in bytes.
        version: changes whenever the content does (a blob's ETag); reading pins it.
        modified: when it was last written.
        kind: only files are opened. A folder is listed itself only if it lies too deep to be read.
    """

    path: str
    size: int
    version: str
    modified: datetime
    kind: EntryKind = EntryKind.FILE

    @property
    def regular(self) -> bool:
        """Whether it is a file with content of its own, and no link, device, pipe or socket."""
        return self.kind is EntryKind.FILE


class FileChangedError(RefusedError):
    """A file is no longer what was listed: changed or deleted while the upload was read."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} changed or vanished while the upload was read")
        self.path = path


class SourceFolder(Protocol):
    """An upload's folder."""

    @property
    def name(self) -> str:
        """The folder's own name."""

    @property
    def staged(self) -> bool:
        """Whether it is staged: then the markers in it say whether it is complete, and which files belong to it."""

    def files(self) -> Iterator[StagedFile]:
        """All files below the folder, in a stable order."""

    def read(self, file: StagedFile) -> bytes:
        """The content of a file, exactly as it was listed.

        Raises:
            FileChangedError: it is no longer what was listed.
        """

    def start(self, file: StagedFile, size: int) -> bytes:
        """The first bytes of a file, which may be of any size.

        Raises:
            FileChangedError: it is no longer what was listed.
        """


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"


def _kind(status: os.stat_result) -> EntryKind:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return EntryKind.FILE if status.st_nlink <= 1 else EntryKind.HARD_LINK
    if stat.S_ISLNK(mode):
        return EntryKind.SYMBOLIC_LINK
    if stat.S_ISFIFO(mode):
        return EntryKind.PIPE
    return EntryKind.SOCKET if stat.S_ISSOCK(mode) else EntryKind.DEVICE


@contextmanager
def _opened(name: str | Path, path: str, flags: int, within: int | None = None) -> Iterator[int]:
    """A descriptor of an entry, opened relative to the folder it lies in.

    Args:
        name: the entry's name in its folder.
        path: the entry as messages name it, relative to the upload.
        flags: how to open it.
        within: descriptor of its folder.

    Raises:
        FileChangedError: it vanished, or is no longer of its kind.
        OSError: this account may not open it, or too much is open already.
    """
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=within)
    except OSError as error:
        if error.errno in _GONE and within is not None:
            raise FileChangedError(path) from error
        raise type(error)(error.errno, error.strerror, path) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


_FOLDER = os.O_DIRECTORY
_NO_FOLLOW = os.O_NOFOLLOW


class LocalFolder:
    """A folder on this machine's disk.

    Links and special files are listed, and never followed or opened. Each part of a path is opened relative to the
    folder before it, so exchanging a folder for a link cannot lead out of the upload.
    """

    staged = False

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.root.resolve().name

    def files(self) -> Iterator[StagedFile]:
        """All files below the folder, sorted by path within each folder.

        Raises:
            FileChangedError: an entry vanished while the folder was listed.
            OSError: this account may not look into the folder, or one in it; its `filename` says which.
        """
        with _opened(self.root, str(self.root), _FOLDER) as root:
            yield from self._below(root, "", 1)

    def _below(self, folder: int, prefix: str, depth: int) -> Iterator[StagedFile]:
        for name in sorted(os.listdir(folder)):
            path = f"{prefix}{name}"
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError as error:
                raise FileChangedError(path) from error
            if not stat.S_ISDIR(status.st_mode):
                yield _staged(path, status, _kind(status))
            elif depth > _MAX_DEPTH:
                yield _staged(path, status, EntryKind.DEEP_FOLDER)
            else:
                with _opened(name, path, _FOLDER | _NO_FOLLOW, folder) as below:
                    yield from self._below(below, f"{path}/", depth + 1)

    def read(self, file: StagedFile) -> bytes:
        """The content of a file, exactly as it was listed.

        Raises:
            FileChangedError: it is no longer what was listed.
            OSError: this account may not read it; its `filename` says which.
        """
        with _opened(self.root, str(self.root), _FOLDER) as root:
            return self._read(root, file.path.split("/"), file, file.size)

    def start(self, file: StagedFile, size: int) -> bytes:
        """The first bytes of a file, which may be of any size.

        Raises:
            FileChangedError: it is no longer what was listed.
            OSError: this account may not read it; its `filename` says which.
        """
        with _opened(self.root, str(self.root), _FOLDER) as root:
            return self._read(root, file.path.split("/"), file, min(size, file.size))

    def _read(self, folder: int, parts: list[str], file: StagedFile, size: int) -> bytes:
        if len(parts) > 1:
            with _opened(parts[0], file.path, _FOLDER | _NO_FOLLOW, folder) as below:
                return self._read(below, parts[1:], file, size)
        # The check comes after opening: the entry may have been exchanged since it was listed.
        with _opened(parts[0], file.path, _NO_FOLLOW | os.O_NONBLOCK, folder) as descriptor:
            _check(descriptor, file)
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                content = stream.read(size if size < file.size else size + 1)
            _check(descriptor, file)
            if len(content) != size:
                raise FileChangedError(file.path)
            return content


class StreamFolder:
    """Files that a program holds, as a folder: their contents, or streams of bytes that can seek."""

    staged = False

    def __init__(self, name: str, streams: Mapping[str, bytes | IO[bytes]]) -> None:
        """Take the streams; they stay the caller's, and open.

        Args:
            name: the folder's name.
            streams: by path in the folder, with `/` between its parts. Each is read from its start.

        Raises:
            UsageError: one is closed, cannot seek, or is no stream of bytes; or a path is no text.
        """
        self._name = name
        if wrong := next((path for path in streams if not isinstance(path, str)), None):
            raise UsageError(f"{wrong!r}: expected the path of a file as a text")
        self._streams = dict(sorted(streams.items()))
        self._lock = Lock()
        now = datetime.now(UTC)
        self._files = [StagedFile(path, self._size(path), "", now) for path in self._streams]

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self._name

    def files(self) -> Iterator[StagedFile]:
        """All files, sorted by path."""
        return iter(self._files)

    def read(self, file: StagedFile) -> bytes:
        """The content of a file.

        Raises:
            FileChangedError: it has another size than before.
        """
        return self._read(file, file.size)

    def start(self, file: StagedFile, size: int) -> bytes:
        """The first bytes of a file, which may be of any size.

        Raises:
            FileChangedError: it has fewer bytes than before.
        """
        return self._read(file, min(size, file.size))

    def _size(self, path: str) -> int:
        stream = self._streams[path]
        if isinstance(stream, bytes):
            return len(stream)
        try:
            if stream.seekable() and stream.read(0) == b"":  # a stream of text reads text
                return stream.seek(0, os.SEEK_END)
        except (AttributeError, ValueError):  # it is something else, or closed
            pass
        raise UsageError(f"{path}: expected bytes, or an open stream of bytes that can seek, such as an open file")

    def _read(self, file: StagedFile, size: int) -> bytes:
        stream = self._streams[file.path]
        wanted = size if size < file.size else size + 1
        if isinstance(stream, bytes):
            return stream[:wanted]
        parts, left = [], wanted
        with self._lock:  # two paths may have one stream
            stream.seek(0)
            while left and (part := stream.read(left)):  # it may give less at a time
                parts.append(part)
                left -= len(part)
        content = b"".join(parts)
        if len(content) != size:
            raise FileChangedError(file.path)
        return content


def _staged(path: str, status: os.stat_result, kind: EntryKind) -> StagedFile:
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return StagedFile(path, status.st_size, _version(status), modified, kind)


def _check(descriptor: int, file: StagedFile) -> None:
    status = os.fstat(descriptor)
    if _kind(status) is not EntryKind.FILE or _version(status) != file.version:
        raise FileChangedError(file.path)
