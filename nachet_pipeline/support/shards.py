"""Shards of bulk work, which several runs process at the same time, on one machine or several.

The items have identifiers whose first byte is practically random. That byte is an item's section, and a shard is a
range of sections. So a shard needs no list of its items, and a new item belongs to a shard too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

SECTIONS = 256
_BITS_BELOW = 120


class ShardError(ValueError):
    """A text that names no shard; the message is one line with what was expected and found."""


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """A range of sections; without arguments, all of them. Its text is `FIRST-LAST`.

    Attributes:
        first: the first section, from 0.
        last: the last section, included.

    Raises:
        ShardError: it is no range of sections.
    """

    first: int = 0
    last: int = SECTIONS - 1

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last < SECTIONS:
            raise ShardError(f"expected a range of sections within 0-{SECTIONS - 1}, found {self}")

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse a shard's text.

        Raises:
            ShardError: it names no shard.
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
        """Its share of a number; the shares of all shards add up to the number."""
        return total * (self.last + 1) // SECTIONS - total * self.first // SECTIONS


WHOLE = Shard()


def section_of(identifier: UUID) -> int:
    """The section of what has this identifier."""
    return identifier.int >> _BITS_BELOW


def shards(number: int, weights: Sequence[int] = (1,) * SECTIONS) -> list[Shard]:
    """Divide the whole into shards with about as much work each.

    Args:
        number: how many shards at most; fewer where a single section outweighs a shard.
        weights: the work in each section.
    """
    total = sum(weights)
    if not total:
        return [WHOLE]
    starts: list[int] = []
    before, last = 0, -1
    for section, weight in enumerate(weights):
        # A section goes to the shard in which its middle lies; a section without work goes where the one before went.
        belongs = (2 * before + weight) * number // (2 * total) if weight else last
        if belongs != last:
            starts.append(section)
            last = belongs
        before += weight
    starts[0] = 0
    return [Shard(start, end - 1) for start, end in zip(starts, [*starts[1:], SECTIONS], strict=True)]
