"""Keeping a bounded number of tasks, and of their bytes, under way while their results are taken in order."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import TypeVar

T = TypeVar("T")


def bounded_map(tasks: Iterator[T], window: int) -> Iterator[T]:
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


class MemoryBudget:
    """Bytes that tasks may hold at a time, whatever their number; a task that needs more than all waits for all."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._changed = Condition()

    def take(self, amount: int) -> Callable[[], None]:
        """Take some of it, waiting until it is free; gives what gives it back, once."""
        taken = min(amount, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= taken)
            self._free -= taken

        def give_back() -> None:
            with self._changed:
                self._free += taken
                self._changed.notify_all()

        return give_back

    @contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """Hold some of it for as long as the context lasts."""
        give_back = self.take(amount)
        try:
            yield
        finally:
            give_back()
