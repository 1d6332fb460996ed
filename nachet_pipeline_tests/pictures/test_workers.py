"""Calls in processes: whatever becomes of one, the others are answered, and none is blamed for what it did not do."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import psutil
import pytest

from nachet_pipeline.pictures import workers
from nachet_pipeline.pictures.workers import CrashedError, TooSlowError, WorkerPool, WorkersUnavailableError
from nachet_pipeline_tests.pictures import calls
from nachet_pipeline_tests.pictures.decoders import decoders

Pools = Callable[..., WorkerPool]


@pytest.fixture
def pools() -> Iterator[Pools]:
    """Makes pools, and closes them."""
    made: list[WorkerPool] = []

    def make(number: int = 1, *, calls_each: int = 1000, good: Callable[[], Any] = calls.nothing) -> WorkerPool:
        made.append(WorkerPool(number, calls_each, (calls.nothing, ()), good))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    """Where calls note the processes that they were tried in."""
    return tmp_path / "noted"


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_PAUSE", 0.01)


def _tried(noted: Path) -> list[str]:
    return noted.read_text().split()


def _answers(pool: WorkerPool) -> bool:
    return pool.submit(calls.answer_of, 3, seconds=60).result() == bytes(3)


@pytest.mark.parametrize("number", [-signal.SIGSEGV, -signal.SIGABRT, 0, 3], ids=["SIGSEGV", "SIGABRT", "0", "3"])
def test_a_call_is_blamed_once_it_has_ended_two_processes_of_its_own(pools: Pools, noted: Path, number: int) -> None:
    pool = pools()

    call = pool.submit(calls.end_by, number, str(noted), seconds=60)

    with pytest.raises(CrashedError) as error:
        call.result()
    assert error.value.code == number
    assert len(set(_tried(noted))) == 3  # one that others could have used, and two of its own
    assert _answers(pool)


@pytest.mark.parametrize("times", [1, 2])
def test_a_call_whose_processes_ended_is_answered_if_it_ends_well(pools: Pools, noted: Path, times: int) -> None:
    assert pools().submit(calls.end_the_first, times, str(noted), seconds=60).result() == "done"
    assert len(set(_tried(noted))) == times + 1


def test_a_call_that_hangs_once_is_answered(pools: Pools, noted: Path) -> None:
    assert pools().submit(calls.sleep_at_first, str(noted), seconds=2).result() == "done"
    assert len(set(_tried(noted))) == 2


def test_a_call_is_too_slow_if_it_is_so_alone_too(pools: Pools, noted: Path) -> None:
    pool = pools()

    call = pool.submit(calls.sleep, str(noted), seconds=1)

    with pytest.raises(TooSlowError):
        call.result()
    assert len(set(_tried(noted))) == 2
    assert _answers(pool)


@pytest.mark.usefixtures("_short_pauses")
def test_processes_killed_from_outside_blame_no_call(pools: Pools, noted: Path) -> None:
    pool = pools(2)

    call = pool.submit(calls.end_by, -signal.SIGKILL, str(noted), seconds=60)

    with pytest.raises(WorkersUnavailableError, match=r"killed from outside .* short of memory; give the machine more"):
        call.result()
    assert len(set(_tried(noted))) == 4
    assert _answers(pool)


@pytest.mark.usefixtures("_short_pauses")
def test_a_call_whose_processes_were_killed_from_outside_is_answered_once_that_ends(pools: Pools, noted: Path) -> None:
    call = pools(2).submit(calls.end_the_first, 3, str(noted), signal.SIGKILL, seconds=60)

    assert call.result() == "done"
    assert len(set(_tried(noted))) == 4


@pytest.mark.usefixtures("_short_pauses")
def test_while_a_call_is_tried_again_because_memory_may_be_short_no_other_is_under_way(
    pools: Pools, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    pool = pools(3)
    killed = [
        pool.submit(calls.others_under_way, str(marks), str(tmp_path / f"noted{n}"), seconds=60) for n in range(2)
    ]
    others = [pool.submit(calls.mark, str(marks), seconds=60) for _ in range(400)]

    assert [call.result() for call in killed] == [[], []]
    assert not others[-1].done()
    assert [call.result() for call in others] == [None] * 400


def test_no_call_is_blamed_where_even_a_good_one_ends_its_process(pools: Pools, noted: Path) -> None:
    call = pools(good=os.abort).submit(calls.end_by, -signal.SIGSEGV, str(noted), seconds=60)

    with pytest.raises(WorkersUnavailableError, match="a picture known to be good: it ended with code -6"):
        call.result()


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The system starts no process, so often as is said."""
    left: list[int] = []
    start = subprocess.Popen

    def refuse(*arguments: Any, **settings: Any) -> Any:
        if left:
            left.pop()
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return start(*arguments, **settings)

    monkeypatch.setattr(subprocess, "Popen", refuse)
    return left


@pytest.mark.usefixtures("_short_pauses")
def test_a_machine_without_memory_for_a_process_is_waited_for(pools: Pools, no_memory: list[int]) -> None:
    no_memory.extend(range(3))

    assert _answers(pools())


@pytest.mark.usefixtures("_short_pauses")
def test_a_machine_that_stays_without_memory_for_a_process_is_told_and_later_calls_are_tried(
    pools: Pools, no_memory: list[int]
) -> None:
    no_memory.extend(range(4))
    pool = pools()

    with pytest.raises(WorkersUnavailableError, match=r"none can be started .*Cannot allocate memory"):
        pool.submit(calls.nothing, seconds=60).result()
    assert _answers(pool)


@pytest.mark.usefixtures("_short_pauses")
def test_workers_that_cannot_prepare_say_why() -> None:
    pool = WorkerPool(1, 10, (calls.raise_peculiarly, ()), calls.nothing)
    try:
        with pytest.raises(WorkersUnavailableError, match="PeculiarError: both words"):
            pool.submit(calls.nothing, seconds=60).result()
    finally:
        pool.close()


def test_what_an_earlier_call_left_of_memory_refuses_no_later_one(pools: Pools) -> None:
    pool = pools()
    before = pool.submit(calls.number_of_process, seconds=60).result()

    assert pool.submit(calls.fill_memory_unless_fresh, seconds=60).result() == "done"
    assert pool.submit(calls.number_of_process, seconds=60).result() != before


def test_a_process_is_replaced_after_so_many_calls(pools: Pools) -> None:
    pool = pools(calls_each=3)

    found = [pool.submit(calls.number_of_process, seconds=60).result() for _ in range(9)]

    assert found == [found[0]] * 3 + [found[3]] * 3 + [found[6]] * 3
    assert len(set(found)) == 3


def test_large_messages_arrive_whole(pools: Pools) -> None:
    size = 50 * 1024**2 + 1

    assert pools().submit(calls.answer_of, size, seconds=60).result() == bytes(size)
    assert pools().submit(len, bytes(size), seconds=60).result() == size


def test_what_cannot_be_sent_is_an_error_and_the_next_call_is_answered(pools: Pools) -> None:
    pool = pools()

    with pytest.raises(Exception, match="lambda"):
        pool.submit(calls.what_no_one_can_send, seconds=60).result()
    with pytest.raises(RuntimeError, match="PeculiarError: both words"):
        pool.submit(calls.raise_peculiarly, seconds=60).result()
    with pytest.raises(Exception, match=r"lambda|local object"):
        pool.submit(lambda: None, seconds=60).result()
    assert _answers(pool)


def test_an_error_says_where_in_the_worker_it_was_raised(pools: Pools) -> None:
    with pytest.raises(FileNotFoundError) as error:
        pools().submit(os.stat, "/nowhere", seconds=60).result()
    assert "worker.py" in error.value.__notes__[0]


def test_modules_are_found_where_this_process_finds_them(pools: Pools) -> None:
    assert pools().submit(calls.where_modules_are_found, seconds=60).result() == sys.path


@pytest.mark.parametrize("number", [None, signal.SIGSTOP], ids=["busy", "stopped"])
def test_a_pool_can_be_closed_whatever_its_processes_do(pools: Pools, noted: Path, number: int | None) -> None:
    before = decoders()
    pool = pools(2)
    under_way = [pool.submit(calls.sleep, str(noted), seconds=600) for _ in range(2)]
    waiting = [pool.submit(calls.nothing, seconds=600) for _ in range(5)]
    while not noted.exists() or len(_tried(noted)) < 2:
        time.sleep(0.01)
    for process in decoders() - before:
        if number:
            process.send_signal(number)

    pool.close()

    for call in under_way + waiting:
        with pytest.raises(CancelledError):
            call.result()
    assert decoders() == before


def test_workers_end_with_the_process_that_asked_them(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    program = f"""
import os, signal
from nachet_pipeline.pictures.workers import WorkerPool
from nachet_pipeline_tests.pictures import calls
pool = WorkerPool(2, 10, (calls.nothing, ()), calls.nothing)
numbers = [pool.submit(calls.number_of_process, seconds=60).result() for _ in range(4)]
open({str(noted)!r}, "w").write(" ".join(map(str, numbers)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL

    left = [psutil.Process(int(number)) for number in _tried(noted) if psutil.pid_exists(int(number))]
    _, alive = psutil.wait_procs(left, timeout=60)
    assert alive == []


def test_no_more_processes_work_than_were_begun(pools: Pools) -> None:
    pool = pools(2)
    pool.begin(1)
    alone = {pool.submit(calls.number_of_process, seconds=60) for _ in range(8)}
    assert len({call.result() for call in alone}) == 1
    pool.begin(2)
    both = {pool.submit(calls.sleep_and_tell, seconds=60) for _ in range(8)}
    assert len({call.result() for call in both}) == 2


def test_a_process_is_begun_before_the_first_call(pools: Pools) -> None:
    before = set(psutil.Process().children())
    pool = pools(2)
    pool.begin(1)
    deadline = time.monotonic() + 60
    while not (begun := set(psutil.Process().children()) - before):
        assert time.monotonic() < deadline
    assert pool.submit(calls.number_of_process, seconds=60).result() in {child.pid for child in begun}
