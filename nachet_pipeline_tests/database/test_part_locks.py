"""Locks on parts: what overlaps is refused or waits, what does not goes on beside it."""

from threading import Barrier, Event, Thread

import pytest

from nachet_pipeline.database.part_locks import part_lock
from nachet_pipeline.parts import WHOLE, Part
from nachet_pipeline_tests.uploads import Workbench

FIRST, MIDDLE, LAST = Part(0, 127), Part(100, 200), Part(201, 255)


class BusyError(Exception):
    """Somebody has it."""


def test_parts_that_do_not_overlap_are_held_at_the_same_time(workbench: Workbench) -> None:
    with (
        workbench.database.connection() as one,
        workbench.database.connection() as other,
        part_lock(one, "work", FIRST, busy=BusyError()),
        part_lock(other, "work", LAST, busy=BusyError()),
    ):
        assert workbench.query("select count(*) as n from pg_locks where locktype = 'advisory'")[0]["n"] >= 128 + 55


@pytest.mark.parametrize("part", [FIRST, MIDDLE, WHOLE, Part(127, 127)])
def test_a_part_that_overlaps_is_refused_and_keeps_nothing(workbench: Workbench, part: Part) -> None:
    with workbench.database.connection() as one, workbench.database.connection() as other:
        with (
            part_lock(one, "work", FIRST, busy=BusyError()),
            pytest.raises(BusyError),
            part_lock(other, "work", part, busy=BusyError()),
        ):
            pass
        with part_lock(one, "work", WHOLE, busy=BusyError()):
            pass


def test_other_work_has_locks_of_its_own(workbench: Workbench) -> None:
    with (
        workbench.database.connection() as one,
        workbench.database.connection() as other,
        part_lock(one, "work", WHOLE, busy=BusyError()),
        part_lock(other, "other work", WHOLE, busy=BusyError()),
    ):
        assert not one.closed


def test_of_those_that_ask_for_overlapping_parts_at_once_somebody_gets_his(workbench: Workbench) -> None:
    for _ in range(10):
        begin, end, got = Barrier(3), Barrier(3), []

        def ask(part: Part, begin: Barrier = begin, end: Barrier = end, got: list[Part] = got) -> None:
            with workbench.database.connection() as connection:
                begin.wait(30)
                try:
                    with part_lock(connection, "work", part, busy=BusyError()):
                        got.append(part)
                        end.wait(30)
                except BusyError:
                    end.wait(30)

        threads = [Thread(target=ask, args=(part,)) for part in (Part(0, 200), Part(50, 255), WHOLE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(got) == 1


def test_who_waits_says_so_and_gets_it_in_the_end(workbench: Workbench) -> None:
    told, done = Event(), Event()

    def wait() -> None:
        with (
            workbench.database.connection() as connection,
            part_lock(connection, "work", WHOLE, waiting=told.set),
        ):
            done.set()

    thread = Thread(target=wait)
    with workbench.database.connection() as connection, part_lock(connection, "work", MIDDLE, busy=BusyError()):
        thread.start()
        assert told.wait(30)
        assert not done.is_set()
    thread.join(30)
    assert done.is_set()
