"""Where a staged folder stands, from what lies in its container alone: all that an upload key opens."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.receipt import Receipt
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.identifiers import receipt_blob
from nachet_pipeline.settings import ArrivalSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.lazy_import import LazyModule
from nachet_pipeline.uploads.staged_folder import StagedFolder

if TYPE_CHECKING:
    from nachet_pipeline.uploads import discovery, importing
else:
    discovery = LazyModule("nachet_pipeline.uploads.discovery")
    importing = LazyModule("nachet_pipeline.uploads.importing")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds between two looks at the receipt: the longer it takes, the longer they are."""

LOOK_PAUSE = 30.0
"""Seconds between two looks at the folder itself, while its receipt is waited for."""

_NOT_ALLOWED = {401, 403, 404}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a staged folder stands.

    Attributes:
        folder: its name.
        snapshot: what is staged now.
        receipt: what lies beside it; it may be about an earlier submission.
        answered: whether the receipt says what became of what is staged now.
    """

    folder: str
    snapshot: "discovery.FolderSnapshot"
    receipt: Receipt | None
    answered: bool

    @property
    def verdict(self) -> Receipt | None:
        """The receipt, if it is final and about what is staged now."""
        return self.receipt if self.answered or not self.snapshot.files else None

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


class SupersededError(RefusedError):
    """Something else is staged than what a receipt is waited for.

    Attributes:
        withdrawn: whether the folder is withdrawn.
    """

    def __init__(self, *, withdrawn: bool) -> None:
        super().__init__("the folder was withdrawn" if withdrawn else "the folder was changed")
        self.withdrawn = withdrawn


def progress_of(receipt: Receipt | None, submission: str) -> str:
    """What a receipt that is no answer yet says of a submission."""
    if receipt is None:
        return "it waits for the pipeline"
    if receipt.submission != submission:
        return f"it waits for the pipeline; the receipt there is of an earlier submission ({receipt.state})"
    errors = receipt.report.counts.get(Severity.ERROR, 0) if receipt.report else 0
    return f"{receipt.state}; {errors} errors so far" if errors else f"{receipt.state}"


def standing(
    blobs: BlobStorage, container: str, folder: str, settings: ArrivalSettings, limits: ContractLimits
) -> Standing:
    """Look at a staged folder and its receipt.

    Raises:
        StorageError: storage does not answer.
    """
    snapshot = discovery.take_snapshot(StagedFolder(blobs, container, folder), settings, limits)
    receipt = importing.read_receipt(blobs, container, folder)
    answered = receipt is not None and _answers(receipt, snapshot, blobs, container)
    return Standing(folder, snapshot, receipt, answered)


def _answers(receipt: Receipt, snapshot: "discovery.FolderSnapshot", blobs: BlobStorage, container: str) -> bool:
    """Whether a receipt says what became of what was staged.

    A receipt that names no submission was written without a look at the folder; it counts for all that was staged
    before.
    """
    if not receipt.state.has_ended:
        return False
    if receipt.submission is not None:
        return receipt.submission == snapshot.digest
    written = blobs.properties_of(container, receipt_blob(receipt.folder))
    return written is not None and snapshot.newest is not None and written.modified >= snapshot.newest


@dataclass(frozen=True, slots=True)
class Look:
    """One look at what became of a submission.

    Attributes:
        receipt: what lies beside the folder; None if there is none, or if storage did not answer.
        text: what is known, in a few words.
        final: whether the receipt says what became of the submission.
        outage: why storage did not answer.
        pause: seconds to wait before the next look.
    """

    receipt: Receipt | None
    text: str
    final: bool = False
    outage: StorageError | None = None
    pause: float = 0

    @property
    def known(self) -> str:
        """Changes whenever something else is known; the errors of an outage have other figures each time."""
        return "outage" if self.outage else self.text


def looks(
    blobs: BlobStorage,
    container: str,
    folder: str,
    sent: "discovery.FolderSnapshot",
    *,
    look: "Callable[[], discovery.FolderSnapshot]",
    other_than: Receipt | None = None,
) -> Iterator[Look]:
    """Look at the receipt of a submission until it is final; whoever iterates pauses, so that no thread has to wait.

    Args:
        blobs: the storage account.
        container: the user's upload container.
        folder: the staged folder.
        sent: what was sent.
        look: looks at the folder again. Whoever changes it meanwhile takes the receipt away.
        other_than: a receipt that is no answer although it is of this submission: its user wants something else now.

    Raises:
        StorageError: the key does not open the container any more.
        SupersededError: the folder was changed or withdrawn meanwhile, so that there will be no receipt.
    """
    pause = FIRST_PAUSE
    before, next_look = None, time.monotonic() + LOOK_PAUSE
    while True:
        try:
            receipt = importing.read_receipt(blobs, container, folder)
            if receipt and receipt != other_than and _answers(receipt, sent, blobs, container):
                yield Look(receipt, receipt.state, final=True)
                return
            if time.monotonic() > next_look or (before and receipt != before):
                _check_still(sent, look())
                next_look = time.monotonic() + LOOK_PAUSE
            before = receipt
        except StorageError as error:
            if error.status in _NOT_ALLOWED:
                raise
            found = Look(None, f"{error}; waiting goes on", outage=error, pause=pause)  # it passes
        else:
            found = Look(receipt, progress_of(receipt, sent.digest), pause=pause)
        yield found
        pause = min(LONGEST_PAUSE, pause * 1.3)


def wait_for_verdict(following: Iterator[Look], *, seconds: float, report: Callable[[str], None]) -> Receipt | None:
    """Wait for the receipt of a submission; a receipt of an earlier one is none.

    Args:
        following: looks at it.
        seconds: how long to wait, at most.
        report: called with each change of what is known, one line.

    Returns:
        The receipt; None if there is none within that time.

    Raises:
        StorageError: the key does not open the container any more.
        SupersededError: the folder was changed or withdrawn meanwhile, so that there will be no receipt.
    """
    until, said = time.monotonic() + seconds, ""
    for found in following:
        if found.final:
            return found.receipt
        if found.known != said:
            report(found.text)
            said = found.known
        left = until - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(found.pause, left))
    return None


def _check_still(sent: "discovery.FolderSnapshot", now: "discovery.FolderSnapshot") -> None:
    """Check that a folder is still what was sent; while it is being changed, that is not known.

    Raises:
        SupersededError: it is something else.
    """
    if now.digest and now.digest != sent.digest:
        raise SupersededError(withdrawn=now.withdrawn)
