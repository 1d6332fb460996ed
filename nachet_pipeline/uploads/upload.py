"""An upload: a staged folder that the pipeline knows."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from nachet_pipeline.contract.catalogue import RULE_SET_VERSION
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.identifiers import partition_key, upload_container, user_container


@dataclass(frozen=True, slots=True)
class Upload:
    """A staged folder that the pipeline knows.

    Attributes:
        id: identifier.
        owner: whose container it lies in.
        folder: its name there.
        state: its state.
        staged_digest: digest of the listing that the last run was requested for.
        batch: the run request that it was last part of; a part after a slash says how it was split when its run died.
        run_id: the last run that worked on it.
        attempts: how many runs in a row began to import it and failed.
        accept_valid: whether to import its sessions without errors although others are refused.
        replace_wanted: whether to remove stored pictures that its sessions do not hold any more.
        queued_at: when a run was last requested.
        receipt: its last receipt.
        owner_disabled: whether its owner is disabled, so that nothing is imported.
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
        """The part of a split batch that it must be requested with; None if it may be requested with any upload."""
        return self.batch if self.batch and "/" in self.batch else None

    @property
    def refused_by_other_rules(self) -> bool:
        """Whether it was refused by another version of the rules, so that it may be importable as it is."""
        report = self.receipt.report if self.receipt and self.state is State.REFUSED else None
        return report is not None and report.rule_set_version != RULE_SET_VERSION

    @property
    def staging_container(self) -> str:
        """The container it is staged in."""
        return upload_container(self.owner.id)

    @property
    def final_container(self) -> str:
        """The container its pictures go to."""
        return user_container(self.owner.id)


@dataclass(frozen=True, slots=True)
class SeenUpload:
    """An upload in a list.

    Attributes:
        id: identifier.
        owner: e-mail address of the user.
        folder: its name in the user's upload container.
        state: its state.
        first_seen: when the pipeline first saw it.
        queued_at: when a run was last requested; None if none was yet.
        updated_at: when its state last changed.
    """

    id: UUID
    owner: str
    folder: str
    state: State
    first_seen: datetime
    queued_at: datetime | None
    updated_at: datetime
