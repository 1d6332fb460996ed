"""What a program imports to hand folders over and to ask about them: `Client`, and `AsyncClient` with the same words.

Nothing of Dagster, OpenCV or Arrow is loaded. All work is written once, for threads: the protocol of staging is
delicate, and what it takes its time for, hashing and sending, lets other threads run. `AsyncClient` calls `Client` in
threads of the event loop's executor. It does not wait there: following a submission is a row of short looks, and
between two of them the event loop sleeps, so that a thousand waiting requests hold no thread.

Whatever a person can put right is one of three errors, whose message is one line that says what to do:

* `RefusedError`: it is against a rule, or in somebody's way: an unknown or disabled user, a key that storage does not
  accept, another folder of that name, a submission that was changed meanwhile (`SupersededError`).
* `UsageError`: the call, a setting or the address is wrong. `NeedsServicesError` is one: a key alone cannot do that.
* `UnavailableError`: storage or database does not answer; the same call may succeed later. `NoReceiptYetError` is one:
  `wait` saw no receipt in time. It is a TimeoutError too.

Files of a local folder that cannot be read are an `OSError`, as everywhere.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, aclosing, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from tempfile import SpooledTemporaryFile
from threading import Lock
from typing import IO, TYPE_CHECKING, Concatenate, Generic, ParamSpec, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.errors import ActionableError, RefusedError, UnavailableError, UsageError
from nachet_pipeline.folders.folder import Folder
from nachet_pipeline.folders.queries import folders_page
from nachet_pipeline.identifiers import partition_key, upload_id
from nachet_pipeline.picture_sets.browsing import Picture, find_picture, pictures_page
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.registry.seeds import FoundSeed, SeedRegistry, packaged_seeds
from nachet_pipeline.settings import Settings, SettingsError
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import LocalFolder, SourceFolder, StreamFolder
from nachet_pipeline.support.progress import Progress, silent
from nachet_pipeline.uploads.discovery import FolderSnapshot
from nachet_pipeline.uploads.following import (
    Look,
    Standing,
    SupersededError,
    looks,
    standing,
    wait_for_verdict,
)
from nachet_pipeline.uploads.importing import read_receipt
from nachet_pipeline.uploads.queries import FolderName, record_wishes, see_uploads, uploads_page
from nachet_pipeline.uploads.staging import mark_complete, stage_folder, withdraw_folder
from nachet_pipeline.uploads.upload import SeenUpload
from nachet_pipeline.users.errors import DisabledUserError
from nachet_pipeline.users.key import UploadKey
from nachet_pipeline.users.lifecycle import Onboarded, Onboarding, UserState
from nachet_pipeline.users.registering import known_user
from nachet_pipeline.users.upload_address import UploadAddress
from nachet_pipeline.users.upload_keys import Revocation, Rotation, ShownKey, UploadKeys

if TYPE_CHECKING:
    from nachet_pipeline.pictures.decoding_pool import DecodingPool

__all__ = [
    "AsyncClient",
    "AsyncSubmission",
    "Client",
    "Event",
    "Folder",
    "FoundSeed",
    "NeedsServicesError",
    "NoReceiptYetError",
    "Page",
    "Picture",
    "Receipt",
    "RefusedError",
    "SeenUpload",
    "State",
    "Submission",
    "SubmissionStatus",
    "SupersededError",
    "UnavailableError",
    "UsageError",
]

_ACTOR = "nachet_pipeline.client"
_IN_MEMORY = 8 * 1024**2
_MOST_ON_A_PAGE = 1000
_REGISTRY_SECONDS = 60.0
_WAIT_SECONDS = 3600.0

Folderlike = str | os.PathLike[str] | Mapping[str, bytes | IO[bytes]]
"""A folder of this machine; or contents and streams that can seek, by path in the folder."""

_Given = ParamSpec("_Given")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class NeedsServicesError(UsageError):
    """An upload key alone does not open what is asked for."""


class NoReceiptYetError(UnavailableError, TimeoutError):
    """There was no receipt of the submission in time; the folder stays staged, and asking again is right."""


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """A page of an answer.

    Attributes:
        items: what is on it.
        after: give it to the same call for the next page; None: this is the last one.
    """

    items: list[_Item]
    after: str | None


class SubmissionStatus(BaseModel):
    """Where a staged folder stands.

    Attributes:
        upload: the upload's identifier.
        partition: its partition in Dagster.
        folder: its name.
        state: its state, as far as its container tells; `staged` until a run is requested.
        complete: whether what is staged can be imported.
        submission: identifies what is staged.
        files: how many are staged.
        size: their bytes.
        reason: what it waits for, in a few words.
        receipt: the final receipt of what is staged; None if there is none yet.
    """

    model_config = ConfigDict(frozen=True)

    upload: UUID
    partition: str
    folder: str
    state: State
    complete: bool
    submission: str
    files: int
    size: int
    reason: str
    receipt: Receipt | None = None


class Event(BaseModel):
    """Something else is known of a submission.

    Attributes:
        text: what is known, in a few words.
        receipt: what lies beside the folder; while it is not final it may be about an earlier submission.
        final: whether the receipt says what became of the submission; it is the last event then.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    receipt: Receipt | None = None
    final: bool = False


@dataclass(frozen=True)
class _Place:
    """An upload container, and what opens it.

    Attributes:
        blobs: what the key opens, or the whole account.
        container: the upload container.
        owner: whose it is.
        settings: of this machine.
        database: None with an upload key.
        explaining: turns what storage answers to a key into an error that says so.
    """

    blobs: BlobStorage
    container: str
    owner: UUID
    settings: Settings
    database: Database | None
    explaining: Callable[[], AbstractContextManager[None]]

    def look(self, folder: str) -> Standing:
        limits = ContractLimits.of(self.settings.contract, self.settings.transfer)
        return standing(self.blobs, self.container, folder, self.settings.arrival, limits)

    def status(self, folder: str, *, other_than: Receipt | None = None) -> SubmissionStatus:
        with self.explaining():
            found = self.look(folder)
        receipt = found.verdict if found.verdict != other_than else None
        if receipt is None and not found.snapshot.files and not found.snapshot.withdrawn:
            raise RefusedError(f"no folder {folder} is staged; send it by `nachet stage`")
        under_way = receipt or (found.receipt if found.under_way and found.receipt != other_than else None)
        upload = upload_id(self.owner, folder)
        return SubmissionStatus(
            upload=upload,
            partition=partition_key(upload, folder),
            folder=folder,
            state=under_way.state if under_way else State.STAGED,
            complete=found.snapshot.complete,
            submission=found.snapshot.digest,
            files=found.snapshot.files,
            size=found.snapshot.size,
            reason=receipt.state if receipt else found.state,
            receipt=receipt,
        )


class Submission:
    """A folder that was handed over."""

    def __init__(self, place: _Place, folder: str, sent: FolderSnapshot, before: Receipt | None = None) -> None:
        """Remember what was handed over; `Client.submit` and `Client.submission` do.

        Args:
            place: where.
            folder: its name there.
            sent: what was sent.
            before: a receipt that is no answer, because its user wants something else now.
        """
        self._place = place
        self._sent = sent
        self._before = before
        self.folder = folder
        self.id = upload_id(place.owner, folder)

    @property
    def digest(self) -> str:
        """Identifies what was sent; the receipt's `submission` is the same."""
        return self._sent.digest

    def status(self) -> SubmissionStatus:
        """Where the folder stands now, whoever staged what is there.

        Raises:
            RefusedError: no such folder is staged any more, or the key does not open its container.
            UnavailableError: storage does not answer.
        """
        return self._place.status(self.folder, other_than=self._before)

    def receipt(self) -> Receipt | None:
        """The final receipt of what was sent; None if there is none yet. A receipt of anything earlier is none.

        Raises:
            RefusedError: the key does not open the container.
            UnavailableError: storage does not answer.
        """
        with self._place.explaining():
            first = next(self._looks())
        if first.outage:
            raise first.outage
        return first.receipt if first.final else None

    def wait(self, timeout: float = _WAIT_SECONDS) -> Receipt:
        """Wait for the final receipt of what was sent; storage that does not answer is asked again.

        Args:
            timeout: seconds.

        Raises:
            NoReceiptYetError: there is none in time.
            SupersededError: the folder was changed or withdrawn meanwhile, so that there will be none.
            RefusedError: the key does not open the container.
        """
        with self._place.explaining():
            receipt = wait_for_verdict(self._looks(), seconds=timeout, report=silent)
        return self._in_time(receipt, timeout)

    def events(self) -> Iterator[Event]:
        """Follow what was sent: an event whenever something else is known, until the receipt is final.

        Raises:
            SupersededError: the folder was changed or withdrawn meanwhile, so that there will be no receipt.
            RefusedError: the key does not open the container.
        """
        said = None
        with self._place.explaining():
            for look in self._looks():
                if look.known != said:
                    said = look.known
                    yield _event(look)
                time.sleep(look.pause)

    def withdraw(self) -> None:
        """Give the folder up: it is not imported; submitting it again takes that back.

        Raises:
            RefusedError: no such folder is staged, or the key does not open the container.
            UnavailableError: storage does not answer.
        """
        with self._place.explaining():
            withdraw_folder(self._place.blobs, self._place.container, self.folder)

    def _looks(self) -> Iterator[Look]:
        place, folder = self._place, self.folder
        if not self._sent.files and (receipt := place.look(folder).verdict):  # retention cleared it
            return iter([Look(receipt, True, receipt.state, receipt.state, None, 0)])
        return looks(
            place.blobs,
            place.container,
            folder,
            self._sent,
            look=lambda: place.look(folder).snapshot,
            other_than=self._before,
        )

    def _in_time(self, receipt: Receipt | None, seconds: float) -> Receipt:
        if receipt is None:
            raise NoReceiptYetError(
                f"there is no receipt of this submission of {self.folder} after {seconds:g} s; the folder stays staged"
            )
        return receipt


def _event(look: Look) -> Event:
    return Event(text=look.text, receipt=look.receipt, final=look.final)


class Client:
    """What a program does with the pipeline. A context manager; safe to use from several threads."""

    def __init__(
        self,
        settings: Settings,
        blobs: BlobStorage,
        *,
        database: Database | None = None,
        address: UploadAddress | None = None,
        by: str = _ACTOR,
    ) -> None:
        """Use services that are open already and stay so; most programs begin with one of the two other ways.

        Args:
            settings: of this machine.
            blobs: the account, or what a key opens.
            database: None with an upload key.
            address: that of the upload key, if there is one.
            by: whom the audit trail names.
        """
        self._settings = settings
        self._blobs = blobs
        self._database = database
        self._address = address
        self._closing = ExitStack()
        self.users = Users(self, by)
        self.registry = Registry(self)

    @classmethod
    def from_environment(cls, *, by: str = _ACTOR) -> Self:
        """A client of the services that NACHET_DATABASE_URL and NACHET_BLOB_ACCOUNT_URL name.

        Nothing is sent until the first call, and no service of this machine is started.

        Args:
            by: whom the audit trail names for what is done to users.

        Raises:
            SettingsError: a setting is wrong, or the services are not named.
        """
        settings = Settings.from_environment()
        if settings.database_url is None or settings.blob_account_url is None:
            raise SettingsError(
                "NACHET_DATABASE_URL: is not set; a client needs it and NACHET_BLOB_ACCOUNT_URL, which"
                " `nachet up --env` writes to the file .env for the services of this machine"
            )
        with ExitStack() as stack:
            database = stack.enter_context(Database(settings.database_url, reader_url=settings.database_reader_url))
            blobs = stack.enter_context(BlobStorage.connect(settings.blob_account_url, settings.blob_key))
            client = cls(settings, blobs, database=database, by=by)
            client._closing = stack.pop_all()
        return client

    @classmethod
    def from_upload_key(cls, url: str) -> Self:
        """A client with nothing but an upload key: it submits, follows and withdraws its owner's folders.

        Args:
            url: the address that `nachet user key show` prints.

        Raises:
            UsageError: this is none; the message does not repeat it.
        """
        address = UploadAddress.parse(url)
        blobs = address.connect()
        client = cls(Settings.from_environment(), blobs, address=address)
        client._closing.enter_context(blobs)
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that the client opened."""
        self._closing.close()

    # Handing over

    def submit(
        self,
        folder: Folderlike,
        *,
        name: str | None = None,
        owner: str | None = None,
        replace: bool = False,
        accept_valid: bool = False,
        progress: Progress = silent,
    ) -> Submission:
        """Hand a folder over; a running pipeline then imports it by itself.

        It can be repeated: files that are there already are not sent again.

        Args:
            folder: a folder of this machine, or contents by path.
            name: its name in the upload container; that of the local folder, if not given.
            owner: e-mail address of the user whose it becomes; not with an upload key, which has an owner.
            replace: it is a correction: its pictures replace those that are staged.
            accept_valid: import the sessions without errors although others are refused; not with an upload key.
            progress: called with bytes done and bytes in all, from this thread.

        Raises:
            RefusedError: no such user, or a disabled one; another folder of that name is staged; the key is not
                accepted; a file changed meanwhile.
            UsageError: name or owner is missing, or a stream cannot seek.
            UnavailableError: a service does not answer; another call goes on where this one ended.
            OSError: a local file cannot be read.
        """
        source = _source(folder, name)
        staged_name = name or source.name
        if accept_valid and self._address:
            raise NeedsServicesError("accept_valid needs the services; or put acceptValid: true into index.yaml")
        place, before = self._place(owner), None
        with place.explaining():
            if place.database:
                wanted = FolderName(place.owner, staged_name)
                changed = place.database.call(_wish, wanted, accept_valid=accept_valid, replace=replace)
                before = read_receipt(place.blobs, place.container, staged_name) if changed else None
            staged = stage_folder(
                place.blobs,
                source,
                place.container,
                staged_name,
                replace=replace,
                may_delete=self._address is None,
                concurrency=self._settings.transfer.transfer_concurrency,
                progress=progress,
            )
            mark_complete(place.blobs, place.container, staged_name, staged.marker)
            return Submission(place, staged_name, place.look(staged_name).snapshot, before)

    def submission(self, folder: str, *, owner: str | None = None) -> Submission:
        """What is staged under a name now, for a program that was restarted.

        Args:
            folder: the staged folder's name.
            owner: e-mail address of the user; not with an upload key.

        Raises:
            RefusedError: no such user, or the key is not accepted.
            UnavailableError: a service does not answer.
        """
        place = self._place(owner, active=False)
        with place.explaining():
            return Submission(place, folder, place.look(folder).snapshot)

    def withdraw(self, folder: str, *, owner: str | None = None) -> None:
        """Give a staged folder up: it is not imported; submitting it again takes that back.

        Raises:
            RefusedError: no such user, no such folder, or the key is not accepted.
            UnavailableError: a service does not answer.
        """
        place = self._place(owner, active=False)
        with place.explaining():
            withdraw_folder(place.blobs, place.container, folder)

    # Asking

    def status(self, folder: str, *, owner: str | None = None) -> SubmissionStatus:
        """Where a staged folder stands.

        Raises:
            RefusedError: no such user, no such folder, or the key is not accepted.
            UnavailableError: a service does not answer.
        """
        return self._place(owner, active=False).status(folder)

    def uploads(
        self,
        *,
        owner: str | None = None,
        state: State | str | None = None,
        since: datetime | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[SeenUpload]:
        """Uploads, those first that were seen last.

        Args:
            owner: e-mail address of a user; None: everybody's.
            state: in which state; None: in any.
            since: those alone whose state changed then or later.
            after: of the page before.
            limit: how many on a page.

        Raises:
            RefusedError: no such user.
            UsageError: there is no such state, or `after` is of no page.
            UnavailableError: the database does not answer.
        """
        if since is not None and since.tzinfo is None:
            raise UsageError("since: expected a time with its time zone")
        try:
            wanted = State(state) if state is not None else None
        except ValueError:
            raise UsageError(f"state: expected one of {', '.join(State)}") from None
        found = self._reading(
            uploads_page,
            owner=self._owner_id(owner),
            state=wanted,
            since=since,
            after=_moment(after),
            limit=_one_more(limit),
        )
        return _page(found, limit, lambda one: f"{one.first_seen.isoformat()}~{one.id}")

    def picture_sets(self, *, owner: str | None = None, after: str | None = None, limit: int = 50) -> Page[Folder]:
        """Imported folders that are there, which are picture sets, the latest first.

        Raises:
            RefusedError: no such user.
            UsageError: `after` is of no page.
            UnavailableError: the database does not answer.
        """
        found = self._reading(folders_page, self._owner_id(owner), after=_moment(after), limit=_one_more(limit))
        return _page(found, limit, lambda one: f"{one.uploaded_at.isoformat()}~{one.id}")

    def pictures(
        self, picture_set: UUID | str, *, crops: bool = False, after: str | None = None, limit: int = 100
    ) -> Page[Picture]:
        """The pictures of a set, in the order of their identifiers; the whole ones, or those cut from them.

        Raises:
            UsageError: `picture_set` is no identifier, or `after` is of no page.
            UnavailableError: the database does not answer.
        """
        last = _identifier(after) if after else None
        found = self._reading(pictures_page, _identifier(picture_set), crops=crops, after=last, limit=_one_more(limit))
        return _page(found, limit, lambda one: str(one.id))

    def open_picture(self, picture: UUID | str) -> IO[bytes]:
        """The bytes of a picture, as they were uploaded, in a temporary file; the caller closes it.

        Raises:
            RefusedError: there is no such picture.
            UnavailableError: a service does not answer.
        """
        found = self._reading(find_picture, _identifier(picture))
        with ExitStack() as stack:
            # Returned open; what fails closes it.
            stream: IO[bytes] = stack.enter_context(SpooledTemporaryFile(max_size=_IN_MEMORY))
            self._blobs.download(found.container, found.blob, stream)
            stream.seek(0)
            stack.pop_all()
        return stream

    def thumbnail(self, picture: UUID | str) -> bytes:
        """A small JPEG of a picture. It is decoded in a process of its own, which the first call starts.

        Raises:
            RefusedError: there is no such picture, or none can be made of it.
            UnavailableError: a service does not answer.
        """
        found = self._reading(find_picture, _identifier(picture))
        content = self._blobs.read(found.container, found.blob, size=found.size)
        from nachet_pipeline.pictures.inspection import Thumbnail  # noqa: PLC0415 (few programs need it)

        small = self._decoders.inspect(content, found.format, thumbnail=Thumbnail.ALWAYS).result().thumbnail
        if small is None:
            raise RefusedError(f"no thumbnail can be made of the picture {found.id}")
        return small

    @cached_property
    def _decoders(self) -> "DecodingPool":
        from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings  # noqa: PLC0415 (as above)

        settings = DecodingSettings.of(self._settings.decoder, self._settings.picture)
        return self._closing.enter_context(DecodingPool(settings))

    # Services

    def _services(self) -> Database:
        if self._database is None:
            raise NeedsServicesError(
                "an upload key opens its own container alone; use Client.from_environment() for everything else"
            )
        return self._database

    def _reading(
        self,
        work: Callable[Concatenate[Connection, _Given], _Result],
        *given: _Given.args,
        **named: _Given.kwargs,
    ) -> _Result:
        with self._services().reading() as connection:
            return work(connection, *given, **named)

    def _owner_id(self, email: str | None) -> UUID | None:
        return self._reading(known_user, email).id if email is not None else None

    def _place(self, owner: str | None, *, active: bool = True) -> _Place:
        if self._address:
            if owner is not None:
                raise UsageError("owner: an upload key has an owner already")
            address = self._address
            return _Place(self._blobs, address.container, address.owner, self._settings, None, address.explaining)
        if owner is None:
            raise UsageError("owner: expected the e-mail address of a registered user")
        user = self._reading(known_user, owner)
        if active and user.disabled_at is not None:
            raise DisabledUserError(f"{user.email} is disabled since {user.disabled_at:%Y-%m-%d}")
        return _Place(self._blobs, user.upload_container, user.id, self._settings, self._database, nullcontext)


def _source(folder: Folderlike, name: str | None) -> SourceFolder:
    """What is handed over."""
    if isinstance(folder, Mapping):
        if not name:
            raise UsageError("name: files without a folder need one")
        return StreamFolder(name, folder)
    path = Path(folder)
    if not path.is_dir():
        raise UsageError(f"{path} is no folder")
    return LocalFolder(path)


def _wish(connection: Connection, name: FolderName, *, accept_valid: bool, replace: bool) -> bool:
    (upload,) = see_uploads(connection, [name])
    return record_wishes(connection, upload.id, accept_valid=accept_valid, replace=replace)


def _identifier(text: UUID | str) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        raise UsageError(f"{str(text)[:80]!r}: expected an identifier") from None


def _moment(after: str | None) -> tuple[datetime, UUID] | None:
    """The place where a page ended.

    Raises:
        UsageError: none did there.
    """
    if after is None:
        return None
    moment, _, last = after.partition("~")
    try:
        return datetime.fromisoformat(moment), UUID(last)
    except ValueError:
        raise UsageError("after: expected that of the page before") from None


def _one_more(limit: int) -> int:
    """How many to read for a page: one more than it has room for tells whether another page follows.

    Raises:
        UsageError: the page has no room, or too much.
    """
    if not 1 <= limit <= _MOST_ON_A_PAGE:
        raise UsageError(f"limit: expected a number from 1 to {_MOST_ON_A_PAGE}")
    return limit + 1


def _page(found: list[_Item], limit: int, key: Callable[[_Item], str]) -> Page[_Item]:
    """A page of what was read, see `_one_more`."""
    return Page(found[:limit], key(found[limit - 1]) if len(found) > limit else None)


class Users:
    """Users, their containers and their upload keys; every call can be repeated.

    What each raises is said once: `RefusedError` where there is no such user, or a disabled one; `UsageError` where an
    address is none, or NACHET_SECRET_KEYS is not set; `UnavailableError` where a service does not answer.
    """

    def __init__(self, client: Client, by: str) -> None:
        """Use a client; `by` is whom the audit trail names."""
        self._client = client
        self._by = by

    def add(self, email: str) -> Onboarded:
        """Register a user, with containers, a first folder and a first key; who is registered stays as they are."""
        try:
            return self._onboarding().onboard(email, actor=self._by)
        except ValueError as error:
            if isinstance(error, ActionableError):
                raise
            raise UsageError(f"{email[:254]}: {error}") from None

    def disable(self, email: str) -> UserState:
        """Let nothing that a user stages be imported, and revoke their keys; nothing of theirs is removed."""
        return self._onboarding().disable(email, actor=self._by)

    def enable(self, email: str) -> UserState:
        """Let a user who was disabled upload again, with a new key."""
        return self._onboarding().enable(email, actor=self._by)

    def keys(self, email: str) -> list[UploadKey]:
        """What is known of a user's keys, the newest first; none of them is shown."""
        return self._keys().of(email)

    def show_key(self, email: str) -> ShownKey:
        """A user's newest key, once; its `url` is for `Client.from_upload_key`."""
        return self._keys().show(email, to=self._by)

    def rotate_key(self, email: str, *, at_once: bool = False) -> Rotation:
        """Issue a new key; those before it work on for a while, or with `at_once` no longer."""
        return self._keys().rotate(email, actor=self._by, at_once=at_once)

    def revoke_keys(self, email: str) -> Revocation:
        """Let no key of a user's work any more."""
        return self._keys().revoke(email, actor=self._by)

    def _keys(self) -> UploadKeys:
        client = self._client
        return UploadKeys(client._services(), client._blobs, client._settings.secret_keys, client._settings.key)

    def _onboarding(self) -> Onboarding:
        return Onboarding(self._client._services(), self._client._blobs, self._keys())


class Registry:
    """The species that pictures can show."""

    def __init__(self, client: Client) -> None:
        """Use a client; with an upload key alone, the registry is the one that the package carries."""
        self._client = client
        self._lock = Lock()
        self._read: tuple[float, SeedRegistry] | None = None

    def search(self, text: str, *, limit: int = 10) -> list[FoundSeed]:
        """The species with a name of which a word begins with a text, in Latin, English or French.

        For the auto-completion of a form. The table is read again after a minute.

        Raises:
            UnavailableError: the database does not answer.
        """
        return self._seeds().search(text, limit=limit)

    def _seeds(self) -> SeedRegistry:
        with self._lock:
            now = time.monotonic()
            if self._read is None or (now - self._read[0] > _REGISTRY_SECONDS and self._client._database):
                database = self._client._database
                seeds = database.call(registered_seeds) if database else SeedRegistry.of(packaged_seeds())
                self._read = now, seeds
            return self._read[1]


class AsyncSubmission:
    """A folder that was handed over, for an event loop; every call means and raises what that of `Submission` does."""

    def __init__(self, submission: Submission) -> None:
        """Follow a submission."""
        self._submission = submission
        self.folder = submission.folder
        self.id = submission.id
        self.digest = submission.digest

    async def status(self) -> SubmissionStatus:
        """Where the folder stands now."""
        return await asyncio.to_thread(self._submission.status)

    async def receipt(self) -> Receipt | None:
        """The final receipt of what was sent; None if there is none yet."""
        return await asyncio.to_thread(self._submission.receipt)

    async def wait(self, timeout: float = _WAIT_SECONDS) -> Receipt:
        """Wait for the final receipt of what was sent, without a thread."""
        until = time.monotonic() + timeout
        async with aclosing(self._looks()) as following:
            async for look in following:
                if look.final and look.receipt:
                    return look.receipt
                left = until - time.monotonic()
                if left <= 0:
                    break
                await asyncio.sleep(min(look.pause, left))
        return self._submission._in_time(None, timeout)

    async def events(self) -> AsyncIterator[Event]:
        """Follow what was sent: an event whenever something else is known, until the receipt is final."""
        said = None
        async with aclosing(self._looks()) as following:
            async for look in following:
                if look.known != said:
                    said = look.known
                    yield _event(look)
                await asyncio.sleep(look.pause)

    async def withdraw(self) -> None:
        """Give the folder up."""
        await asyncio.to_thread(self._submission.withdraw)

    async def _looks(self) -> AsyncGenerator[Look, None]:
        """The looks of the submission, each in a thread that is free again before the pause."""
        with self._submission._place.explaining():
            following = await asyncio.to_thread(self._submission._looks)
            while (look := await asyncio.to_thread(next, following, None)) is not None:
                yield look


class AsyncClient:
    """`Client` for an event loop; every call means and raises what that of `Client` does. An async context manager."""

    def __init__(self, client: Client) -> None:
        """Use a client; most programs begin with one of the two other ways."""
        self._client = client
        self.users = AsyncUsers(client.users)
        self.registry = AsyncRegistry(client.registry)

    @classmethod
    def from_environment(cls, *, by: str = _ACTOR) -> Self:
        """A client of the services that the settings name; nothing is sent, so this is no coroutine."""
        return cls(Client.from_environment(by=by))

    @classmethod
    def from_upload_key(cls, url: str) -> Self:
        """A client with nothing but an upload key; nothing is sent, so this is no coroutine."""
        return cls(Client.from_upload_key(url))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that the client opened."""
        await asyncio.to_thread(self._client.close)

    async def submit(
        self,
        folder: Folderlike,
        *,
        name: str | None = None,
        owner: str | None = None,
        replace: bool = False,
        accept_valid: bool = False,
        progress: Progress = silent,
    ) -> AsyncSubmission:
        """Hand a folder over; `progress` is called from another thread, and streams are read there."""
        submission = await asyncio.to_thread(
            self._client.submit,
            folder,
            name=name,
            owner=owner,
            replace=replace,
            accept_valid=accept_valid,
            progress=progress,
        )
        return AsyncSubmission(submission)

    async def submission(self, folder: str, *, owner: str | None = None) -> AsyncSubmission:
        """What is staged under a name now."""
        return AsyncSubmission(await asyncio.to_thread(self._client.submission, folder, owner=owner))

    async def withdraw(self, folder: str, *, owner: str | None = None) -> None:
        """Give a staged folder up."""
        await asyncio.to_thread(self._client.withdraw, folder, owner=owner)

    async def status(self, folder: str, *, owner: str | None = None) -> SubmissionStatus:
        """Where a staged folder stands."""
        return await asyncio.to_thread(self._client.status, folder, owner=owner)

    async def uploads(
        self,
        *,
        owner: str | None = None,
        state: State | str | None = None,
        since: datetime | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[SeenUpload]:
        """Uploads, those first that were seen last."""
        return await asyncio.to_thread(
            self._client.uploads, owner=owner, state=state, since=since, after=after, limit=limit
        )

    async def picture_sets(
        self, *, owner: str | None = None, after: str | None = None, limit: int = 50
    ) -> Page[Folder]:
        """Imported folders that are there, the latest first."""
        return await asyncio.to_thread(self._client.picture_sets, owner=owner, after=after, limit=limit)

    async def pictures(
        self, picture_set: UUID | str, *, crops: bool = False, after: str | None = None, limit: int = 100
    ) -> Page[Picture]:
        """The pictures of a set, in the order of their identifiers."""
        return await asyncio.to_thread(self._client.pictures, picture_set, crops=crops, after=after, limit=limit)

    async def open_picture(self, picture: UUID | str) -> IO[bytes]:
        """The bytes of a picture in a temporary file; the caller closes it."""
        return await asyncio.to_thread(self._client.open_picture, picture)

    async def thumbnail(self, picture: UUID | str) -> bytes:
        """A small JPEG of a picture."""
        return await asyncio.to_thread(self._client.thumbnail, picture)


class AsyncUsers:
    """`Users` for an event loop; every call means and raises what that of `Users` does."""

    def __init__(self, users: Users) -> None:
        """Use the users of a client."""
        self._users = users

    async def add(self, email: str) -> Onboarded:
        """Register a user."""
        return await asyncio.to_thread(self._users.add, email)

    async def disable(self, email: str) -> UserState:
        """Let nothing that a user stages be imported, and revoke their keys."""
        return await asyncio.to_thread(self._users.disable, email)

    async def enable(self, email: str) -> UserState:
        """Let a user who was disabled upload again, with a new key."""
        return await asyncio.to_thread(self._users.enable, email)

    async def keys(self, email: str) -> list[UploadKey]:
        """What is known of a user's keys, the newest first."""
        return await asyncio.to_thread(self._users.keys, email)

    async def show_key(self, email: str) -> ShownKey:
        """A user's newest key, once."""
        return await asyncio.to_thread(self._users.show_key, email)

    async def rotate_key(self, email: str, *, at_once: bool = False) -> Rotation:
        """Issue a new key."""
        return await asyncio.to_thread(self._users.rotate_key, email, at_once=at_once)

    async def revoke_keys(self, email: str) -> Revocation:
        """Let no key of a user's work any more."""
        return await asyncio.to_thread(self._users.revoke_keys, email)


class AsyncRegistry:
    """`Registry` for an event loop."""

    def __init__(self, registry: Registry) -> None:
        """Use the registry of a client."""
        self._registry = registry

    async def search(self, text: str, *, limit: int = 10) -> list[FoundSeed]:
        """The species with a name of which a word begins with a text."""
        return await asyncio.to_thread(self._registry.search, text, limit=limit)
