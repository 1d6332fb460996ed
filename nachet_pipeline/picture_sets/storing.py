"""Storing validated pictures with their manifest and descriptor: the step that the UI calls `stored_pictures`."""

import hashlib
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from nachet_pipeline.contract.inventory import Inventory, PictureRecord
from nachet_pipeline.contract.manifest import ManifestSession, manifest_lines, picture_identifier
from nachet_pipeline.identifiers import descriptor_blob, manifest_blob, picture_blob
from nachet_pipeline.picture_sets.records import Origin, PictureSetRecord, RecordedSet, picture_set_record
from nachet_pipeline.settings import TransferSettings, Verification
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.bounded import bounded_map
from nachet_pipeline.support.progress import silent

log = logging.getLogger(__name__)

_COPIES = 2
"""Times a picture is copied, at most, whose copy turns out to be something else."""


class StoredBlobError(StorageError):
    """A stored blob is not the picture that was validated."""


@dataclass(frozen=True, slots=True)
class StoredCounts:
    """What storing did; every picture of it was verified.

    Attributes:
        pictures: pictures that are stored now.
        size: their bytes.
        new: those of them that were not stored before.
    """

    pictures: int = 0
    size: int = 0
    new: int = 0

    def __add__(self, other: "StoredCounts") -> "StoredCounts":
        """Both together."""
        return StoredCounts(self.pictures + other.pictures, self.size + other.size, self.new + other.new)


def store_picture_set(
    blobs: BlobStorage,
    inventory: Inventory,
    session: ManifestSession,
    origin: Origin,
    transfer: TransferSettings,
    *,
    split: str | None = None,
    progress: Callable[[int], None] = silent,
) -> tuple[RecordedSet, StoredCounts]:
    """Store a session's pictures in their owner's container, with the manifest and the descriptor beside them.

    Of pictures that stay where they were found only the manifest is written.

    Args:
        blobs: the storage account.
        inventory: holds the pictures as validated.
        session: the session they belong to.
        origin: where they come from.
        transfer: how many are copied at a time, and how the copies are verified.
        split: the side that an earlier training had the pictures on.
        progress: receives how many pictures are done.

    Returns:
        The picture set to record, and what storing did.

    Raises:
        FileChangedError: a staged picture is no longer what was validated.
        StoredBlobError: storage holds something else under the picture's name.
        StorageError: storage does not answer.
        ValueError: the session has no owner, or names no registered seed.
    """
    picture_set = session.picture_set_id
    if picture_set is None:
        raise ValueError(f"session {session.path!r} has no owner, so it cannot be stored")
    counts = StoredCounts()
    if not origin.in_place:
        counts = _store_pictures(blobs, inventory, session, picture_set, origin, transfer, progress)
    manifest = _store_manifest(blobs, inventory, session, picture_set, origin.owner_container)
    record = picture_set_record(
        session, origin, split=split, manifest=manifest, rule_set_version=inventory.rule_set.version
    )
    if not origin.in_place:
        _store_descriptor(blobs, origin.owner_container, picture_set, record)
    return RecordedSet(session, record), counts


def _store_pictures(
    blobs: BlobStorage,
    inventory: Inventory,
    session: ManifestSession,
    picture_set: UUID,
    origin: Origin,
    transfer: TransferSettings,
    progress: Callable[[int], None],
) -> StoredCounts:
    """Copy a session's pictures into their owner's container, byte for byte, on the server's side."""
    concurrency = 2 * transfer.transfer_concurrency

    def store(picture: PictureRecord) -> bool:
        return _store_picture(blobs, picture, picture_set, origin, transfer.verify_stored)

    pictures = new = 0
    validated = inventory.pictures(session.path, measured=False)
    for created in bounded_map(store, validated, workers=concurrency, name="store"):
        pictures += 1
        new += created
        progress(pictures)
    return StoredCounts(pictures, session.size, new)


def _store_picture(
    blobs: BlobStorage, picture: PictureRecord, picture_set: UUID, origin: Origin, verification: Verification
) -> bool:
    """Copy a picture and verify the copy.

    The copy is pinned to the version that was validated and creates its blob or leaves an equal one as it is, so that
    a repeated call completes an interrupted one. A copy of this call that went wrong is made once more; a blob that
    was there before is never touched.

    Returns:
        Whether the blob is new.
    """
    identifier = picture_identifier(picture_set, picture)
    container, target = origin.owner_container, picture_blob(picture_set, identifier, picture.picture_format)
    source = (origin.container, f"{origin.folder}/{picture.path}" if origin.folder else picture.path)
    for copies_left in reversed(range(_COPIES)):
        created = blobs.copy(
            source, (container, target), version=picture.version, md5=picture.md5, metadata={"sha256": picture.sha256}
        )
        if created and verification == "service":
            break  # it compared the MD5 with what it copied, and its answer was compared too
        try:
            _verify(blobs, container, target, picture, verification)
        except StoredBlobError as error:
            # No row points at a blob that was made just now; one that was there before may have a row.
            if not created or not copies_left:
                raise
            log.warning("%s; it is copied once more", error)
            blobs.delete(container, target)
        else:
            break
    return created


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


def _store_manifest(
    blobs: BlobStorage, inventory: Inventory, session: ManifestSession, picture_set: UUID, container: str
) -> str:
    """Write a session's manifest beside its pictures.

    Returns:
        The name of its blob.
    """
    sha256 = hashlib.sha256()
    with tempfile.TemporaryFile() as stream:
        for line in manifest_lines(session, inventory):
            content = f"{line}\n".encode()
            stream.write(content)
            sha256.update(content)
        blob = manifest_blob(picture_set, sha256.hexdigest())
        blobs.upload(container, blob, stream, content_type="application/jsonl")
    return blob


def _store_descriptor(blobs: BlobStorage, container: str, picture_set: UUID, record: PictureSetRecord) -> None:
    """Write a picture set's descriptor beside its pictures; an equal one is left as it is."""
    content, blob = record.model_dump_json(indent=2).encode(), descriptor_blob(picture_set)
    new = blobs.upload(container, blob, content, content_type="application/json")
    if not new and blobs.read(container, blob) != content:
        blobs.upload(container, blob, content, content_type="application/json", overwrite=True)
