"""What a picture shows: seeds of one registered species or of several, or seeds that nobody has named yet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from nachet_pipeline.contract.names import printable
from nachet_pipeline.registry.seeds import Rank
from nachet_pipeline.support.i18n import Bilingual

UNKNOWN = "unknown"
"""Stands for a species that nobody has named, wherever one is named by text."""

UNKNOWN_WORDS = frozenset({UNKNOWN, "inconnu", "inconnue", "inconnus", "inconnues"})
"""The words by which uploaders say so."""


def is_unknown(text: str) -> bool:
    """Whether a text says that the species is unknown, in either language and any case."""
    return text.strip().casefold() in UNKNOWN_WORDS


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


class ShownSpecies(BaseModel):
    """One kind of seed that pictures show, with its name.

    Attributes:
        seed_id: the registered seed; null if the species is unknown.
        species: its scientific name; null if it is unknown.
        number: seeds of it in each picture; null if all seeds are of it.
        guess: what unknown seeds may be, as their uploader wrote it.
        guess_rank: rank of the guess.
    """

    model_config = ConfigDict(frozen=True)

    seed_id: UUID | None = None
    species: str | None = None
    number: int | None = None
    guess: str | None = None
    guess_rank: Rank | None = None

    @property
    def name(self) -> Bilingual:
        """What people call it: `Avena fatua`, `unknown`, `unknown, perhaps Avena sp.`."""
        if self.species:
            return Bilingual.same(self.species)
        guess = self.guess and printable(self.guess)
        return Bilingual(
            f"unknown, perhaps {guess}" if guess else UNKNOWN, f"inconnue, peut-être {guess}" if guess else "inconnue"
        )


def species_in_words(shows: Sequence[ShownSpecies]) -> Bilingual:
    """What pictures show, with the numbers of several: `Avena fatua (3), Avena sativa (2)`."""
    numbers = ["" if one.number is None else f" ({one.number})" for one in shows]
    named = [(one.name, number) for one, number in zip(shows, numbers, strict=True)]
    return Bilingual(
        ", ".join(f"{name.en}{number}" for name, number in named),
        ", ".join(f"{name.fr}{number}" for name, number in named),
    )
