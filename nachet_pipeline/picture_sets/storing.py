"""Storing a validated upload's pictures: the step that the UI calls `stored_pictures`."""

import hashlib
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

from nachet_pipeline.contract.inventory import Inventory, PictureRecord
from nachet_pipeline.contract.manifest import ManifestSession, manifest_lines, picture_identifier
from nachet_pipeline.identifiers import manifest_blob, picture_blob
from nachet_pipeline.settings import Verification
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.bounded import bounded_map

log = logging.getLogger(__name__)

_COPIES = 2
"""Times a picture is copied, at most, whose copy turns out to be something else."""


class StoredBlobError(StorageError):
    """A stored blob is not the picture that was validated."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing did; every picture of it was verified.

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
    verification: Verification = "service",
    progress: Callable[[int], None] | None = None,
) -> Stored:
    """Copy a session's pictures into their user's container, byte for byte, on the server's side.

    Each copy is pinned to the version that was validated and creates its blob or leaves an equal one as it is, so
    that a repeated call completes an interrupted one. What is stored then is compared with what was validated; a copy
    of this call that went wrong is made once more, and what was there before is never touched.

    Args:
        blobs: the storage account.
        inventory: holds the pictures as validated.
        session: the session they belong to.
        staging: container they are staged in.
        folder: the staged folder; empty if the pictures' paths are those of their blobs.
        final: container they go to.
        concurrency: copies at a time.
        verification: whether the service's comparison of checksums is enough, or what is stored is read and
            hashed again.
        progress: told how many pictures are done.

    Raises:
        FileChangedError: a staged picture is no longer what was validated.
        StoredBlobError: storage holds something else under the picture's name.
        StorageError: storage does not answer.
        ValueError: the session has no owner.
    """
    picture_set = session.picture_set_id
    if picture_set is None:
        raise ValueError(f"session {session.path!r} has no owner, so it cannot be stored")

    def store(picture: PictureRecord) -> bool:
        identifier = picture_identifier(picture_set, picture)
        target = picture_blob(picture_set, identifier, picture.picture_format)
        source = (staging, f"{folder}/{picture.path}" if folder else picture.path)
        for copies_left in reversed(range(_COPIES)):
            created = blobs.copy(
                source,
                (final, target),
                version=picture.version,
                md5=picture.md5,
                metadata={"sha256": picture.sha256},
            )
            if created and verification == "service":
                break  # it compared the MD5 with what it copied, and its answer was compared too
            try:
                _verify(blobs, final, target, picture, verification)
            except StoredBlobError as error:
                # No row points at a blob that was made just now; one that was there before may have a row.
                if not created or not copies_left:
                    raise
                log.warning("%s; it is copied once more", error)
                blobs.delete(final, target)
            else:
                break
        return created

    pictures = new = 0
    validated = inventory.pictures(session.path, measured=False)
    for created in bounded_map(store, validated, workers=concurrency, name="store"):
        pictures += 1
        new += created
        if progress:
            progress(pictures)
    return Stored(pictures, session.size, new)


def _verify(blobs: BlobStorage, container: str, blob: str, picture: PictureRecord, verification: Verification) -> None:
    """Compare a stored blob with the picture that was validated.

    An MD5 that the service keeps was computed by it or came with the staged file; that of another file is a lie in
    either case.

    Raises:
        StoredBlobError: it is something else.
    """
    expected = f"{picture.size} bytes with SHA-256 {picture.sha256}"
    if verification == "read":
        read = blobs.checksum_of(container, blob)
        if read is None or (read.size, read.sha256) != (picture.size, picture.sha256):
            found = f"{read.size} bytes with SHA-256 {read.sha256}" if read else "nothing"
            raise StoredBlobError(_is_not(container, blob, picture, expected, found))
        return
    said = blobs.properties_of(container, blob)
    noted = said.metadata.get("sha256") if said else None
    if said is None or (said.size, noted) != (picture.size, picture.sha256) or said.md5 not in {None, picture.md5}:
        found = f"{said.size} bytes with SHA-256 {noted}, MD5 {said.md5}" if said else "nothing"
        raise StoredBlobError(_is_not(container, blob, picture, f"{expected}, MD5 {picture.md5}", found))


def _is_not(container: str, blob: str, picture: PictureRecord, expected: str, found: str) -> str:
    return f"{container}/{blob} is not the picture {picture.path}: expected {expected}, found {found}"


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
