"""What a picture shows: seeds of one registered species or of several, or seeds that nobody has named yet."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

UNKNOWN = "unknown"
"""Stands for a species that nobody has named, wherever one is named by text."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One kind of seed that a picture shows.

    Attributes:
        seed: the registered seed; None if the species is unknown.
        number: how many seeds are of it; None if all that the picture shows are, as where it shows one kind.
    """

    seed: UUID | None
    number: int | None = None


def shown_together(kinds: Iterable[Shown]) -> tuple[Shown, ...]:
    """The kinds that a picture shows: each once, with the sum of its numbers, in an order that depends on nothing else.

    >>> shown_together([Shown(None, 1), Shown(UUID(int=1), 2), Shown(UUID(int=1), 3)])
    (Shown(seed=UUID('00000000-0000-0000-0000-000000000001'), number=5), Shown(seed=None, number=1))
    """
    numbers: dict[UUID | None, int | None] = {}
    for kind in kinds:
        before = numbers.get(kind.seed, 0)
        numbers[kind.seed] = None if before is None or kind.number is None else before + kind.number
    ordered = sorted(numbers, key=lambda seed: (seed is None, str(seed)))
    return tuple(Shown(seed, numbers[seed] if len(numbers) > 1 else None) for seed in ordered)


def as_text(shows: Iterable[Shown]) -> str | None:
    """What a picture shows as one text, the same for all that show the same; None if that is not known.

    >>> as_text([Shown(UUID(int=1), 2), Shown(None, 1)])
    '00000000-0000-0000-0000-000000000001:2,unknown:1'
    """
    kinds = (f"{kind.seed or UNKNOWN}{'' if kind.number is None else f':{kind.number}'}" for kind in shows)
    return ",".join(kinds) or None


def from_text(text: str | None) -> tuple[Shown, ...]:
    """Read what `as_text` wrote."""
    if not text:
        return ()
    kinds = (kind.partition(":") for kind in text.split(","))
    return tuple(
        Shown(None if seed == UNKNOWN else UUID(seed), int(number) if number else None) for seed, _, number in kinds
    )


def kinds_as_text(shows: Iterable[Shown]) -> str | None:
    """The kinds without their numbers: what changes when a picture is given another species, and only then."""
    return as_text(Shown(kind.seed) for kind in shows)


def species_as_text(shows: Iterable[Shown]) -> str | None:
    """The named kinds without their numbers; None if there is none. Unknown seeds are in conflict with nothing."""
    return kinds_as_text(kind for kind in shows if kind.seed)
