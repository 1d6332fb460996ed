"""What judgements come to: pure rules, by which nothing depends on the order in which judgements arrive.

A *subject* is what judgements of one thing are about: a content as a whole, or a region of it. Of each person the
latest judgement of a subject counts. Whoever names a genus supports, and does not deny, a species of it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self
from uuid import UUID

from nachet_pipeline.crops.detecting import SAME_REGION, overlap
from nachet_pipeline.models.judgements.judgement import Box, Judgement, Verdict
from nachet_pipeline.settings import JudgingSettings

Broader = Callable[[UUID], Collection[UUID]]
"""The taxa that a taxon belongs to, without itself."""


class Result(StrEnum):
    """What judgements of a subject come to.

    Attributes:
        TAXON: it shows a taxon: this is verified.
        NOT_A_SEED: it shows no seed.
        UNUSABLE: no model should learn from it.
        DISPUTED: people say different things, and nobody's word decides.
        OPEN: not enough was said.
    """

    TAXON = "taxon"
    NOT_A_SEED = "not_a_seed"
    UNUSABLE = "unusable"
    DISPUTED = "disputed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Policy:
    """How many must say the same for it to count.

    Attributes:
        experts: that many experts, if no expert denies it; 0: experts count as everybody.
        persons: that many people, if nobody denies it; 0: never.
    """

    experts: int = 1
    persons: int = 2

    @classmethod
    def of(cls, settings: JudgingSettings) -> Self:
        """The policy that is set."""
        return cls(settings.verified_by_experts, settings.verified_by_persons)

    def __str__(self) -> str:
        """As it is stored with what it decided."""
        return f"experts={self.experts} persons={self.persons}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the judgements of a subject come to.

    Attributes:
        result: what.
        taxon: what it shows, if that is the result.
        box: where people say that the object is, if enough say so.
        agreement: the largest share of those who say something that say the same, or something within it.
        persons: who says something.
        experts: how many of these are experts.
    """

    result: Result
    taxon: UUID | None
    box: Box | None
    agreement: float
    persons: int
    experts: int


_POSITIVE = {
    Verdict.RIGHT: Result.TAXON,
    Verdict.TAXON: Result.TAXON,
    Verdict.BOX: Result.TAXON,
    Verdict.MISSED: Result.TAXON,
    Verdict.NOT_A_SEED: Result.NOT_A_SEED,
    Verdict.UNUSABLE: Result.UNUSABLE,
}

_Answer = tuple[Result, UUID | None]


def _answer(judgement: Judgement) -> _Answer | None:
    """What a judgement says that the subject is, None if it says only what it is not, or nothing."""
    result = _POSITIVE.get(judgement.verdict)
    if result is None or (result is Result.TAXON and judgement.taxon is None):
        return None
    return result, judgement.taxon if result is Result.TAXON else None


def standing(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Those that were not taken back, the earliest first."""
    every = list(judgements)
    gone = {one.withdraws for one in every}
    left = {one.id: one for one in every if one.id not in gone and one.verdict is not Verdict.WITHDRAWN}
    return sorted(left.values(), key=lambda one: (one.at, one.id))


def decide(judgements: Iterable[Judgement], experts: Collection[str], policy: Policy, broader: Broader) -> Outcome:
    """What the judgements of one subject come to.

    Args:
        judgements: all of them.
        experts: who is one now.
        policy: how many must say the same.
        broader: the taxa that a taxon belongs to.
    """
    ordered = standing(judgements)
    latest: dict[str, Judgement] = {}
    for one in ordered:
        before = latest.get(one.person)
        # A box alone says nothing of the taxon, so what the person said of it before still counts, if it was a seed.
        alone = one.verdict is Verdict.BOX and not one.taxon
        if before is None or not alone or before.verdict is Verdict.NOT_A_SEED:
            latest[one.person] = one
    said = {person: one for person, one in latest.items() if _answer(one) or one.verdict is Verdict.WRONG}
    voices = _Voices(said, experts, broader)
    answers = sorted(
        {answer for one in said.values() if (answer := _answer(one))}, key=lambda one: (one[0], str(one[1]))
    )
    winners = [answer for answer in answers if voices.enough_for(answer, policy)]
    numbers = len(said), len(voices.experts)
    if winners:
        # Those that win do not deny each other: the narrowest taxon says the most.
        best = max(winners, key=lambda one: len(broader(one[1])) if one[1] else 0)
        box = _box(ordered, experts, policy) if best[0] is Result.TAXON else None
        return Outcome(best[0], best[1], box, voices.share(best), *numbers)
    torn = any(voices.supporting(answer) and voices.denying(answer) for answer in answers)
    share = max(map(voices.share, answers), default=0.0)
    return Outcome(Result.DISPUTED if torn else Result.OPEN, None, _box(ordered, experts, policy), share, *numbers)


class _Voices:
    """Who supports an answer and who denies it."""

    def __init__(self, said: Mapping[str, Judgement], experts: Collection[str], broader: Broader) -> None:
        self._said = said
        self._broader = broader
        self.experts = {person for person in said if person in experts}

    def supporting(self, answer: _Answer) -> set[str]:
        return {person for person, one in self._said.items() if self._within(_answer(one), answer)}

    def denying(self, answer: _Answer) -> set[str]:
        return {person for person, one in self._said.items() if self._denies(one, answer)}

    def share(self, answer: _Answer) -> float:
        return len(self.supporting(answer)) / len(self._said)

    def enough_for(self, answer: _Answer, policy: Policy) -> bool:
        supporting, denying = self.supporting(answer), self.denying(answer)
        by_experts = policy.experts and len(supporting & self.experts) >= policy.experts and not denying & self.experts
        return bool(by_experts or (policy.persons and len(supporting) >= policy.persons and not denying))

    def _within(self, one: _Answer | None, other: _Answer) -> bool:
        """Whether an answer is another, or a taxon within it."""
        if one is None or one[1] is None or other[1] is None:
            return one == other
        return one[1] == other[1] or other[1] in self._broader(one[1])

    def _denies(self, one: Judgement, answer: _Answer) -> bool:
        said = _answer(one)
        if said is not None:
            return not self._within(said, answer) and not self._within(answer, said)
        return one.taxon is not None and self._within(answer, (Result.TAXON, one.taxon))


def _box(ordered: Sequence[Judgement], experts: Collection[str], policy: Policy) -> Box | None:
    """Where the object is: as so many experts say, or so many people; what was said last leads."""
    latest = {one.person: one for one in ordered if one.verdict is not Verdict.UNSURE}
    given = [(one.person, one.corrected_box) for one in latest.values() if one.corrected_box]
    given.sort(key=lambda one: (latest[one[0]].at, latest[one[0]].id), reverse=True)
    by_experts = [one for one in given if one[0] in experts]
    for boxes, needed in ((by_experts, policy.experts), (given, policy.persons)):
        for _, box in boxes:
            if needed and sum(overlap(box, other) >= SAME_REGION for _, other in boxes) >= needed:
                return box
    return None


# Subjects


@dataclass(frozen=True, slots=True)
class Subject:
    """What judgements are about.

    Attributes:
        sha256: of the content.
        region: empty for the whole, or a box in thousandths, `left,top,right,bottom`.
    """

    sha256: bytes
    region: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """A crop and the region that it was cut from.

    Attributes:
        crop: SHA-256 of the crop.
        parent: of what it was cut from.
        box: where.
    """

    crop: bytes
    parent: bytes
    box: Box


@dataclass
class _Regions:
    """The regions of a content, each with the crop that was cut there, and the judgements of each."""

    cuts: Sequence[Cut]
    boxes: list[Box] = field(default_factory=list)
    judged: list[list[Judgement]] = field(default_factory=list)

    def add(self, judgement: Judgement, box: Box) -> None:
        cut = _nearest(box, [one.box for one in self.cuts])
        if cut is not None:
            box = self.cuts[cut].box
        place = self.boxes.index(box) if box in self.boxes else None
        if place is None and cut is None:
            place = _nearest(box, self.boxes)
        if place is None:
            self.boxes.append(box)
            self.judged.append([])
            place = len(self.boxes) - 1
        self.judged[place].append(judgement)


_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


def _nearest(box: Box, boxes: Sequence[Box]) -> int | None:
    """Which of the boxes is the same region, the one that shares most."""
    shared = [overlap(box, other) for other in boxes]
    best = max(range(len(boxes)), key=shared.__getitem__, default=None)
    return best if best is not None and shared[best] >= SAME_REGION else None


def region_of(box: Box) -> str:
    """The name of a region.

    >>> region_of((0.1, 0.25, 0.5, 1.0))
    '100,250,500,1000'
    """
    return ",".join(str(round(1000 * side)) for side in box)


def subjects(
    judgements: Iterable[Judgement],
    cuts: Sequence[Cut],
    single: Collection[bytes] = (),
    twins: Sequence[tuple[bytes, bytes]] = (),
) -> dict[Subject, list[Judgement]]:
    """The judgements of each subject.

    A crop and the region that it was cut from are one: what is said of either counts for both. The one seed of a
    photograph that shows one is the photograph, when people say which taxon it is.

    Args:
        judgements: of contents that are cut from each other, and all of these.
        cuts: the crops that were cut from these contents.
        single: the contents that show one seed.
        twins: contents with the same pixels; as a whole they are one.
    """
    ordered = standing(judgements)
    by_parent: dict[bytes, list[Cut]] = {}
    for cut in sorted(cuts, key=lambda one: (one.parent, one.crop, one.box)):
        by_parent.setdefault(cut.parent, []).append(cut)
    regions: dict[bytes, _Regions] = {}
    found: dict[Subject, dict[UUID, Judgement]] = {}
    for one in ordered:
        if one.region is None:
            found.setdefault(Subject(one.sha256), {})[one.id] = one
        else:
            regions.setdefault(one.sha256, _Regions(by_parent.get(one.sha256, ()))).add(one, one.region)
    for content, of_content in regions.items():
        for box, judged in zip(of_content.boxes, of_content.judged, strict=True):
            found.setdefault(Subject(content, region_of(box)), {}).update((one.id, one) for one in judged)
    _joined(found, cuts, twins)
    for content in single:
        named = [
            [one for one in judged.values() if _names(one)]
            for subject, judged in found.items()
            if subject.sha256 == content and subject.region
        ]
        if len(one_region := [judged for judged in named if judged]) == 1:
            found.setdefault(Subject(content), {}).update((one.id, one) for one in one_region[0])
    _joined(found, (), twins)
    return {subject: list(of_subject.values()) for subject, of_subject in found.items()}


def _names(judgement: Judgement) -> bool:
    """Whether it says which taxon it is."""
    answer = _answer(judgement)
    return answer is not None and answer[0] is Result.TAXON


def _joined(
    found: dict[Subject, dict[UUID, Judgement]], cuts: Sequence[Cut], twins: Sequence[tuple[bytes, bytes]]
) -> None:
    """Let crops and the regions that they were cut from have each other's judgements, and files of the same pixels."""
    ways = [
        way
        for cut in sorted(cuts, key=lambda one: (one.parent, one.crop, one.box))
        for crop, region in ((Subject(cut.crop), Subject(cut.parent, region_of(cut.box))),)
        for way in ((crop, region, _outwards, cut.box), (region, crop, _inwards, cut.box))
    ]
    for first, second in twins:
        ways += ((Subject(one), Subject(other), _outwards, _WHOLE) for one, other in ((first, second), (second, first)))
    growing = True
    while growing:
        growing = False
        for one, other, move, box in ways:
            there = found.get(other, {})
            more = {number: move(judged, box) for number, judged in found.get(one, {}).items() if number not in there}
            if more:
                found[other] = there | more
                growing = True


def _outwards(judgement: Judgement, cut: Box) -> Judgement:
    """A judgement of a crop as one of what it was cut from: with fractions of that."""
    left, top, right, bottom = cut
    return _moved(judgement, (left, top), (right - left, bottom - top))


def _inwards(judgement: Judgement, cut: Box) -> Judgement:
    """A judgement of a region as one of the crop that was cut there; its object may end outside."""
    left, top, right, bottom = cut
    wide, high = right - left, bottom - top
    return _moved(judgement, (-left / wide, -top / high), (1 / wide, 1 / high))


def _moved(judgement: Judgement, by: tuple[float, float], times: tuple[float, float]) -> Judgement:
    if judgement.corrected_box is None:
        return judgement
    left, top, right, bottom = judgement.corrected_box
    (x, y), (across, down) = by, times
    return replace(judgement, corrected_box=(x + across * left, y + down * top, x + across * right, y + down * bottom))
