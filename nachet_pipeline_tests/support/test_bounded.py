"""Concurrent calls are bounded, in order, and over when their caller is."""

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from threading import Event, Lock
from time import sleep

import pytest

from nachet_pipeline.support.bounded import MemoryBudget, bounded_map


def _is_over(calls: list[int]) -> bool:
    """Whether no further call begins."""
    number = len(calls)
    sleep(0.05)
    return len(calls) == number


@pytest.mark.parametrize("number", [0, 1, 4, 5, 50])
def test_results_come_in_order_and_no_more_than_the_window_is_drawn(number: int) -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for item in range(number):
            drawn.append(item)
            yield item

    results = []
    for result in bounded_map(lambda item: item * item, items(), workers=3, window=4):
        assert len(drawn) - len(results) <= 4
        results.append(result)

    assert results == [item * item for item in range(number)]


def test_the_window_is_twice_the_workers_by_itself() -> None:
    items = iter(range(100))

    calls = bounded_map(str, items, workers=3)
    assert next(calls) == "0"
    calls.close()

    assert next(items) == 6


def test_so_many_calls_run_at_a_time_as_there_are_workers() -> None:
    together = threading.Barrier(3)

    def call(_: int) -> int:
        together.wait(30)
        return threading.get_ident()

    assert len(set(bounded_map(call, range(9), workers=3))) == 3


def test_calls_one_after_the_other_use_the_same_threads_and_nested_ones_others() -> None:
    def call(_: int) -> set[int]:
        return {threading.get_ident(), *bounded_map(lambda _: threading.get_ident(), [1], workers=1, name="again")}

    (once,), (twice,) = (list(bounded_map(call, [1], workers=1, name="again")) for _ in range(2))
    assert len(once) == len(twice) == 2
    assert once & twice


def test_results_come_in_order_though_a_later_call_ends_first() -> None:
    later = Event()

    def call(item: int) -> int:
        if item == 0:
            assert later.wait(30)
        later.set()
        return item

    assert list(bounded_map(call, range(2), workers=2)) == [0, 1]


def _fails_at(wrong: int, calls: list[int]) -> Callable[[int], int]:
    def call(item: int) -> int:
        calls.append(item)
        return item // (item - wrong)

    return call


def test_an_error_comes_in_its_turn_and_what_has_not_begun_never_does() -> None:
    calls: list[int] = []
    results = []

    with pytest.raises(ZeroDivisionError):
        results.extend(bounded_map(_fails_at(3, calls), range(1_000), workers=1, window=5, name="failing"))

    assert max(calls) < 3 + 5
    assert _is_over(calls)


def test_an_error_of_the_items_ends_the_calls() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise LookupError

    calls: list[int] = []
    with pytest.raises(LookupError):
        list(bounded_map(calls.append, items(), workers=2, name="drawing"))

    assert _is_over(calls)


def test_a_caller_that_stops_early_waits_for_what_runs_and_nothing_begins_after_it() -> None:
    begun, ended, going_on = [], [], Event()

    def call(item: int) -> int:
        begun.append(item)
        if item:
            going_on.set()
            sleep(0.2)
        ended.append(item)
        return item

    for result in bounded_map(call, range(100), workers=1, window=10, name="early"):
        assert result == 0
        assert going_on.wait(30)
        break

    assert begun == ended == [0, 1]


def test_ctrl_c_waits_for_the_call_that_runs_and_no_other_call_gets_its_thread() -> None:
    begun, ended = Event(), []

    def call(item: int) -> int:
        begun.set()
        sleep(0.5)
        ended.append(item)
        return item

    def press() -> None:
        assert begun.wait(30)
        sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        list(bounded_map(call, range(5), workers=1, name="pressed"))
    assert ended == [0]
    assert _is_over(ended)


def test_a_generator_that_is_closed_in_one_of_its_own_threads_does_not_wait_for_itself() -> None:
    held: list[Generator[int, None, None]] = []
    closing, closed = Event(), Event()

    def call(item: int) -> int:
        if item == 1:
            assert closing.wait(30)
            held.pop().close()
            closed.set()
        return item

    held.append(bounded_map(call, range(5), workers=1, window=3, name="own"))
    assert next(held[0]) == 0
    closing.set()
    assert closed.wait(30)


def test_a_forked_process_has_threads_of_its_own() -> None:
    assert list(bounded_map(abs, [1], workers=1, name="forked")) == [1]
    if (child := os.fork()) == 0:
        signal.alarm(30)
        os._exit(list(bounded_map(abs, [-2], workers=1, name="forked")) != [2])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_error_of_the_caller_ends_the_calls_too() -> None:
    calls: list[int] = []

    def caller() -> None:
        for result in bounded_map(calls.append, range(1_000), workers=2, name="calling"):
            assert result is None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        caller()

    assert _is_over(calls)
    assert len(calls) <= 4


def test_no_more_bytes_are_held_than_the_budget_has_and_a_larger_call_runs_alone() -> None:
    lock = Lock()
    held, most = 0, 0
    alone: list[int] = []

    def call(amount: int) -> None:
        nonlocal held, most
        with lock:
            held += amount
            most = max(most, held if amount <= 100 else 0)
            if amount > 100:
                alone.append(held - amount)
        sleep(0.001)
        with lock:
            held -= amount

    amounts = [30, 60, 1_000, 100, 10, 45, 500, 70, 1] * 5
    list(bounded_map(call, amounts, workers=8, budget=MemoryBudget(100), size=lambda amount: amount))

    assert 60 <= most <= 100
    assert alone == [0] * 10
    assert held == 0


def test_a_call_that_fails_gives_its_bytes_back() -> None:
    budget = MemoryBudget(1)
    with pytest.raises(ZeroDivisionError):
        list(bounded_map(lambda item: 1 // item, [0], workers=1, budget=budget, size=lambda _: 1))
    with budget.taken(1):
        pass
