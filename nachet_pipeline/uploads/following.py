"""Where a staged folder stands, from what lies in its container alone: all that an upload key opens."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.identifiers import receipt_blob
from nachet_pipeline.settings import ArrivalSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError, TooLargeError
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.uploads.discovery import FolderSnapshot, take_snapshot
from nachet_pipeline.uploads.staged_folder import StagedFolder

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds between two looks at the receipt: the longer it takes, the longer they are."""

_RECEIPT_BYTES = 64 * 1024**2
_FINAL = {State.IMPORTED, State.PARTLY_IMPORTED, State.REFUSED, State.FAILED, State.WITHDRAWN}
_NOT_ALLOWED = {401, 403, 404}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a staged folder stands.

    Attributes:
        folder: its name.
        snapshot: what is staged now.
        receipt: what lies beside it; it may be about an earlier submission.
    """

    folder: str
    snapshot: FolderSnapshot
    receipt: Receipt | None

    @property
    def verdict(self) -> Receipt | None:
        """The receipt, if it is final and about what is staged now."""
        if self.receipt and (not self.snapshot.files or answers(self.receipt, self.snapshot.digest)):
            return self.receipt
        return None

    @property
    def under_way(self) -> bool:
        """Whether the receipt is about what is staged now, and not final yet."""
        return self.receipt is not None and self.receipt.submission == self.snapshot.digest

    @property
    def state(self) -> str:
        """What it waits for, in a few words."""
        if not self.snapshot.complete and not self.snapshot.withdrawn:
            return f"staged, and not complete: {self.snapshot.reason}"
        if self.receipt:
            return progress_of(self.receipt, self.snapshot.digest)
        return f"{self.snapshot.reason}; no run has looked at it yet"


def answers(receipt: Receipt, submission: str) -> bool:
    """Whether a receipt says what became of a submission."""
    return receipt.state in _FINAL and receipt.submission == submission


def progress_of(receipt: Receipt | None, submission: str) -> str:
    """What a receipt that is no answer yet says of a submission."""
    if receipt is None:
        return "it waits for the pipeline"
    if receipt.submission != submission:
        return f"it waits for the pipeline; the receipt there is of an earlier submission ({receipt.state})"
    errors = receipt.report.counts.get(Severity.ERROR, 0) if receipt.report else 0
    return f"{receipt.state}; {errors} errors so far" if errors else f"{receipt.state}"


def read_receipt(blobs: BlobStorage, container: str, folder: str) -> Receipt | None:
    """The receipt beside a folder; None if there is none that can be read.

    Raises:
        StorageError: storage does not answer.
    """
    try:
        return Receipt.model_validate_json(blobs.read(container, receipt_blob(folder), limit=_RECEIPT_BYTES))
    except (FileChangedError, ValidationError, TooLargeError):
        return None


def standing(
    blobs: BlobStorage, container: str, folder: str, settings: ArrivalSettings, limits: ContractLimits
) -> Standing:
    """Look at a staged folder and its receipt.

    Raises:
        StorageError: storage does not answer.
    """
    snapshot = take_snapshot(StagedFolder(blobs, container, folder), settings, limits)
    return Standing(folder, snapshot, read_receipt(blobs, container, folder))


def wait_for_verdict(
    blobs: BlobStorage,
    container: str,
    folder: str,
    submission: str,
    *,
    seconds: float,
    report: Callable[[str], None],
    other_than: Receipt | None = None,
) -> Receipt | None:
    """Wait for the receipt of a submission; a receipt of an earlier one is none.

    Args:
        blobs: the storage account.
        container: the user's upload container.
        folder: the staged folder.
        submission: what was sent.
        seconds: how long to wait, at most.
        report: called with each change of what is known, one line.
        other_than: a receipt that is no answer although it is of this submission: its user wants something else now.

    Returns:
        The receipt; None if there is none within that time.

    Raises:
        StorageError: the key does not open the container any more.
    """
    until, pause, said = time.monotonic() + seconds, FIRST_PAUSE, ""
    while True:
        try:
            receipt = read_receipt(blobs, container, folder)
        except StorageError as error:
            if error.status in _NOT_ALLOWED:
                raise
            now = f"{error}; waiting goes on"  # an outage passes
        else:
            if receipt and receipt != other_than and answers(receipt, submission):
                return receipt
            now = progress_of(receipt, submission)
        if now != said:
            report(now)
            said = now
        left = until - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(pause, left))
        pause = min(LONGEST_PAUSE, pause * 1.3)
