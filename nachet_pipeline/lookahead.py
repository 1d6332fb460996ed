"""Keeping a bounded number of tasks under way while their results are taken in order."""

from collections import deque
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def ahead(tasks: Iterator[T], window: int) -> Iterator[T]:
    """The tasks in order, drawn from their iterator before they are needed.

    Drawing a task starts it; so at most `window` are under way, and memory does not grow with their number.

    >>> list(ahead(iter("abc"), 2))
    ['a', 'b', 'c']
    """
    started: deque[T] = deque()
    for task in tasks:
        started.append(task)
        if len(started) >= window:
            yield started.popleft()
    yield from started
