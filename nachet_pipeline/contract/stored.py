"""What an upload is compared with while it is validated: pictures that are stored already."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Relation(StrEnum):
    """How two pictures are the same; the closest first."""

    SAME_FILE = "same file"
    SAME_PIXELS = "same pixels"
    NEAR = "near"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture of an upload that is compared with stored ones.

    Attributes:
        path: relative to its upload.
        id: what it would be stored as; a stored picture of this identifier is itself.
        sha256: of its file.
        pixel_sha256: of its pixels, None if they were not measured.
        looks: its perceptual hash, None if it has none.
        seed_id: the species that its uploader states, None if that is not known.
    """

    path: str
    id: UUID
    sha256: bytes
    pixel_sha256: bytes | None
    looks: bytes | None
    seed_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A stored picture that another one equals.

    Attributes:
        relation: how.
        picture: the stored one.
        distance: bits in which their perceptual hashes differ, 0 if they are the same.
        place: folder, session and name of the stored one; None if it is somebody else's.
    """

    relation: Relation
    picture: UUID
    distance: int = 0
    place: str | None = None


class Correction(BaseModel):
    """What importing a session changes, in pictures.

    Attributes:
        added: new ones, and ones that come back.
        removed: those that are taken out of later training sets, because they are not in the session any more.
        relabelled: those that show another species from now on.
        unchanged: those that keep their species; what else is said of them may be corrected.
    """

    model_config = ConfigDict(frozen=True)

    added: int = 0
    removed: int = 0
    relabelled: int = 0
    unchanged: int = 0

    def __add__(self, other: "Correction") -> "Correction":
        """Both together."""
        return Correction(
            added=self.added + other.added,
            removed=self.removed + other.removed,
            relabelled=self.relabelled + other.relabelled,
            unchanged=self.unchanged + other.unchanged,
        )

    @property
    def changes(self) -> bool:
        """Whether anything is different afterwards."""
        return bool(self.added or self.removed or self.relabelled)


@dataclass(frozen=True, slots=True)
class StoredSet:
    """A picture set that a session of the upload is already.

    Attributes:
        id: its identifier.
        staged_until: when the latest of its staged pictures was written, of those that were imported last; by the
            storage service's clock.
    """

    id: UUID
    staged_until: datetime


@dataclass(frozen=True, slots=True)
class EarlierPicture:
    """A whole picture of a picture set, as an earlier import left it.

    Attributes:
        picture_set: its set.
        sha256: of its file, in hexadecimal.
        id: its identifier.
        name: its name within its session.
        seed_id: what it shows, None if that is not known.
        live: whether it counts; False of one that a correction took out.
        sent_earlier: whether it stayed although it was not staged any more at the last import.
    """

    picture_set: UUID
    sha256: str
    id: UUID
    name: str
    seed_id: UUID | None
    live: bool
    sent_earlier: bool


@dataclass(frozen=True, slots=True)
class OtherLabel:
    """A stored picture of the same photograph under another species.

    Attributes:
        same_file: whether the files are equal; else the pixels are.
        species: the name of the species.
        folder: where it is, if it is the same user's.
        session: path of its session in that folder, empty if the folder is the session.
    """

    same_file: bool
    species: str
    folder: str | None = None
    session: str = ""


class StoredPictures(Protocol):
    """Knows what is stored, of the upload and of everybody."""

    def sets(self) -> Mapping[str, StoredSet]:
        """The picture sets that earlier imports of the upload made of its sessions, removed ones too, by path."""
        ...

    def earlier(self, picture_sets: Sequence[UUID]) -> Iterator[EarlierPicture]:
        """The whole pictures of some picture sets."""
        ...

    def matches(self, candidates: Sequence[Candidate], own: Collection[UUID]) -> Mapping[str, Match]:
        """The closest stored picture of each that has one, by path.

        Args:
            candidates: a thousand pictures at most.
            own: the picture sets that the upload becomes, whose pictures do not count.
        """
        ...

    def withdrawn(self, candidates: Sequence[Candidate]) -> Collection[str]:
        """The paths of those that are withdrawn from training.

        Args:
            candidates: a thousand pictures at most.
        """
        ...

    def other_labels(self, candidates: Sequence[Candidate], own: Collection[UUID]) -> Mapping[str, OtherLabel]:
        """For each whose photograph is stored under another species, one such picture, by path.

        Args:
            candidates: a thousand pictures at most.
            own: the picture sets that the upload becomes: what they say now is what the upload corrects.
        """
        ...
