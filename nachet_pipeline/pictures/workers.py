"""Calls in worker processes that may crash, hang or be killed without harm to any other call.

Every worker has its own socket to this process and its own thread here. Two workers share no lock and no pipe, so none
can block another. (multiprocessing's, concurrent.futures', pebble's and loky's pools
share their queues: a process that dies while it holds the lock of one blocks or breaks all others.) Workers are
started as scripts: nothing imports this process's main module again, and nothing waits for them at its end.

A call whose process ends without an answer, or takes too long, is retried in a fresh process that does nothing else.
How that process ends decides what is reported:

- It takes too long in a process of its own, too: it is too slow (`TooSlowError`).
- It ends two processes of its own: it crashes them (`CrashedError`). A decoder that aborts,
  or is stopped by a signal of the processor, was brought to it by the call.
- SIGKILL and the like come from outside, mostly from a machine short of memory, and never blame the call: a worker's
  own address space is limited, which shows as `MemoryError`. The call is retried after growing pauses, while no other
  call runs. If that fails too, no call can be judged (`WorkersUnavailableError`).
- The same is reported if no process can be started, or if a process ends with a call known to be good. Such a call is
  tried before any other is blamed.
"""

import logging
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Condition, Lock, Thread
from typing import Any, TypeVar

from nachet_pipeline.errors import UnavailableError
from nachet_pipeline.pictures import worker as worker_script

log = logging.getLogger(__name__)

_R = TypeVar("_R")

_CRASHES = 2
"""Fresh processes that a call must crash before it is blamed."""

_KILLS = 4
"""Processes killed from outside, during one call or while starting, before the pool gives up."""

_PAUSE = 1.0
"""Seconds before a call whose process was killed is retried; doubled before each further retry."""

_START_SECONDS = 60
_GOODBYE_SECONDS = 5
_FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT, -signal.SIGQUIT}
_REMEDY = "give the machine more memory, or lower NACHET_DECODE_WORKERS or NACHET_DECODE_MEMORY_MIB"


class TooSlowError(Exception):
    """A call exceeds its time limit, in a process of its own too."""


class CrashedError(Exception):
    """A call crashes its process each time.

    Attributes:
        code: how the last process ended: its exit code, or the number of a signal, negative.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"it ends its process with code {code}")
        self.code = code


class WorkersUnavailableError(UnavailableError):
    """No call can be judged: processes are killed from outside, or cannot work at all. The message says what to do."""


class _Ending(StrEnum):
    LATE = "late"
    CRASHED = "crashed"
    KILLED = "killed"


class _EndedError(Exception):
    """A process that ended, or was killed, without an answer."""

    def __init__(self, code: int | None) -> None:
        """Record the exit code; None: it was killed here, because it exceeded its time limit."""
        super().__init__("it was too slow" if code is None else f"it ended with code {code}")
        self.code = code or 0
        if code is None or code == -signal.SIGALRM:
            self.ending = _Ending.LATE
        else:
            self.ending = _Ending.KILLED if code in _FROM_OUTSIDE else _Ending.CRASHED


@dataclass(frozen=True, slots=True)
class _Call:
    """A call to be made.

    Attributes:
        function: one that a fresh process can import.
        arguments: what it is given.
        options: what it is given by name.
        seconds: how long it may take.
        future: receives its result.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = field(repr=False)
    options: dict[str, Any]
    seconds: int
    future: "Future[Any]" = field(default_factory=Future, repr=False)


class _Worker:
    """A process, and this end of the socket to it."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            OSError: the system cannot start another process.
        """
        self._channel, there = socket.socketpair()
        try:
            with there:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", worker_script.__file__, str(there.fileno())],
                    pass_fds=[there.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
        except BaseException:
            self._channel.close()
            raise
        self.calls = 0

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def greet(self) -> None:
        """Send it the search path for modules.

        Raises:
            _EndedError: it ended.
        """
        self._exchange(sys.path, time.monotonic() + _START_SECONDS, answered=False)

    def ask(self, call: _Call) -> Any:
        """Make a call and return its result.

        Raises:
            _EndedError: the process ended or did not answer in time; it is gone.
            WorkersUnavailableError: this process lacks the memory to send the call.
            Exception: whatever the call raises.
        """
        self.calls += 1
        asked = (call.function, call.arguments, call.options, call.seconds)
        try:
            answer = self._exchange(asked, time.monotonic() + call.seconds)
            fine, value = pickle.loads(answer)  # noqa: S301 (from a process of ours)
            del answer
        except MemoryError:  # of this process, not of the worker
            raise WorkersUnavailableError(
                f"There is no memory left to hand a picture to a decoder; {_REMEDY}"
            ) from None
        if not fine:
            raise value
        return value

    def _exchange(self, message: Any, until: float, *, answered: bool = True) -> bytearray:
        content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        try:
            worker_script.send_message(self._channel, content, until)
            del content
            return worker_script.receive_message(self._channel, until) if answered else bytearray()
        except TimeoutError:
            self.end()
            raise _EndedError(None) from None
        except (EOFError, OSError):
            raise _EndedError(self._code()) from None
        except BaseException:  # half a message may be under way
            self.end()
            raise

    def _code(self) -> int | None:
        """Its exit code; None if it closed the socket and did not end."""
        try:
            return self._process.wait(_GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.end()

    def kill(self) -> None:
        """Kill it; a thread that waits for its answer is woken at once."""
        self._process.kill()
        try:
            self._channel.shutdown(socket.SHUT_RDWR)
        except OSError:  # it is closed already
            return

    def end(self) -> None:
        """Kill it and release its resources."""
        self._process.kill()
        try:
            self._process.wait(_GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:  # the system has not reaped it yet; do not wait
            log.warning("the worker process %d does not end", self._process.pid)
        self._channel.close()


@dataclass(slots=True)
class _Seat:
    """A slot for one process at a time, served by one thread."""

    worker: _Worker | None = None


def _be_ready() -> None:
    """What a process is asked before its first call: to be there."""


class WorkerPool:
    """Runs calls in a fixed number of processes, which start with the first calls."""

    def __init__(
        self, workers: int, calls: int, prepare: tuple[Callable[..., Any], tuple[Any, ...]], good: Callable[[], Any]
    ) -> None:
        """Prepare to run calls.

        Args:
            workers: number of processes.
            calls: a process is replaced after so many.
            prepare: what a process does first, and with what.
            good: a call that every process can do.
        """
        self._calls, self._prepare, self._good = calls, prepare, good
        # Everything below is read and changed with this lock held.
        self._lock = Lock()
        self._called, self._turn = Condition(self._lock), Condition(self._lock)
        self._waiting: deque[_Call] = deque()
        self._running: set[_Worker] = set()
        self._busy = 0
        self._open = workers
        self._begun = 0
        self._alone = self._closed = False
        self._threads = [Thread(target=self._serve, args=(n,), name=f"worker-{n}", daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    def begin(self, workers: int) -> None:
        """Start so many processes now, before the first call, and no others until a later call of this names more."""
        with self._lock:
            wanted = min(workers, len(self._threads))
            new = max(0, wanted - self._begun)
            self._begun += new
            self._open = self._begun
            self._waiting.extend(_Call(_be_ready, (), {}, _START_SECONDS) for _ in range(new))
            self._called.notify_all()

    def submit(self, function: Callable[..., _R], *arguments: Any, seconds: int, **options: Any) -> "Future[_R]":
        """Call a function in a process, as soon as one is free.

        Args:
            function: one that a fresh process can import.
            arguments: what it is given, like `options`.
            seconds: how long it may take.
            options: what it is given by name.

        Returns:
            A future of the result, of one of this module's errors, or of what the function raises.
        """
        call = _Call(function, arguments, options, seconds)
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed")
            self._waiting.append(call)
            self._called.notify_all()
        return call.future

    def close(self) -> None:
        """End all processes; calls that are not done are cancelled."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, deque()
            for running in self._running:
                running.kill()
            self._called.notify_all()
            self._turn.notify_all()
        for call in waiting:
            call.future.cancel()
        for thread in self._threads:
            thread.join()

    # In the thread of a seat

    def _serve(self, number: int) -> None:
        seat = _Seat()
        while call := self._next(number):
            if not call.future.set_running_or_notify_cancel():
                continue
            try:
                result = self._result_of(call, seat)
            except Exception as error:  # noqa: BLE001 (every error goes to the caller; the next call follows)
                # Its traceback would keep the call, and the picture in it, until garbage is collected.
                call.future.set_exception(error.with_traceback(None))
            else:
                call.future.set_result(result)
                del result
            del call  # frees its picture while this thread waits for the next call
        self._leave(seat)

    def _next(self, number: int) -> _Call | None:
        with self._lock:
            self._called.wait_for(lambda: (self._waiting and number < self._open) or self._closed)
            return None if self._closed else self._waiting.popleft()

    def _result_of(self, call: _Call, seat: _Seat) -> Any:
        try:
            with self._beside_others():
                return self._ask(call, seat)
        except _EndedError as error:
            ending, code = error.ending, error.code
        crashes = kills = 0
        while True:
            log.info("a worker process: %s, %d; what it did is tried again in a fresh one", ending, code)
            if ending is _Ending.KILLED:
                kills += 1
                self._pause_after(kills, f"they are killed from outside (code {code})")
            try:
                with self._while_others_wait() if ending is _Ending.KILLED else self._beside_others():
                    return self._ask(call, seat)
            except _EndedError as error:
                ending, code = error.ending, error.code
            crashes += ending is _Ending.CRASHED
            if ending is _Ending.LATE or crashes == _CRASHES:
                self._try_good(seat)
                raise TooSlowError if ending is _Ending.LATE else CrashedError(code)

    def _ask(self, call: _Call, seat: _Seat) -> Any:
        """Make the call in the slot's process, or in a fresh one if there is none that can do it.

        Raises:
            _EndedError: it ended; the next call gets a fresh process.
        """
        if seat.worker and (seat.worker.calls >= self._calls or not seat.worker.is_alive):
            self._leave(seat)
        if seat.worker is None:
            seat.worker = self._start()
        if call.function is _be_ready:
            return None
        try:
            return seat.worker.ask(call)
        except MemoryError:
            if seat.worker.calls == 1:
                raise
            self._leave(seat)  # earlier calls may have left it too little memory
            return self._ask(call, seat)
        except _EndedError:
            self._leave(seat)
            self._refuse_if_closed()
            raise

    def _start(self) -> _Worker:
        """Start a process that is ready for calls.

        Raises:
            WorkersUnavailableError: none can be started.
        """
        failures = 0
        while True:
            try:
                return self._begin()
            except _EndedError as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001 (no memory for it, no decoder installed, …)
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            self._refuse_if_closed()
            failures += 1
            self._pause_after(failures, f"none can be started ({reason})")

    def _begin(self) -> _Worker:
        worker = _Worker()
        with self._lock:
            self._running.add(worker)
            if self._closed:
                worker.kill()
        prepare, arguments = self._prepare
        try:
            worker.greet()
            worker.ask(_Call(prepare, arguments, {}, _START_SECONDS))
        except BaseException:
            self._end(worker)
            raise
        worker.calls = 0
        return worker

    def _leave(self, seat: _Seat) -> None:
        if seat.worker:
            self._end(seat.worker)
            seat.worker = None

    def _end(self, worker: _Worker) -> None:
        with self._lock:
            self._running.discard(worker)
        worker.end()

    def _try_good(self, seat: _Seat) -> None:
        """Check that processes work at all, before a call is blamed.

        Raises:
            WorkersUnavailableError: they cannot.
        """
        reason = ""
        for _ in range(_CRASHES):
            try:
                with self._beside_others():
                    self._ask(_Call(self._good, (), {}, _START_SECONDS), seat)
            except _EndedError as error:
                reason = str(error)
            else:
                return
        raise WorkersUnavailableError(f"Decoders do not even decode a picture known to be good: {reason}; {_REMEDY}")

    def _pause_after(self, failures: int, what: str) -> None:
        if failures == _KILLS:
            raise WorkersUnavailableError(
                f"Decoders: {what}, {failures} times in a row, as on a machine short of memory; {_REMEDY}"
            )
        seconds = _PAUSE * 2 ** (failures - 1)
        log.warning("decoders: %s; tried again in %.0f s", what, seconds)
        with self._lock:
            self._turn.wait_for(lambda: self._closed, seconds)
        self._refuse_if_closed()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise CancelledError

    @contextmanager
    def _beside_others(self) -> Iterator[None]:
        with self._lock:
            self._turn.wait_for(lambda: not self._alone or self._closed)
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
                if self._alone:
                    self._turn.notify_all()

    @contextmanager
    def _while_others_wait(self) -> Iterator[None]:
        with self._lock:
            self._turn.wait_for(lambda: not self._alone or self._closed)
            self._alone = True
            self._turn.wait_for(lambda: not self._busy or self._closed)
        try:
            yield
        finally:
            with self._lock:
                self._alone = False
                self._turn.notify_all()
