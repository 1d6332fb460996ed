"""What an upload is compared with while it is validated: pictures that are stored already."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from nachet_pipeline.contract.shown import Shown


class Relation(StrEnum):
    """How two pictures are the same, the closest relation first."""

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
        shows: what its uploader states that it shows; empty if that is not known because of errors.
    """

    path: str
    id: UUID
    sha256: bytes
    pixel_sha256: bytes | None
    looks: bytes | None
    shows: tuple[Shown, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """A stored picture that another one equals.

    Attributes:
        relation: how they are the same.
        picture: identifier of the stored picture.
        distance: bits in which their perceptual hashes differ, 0 if they are the same.
        place: folder, session and name of the stored picture; None if another user owns it.
    """

    relation: Relation
    picture: UUID
    distance: int = 0
    place: str | None = None


class Correction(BaseModel):
    """How many pictures change when a session is imported.

    Attributes:
        added: new pictures, and pictures that come back.
        removed: pictures that are no longer in the session; later training sets do not have them.
        relabelled: pictures whose species changes.
        unchanged: pictures that keep their species; their other metadata may change.
    """

    model_config = ConfigDict(frozen=True)

    added: int = 0
    removed: int = 0
    relabelled: int = 0
    unchanged: int = 0

    def __add__(self, other: "Correction") -> "Correction":
        """The sum of both."""
        return Correction(
            added=self.added + other.added,
            removed=self.removed + other.removed,
            relabelled=self.relabelled + other.relabelled,
            unchanged=self.unchanged + other.unchanged,
        )

    @property
    def changes(self) -> bool:
        """Whether importing changes anything."""
        return bool(self.added or self.removed or self.relabelled)


@dataclass(frozen=True, slots=True)
class StoredSet:
    """A picture set that an earlier import made of a session.

    Attributes:
        id: its identifier.
        staged_until: when the latest picture of the last import was written to staging, by the storage service's
            clock.
    """

    id: UUID
    staged_until: datetime


@dataclass(frozen=True, slots=True)
class EarlierPicture:
    """A whole picture, not a crop, that an earlier import stored.

    Attributes:
        picture_set: its set.
        sha256: of its file, in hexadecimal.
        id: its identifier.
        name: its name within its session.
        shows: what it shows, empty if that is not known.
        live: False if a correction removed it.
        sent_earlier: whether the last import kept it although it was no longer staged.
    """

    picture_set: UUID
    sha256: str
    id: UUID
    name: str
    shows: tuple[Shown, ...]
    live: bool
    sent_earlier: bool


@dataclass(frozen=True, slots=True)
class OtherLabel:
    """A stored picture of the same photograph under other species.

    Attributes:
        same_file: whether the files are equal; else the pixels are.
        species: the names of its species, sorted; mostly one.
        folder: where it is, if it is the same user's.
        session: path of its session in that folder, empty if the folder is the session.
    """

    same_file: bool
    species: tuple[str, ...]
    folder: str | None = None
    session: str = ""


class StoredPictures(Protocol):
    """Answers what earlier imports stored, of this upload and of all users."""

    def sets(self) -> Mapping[str, StoredSet]:
        """The picture sets that earlier imports of the upload made of its sessions, removed ones too, by path."""

    def earlier(self, picture_sets: Sequence[UUID]) -> Iterator[EarlierPicture]:
        """The whole pictures of some picture sets."""

    def matches(self, candidates: Sequence[Candidate], own: Collection[UUID]) -> Mapping[str, Match]:
        """The closest stored picture of each that has one, by path.

        Args:
            candidates: a thousand pictures at most.
            own: the picture sets that the upload becomes; their pictures do not count.
        """

    def withdrawn(self, candidates: Sequence[Candidate]) -> Collection[str]:
        """The paths of those that are withdrawn from training.

        Args:
            candidates: a thousand pictures at most.
        """

    def named(self, candidates: Sequence[Candidate]) -> Collection[str]:
        """The paths of those whose photograph somebody named, whatever uploaders say.

        Args:
            candidates: a thousand pictures at most.
        """

    def other_labels(self, candidates: Sequence[Candidate], own: Collection[UUID]) -> Mapping[str, OtherLabel]:
        """For each whose photograph is stored under other species, one such picture, by path.

        Args:
            candidates: a thousand pictures at most.
            own: the picture sets that the upload becomes; their labels do not count, because the import replaces them.
        """
