"""An upload container, and what opens it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.names import printable
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.database.connection import Database
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.identifiers import partition_key, upload_id
from nachet_pipeline.settings import Settings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import SourceFolder
from nachet_pipeline.support.lazy_import import LazyModule
from nachet_pipeline.uploads.following import Standing, standing
from nachet_pipeline.uploads.staging import withdraw_folder

if TYPE_CHECKING:
    from nachet_pipeline.uploads import discovery
else:
    discovery = LazyModule("nachet_pipeline.uploads.discovery")


class SubmissionStatus(BaseModel):
    """Where a staged folder stands.

    Attributes:
        upload: the upload's identifier.
        partition: its partition in Dagster.
        folder: its name.
        state: its state, as far as its container tells; `staged` until a run is requested.
        complete: whether what is staged can be imported.
        submission: identifies what is staged.
        files: how many are staged.
        size: their bytes.
        reason: what it waits for, in a few words.
        receipt: the final receipt of what is staged; None if there is none yet.
    """

    model_config = ConfigDict(frozen=True)

    upload: UUID
    partition: str
    folder: str
    state: State
    complete: bool
    submission: str
    files: int
    size: int
    reason: str
    receipt: Receipt | None = None


@dataclass(frozen=True)
class Place:
    """An upload container, and what opens it.

    Attributes:
        blobs: what the key opens, or the whole account.
        container: the upload container.
        owner: whose it is.
        settings: of this machine.
        database: None with an upload key.
        explaining: turns what storage answers to a key into an error that says so.
    """

    blobs: BlobStorage
    container: str
    owner: UUID
    settings: Settings
    database: Database | None
    explaining: Callable[[], AbstractContextManager[None]]

    def snapshot(self, folder: SourceFolder) -> "discovery.FolderSnapshot":
        """The state of a folder, as one knows it who sent it."""
        return discovery.take_snapshot(folder, self.settings.arrival, self._limits)

    @property
    def _limits(self) -> ContractLimits:
        return ContractLimits.of(self.settings.contract, self.settings.transfer)

    def look(self, folder: str) -> Standing:
        """Look at a staged folder and its receipt.

        Raises:
            StorageError: storage does not answer.
        """
        return standing(self.blobs, self.container, folder, self.settings.arrival, self._limits)

    def found(self, folder: str) -> Standing:
        """Look at a folder that is staged, or was: retention clears what is imported, and leaves its receipt.

        Raises:
            RefusedError: no such folder is staged, or the key does not open the container.
            UnavailableError: storage does not answer.
        """
        if not _is_name(folder):
            raise RefusedError(f"no folder {printable(folder)!r} is staged; no folder can have that name")
        with self.explaining():
            found = self.look(folder)
        if found.verdict is None and not found.snapshot.files and not found.snapshot.withdrawn:
            raise RefusedError(f"no folder {folder} is staged; send it by `nachet stage`")
        return found

    def status(self, folder: str, *, other_than: Receipt | None = None) -> SubmissionStatus:
        """Where a staged folder stands.

        Args:
            folder: its name.
            other_than: a receipt that is no answer, because its user wants something else now.

        Raises:
            RefusedError: no such folder is staged, or the key does not open the container.
            UnavailableError: storage does not answer.
        """
        found = self.found(folder)
        receipt = found.verdict if found.verdict != other_than else None
        under_way = receipt or (found.receipt if found.under_way and found.receipt != other_than else None)
        upload = upload_id(self.owner, folder)
        return SubmissionStatus(
            upload=upload,
            partition=partition_key(upload, folder),
            folder=folder,
            state=under_way.state if under_way else State.STAGED,
            complete=found.snapshot.complete,
            submission=found.snapshot.digest,
            files=found.snapshot.files,
            size=found.snapshot.size,
            reason=receipt.state if receipt else found.state,
            receipt=receipt,
        )

    def withdraw(self, folder: str) -> None:
        """Give a staged folder up: it is not imported.

        Raises:
            RefusedError: no such folder is staged, or the key does not open the container.
            UnavailableError: storage does not answer.
        """
        with self.explaining():
            withdraw_folder(self.blobs, self.container, folder)


def _is_name(folder: str) -> bool:
    """Whether a folder at the top of a container can have this name; with `..` an address would lead elsewhere."""
    written = folder.encode(errors="replace").decode()
    return folder not in {"", ".", ".."} and {"/", "\0"}.isdisjoint(folder) and folder == written
