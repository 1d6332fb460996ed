"""An upload: a staged folder that the system has seen."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.identifiers import partition_key, upload_container, user_container


@dataclass(frozen=True, slots=True)
class Upload:
    """A staged folder that the system has seen.

    Attributes:
        id: identifier.
        owner: whose container it lies in.
        folder: its name there.
        state: where it stands.
        staged_digest: digest of the listing that was last acted upon.
        batch: the run request that it was last part of; after a slash, what its run's death made of it.
        run_id: the run that worked on it last.
        attempts: runs in a row that began with it and failed.
        accept_valid: whether its sessions without errors are imported although others are refused.
        replace_wanted: whether pictures that its sessions do not hold any more are removed, whenever they were sent.
        queued_at: when a run was last asked for.
        receipt: its last receipt.
        owner_disabled: whether nothing of its owner's is imported.
    """

    id: UUID
    owner: Owner
    folder: str
    state: State
    staged_digest: str | None
    batch: str | None
    run_id: str | None
    attempts: int
    accept_valid: bool
    replace_wanted: bool
    queued_at: datetime | None
    receipt: Receipt | None
    owner_disabled: bool = False

    @property
    def partition(self) -> str:
        """Its partition in Dagster."""
        return partition_key(self.id, self.folder)

    @property
    def apart(self) -> str | None:
        """The part of a batch whose run died that it is to be asked for with, None if with anybody."""
        return self.batch if self.batch and "/" in self.batch else None

    @property
    def staging_container(self) -> str:
        """The container it is staged in."""
        return upload_container(self.owner.id)

    @property
    def final_container(self) -> str:
        """The container its pictures go to."""
        return user_container(self.owner.id)
