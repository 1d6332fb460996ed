"""Finds the staged folders that are due for a run: what the sensor asks at every tick.

The decision depends on what is staged and what the database knows, never on a cursor or on Dagster's partitions. A tick
lists the tops of users' containers, and then only folders that are new, unfinished or due for another look. Containers
in which something moves are listed at every tick, the others in turn. Pages of listings are compared with the database
one by one, so that memory does not grow with the number of staged folders.

No user can block another: pages of containers and looks at folders take turns among users; a look has a limit of names
and of time and goes on in the next tick; a folder that cannot be listed or read fails alone.
"""

import hashlib
import json
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from heapq import nlargest, nsmallest
from itertools import islice, zip_longest
from math import ceil, inf
from threading import Lock
from typing import Self
from uuid import UUID

from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.marks import Mark
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.sessions import Owner, read_sessions
from nachet_pipeline.contract.structure import Shape, taking_inventory
from nachet_pipeline.contract.submission import computing_submission
from nachet_pipeline.database.connection import Database
from nachet_pipeline.identifiers import TEMPLATE_FOLDER, receipt_blob
from nachet_pipeline.settings import ArrivalSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError, TopPage
from nachet_pipeline.support.batches import batched
from nachet_pipeline.support.files import FileChangedError, SourceFolder, StagedFile
from nachet_pipeline.uploads.importing import (
    fail_upload,
    read_receipt,
    refuse_disabled,
    withdraw_upload,
    write_outcome,
    write_receipt,
)
from nachet_pipeline.uploads.queries import (
    FolderName,
    PendingFolder,
    SettledUpload,
    abandoned_uploads,
    active_owners,
    mark_checked,
    mark_queued,
    pending_folders,
    see_upload,
    see_uploads,
    settled_uploads,
    unchanged_since_read,
    uploads_with_receipt,
)
from nachet_pipeline.uploads.staged_folder import StagedFolder
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.queries import all_users
from nachet_pipeline.users.user import User

log = logging.getLogger(__name__)

LOOKS_PER_TICK = 1_000
"""Folders whose files are listed in one tick, at most; the next tick goes on."""

LISTING_SECONDS = 0.5
"""Seconds into a tick after which no more pages of containers are read; the next tick goes on there."""

ACTIVE_MINUTES = 60
"""A user is active who has an unfinished folder, or one whose state changed within this time. The containers of active
users are listed at every tick."""

QUIET_NAMES = 10_000
"""Names in containers of users who are not active that one tick lists, about; the next one goes on."""

NAMES_A_REQUEST = 1_000
"""A request costs as much as so many names, and counts as so many at least."""

QUIET_TICKS = 3
"""The container of a user who is not active is listed once in so many ticks, because each request costs money."""

MOST_QUIET_TICKS = 6
"""If there are many users, each container has a page listed once in so many ticks, whatever `QUIET_NAMES` says."""

LOOKING_SECONDS = 30
"""Seconds into a tick after which no more first looks are begun, because Dagster ends a tick after a minute."""

SECOND_LOOKS = 10
"""Refused folders, and as many imported ones, of all users together, that are looked at again in one tick at most,
because they may have been corrected."""

FIRST_SECOND_LOOKS = 50
"""The same in the first tick, which has no place to begin at, as after an operator reset the sensor's cursor."""

SECOND_LOOKS_UNTIL = 1.0
"""Seconds into a tick after which no more second looks are begun, except the first few."""

LOOK_NAMES = 10_000
"""Files, and lines of its list, that a look handles in one turn; it goes on after other folders or in the next tick."""

LARGE_SECONDS = 10.0
"""Seconds into a tick after which unfinished looks do not go on; the next tick does."""

LARGE_LOOKS = 4
"""Unfinished looks that are kept from tick to tick, at most one of each user: each has a temporary file."""

MOST_FILES = 5_000_000
"""A folder of more files fails: the temporary file of a look at it takes 2 GB."""

MOST_SESSIONS = 2_000
"""The sensor does not read the indexes of a folder with more sessions."""

INDEX_SECONDS = 3.0
"""Seconds after which the sensor stops to read the indexes of a folder."""

MOST_NAME_BYTES = 1_000
"""A folder with a longer name is ignored, because the service does not accept the name of its receipt."""

MISSING_RECEIPTS = 50
"""Receipts that are missing beside their folders and are written again in one go, of each user, at most."""

_FORGOTTEN_SECONDS = 1_800
_RECEIPT_BYTES = 65_536
_AT_A_TIME = 8
_LOOKS_BETWEEN_STATEMENTS = 64
_SECOND_LOOKS_BETWEEN_STATEMENTS = 2
_FOLDERS_BETWEEN_STATEMENTS = 5_000


@dataclass(frozen=True, slots=True)
class FolderSnapshot:
    """The state of a folder at one time.

    Attributes:
        digest: identifies what was sent; see `submission_of`.
        files: number of files.
        size: their bytes.
        complete: whether it can be imported.
        reason: why it is complete, or what it waits for.
        withdrawn: whether its user withdrew it; then it is not complete.
        newest: when it last changed, by the storage service's clock; None if nothing is there.
    """

    digest: str
    files: int
    size: int
    complete: bool
    reason: str
    withdrawn: bool = False
    newest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A folder that is due for a run."""

    upload: Upload
    snapshot: FolderSnapshot

    @property
    def key(self) -> str:
        """Identifies this content of this upload at this attempt, so that a run is not requested twice.

        The time of the last request is part of it. Otherwise Dagster would drop a repeated request as a duplicate.
        """
        upload = self.upload
        return f"{upload.id}:{self.snapshot.digest}:{upload.attempts}:{upload.run_id or ''}:{upload.queued_at or ''}"


def take_snapshot(
    folder: SourceFolder, settings: ArrivalSettings, limits: ContractLimits, now: datetime | None = None
) -> FolderSnapshot:
    """Look at a staged folder without reading more than its indexes.

    It is complete if it has a `_COMPLETE` marker, if all its declared pictures are there and settled, or if it has not
    changed for long; what is missing then is an error to report and no reason to wait. A withdrawn one is not complete.
    """
    with _Looking(folder, settings, limits) as looking:
        looking.go_on()
        return looking.result(now or datetime.now(UTC))


class _Looking:
    """A look at a folder that can pause at any file; closing it removes its inventory."""

    def __init__(
        self, folder: SourceFolder, settings: ArrivalSettings, limits: ContractLimits, most: int | None = None
    ) -> None:
        self.folder = folder
        self._most = most
        self.since = time.monotonic()
        self._settings = settings
        self._limits = limits
        self._inventory = Inventory()
        self._shape: Shape | None = None
        self._digest = ""
        self._changing = False
        self._steps = self._take()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._steps.close()
        self._inventory.close()

    def use(self, blobs: BlobStorage) -> None:
        """Go on with these connections: a tick closes its own."""
        if isinstance(self.folder, StagedFolder):
            self.folder.blobs = blobs

    def _take(self) -> Generator[int]:
        folder = _Bounded(self.folder, files=self._most)
        try:
            self._shape = yield from taking_inventory(folder, self._inventory, self._limits)
        except FileChangedError:  # its marker, which is read
            self._changing = True
            return
        self._digest = yield from computing_submission(self._inventory)

    def go_on(self, *, names: int | None = None, until: float | None = None) -> bool:
        """Handle more files, at most `names` and until a time of the monotonic clock; returns whether all are done.

        Raises:
            StorageError: storage does not answer, or cannot list the folder.
            _TooManyFilesError: it holds too many files.
        """
        handled, before = 0, None
        for gone_through in self._steps:
            # Computing the submission counts from the beginning again.
            handled += max(0, gone_through - (gone_through if before is None else before))
            before = gone_through
            enough = names is not None and handled >= names
            if enough or (until is not None and time.monotonic() > until):
                return False
        return True

    def result(self, now: datetime, *, index_seconds: float | None = None) -> FolderSnapshot:
        """The snapshot of the folder, once it is listed completely."""
        files, size = self._inventory.total()
        complete, reason = self._completeness(now, index_seconds)
        withdrawn = self._inventory.mark is Mark.WITHDRAWN and not self._changing
        return FolderSnapshot(self._digest, files, size, complete, reason, withdrawn, self._inventory.newest())

    def _completeness(self, now: datetime, index_seconds: float | None) -> tuple[bool, str]:
        inventory, settings = self._inventory, self._settings
        newest = inventory.newest()
        if self._changing:
            return False, "it is changing"
        if newest is None:
            return False, "it is empty"
        still = now - newest
        quiet = still >= timedelta(seconds=settings.quiet_seconds)
        if inventory.mark is not Mark.NONE:
            return _marked(inventory.mark, quiet=quiet)
        if quiet:
            return True, f"nothing in it changed for {settings.quiet_seconds} s"
        if still < timedelta(seconds=settings.settle_seconds):
            return False, "it is changing"
        unread = f"it has too many indexes to read them all; it waits for its marker or for {settings.quiet_seconds} s"
        if inventory.session_count() > MOST_SESSIONS:
            return False, unread
        try:
            folder = _Bounded(self.folder, seconds=index_seconds)
            _, sessions = read_sessions(folder, inventory, self._shape, self._limits)
        except FileChangedError:
            return False, "it is changing"
        except _HurryError:
            return False, unread
        for session in sessions:
            declared = session.number("imageData.numberOfImages")
            if declared is None:
                return False, f"{session.path or 'it'} does not declare its number of pictures"
            if session.pictures + session.others < declared:
                return False, f"{session.path or 'it'} holds {session.pictures} of {declared} pictures"
        return bool(sessions), "its declared pictures are all there" if sessions else "it holds no session"


def _marked(mark: Mark, *, quiet: bool) -> tuple[bool, str]:
    """Whether a folder with a marker is complete, and why."""
    if mark is Mark.STAGING:  # once it is quiet, an import says in its receipt what to do
        return quiet, "its staging was interrupted" if quiet else "it is being staged"
    if mark is Mark.WITHDRAWN:
        return False, "its user withdrew it"
    return True, "it is marked as complete"


class _TooManyFilesError(Exception):
    """A folder holds more files than a look at it may find."""


class _HurryError(Exception):
    """Reading a folder's indexes takes too long."""


class _Bounded:
    """A folder that lists at most so many files, and reads files for at most so many seconds."""

    staged = True

    def __init__(self, folder: SourceFolder, *, files: int | None = None, seconds: float | None = None) -> None:
        self.listed = 0
        self._folder = folder
        self._files = files
        self._until = None if seconds is None else time.monotonic() + seconds

    @property
    def name(self) -> str:
        return self._folder.name

    def files(self) -> Iterator[StagedFile]:
        for file in self._folder.files():
            self.listed += 1
            if self._files is not None and self.listed > self._files:
                raise _TooManyFilesError(f"it holds more than {self._files:,} files")
            yield file

    def read(self, file: StagedFile) -> bytes:
        if self._until is not None and time.monotonic() > self._until:
            raise _HurryError
        return self._folder.read(file)

    def start(self, file: StagedFile, size: int) -> bytes:
        return self._folder.start(file, size)


@dataclass(slots=True)
class Listing:
    """Where a tick begins to list, and afterwards where the next one goes on; empty at the very beginning.

    The first tick lists as much as its time allows. Of users who are not active the others list a part, in turn.

    Attributes:
        place: JSON with the active user and the `quiet` one whose containers come `first`, by user the next of the
            `pages` of containers that were not listed to their end, and `turn`, whether a quiet user's is next.
    """

    place: str = ""

    @property
    def ended(self) -> bool:
        """Whether the last tick listed all containers to their ends."""
        return bool(self.place) and not {"first", "quiet"} & json.loads(self.place).keys()

    def begin(self, users: Iterable[User], active: Collection[UUID]) -> "_Waiting":
        """The containers to list, in order, each with the page to begin with."""
        first, quiet, pages, turn = "", "", {}, False
        try:
            saved = json.loads(self.place or "{}")
            first, quiet, turn = str(saved.get("first", "")), str(saved.get("quiet", "")), bool(saved.get("turn"))
            pages = {str(user): str(at) for user, at in saved["pages"].items()}
        except (ValueError, KeyError, AttributeError):  # empty, or of another version: list all
            pass
        waiting = _Waiting(deque(), deque(), quiet_is_next=turn)
        for user in sorted(users, key=lambda one: one.id):
            page = pages.get(str(user.id), "")
            waiting.of(_Container(user, page, None if page else (), user.id in active))
        for queue, begin in ((waiting.active, first), (waiting.quiet, quiet)):
            queue.rotate(-sum(str(one.user.id) < begin for one in queue))
        number = len(waiting.quiet)
        if self.place:
            waiting.requests = max(2, ceil(number / QUIET_TICKS))
            waiting.names = max(QUIET_NAMES, NAMES_A_REQUEST * ceil(number / MOST_QUIET_TICKS))
        return waiting

    def go_on(self, rest: "_Waiting") -> None:
        """Record the containers that were not listed to their end, in the order for the next tick."""
        places = {
            name: str(queue[0].user.id) for name, queue in (("first", rest.active), ("quiet", rest.quiet)) if queue
        }
        pages = {str(one.user.id): one.page for one in (*rest.active, *rest.quiet) if one.page}
        self.place = json.dumps({**places, "pages": pages, "turn": rest.quiet_is_next})


@dataclass(frozen=True, slots=True)
class _Container:
    """A user's upload container that a tick lists.

    Attributes:
        user: whose it is.
        page: where its next page begins; empty for the first.
        before: names of the blobs on the page before it; None if an earlier tick listed that.
        active: whether something moves in it.
    """

    user: User
    page: str
    before: Sequence[str] | None
    active: bool


@dataclass(slots=True)
class _Waiting:
    """Containers that wait to be listed. One of an active user and one of another come by turns.

    Attributes:
        active: those of active users.
        quiet: those of other users.
        quiet_is_next: whose turn it is.
        requests: how many pages of `quiet` ones may be listed yet.
        names: how many names of `quiet` ones may be listed yet.
    """

    active: deque[_Container]
    quiet: deque[_Container]
    quiet_is_next: bool = False
    requests: float = inf
    names: float = inf

    def of(self, container: _Container) -> None:
        """Add a container, or what is left of it, behind the others."""
        (self.active if container.active else self.quiet).append(container)

    def take(self) -> _Container | None:
        """Take the next container; None if no more are to be listed in this tick."""
        quiet = self.quiet if self.names > 0 and self.requests > 0 else ()
        if not quiet and not self.active:
            return None
        now_quiet = bool(quiet) and (self.quiet_is_next or not self.active)
        self.quiet_is_next = not now_quiet
        if not now_quiet:
            return self.active.popleft()
        self.names -= NAMES_A_REQUEST
        self.requests -= 1
        return self.quiet.popleft()

    def listed(self, container: _Container, page: TopPage) -> None:
        """Count the names of a page, and add what is left of its container."""
        if not container.active:
            self.names -= max(0, len(page.folders) + len(page.blobs) - NAMES_A_REQUEST)
        if page.next:
            self.of(replace(container, page=page.next, before=page.blobs))


class UnfinishedLooks:
    """Looks at large folders that go on in the next tick, kept by the process that evaluates the sensor.

    If that process ends, the next one begins these looks again. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[UUID, str], _Looking] = {}
        self._lock = Lock()

    def take(self, owner: UUID, folder: str) -> _Looking | None:
        """Take the unfinished look at a folder, if there is one."""
        with self._lock:
            return self._kept.pop((owner, folder), None)

    def keep(self, owner: UUID, folder: str, looking: _Looking) -> bool:
        """Keep a look for the next tick; returns False and closes it if there are too many, or one of its user."""
        looking.since = time.monotonic()
        with self._lock:
            for key, other in list(self._kept.items()):
                if looking.since - other.since > _FORGOTTEN_SECONDS:
                    self._kept.pop(key).close()
            if len(self._kept) < LARGE_LOOKS and all(user != owner for user, _ in self._kept):
                self._kept[owner, folder] = looking
                return True
        looking.close()
        return False

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            while self._kept:
                self._kept.popitem()[1].close()


class _NoLook(Enum):
    """Why a look at a folder was not finished."""

    LATER = "the tick is over, or the look goes on in the next one"
    LAST = "there is no room for its inventory, or there are too many unfinished looks; others come first"


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a folder cannot be looked at."""

    reason: str


_Outcome = FolderSnapshot | _NoLook | _Failure


def due_uploads(
    database: Database,
    blobs: BlobStorage,
    settings: ArrivalSettings,
    limits: ContractLimits,
    now: datetime | None = None,
    listing: Listing | None = None,
    unfinished: UnfinishedLooks | None = None,
    withdrawn: list[Receipt] | None = None,
) -> Iterator[Arrival]:
    """The folders that are due for a run.

    On the way, receipts that are missing beside their folders are written again, and receipts of folders that cannot be
    looked at are written.

    Args:
        database: knows the uploads.
        blobs: where folders are staged.
        settings: when a folder is complete.
        limits: how much of a folder is read.
        now: the time; the current one if not given.
        listing: where to begin, and afterwards where the next tick goes on; without it, this is a first tick.
        unfinished: the looks to go on with, and afterwards those for the next tick; without it, unfinished looks begin
            again.
        withdrawn: gets the receipts of the folders that were found withdrawn.

    Raises:
        StorageError: storage does not answer.
        DatabaseError: the database does not answer.
    """
    moment, begin = now or datetime.now(UTC), time.monotonic()
    users = database.call(all_users)
    active = database.call(active_owners, minutes=ACTIVE_MINUTES)
    kept = UnfinishedLooks() if unfinished is None else unfinished
    closed: list[Receipt] = [] if withdrawn is None else withdrawn
    look = _Looker(blobs, settings, limits, moment, begin + LOOKING_SECONDS, kept).look
    large: list[_Candidate] = []
    with ThreadPoolExecutor(_AT_A_TIME) as executor:
        second_looks = SECOND_LOOKS if listing and listing.place else FIRST_SECOND_LOOKS
        folders = _LookQueue({user.id: user for user in users}, second_looks)
        waiting = (listing or Listing()).begin(users, active)
        for staged in _staged(executor, blobs, waiting, begin + LISTING_SECONDS):
            _compare(database, blobs, staged, folders)
        if listing is not None:
            listing.go_on(waiting)
        pending = islice(folders.pending(database, blobs), LOOKS_PER_TICK)
        for number, candidates in enumerate(batched(pending, _LOOKS_BETWEEN_STATEMENTS)):
            outcomes = list(executor.map(partial(look, begin=number == 0), candidates))
            large.extend(one for one, outcome in zip(candidates, outcomes, strict=True) if outcome is _NoLook.LATER)
            yield from _first_looks(database, blobs, candidates, outcomes, closed)
            if time.monotonic() - begin > LOOKING_SECONDS:
                log.warning("looking at staged folders takes long; the next tick goes on")
                break
        for candidates in batched(folders.settled(), _SECOND_LOOKS_BETWEEN_STATEMENTS):
            outcomes = list(executor.map(look, candidates))
            yield from _second_looks(database, blobs, executor, candidates, outcomes, closed)
            if time.monotonic() - begin > SECOND_LOOKS_UNTIL:
                break
        while large and time.monotonic() - begin < LARGE_SECONDS:
            outcomes = [look(one) for one in large]
            yield from _first_looks(database, blobs, large, outcomes, closed)
            large = [one for one, outcome in zip(large, outcomes, strict=True) if outcome is _NoLook.LATER]
    if unfinished is None:
        kept.close()


@dataclass(frozen=True, slots=True)
class _Looker:
    """Looks at folders during a tick, until a time of the monotonic clock."""

    blobs: BlobStorage
    settings: ArrivalSettings
    limits: ContractLimits
    moment: datetime
    until: float
    unfinished: UnfinishedLooks

    def look(self, candidate: "_Candidate", *, begin: bool = True) -> _Outcome:
        """Look at a folder for one turn; with `begin` even if it is late, so that every tick makes progress.

        Raises:
            StorageError: storage does not answer.
        """
        container, owner, name = candidate.user.upload_container, candidate.user.id, candidate.folder
        begun = self.unfinished.take(owner, name)
        if begun is None and not begin and time.monotonic() > self.until:
            return _NoLook.LATER
        try:
            folder = StagedFolder(self.blobs, container, name)
            looking = begun or _Looking(folder, self.settings, self.limits, MOST_FILES)
        except (sqlite3.Error, OSError) as error:
            return self._no_room(candidate, error)
        looking.use(self.blobs)
        given_back = False
        try:
            if looking.go_on(names=LOOK_NAMES, until=self.until):
                return looking.result(self.moment, index_seconds=INDEX_SECONDS)
            given_back = True
            return _NoLook.LATER if self.unfinished.keep(owner, name, looking) else _NoLook.LAST
        except _TooManyFilesError as error:
            return _Failure(str(error))
        except sqlite3.Error as error:
            return self._no_room(candidate, error)
        except StorageError as error:
            if not self.blobs.answers(container):
                raise
            return _Failure(str(error))
        finally:
            if not given_back:
                looking.close()

    def _no_room(self, candidate: "_Candidate", error: Exception) -> _NoLook:
        """Let the folder wait, because the disk has no room for its inventory; other folders may be smaller."""
        log.warning("no temporary file for the look at %s of %s: %s", candidate.folder, candidate.user.email, error)
        return _NoLook.LAST


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A folder worth a look."""

    user: User
    folder: str
    known: Upload | None


@dataclass(frozen=True, slots=True)
class _Staged:
    """Folders at the top of containers; those without a receipt beside them are `bare`."""

    folders: list[FolderName]
    bare: list[FolderName]


class _LookQueue:
    """Folders worth a look, found page by page; of each user at most as many as a tick could look at."""

    def __init__(self, users: Mapping[UUID, User], second_looks: int) -> None:
        self.users = users
        self.second_looks = second_looks
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
            nlargest(self.second_looks, settled, key=lambda one: one.overdue)
            for settled in (self._refused, self._imported)
        )

    def pending(self, database: Database, blobs: BlobStorage) -> Iterator[_Candidate]:
        """Folders that may be waiting for a run, one of each user, then the next of each.

        So a user with thousands of folders blocks nobody else. The folders of disabled users are refused on the way.
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
        """Folders whose import has ended, a refused one and an imported one in turn."""
        for turn in zip_longest(self._refused, self._imported):
            for one in turn:
                if one:
                    yield _Candidate(self.users[one.upload.owner.id], one.upload.folder, one.upload)


def _longest_ago_first(folder: PendingFolder) -> tuple[datetime, str]:
    return folder.checked_at or datetime.min.replace(tzinfo=UTC), folder.name.folder


def _staged(executor: Executor, blobs: BlobStorage, waiting: _Waiting, until: float) -> Iterator[_Staged]:
    """The folders in the containers of users, a few thousand at a time."""
    found = _Staged([], [])
    for container, page in _pages(executor, blobs, waiting, until):
        user = container.user
        # A receipt and a report sort before their folder, so they are on the same page or the one before.
        beside = {*(container.before or ()), *page.blobs}
        if container.before is None:  # that of the first folder may be where the last tick ended
            beside.update(map(receipt_blob, page.folders[:1]))
        names = [FolderName(user.id, name) for name in page.folders if name.casefold() != TEMPLATE_FOLDER]
        if unusable := [name.folder for name in names if not _can_be_kept(name.folder)]:
            log.warning(
                "%s has %d folders whose names are too long or hold a NUL, the first %.200r; they are no uploads",
                user.email,
                len(unusable),
                unusable[0],
            )
            names = [name for name in names if _can_be_kept(name.folder)]
        found.folders.extend(names)
        found.bare.extend(name for name in names if receipt_blob(name.folder) not in beside)
        if len(found.folders) >= _FOLDERS_BETWEEN_STATEMENTS:
            yield found
            found = _Staged([], [])
    if found.folders:
        yield found


def _can_be_kept(folder: str) -> bool:
    return len(folder.encode(errors="replace")) <= MOST_NAME_BYTES and "\0" not in folder


def _pages(
    executor: Executor, blobs: BlobStorage, waiting: _Waiting, until: float
) -> Iterator[tuple[_Container, TopPage]]:
    """Pages of the containers of users, one of each user in turn, several read at a time."""

    def read(container: _Container) -> TopPage | None:
        user = container.user
        try:
            return blobs.top_page(user.upload_container, container.page)
        except StorageError as error:
            # One user's container must not block the others.
            if blobs.answers(user.upload_container):
                log.warning("the folders of %s cannot be listed: %s", user.email, error)
                return None
            if blobs.container_exists(user.upload_container):
                raise
            log.warning("the folders of %s cannot be listed; register the user again: %s", user.email, error)
            return None

    reading: deque[tuple[_Container, Future[TopPage | None]]] = deque()
    begun = False
    while True:
        while len(reading) < _AT_A_TIME and (not begun or time.monotonic() < until) and (next_one := waiting.take()):
            reading.append((next_one, executor.submit(read, next_one)))
        if not reading:
            return
        begun = True
        container, future = reading.popleft()
        if page := future.result():
            waiting.listed(container, page)
            yield container, page


def _compare(database: Database, blobs: BlobStorage, staged: _Staged, folders: _LookQueue) -> None:
    """Ask the database which of these folders are worth a look, and whose receipts are missing."""
    with database.connection() as connection:
        folders.add_pending(pending_folders(connection, staged.folders, limit=LOOKS_PER_TICK))
        folders.add_settled(settled_uploads(connection, staged.folders, limit=folders.second_looks))
        missing = uploads_with_receipt(connection, staged.bare, limit=MISSING_RECEIPTS) if staged.bare else []
    for upload in missing:
        if upload.receipt:
            write_receipt(blobs, upload, upload.receipt)


def _first_looks(
    database: Database,
    blobs: BlobStorage,
    candidates: Sequence[_Candidate],
    outcomes: Sequence[_Outcome],
    closed: list[Receipt],
) -> list[Arrival]:
    """The due ones of folders that may be waiting for a run; the others are recorded as looked at.

    Folders that cannot be looked at are closed as failed, and their receipts say why. Withdrawn ones are closed too;
    their receipts are added to `closed`.
    """
    done = [(one, outcome) for one, outcome in zip(candidates, outcomes, strict=True) if outcome is not _NoLook.LATER]
    unseen = [FolderName(one.user.id, one.folder) for one, _ in done if one.known is None]
    due, others, failed, withdrawn = [], [], [], []
    with database.connection() as connection:
        seen = iter(see_uploads(connection, unseen) if unseen else [])
        for one, outcome in done:
            upload = one.known or next(seen)
            if isinstance(outcome, FolderSnapshot) and outcome.complete:
                due.append(Arrival(upload, outcome))
                continue
            if isinstance(outcome, FolderSnapshot) and outcome.withdrawn:
                withdrawn.append(Arrival(upload, outcome))
                continue
            others.append(upload.id)
            if isinstance(outcome, _Failure):
                failed.append((upload, outcome.reason))
        mark_checked(connection, others)
    closed.extend(_close_withdrawn(database, blobs, withdrawn))
    for upload, reason in failed:
        log.warning("the folder %s of %s cannot be looked at: %s", upload.folder, upload.owner.email, reason)
        fail_upload(database, blobs, upload, f"the folder cannot be looked at: {reason}", looked_at=False)
    return due


def _second_looks(
    database: Database,
    blobs: BlobStorage,
    executor: Executor,
    candidates: Sequence[_Candidate],
    outcomes: Sequence[_Outcome],
    closed: list[Receipt],
) -> list[Arrival]:
    """The folders that changed since their import ended, or that other rules refused, and so are due.

    The others are recorded as looked at.

    Those that were withdrawn since are closed; their receipts are added to `closed`.
    """
    done = [
        (one.known, outcome)
        for one, outcome in zip(candidates, outcomes, strict=True)
        if one.known is not None and outcome is not _NoLook.LATER
    ]
    for upload, outcome in done:
        if isinstance(outcome, _Failure):
            log.warning(
                "the folder %s of %s cannot be looked at again: %s", upload.folder, upload.owner.email, outcome.reason
            )
    arrivals = [Arrival(upload, outcome) for upload, outcome in done if isinstance(outcome, FolderSnapshot)]
    with database.connection() as connection:
        # Asked after the look: a folder that was being cleared then was not changed by its user.
        still = unchanged_since_read(connection, [arrival.upload for arrival in arrivals])
    due = [
        arrival
        for arrival in arrivals
        if arrival.upload.id in still
        and arrival.snapshot.complete
        and (arrival.snapshot.digest != arrival.upload.staged_digest or arrival.upload.refused_by_other_rules)
    ]
    withdrawn = [
        arrival
        for arrival in arrivals
        if arrival.upload.id in still
        and arrival.snapshot.withdrawn
        and arrival.snapshot.digest != arrival.upload.staged_digest
    ]
    closed.extend(_close_withdrawn(database, blobs, withdrawn))
    still.difference_update(arrival.upload.id for arrival in withdrawn)
    uncleared = [arrival.upload for arrival in arrivals if arrival.upload.id in still]
    for _ in executor.map(partial(_renew_receipt, blobs), uncleared):
        pass
    changed = {arrival.upload.id for arrival in due}
    database.call(mark_checked, [upload.id for upload, _ in done if upload.id not in changed])
    return due


def _close_withdrawn(database: Database, blobs: BlobStorage, withdrawn: Iterable[Arrival]) -> list[Receipt]:
    """Close the uploads whose users withdrew their folders; the receipts of those that did not change meanwhile."""
    receipts = (withdraw_upload(database, blobs, one.upload, one.snapshot.digest) for one in withdrawn)
    return [receipt for receipt in receipts if receipt]


def _refuse(database: Database, blobs: BlobStorage, folders: Iterable[PendingFolder], owner: Owner) -> None:
    """Refuse folders of a disabled user by a receipt; that needs no run."""
    for folder in folders:
        with database.connection() as connection:
            upload = folder.known or see_upload(connection, owner, folder.name.folder)
        write_outcome(blobs, upload, refuse_disabled(database, upload))


def _renew_receipt(blobs: BlobStorage, upload: Upload) -> None:
    """Write the receipt beside a folder again if it differs from the one in the database.

    A process that was killed after its import leaves the receipt of an earlier import there. A user with a key can put
    anything there, so nothing is read of a blob that is longer than the receipt can be.
    """
    if upload.receipt is None:
        return
    limit = _RECEIPT_BYTES + 2 * len(upload.receipt.model_dump_json(indent=2))
    try:
        beside = read_receipt(blobs, upload.staging_container, upload.folder, limit=limit)
    except StorageError:
        beside = None
    if beside != upload.receipt:
        write_receipt(blobs, upload, upload.receipt)


def queue(database: Database, arrivals: Sequence[Arrival]) -> str:
    """Record that one run is requested for these uploads.

    Returns:
        The key of the request, which is the same for the same uploads with the same content.
    """
    batch = hashlib.sha256("\n".join(arrival.key for arrival in arrivals).encode()).hexdigest()[:16]
    database.call(mark_queued, batch, {arrival.upload.id: arrival.snapshot.digest for arrival in arrivals})
    return batch


def fail_abandoned(database: Database, blobs: BlobStorage) -> list[Upload]:
    """Close the uploads whose process died as failed, so that they are retried.

    Returns:
        Those uploads.
    """
    abandoned = database.call(abandoned_uploads)
    for upload in abandoned:
        fail_upload(database, blobs, upload, "the process that imported it ended before it was done")
    return abandoned
