"""Parts of bulk work, which several runs do at the same time, each perhaps on a machine of its own.

What is worked on has identifiers whose first byte is as good as random. That byte is the section a thing is in, and a
part is a range of sections: so a part needs no list of what it holds, and what is new is in one of the parts too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

SECTIONS = 256
_BITS_BELOW = 120


class ShardError(ValueError):
    """The name of no part; the message is one line with what was expected and found."""


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """A range of sections; without arguments, all of them. Its text is `FIRST-LAST`.

    Attributes:
        first: the first section, from 0.
        last: the last one, which is part of it.

    Raises:
        PartError: it is no range of sections.
    """

    first: int = 0
    last: int = SECTIONS - 1

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last < SECTIONS:
            raise ShardError(f"expected a range of sections within 0-{SECTIONS - 1}, found {self}")

    @classmethod
    def of(cls, text: str) -> Self:
        """The part of this name.

        Raises:
            PartError: there is none such.
        """
        first, _, last = text.partition("-")
        if not (first.isdecimal() and last.isdecimal()):
            raise ShardError(f"expected a part such as 0-63, found {text[:80]!r}")
        return cls(int(first), int(last))

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def __contains__(self, identifier: UUID) -> bool:
        return self.first <= section_of(identifier) <= self.last

    @property
    def lowest(self) -> UUID:
        """The lowest identifier in it."""
        return UUID(int=self.first << _BITS_BELOW)

    @property
    def highest(self) -> UUID:
        """The highest identifier in it."""
        return UUID(int=(self.last + 1 << _BITS_BELOW) - 1)

    def share(self, total: int) -> int:
        """Its share of a number; the shares of parts that make up the whole add up to it."""
        return total * (self.last + 1) // SECTIONS - total * self.first // SECTIONS


WHOLE = Shard()


def section_of(identifier: UUID) -> int:
    """The section of what has this identifier."""
    return identifier.int >> _BITS_BELOW


def shards(number: int, weights: Sequence[int] = (1,) * SECTIONS) -> list[Shard]:
    """Cut the whole into parts with about as much work each.

    Args:
        number: how many parts at most; there are fewer where single sections outweigh a part.
        weights: how much work each section is.
    """
    total = sum(weights)
    if not total:
        return [WHOLE]
    starts: list[int] = []
    before, last = 0, -1
    for section, weight in enumerate(weights):
        # A section belongs where its middle lies; those without work belong to the one before them.
        belongs = (2 * before + weight) * number // (2 * total) if weight else last
        if belongs != last:
            starts.append(section)
            last = belongs
        before += weight
    starts[0] = 0
    return [Shard(start, end - 1) for start, end in zip(starts, [*starts[1:], SECTIONS], strict=True)]
