"""Answers of many, a page at a time: the place where a page ends is a text, and says where the next one begins."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from nachet_pipeline.errors import UsageError
from nachet_pipeline.events.event import Event

_MOST_ON_A_PAGE = 1000

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """A page of an answer.

    Attributes:
        items: what is on it.
        after: give it to the same call for the next page; None: this is the last one.
    """

    items: list[_Item]
    after: str | None


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of what happened.

    Attributes:
        items: the events, in their order.
        after: give it to the next call, now or whenever something may have happened.
    """

    items: list[Event]
    after: int


def identifier(text: UUID | str) -> UUID:
    """An identifier.

    Raises:
        UsageError: it is none.
    """
    try:
        return UUID(str(text))
    except ValueError:
        raise UsageError(f"{str(text)[:80]!r}: expected an identifier") from None


def after_of(moment: datetime, last: UUID) -> str:
    """The place where a page ends that is in the order of a time; `moment_of` reads it."""
    return f"{moment.isoformat()}~{last}"


def moment_of(after: str | None) -> tuple[datetime, UUID] | None:
    """The place where a page ended.

    Raises:
        UsageError: none did there.
    """
    if after is None:
        return None
    moment, _, last = after.partition("~")
    try:
        return datetime.fromisoformat(moment), UUID(last)
    except ValueError:
        raise UsageError("after: expected that of the page before") from None


def one_more(limit: int) -> int:
    """How many to read for a page: one more than it has room for tells whether another page follows.

    Raises:
        UsageError: the page has no room, or too much.
    """
    if not 1 <= limit <= _MOST_ON_A_PAGE:
        raise UsageError(f"limit: expected a number from 1 to {_MOST_ON_A_PAGE}")
    return limit + 1


def page_of(found: list[_Item], limit: int, key: Callable[[_Item], str]) -> Page[_Item]:
    """A page of what was read, see `one_more`."""
    return Page(found[:limit], key(found[limit - 1]) if len(found) > limit else None)
