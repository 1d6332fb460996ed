"""Dagster's own commands in a fresh clone where nothing is set: they start this machine's services, and stop them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import urllib3

from nachet_pipeline.dagster_storage import PooledPostgresStorage, StorageError
from nachet_pipeline.local.dagster_processes import wait_ready
from nachet_pipeline.local.embedded import running
from nachet_pipeline.local.ports import LOOPBACK, free_port
from nachet_pipeline.local.processes import ProcessIdentity, matching
from nachet_pipeline.local.sharing import stop_services
from nachet_pipeline_tests.deployment import PROJECT
from nachet_pipeline_tests.homes import furnish
from nachet_pipeline_tests.test_definitions import ASSETS

_BIN = Path(sys.executable).parent
_SECONDS = 240
_STARTS = "nachet: starts PostgreSQL and Azurite in .nachet, until this command ends; their data is kept\n"
_JOINS = "nachet: uses PostgreSQL and Azurite, which run in .nachet already\n"


@pytest.fixture(scope="module")
def clone(cluster: Path, tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project's folder as git hands it out, with nothing but Azurite installed."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("dagster.yaml", "workspace.yaml", "pyproject.toml"):
        (folder / name).write_bytes((PROJECT / name).read_bytes())
    (folder / "nachet_pipeline").symlink_to(PROJECT / "nachet_pipeline")
    (furnish(folder / ".nachet", cluster) / "azurite").symlink_to(tools / "azurite")
    yield folder
    stop_services(folder / ".nachet")


@pytest.fixture(scope="module")
def nothing_set(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment without settings, of somebody whom `dg` does not count."""
    user = tmp_path_factory.mktemp("user")
    (user / ".dg.toml").write_text("[cli.telemetry]\nenabled = false\n")
    return {"HOME": str(user), "PATH": os.defpath}


def _run(clone: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_BIN / command[0], *command[1:]], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )


def _asked(port: int, query: str) -> dict[str, object]:
    answer = urllib3.request("POST", f"http://{LOOPBACK}:{port}/graphql", json={"query": query}, timeout=60)
    found: dict[str, object] = answer.json()["data"]
    return found


def _left(clone: Path) -> list[ProcessIdentity]:
    return matching(lambda process: any(str(clone) in part for part in process.cmdline()))


def test_dagster_dev_just_works_beside_others_and_leaves_nothing_running(
    clone: Path, nothing_set: dict[str, str], tmp_path: Path
) -> None:
    port, log, home = free_port(), tmp_path / "log", clone / ".nachet"
    with log.open("w") as output:
        dev = subprocess.Popen(
            [_BIN / "dagster", "dev", "-w", "workspace.yaml", "-p", str(port)],
            cwd=clone,
            env=nothing_set,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        process = ProcessIdentity.of(dev.pid)
        assert process is not None
        wait_ready(process, port, _SECONDS)
        assert urllib3.request("GET", f"http://{LOOPBACK}:{port}/asset-groups", timeout=60).status == 200
        nodes = _asked(port, "{ assetNodes { assetKey { path } } }")["assetNodes"]
        assert {node["assetKey"]["path"][0] for node in nodes} == ASSETS.keys()
        assert log.read_text().count(_STARTS) == 1

        found = running(home)
        for command in (("dagster", "definitions", "validate", "-w", "workspace.yaml"), ("dg", "check", "defs")):
            beside = _run(clone, nothing_set, *command)
            assert beside.returncode == 0, beside.stderr
            assert _JOINS in beside.stderr
        listed = _run(clone, nothing_set, "dg", "list", "defs", "--json")
        assert {asset["asset_key"] for asset in json.loads(listed.stdout)["assets"]} == ASSETS.keys()
        assert running(home) == found
        assert dev.poll() is None
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait(_SECONDS)

    assert running(home) is None
    assert psutil.wait_procs([psutil.Process(one.pid) for one in _left(clone)], timeout=_SECONDS)[1] == []
    assert list(clone.glob(".tmp_dagster_home_*")) == []


def test_a_half_set_environment_is_one_line_and_starts_nothing(clone: Path, nothing_set: dict[str, str]) -> None:
    half = {**nothing_set, "NACHET_DATABASE_URL": "postgresql://importer:hidden@db.example.org/nachet"}
    result = _run(clone, half, "dagster", "definitions", "validate", "-w", "workspace.yaml")
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1] == (
        "Error: NACHET_BLOB_ACCOUNT_URL: is not set while its companion is; set both, or neither"
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("NACHET_BATCH_SIZE", "many", "NACHET_BATCH_SIZE"),
        ("NACHET_DATABASE_URL", "mysql://importer:hidden@127.0.0.1/nachet", "NACHET_DATABASE_URL: expected postgresql"),
        ("NACHET_DATABASE_URL", "postgresql://importer:hidden@127.0.0.1:1/nachet", "NACHET_DATABASE_URL: the database"),
    ],
)
def test_a_wrong_setting_or_a_database_that_is_away_is_named_without_secrets_and_without_what_led_there(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv("NACHET_DATABASE_URL", "postgresql://importer:hidden@127.0.0.1:1/nachet")
    monkeypatch.setenv("NACHET_BLOB_ACCOUNT_URL", "https://nobody.blob.core.windows.net")
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between the attempts to reach the database
    with pytest.raises(StorageError, match=f"^{expected}") as raised:
        PooledPostgresStorage.from_config_value(None, {})
    assert "\n" not in str(raised.value)
    assert "hidden" not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None
