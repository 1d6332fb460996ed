"""Processes that outlive the one that started them: how to know them again, and how to end them."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Self

import psutil
from pydantic import BaseModel, ConfigDict

from nachet_pipeline.local.errors import LocalServiceError

# The system's clock may be set while a process runs, which moves all start times a little.
_SAME_START_SECONDS = 2.0
_POLL_SECONDS = 0.05

# Children stay here so that they are reaped by their Popen objects, and no zombie is taken for a process.
_children: dict[int, subprocess.Popen[bytes]] = {}


class ProcessIdentity(BaseModel):
    """A process that can be told from a later one with the same number.

    Attributes:
        pid: number of the process.
        created: when it started, in seconds since 1970.
    """

    model_config = ConfigDict(frozen=True)

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this number now, or None."""
        try:
            return cls(pid=pid, created=psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def find(self) -> psutil.Process | None:
        """The running process, or None if it has ended."""
        child = _children.get(self.pid)
        if child is not None and child.poll() is not None:
            del _children[self.pid]
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _SAME_START_SECONDS
            return process if same and is_alive(process) else None
        except psutil.NoSuchProcess:
            return None


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that has ended and was not reaped does not.

    A killed program shows as ended while its other threads are still ending, and holds its ports and files
    until the last of them has: until then it counts as running.
    """
    try:
        ended = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
        return process.is_running() and not ended
    except psutil.NoSuchProcess:
        return False


def spawn(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path | None,
    environment: Mapping[str, str],
    cwd: Path | str,
    user: int | None = None,
    group: int | None = None,
) -> ProcessIdentity:
    """Start a process in a session of its own, so that no Ctrl-C of a terminal reaches it.

    Args:
        name: what is started, for the message if it cannot be.
        command: program and arguments.
        log: file that its output is appended to; None: where ours goes.
        environment: all of its environment.
        cwd: its working folder.
        user: number of the system user that it runs as, if not ours; only root may ask for that.
        group: number of that user's group.

    Raises:
        LocalServiceError: it could not be started.
    """
    try:
        with nullcontext() if log is None else log.open("ab") as output:
            child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                cwd=cwd,
                env=dict(environment),
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
            )
    except OSError as error:
        raise LocalServiceError(f"{name} could not be started: {error}") from error
    _children[child.pid] = child
    identity = ProcessIdentity.of(child.pid)
    if identity is None:  # cannot be: nobody else reaps our child
        raise ProcessLookupError(f"{name} ended before it could be looked at")
    return identity


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds; False if it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def wait_gone(identity: ProcessIdentity, seconds: float) -> bool:
    """Wait until a process has ended; False if it does not within so many seconds."""
    gone = wait_until(lambda: identity.find() is None, seconds)
    if gone and (child := _children.pop(identity.pid, None)):
        child.poll()  # ours to reap
    return gone


def end(identity: ProcessIdentity, number: signal.Signals, seconds: float) -> bool:
    """Ask a process to end with a signal, and kill it if it does not within so many seconds.

    Returns:
        Whether it ended by itself.
    """
    send(identity, number)
    if wait_gone(identity, seconds):
        return True
    send(identity, signal.SIGKILL)
    wait_gone(identity, seconds)
    return False


def send(identity: ProcessIdentity, number: signal.Signals) -> None:
    """Send a signal to a process, if it still runs."""
    process = identity.find()
    if process is None:
        return
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def matching(condition: Callable[[psutil.Process], bool]) -> list[ProcessIdentity]:
    """The running processes, but for this one, that a condition holds for; one that may not be asked does not match."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and condition(process) and is_alive(process):
                found.append(ProcessIdentity(pid=process.pid, created=process.create_time()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@contextmanager
def signals_as_exit() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP of a closed terminal, raise SystemExit, so that what was started is stopped.

    It lasts as long as the context. A signal that the caller handles already stays as it is, and off the main thread
    nothing is changed.
    """
    changed = []
    if threading.current_thread() is threading.main_thread():
        changed = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for one in changed:
        signal.signal(one, exit_on_signal)
    try:
        yield
    finally:
        for one in changed:
            signal.signal(one, signal.SIG_DFL)


def exit_on_signal(number: int, frame: FrameType | None) -> None:
    """A signal handler that ends the program the way an uncaught SystemExit does."""
    raise SystemExit(128 + number)
