"""The run in Dagster of an import that a command does: a process of its own writes it while the command imports.

Importing Dagster takes longer than importing a small folder. So this module, which the command imports, does not;
`running.py` is the other process. It ends with the command, however that ends.
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from nachet_pipeline.errors import UnavailableError
from nachet_pipeline.pictures.worker import receive_message, send_message

if TYPE_CHECKING:
    from nachet_pipeline.uploads.importing import ImportOutcome
    from nachet_pipeline.uploads.upload import Upload

# What is imported is no garbage, so the collector does not look at it, then or later.
_PROGRAM = (
    "import gc, sys; gc.disable(); from nachet_pipeline.defs.uploads.running import main; gc.freeze(); gc.enable();"
    " main(int(sys.argv[1]))"
)
_SECONDS_BETWEEN_REPORTS = 1.0
_WRITTEN_WITHIN_SECONDS, _FAILED_WITHIN_SECONDS = 120, 30


class NotReportedError(UnavailableError):
    """Dagster does not show the run of an import; the message says why."""


class ReportedRun:
    """A run that Dagster shows, of an import that this process does. A context manager.

    Attributes:
        id: the run's identifier.
    """

    def __init__(self) -> None:
        """Start the process that writes the run; it imports Dagster meanwhile."""
        self.id = str(uuid4())
        self._reported = 0.0
        self._channel, there = socket.socketpair()
        with there:
            # Ctrl-C in a terminal reaches the process too, from its first moment; the command decides when it ends.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _PROGRAM, str(there.fileno())],
                    pass_fds=[there.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._process.kill()
        self._process.wait()

    def prepare(self, environment: Mapping[str, str]) -> None:
        """Open Dagster's instance already.

        Args:
            environment: names the services and the instance, beside what the environment of this process says now.
        """
        self._send({**os.environ, **environment})

    @contextmanager
    def of(self, upload: "Upload") -> Iterator[None]:
        """The run, which lasts as long as the context; what ends that without an outcome makes it a failure.

        Args:
            upload: what is imported.

        Raises:
            NotReportedError: the run is not shown.
        """
        self._send((self.id, upload))
        try:
            yield
        except BaseException:
            with suppress(OSError):  # it may be gone
                self._channel.shutdown(socket.SHUT_WR)
            self._wait(_FAILED_WITHIN_SECONDS)
            raise
        if failure := self._wait(_WRITTEN_WITHIN_SECONDS):
            raise NotReportedError(f"Dagster does not show the run of this import: {failure}")

    def progress(self, step: str, done: int, total: int) -> None:
        """Report progress, for the log of the run."""
        if time.monotonic() - self._reported >= _SECONDS_BETWEEN_REPORTS:
            self._reported = time.monotonic()
            self._send((step, done, total))

    def end(self, outcome: "ImportOutcome | Exception") -> None:
        """Report how the import ended, or the defect that ended it."""
        self._send(outcome)

    def _send(self, message: Any) -> None:
        try:
            content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
            send_message(self._channel, content, time.monotonic() + _WRITTEN_WITHIN_SECONDS)
        except OSError:  # the process is gone or hangs, and `_wait` reports it
            return

    def _wait(self, seconds: int) -> str:
        """Wait until the run is written; why it is not, if it is not."""
        try:
            answer = receive_message(self._channel, time.monotonic() + seconds)
        except TimeoutError:
            return f"it is not written after {seconds} s"
        except (EOFError, OSError):
            return "the process that writes it is gone"
        return str(pickle.loads(answer))  # noqa: S301 (from a process of ours)
