"""Which staged folders are due for a run: what the sensor asks at every tick.

The decision rests on what is staged and what the database knows, never on a cursor or on Dagster's partitions. A
tick lists the top of each user's container, then only folders that are new, unfinished or due for another look. Pages
of listings are compared with the database one by one, so that memory does not grow with what is staged.
"""

import hashlib
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import nlargest, nsmallest
from itertools import islice, zip_longest
from uuid import UUID

from pydantic import ValidationError

from nachet_pipeline.batches import batched
from nachet_pipeline.contract.folder import FileChangedError
from nachet_pipeline.contract.inventory import FileKind, Inventory
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.sessions import Owner, read_sessions
from nachet_pipeline.contract.structure import Shape, take_inventory
from nachet_pipeline.database.connection import Database
from nachet_pipeline.database.uploads import (
    FolderName,
    PendingFolder,
    SettledUpload,
    Upload,
    abandoned_uploads,
    mark_checked,
    mark_queued,
    pending_folders,
    see_upload,
    see_uploads,
    settled_uploads,
    unchanged_since_read,
    uploads_with_receipt,
)
from nachet_pipeline.database.users import User, all_users
from nachet_pipeline.importing import fail_upload, refuse_disabled, write_receipt
from nachet_pipeline.limits import contract_limits
from nachet_pipeline.settings import ImportSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.storage.container_top import TopPage
from nachet_pipeline.storage.naming import TEMPLATE_FOLDER, receipt_blob
from nachet_pipeline.storage.staged_folder import StagedFolder

log = logging.getLogger(__name__)

LOOKS_PER_TICK = 1_000
"""Folders whose files are listed in one tick, at most: the next tick goes on."""

LISTING_SECONDS = 1.0
"""Seconds into a tick after which no more pages of containers are read: the next tick goes on there."""

LOOKING_SECONDS = 30
"""After so long in one tick no more first looks are begun: Dagster ends a tick that takes a minute."""

SECOND_LOOKS = 50
"""Refused folders, and as many imported ones, of all users together, that are looked at again in one tick at most, in
case they were corrected."""

SECOND_LOOKS_UNTIL = 1.0
"""Seconds into a tick after which no more second looks are begun, but for the first few."""

_AT_A_TIME = 8
_LOOKS_BETWEEN_STATEMENTS = 64
_SECOND_LOOKS_BETWEEN_STATEMENTS = 4
_FOLDERS_BETWEEN_STATEMENTS = 5_000


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


@dataclass(slots=True)
class Listing:
    """Where a tick begins to list, and after it where the next one goes on; empty: at the very beginning.

    With a few thousand folders every tick lists all of them. What is due does not depend on it: a tick that begins
    elsewhere sees other folders, and all have been seen after some.

    Attributes:
        place: the identifier of the user whose container comes next and, after a colon, the page of it.
    """

    place: str = ""

    def begin(self, users: Iterable[User]) -> Iterator[tuple[User, str]]:
        """The users whose containers are to be listed, in order, each with the page to begin with."""
        identifier, _, page = self.place.partition(":")
        for user in sorted(users, key=lambda one: one.id):
            if str(user.id) >= identifier:
                yield user, page if str(user.id) == identifier else ""

    def go_on(self, rest: Sequence[tuple[User, str, Sequence[str]]]) -> None:
        """Note what was not read; what was read beyond the first of it is read once more."""
        user, page, _ = min(rest, key=lambda one: one[0].id, default=(None, "", ()))
        self.place = f"{user.id}:{page}" if user else ""


def due_uploads(
    database: Database,
    blobs: BlobStorage,
    settings: ImportSettings,
    now: datetime | None = None,
    listing: Listing | None = None,
) -> Iterator[Arrival]:
    """The folders that are due for a run.

    On the way, receipts that are missing beside their folders are written again.

    Args:
        database: knows the uploads.
        blobs: where folders are staged.
        settings: when a folder is complete.
        now: the time, if it is to be another one.
        listing: where to begin, if there are more folders than one tick lists; says afterwards where to go on.

    Raises:
        StorageError: storage does not answer.
        DatabaseError: the database does not answer.
    """
    moment, begin = now or datetime.now(UTC), time.monotonic()

    def look(candidate: _Candidate) -> Look:
        folder = StagedFolder(blobs, candidate.user.upload_container, candidate.folder)
        return look_at(folder, settings, moment)

    with database.connection() as connection:
        users = list(all_users(connection))
    with ThreadPoolExecutor(_AT_A_TIME) as executor:
        worth = _Worth({user.id: user for user in users}, SECOND_LOOKS)
        for staged in _staged(executor, blobs, users, listing or Listing(), begin + LISTING_SECONDS):
            _compare(database, blobs, staged, worth)
        for candidates in batched(islice(worth.pending(database, blobs), LOOKS_PER_TICK), _LOOKS_BETWEEN_STATEMENTS):
            yield from _first_looks(database, candidates, list(executor.map(look, candidates)))
            if time.monotonic() - begin > LOOKING_SECONDS:
                log.warning("looking at staged folders takes long; the next tick goes on")
                break
        for candidates in batched(worth.settled(), _SECOND_LOOKS_BETWEEN_STATEMENTS):
            yield from _second_looks(database, blobs, executor, candidates, list(executor.map(look, candidates)))
            if time.monotonic() - begin > SECOND_LOOKS_UNTIL:
                break


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A folder worth a look."""

    user: User
    folder: str
    known: Upload | None


@dataclass(frozen=True, slots=True)
class _Staged:
    """Folders at the top of containers, and those of them that have no receipt beside them."""

    folders: list[FolderName]
    bare: list[FolderName]


class _Worth:
    """Folders worth a look, found a page at a time; of each user as many as a tick could look at, at most."""

    def __init__(self, users: Mapping[UUID, User], second_looks: int) -> None:
        self.users = users
        self._second_looks = second_looks
        self._pending: dict[UUID, list[PendingFolder]] = {}
        self._refused: list[SettledUpload] = []
        self._imported: list[SettledUpload] = []

    def add_pending(self, found: Iterable[PendingFolder]) -> None:
        for one in found:
            self._pending.setdefault(one.name.owner, []).append(one)
        for owner, folders in self._pending.items():
            if len(folders) > LOOKS_PER_TICK:
                self._pending[owner] = nsmallest(LOOKS_PER_TICK, folders, key=_longest_ago_first)

    def add_settled(self, found: Iterable[SettledUpload]) -> None:
        for one in found:
            (self._imported if one.upload.state is State.IMPORTED else self._refused).append(one)
        self._refused, self._imported = (
            nlargest(self._second_looks, settled, key=lambda one: one.overdue)
            for settled in (self._refused, self._imported)
        )

    def pending(self, database: Database, blobs: BlobStorage) -> Iterator[_Candidate]:
        """Folders that may be waiting for a run, one of each user, then the next of each.

        So a user with thousands of folders keeps nobody else waiting. Those of a disabled user are refused meanwhile.
        """
        queues = []
        for owner, folders in self._pending.items():
            user = self.users[owner]
            waiting = sorted(folders, key=_longest_ago_first)
            if user.disabled_at is not None:
                _refuse(database, blobs, waiting[:LOOKS_PER_TICK], Owner(user.id, user.email))
            else:
                queues.append([_Candidate(user, one.name.folder, one.known) for one in waiting])
        for turn in zip_longest(*queues):
            yield from (candidate for candidate in turn if candidate)

    def settled(self) -> Iterator[_Candidate]:
        """Folders that are done with, a refused one and an imported one by turns."""
        for turn in zip_longest(self._refused, self._imported):
            for one in turn:
                if one:
                    yield _Candidate(self.users[one.upload.owner.id], one.upload.folder, one.upload)


def _longest_ago_first(folder: PendingFolder) -> tuple[datetime, str]:
    return folder.checked_at or datetime.min.replace(tzinfo=UTC), folder.name.folder


def _staged(
    executor: Executor, blobs: BlobStorage, users: Sequence[User], listing: Listing, until: float
) -> Iterator[_Staged]:
    """The folders in the containers of users, a few thousand at a time."""
    found = _Staged([], [])
    for user, page, before in _pages(executor, blobs, users, listing, until):
        # A receipt's name comes before its folder's, rarely on the page before.
        beside = {*before, *page.blobs}
        names = [FolderName(user.id, name) for name in page.folders if name.casefold() != TEMPLATE_FOLDER]
        found.folders.extend(names)
        found.bare.extend(name for name in names if receipt_blob(name.folder) not in beside)
        if len(found.folders) >= _FOLDERS_BETWEEN_STATEMENTS:
            yield found
            found = _Staged([], [])
    if found.folders:
        yield found


def _pages(
    executor: Executor, blobs: BlobStorage, users: Sequence[User], listing: Listing, until: float
) -> Iterator[tuple[User, TopPage, Sequence[str]]]:
    """The pages of the containers of users, several read at a time; each with the blobs of the page before it."""

    def read(user: User, after: str) -> TopPage | None:
        try:
            return blobs.top_page(user.upload_container, after)
        except StorageError as error:
            if blobs.container_exists(user.upload_container):
                raise
            # One user's trouble must not keep the others waiting.
            log.warning("the folders of %s cannot be listed; register the user again: %s", user.email, error)
            return None

    waiting: deque[tuple[User, str, Sequence[str]]] = deque((user, after, ()) for user, after in listing.begin(users))
    reading: deque[tuple[User, Sequence[str], Future[TopPage | None]]] = deque()
    first = True
    while reading or (waiting and (first or time.monotonic() < until)):
        while waiting and len(reading) < _AT_A_TIME and (first or time.monotonic() < until):
            user, after, before = waiting.popleft()
            reading.append((user, before, executor.submit(read, user, after)))
        first = False
        user, before, future = reading.popleft()
        if page := future.result():
            if page.next:
                waiting.appendleft((user, page.next, page.blobs))
            yield user, page, before
    listing.go_on(list(waiting))


def _compare(database: Database, blobs: BlobStorage, staged: _Staged, worth: _Worth) -> None:
    """Ask the database which of these folders are worth a look, and whose receipts are missing."""
    with database.connection() as connection:
        worth.add_pending(pending_folders(connection, staged.folders, limit=LOOKS_PER_TICK))
        worth.add_settled(settled_uploads(connection, staged.folders, limit=SECOND_LOOKS))
        missing = uploads_with_receipt(connection, staged.bare) if staged.bare else []
    for upload in missing:
        if upload.receipt:
            write_receipt(blobs, upload, upload.receipt)


def _first_looks(database: Database, candidates: Sequence[_Candidate], looks: Sequence[Look]) -> list[Arrival]:
    """Those that are due of folders that may be waiting for a run; the others are noted as looked at."""
    unseen = [FolderName(one.user.id, one.folder) for one in candidates if one.known is None]
    with database.connection() as connection:
        seen = iter(see_uploads(connection, unseen) if unseen else [])
        arrivals = [Arrival(one.known or next(seen), look) for one, look in zip(candidates, looks, strict=True)]
        mark_checked(connection, [arrival.upload.id for arrival in arrivals if not arrival.look.complete])
    return [arrival for arrival in arrivals if arrival.look.complete]


def _second_looks(
    database: Database,
    blobs: BlobStorage,
    executor: Executor,
    candidates: Sequence[_Candidate],
    looks: Sequence[Look],
) -> list[Arrival]:
    """Those that are due, because they changed, of folders that are done with; the others are noted as looked at."""
    arrivals = [Arrival(one.known, look) for one, look in zip(candidates, looks, strict=True) if one.known is not None]
    with database.connection() as connection:
        # Asked after the look: a folder that was being cleared then is not one that its user changed.
        still = unchanged_since_read(connection, [arrival.upload for arrival in arrivals])
    due = [
        arrival
        for arrival in arrivals
        if arrival.upload.id in still and arrival.look.complete and arrival.look.digest != arrival.upload.staged_digest
    ]
    uncleared = [arrival.upload for arrival in arrivals if arrival.upload.id in still]
    for _ in executor.map(partial(_renew_receipt, blobs), uncleared):
        pass
    changed = {arrival.upload.id for arrival in due}
    with database.connection() as connection:
        mark_checked(connection, [arrival.upload.id for arrival in arrivals if arrival.upload.id not in changed])
    return due


def _refuse(database: Database, blobs: BlobStorage, folders: Iterable[PendingFolder], owner: Owner) -> None:
    """Say in their receipts why folders of a disabled user are not imported; they need no run for that."""
    for folder in folders:
        with database.connection() as connection:
            upload = folder.known or see_upload(connection, owner, folder.name.folder)
        write_receipt(blobs, upload, refuse_disabled(database, upload))


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
        mark_queued(connection, batch, {arrival.upload.id: arrival.look.digest for arrival in arrivals})
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
