import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from azure.storage.blob import ContainerClient

from nachet_pipeline.local import azurite, processes
from nachet_pipeline.local.embedded import running, services
from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.processes import ProcessIdentity
from nachet_pipeline.local.state import Running, read_state, state_file
from nachet_pipeline.local.supervisor import down, up
from nachet_pipeline_tests.homes import furnish

_STAND_IN = Path(__file__).with_name("stand_in.py")
_UP = """
import signal
import sys
from pathlib import Path
from nachet_pipeline.local.supervisor import up
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would this
home, tools, *command = sys.argv[1:]
up(Path(home), instance=Path(home), tools=Path(tools), prepare="builtins:repr", command=command, foreground=%s)
"""


@dataclass
class Place:
    """A home of the test's own, and a stand-in for Dagster."""

    home: Path
    tools: Path

    def command(self, deed: str) -> list[str]:
        return [sys.executable, str(_STAND_IN), "{port}", deed, str(self.home / "child")]

    def up(self, deed: str = "serve", *, prepare: str = "builtins:repr", seconds: float = 60) -> Running:
        return up(
            self.home,
            instance=self.home,
            tools=self.tools,
            prepare=prepare,
            command=self.command(deed),
            seconds=seconds,
        )

    def up_elsewhere(self, deed: str, *, foreground: bool = False) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", _UP % foreground, str(self.home), str(self.tools), *self.command(deed)],
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def child_runs(self) -> bool:
        note = self.home / "child"
        if not note.exists() or not note.read_text():
            return False
        pid = int(note.read_text())
        return psutil.pid_exists(pid) and processes.is_alive(psutil.Process(pid))

    def nothing_runs(self) -> bool:
        mentioning = _mentioning(self.home)
        return not mentioning and not self.child_runs() and running(self.home) is None


def _mentioning(home: Path, name: str = "") -> list[ProcessIdentity]:
    return processes.matching(
        lambda process: name in process.name() and any(str(home) in part for part in process.cmdline())
    )


def _wait(condition: Callable[[], bool]) -> None:
    assert processes.wait_until(condition, 60)


@pytest.fixture
def place(tools: Path, cluster: Path) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="nachet-tests-") as folder:
        found = Place(furnish(Path(folder).resolve(), cluster), tools)
        yield found
        down(found.home)
        assert found.nothing_runs()


def test_what_is_brought_up_answers_and_is_gone_after_down(place: Place) -> None:
    found = place.up()
    with urllib.request.urlopen(f"{found.url}/server_info") as answer:  # noqa: S310 (our own address)
        assert answer.status == 200
    assert place.child_runs()
    assert running(place.home) is not None
    assert state_file(place.home).stat().st_mode & 0o077 == 0

    assert down(place.home)

    assert place.nothing_runs()
    assert not down(place.home)


def test_bringing_up_what_runs_finds_it(place: Place) -> None:
    assert place.up() == place.up()


def test_a_command_beside_the_pipeline_uses_its_services_and_leaves_them_running(place: Place) -> None:
    place.up()
    before = running(place.home)
    with services(place.home, tools=place.tools) as found:
        assert found == before
    assert running(place.home) == before


def test_what_was_stored_just_before_down_is_there_at_the_same_address_after_up(place: Place) -> None:
    first = place.up()
    found = running(place.home)
    assert found is not None
    with ContainerClient(found.blob_account_url, "seeds", found.blob_key, api_version="2026-06-06") as container:
        container.create_container()
        container.upload_blob("1.tiff", b"a picture")
        down(place.home)
        second = place.up()
        assert container.download_blob("1.tiff").readall() == b"a picture"
    assert second.url == first.url


def test_a_killed_supervisor_hinders_neither_the_next_start_nor_the_next_stop(place: Place) -> None:
    for _ in range(2):
        place.up()
        state = read_state(place.home)
        assert state is not None
        processes.send(state.supervisor, signal.SIGKILL)
        assert processes.wait_gone(state.supervisor, 10)
        assert place.child_runs()

    assert down(place.home)

    assert place.nothing_runs()


def _is_well(place: Place, found: Running) -> bool:
    """Whether the page answers and both services run."""
    try:
        with urllib.request.urlopen(f"{found.url}/server_info") as answer:  # noqa: S310 (our own address)
            return answer.status == 200 and running(place.home) is not None
    except OSError:
        return False


def _kill(place: Place, what: str) -> None:
    state = read_state(place.home)
    assert state is not None
    if what == "Dagster":
        processes.send(state.dagster["Dagster"], signal.SIGKILL)
        assert processes.wait_gone(state.dagster["Dagster"], 10)
    elif what == "Azurite":
        azurite_here = azurite.running(place.home / "blobs")
        assert azurite_here is not None
        processes.send(azurite_here.process, signal.SIGKILL)
        assert processes.wait_gone(azurite_here.process, 10)
    else:
        for process in _mentioning(place.home, "postgres"):
            processes.send(process, signal.SIGKILL)


@pytest.mark.parametrize("what", ["PostgreSQL", "Azurite", "Dagster"])
def test_what_dies_runs_again_at_the_same_address_and_the_log_says_so(place: Place, what: str) -> None:
    found = place.up()
    before = running(place.home)

    _kill(place, what)

    _wait(lambda: f"{what} runs again" in found.log.read_text())
    _wait(lambda: _is_well(place, found))
    assert running(place.home) == before
    assert place.up() == found
    assert f"{what} ended unexpectedly; starting it again" in found.log.read_text()


def test_what_dies_at_once_each_time_stops_everything_and_the_reason_is_told(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    found = place.up("serve once")
    state = read_state(place.home)
    assert state is not None

    _kill(place, "Dagster")

    _wait(lambda: not state.alive)
    assert place.nothing_runs()
    log = found.log.read_text()
    assert all(f"Dagster ended unexpectedly; starting it again{pause}" in log for pause in ("\n", " in 1 s", " in 8 s"))
    down(place.home)
    assert f"Dagster ended at once each time it was started; see {state.log}" in capsys.readouterr().err


def test_a_machine_without_power_goes_on_where_it_was(place: Place) -> None:
    first = place.up()
    before = running(place.home)
    state = read_state(place.home)
    assert state is not None
    processes.send(state.supervisor, signal.SIGKILL)
    for what in ("Dagster", "Azurite", "PostgreSQL"):
        _kill(place, what)
    assert processes.wait_gone(state.supervisor, 10)

    second = place.up()

    assert _is_well(place, second)
    assert second.url == first.url
    assert running(place.home) == before


@pytest.mark.parametrize(
    ("deed", "prepare", "reason"),
    [
        ("fail", "builtins:repr", "Dagster ended before its web server answered"),
        ("break", "builtins:repr", "Dagster cannot load nachet: ImportError: no such seed"),
        ("serve", "builtins:len", "TypeError: object of type 'Services' has no len()"),
    ],
)
def test_a_start_that_fails_says_why_names_the_log_and_leaves_nothing(
    place: Place, deed: str, prepare: str, reason: str
) -> None:
    with pytest.raises(LocalServiceError) as error:
        place.up(deed, prepare=prepare)

    assert str(error.value) == f"{reason}; see {place.home / 'run' / 'supervisor.log'}"
    assert place.nothing_runs()


def test_a_start_that_takes_too_long_is_given_up(place: Place) -> None:
    with pytest.raises(LocalServiceError, match=r"not ready after 5 s.*supervisor\.log$"):
        place.up("hang", seconds=5)

    assert place.nothing_runs()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_that_is_interrupted_takes_down_what_it_started(place: Place, number: signal.Signals) -> None:
    with place.up_elsewhere("hang") as other:
        _wait(place.child_runs)
        other.send_signal(number)
        assert other.wait(timeout=60) != 0

    assert place.nothing_runs()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_pipeline_in_the_foreground(place: Place, number: signal.Signals) -> None:
    with place.up_elsewhere("serve", foreground=True) as other:
        _wait(lambda: (state := read_state(place.home)) is not None and state.url is not None)
        other.send_signal(number)
        assert other.wait(timeout=60) == 0

    assert place.nothing_runs()


def test_two_who_bring_it_up_at_once_get_the_same_pipeline(place: Place) -> None:
    with place.up_elsewhere("serve") as other:
        found = place.up()
        assert other.wait(timeout=60) == 0
    assert place.up() == found
