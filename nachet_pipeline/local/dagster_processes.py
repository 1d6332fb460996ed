"""Dagster's processes: started, asked whether they are ready, ended without leftovers."""

import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import urllib3

from nachet_pipeline.local import processes
from nachet_pipeline.local.embedded import HELD_FOR, variables
from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.files import write_private
from nachet_pipeline.local.ports import LOOPBACK, is_free, kept_port
from nachet_pipeline.local.processes import ProcessIdentity
from nachet_pipeline.local.services import Services

# Carried by all of Dagster's processes, so that none is overlooked; not NACHET_…, those are all settings.
_MARK = "SUPERVISED_HOME"

_LOCATIONS = """{ workspaceOrError { __typename
  ... on PythonError { message }
  ... on Workspace { locationEntries { name loadStatus
    locationOrLoadError { __typename ... on PythonError { message } } } } } }"""
_POLL_SECONDS = 0.25
_ANSWER_SECONDS = 20.0
_END_SECONDS = 45.0  # a run under way is told to stop and notes that it was
_LEFTOVER_SECONDS = 15.0
_OK = 200
_WORKSPACE = """load_from:
  - grpc_server:
      host: {host}
      port: {port}
      location_name: nachet_pipeline
"""


@dataclass(frozen=True)
class DagsterProcess:
    """One of the processes that Dagster consists of; each is started again by itself.

    Attributes:
        name: what it is.
        command: its command line.
        answers_at: the port on which it answers before the next one can be started.
    """

    name: str
    command: tuple[str, ...]
    answers_at: int | None = None

    def start(self, environment: Mapping[str, str]) -> ProcessIdentity:
        """Start it in the folder that we are in, to which the paths in settings are relative.

        Raises:
            LocalServiceError: it could not be started.
        """
        return processes.spawn(self.name, self.command, log=None, environment=environment, cwd=Path.cwd())

    def wait_answering(self, process: ProcessIdentity, seconds: float) -> None:
        """Wait until it can be talked to, if others need that.

        Raises:
            LocalServiceError: it ended, or takes too long.
        """
        port = self.answers_at
        if port is None:
            return
        if not processes.wait_until(lambda: process.find() is None or not is_free(port), seconds):
            raise LocalServiceError(f"{self.name} did not answer after {seconds:.0f} s")
        if process.find() is None:
            raise LocalServiceError(f"{self.name} ended before it answered")


def dagster_processes(home: Path, port: int) -> list[DagsterProcess]:
    """Dagster as deployments run it: a code server, whose children the runs are, a daemon and a web server.

    Not `dagster dev`: it stops everything when its web server or its daemon ends, and goes on without code when a code
    server ends below its proxy. Runs outlive even their code server.

    Args:
        home: folder of everything that is kept on this machine.
        port: where the web server is to listen.
    """
    code_port = kept_port(home / "run" / "code-server.port")
    workspace = home / "run" / "workspace.yaml"
    write_private(workspace, _WORKSPACE.format(host=LOOPBACK, port=code_port))
    python, module = (sys.executable, "-m"), "nachet_pipeline.definitions"
    server = (*python, "nachet_pipeline.local.code_server", "api", "grpc", "-m", module)
    where = ("-h", LOOPBACK, "-p", str(code_port))
    quiet = ("--lazy-load-user-code", "--location-name", "nachet_pipeline", "--log-level", "warning")
    web = (*python, "dagster_webserver", "-w", str(workspace), "-h", LOOPBACK, "-p", str(port))
    daemon = (str(Path(sys.executable).with_name("dagster-daemon")), "run", "-w", str(workspace))
    return [
        DagsterProcess("Dagster's code server", (*server, *where, *quiet), answers_at=code_port),
        DagsterProcess("Dagster's daemon", daemon),
        DagsterProcess("Dagster's web server", web),
    ]


def environment(home: Path, instance: Path, services: Services) -> dict[str, str]:
    """The environment of Dagster's processes: ours, their instance, and where the services are."""
    return {
        **os.environ,
        **variables(home, services),
        "DAGSTER_HOME": str(instance),
        HELD_FOR: str(home.resolve()),
        _MARK: str(home),
    }


def wait_ready(process: ProcessIdentity, port: int, seconds: float) -> None:
    """Wait until the web server, whose process this is, answers and every code location has loaded.

    Raises:
        LocalServiceError: it ended, a code location does not load, or it takes too long.
    """
    deadline = time.monotonic() + seconds
    while not _is_ready(port):
        if process.find() is None:
            raise LocalServiceError("Dagster ended before its web server answered")
        if time.monotonic() > deadline:
            raise LocalServiceError(f"Dagster was not ready after {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


def running(home: Path) -> list[ProcessIdentity]:
    """All of Dagster's processes of a home; descendants whose parents have died carry the mark as well."""
    return processes.matching(lambda process: process.environ().get(_MARK) == str(home))


def stop(home: Path) -> bool:
    """End all of Dagster's processes of a home, runs under way included.

    Returns:
        Whether anything was running.
    """
    found = running(home)
    for number, seconds in ((signal.SIGTERM, _END_SECONDS), (signal.SIGKILL, _LEFTOVER_SECONDS)):
        left = running(home)
        for process in left:
            processes.send(process, number)
        deadline = time.monotonic() + seconds
        for process in left:
            processes.wait_gone(process, deadline - time.monotonic())
    return bool(found)


def _is_ready(port: int) -> bool:
    try:
        answer = urllib3.request(
            "POST",
            f"http://{LOOPBACK}:{port}/graphql",
            json={"query": _LOCATIONS},
            timeout=_ANSWER_SECONDS,
            retries=False,
        )
    except urllib3.exceptions.HTTPError:
        return False
    if answer.status != _OK:
        return False
    workspace = answer.json()["data"]["workspaceOrError"]
    entries = workspace.get("locationEntries", [])
    for name, found in [("the workspace", workspace), *((e["name"], e["locationOrLoadError"]) for e in entries)]:
        if found is not None and found["__typename"] == "PythonError":
            lines = [line.strip() for line in found["message"].splitlines() if line.strip()]
            raise LocalServiceError(f"Dagster cannot load {name}: {lines[0] if lines else 'no reason given'}")
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)
