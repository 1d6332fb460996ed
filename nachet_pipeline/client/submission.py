"""A folder that was handed over: where it stands, and what became of it."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from nachet_pipeline.client.errors import NoReceiptYetError
from nachet_pipeline.client.place import Place, SubmissionStatus
from nachet_pipeline.contract.receipt import Receipt
from nachet_pipeline.identifiers import partition_key, upload_id
from nachet_pipeline.uploads.following import Look, looks, wait_for_verdict
from nachet_pipeline.uploads.staging import Staged

if TYPE_CHECKING:
    from nachet_pipeline.uploads.discovery import FolderSnapshot

WAIT_SECONDS = 3600.0


class SubmissionEvent(BaseModel):
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


class Submission:
    """A folder that was handed over.

    Attributes:
        folder: its name in the upload container.
        id: the upload's identifier.
        partition: its partition in Dagster.
        staged: how many files were sent, and how many were there; None where `Client.submission` found it.
    """

    def __init__(
        self,
        place: Place,
        folder: str,
        sent: "FolderSnapshot",
        *,
        staged: Staged | None = None,
        before: Receipt | None = None,
    ) -> None:
        """Remember what was handed over; `Client.submit` and `Client.submission` do.

        Args:
            place: where.
            folder: its name there.
            sent: what was sent.
            staged: how it was sent.
            before: a receipt that is no answer, because its user wants something else now.
        """
        self.place = place
        self._sent = sent
        self._before = before
        self.folder = folder
        self.staged = staged
        self.id = upload_id(place.owner, folder)
        self.partition = partition_key(self.id, folder)

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
        return self.place.status(self.folder, other_than=self._before)

    def receipt(self) -> Receipt | None:
        """The final receipt of what was sent; None if there is none yet. A receipt of anything earlier is none.

        Raises:
            RefusedError: the key does not open the container.
            UnavailableError: storage does not answer.
        """
        with self.place.explaining():
            first = next(self.looks())
        if first.outage:
            raise first.outage
        return first.receipt if first.final else None

    def wait(self, timeout: float = WAIT_SECONDS, *, report: Callable[[str], None] = lambda _: None) -> Receipt:
        """Wait for the final receipt of what was sent; storage that does not answer is asked again.

        Args:
            timeout: seconds.
            report: called with each change of what is known, one line.

        Raises:
            NoReceiptYetError: there is none in time.
            SupersededError: the folder was changed or withdrawn meanwhile, so that there will be none.
            RefusedError: the key does not open the container.
        """
        with self.place.explaining():
            receipt = wait_for_verdict(self.looks(), seconds=timeout, report=report)
        if receipt is None:
            raise self.late(timeout)
        return receipt

    def events(self) -> Iterator[SubmissionEvent]:
        """Follow what was sent: an event whenever something else is known, until the receipt is final.

        Raises:
            SupersededError: the folder was changed or withdrawn meanwhile, so that there will be no receipt.
            RefusedError: the key does not open the container.
        """
        said = None
        with self.place.explaining():
            for look in self.looks():
                if look.known != said:
                    said = look.known
                    yield event_of(look)
                time.sleep(look.pause)

    def withdraw(self) -> None:
        """Give the folder up: it is not imported; submitting it again takes that back.

        Raises:
            RefusedError: no such folder is staged, or the key does not open the container.
            UnavailableError: storage does not answer.
        """
        self.place.withdraw(self.folder)

    def looks(self) -> Iterator[Look]:
        """Looks at what became of it; whoever iterates pauses between two of them."""
        place, folder = self.place, self.folder
        if not self._sent.files and (receipt := place.look(folder).verdict):  # retention cleared it
            return iter([Look(receipt, receipt.state, final=True)])
        return looks(
            place.blobs,
            place.container,
            folder,
            self._sent,
            look=lambda: place.look(folder).snapshot,
            other_than=self._before,
        )

    def late(self, seconds: float) -> NoReceiptYetError:
        """The error that there was no receipt within these seconds."""
        return NoReceiptYetError(
            f"there is no receipt of this submission of {self.folder} after {seconds:g} s; the folder stays staged"
        )


def event_of(look: Look) -> SubmissionEvent:
    """What is known now."""
    return SubmissionEvent(text=look.text, receipt=look.receipt, final=look.final)
