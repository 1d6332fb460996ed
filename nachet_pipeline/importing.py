"""Importing one staged upload from validation to receipt: what the import job does for each of its partitions."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from nachet_pipeline.contract.findings import RULE_SET_VERSION
from nachet_pipeline.contract.folder import FileChangedError
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.manifest import ManifestSession
from nachet_pipeline.contract.receipt import Receipt, ReceivedPictureSet, State
from nachet_pipeline.contract.validation import Validation, validate
from nachet_pipeline.database.connection import Database, DatabaseError
from nachet_pipeline.database.pictures import RecordedSet, RowsWritten, record_picture_sets
from nachet_pipeline.database.records import PictureSetRecord, picture_set_record
from nachet_pipeline.database.uploads import (
    Upload,
    close_upload,
    find_upload,
    mark_importing,
    upload_lock,
    upload_of_partition,
)
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.pictures.inspection import Limits
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.settings import ImportSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.storage.naming import descriptor_blob, receipt_blob
from nachet_pipeline.storage.staged_folder import StagedFolder
from nachet_pipeline.storage.storing import Stored, store_manifest, store_pictures

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Told the step (`validating`, `storing`), how many pictures are done, and how many there are."""


def decoding_settings(settings: ImportSettings) -> DecodingSettings:
    """How the settings say pictures are decoded."""
    return DecodingSettings(
        workers=settings.decode_workers,
        seconds=settings.decode_seconds,
        memory_bytes=settings.decode_memory_mib * 1024**2,
        limits=Limits(
            file_bytes=settings.max_picture_mib * 1024**2,
            pixels=settings.max_megapixels * 1_000_000,
            side=settings.max_side_pixels,
        ),
    )


class UnknownUploadError(LookupError):
    """There is no upload of this identifier."""


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
    """

    upload: Upload
    receipt: Receipt
    validation: Validation | None = None
    stored: Stored | None = None
    rows: RowsWritten | None = None
    seconds: dict[str, float] = field(default_factory=dict)


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
        with self.database.connection() as connection:
            upload = upload_of_partition(connection, key)
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
        with self.database.connection() as connection:
            upload = find_upload(connection, upload_id)
        if upload is None:
            raise UnknownUploadError(f"there is no upload {upload_id}")
        return self._import_alone(upload)

    def _import_alone(self, upload: Upload) -> ImportOutcome:
        """Import an upload while no other run does."""
        started = datetime.now(UTC)
        outcome: ImportOutcome | None = None
        try:
            with self.database.connection() as connection, upload_lock(connection, upload.id):
                outcome = self._attempt(upload, started)
        except DatabaseError as error:
            if outcome is None:
                outcome = self._failed(upload, started, error)
            else:
                # All is written; the connection that held the lock was lost, and the lock with it.
                log.warning("the lock of %s was lost: %s", upload.partition, error)
        write_receipt(self.blobs, outcome.upload, outcome.receipt)
        return outcome

    def _attempt(self, upload: Upload, started: datetime) -> ImportOutcome:
        try:
            return self._import(upload, started)
        except (StorageError, DatabaseError, FileChangedError, OSError) as error:
            return self._failed(upload, started, error)

    def _failed(self, upload: Upload, started: datetime, error: Exception) -> ImportOutcome:
        log.warning("upload %s failed: %s", upload.partition, error)
        receipt = _receipt(upload, State.FAILED, self.run_id, started, failure=str(error))
        with self.database.connection() as connection:
            close_upload(connection, receipt)
        return ImportOutcome(upload, receipt)

    def _import(self, upload: Upload, started: datetime) -> ImportOutcome:
        with self.database.connection() as connection:
            mark_importing(connection, upload.id, self.run_id)
        clock = _Clock()
        with Inventory() as inventory:
            validation = validate(
                StagedFolder(self.blobs, upload.staging_container, upload.folder),
                inventory,
                self.pool,
                self.registry,
                owner=upload.owner,
                readers=self.settings.transfer_concurrency,
                progress=self._tell("validating"),
            )
            clock.lap("validate")
            if not validation.report.importable:
                receipt = _receipt(upload, State.REFUSED, self.run_id, started, validation)
                with self.database.connection() as connection:
                    close_upload(connection, receipt)
                return ImportOutcome(upload, receipt, validation, seconds=clock.laps)
            stored, sets = self._store(upload, validation, inventory)
            clock.lap("store")
            receipt = _receipt(upload, State.IMPORTED, self.run_id, started, validation, sets)
            with self.database.connection() as connection:
                rows = record_picture_sets(
                    connection,
                    sets,
                    inventory,
                    self.registry,
                    upload=upload.id,
                    owner=upload.owner.id,
                    container=upload.final_container,
                )
                close_upload(connection, receipt)
            clock.lap("record")
        return ImportOutcome(upload, receipt, validation, stored, rows, clock.laps)

    def _store(self, upload: Upload, validation: Validation, inventory: Inventory) -> tuple[Stored, list[RecordedSet]]:
        pictures = size = new = 0
        sets = []
        tell = self._tell("storing")
        for session in validation.sessions:
            stored = store_pictures(
                self.blobs,
                inventory,
                session,
                staging=upload.staging_container,
                folder=upload.folder,
                final=upload.final_container,
                concurrency=2 * self.settings.transfer_concurrency,
                progress=_from(tell, pictures, validation.pictures),
            )
            manifest = store_manifest(self.blobs, inventory, session, final=upload.final_container)
            record = picture_set_record(
                session,
                upload=upload.id,
                folder=upload.folder,
                manifest=manifest,
                rule_set_version=RULE_SET_VERSION,
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
    failure: str | None = None,
) -> Receipt:
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
        pictures=validation.pictures if validation else 0,
        size=validation.size if validation else 0,
        container=upload.final_container if state is State.IMPORTED else None,
        picture_sets=[_received(item) for item in sets or []],
        report=validation.report if validation else None,
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


def fail_upload(database: Database, blobs: BlobStorage, upload: Upload, failure: str) -> Receipt:
    """Write the receipt that a run owes when it died without one."""
    receipt = _receipt(upload, State.FAILED, upload.run_id, datetime.now(UTC), failure=failure)
    with database.connection() as connection:
        close_upload(connection, receipt)
    write_receipt(blobs, upload, receipt)
    return receipt


def _put_json(blobs: BlobStorage, container: str, blob: str, content: bytes, *, overwrite: bool = True) -> bool:
    return blobs.upload(container, blob, content, content_type="application/json", overwrite=overwrite)
