"""Copying a folder's blobs from one container to another, each verified, and removing what is verified elsewhere."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from nachet_pipeline.errors import RefusedError
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.bounded import bounded_map
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.support.progress import silent

_CONCURRENCY = 8
_TRIES = 2
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class FolderDamagedError(RefusedError):
    """A picture is not what its row says, or is missing; nothing was removed."""


class FolderBusyError(RefusedError):
    """Something is imported for the user right now."""


@dataclass(frozen=True, slots=True)
class Move:
    """A blob that is to be in another place: from where, under which name, and what it must be.

    Attributes:
        source: container and blob.
        target: container and blob.
        size: in bytes.
        sha256: in hexadecimal.
    """

    source: tuple[str, str]
    target: tuple[str, str]
    size: int
    sha256: str


def copy_verified(blobs: BlobStorage, moves: Iterable[Move], progress: Callable[[int], None] = silent) -> None:
    """Copy blobs on the server's side, and read each copy to its end; what is there already is only read.

    Args:
        blobs: the storage account.
        moves: what goes where.
        progress: called with how many are there.

    Raises:
        FolderDamagedError: one is missing, or is not what it must be, here or there.
        StorageError: storage does not answer.
    """
    for done, _ in enumerate(_at_once(lambda move: _copy(blobs, move), moves), start=1):
        progress(done)


def verify(blobs: BlobStorage, moves: Iterable[Move]) -> None:
    """Read the targets of moves; see `copy_verified`."""
    for move, right in _at_once(lambda move: (move, _is_right(blobs, move)), moves):
        if not right:
            raise FolderDamagedError(f"{'/'.join(move.target)} is not there any more as it was")


def _copy(blobs: BlobStorage, move: Move) -> None:
    for _ in range(_TRIES):
        copied = blobs.checksum_of(*move.target)
        if copied and (copied.size, copied.sha256) == (move.size, move.sha256):
            return
        if copied:
            # Nothing points at a copy that came out wrong: the rows point at its source.
            blobs.delete(*move.target, copied.version)
        found = blobs.properties_of(*move.source)
        if found is None or found.size != move.size:
            raise FolderDamagedError(f"{'/'.join(move.source)} is missing or of another size; nothing was removed")
        try:
            md5 = found.md5 or _md5(blobs.read(*move.source, found.version))
            blobs.copy(
                move.source,
                move.target,
                version=found.version,
                md5=md5,
                metadata=found.metadata | {"sha256": move.sha256},
            )
        except FileChangedError:
            raise FolderDamagedError(f"{'/'.join(move.source)} was changed meanwhile; nothing was removed") from None
    if not _is_right(blobs, move):
        raise FolderDamagedError(
            f"{'/'.join(move.source)} is not what was stored: expected SHA-256 {move.sha256}; nothing was removed"
        )


def _is_right(blobs: BlobStorage, move: Move) -> bool:
    found = blobs.checksum_of(*move.target)
    return found is not None and (found.size, found.sha256) == (move.size, move.sha256)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def descriptions(blobs: BlobStorage, picture_set: UUID, source: str, target: str) -> Iterable[Move]:
    """Moves of the descriptor and the manifests beside a folder's pictures, from one container to another."""
    for found in blobs.listing(source, f"{picture_set}/{picture_set}."):
        read = blobs.checksum_of(source, found.name)
        if read:
            yield Move((source, found.name), (target, found.name), read.size, read.sha256)


def remove_all(blobs: BlobStorage, container: str, picture_set: UUID) -> None:
    """Remove all blobs of a folder from one of the pipeline's own containers; the caller knows that no row needs them.

    Raises:
        StorageError: storage does not answer; another call goes on.
    """
    if not blobs.container_exists(container):
        return
    names = (found.name for found in blobs.listing(container, f"{picture_set}/"))
    deque(_at_once(lambda name: blobs.delete(container, name), names), maxlen=0)
    if any(True for _ in blobs.listing(container, f"{picture_set}/")):
        raise StorageError(f"Blob storage: {container}/{picture_set} is not empty after all in it was removed")


def _at_once(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterable[_Result]:
    return bounded_map(work, items, workers=_CONCURRENCY, name="folder")
