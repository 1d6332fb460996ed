"""A folder as users know it, which is a picture set."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from nachet_pipeline.identifiers import archive_container, user_container


class FolderState(StrEnum):
    """The states of a folder."""

    THERE = "there"
    ARCHIVED = "archived"
    DELETED = "deleted"
    PURGED = "purged"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a user's.

    Attributes:
        id: the picture set.
        name: as its user knows it.
        owner_id: the user.
        owner: their e-mail address.
        source: the uploaded folder, or the container that it was found in.
        imported: whether it came by an upload or a mass import, which let validated pictures in alone.
        uploaded_at: when.
        container: where its pictures are.
        state: where it stands.
        pictures: how many whole pictures it has.
        crops: how many were cut from those.
        bytes: of all of them.
        verified: how many of the whole ones somebody verified.
    """

    id: UUID
    name: str
    owner_id: UUID
    owner: str
    source: str
    imported: bool
    uploaded_at: datetime
    container: str
    state: FolderState
    pictures: int
    crops: int
    bytes: int
    verified: int

    @property
    def needs_decision(self) -> bool:
        """Whether somebody must say if its pictures are kept for training."""
        return self.pictures > 0 and (self.imported or self.verified > 0)

    @property
    def in_place(self) -> bool:
        """Whether its pictures lie where they were found, in a container that is not the pipeline's."""
        return self.container not in {user_container(self.owner_id), archive_container(self.owner_id)}
