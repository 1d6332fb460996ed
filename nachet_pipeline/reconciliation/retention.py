"""Clearing what old imports leave behind: staged folders, partitions in Dagster, events; and old predictions.

A staged folder is the last other copy of what a user sent. It is cleared only when the import is as old as the settings
say, its receipt is in the database, every picture of the receipt has a row, every row has its blob, which is
read and has the right checksum, and the folder is still what was imported. The audit trail records what is cleared
before it is. A folder that its user withdrew is cleared likewise; if nothing of it was imported, there is nothing to
verify. Nothing that was imported is removed.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.audit import PROGRAM, record
from nachet_pipeline.database.connection import Database
from nachet_pipeline.database.reading import pages_by_key
from nachet_pipeline.identifiers import receipt_blob, report_blob
from nachet_pipeline.models.predictions.queries import delete_old_predictions, versions_to_clear
from nachet_pipeline.reconciliation.comparing import Comparer
from nachet_pipeline.reconciliation.queries import short_sets
from nachet_pipeline.reconciliation.retention_queries import (
    begin_clearing,
    clearing_since,
    delete_old_events,
    end_clearing,
    folders_to_clear,
    partitions_to_clear,
    places_of_sets,
    record_partition_cleared,
)
from nachet_pipeline.settings import ArrivalSettings, RetentionSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.uploads.discovery import FolderSnapshot, take_snapshot
from nachet_pipeline.uploads.queries import find_upload, upload_lock
from nachet_pipeline.uploads.staged_folder import StagedFolder
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.user import User

log = logging.getLogger(__name__)

ForgetPartitions = Callable[[Sequence[str]], None]
"""Deletes partitions of uploads from the Dagster instance; one that is not there is no error."""

_FIRST = UUID(int=0)
_PAGE = 200
_ROWS_AT_ONCE = 5000
_CLEARABLE = {State.IMPORTED, State.WITHDRAWN}
_CLOCKS_DIFFER = timedelta(hours=1)


class ClearedKind(StrEnum):
    """The kinds of things that are cleared."""

    FOLDER = "folder"
    PARTITION = "partition"


@dataclass(frozen=True, slots=True)
class Clearing:
    """One thing that was, or would be, cleared, or why it is kept.

    Attributes:
        what: the kind of thing.
        upload: whose.
        owner: e-mail address.
        name: of the folder or the partition.
        files: staged files.
        size: their bytes.
        kept: why it stays; None if it is cleared.
    """

    what: ClearedKind
    upload: UUID
    owner: str
    name: str
    files: int = 0
    size: int = 0
    kept: str | None = None


@dataclass(slots=True)
class Cleared:
    """The result of one run.

    Attributes:
        folders: staged folders.
        partitions: partitions.
        events: events of the outbox.
        predictions: of versions of models.
        size: bytes of the folders.
        kept: folders that are old enough and stay, each with the reason.
        kept_number: how many those are; only the first are listed.
        seconds: how long it took.
    """

    folders: int = 0
    partitions: int = 0
    events: int = 0
    predictions: int = 0
    size: int = 0
    kept: list[Clearing] = field(default_factory=list)
    kept_number: int = 0
    seconds: float = 0.0

    _NAMED = 100

    def add(self, one: Clearing) -> None:
        """Count one."""
        if one.kept:
            self.kept_number += 1
            if len(self.kept) < self._NAMED:
                self.kept.append(one)
        elif one.what is ClearedKind.FOLDER:
            self.folders += 1
            self.size += one.size
        else:
            self.partitions += 1


@dataclass(frozen=True, slots=True)
class Retention:
    """Clears staged folders and partitions of old imports.

    Attributes:
        database: has the uploads.
        blobs: the storage account.
        settings: how long what is kept.
        comparer: compares what was imported with what is stored.
        arrival: when a staged folder is complete.
        limits: how much of a staged folder is read.
        forget_partitions: deletes partitions; without it none is cleared.
        actor: whom the audit trail names.
    """

    database: Database
    blobs: BlobStorage
    settings: RetentionSettings
    comparer: Comparer
    arrival: ArrivalSettings
    limits: ContractLimits
    forget_partitions: ForgetPartitions | None = None
    actor: str = PROGRAM

    def run(self, *, dry_run: bool = False, now: datetime | None = None) -> Cleared:
        """Clear what is due.

        Raises:
            StorageError: storage does not answer; another call goes on.
            DatabaseError: the database does not answer.
        """
        begin, result = time.monotonic(), Cleared()
        for one in self.clear(dry_run=dry_run, now=now):
            result.add(one)
        if not dry_run:
            result.events, result.predictions = self.clear_events(now=now), self.clear_predictions(now=now)
        result.seconds = time.monotonic() - begin
        return result

    def clear(self, *, dry_run: bool = False, now: datetime | None = None) -> Iterator[Clearing]:
        """Clear what is due, one after the other, and yield each; with `dry_run` only yield."""
        moment = now or datetime.now(UTC)
        yield from self._folders(moment - timedelta(days=self.settings.retain_staged_days), dry_run=dry_run)
        if self.forget_partitions:
            before = moment - timedelta(days=self.settings.retain_partitions_days)
            yield from self._partitions(self.forget_partitions, before, dry_run=dry_run)

    def clear_events(self, *, now: datetime | None = None) -> int:
        """Delete events that are old and told, some thousands in each transaction; returns how many."""
        before, cleared = (now or datetime.now(UTC)) - timedelta(days=self.settings.retain_events_days), 0
        while deleted := self.database.call(delete_old_events, before, _ROWS_AT_ONCE):
            cleared += deleted
        return cleared

    def clear_predictions(self, *, now: datetime | None = None) -> int:
        """Delete old predictions that nothing rests on, some thousands in each transaction; returns how many."""
        if not self.settings.retain_predictions_days:
            return 0
        before = (now or datetime.now(UTC)) - timedelta(days=self.settings.retain_predictions_days)
        cleared = 0
        for version in self.database.call(versions_to_clear):
            last: tuple[datetime, UUID] | None = (datetime.min.replace(tzinfo=UTC), _FIRST)
            while last:
                deleted, last = self.database.call(delete_old_predictions, version, before, last, _ROWS_AT_ONCE)
                cleared += deleted
        return cleared

    # Staged folders

    def _folders(self, before: datetime, *, dry_run: bool) -> Iterator[Clearing]:
        due = pages_by_key(
            self.database,
            lambda connection, after: folders_to_clear(connection, before, after=after, most=_PAGE),
            first=_FIRST,
            key=lambda upload: upload,
        )
        for identifier in due:
            if cleared := self._folder(identifier, before, dry_run=dry_run):
                yield cleared

    def _folder(self, identifier: UUID, before: datetime, *, dry_run: bool) -> Clearing | None:
        """Clear a folder while no run imports it; None if it is not due any more, or was never there."""
        with self.database.connection() as lock, upload_lock(lock, identifier):
            with self.database.connection() as connection:
                upload = find_upload(connection, identifier)
                begun = clearing_since(connection, identifier)
            finished = upload.receipt.finished_at if upload and upload.receipt else None
            if upload is None or finished is None or finished >= before or upload.state not in _CLEARABLE:
                return None
            try:
                folder = StagedFolder(self.blobs, upload.staging_container, upload.folder)
                look = take_snapshot(folder, self.arrival, self.limits)
            except StorageError as error:
                if not self.blobs.answers(upload.staging_container):
                    raise
                unseen = Clearing(ClearedKind.FOLDER, upload.id, upload.owner.email, upload.folder)
                return replace(unseen, kept=f"it cannot be listed: {error}")
            clearing = Clearing(
                ClearedKind.FOLDER, upload.id, upload.owner.email, upload.folder, files=look.files, size=look.size
            )
            if begun is None:
                if reason := self._why_kept(upload, look):
                    return replace(clearing, kept=reason)
                if dry_run:
                    return clearing if look.files else None
                self._announce(upload, look)
            elif dry_run:
                return clearing
            self._delete(upload, finished + _CLOCKS_DIFFER)
            self.database.call(end_clearing, upload.id)
            return clearing if look.files or begun else None

    def _why_kept(self, upload: Upload, look: FolderSnapshot) -> str | None:
        """Why a folder that is old enough stays, None if nothing speaks for it."""
        if not look.files:
            return None
        if look.digest != upload.staged_digest:
            return f"the folder is not known to be what was {upload.state}"
        if upload.state is State.WITHDRAWN and not (upload.receipt and upload.receipt.picture_sets):
            return None  # its user gave it up, and nothing of it was imported
        return self.why_unverified(upload)

    def why_unverified(self, upload: Upload) -> str | None:
        """Why an imported upload is not verified, None if its rows and blobs are there and right; blobs are read."""
        receipt = upload.receipt
        if receipt is None or receipt.state not in _CLEARABLE or not receipt.picture_sets:
            return "the database has no receipt that says that it is imported"
        with self.database.connection() as connection:
            short = short_sets(connection, upload.owner.id, upload.id)
            places = places_of_sets(connection, [one.id for one in receipt.picture_sets])
        if short:
            return f"{short[0].pictures - short[0].rows} pictures of the picture set {short[0].picture_set} have no row"
        user = User(upload.owner.id, upload.owner.email)
        for picture_set, container in places:
            compared = self.database.call(
                self.comparer.compare_container, user, container, picture_set=picture_set, read=True
            )
            if compared.found:
                what = ", ".join(f"{count} {kind.value}" for kind, count in sorted(compared.found.items()))
                return f"its pictures are not all as they were stored: {what}"
        return None

    def _announce(self, upload: Upload, look: FolderSnapshot) -> None:
        """Record what is cleared before anything is gone: in the audit trail, and in the row that the sensor reads."""
        with self.database.connection() as connection:
            if not begin_clearing(connection, upload.id):
                raise RuntimeError(f"{upload.partition} changed its state although its lock is held")
            if look.files:
                record(
                    connection,
                    actor=self.actor,
                    action="cleared",
                    subject="staged folder",
                    subject_id=upload.id,
                    before={
                        "container": upload.staging_container,
                        "folder": upload.folder,
                        "files": look.files,
                        "bytes": look.size,
                        "digest": look.digest,
                    },
                )

    def _delete(self, upload: Upload, newest: datetime) -> None:
        """Delete a staged folder, the receipt last; files that came after the import are somebody's new folder."""
        container, newer = upload.staging_container, False
        for file in self.blobs.files(container, upload.folder):
            if file.modified > newest:
                newer = True
            else:
                self.blobs.delete(container, f"{upload.folder}/{file.path}", file.version)
        if not newer:
            self.blobs.delete(container, report_blob(upload.folder))
            self.blobs.delete(container, receipt_blob(upload.folder))

    # Partitions

    def _partitions(self, forget: ForgetPartitions, before: datetime, *, dry_run: bool) -> Iterator[Clearing]:
        due = pages_by_key(
            self.database,
            lambda connection, after: partitions_to_clear(connection, before, after=after, most=_PAGE),
            first=_FIRST,
            key=lambda upload: upload.id,
        )
        for upload in due:
            if dry_run or self._partition(forget, upload):
                yield Clearing(ClearedKind.PARTITION, upload.id, upload.owner.email, upload.partition)

    def _partition(self, forget: ForgetPartitions, upload: Upload) -> bool:
        with self.database.connection() as connection:
            # Its row is held until the partition is gone: the sensor asks for no run of it meanwhile.
            if not record_partition_cleared(connection, upload.id):
                return False
            record(
                connection,
                actor=self.actor,
                action="cleared",
                subject="partition",
                subject_id=upload.id,
                before={"partition": upload.partition},
            )
            forget([upload.partition])
        return True
