"""Locks on parts: what overlaps is refused or waits, what does not goes on beside it."""

from threading import Barrier, Event, Thread

import pytest

from nachet_pipeline.database.shard_locks import shard_lock
from nachet_pipeline.support.shards import WHOLE, Shard
from nachet_pipeline_tests.workbench import Workbench

FIRST, MIDDLE, LAST = Shard(0, 127), Shard(100, 200), Shard(201, 255)


class BusyError(Exception):
    """Somebody has it."""


def test_parts_that_do_not_overlap_are_held_at_the_same_time(workbench: Workbench) -> None:
    with (
        workbench.database.connection() as one,
        workbench.database.connection() as other,
        shard_lock(one, "work", FIRST, busy=BusyError()),
        shard_lock(other, "work", LAST, busy=BusyError()),
    ):
        assert workbench.query("select count(*) as n from pg_locks where locktype = 'advisory'")[0]["n"] >= 128 + 55


@pytest.mark.parametrize("part", [FIRST, MIDDLE, WHOLE, Shard(127, 127)])
def test_a_part_that_overlaps_is_refused_and_keeps_nothing(workbench: Workbench, part: Shard) -> None:
    with workbench.database.connection() as one, workbench.database.connection() as other:
        with (
            shard_lock(one, "work", FIRST, busy=BusyError()),
            pytest.raises(BusyError),
            shard_lock(other, "work", part, busy=BusyError()),
        ):
            pass
        with shard_lock(one, "work", WHOLE, busy=BusyError()):
            pass


def test_other_work_has_locks_of_its_own(workbench: Workbench) -> None:
    with (
        workbench.database.connection() as one,
        workbench.database.connection() as other,
        shard_lock(one, "work", WHOLE, busy=BusyError()),
        shard_lock(other, "other work", WHOLE, busy=BusyError()),
    ):
        assert not one.closed


def test_of_those_that_ask_for_overlapping_parts_at_once_somebody_gets_his(workbench: Workbench) -> None:
    for _ in range(10):
        begin, end, got = Barrier(3), Barrier(3), []

        def ask(part: Shard, begin: Barrier = begin, end: Barrier = end, got: list[Shard] = got) -> None:
            with workbench.database.connection() as connection:
                begin.wait(30)
                try:
                    with shard_lock(connection, "work", part, busy=BusyError()):
                        got.append(part)
                        end.wait(30)
                except BusyError:
                    end.wait(30)

        threads = [Thread(target=ask, args=(part,)) for part in (Shard(0, 200), Shard(50, 255), WHOLE)]
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
            shard_lock(connection, "work", WHOLE, waiting=told.set),
        ):
            done.set()

    thread = Thread(target=wait)
    with workbench.database.connection() as connection, shard_lock(connection, "work", MIDDLE, busy=BusyError()):
        thread.start()
        assert told.wait(30)
        assert not done.is_set()
    thread.join(30)
    assert done.is_set()
