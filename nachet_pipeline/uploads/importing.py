"""Imports one staged upload, from validation to receipt: what the import job does for each partition."""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from uuid import UUID

from pydantic import ValidationError

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.manifest import ManifestSession
from nachet_pipeline.contract.receipt import Receipt, ReceivedPictureSet, RefusedSession, Spread, State
from nachet_pipeline.contract.report import Report
from nachet_pipeline.contract.report_page import CountedPicture, receipt_page
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.contract.shown import species_in_words
from nachet_pipeline.contract.stored import Correction
from nachet_pipeline.contract.submission import submission_of
from nachet_pipeline.contract.validation import Validation, WithdrawnError, validate
from nachet_pipeline.database.connection import Connection, Database, DatabaseError
from nachet_pipeline.errors import UnavailableError
from nachet_pipeline.folders.moving import FolderDamagedError, Move, copy_verified
from nachet_pipeline.folders.queries import pictures_of, sets_elsewhere
from nachet_pipeline.identifiers import receipt_blob, report_blob
from nachet_pipeline.picture_sets.queries import RowsWritten, record_picture_sets
from nachet_pipeline.picture_sets.records import Origin, RecordedSet
from nachet_pipeline.picture_sets.stored_upload import StoredUpload
from nachet_pipeline.picture_sets.storing import StoredBlobError, StoredCounts, store_picture_set
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.pictures.workers import WorkersUnavailableError
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.settings import TransferSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError, TooLargeError
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline.support.machine import full_disk
from nachet_pipeline.support.progress import Progress, StepProgress, silent
from nachet_pipeline.uploads.queries import (
    ask_for_it_alone,
    close_upload,
    find_upload,
    keep_unless_changed,
    keep_upload,
    look_again,
    mark_importing,
    record_receipt,
    record_staged_digest,
    upload_lock,
    upload_of_partition,
)
from nachet_pipeline.uploads.staged_folder import StagedFolder
from nachet_pipeline.uploads.upload import Upload

log = logging.getLogger(__name__)

_RECEIPT_BYTES = 64 * 1024**2


class UnknownUploadError(LookupError):
    """There is no upload of this identifier."""


class TakenOverError(Exception):
    """Another run took over the upload, because this run lost its connection and with it the lock."""


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """How the import of one upload ended.

    Attributes:
        upload: the upload.
        receipt: the receipt that its user reads.
        validation: the result of the validation, None if it did not finish.
        stored: pictures stored, if it was imported.
        rows: rows changed, if it was imported.
        seconds: how long each step took.
        wrong_blob: a stored picture that differs from what was validated, if there is one.
    """

    upload: Upload
    receipt: Receipt
    validation: Validation | None = None
    stored: StoredCounts | None = None
    rows: RowsWritten | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    wrong_blob: str | None = None


@dataclass(slots=True)
class Importer:
    """Imports uploads, one at a time, with shared connections and decoders.

    Attributes:
        database: where rows go.
        blobs: where pictures are.
        pool: decodes pictures.
        registry: the registered seeds.
        rules: the rule set to validate by.
        limits: how much is read and kept in memory.
        transfer: how pictures are read and stored.
        run_id: the Dagster run that imports.
        progress: called during long work.
    """

    database: Database
    blobs: BlobStorage
    pool: DecodingPool
    registry: SeedRegistry
    rules: RuleSet
    limits: ContractLimits
    transfer: TransferSettings
    run_id: str
    progress: StepProgress = silent

    def import_partition(self, key: str) -> ImportOutcome:
        """Import the upload of a Dagster partition; see `import_upload`.

        Raises:
            UnknownUploadError: there is no such upload.
        """
        upload = self.database.transact(upload_of_partition, key)
        if upload is None:
            raise UnknownUploadError(f"there is no upload of the partition {key}")
        return self._import_alone(upload)

    def import_upload(self, upload_id: UUID) -> ImportOutcome:
        """Import an upload, or write a receipt that says why not.

        A wrong folder is refused; an unavailable service makes the import fail. Nothing is stored half: another call
        completes what this one began.

        Raises:
            UnknownUploadError: there is no such upload.
            DatabaseError: not even the receipt can be written to the database.
        """
        upload = self.database.transact(find_upload, upload_id)
        if upload is None:
            raise UnknownUploadError(f"there is no upload {upload_id}")
        return self._import_alone(upload)

    def _import_alone(self, upload: Upload) -> ImportOutcome:
        """Import an upload while holding its lock."""
        started = datetime.now(UTC)
        outcome: ImportOutcome | None = None
        taken_over: TakenOverError | None = None
        begun = False
        try:
            with self.database.connection() as connection, upload_lock(connection, upload.id):
                begun = True
                try:
                    outcome = self._attempt(upload, started)
                    # Cropping, which waits for the lock, writes the receipt again.
                    self._tell(outcome)
                except TakenOverError as error:
                    taken_over = error
        except DatabaseError as error:
            if begun and outcome is None and taken_over is None:
                raise
            # Once the import has ended, everything is written, and the lock is not needed any more.
            log.warning("the lock of %s was not taken or lost: %s", upload.partition, error)
            if not begun:
                try:
                    outcome = self._failed(upload, started, error)
                    self._tell(outcome)
                except TakenOverError as other:
                    taken_over = other
        if outcome is None:  # the other run writes the receipt
            log.warning("upload %s: %s", upload.partition, taken_over)
            receipt = _receipt(
                upload, State.FAILED, self.run_id, started, submission=upload.staged_digest, failure=str(taken_over)
            )
            return ImportOutcome(upload, receipt)
        return outcome

    def _tell(self, outcome: ImportOutcome) -> None:
        """Write the receipt beside the folder, and the page of what was not validated; the others have theirs."""
        write = write_outcome if outcome.validation is None else write_receipt
        write(self.blobs, outcome.upload, outcome.receipt)

    def _attempt(self, upload: Upload, started: datetime) -> ImportOutcome:
        self.database.transact(mark_importing, upload.id, self.run_id)
        try:
            return self._import(upload, started)
        except sqlite3.Error as error:
            # The inventory of the upload is a temporary file.
            where = f"the temporary file of the import: {error}"
            return self._failed(upload, started, OSError(full_disk(error, where) or where), ours=True)
        except (StorageError, DatabaseError, FileChangedError, WorkersUnavailableError, OSError) as error:
            return self._failed(upload, started, error, ours=True)
        except TakenOverError:
            raise
        except Exception as error:  # a defect: the receipt says so, and the caller sees it
            failed = self._failed(upload, started, RuntimeError(f"{type(error).__name__}: {error}"), ours=True)
            write_outcome(self.blobs, upload, failed.receipt)
            raise

    def _failed(self, upload: Upload, started: datetime, error: Exception, *, ours: bool = False) -> ImportOutcome:
        log.warning("upload %s failed: %s", upload.partition, error)
        failure = full_disk(error) or str(error)
        receipt = _receipt(upload, State.FAILED, self.run_id, started, submission=upload.staged_digest, failure=failure)
        wrong = str(error) if isinstance(error, StoredBlobError) else None
        # However long a service is unavailable, the upload is imported once it is back, without anybody's help.
        away = wrong is None and (isinstance(error, UnavailableError) or full_disk(error) is not None)
        self.database.transact(self._close, receipt, unbegun=None if ours else upload, away=away)
        return ImportOutcome(upload, receipt, wrong_blob=wrong)

    def _close(
        self, connection: Connection, receipt: Receipt, *, unbegun: Upload | None = None, away: bool = False
    ) -> None:
        """Record how the import ended, unless another run took over the upload.

        Args:
            connection: to the database.
            receipt: how it ended.
            unbegun: the upload as it was read, if this run could not begin to import it.
            away: whether it failed because a service was unavailable or the disk was full.

        Raises:
            TakenOverError: another run has it.
        """
        if unbegun is None:
            if not keep_upload(connection, receipt.upload, self.run_id):
                raise TakenOverError("another run took it over, after this one had lost its connection to the database")
        elif unbegun.state is State.IMPORTING or not keep_unless_changed(connection, unbegun):
            raise TakenOverError("another run has it")
        close_upload(connection, receipt, away=away)

    def _import(self, upload: Upload, started: datetime) -> ImportOutcome:
        if upload.owner_disabled:
            return ImportOutcome(upload, refuse_disabled(self.database, upload, self.run_id))
        clock = _Clock()
        with Inventory(rule_set=self.rules) as inventory:
            try:
                validation = validate(
                    StagedFolder(self.blobs, upload.staging_container, upload.folder),
                    inventory,
                    self.pool,
                    self.registry,
                    owner=upload.owner,
                    limits=self.limits,
                    readers=self.transfer.transfer_concurrency,
                    progress=partial(self.progress, "validating"),
                    stored=StoredUpload(self.database, upload.id, upload.owner.id),
                    replace=upload.replace_wanted,
                    early=lambda report: self._report_early(upload, started, report, submission_of(inventory)),
                )
            except WithdrawnError:  # since the run was requested
                return ImportOutcome(upload, self._withdraw(upload, started, submission_of(inventory)))
            submission = submission_of(inventory)
            clock.lap("validate")
            accepted = validation.accepted(accept_valid=upload.accept_valid)
            thumbnails = {**validation.thumbnails, **dict(inventory.thumbnails())}
            if not accepted:
                receipt = _receipt(upload, State.REFUSED, self.run_id, started, validation, submission=submission)
                write_page(self.blobs, upload, receipt, thumbnails)
                self.database.transact(self._close, receipt)
                return ImportOutcome(upload, receipt, validation, seconds=clock.laps)
            stored, sets = self._store(upload, accepted, inventory)
            clock.lap("store")
            state = State.IMPORTED if len(accepted) == len(validation.sessions) else State.PARTLY_IMPORTED
            before = self.database.transact(find_upload, upload.id)
            receipt = _with_last_correction(
                _receipt(upload, state, self.run_id, started, validation, sets, submission=submission),
                before.receipt if before else None,
            )
            write_page(self.blobs, upload, receipt, thumbnails)

            def record(connection: Connection) -> RowsWritten:
                rows = record_picture_sets(
                    connection,
                    sets,
                    inventory,
                    self.registry,
                    _origin(upload),
                    removed=validation.removed_sessions.values(),
                )
                self._close(connection, receipt)
                return rows

            rows = self.database.transact(record)
            clock.lap("record")
        return ImportOutcome(upload, receipt, validation, stored, rows, clock.laps)

    def _withdraw(self, upload: Upload, started: datetime, submission: str) -> Receipt:
        """Record that the folder was withdrawn; nothing of it is imported."""

        def record(connection: Connection) -> Receipt:
            known = find_upload(connection, upload.id)
            receipt = _withdrawn(upload, known.receipt if known else None, self.run_id, started, submission)
            self._close(connection, receipt)
            record_staged_digest(connection, upload.id, submission)
            return receipt

        return self.database.transact(record)

    def _report_early(self, upload: Upload, started: datetime, report: Report, submission: str) -> None:
        """Write a receipt with what refuses the upload already, while its pictures are still being read."""
        early = _receipt(upload, State.IMPORTING, self.run_id, started, submission=submission).model_copy(
            update={"report": report, "report_page": None, "finished_at": None}
        )

        def record(connection: Connection) -> Receipt:
            # What an earlier import stored is still stored, so the receipt keeps saying what that import changed.
            known = find_upload(connection, upload.id)
            before = known.receipt if known else None
            stored = {name: getattr(before, name) for name in _STORED} if before else {}
            receipt = early.model_copy(update=stored)
            record_receipt(connection, receipt)
            return receipt

        write_receipt(self.blobs, upload, self.database.transact(record))

    def _store(
        self, upload: Upload, sessions: list[ManifestSession], inventory: Inventory
    ) -> tuple[StoredCounts, list[RecordedSet]]:
        sets, counts = [], StoredCounts()
        report = partial(self.progress, "storing")
        total = sum(session.pictures for session in sessions)
        for session in sessions:
            recorded, stored = store_picture_set(
                self.blobs,
                inventory,
                session,
                _origin(upload),
                self.transfer,
                progress=_from(report, counts.pictures, total),
            )
            sets.append(recorded)
            counts += stored
        self._bring_home(upload, [item.session.picture_set_id for item in sets if item.session.picture_set_id])
        return counts, sets

    def _bring_home(self, upload: Upload, picture_sets: list[UUID]) -> None:
        """Copy back what only an archive holds of the picture sets: crops, and pictures sent earlier."""
        final = upload.final_container
        archived = self.database.transact(sets_elsewhere, picture_sets, final)
        for picture_set, container in archived:
            try:
                with self.database.connection() as connection:
                    moves = (
                        Move((container, one.blob), (final, one.usual), one.size, one.sha256)
                        for one in pictures_of(connection, picture_set)
                    )
                    copy_verified(self.blobs, moves)
            except FolderDamagedError as error:
                # A damaged archive keeps no pictures from being imported, and it is not removed.
                log.warning("upload %s: %s", upload.partition, error)


def _origin(upload: Upload) -> Origin:
    return Origin(upload.owner, upload.staging_container, upload.folder, upload=upload.id)


def _from(report: Progress, before: int, total: int) -> Callable[[int], None]:
    """Counts a session's pictures on top of those of the sessions before it."""
    return lambda done: report(before + done, total)


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
    submission: str | None,
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
        submission=submission,
        run_id=run_id,
        staged_at=validation.staged_at if validation else None,
        queued_at=upload.queued_at,
        started_at=started,
        finished_at=datetime.now(UTC),
        content_digest=validation.content_digest if validation else None,
        pictures=sum(item.pictures for item in received) or (validation.pictures if validation else 0),
        size=sum(item.size for item in received) or (validation.size if validation else 0),
        sessions=[
            one.model_copy(update={"imported": one.session in imported})
            for one in (validation.understood if validation else ())
        ],
        number_of_sessions=len(validation.sessions) if validation else 0,
        folder_findings=validation.folder_findings if validation else {},
        quality=Spread.of(validation.quality) if validation else None,
        sharpness=Spread.of(validation.sharpness) if validation else None,
        container=upload.final_container if received else None,
        picture_sets=received,
        waiting=sum(item.session.waiting for item in sets or []),
        correction=sum((item.correction for item in received if item.correction), Correction()) if received else None,
        removed_sessions=sorted(validation.removed_sessions) if validation and received else [],
        refused_sessions=[RefusedSession(session=one.path, pictures=one.pictures) for one in left],
        report=validation.report if validation else None,
        report_page=report_blob(upload.folder),
        failure=failure,
    )


def _received(item: RecordedSet) -> ReceivedPictureSet:
    session = item.session
    if session.picture_set_id is None or not session.shows:
        raise ValueError(f"session {session.path!r} is not importable")
    return ReceivedPictureSet(
        id=session.picture_set_id,
        session=session.path,
        seed=species_in_words([one.model_copy(update={"guess": None}) for one in session.shows]).en,
        shows=session.shows,
        pictures=session.pictures,
        size=session.size,
        manifest=item.record.audit_trail.manifest,
        correction=session.correction,
    )


_NOTHING_IMPORTED = Bilingual(
    "The folder was withdrawn: nothing of it is imported. Staging it again takes that back.",
    "Le dossier a été retiré : rien n'en est importé. Le déposer de nouveau annule ce retrait.",
)
_STAYS = Bilingual(
    "The folder was withdrawn: nothing more of it is imported. What was imported of it before stays; an operator can"
    " delete that. Staging the folder again takes the withdrawal back.",
    "Le dossier a été retiré : rien de plus n'en est importé. Ce qui en a été importé auparavant reste ; un opérateur"
    " peut le supprimer. Déposer de nouveau le dossier annule ce retrait.",
)
_STORED = ("content_digest", "container", "picture_sets", "correction")
"""The fields of a receipt that say what was stored."""


def _with_last_correction(receipt: Receipt, before: Receipt | None) -> Receipt:
    """The receipt; if the import changed nothing, with the correction of the last import that did.

    An import that was killed after it wrote its rows is repeated, and then changes nothing. Its receipt is to be the
    same as without the interruption.
    """
    same = (receipt.content_digest, receipt.container)
    if (
        before is None
        or before.correction is None
        or receipt.correction is None
        or receipt.correction.changes
        or (before.content_digest, before.container) != same
    ):
        return receipt
    corrections = {item.id: item.correction for item in before.picture_sets}
    sets = [
        item.model_copy(update={"correction": corrections.get(item.id, item.correction)})
        for item in receipt.picture_sets
    ]
    return receipt.model_copy(update={"correction": before.correction, "picture_sets": sets})


def _withdrawn(
    upload: Upload, before: Receipt | None, run_id: str | None, started: datetime, submission: str
) -> Receipt:
    """The receipt of a withdrawn folder. It keeps saying what an earlier import stored, because that stays."""
    receipt = _receipt(upload, State.WITHDRAWN, run_id, started, submission=submission)
    if before is None or not before.picture_sets:
        return receipt.model_copy(update={"explanation": _NOTHING_IMPORTED})
    kept = {name: getattr(before, name) for name in (*_STORED, "pictures", "size")}
    return receipt.model_copy(update={**kept, "explanation": _STAYS})


def withdraw_upload(database: Database, blobs: BlobStorage, upload: Upload, submission: str) -> Receipt | None:
    """Close an upload whose user withdrew its folder; nothing that was imported of it is removed.

    Args:
        database: knows the upload.
        blobs: where the folder is staged.
        upload: the upload as it was read.
        submission: what the folder is now; it is due again when it is something else.

    Returns:
        The receipt; None if the upload changed since it was read: then nothing is written.
    """
    with database.connection() as connection:
        if not keep_unless_changed(connection, upload):
            return None
        receipt = _withdrawn(upload, upload.receipt, None, datetime.now(UTC), submission)
        close_upload(connection, receipt)
        record_staged_digest(connection, upload.id, submission)
    write_outcome(blobs, upload, receipt)
    return receipt


def read_receipt(blobs: BlobStorage, container: str, folder: str, *, limit: int = _RECEIPT_BYTES) -> Receipt | None:
    """The receipt beside a folder; None if there is none that can be read.

    Args:
        blobs: the storage account.
        container: the user's upload container.
        folder: the folder's name there.
        limit: more bytes are no receipt. A user with a key can put anything under that name.

    Raises:
        StorageError: storage does not answer.
    """
    try:
        return Receipt.model_validate_json(blobs.read(container, receipt_blob(folder), limit=limit))
    except (FileChangedError, ValidationError, TooLargeError):
        return None


def write_outcome(blobs: BlobStorage, upload: Upload, receipt: Receipt) -> None:
    """Write the receipt of an upload that was not validated, and then its page, beside the staged folder."""
    if write_receipt(blobs, upload, receipt):
        write_page(blobs, upload, receipt)


def write_receipt(blobs: BlobStorage, upload: Upload, receipt: Receipt) -> bool:
    """Write an upload's receipt beside its staged folder.

    The database has it already. If storage does not answer, the sensor finds the receipt missing and writes it later.

    Returns:
        Whether it is written.
    """
    content = receipt.model_dump_json(indent=2, exclude_none=True).encode()
    failing = "the receipt of %s is not written beside its folder yet: %s"
    return _write_beside(blobs, upload, receipt_blob(upload.folder), content, "application/json", failing)


def write_page(
    blobs: BlobStorage,
    upload: Upload,
    receipt: Receipt,
    thumbnails: Mapping[str, bytes] = MappingProxyType({}),
    counted: Sequence[CountedPicture] = (),
) -> None:
    """Write the report page beside the staged folder; a storage error is only logged, for the receipt says the same."""
    page = receipt_page(receipt, thumbnails, counted).encode(errors="backslashreplace")
    failing = "the report of %s is not written beside its folder: %s"
    _write_beside(blobs, upload, report_blob(upload.folder), page, "text/html; charset=utf-8", failing)


def _write_beside(
    blobs: BlobStorage, upload: Upload, blob: str, content: bytes, content_type: str, failing: str
) -> bool:
    """Write a blob beside an upload's staged folder, over one that is there.

    If storage does not answer, that is only logged, as `failing` with the partition and the error.

    Returns:
        Whether it is written.
    """
    try:
        blobs.upload(upload.staging_container, blob, content, content_type=content_type, overwrite=True)
    except StorageError as error:
        log.warning(failing, upload.partition, error)
        return False
    return True


def refuse_disabled(database: Database, upload: Upload, run_id: str | None = None) -> Receipt:
    """Refuse an upload without reading it, because its owner is disabled; it is due again once the owner is enabled.

    The caller writes the receipt beside the folder. Without a run nobody looked at what is staged, so that the receipt
    names no submission.
    """
    submission = upload.staged_digest if run_id else None
    receipt = _receipt(upload, State.REFUSED, run_id, datetime.now(UTC), submission=submission).model_copy(
        update={
            "report": Report.of_findings([Finding(code="disabled-uploader", found=Bilingual.same(upload.owner.email))])
        }
    )
    with database.connection() as connection:
        close_upload(connection, receipt)
        look_again(connection, upload.id)
    return receipt


def fail_upload(
    database: Database, blobs: BlobStorage, upload: Upload, failure: str, *, looked_at: bool = True
) -> Receipt | None:
    """Close an upload whose run died without a receipt; the next run of it takes no other upload.

    Args:
        database: knows the upload.
        blobs: where the folder is staged.
        upload: the upload as it was read.
        failure: the reason.
        looked_at: whether what is staged is known; otherwise the receipt names no submission.

    Returns:
        The receipt; None if the upload changed since it was read: then nothing is written.
    """
    submission = upload.staged_digest if looked_at else None
    receipt = _receipt(upload, State.FAILED, upload.run_id, datetime.now(UTC), submission=submission, failure=failure)
    with database.connection() as connection:
        if not keep_unless_changed(connection, upload):
            log.info("upload %s changed meanwhile; its receipt is left as it is", upload.partition)
            return None
        close_upload(connection, receipt)
        if upload.state is State.IMPORTING:
            ask_for_it_alone(connection, upload.id)
    write_outcome(blobs, upload, receipt)
    return receipt


@contextmanager
def reported_if_full(database: Database, blobs: BlobStorage, upload: Upload) -> Iterator[None]:
    """Close an upload as failed, with the reason in its receipt, if the disk of this machine is full.

    The error is raised again. An import that was under way has reported the reason itself.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if (failure := full_disk(error)) and upload.state is not State.IMPORTING:  # or it is another run's
            fail_upload(database, blobs, upload, failure)
        raise
