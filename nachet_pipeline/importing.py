"""Importing one staged upload from validation to receipt: what the import job does for each of its partitions."""

import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from nachet_pipeline.contract.duplicates import Candidate, Match
from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.folder import FileChangedError
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.manifest import ManifestSession
from nachet_pipeline.contract.receipt import Receipt, ReceivedPictureSet, RefusedSession, State
from nachet_pipeline.contract.report import Report
from nachet_pipeline.contract.report_page import as_page
from nachet_pipeline.contract.validation import Validation, validate
from nachet_pipeline.database.connection import Connection, Database, DatabaseError
from nachet_pipeline.database.duplicates import find_duplicates
from nachet_pipeline.database.pictures import RecordedSet, RowsWritten, record_picture_sets
from nachet_pipeline.database.records import PictureSetRecord, picture_set_record
from nachet_pipeline.database.uploads import (
    Upload,
    close_upload,
    find_upload,
    keep_upload,
    look_again,
    mark_importing,
    note_receipt,
    upload_lock,
    upload_of_partition,
)
from nachet_pipeline.limits import contract_limits
from nachet_pipeline.phrases import verbatim
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.pictures.workers import WorkersUnavailableError
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.settings import ImportSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.storage.naming import descriptor_blob, receipt_blob, report_blob
from nachet_pipeline.storage.staged_folder import StagedFolder
from nachet_pipeline.storage.storing import Stored, StoredBlobError, store_manifest, store_pictures

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Told the step (`validating`, `storing`), how many pictures are done, and how many there are."""


class UnknownUploadError(LookupError):
    """There is no upload of this identifier."""


class TakenOverError(Exception):
    """Another run works on the upload, because this one lost its lock with its connection."""


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """How the import of one upload ended.

    Attributes:
        upload: the upload.
        receipt: what its user reads.
        validation: the manifest's summary, None if validation did not come to an end.
        stored: pictures stored, if it was imported.
        rows: rows changed, if it was imported.
        seconds: how long each step took.
        wrong_blob: which stored picture is not what was validated, if one is not.
    """

    upload: Upload
    receipt: Receipt
    validation: Validation | None = None
    stored: Stored | None = None
    rows: RowsWritten | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    wrong_blob: str | None = None


@dataclass(slots=True)
class Importer:
    """Imports uploads, one at a time; everything that is shared between them is opened once.

    Attributes:
        database: where rows go.
        blobs: where pictures are.
        pool: decodes pictures.
        registry: the registered seeds.
        settings: limits and concurrency.
        run_id: the Dagster run that does it.
        progress: told about long work.
    """

    database: Database
    blobs: BlobStorage
    pool: DecodingPool
    registry: SeedRegistry
    settings: ImportSettings
    run_id: str
    progress: Progress | None = None

    def import_partition(self, key: str) -> ImportOutcome:
        """Import the upload of a Dagster partition; see `import_upload`.

        Raises:
            UnknownUploadError: there is no such upload.
            ValueError: the key is not that of an upload.
        """
        upload = self.database.transact(lambda connection: upload_of_partition(connection, key))
        if upload is None:
            raise UnknownUploadError(f"there is no upload of the partition {key}")
        return self._import_alone(upload)

    def import_upload(self, upload_id: UUID) -> ImportOutcome:
        """Import an upload, or say why not.

        What is wrong with the folder ends as a refusal, what is wrong with the services as a failure; either way the
        receipt says so, nothing is stored half, and another call completes what this one began.

        Raises:
            UnknownUploadError: there is no such upload.
            DatabaseError: the database cannot even take the receipt.
        """
        upload = self.database.transact(lambda connection: find_upload(connection, upload_id))
        if upload is None:
            raise UnknownUploadError(f"there is no upload {upload_id}")
        return self._import_alone(upload)

    def _import_alone(self, upload: Upload) -> ImportOutcome:
        """Import an upload while no other run does."""
        started = datetime.now(UTC)
        outcome: ImportOutcome | None = None
        begun = taken_over = False
        try:
            with self.database.connection() as connection, upload_lock(connection, upload.id):
                begun = True
                try:
                    outcome = self._attempt(upload, started)
                except TakenOverError as error:
                    log.warning("upload %s: %s", upload.partition, error)
                    taken_over = True
                    outcome = ImportOutcome(
                        upload, _receipt(upload, State.FAILED, self.run_id, started, failure=str(error))
                    )
        except DatabaseError as error:
            if outcome is None and begun:
                raise
            if outcome is None:
                outcome = self._failed(upload, started, error)
            else:
                # All is written; the connection that held the lock was lost, and the lock with it.
                log.warning("the lock of %s was lost: %s", upload.partition, error)
        if not taken_over:  # or the receipt is the other run's to write
            write_receipt(self.blobs, outcome.upload, outcome.receipt)
        return outcome

    def _attempt(self, upload: Upload, started: datetime) -> ImportOutcome:
        self.database.transact(lambda connection: mark_importing(connection, upload.id, self.run_id))
        try:
            return self._import(upload, started)
        except sqlite3.Error as error:
            # What is known of the upload lies in a temporary file; of a full disk SQLite says it in its own way.
            return self._failed(upload, started, OSError(f"the temporary file of the import: {error}"), ours=True)
        except (StorageError, DatabaseError, FileChangedError, WorkersUnavailableError, OSError) as error:
            return self._failed(upload, started, error, ours=True)
        except TakenOverError:
            raise
        except Exception as error:  # a defect: the receipt says so, and whoever called sees it
            failed = self._failed(upload, started, RuntimeError(f"{type(error).__name__}: {error}"), ours=True)
            write_receipt(self.blobs, upload, failed.receipt)
            raise

    def _failed(self, upload: Upload, started: datetime, error: Exception, *, ours: bool = False) -> ImportOutcome:
        log.warning("upload %s failed: %s", upload.partition, error)
        receipt = _receipt(upload, State.FAILED, self.run_id, started, failure=str(error))
        wrong = str(error) if isinstance(error, StoredBlobError) else None
        self.database.transact(lambda connection: self._close(connection, receipt, ours=ours))
        return ImportOutcome(upload, receipt, wrong_blob=wrong)

    def _close(self, connection: Connection, receipt: Receipt, *, ours: bool = True) -> None:
        """Note how the import ended, unless another run has the upload meanwhile.

        Raises:
            TakenOverError: another run has it.
        """
        if ours and not keep_upload(connection, receipt.upload, self.run_id):
            raise TakenOverError("another run took it over, after this one had lost its connection to the database")
        close_upload(connection, receipt)

    def _import(self, upload: Upload, started: datetime) -> ImportOutcome:
        if upload.owner_disabled:
            return ImportOutcome(upload, refuse_disabled(self.database, upload, self.run_id))
        clock = _Clock()
        with Inventory(rule_set=self.settings.rule_set()) as inventory:
            validation = validate(
                StagedFolder(self.blobs, upload.staging_container, upload.folder),
                inventory,
                self.pool,
                self.registry,
                owner=upload.owner,
                limits=contract_limits(self.settings),
                readers=self.settings.transfer_concurrency,
                progress=self._tell("validating"),
                known=self._stored_already,
                early=lambda report: self._tell_early(upload, started, report),
            )
            clock.lap("validate")
            accepted = validation.accepted(accept_valid=upload.accept_valid)
            page = self._write_page(upload, validation.report, inventory, partly=bool(accepted))
            if not accepted:
                receipt = _receipt(upload, State.REFUSED, self.run_id, started, validation, page=page)
                self.database.transact(lambda connection: self._close(connection, receipt))
                return ImportOutcome(upload, receipt, validation, seconds=clock.laps)
            stored, sets = self._store(upload, accepted, inventory)
            clock.lap("store")
            state = State.IMPORTED if len(accepted) == len(validation.sessions) else State.PARTLY_IMPORTED
            receipt = _receipt(upload, state, self.run_id, started, validation, sets, page=page)

            def record(connection: Connection) -> RowsWritten:
                rows = record_picture_sets(
                    connection,
                    sets,
                    inventory,
                    self.registry,
                    upload=upload.id,
                    owner=upload.owner.id,
                    container=upload.final_container,
                )
                self._close(connection, receipt)
                return rows

            rows = self.database.transact(record)
            clock.lap("record")
        return ImportOutcome(upload, receipt, validation, stored, rows, clock.laps)

    def _stored_already(self, candidates: Sequence[Candidate], own: Collection[UUID]) -> Mapping[str, Match]:
        return self.database.transact(lambda connection: find_duplicates(connection, candidates, apart_from=own))

    def _tell_early(self, upload: Upload, started: datetime, report: Report) -> None:
        """Let the uploader read what refuses the upload while its pictures are still being looked at."""
        receipt = _receipt(upload, State.IMPORTING, self.run_id, started).model_copy(
            update={"report": report, "finished_at": None}
        )
        self.database.transact(lambda connection: note_receipt(connection, receipt))
        write_receipt(self.blobs, upload, receipt)

    def _write_page(self, upload: Upload, report: Report, inventory: Inventory, *, partly: bool) -> str | None:
        """Write the report for people beside the staged folder; a report without a finding needs none.

        Returns:
            Its blob, None if there is none: it repeats the receipt, so that storage's trouble with it changes nothing.
        """
        blob = report_blob(upload.folder)
        try:
            if not report.groups:
                if upload.receipt and upload.receipt.report_page:
                    self.blobs.delete(upload.staging_container, blob)
                return None
            page = as_page(report, title=upload.folder, thumbnails=dict(inventory.thumbnails()), partly=partly)
            self.blobs.upload(
                upload.staging_container, blob, page.encode(), content_type="text/html; charset=utf-8", overwrite=True
            )
        except StorageError as error:
            log.warning("the report of %s is not written beside its folder: %s", upload.partition, error)
            return None
        return blob

    def _store(
        self, upload: Upload, sessions: list[ManifestSession], inventory: Inventory
    ) -> tuple[Stored, list[RecordedSet]]:
        pictures = size = new = 0
        sets = []
        tell = self._tell("storing")
        total = sum(session.pictures for session in sessions)
        for session in sessions:
            stored = store_pictures(
                self.blobs,
                inventory,
                session,
                staging=upload.staging_container,
                folder=upload.folder,
                final=upload.final_container,
                concurrency=2 * self.settings.transfer_concurrency,
                verification=self.settings.verify_stored,
                progress=_from(tell, pictures, total),
            )
            manifest = store_manifest(self.blobs, inventory, session, final=upload.final_container)
            record = picture_set_record(
                session,
                upload=upload.id,
                folder=upload.folder,
                manifest=manifest,
                rule_set_version=inventory.rule_set.version,
                owner_email=upload.owner.email,
            )
            self._describe(upload, session, record)
            sets.append(RecordedSet(session, record))
            pictures, size, new = pictures + stored.pictures, size + stored.size, new + stored.new
        return Stored(pictures, size, new), sets

    def _describe(self, upload: Upload, session: ManifestSession, record: PictureSetRecord) -> None:
        """Write the picture set's descriptor beside its pictures."""
        if session.picture_set_id is None:
            raise ValueError(f"session {session.path!r} has no owner, so it cannot be described")
        content = record.model_dump_json(indent=2).encode()
        blob = descriptor_blob(session.picture_set_id)
        new = _put_json(self.blobs, upload.final_container, blob, content, overwrite=False)
        if not new and self.blobs.read(upload.final_container, blob) != content:
            _put_json(self.blobs, upload.final_container, blob, content)

    def _tell(self, step: str) -> Callable[[int, int], None] | None:
        progress = self.progress
        return (lambda done, total: progress(step, done, total)) if progress else None


def _from(tell: Callable[[int, int], None] | None, before: int, total: int) -> Callable[[int], None] | None:
    """Counts a session's pictures on top of those of the sessions before it."""
    return (lambda done: tell(before + done, total)) if tell else None


class _Clock:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = datetime.now(UTC)

    def lap(self, name: str) -> None:
        now = datetime.now(UTC)
        self.laps[name] = (now - self._last).total_seconds()
        self._last = now


def _receipt(
    upload: Upload,
    state: State,
    run_id: str | None,
    started: datetime,
    validation: Validation | None = None,
    sets: list[RecordedSet] | None = None,
    *,
    page: str | None = None,
    failure: str | None = None,
) -> Receipt:
    received = [_received(item) for item in sets or []]
    imported = {item.session for item in received}
    left = [one for one in validation.sessions if one.path not in imported] if validation and received else []
    return Receipt(
        upload=upload.id,
        partition=upload.partition,
        owner=upload.owner.email,
        folder=upload.folder,
        state=state,
        run_id=run_id,
        started_at=started,
        finished_at=datetime.now(UTC),
        content_digest=validation.content_digest if validation else None,
        pictures=sum(item.pictures for item in received) or (validation.pictures if validation else 0),
        size=sum(item.size for item in received) or (validation.size if validation else 0),
        container=upload.final_container if received else None,
        picture_sets=received,
        refused_sessions=[RefusedSession(session=one.path, pictures=one.pictures) for one in left],
        report=validation.report if validation else None,
        report_page=page,
        failure=failure,
    )


def _received(item: RecordedSet) -> ReceivedPictureSet:
    session = item.session
    if session.picture_set_id is None or session.seed is None:
        raise ValueError(f"session {session.path!r} is not importable")
    return ReceivedPictureSet(
        id=session.picture_set_id,
        session=session.path,
        seed=session.seed.scientific_name,
        pictures=session.pictures,
        size=session.size,
        manifest=item.record.audit_trail.manifest,
    )


def write_receipt(blobs: BlobStorage, upload: Upload, receipt: Receipt) -> None:
    """Put an upload's receipt beside its staged folder.

    The database has it already: should storage not answer now, the sensor finds it missing and writes it later.
    """
    content = receipt.model_dump_json(indent=2, exclude_none=True).encode()
    try:
        _put_json(blobs, upload.staging_container, receipt_blob(upload.folder), content)
    except StorageError as error:
        log.warning("the receipt of %s is not written beside its folder yet: %s", upload.partition, error)


def refuse_disabled(database: Database, upload: Upload, run_id: str | None = None) -> Receipt:
    """Refuse an upload unread, because its owner is disabled; it is due again as soon as they are enabled.

    The caller writes the receipt beside the folder.
    """
    receipt = _receipt(upload, State.REFUSED, run_id, datetime.now(UTC)).model_copy(
        update={"report": Report.of_findings([Finding(code="disabled-uploader", found=verbatim(upload.owner.email))])}
    )
    with database.connection() as connection:
        close_upload(connection, receipt)
        look_again(connection, upload.id)
    return receipt


def fail_upload(database: Database, blobs: BlobStorage, upload: Upload, failure: str) -> Receipt:
    """Write the receipt that a run owes when it died without one."""
    receipt = _receipt(upload, State.FAILED, upload.run_id, datetime.now(UTC), failure=failure)
    with database.connection() as connection:
        close_upload(connection, receipt)
    write_receipt(blobs, upload, receipt)
    return receipt


def _put_json(blobs: BlobStorage, container: str, blob: str, content: bytes, *, overwrite: bool = True) -> bool:
    return blobs.upload(container, blob, content, content_type="application/json", overwrite=overwrite)
