"""Bounded concurrent work: a function over many items, with results in order and with limits on threads and memory."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Condition, local
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

    executor = _idle.pop((workers, name), None) or ThreadPoolExecutor(workers, thread_name_prefix=name)

    def call(item: _T) -> _R:
        _serving.executor = executor
        if budget is None:
            return function(item)
        with budget.taken(size(item)):
            return function(item)

    started: deque[Future[_R]] = deque()
    try:
        for item in items:
            started.append(executor.submit(call, item))
            if len(started) >= window:
                yield _next(started)
        while started:
            yield _next(started)
    finally:
        for future in started:
            future.cancel()
        # Collecting garbage may close a generator in one of its own threads, which would wait for itself.
        if getattr(_serving, "executor", None) is executor:
            executor.shutdown(wait=False)
        else:
            wait(started)
            _keep(executor, workers, name)


def _next(started: "deque[Future[_R]]") -> _R:
    """The first result. Ctrl-C while it is waited for leaves it among those that are waited for at the end."""
    started[0].exception()
    return started.popleft().result()


_idle: dict[tuple[int, str], ThreadPoolExecutor] = {}
"""Threads of earlier calls, which have nothing to do; a small folder needs new ones longer than what they do."""
os.register_at_fork(after_in_child=_idle.clear)
_serving = local()


def _keep(executor: ThreadPoolExecutor, workers: int, name: str) -> None:
    if _idle.setdefault((workers, name), executor) is not executor:  # another call ran at the same time
        executor.shutdown(wait=False)
