"""Repairing disagreements of storage and database, as far as that is safe.

No row is ever removed, no staged file touched, and no blob removed that a row points at or could come to point at.
What needs a person's judgement is reported, with the reason.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.receipt import State
from nachet_pipeline.crops.queries import cut_again, is_superseded
from nachet_pipeline.database.audit import PROGRAM, changing, record
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.identifiers import SUFFIXES, descriptor_blob
from nachet_pipeline.picture_sets.holding import hold_imports
from nachet_pipeline.picture_sets.records import PictureSetRecord
from nachet_pipeline.reconciliation.comparing import Comparer
from nachet_pipeline.reconciliation.queries import (
    Drift,
    DriftKind,
    forget,
    queue_again,
    reconciliation_lock,
    record_of_set,
    relink,
    spoken_for,
    unheld_uploads,
)
from nachet_pipeline.settings import ArrivalSettings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.batches import batched
from nachet_pipeline.support.bounded import bounded_map
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.uploads.discovery import take_snapshot
from nachet_pipeline.uploads.importing import fail_upload, write_receipt
from nachet_pipeline.uploads.queries import find_upload
from nachet_pipeline.uploads.staged_folder import StagedFolder
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.user import User

log = logging.getLogger(__name__)


_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SUFFIX = "|".join(re.escape(suffix) for suffix in SUFFIXES.values())
_OWN_NAME = re.compile(
    rf"(?P<set>{_UUID})/(?:(?P=set)(?:\.[0-9a-f]{{16}}\.manifest\.jsonl|\.json)|(?P<picture>{_UUID})(?:{_SUFFIX}))"
)
_REMOVED_AT_A_TIME = 200
_CONCURRENCY = 8
_WORTH_ANOTHER_RUN = {State.IMPORTED, State.PARTLY_IMPORTED, State.FAILED}


class RepairAction(StrEnum):
    """The ways to repair a disagreement."""

    QUEUE_AGAIN = "queue-again"
    """The upload is imported once more, which completes what is missing."""
    CUT_AGAIN = "cut-again"
    """The crop's picture is looked at once more, which cuts the crop again."""
    RELINK = "relink"
    """The row points at the blob of its usual name, whose bytes are the picture's."""
    REWRITE = "rewrite"
    """A description or a receipt, which the database holds as a whole, is written again."""
    REMOVE = "remove"
    """The blob is removed, after the audit trail recorded it."""
    NOTHING = "nothing"
    """A person has to look."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """The way to repair a disagreement, and the reason for it, or for doing nothing."""

    action: RepairAction
    why: str


@dataclass(frozen=True, slots=True)
class Repair:
    """A disagreement with what was, or would be, done about it.

    Attributes:
        drift: the disagreement.
        remedy: what is done about it.
        done: whether it was; False after a plan.
    """

    drift: Drift
    remedy: Remedy
    done: bool = False


def _nothing(why: str) -> Remedy:
    return Remedy(RepairAction.NOTHING, why)


@dataclass(slots=True)
class Repairer:
    """Finds what can be done about disagreements, and does it.

    Attributes:
        database: has the rows and the disagreements.
        blobs: the storage account.
        comparer: reads the disagreements.
        arrival: when a staged folder is complete.
        limits: how much of a staged folder is read.
        actor: whom the audit trail names.
    """

    database: Database
    blobs: BlobStorage
    comparer: Comparer
    arrival: ArrivalSettings
    limits: ContractLimits
    actor: str = PROGRAM
    _uploads: dict[UUID, Remedy] = field(default_factory=dict)
    _queued: set[UUID] = field(default_factory=set)

    def plan(self, users: Sequence[User]) -> Iterator[Repair]:
        """Yield what would be done about each disagreement of these users; nothing is changed."""
        self._uploads.clear()
        for drift in self.comparer.drift_of(users):
            yield Repair(drift, self.remedy(drift))

    def repair(self, users: Sequence[User]) -> Iterator[Repair]:
        """Do what is safe about each disagreement of these users.

        Raises:
            ReconciliationBusyError: another process compares or repairs right now.
            StorageError: storage does not answer; what was done is done, and another call goes on.
            DatabaseError: the database does not answer.
        """
        self._uploads.clear()
        self._queued.clear()
        with self.database.connection() as lock, reconciliation_lock(lock):
            for user in users:
                for batch in batched(self._all_but_removals(user), _REMOVED_AT_A_TIME):
                    waiting = [one for one in batch if one.remedy.action is RepairAction.REMOVE]
                    yield from (one for one in batch if one.remedy.action is not RepairAction.REMOVE)
                    yield from self._remove(user, waiting)

    def _all_but_removals(self, user: User) -> Iterator[Repair]:
        for drift in self.comparer.drift_of([user]):
            remedy = self.remedy(drift)
            if remedy.action in {RepairAction.NOTHING, RepairAction.REMOVE}:
                yield Repair(drift, remedy)
            else:
                yield self._apply(drift, remedy)

    # Choosing a remedy

    def remedy(self, drift: Drift) -> Remedy:
        """The remedy for a disagreement."""
        match drift.kind:
            case DriftKind.MISSING_CONTAINER:
                return _nothing(
                    "is NACHET_BLOB_ACCOUNT_URL the right account? If it is, `nachet user add` makes it anew"
                )
            case DriftKind.MISSING_BLOB:
                return self._of_missing(drift)
            case DriftKind.ORPHAN_BLOB:
                return self._of_orphan(drift)
            case DriftKind.SIZE_MISMATCH | DriftKind.CHECKSUM_MISMATCH:
                return _nothing("which of the two is right is for a person to say; nothing is written over a blob")
            case DriftKind.STAGED_WITHOUT_RECEIPT:
                return self._of_unanswered(drift)
            case DriftKind.RECEIPT_WITHOUT_ROWS:
                return self._of_upload(drift)
            case DriftKind.STALLED_UPLOAD:
                return Remedy(RepairAction.QUEUE_AGAIN, "no process works on it")

    def _of_missing(self, drift: Drift) -> Remedy:
        if drift.elsewhere:
            return Remedy(RepairAction.RELINK, f"the picture may lie in {drift.elsewhere}; its checksum decides")
        if drift.picture_set_id and drift.name == descriptor_blob(drift.picture_set_id):
            return Remedy(RepairAction.REWRITE, "the database has all that it says")
        if drift.picture_id:
            superseded = self.database.call(is_superseded, drift.picture_id)
            if superseded:
                return _nothing("today's detector would not cut this crop; bring it back from a backup")
            if superseded is not None:
                return Remedy(RepairAction.CUT_AGAIN, "it is cut again from its picture")
        return self._of_upload(drift)

    def _of_orphan(self, drift: Drift) -> Remedy:
        named = _OWN_NAME.fullmatch(drift.name)
        if named is None:
            return _nothing("its name is none that the pipeline gives, so somebody else put it there")
        grace = timedelta(days=self.comparer.settings.orphan_grace_days)
        if drift.modified is None or datetime.now(UTC) - drift.modified < grace:
            until = f" until {drift.modified + grace:%Y-%m-%d}" if drift.modified else ""
            return _nothing(f"it is kept{until}, in case an import completes it")
        if self.database.call(spoken_for, [_identified(drift)]):
            return _nothing("it bears the name of a picture that has a row")
        return Remedy(RepairAction.REMOVE, f"no row has pointed at it for {grace.days} days")

    def _of_unanswered(self, drift: Drift) -> Remedy:
        upload = self._upload(drift)
        if upload and upload.state.has_ended and upload.receipt:
            return Remedy(RepairAction.REWRITE, "the database has the receipt")
        return _nothing("it waits for the sensor start_imports; is it running?")

    def _upload(self, drift: Drift) -> Upload | None:
        if drift.upload_id is None:
            return None
        return self.database.call(find_upload, drift.upload_id)

    def _of_upload(self, drift: Drift) -> Remedy:
        """Whether importing the upload once more brings back what is missing."""
        if drift.upload_id is None:
            return _nothing("it comes from no upload that could be imported again; bring it back from a backup")
        if drift.upload_id not in self._uploads:
            self._uploads[drift.upload_id] = self._of_staged(self._upload(drift))
        return self._uploads[drift.upload_id]

    def _of_staged(self, upload: Upload | None) -> Remedy:
        if upload is None:
            return _nothing("the database does not know the upload any more")
        if upload.state not in _WORTH_ANOTHER_RUN:
            return _nothing(f"its upload {upload.folder} is {upload.state}")
        folder = StagedFolder(self.blobs, upload.staging_container, upload.folder)
        look = take_snapshot(folder, self.arrival, self.limits)
        if not look.files:
            return _nothing(f"{upload.folder} is not staged any more; bring it back from a backup, or stage it again")
        if not look.complete or upload.staged_digest not in {None, look.digest}:
            return _nothing(f"the staged folder {upload.folder} changed since; the sensor takes it by itself")
        return Remedy(RepairAction.QUEUE_AGAIN, f"{upload.folder} is staged still")

    # Applying it

    def _apply(self, drift: Drift, remedy: Remedy) -> Repair:
        done = False
        match remedy.action:
            case RepairAction.RELINK:
                return self._relink(drift, remedy)
            case RepairAction.REWRITE if drift.kind is DriftKind.MISSING_BLOB:
                done = self._rewrite_description(drift)
            case RepairAction.REWRITE:
                done = self._rewrite_receipt(drift)
            case RepairAction.QUEUE_AGAIN:
                done = self._queue_again(drift)
            case RepairAction.CUT_AGAIN:
                done = self._cut_again(drift)
        return Repair(drift, remedy if done else _nothing("it changed meanwhile; compare again"), done)

    def _relink(self, drift: Drift, remedy: Remedy) -> Repair:
        try:
            content = self.blobs.read(drift.container, drift.elsewhere or "", size=drift.size)
        except FileChangedError:
            content = b""
        if hashlib.sha256(content).hexdigest() != drift.sha256:
            return Repair(drift, _nothing(f"{drift.elsewhere} is another picture, by its checksum"))
        with self.database.connection() as connection:
            with changing(connection, actor=self.actor, action="relinked", note={"container": drift.container}):
                if not relink(connection, drift):
                    return Repair(drift, _nothing("its row changed meanwhile; compare again"))
            forget(connection, drift)
        return Repair(drift, remedy, done=True)

    def _rewrite_description(self, drift: Drift) -> bool:
        if drift.picture_set_id is None:
            return False
        stored = self.database.call(record_of_set, drift.picture_set_id)
        try:
            described = PictureSetRecord.model_validate(stored)
        except ValidationError as error:
            log.warning("the picture set %s cannot be described: %s", drift.picture_set_id, error.errors()[0]["msg"])
            return False
        content = described.model_dump_json(indent=2).encode()
        self.blobs.upload(drift.container, drift.name, content, content_type="application/json")
        with self.database.connection() as connection:
            written = {"container": drift.container, "blob": drift.name, "size": len(content)}
            self._record(connection, "rewritten", "blob", drift.picture_set_id, after=written)
            forget(connection, drift)
        return True

    def _rewrite_receipt(self, drift: Drift) -> bool:
        upload = self._upload(drift)
        if upload is None or upload.receipt is None:
            return False
        write_receipt(self.blobs, upload, upload.receipt)
        self.database.call(forget, drift)
        return True

    def _queue_again(self, drift: Drift) -> bool:
        upload = self._upload(drift)
        if upload is None:
            return False
        if upload.id in self._queued:
            return True
        if upload.state is State.IMPORTING:
            if not self.database.call(unheld_uploads, [upload.id]):
                return False
            fail_upload(self.database, self.blobs, upload, "the process that imported it ended before it was done")
        with self.database.connection() as connection:
            if not queue_again(connection, upload.id):
                return False
            before, after = {"state": upload.state.value}, {"state": State.STAGED.value, "because": drift.kind.value}
            self._record(connection, "queued again", "upload", upload.id, before=before, after=after)
            if drift.kind is DriftKind.STALLED_UPLOAD:
                forget(connection, drift)
        self._queued.add(upload.id)
        return True

    def _cut_again(self, drift: Drift) -> bool:
        if drift.picture_id is None:
            return False
        with self.database.connection() as connection:
            if not cut_again(connection, drift.picture_id):
                return False
            because = {"because": drift.kind.value}
            self._record(connection, "to be cut again", "picture", drift.picture_id, after=because)
        return True

    def _remove(self, user: User, batch: list[Repair]) -> list[Repair]:
        """Remove blobs that nothing points at, while no import can begin that would."""
        if not batch:
            return []
        done: list[Repair] = []
        with self.database.connection() as held:
            if not hold_imports(held, user.id):
                return [_kept(one, "an import of this user's is under way; try again later") for one in batch]
            taken = spoken_for(held, [_identified(one.drift) for one in batch])
            going = [one for one in batch if one.drift.name not in taken]
            done += [_kept(one, "a row points at it since") for one in batch if one.drift.name in taken]
            with self.database.connection() as trail:  # committed before anything is gone
                for one in going:
                    self._record(trail, "removed", "blob", before=_described(one.drift))
            drifts = (one.drift for one in going)
            gone = list(bounded_map(self._delete, drifts, workers=_CONCURRENCY, name="remove"))
            for one, removed in zip(going, gone, strict=True):
                if removed:
                    forget(held, one.drift)
                    done.append(Repair(one.drift, one.remedy, done=True))
                else:
                    self._record(held, "not removed", "blob", after=_described(one.drift))
                    done.append(_kept(one, "it changed meanwhile; compare again"))
        return done

    def _record(
        self,
        connection: Connection,
        action: str,
        subject: str,
        subject_id: UUID | None = None,
        **states: dict[str, Any],
    ) -> None:
        """Record a change in the audit trail; the states are `before` and `after`."""
        record(connection, actor=self.actor, action=action, subject=subject, subject_id=subject_id, **states)

    def _delete(self, drift: Drift) -> bool:
        return self.blobs.delete(drift.container, drift.name, drift.version)


def _kept(repair: Repair, why: str) -> Repair:
    return Repair(repair.drift, _nothing(why))


def _identified(drift: Drift) -> tuple[str, UUID, UUID | None]:
    """A blob's name with the picture set and the picture that it names.

    Raises:
        ValueError: the name is none of the pipeline's.
    """
    named = _OWN_NAME.fullmatch(drift.name)
    if named is None:
        raise ValueError(f"{drift.name!r} is not a name that the pipeline gives")
    return drift.name, UUID(named["set"]), UUID(named["picture"]) if named["picture"] else None


def _described(drift: Drift) -> dict[str, Any]:
    """A blob as the audit trail records it."""
    return {
        "container": drift.container,
        "blob": drift.name,
        "size": drift.found_size,
        "sha256": drift.found_sha256,
        "version": drift.version,
        "modified": drift.modified.astimezone(UTC).isoformat() if drift.modified else None,
    }
