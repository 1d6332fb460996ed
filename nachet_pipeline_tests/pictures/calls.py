"""What workers are asked to do in tests; imported by them, so it imports little."""

import os
import signal
import sys
import time
from pathlib import Path

_done: list[int] = []


def nothing() -> None:
    """Do it well."""


def number_of_process() -> int:
    _done.append(1)
    return os.getpid()


def sleep_and_tell() -> int:
    """Take long enough for another process to take the next call."""
    time.sleep(0.2)
    return os.getpid()


def end_by(number: int, noted: str) -> None:
    """End this process by a signal, or by an exit code; note that it was tried."""
    _note(noted)
    if number < 0:
        os.kill(os.getpid(), -number)
        time.sleep(60)
    os._exit(number)


def end_the_first(times: int, noted: str, number: int = signal.SIGSEGV) -> str:
    """End this process, the first times that this is tried."""
    if _note(noted) <= times:
        os.kill(os.getpid(), number)
        time.sleep(60)
    return "done"


def mark(folder: str) -> None:
    """Be under way for a moment, for others to see."""
    own = Path(folder) / str(time.monotonic_ns())
    own.touch()
    time.sleep(0.02)
    own.unlink()


def others_under_way(folder: str, noted: str) -> list[str]:
    """End this process by SIGKILL at first; then, how many marks are seen."""
    end_the_first(1, noted, signal.SIGKILL)
    seen = []
    for _ in range(20):
        seen += [mark.name for mark in Path(folder).iterdir()]
        time.sleep(0.01)
    return seen


def sleep_at_first(noted: str) -> str:
    if _note(noted) == 1:
        time.sleep(60)
    return "done"


def sleep(noted: str) -> None:
    _note(noted)
    time.sleep(60)


def fill_memory_unless_fresh() -> str:
    if _done:
        raise MemoryError
    return "done"


def answer_of(size: int) -> bytes:
    return bytes(size)


def what_no_one_can_send() -> object:
    return lambda: None


class PeculiarError(Exception):
    """An error that can be sent and not be received."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one + other)


def raise_peculiarly() -> None:
    raise PeculiarError("both ", "words")


def where_modules_are_found() -> list[str]:
    return sys.path


def _note(noted: str) -> int:
    """Note this process in a file; how many are noted."""
    with Path(noted).open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    return len(Path(noted).read_text().splitlines())
