"""`Client`: what a program does with the pipeline, one call after the other or from several threads."""

import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from tempfile import SpooledTemporaryFile
from threading import Lock
from typing import IO, TYPE_CHECKING, Self
from uuid import UUID

from nachet_pipeline.client.errors import NeedsServicesError
from nachet_pipeline.client.judgements import Judgements
from nachet_pipeline.client.models import Models, Predictions
from nachet_pipeline.client.paging import EventPage, Page, after_of, identifier, moment_of, one_more, page_of
from nachet_pipeline.client.place import SubmissionStatus
from nachet_pipeline.client.registry import Registry
from nachet_pipeline.client.services import Services
from nachet_pipeline.client.submission import Submission
from nachet_pipeline.client.users import Users
from nachet_pipeline.contract.names import is_litter
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.structure import is_marker
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.errors import RefusedError, UsageError
from nachet_pipeline.events.event import EventType
from nachet_pipeline.events.queries import events_after, last_number
from nachet_pipeline.folders.folder import Folder
from nachet_pipeline.folders.queries import folders_page
from nachet_pipeline.models.trace_queries import Trace, trace
from nachet_pipeline.picture_sets.browsing import Picture, find_picture, pictures_page
from nachet_pipeline.settings import Settings, SettingsError
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import LocalFolder, SourceFolder, StreamFolder
from nachet_pipeline.support.lazy_import import LazyModule
from nachet_pipeline.support.progress import Progress, silent
from nachet_pipeline.uploads.queries import (
    FolderName,
    find_upload,
    record_wishes,
    see_uploads,
    uploads_by_state,
    uploads_page,
)
from nachet_pipeline.uploads.staging import SentFolder, mark_complete, stage_folder
from nachet_pipeline.uploads.upload import SeenUpload
from nachet_pipeline.users.upload_address import UploadAddress

if TYPE_CHECKING:
    from nachet_pipeline.pictures.decoding_pool import DecodingPool
    from nachet_pipeline.uploads import importing
else:
    importing = LazyModule("nachet_pipeline.uploads.importing")

ACTOR = "nachet_pipeline.client"
"""Whom the audit trail names, if a program does not say."""

_IN_MEMORY = 8 * 1024**2
_AT_A_TIME = 16  # files that are sent: with fewer, a distant service is waited for

Folderlike = str | os.PathLike[str] | Mapping[str, bytes | IO[bytes]]
"""A folder of this machine; or contents and streams that can seek, by path in the folder."""


class Client:
    """What a program does with the pipeline. A context manager; safe to use from several threads."""

    def __init__(
        self,
        settings: Settings,
        blobs: BlobStorage,
        *,
        database: Database | None = None,
        address: UploadAddress | None = None,
        by: str = ACTOR,
    ) -> None:
        """Use services that are open already and stay so; most programs begin with one of the two other ways.

        Args:
            settings: of this machine.
            blobs: the account, or what a key opens.
            database: None with an upload key.
            address: that of the upload key, if there is one.
            by: whom the audit trail names.
        """
        self._services = Services(settings, blobs, database, address)
        self._closing = ExitStack()
        self._decoders: DecodingPool | None = None
        self._starting = Lock()
        self.users = Users(self._services, by)
        self.registry = Registry(self._services)
        self.models = Models(self._services, by)
        self.predictions = Predictions(self._services, by)
        self.judgements = Judgements(self._services, by)

    @classmethod
    def from_environment(cls, *, by: str = ACTOR) -> Self:
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
                "NACHET_DATABASE_URL: is not set; a client needs it and NACHET_BLOB_ACCOUNT_URL in its environment."
                " For the services of this machine, `nachet up --env` writes them to the file .env: set -a; . ./.env"
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
            UsageError: name or owner is missing, there is no file, or a stream cannot seek.
            UnavailableError: a service does not answer; another call goes on where this one ended.
            OSError: a local file cannot be read.
        """
        if accept_valid and self._services.address:
            raise NeedsServicesError("accept_valid needs the services; or put acceptValid: true into index.yaml")
        place, before = self._services.place(owner), None
        source = _source(folder, name)
        staged_name = name or source.name
        with place.explaining():
            staged = stage_folder(
                place.blobs,
                source,
                place.container,
                staged_name,
                replace=replace,
                may_delete=self._services.address is None,
                concurrency=_AT_A_TIME,
                memory=self._services.settings.transfer.memory_bytes,
                progress=progress,
            )
            # Not before: what is refused must not change how the folder that is there is treated.
            if place.database:
                wanted = FolderName(place.owner, staged_name)
                changed = place.database.call(_wish, wanted, accept_valid=accept_valid, replace=replace)
                before = importing.read_receipt(place.blobs, place.container, staged_name) if changed else None
            marker = mark_complete(place.blobs, place.container, staged_name, staged.marker)
        sent = place.snapshot(SentFolder(staged_name, staged, marker))
        return Submission(place, staged_name, sent, staged=staged, before=before)

    def submission(self, folder: str, *, owner: str | None = None) -> Submission:
        """What is staged under a name now, for a program that was restarted.

        Args:
            folder: the staged folder's name.
            owner: e-mail address of the user; not with an upload key.

        Raises:
            RefusedError: no such user, no such folder, or the key is not accepted.
            UnavailableError: a service does not answer.
        """
        place = self._services.place(owner, active=False)
        return Submission(place, folder, place.found(folder).snapshot)

    def withdraw(self, folder: str, *, owner: str | None = None) -> None:
        """Give a staged folder up: it is not imported; submitting it again takes that back.

        Raises:
            RefusedError: no such user, no such folder, or the key is not accepted.
            UnavailableError: a service does not answer.
        """
        self._services.place(owner, active=False).withdraw(folder)

    # Asking

    def status(self, folder: str, *, owner: str | None = None) -> SubmissionStatus:
        """Where a staged folder stands.

        Raises:
            RefusedError: no such user, no such folder, or the key is not accepted.
            UnavailableError: a service does not answer.
        """
        return self._services.place(owner, active=False).status(folder)

    def uploads(
        self,
        *,
        owner: str | None = None,
        state: State | str | None = None,
        since: datetime | None = None,
        named: UUID | str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[SeenUpload]:
        """Uploads, those first that were seen last.

        Args:
            owner: e-mail address of a user; None: everybody's.
            state: in which state; None: in any.
            since: those alone whose state changed then or later.
            named: those alone with this identifier, partition or folder.
            after: of the page before.
            limit: how many on a page.

        Raises:
            RefusedError: no such user.
            UsageError: there is no such state, `since` has no time zone, or `after` is of no page.
            UnavailableError: the database does not answer.
        """
        try:
            wanted = State(state) if state is not None else None
        except ValueError:
            raise UsageError(f"state: expected one of {', '.join(State)}") from None
        services = self._services
        found = services.reading(
            uploads_page,
            owner=services.owner_id(owner),
            state=wanted,
            since=_with_zone(since),
            named=str(named) if named is not None else None,
            after=moment_of(after),
            limit=one_more(limit),
        )
        return page_of(found, limit, lambda one: after_of(one.first_seen, one.id))

    def uploads_by_state(self, *, owner: str | None = None, since: datetime | None = None) -> dict[State, int]:
        """How many uploads are in each state that one is in: a user's, or everybody's.

        Raises:
            RefusedError: no such user.
            UsageError: `since` has no time zone.
            UnavailableError: the database does not answer.
        """
        services = self._services
        return services.reading(uploads_by_state, owner=services.owner_id(owner), since=_with_zone(since))

    def receipt(self, upload: UUID | str) -> Receipt | None:
        """The last receipt of an upload, as the database has it; None if it has none, or its state changed since.

        Raises:
            RefusedError: there is no such upload.
            UsageError: this is no identifier.
            UnavailableError: the database does not answer.
        """
        found = self._services.reading(find_upload, identifier(upload))
        if found is None:
            raise RefusedError(f"there is no upload {upload}")
        return found.receipt if found.receipt and found.receipt.state == found.state else None

    def events(
        self,
        after: int | None = 0,
        *,
        types: Collection[EventType | str] = (),
        owner: str | None = None,
        limit: int = 100,
    ) -> EventPage:
        """What happened, in its order: each event once, none left out, whoever writes meanwhile.

        A program keeps the page's `after` and gives it to the next call, whenever that is. Events are kept for a while;
        who comes later than that asks `uploads` once.

        Args:
            after: the `after` of the last page; 0: all events that are kept; None: from now on, which answers none.
            types: only these; all, if there are none.
            owner: e-mail address of a user, to see only what is theirs.
            limit: how many on a page.

        Raises:
            RefusedError: no such user.
            UsageError: there is no such type, or `after` is of another database.
            UnavailableError: the database does not answer.
        """
        one_more(limit)
        try:
            wanted = {EventType(one) for one in types}
        except ValueError:
            raise UsageError(f"types: expected some of {', '.join(EventType)}") from None
        services = self._services
        if after is None:
            return EventPage([], services.database.call(last_number))
        # By the login that writes: a copy of the database does not know who is writing.
        found, following = services.database.call(
            events_after, after, types=wanted, owner=services.owner_id(owner), limit=limit
        )
        return EventPage(found, following)

    def picture_sets(self, *, owner: str | None = None, after: str | None = None, limit: int = 50) -> Page[Folder]:
        """Imported folders that are there, which are picture sets, the latest first.

        Raises:
            RefusedError: no such user.
            UsageError: `after` is of no page.
            UnavailableError: the database does not answer.
        """
        found = self._services.reading(
            folders_page, self._services.owner_id(owner), after=moment_of(after), limit=one_more(limit)
        )
        return page_of(found, limit, lambda one: after_of(one.uploaded_at, one.id))

    def pictures(
        self, picture_set: UUID | str, *, crops: bool = False, after: str | None = None, limit: int = 100
    ) -> Page[Picture]:
        """The pictures of a set, in the order of their identifiers; the whole ones, or those cut from them.

        Raises:
            UsageError: `picture_set` is no identifier, or `after` is of no page.
            UnavailableError: the database does not answer.
        """
        last = identifier(after) if after else None
        found = self._services.reading(
            pictures_page, identifier(picture_set), crops=crops, after=last, limit=one_more(limit)
        )
        return page_of(found, limit, lambda one: str(one.id))

    def trace(self, subject: UUID | str) -> Trace:
        """What taught the version that said something, or what a picture taught.

        Args:
            subject: a prediction or a picture by identifier, a picture by SHA-256 or as CONTAINER/BLOB, or a version
                of a model as NAME@VERSION.

        Raises:
            RefusedError: there is no such prediction, picture or version.
            UsageError: it is none of these.
        """
        return self._services.reading(trace, str(subject))

    def open_picture(self, picture: UUID | str) -> IO[bytes]:
        """The bytes of a picture, as they were uploaded, in a temporary file; the caller closes it.

        Raises:
            RefusedError: there is no such picture.
            UnavailableError: a service does not answer.
        """
        found = self._services.reading(find_picture, identifier(picture))
        with ExitStack() as stack:
            # Returned open; what fails closes it.
            stream: IO[bytes] = stack.enter_context(SpooledTemporaryFile(max_size=_IN_MEMORY))
            self._services.blobs.download(found.container, found.blob, stream)
            stream.seek(0)
            stack.pop_all()
        return stream

    def thumbnail(self, picture: UUID | str) -> bytes:
        """A small JPEG of a picture. It is decoded in a process of its own, which the first call starts.

        Raises:
            RefusedError: there is no such picture, or none can be made of it.
            UnavailableError: a service does not answer.
        """
        found = self._services.reading(find_picture, identifier(picture))
        content = self._services.blobs.read(found.container, found.blob, size=found.size)
        from nachet_pipeline.pictures.inspected import Thumbnail  # noqa: PLC0415 (few programs need it)

        small = self._decoding().inspect(content, found.format, thumbnail=Thumbnail.ALWAYS).result().thumbnail
        if small is None:
            raise RefusedError(f"no thumbnail can be made of the picture {found.id}")
        return small

    def _decoding(self) -> "DecodingPool":
        from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings  # noqa: PLC0415 (as above)

        with self._starting:
            if self._decoders is None:
                settings = self._services.settings
                pool = DecodingPool(DecodingSettings.of(settings.decoder, settings.picture))
                self._decoders = self._closing.enter_context(pool)
            return self._decoders


def _source(folder: Folderlike, name: str | None) -> SourceFolder:
    """What is handed over.

    Raises:
        UsageError: it is no folder, has no name, or holds no file.
        OSError: it cannot be read.
    """
    source: SourceFolder
    if isinstance(folder, Mapping):
        if not name:
            raise UsageError("name: files without a folder need one")
        source = StreamFolder(name, folder)
    else:
        path = Path(folder)
        if not path.is_dir():
            raise UsageError(f"{path} is no folder")
        source = LocalFolder(path)
    if all(is_marker(file.path) or is_litter(file.path) for file in source.files()):
        raise UsageError(f"{name or source.name}: there is no file in it")
    return source


def _with_zone(moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise UsageError("since: expected a time with its time zone")
    return moment


def _wish(connection: Connection, name: FolderName, *, accept_valid: bool, replace: bool) -> bool:
    (upload,) = see_uploads(connection, [name])
    return record_wishes(connection, upload.id, accept_valid=accept_valid, replace=replace)
