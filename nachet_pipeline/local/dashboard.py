"""Dagster's processes: started, asked whether they are ready, ended without leftovers."""

import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nachet_pipeline.defs.instance import dagster_home
from nachet_pipeline.local import processes
from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.files import write_private
from nachet_pipeline.local.ports import LOOPBACK, is_free
from nachet_pipeline.local.processes import ProcessIdentity
from nachet_pipeline.local.secret_keys import own_secret_keys
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
class Part:
    """One of the processes that Dagster consists of; each is started again by itself.

    Attributes:
        name: what it is.
        command: its command line; `{port}` in it stands for the web server's port.
        answers_at: the port on which it answers before the next part can be started.
    """

    name: str
    command: tuple[str, ...]
    answers_at: int | None = None


def parts_of_dagster(home: Path, code_port: int) -> list[Part]:
    """Dagster as deployments run it: a code server, whose children the runs are, a web server and a daemon.

    Not `dagster dev`, which takes all of them down when one of them ends. Runs outlive even their code server.

    Args:
        home: folder of everything that is kept on this machine.
        code_port: where the code server is to listen.
    """
    workspace = home / "run" / "workspace.yaml"
    write_private(workspace, _WORKSPACE.format(host=LOOPBACK, port=code_port))
    python, module = (sys.executable, "-m"), "nachet_pipeline.definitions"
    code = (*python, "dagster", "api", "grpc", "-m", module, "-h", LOOPBACK, "-p", str(code_port))
    quiet = ("--lazy-load-user-code", "--location-name", "nachet_pipeline", "--log-level", "warning")
    web = (*python, "dagster_webserver", "-w", str(workspace), "-h", LOOPBACK, "-p", "{port}")
    daemon = (str(Path(sys.executable).with_name("dagster-daemon")), "run", "-w", str(workspace))
    return [
        Part("Dagster's code server", (*code, *quiet), answers_at=code_port),
        Part("Dagster's web server", web),
        Part("Dagster's daemon", daemon),
    ]


def environment(home: Path, project: Path, services: Services) -> dict[str, str]:
    """The environment of Dagster's processes: ours, their instance, and where the services are."""
    return {
        **os.environ,
        "DAGSTER_HOME": str(dagster_home(home, project)),
        "NACHET_HOME": str(home),
        "NACHET_DATABASE_URL": services.importer_url,
        "NACHET_DATABASE_READER_URL": services.reader_url,
        "NACHET_BLOB_ACCOUNT_URL": services.blob_account_url,
        "NACHET_BLOB_KEY": services.blob_key,
        "NACHET_SECRET_KEYS": os.environ.get("NACHET_SECRET_KEYS") or own_secret_keys(home),
        _MARK: str(home),
    }


def start(part: Part, *, project: Path, port: int, environment: Mapping[str, str]) -> ProcessIdentity:
    """Start a part of Dagster.

    Args:
        part: the part.
        project: the working folder.
        port: where the web server is to listen.
        environment: see `environment`.

    Raises:
        LocalServiceError: it could not be started.
    """
    try:
        return processes.spawn(
            [word.replace("{port}", str(port)) for word in part.command],
            log=None,
            environment=environment,
            cwd=project,
        )
    except OSError as error:
        raise LocalServiceError(f"{part.name} could not be started: {error}") from error


def wait_answering(part: Part, process: ProcessIdentity, seconds: float) -> None:
    """Wait until a part can be talked to, if others need that.

    Raises:
        LocalServiceError: it ended, or takes too long.
    """
    port = part.answers_at
    if port is None:
        return
    if not processes.wait_until(lambda: process.find() is None or not is_free(port), seconds):
        raise LocalServiceError(f"{part.name} did not answer after {seconds:.0f} s")
    if process.find() is None:
        raise LocalServiceError(f"{part.name} ended before it answered")


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


def stop(home: Path) -> bool:
    """End all of Dagster's processes of a home, runs under way included.

    Returns:
        Whether anything was running.
    """
    found = processes.marked(_MARK, str(home))
    for number, seconds in ((signal.SIGTERM, _END_SECONDS), (signal.SIGKILL, _LEFTOVER_SECONDS)):
        left = processes.marked(_MARK, str(home))
        for process in left:
            processes.send(process, number)
        deadline = time.monotonic() + seconds
        for process in left:
            processes.wait_gone(process, deadline - time.monotonic())
    return bool(found)


def _is_ready(port: int) -> bool:
    try:
        if _ask(port, "GET", "/server_info") is None:
            return False
        answer = _ask(port, "POST", "/graphql", {"query": _LOCATIONS})
    except (OSError, http.client.HTTPException):
        return False
    if answer is None:
        return False
    workspace = answer["data"]["workspaceOrError"]
    entries = workspace.get("locationEntries", [])
    for name, found in [
        ("the workspace", workspace),
        *((e["name"], e["locationOrLoadError"]) for e in entries),
    ]:
        if found is not None and found["__typename"] == "PythonError":
            lines = [line.strip() for line in found["message"].splitlines() if line.strip()]
            raise LocalServiceError(f"Dagster cannot load {name}: {lines[0] if lines else 'no reason given'}")
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)


def _ask(port: int, method: str, path: str, body: object = None) -> Any:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request(
            method,
            path,
            body=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        response = connection.getresponse()
        text = response.read()
        return json.loads(text) if response.status == _OK else None
    finally:
        connection.close()
