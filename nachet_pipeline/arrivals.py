"""Which staged folders are due for a run: what the sensor asks at every tick.

The decision rests on what is staged and what the database knows, never on a cursor or on Dagster's partitions. A
tick lists the top of each user's container, then only folders that are new, unfinished or due for another look.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from pydantic import ValidationError

from nachet_pipeline.contract.folder import FileChangedError
from nachet_pipeline.contract.inventory import FileKind, Inventory
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.receipt import Receipt
from nachet_pipeline.contract.sessions import Owner, read_sessions
from nachet_pipeline.contract.structure import Shape, take_inventory
from nachet_pipeline.database.connection import Database
from nachet_pipeline.database.uploads import (
    Upload,
    abandoned_uploads,
    mark_checked,
    mark_queued,
    pending_folders,
    see_upload,
    settled_uploads,
    still_as,
    uploads_with_receipt,
)
from nachet_pipeline.database.users import User, all_users
from nachet_pipeline.importing import fail_upload, refuse_disabled, write_receipt
from nachet_pipeline.limits import contract_limits
from nachet_pipeline.settings import ImportSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.storage.naming import TEMPLATE_FOLDER, receipt_blob
from nachet_pipeline.storage.staged_folder import StagedFolder

log = logging.getLogger(__name__)

LOOKS_PER_TICK = 1_000
"""Folders whose files are listed in one tick, at most: the next tick goes on."""

SECOND_LOOKS_PER_USER = 20
"""Refused folders, and as many imported ones, that are looked at again in one tick in case they were corrected."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a folder looked like.

    Attributes:
        digest: of names, sizes and versions.
        files: number of files.
        size: their bytes.
        complete: whether it can be imported.
        reason: why it can, or what it waits for.
    """

    digest: str
    files: int
    size: int
    complete: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """A folder that is due for a run."""

    upload: Upload
    look: Look

    @property
    def key(self) -> str:
        """Names this content of this upload at this attempt: a run that was asked for once is not asked for twice.

        The last request is part of it: Dagster would take one that is made again, because its run came to nothing,
        for the same.
        """
        upload = self.upload
        return f"{upload.id}:{self.look.digest}:{upload.attempts}:{upload.run_id or ''}:{upload.queued_at or ''}"


def look_at(folder: StagedFolder, settings: ImportSettings, now: datetime | None = None) -> Look:
    """Look at a staged folder without reading more than its indexes.

    It is complete with a `_COMPLETE` marker, when its declared pictures are all there and settled, or when it has
    been quiet for long; what is missing then is an error to be told, not a reason to wait.
    """
    limits = contract_limits(settings)
    with Inventory() as inventory:
        shape = take_inventory(folder, inventory, limits)
        files, size = inventory.total()
        complete, reason = _completeness(folder, inventory, shape, settings, limits, now or datetime.now(UTC))
        return Look(inventory.digest(), files, size, complete, reason)


def _completeness(
    folder: StagedFolder,
    inventory: Inventory,
    shape: Shape | None,
    settings: ImportSettings,
    limits: ContractLimits,
    now: datetime,
) -> tuple[bool, str]:
    newest = inventory.newest()
    if newest is None:
        return False, "it is empty"
    if next(inventory.files(FileKind.MARKER), None):
        return True, "it is marked as complete"
    still = now - newest
    if still >= timedelta(seconds=settings.quiet_seconds):
        return True, f"nothing in it changed for {settings.quiet_seconds} s"
    if still < timedelta(seconds=settings.settle_seconds):
        return False, "it is changing"
    try:
        _, sessions = read_sessions(folder, inventory, shape, limits)
    except FileChangedError:
        return False, "it is changing"
    for session in sessions:
        declared = session.number("imageData.numberOfImages")
        if declared is None:
            return False, f"{session.path or 'it'} does not declare its number of pictures"
        if session.pictures < declared:
            return False, f"{session.path or 'it'} holds {session.pictures} of {declared} pictures"
    return bool(sessions), "its declared pictures are all there" if sessions else "it holds no session"


def due_uploads(
    database: Database, blobs: BlobStorage, settings: ImportSettings, now: datetime | None = None
) -> Iterator[Arrival]:
    """The folders that are due for a run.

    On the way, receipts that are missing beside their folders are written again.

    Raises:
        StorageError: storage does not answer.
        DatabaseError: the database does not answer.
    """
    moment = now or datetime.now(UTC)
    with database.connection() as connection:
        users = list(all_users(connection))
    unchanged = []
    candidates = _in_turn(_candidates(database, blobs, user) for user in users)
    for candidate in islice(candidates, LOOKS_PER_TICK):
        user, folder = candidate.user, candidate.folder
        look = look_at(StagedFolder(blobs, user.upload_container, folder), settings, moment)
        with database.connection() as connection:
            upload = candidate.known or see_upload(connection, Owner(user.id, user.email), folder)
            # Asked after the look: a folder that was being cleared then is not one that its user changed.
            cleared = candidate.done_with and not still_as(connection, upload)
        if candidate.done_with and not cleared:
            _renew_receipt(blobs, upload)
        if look.complete and not cleared and not (candidate.done_with and look.digest == upload.staged_digest):
            yield Arrival(upload, look)
        else:
            unchanged.append(upload.id)
    with database.connection() as connection:
        mark_checked(connection, unchanged)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A folder worth a look; one that is done with is due only if it changed."""

    user: User
    folder: str
    known: Upload | None
    done_with: bool


def _candidates(database: Database, blobs: BlobStorage, user: User) -> Iterator[_Candidate]:
    try:
        top = blobs.top_level(user.upload_container)
    except StorageError as error:
        if blobs.container_exists(user.upload_container):
            raise
        # One user's trouble must not keep the others waiting.
        log.warning("the folders of %s cannot be listed; register the user again: %s", user.email, error)
        return
    beside = {blob.name for blob in top.blobs}
    folders = [name for name in top.folders if name.casefold() != TEMPLATE_FOLDER]
    _restore_receipts(database, blobs, user, [name for name in folders if receipt_blob(name) not in beside])
    with database.connection() as connection:
        pending = pending_folders(connection, user.id, folders)
        again = settled_uploads(connection, user.id, folders, limit=SECOND_LOOKS_PER_USER)
    if user.disabled_at is not None:
        _refuse(database, blobs, user, pending)
        return
    yield from (_Candidate(user, name, known, done_with=False) for name, known in pending.items())
    yield from (_Candidate(user, upload.folder, upload, done_with=True) for upload in again)


def _refuse(database: Database, blobs: BlobStorage, user: User, pending: Mapping[str, Upload | None]) -> None:
    """Say in their receipts why folders of a disabled user are not imported; they need no run for that."""
    for folder, known in islice(pending.items(), LOOKS_PER_TICK):
        with database.connection() as connection:
            upload = known or see_upload(connection, Owner(user.id, user.email), folder)
        write_receipt(blobs, upload, refuse_disabled(database, upload))


def _in_turn(queues: Iterable[Iterator[_Candidate]]) -> Iterator[_Candidate]:
    """One of each queue, then the next of each: a user with thousands of folders keeps nobody else waiting."""
    waiting = deque(queues)
    while waiting:
        queue = waiting.popleft()
        for item in islice(queue, 1):
            yield item
            waiting.append(queue)


def _restore_receipts(database: Database, blobs: BlobStorage, user: User, folders: Sequence[str]) -> None:
    with database.connection() as connection:
        uploads = uploads_with_receipt(connection, user.id, folders)
    for upload in uploads:
        if upload.receipt:
            write_receipt(blobs, upload, upload.receipt)


def _renew_receipt(blobs: BlobStorage, upload: Upload) -> None:
    """Write the receipt beside a folder again if it is not the one that the database has.

    A process that was killed after its import and before its receipt leaves that of an earlier import there.
    """
    if upload.receipt is None:
        return
    try:
        beside = Receipt.model_validate_json(blobs.read(upload.staging_container, receipt_blob(upload.folder)))
    except (FileChangedError, ValidationError):
        beside = None
    if beside != upload.receipt:
        write_receipt(blobs, upload, upload.receipt)


def queue(database: Database, arrivals: Sequence[Arrival]) -> str:
    """Note that one run is asked for these uploads.

    Returns:
        The key of the request: the same uploads with the same content have the same.
    """
    batch = hashlib.sha256("\n".join(arrival.key for arrival in arrivals).encode()).hexdigest()[:16]
    with database.connection() as connection:
        for arrival in arrivals:
            mark_queued(connection, arrival.upload.id, batch, arrival.look.digest)
    return batch


def fail_abandoned(database: Database, blobs: BlobStorage) -> list[Upload]:
    """Write the receipts of uploads whose process died, so that they are tried again.

    Returns:
        Those uploads.
    """
    with database.connection() as connection:
        abandoned = abandoned_uploads(connection)
    for upload in abandoned:
        fail_upload(database, blobs, upload, "the process that imported it ended before it was done")
    return abandoned
