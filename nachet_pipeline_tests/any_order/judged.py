"""What judgements must come to, reckoned anew from what was said: a page of plain Python, of no code of the pipeline's.

A *place* is a content and a region of it: empty for the whole, else `left,top,right,bottom` in thousandths.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

Place = tuple[bytes, str]
Box = tuple[float, float, float, float]
NAMING = {"right", "taxon", "box", "missed"}


@dataclass(frozen=True)
class Said:
    """A row of `judgement`."""

    id: UUID
    person: str
    at: datetime
    sha256: bytes
    box: Box | None
    verdict: str
    taxon: UUID | None
    corrected: Box | None
    withdraws: UUID | None

    @property
    def where(self) -> Box | None:
        return self.corrected if self.verdict == "missed" else self.box

    @property
    def answer(self) -> tuple[str, UUID | None] | None:
        """What it says that the thing is."""
        if self.verdict in NAMING:
            return ("taxon", self.taxon) if self.taxon else None
        return (self.verdict, None) if self.verdict in {"not_a_seed", "unusable"} else None


@dataclass(frozen=True)
class Rules:
    """Who counts how.

    Attributes:
        experts: who is one.
        by_experts: how many of them are enough, 0: none are.
        by_persons: how many people are.
        genus: of each species its genus.
    """

    experts: Collection[str]
    by_experts: int
    by_persons: int
    genus: Mapping[UUID, UUID]

    def agree(self, one: tuple[str, UUID | None], wider: tuple[str, UUID | None]) -> bool:
        """Whether an answer is another, or a species of the genus that the other is."""
        return one == wider or (wider[1] is not None and one[1] in self.genus and self.genus[one[1]] == wider[1])


@dataclass(frozen=True)
class Comes:
    """What judgements of a place come to."""

    outcome: str
    taxon: UUID | None
    box: Box | None
    agreement: float
    persons: int
    experts: int


def comes_to(said: Iterable[Said], rules: Rules) -> Comes:
    """What is said of one place comes to this."""
    inorder = sorted(said, key=lambda one: (one.at, one.id))
    latest: dict[str, Said] = {}
    for one in inorder:
        had = latest.get(one.person)
        if one.verdict != "box" or one.taxon or had is None or had.verdict == "not_a_seed":
            latest[one.person] = one  # a box says where the seed is, not what it is; so there is one
    heard = {person: one for person, one in latest.items() if one.answer or one.verdict == "wrong"}
    experts = heard.keys() & rules.experts
    winners, torn, most = [], False, 0.0
    for answer in {one.answer for one in heard.values() if one.answer}:
        # Who names a genus supports its species: `answer` is within what they say.
        yes = {person for person, one in heard.items() if one.answer and rules.agree(answer, one.answer)}
        no = set()
        for person, one in heard.items():
            if one.answer:
                if not rules.agree(answer, one.answer) and not rules.agree(one.answer, answer):
                    no.add(person)
            elif one.taxon and rules.agree(answer, ("taxon", one.taxon)):
                no.add(person)  # who says that it is not the genus denies its species
        most, torn = max(most, len(yes) / len(heard)), torn or bool(yes and no)
        enough_experts = 0 < rules.by_experts <= len(yes & experts) and not no & experts
        if enough_experts or (0 < rules.by_persons <= len(yes) and not no):
            winners.append((answer[1] in rules.genus, len(yes) / len(heard), answer))
    box = _box(inorder, rules)
    if winners:
        _, share, (outcome, taxon) = max(winners, key=lambda one: one[0])
        return Comes(outcome, taxon, box if outcome == "taxon" else None, share, len(heard), len(experts))
    return Comes("disputed" if torn else "open", None, box, most, len(heard), len(experts))


def _box(inorder: list[Said], rules: Rules) -> Box | None:
    last = {one.person: one for one in inorder if one.verdict != "unsure"}
    given = [one for one in reversed(inorder) if last.get(one.person) is one and one.corrected]
    for among, needed in (([one for one in given if one.person in rules.experts], rules.by_experts),
                          (given, rules.by_persons)):  # fmt: skip
        for one in among:
            if 0 < needed <= sum(other.corrected == one.corrected for other in among):
                return one.corrected
    return None


def places(
    said: Iterable[Said],
    cuts: Mapping[bytes, tuple[bytes, Box]],
    single: Collection[bytes],
    same: Callable[[Box, Box], bool],
) -> dict[Place, set[Said]]:
    """What was said of each place.

    Args:
        said: everything.
        cuts: of each crop its photograph and where it was cut.
        single: photographs of one seed.
        same: whether two boxes are one region.
    """
    said = list(said)
    back = {one.withdraws for one in said}
    stands = [one for one in said if one.id not in back and one.verdict != "withdrawn"]
    found: dict[Place, set[Said]] = {}
    begun: dict[bytes, list[Box]] = {}
    for one in sorted(stands, key=lambda one: (one.at, one.id)):
        key: Place = (one.sha256, "")
        if box := one.where:
            cut = [of for photograph, of in cuts.values() if photograph == one.sha256 and same(of, box)]
            known = cut or [of for of in begun.get(one.sha256, []) if same(of, box)]
            region = known[0] if known else box
            if region not in begun.setdefault(one.sha256, []):
                begun[one.sha256].append(region)
            key = (one.sha256, named(region))
        found.setdefault(key, set()).add(one)
    for crop, (photograph, box) in cuts.items():
        pair: list[Place] = [(crop, ""), (photograph, named(box))]
        if both := set[Said]().union(*(found.get(key, set()) for key in pair)):
            found |= dict.fromkeys(pair, both)
    for photograph in single:
        naming = [
            {one for one in of if one.answer and one.answer[0] == "taxon"}
            for (content, region), of in found.items()
            if content == photograph and region
        ]
        if len(only := [one for one in naming if one]) == 1:
            found[photograph, ""] = found.get((photograph, ""), set()) | only[0]
    return found


def named(box: Box) -> str:
    """The name of a region."""
    return ",".join(f"{1000 * side:.0f}" for side in box)


def of_row(row: Mapping[str, Any]) -> Said:
    """What a row of `judgement` says."""
    box, corrected = (tuple(row[name]) if row[name] else None for name in ("box", "corrected_box"))
    return Said(
        row["id"], row["person"], row["at"], bytes(row["sha256"]), box, row["verdict"], row["seed_id"], corrected,
        row["withdraws"],
    )  # fmt: skip
