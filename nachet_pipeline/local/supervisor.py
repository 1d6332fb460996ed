"""One process that keeps PostgreSQL, Azurite and Dagster running together on this machine.

`up` starts it in the background, `down` ends it. What it says about itself is in `run/state.json` of the
home, what it and Dagster write in `run/supervisor.log`. What dies is started again at the same address, after
pauses that grow; what dies at once each time makes it stop everything and say why.
"""

import importlib
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from nachet_pipeline.local import dagster_processes, processes
from nachet_pipeline.local.dagster_processes import DagsterProcess
from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.files import held
from nachet_pipeline.local.ports import LOOPBACK, kept_port
from nachet_pipeline.local.processes import ProcessIdentity
from nachet_pipeline.local.services import Services
from nachet_pipeline.local.sharing import missing_services, revive_services, shared_services, stop_services
from nachet_pipeline.local.state import Running, SupervisorState, read_state, state_file, write_state

PREPARE = "nachet_pipeline.local.prepare:prepare"
START_SECONDS = 600.0

_USUAL_PORT = 3000
_STOP_SECONDS = 240.0
_WATCH_SECONDS = 1.0
_POLL_SECONDS = 0.1
_AT_ONCE_SECONDS = 20.0
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0)
_logger = logging.getLogger(__name__)


def up(
    home: Path,
    *,
    instance: Path,
    foreground: bool = False,
    tools: Path | None = None,
    prepare: str = PREPARE,
    command: Sequence[str] | None = None,
    seconds: float = START_SECONDS,
) -> Running:
    """Start the pipeline with its services, or find it running already.

    Interrupted before it is ready, it takes down what it started.

    Args:
        home: folder of everything that is kept on this machine.
        instance: folder of the Dagster instance, with its dagster.yaml.
        foreground: supervise in this process until SIGINT or SIGTERM comes, instead of in the background.
        tools: folder under which Azurite is installed once; the home if not given.
        prepare: `module:function`, called with the services before Dagster starts.
        command: what runs Dagster, `{port}` in it standing for the port; its usual processes if not given.
        seconds: how long it may take to be ready.

    Raises:
        LocalServiceError: it did not become ready; the message says why and names the log.
    """
    task = _Task(
        home=home.resolve(),
        instance=instance.resolve(),
        tools=None if tools is None else tools.resolve(),
        prepare=prepare,
        command=tuple(command or ()),
        seconds=seconds,
    )
    console = Console(stderr=True)
    if foreground:
        return _supervise_here(task, console)
    with processes.signals_as_exit(), console.status("starting") as status:

        def report(doing: str) -> None:
            status.update(doing)
            if not console.is_terminal:
                console.print(doing)

        return _up_in_background(task, report)


def down(home: Path) -> bool:
    """Stop the pipeline and its services, and wait until all of it is gone.

    Also stops what a supervisor left that was killed, and the services if somebody still uses them. Where a
    supervisor gave up by itself, the reason is written to the standard error.

    Returns:
        Whether anything was running.

    Raises:
        LocalServiceError: something could not be stopped; the message names the log.
    """
    home = home.resolve()
    if not home.is_dir():
        return False
    state = read_state(home)
    was_running = state is not None and state.alive
    if state is not None:
        _end_supervisor(state.supervisor, state.log)
    with held(_lock_file(home), unless_busy=f"another process is starting the pipeline of {home} now; try again"):
        _report_failure(read_state(home))
        was_running = dagster_processes.stop(home) or was_running
        was_running = stop_services(home) or was_running
        state_file(home).unlink(missing_ok=True)
    return was_running


class _Task(BaseModel):
    """What a supervisor is to do; the fields are the arguments of `up`."""

    model_config = ConfigDict(frozen=True)

    home: Path
    instance: Path
    tools: Path | None
    prepare: str
    command: tuple[str, ...]
    seconds: float

    @property
    def log(self) -> Path:
        return self.home / "run" / "supervisor.log"

    def dagster_processes(self, port: int) -> list[DagsterProcess]:
        """Dagster's processes in the order in which they start; the last answers on the port."""
        if not self.command:
            return dagster_processes.dagster_processes(self.home, port)
        return [DagsterProcess("Dagster", tuple(word.replace("{port}", str(port)) for word in self.command))]


class _StopRequested(BaseException):
    """SIGINT or SIGTERM came."""


@dataclass
class _Restarts:
    """When something that ended is started again, and when no more.

    Attributes:
        name: what it is.
        begun: when it was started last.
        in_a_row: how often in a row it ended at once.
        due: when it is to be started again; None: it did not end.
    """

    name: str
    begun: float = -math.inf
    in_a_row: int = 0
    due: float | None = None

    def ended(self, now: float) -> float:
        """Note that it ended; the seconds until it is to be started again.

        Raises:
            LocalServiceError: it ended at once each time.
        """
        self.in_a_row = self.in_a_row + 1 if now - self.begun < _AT_ONCE_SECONDS else 0
        if self.in_a_row == len(_PAUSES):
            raise LocalServiceError(f"{self.name} ended at once each time it was started")
        pause = _PAUSES[self.in_a_row]
        self.due = now + pause
        return pause

    def start(self, now: float) -> None:
        """Note that it is started now."""
        self.begun, self.due = now, None


class _Supervisor:
    """Starts everything in order, watches it, and stops it in reverse."""

    def __init__(self, task: _Task, report: Callable[[str], None]) -> None:
        self._task = task
        self._report = report
        self._stopping = False
        itself = ProcessIdentity.of(os.getpid())
        if itself is None:  # cannot be: it is us
            raise ProcessLookupError(os.getpid())
        self._state = SupervisorState(supervisor=itself, log=task.log)
        self._dagster: list[DagsterProcess] = []
        self._found: Services | None = None

    def run(self) -> Running | None:
        """Supervise until SIGINT or SIGTERM comes.

        Returns:
            What ran, or None if it was stopped before it was ready.

        Raises:
            LocalServiceError: something did not start or died, or another supervisor is at work.
        """
        with held(_lock_file(self._task.home), unless_busy="another supervisor of this home is at work"):
            # Set before any child starts: one that inherits an ignored SIGINT could not be asked to end.
            former = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                return self._run()
            finally:
                for number, handler in former.items():
                    signal.signal(number, handler)

    def _run(self) -> Running | None:
        try:
            self._change(doing="looking for leftovers")
            dagster_processes.stop(self._task.home)
            with self._services():
                self._start()
                self._watch()
        except _StopRequested:
            state_file(self._task.home).unlink(missing_ok=True)
        finally:
            error = sys.exception()
            if error is not None:
                self._change(stopping=True, doing="stopped", failure=_reason(error))
        return self._state.running

    @contextmanager
    def _services(self) -> Iterator[None]:
        task = self._task
        with ExitStack() as stack:
            stack.callback(stop_services, task.home)
            shared = shared_services(task.home, tools=task.tools, progress=lambda doing: self._change(doing=doing))
            self._found = stack.enter_context(shared)
            stack.callback(self._stop_dagster)
            self._change(doing="preparing the database and the storage")
            _function(task.prepare)(self._found)
            yield

    def _start(self) -> None:
        task = self._task
        port = kept_port(task.home / "run" / "dagster.port", _USUAL_PORT)
        self._dagster = task.dagster_processes(port)
        self._change(doing="starting Dagster")
        self._start_dagster()
        web = self._dagster[-1]
        dagster_processes.wait_ready(self._state.dagster[web.name], port, task.seconds)
        url = f"http://{LOOPBACK}:{port}"
        self._change(doing=f"ready at {url}", url=url)

    def _start_dagster(self) -> None:
        for one in self._dagster:
            one.wait_answering(self._start_one(one), self._task.seconds)

    def _start_one(self, one: DagsterProcess) -> ProcessIdentity:
        task = self._task
        if self._found is None:
            raise LocalServiceError("the services do not run")
        environment = dagster_processes.environment(task.home, task.instance, self._found)
        process = one.start(environment)
        self._change(dagster={**self._state.dagster, one.name: process})
        return process

    def _watch(self) -> None:
        """Start again what ends, for ever.

        Raises:
            LocalServiceError: something ends at once each time.
        """
        restarts: dict[str, _Restarts] = {}
        while True:
            time.sleep(_WATCH_SECONDS)
            ended = self._ended()
            for one in restarts.values():
                if one.name not in ended:
                    one.due = None
            for name in ended:
                known = restarts.setdefault(name, _Restarts(name))
                now = time.monotonic()
                if known.due is None:
                    pause = known.ended(now)
                    self._change(doing=f"{name} ended unexpectedly; starting it again{_in(pause)}")
                if known.due is not None and known.due <= now:
                    known.start(now)
                    self._revive(name)

    def _ended(self) -> list[str]:
        """What does not run now; first what others need."""
        dagster = [one.name for one in self._dagster if self._state.dagster[one.name].find() is None]
        return [*missing_services(self._task.home), *dagster]

    def _revive(self, name: str) -> None:
        one = next((one for one in self._dagster if one.name == name), None)
        try:
            if one is not None:
                self._start_one(one)
            else:
                found = revive_services(self._task.home, tools=self._task.tools)
                if found != self._found:
                    # Somebody else took its port meanwhile.
                    self._found = found
                    dagster_processes.stop(self._task.home)
                    self._start_dagster()
        except LocalServiceError as error:
            self._change(doing=str(error))
            return
        self._change(doing=f"{name} runs again")

    def _stop_dagster(self) -> None:
        # From here on a signal changes nothing: everything is being stopped.
        self._stopping = True
        self._change(stopping=True, doing="stopping")
        dagster_processes.stop(self._task.home)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._stopping:
            self._stopping = True
            raise _StopRequested

    def _change(self, **changes: object) -> None:
        before = self._state.doing
        self._state = self._state.model_copy(update=changes)
        write_state(self._task.home, self._state)
        if self._state.doing != before:
            self._report(self._state.doing)


def main(task: _Task) -> int:
    """The background process that `up` starts; its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        _Supervisor(task, _logger.info).run()
    except LocalServiceError as error:
        _logger.error("%s", error)  # noqa: TRY400 (one line says it)
        return 1
    return 0


def _supervise_here(task: _Task, console: Console) -> Running:
    state = read_state(task.home)
    if state is not None and state.alive:
        raise LocalServiceError(f"the pipeline runs already, in process {state.supervisor.pid}; stop it first")
    running = _Supervisor(task, console.print).run()
    if running is None:
        raise LocalServiceError("stopped before it was ready")
    return running


def _up_in_background(task: _Task, report: Callable[[str], None]) -> Running:
    state = read_state(task.home)
    if state is not None and state.alive and state.stopping:
        report("waiting for the former run to stop")
        processes.wait_gone(state.supervisor, _STOP_SECONDS)
    if state is not None and state.alive:
        return _wait_ready(task, state.supervisor, report)
    _report_failure(state)
    supervisor = _spawn(task)
    ready = False
    try:
        running = _wait_ready(task, supervisor, report)
        ready = True
    finally:
        if not ready:
            _end_supervisor(supervisor, task.log)
    return running


def _spawn(task: _Task) -> ProcessIdentity:
    task.log.parent.mkdir(parents=True, exist_ok=True)
    if task.log.exists():
        task.log.replace(task.log.with_name("supervisor.previous.log"))
    command = (sys.executable, "-m", "nachet_pipeline.local.supervisor", task.model_dump_json())
    return processes.spawn("the supervisor", command, log=task.log, environment=os.environ, cwd=Path.cwd())


def _wait_ready(task: _Task, supervisor: ProcessIdentity, report: Callable[[str], None]) -> Running:
    deadline = time.monotonic() + task.seconds
    reported = ""
    while True:
        # Looked at before the state is read: what a supervisor that has ended wrote last is there then.
        ended = supervisor.find() is None
        state = read_state(task.home)
        if state is not None and ended and state.supervisor != supervisor and state.alive:
            supervisor = state.supervisor  # two were started at once, and this is the one at work
        elif state is not None and state.supervisor == supervisor:
            if state.failure is not None:
                raise LocalServiceError(f"{state.failure}; see {state.log}")
            if state.running is not None and not state.stopping and not ended:
                return state.running
            if state.doing != reported:
                reported = state.doing
                report(reported)
        elif ended:
            raise LocalServiceError(f"it ended before it was ready; see {task.log}")
        if time.monotonic() > deadline:
            raise LocalServiceError(f"it was not ready after {task.seconds:.0f} s ({reported}); see {task.log}")
        time.sleep(_POLL_SECONDS)


def _end_supervisor(supervisor: ProcessIdentity, log: Path) -> None:
    processes.send(supervisor, signal.SIGTERM)
    if not processes.wait_gone(supervisor, _STOP_SECONDS):
        raise LocalServiceError(f"process {supervisor.pid} does not stop; see {log}")


def _report_failure(state: SupervisorState | None) -> None:
    if state is not None and state.failure is not None:
        Console(stderr=True).print(f"it had stopped by itself: {state.failure}; see {state.log}", soft_wrap=True)


def _function(name: str) -> Callable[[Services], object]:
    module, _, attribute = name.partition(":")
    found: Callable[[Services], object] = getattr(importlib.import_module(module), attribute)
    return found


def _reason(error: BaseException) -> str:
    if isinstance(error, LocalServiceError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _in(seconds: float) -> str:
    return f" in {seconds:.0f} s" if seconds else ""


def _lock_file(home: Path) -> Path:
    return home / "run" / "supervisor.lock"


if __name__ == "__main__":
    sys.exit(main(_Task.model_validate_json(sys.argv[1])))
