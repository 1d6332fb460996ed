"""Comparing staged folders, stored blobs and rows of users: what storage and database disagree about.

A container's listing goes beside its rows into temporary tables of the database, which compares the two: memory stays
the same however many blobs there are, and the order of the listing, which services define differently, does not
matter. Rows are read as they were before the listing began, so that an import meanwhile disturbs nothing.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.database.reading import pages_by_key
from nachet_pipeline.identifiers import RECEIPT_SUFFIX, receipt_blob, upload_id
from nachet_pipeline.reconciliation.queries import (
    Drift,
    DriftKind,
    KnownFolder,
    ReadablePicture,
    Tally,
    begin_comparison,
    containers_of,
    count_drift,
    drift_page,
    find_bad_blobs,
    find_orphans,
    forget_settled,
    imports_under_way,
    keep,
    keep_found,
    known_folders,
    readable_pictures,
    reconciliation_lock,
    record_found,
    record_known,
    record_listing,
    registered_containers,
    short_sets,
    tally,
    unheld_uploads,
)
from nachet_pipeline.settings import ReconciliationSettings, TransferSettings
from nachet_pipeline.storage.blobs import BlobStorage, ListedBlob, StorageError, TopPage
from nachet_pipeline.support.bounded import bounded_map
from nachet_pipeline.support.progress import Progress, silent
from nachet_pipeline.uploads.importing import read_receipt
from nachet_pipeline.users.queries import all_users
from nachet_pipeline.users.user import User

log = logging.getLogger(__name__)

_RECEIPT_BYTES = 16 * 1024**2
"""More is no receipt: whoever has a key can put anything under that name."""


@dataclass(slots=True)
class Compared:
    """The result of comparing; the disagreements themselves are in the table `drift`.

    Attributes:
        users: those that were compared.
        blobs: stored blobs that were listed.
        pictures: rows of pictures.
        read: pictures whose bytes were read: all, or those whose kept checksum is suspicious.
        under_way: stored blobs without row that an import may still be working on.
        tallies: the disagreements, counted.
        seconds: how long it took.
    """

    users: list[User] = field(default_factory=list)
    blobs: int = 0
    pictures: int = 0
    read: int = 0
    under_way: int = 0
    tallies: list[Tally] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def drift(self) -> int:
        """Number of disagreements."""
        return sum(one.number for one in self.tallies)

    def number_of(self, kind: DriftKind) -> int:
        """Number of disagreements of a kind."""
        return sum(one.number for one in self.tallies if one.kind is kind)


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares users' staging, storage and rows.

    Attributes:
        database: has the rows, and takes what is found.
        blobs: the storage account.
        settings: patience and grace.
        transfer: how many pictures are read at a time.
        progress: called after each user.
        margin: an orphan is at least so much older than the rows that were read; clocks differ.
    """

    database: Database
    blobs: BlobStorage
    settings: ReconciliationSettings
    transfer: TransferSettings
    progress: Progress = silent
    margin: timedelta = timedelta(minutes=1)

    def compare(self, user: User | None = None, *, read: bool = False) -> Compared:
        """Compare a user's staging, storage and rows, or those of all users.

        Args:
            user: the one user; all of them if not given.
            read: read every picture and compare its bytes, instead of the checksum in its metadata.

        Raises:
            ReconciliationBusyError: another process compares right now.
            StorageError: storage does not answer.
            DatabaseError: the database does not answer.
        """
        begin = time.monotonic()
        result = Compared()
        with self.database.connection() as lock, reconciliation_lock(lock):
            result.users = [user] if user else self.database.call(all_users)
            for done, one in enumerate(result.users, start=1):
                self._compare_user(one, result, read=read)
                self.progress(done, len(result.users))
            self.count(result)
        result.seconds = time.monotonic() - begin
        return result

    def count(self, result: Compared) -> None:
        """Count the known disagreements again: some may have been repaired."""
        result.tallies = self.database.call(tally, [user.id for user in result.users])

    def drift_of(self, users: Sequence[User]) -> Iterator[Drift]:
        """The known disagreements of these users, read in pages."""
        for user in users:
            page = partial(drift_page, owner=user.id)
            yield from pages_by_key(self.database, page, first=0, key=lambda drift: drift.number)

    def _compare_user(self, user: User, result: Compared, *, read: bool) -> None:
        run = uuid4()
        containers = self.database.call(containers_of, user.id)
        if user.user_container not in containers:
            containers.append(user.user_container)
        for container in containers:
            with self.database.connection() as connection:
                compared = self.compare_container(connection, user, container, read=read)
                keep_found(connection, run)
            result.blobs += compared.blobs
            result.pictures += compared.pictures
            result.read += compared.read
            result.under_way += compared.under_way
        with self.database.connection() as connection:
            keep(connection, run, self._missing_containers(connection, user))
            keep(connection, run, self._of_uploads(connection, user))
            forget_settled(connection, user.id, run)

    def _missing_containers(self, connection: Connection, user: User) -> Iterator[Drift]:
        for container in registered_containers(connection, user.id):
            if not self.blobs.container_exists(container):
                detail = f"there is no such container in {self.blobs.account_url}"
                yield Drift(DriftKind.MISSING_CONTAINER, user.id, container, "", detail=detail)

    # Stored blobs

    def compare_container(
        self, connection: Connection, user: User, container: str, *, picture_set: UUID | None = None, read: bool = False
    ) -> "ComparedContainer":
        """Compare a container's blobs with a user's rows that point there; what differs is left in the transaction.

        Blobs without row are looked for in the user's own container alone: in a container that was there before the
        pipeline, blobs that it did not import are none of its business.

        Args:
            connection: without a transaction; one is begun.
            user: whose rows.
            container: the container; one that does not exist counts as empty.
            picture_set: the one picture set to look at; orphans are then not looked for.
            read: compare bytes.
        """
        own = container == user.user_container
        now = begin_comparison(connection)
        busy = own and imports_under_way(connection, user.id)
        prefix = f"{picture_set}/" if picture_set and own else ""
        compared = ComparedContainer(record_listing(connection, self._listing(container, prefix)))
        compared.pictures = record_known(connection, user.id, container, own=own, picture_set=picture_set)
        find_bad_blobs(connection, user.id, container)
        if own and picture_set is None:
            grace = timedelta(days=self.settings.orphan_grace_days) if busy else self.margin
            compared.under_way = find_orphans(connection, user.id, container, settled_before=now - grace)
        compared.read = self._read(connection, user, container, all_of_them=read)
        compared.found = count_drift(connection)
        return compared

    def _listing(self, container: str, prefix: str) -> Iterator[ListedBlob]:
        if self.blobs.container_exists(container):
            yield from self.blobs.listing(container, prefix)

    def _read(self, connection: Connection, user: User, container: str, *, all_of_them: bool) -> int:
        """Compare the bytes of pictures with their rows: of all, or of those whose kept checksum is suspicious."""

        def digest(picture: ReadablePicture) -> tuple[ReadablePicture, str | None]:
            # The next comparison reports what changed since it was listed.
            found = self.blobs.checksum_of(container, picture.name)
            return picture, found.sha256 if found and found.version == picture.version else None

        done = 0
        pictures = readable_pictures(connection, own=container == user.user_container, all_of_them=all_of_them)
        workers = self.transfer.transfer_concurrency
        for picture, found in bounded_map(digest, pictures, workers=workers, name="reconcile"):
            done += found is not None
            if found not in {None, picture.sha256}:
                record_found(connection, _other_bytes(user, container, picture, found))
        return done

    # Uploads

    def _of_uploads(self, connection: Connection, user: User) -> Iterator[Drift]:
        known = known_folders(connection, user.id, self.settings.reconcile_patience_hours)
        top = self._top_level(user)
        staged, beside = set(top.folders), set(top.blobs)
        yield from self._unanswered(user, staged, beside, known)
        for short in short_sets(connection, user.id):
            yield Drift(
                DriftKind.RECEIPT_WITHOUT_ROWS,
                user.id,
                user.upload_container,
                short.folder,
                str(short.picture_set),
                picture_set_id=short.picture_set,
                upload_id=short.upload,
                detail=f"the receipt tells of {short.pictures} pictures, {short.rows} have rows",
            )
        yield from self._unknown_receipts(user, beside, known)
        yield from _stalled(connection, user, known)

    def _top_level(self, user: User) -> TopPage:
        try:
            return self.blobs.top_level(user.upload_container)
        except StorageError:
            if self.blobs.container_exists(user.upload_container):
                raise
            return TopPage([], [], "")

    def _unanswered(
        self, user: User, staged: set[str], beside: set[str], known: dict[str, KnownFolder]
    ) -> Iterator[Drift]:
        """Staged folders that have no receipt and should."""
        patience = timedelta(hours=self.settings.reconcile_patience_hours)
        for folder in sorted(staged):
            if receipt_blob(folder) in beside:
                continue
            upload = known.get(folder)
            if upload is None:
                try:
                    files = self.blobs.files(user.upload_container, folder)
                    changed = max((file.modified for file in files), default=None)
                except StorageError as error:
                    if not self.blobs.answers(user.upload_container):
                        raise
                    log.warning("the folder %s of %s cannot be listed: %s", folder, user.email, error)
                    continue
                if changed is None or datetime.now(UTC) - changed < patience:
                    continue
                detail, since, identifier = "no run was ever asked for", changed, None
            elif State(upload.state).has_ended:
                detail, since, identifier = f"{upload.state}, and no receipt beside it", upload.since, upload.upload
            elif upload.state == "staged" and upload.waits:
                detail, since, identifier = "it waits to be taken up", upload.since, upload.upload
            else:
                continue
            yield Drift(
                DriftKind.STAGED_WITHOUT_RECEIPT,
                user.id,
                user.upload_container,
                folder,
                upload_id=identifier,
                modified=since,
                detail=detail,
            )

    def _unknown_receipts(self, user: User, beside: set[str], known: dict[str, KnownFolder]) -> Iterator[Drift]:
        """Receipts of uploads that the database does not know; a user's own file that is called so is none."""
        for name in sorted(beside):
            folder = name.removesuffix(RECEIPT_SUFFIX)
            if folder == name or folder in known:
                continue
            receipt = read_receipt(self.blobs, user.upload_container, folder, limit=_RECEIPT_BYTES)
            if receipt and receipt.upload == upload_id(user.id, folder):
                yield Drift(
                    DriftKind.RECEIPT_WITHOUT_ROWS,
                    user.id,
                    user.upload_container,
                    folder,
                    str(receipt.upload),
                    detail="the database does not know this upload",
                )


def _stalled(connection: Connection, user: User, known: dict[str, KnownFolder]) -> Iterator[Drift]:
    """Uploads that wait for a run for too long, or whose run died and nobody noticed."""
    waiting = {one.upload: one for one in known.values() if one.waits and one.state in {"queued", "importing"}}
    for upload in sorted(unheld_uploads(connection, list(waiting)), key=str):
        one = waiting[upload]
        why = "its run ended before it was done" if one.state == "importing" else "no run came of what was asked for"
        yield Drift(
            DriftKind.STALLED_UPLOAD,
            user.id,
            user.upload_container,
            one.folder,
            str(upload),
            upload_id=upload,
            modified=one.since,
            detail=f"{one.state}: {why}",
        )


@dataclass(slots=True)
class ComparedContainer:
    """The result of comparing one container.

    Attributes:
        blobs: that were listed.
        pictures: rows that point there.
        read: pictures whose bytes were read.
        under_way: blobs without row that are too young to judge.
        found: disagreements by kind.
    """

    blobs: int
    pictures: int = 0
    read: int = 0
    under_way: int = 0
    found: dict[DriftKind, int] = field(default_factory=dict)


def _other_bytes(user: User, container: str, picture: ReadablePicture, found: str | None) -> Drift:
    return Drift(
        DriftKind.CHECKSUM_MISMATCH,
        user.id,
        container,
        picture.name,
        str(picture.picture_id),
        picture_id=picture.picture_id,
        picture_set_id=picture.picture_set_id,
        upload_id=picture.upload_id,
        size=picture.size,
        sha256=picture.sha256,
        found_size=picture.size,
        found_sha256=found,
        version=picture.version,
    )
