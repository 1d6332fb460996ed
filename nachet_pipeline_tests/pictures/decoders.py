"""This process's decoders, and some that die, for tests of what becomes of pictures then."""

import contextlib
import os
import signal

import psutil

from nachet_pipeline.pictures.decoding_pool import DecodingPool, Inspection
from nachet_pipeline_tests.pictures import calls


def decoders() -> set[psutil.Process]:
    """Those that live."""
    found = set()
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(part.endswith("pictures/worker.py") for part in process.cmdline()):
                found.add(process)
    return found


class DyingPool(DecodingPool):
    """The real decoders, each of which is ended by a signal as soon as it has a picture."""

    signal = signal.SIGKILL
    """As a machine that is short of memory sends it."""

    def inspect(self, *_: object, **__: object) -> Inspection:
        future = self._started().submit(calls.end_by, -self.signal, os.devnull, seconds=60)
        return Inspection(future, 60)


class CrashingPool(DyingPool):
    """As if every picture made its decoder crash."""

    signal = signal.SIGSEGV
