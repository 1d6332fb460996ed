"""Split an iterable into batches, join the pages of a query into one, and take all steps of a generator at once."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar, cast

_T = TypeVar("_T")
_K = TypeVar("_K")


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield the items in order, in lists of this length; the last may be shorter.

    >>> list(batched("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def pages(read: Callable[[_K], Sequence[_T]], *, first: _K, key: Callable[[_T], _K]) -> Iterator[_T]:
    """Read pages until one is empty, and yield their items: memory does not grow with their number.

    >>> list(pages(lambda after: list(range(10))[after : after + 4], first=0, key=lambda item: item + 1))
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]

    Args:
        read: returns the page after a key, in the keys' order.
        first: the key before the first page.
        key: of an item.
    """
    after = first
    while page := read(after):
        yield from page
        after = key(page[-1])


def result_of(steps: Generator[object, None, _T]) -> _T:
    """Take all steps of a generator, and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("_T", end.value)
