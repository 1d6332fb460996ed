"""Bounded concurrent work: a function over many items, with results in order and with limits on threads and memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Condition
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


class MemoryBudget:
    """Bytes that concurrent tasks may hold together. A task that needs more than all of them runs alone."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._changed = Condition()

    def take(self, amount: int) -> Callable[[], None]:
        """Wait until so many bytes are free and take them; call the result, once, to give them back."""
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
        """Hold so many bytes for as long as the context lasts."""
        give_back = self.take(amount)
        try:
            yield
        finally:
            give_back()


def bounded_map(
    function: Callable[[_T], _R],
    items: Iterable[_T],
    *,
    workers: int,
    window: int | None = None,
    budget: MemoryBudget | None = None,
    size: Callable[[_T], int] = lambda _: 0,
    name: str = "bounded",
) -> Generator[_R, None, None]:
    """Call a function for each item in threads, and yield the results in the items' order.

    Items are drawn in the caller's thread, and only so far ahead as the window allows: memory does not grow with their
    number. An error of the function is raised when its item's turn comes. After an error, or when the generator is
    closed, no further call starts, and the running ones are waited for. A caller that leaves its loop early closes the
    generator by that, unless a variable still holds it.

    >>> list(bounded_map(str.upper, "abc", workers=2))
    ['A', 'B', 'C']

    Args:
        function: called in a thread.
        items: one call each.
        workers: number of threads.
        window: calls that are started and not yet yielded, at most; twice the workers if not given.
        budget: what the running calls may hold in memory.
        size: bytes of an item's call in that budget.
        name: of the threads.
    """
    window = window or 2 * workers

    def call(item: _T) -> _R:
        if budget is None:
            return function(item)
        with budget.taken(size(item)):
            return function(item)

    started: deque[Future[_R]] = deque()
    with _threads(workers, name) as executor:
        try:
            for item in items:
                started.append(executor.submit(call, item))
                if len(started) >= window:
                    yield started.popleft().result()
            while started:
                yield started.popleft().result()
        finally:
            for future in started:
                future.cancel()
            wait(started)


_idle: dict[tuple[int, str], ThreadPoolExecutor] = {}


@contextmanager
def _threads(workers: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Threads that nobody else uses meanwhile: those of an earlier call, because a small folder needs new ones longest.

    What they were given is done, or cancelled, when the context ends.
    """
    kind = workers, name
    executor = _idle.pop(kind, None) or ThreadPoolExecutor(workers, thread_name_prefix=name)
    try:
        yield executor
    finally:
        if other := _idle.pop(kind, None):  # of a call that ran at the same time
            other.shutdown(wait=False)
        _idle[kind] = executor
