"""Dagster's processes: started, asked whether they are ready, ended without leftovers."""

import http.client
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nachet_pipeline.instance import dagster_home
from nachet_pipeline.local import processes
from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.ports import LOOPBACK
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


def start(command: Sequence[str], *, project: Path, port: int, environment: Mapping[str, str]) -> ProcessIdentity:
    """Start Dagster.

    Args:
        command: the command line; `{port}` in it stands for the port.
        project: the working folder.
        port: where the web server is to listen.
        environment: see `environment`.

    Raises:
        LocalServiceError: it could not be started.
    """
    try:
        return processes.spawn(
            [part.replace("{port}", str(port)) for part in command],
            log=None,
            environment=environment,
            cwd=project,
        )
    except OSError as error:
        raise LocalServiceError(f"Dagster could not be started: {error}") from error


def wait_ready(process: ProcessIdentity, port: int, seconds: float) -> None:
    """Wait until the web server answers and every code location has loaded.

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


def stop(home: Path, dagster: ProcessIdentity | None = None) -> bool:
    """End Dagster, and all of a home's processes that descend from it, runs under way included.

    Args:
        home: the home.
        dagster: the process that the others descend from, ended first; if not given, all are ended alike.

    Returns:
        Whether anything was running.
    """
    found = processes.marked(_MARK, str(home))
    if dagster is not None:
        # `dagster dev` ends its servers and they their runs, each in good order.
        processes.send(dagster, signal.SIGINT)
        processes.wait_gone(dagster, _END_SECONDS)
    for number, seconds in ((signal.SIGTERM, _LEFTOVER_SECONDS), (signal.SIGKILL, _LEFTOVER_SECONDS)):
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
