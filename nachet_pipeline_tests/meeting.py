"""Those that work at the same time meet here, so that tests need not guess how long something takes."""

import time
from collections import Counter
from collections.abc import Callable
from threading import Barrier, Event, Lock
from typing import Any, TypeVar

from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline_tests.workbench import Workbench

_Found = TypeVar("_Found")


def until(condition: Callable[[], _Found]) -> _Found:
    """Wait for what certainly comes, however slow the machine is; minutes mean that it never does."""
    ends = time.monotonic() + 300
    while not (found := condition()):
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.02)
    return found


def until_one_waits(bench: Workbench) -> None:
    """Wait until a connection to the test's database waits for a lock that another holds."""
    name = bench.database_url.get_secret_value().rpartition("/")[2]
    until(lambda: bench.query("select pid from pg_stat_activity where datname = %s and wait_event_type = 'Lock'", name))


class GatedStorage(BlobStorage):
    """The real storage, which stops before its first copy until it may go on."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.storing, self.going_on = Event(), Event()

    def copy(self, *arguments: Any, **settings: Any) -> bool:
        self.storing.set()
        assert self.going_on.wait(60)
        return super().copy(*arguments, **settings)


class MeetingStorage(BlobStorage):
    """The real storage, which counts what is read; every process reads its first picture when all have begun."""

    everybody: Barrier
    reads: Counter[str]
    _met = False
    _lock = Lock()

    def read(self, container: str, blob: str, *arguments: Any, **settings: Any) -> bytes:
        with self._lock:
            self.reads[blob] += 1
            first, self._met = not self._met, True
        if first:
            self.everybody.wait(60)
        return super().read(container, blob, *arguments, **settings)
