"""What a judgement is: what a person says of an object of a prediction, of a crop, of a picture or a region of it."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from nachet_pipeline.identifiers import judgement_id

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, as fractions of width and height; numbers of 32 bits, as the database keeps them."""


class Verdict(StrEnum):
    """What is said.

    Attributes:
        RIGHT: it shows what was predicted, or stated.
        WRONG: it does not, whatever it shows.
        TAXON: it shows this taxon, of any rank.
        BOX: the object is here.
        MISSED: here is an object that was not predicted.
        NOT_A_SEED: it shows no seed.
        UNUSABLE: nobody can tell, and no model should learn from it.
        UNSURE: the person cannot tell.
        WITHDRAWN: an earlier judgement is taken back.
    """

    RIGHT = "right"
    WRONG = "wrong"
    TAXON = "taxon"
    BOX = "box"
    MISSED = "missed"
    NOT_A_SEED = "not_a_seed"
    UNUSABLE = "unusable"
    UNSURE = "unsure"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Stated:
    """A judgement as somebody hands it in: what it is about and which taxon it names were not looked up.

    Attributes:
        person: who judges; an e-mail address, or a name where there is none.
        verdict: what is said.
        at: when.
        prediction: the prediction it is about.
        object: which object of it, from 1; None for one that was missed, or the picture as a whole.
        picture: the picture or crop it is about, if no prediction is named.
        sha256: of its bytes, if neither is named.
        box: the region it is about, if no object is named.
        taxon: name or identifier of the taxon that is meant.
        corrected_box: where the object is.
        sure: from 0 to 1.
        note: what else the person says.
        withdraws: the judgement that is taken back.
        facts: what else came with it, kept as it came.
        line: where it was read, 0 if nowhere.
    """

    person: str
    verdict: Verdict
    at: datetime
    prediction: UUID | None = None
    object: int | None = None
    picture: UUID | None = None
    sha256: bytes | None = None
    box: Box | None = None
    taxon: str | None = None
    corrected_box: Box | None = None
    sure: float | None = None
    note: str | None = None
    withdraws: UUID | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judgement as it is kept.

    Attributes:
        id: follows from all that is said, so that the same one is kept once.
        person: who judges, in small letters.
        at: when.
        sha256: of the bytes of the picture or crop that is judged.
        verdict: what is said.
        box: the region that is judged; None: the whole.
        taxon: what it shows; of RIGHT and WRONG what was predicted or stated.
        corrected_box: where the object is.
        prediction: the prediction that was judged.
        object: of that prediction.
        sure: from 0 to 1.
        note: what else the person says.
        withdraws: the judgement that is taken back.
        facts: what else came with it.
    """

    id: UUID
    person: str
    at: datetime
    sha256: bytes
    verdict: Verdict
    box: Box | None = None
    taxon: UUID | None = None
    corrected_box: Box | None = None
    prediction: UUID | None = None
    object: int | None = None
    sure: float | None = None
    note: str | None = None
    withdraws: UUID | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def region(self) -> Box | None:
        """What it is about; of an object that was missed, where it is."""
        return self.corrected_box if self.verdict is Verdict.MISSED else self.box

    @property
    def but_taxon(self) -> tuple[Any, ...]:
        """All that is said, except which taxon."""
        sure = () if self.sure is None else (self.sure,)
        return (
            *(self.person, self.at, self.sha256, self.verdict, self.prediction, self.object, self.note, self.withdraws),
            *(_text(numbers) for numbers in (self.box, self.corrected_box, sure)),
        )


def identified(stated: Stated, sha256: bytes, box: Box | None, taxon: UUID | None) -> Judgement:
    """The judgement of what was stated, once it is known what it is about.

    Args:
        stated: what was stated.
        sha256: of what is judged.
        box: the region that is judged.
        taxon: what is meant.
    """
    person = stated.person.strip().lower()
    note = stated.note.strip() if stated.note and stated.note.strip() else None
    said = (
        person,
        stated.at.astimezone(UTC).isoformat(),
        sha256.hex(),
        _text(box),
        stated.verdict.value,
        *(str(one or "") for one in (taxon, stated.prediction, stated.object)),
        _text(stated.corrected_box),
        "" if stated.sure is None else _text((stated.sure,)),
        note or "",
        str(stated.withdraws or ""),
    )
    return Judgement(
        judgement_id(*said),
        person,
        stated.at,
        sha256,
        stated.verdict,
        box,
        taxon,
        stated.corrected_box,
        stated.prediction,
        stated.object,
        stated.sure,
        note,
        stated.withdraws,
        stated.facts,
    )


def _text(numbers: Sequence[float] | None) -> str:
    return "" if numbers is None else struct.pack(f"<{len(numbers)}f", *numbers).hex()


def single(number: float) -> float:
    """The nearest number of 32 bits."""
    (found,) = struct.unpack("<f", struct.pack("<f", number))
    return float(found)


def box_of(left: float, top: float, right: float, bottom: float) -> Box:
    """A box.

    Raises:
        ValueError: it is empty, or not within the picture.
    """
    box = (single(left), single(top), single(right), single(bottom))
    if not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
        raise ValueError("expected left < right and top < bottom, all from 0 to 1")
    return box
