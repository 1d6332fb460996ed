"""Tasks under way are bounded and taken in order."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from time import sleep

import pytest

from nachet_pipeline.support.bounded import MemoryBudget, bounded_map


@pytest.mark.parametrize("number", [0, 1, 4, 5, 50])
def test_results_come_in_order_and_no_more_than_the_window_is_under_way(number: int) -> None:
    started: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(number):
            started.append(task)
            yield task

    taken = []
    for task in bounded_map(tasks(), 4):
        assert len(started) - len(taken) <= 4
        taken.append(task)

    assert taken == list(range(number))


def test_no_more_bytes_are_held_than_there_is_room_for_and_a_larger_task_waits_for_all_of_it() -> None:
    room, lock = MemoryBudget(100), Lock()
    held, most = 0, 0
    alone: list[int] = []

    def task(amount: int) -> None:
        nonlocal held, most
        with room.taken(amount):
            with lock:
                held += amount
                most = max(most, held if amount <= 100 else 0)
                if amount > 100:
                    alone.append(held - amount)
            sleep(0.001)
            with lock:
                held -= amount

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(task, [30, 60, 1_000, 100, 10, 45, 500, 70, 1] * 5))

    assert 60 <= most <= 100
    assert alone == [0] * 10
    assert held == 0


def test_room_is_given_back_by_a_task_that_fails() -> None:
    room = MemoryBudget(1)
    with pytest.raises(ZeroDivisionError), room.taken(1):
        raise ZeroDivisionError
    with room.taken(1):
        pass
