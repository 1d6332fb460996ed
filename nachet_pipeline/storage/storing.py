"""Storing a validated upload's pictures: the step that the UI calls `stored_pictures`."""

import hashlib
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nachet_pipeline.contract.inventory import Inventory, PictureRecord
from nachet_pipeline.contract.manifest import ManifestSession, manifest_lines, picture_name
from nachet_pipeline.lookahead import ahead
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.storage.naming import manifest_blob, picture_blob, picture_id


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing did.

    Attributes:
        pictures: pictures that are stored now.
        size: their bytes.
        new: those of them that were not stored before.
    """

    pictures: int
    size: int
    new: int


def store_pictures(
    blobs: BlobStorage,
    inventory: Inventory,
    session: ManifestSession,
    *,
    staging: str,
    folder: str,
    final: str,
    concurrency: int = 4,
    progress: Callable[[int], None] | None = None,
) -> Stored:
    """Copy a session's pictures into their user's container, byte for byte, on the server's side.

    Each copy is pinned to the version that was validated and creates its blob or leaves an equal one as it is, so
    that a repeated call completes an interrupted one.

    Args:
        blobs: the storage account.
        inventory: holds the pictures as validated.
        session: the session they belong to.
        staging: container they are staged in.
        folder: the staged folder; empty if the pictures' paths are those of their blobs.
        final: container they go to.
        concurrency: copies at a time.
        progress: told how many pictures are done.

    Raises:
        FileChangedError: a staged picture is no longer what was validated.
        StorageError: storage does not answer, or holds another picture under the same name.
        ValueError: the session has no owner.
    """
    picture_set = session.picture_set_id
    if picture_set is None:
        raise ValueError(f"session {session.path!r} has no owner, so it cannot be stored")

    def store(picture: PictureRecord) -> bool:
        identifier = picture_id(picture_set, picture_name(picture), picture.sha256)
        target = picture_blob(picture_set, identifier, picture.picture_format)
        created = blobs.copy(
            (staging, f"{folder}/{picture.path}" if folder else picture.path),
            (final, target),
            version=picture.version,
            md5=picture.md5,
            metadata={"sha256": picture.sha256},
        )
        if not created:
            _verify(blobs, final, target, picture)
        return created

    pictures = new = 0
    with ThreadPoolExecutor(concurrency, thread_name_prefix="store") as executor:
        try:
            tasks = (executor.submit(store, picture) for picture in inventory.pictures(session.path))
            for task in ahead(tasks, 2 * concurrency):
                pictures += 1
                new += task.result()
                if progress:
                    progress(pictures)
        except BaseException:
            executor.shutdown(wait=True, cancel_futures=True)
            raise
    return Stored(pictures, session.size, new)


def _verify(blobs: BlobStorage, container: str, blob: str, picture: PictureRecord) -> None:
    found = blobs.metadata_of(container, blob)
    if found != (picture.size, {"sha256": picture.sha256}):
        raise StorageError(
            f"{container}/{blob} exists and is not the picture {picture.path}: expected {picture.size} bytes with"
            f" SHA-256 {picture.sha256}, found {found}"
        )


def store_manifest(blobs: BlobStorage, inventory: Inventory, session: ManifestSession, *, final: str) -> str:
    """Write a session's manifest beside its pictures.

    Returns:
        The name of its blob.

    Raises:
        StorageError: storage does not answer.
        ValueError: the session has no owner.
    """
    if session.picture_set_id is None:
        raise ValueError(f"session {session.path!r} has no owner, so it cannot be stored")
    sha256 = hashlib.sha256()
    with tempfile.TemporaryFile() as stream:
        for line in manifest_lines(session, inventory):
            content = f"{line}\n".encode()
            stream.write(content)
            sha256.update(content)
        blob = manifest_blob(session.picture_set_id, sha256.hexdigest())
        blobs.upload(final, blob, stream, content_type="application/jsonl")
    return blob
