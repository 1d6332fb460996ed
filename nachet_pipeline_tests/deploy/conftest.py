"""A database, the instances of deploy/ on it, and the code server that the image runs."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef

from nachet_pipeline.local.ports import LOOPBACK, free_port
from nachet_pipeline.local.prepare import prepare
from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.databases import own_database
from nachet_pipeline_tests.deploy import DEPLOY, IMAGE, PLATFORMS
from nachet_pipeline_tests.deployment import PROJECT, SECRET_KEY

# Of runs that this machine executes, what a container has by itself.
CONTAINER = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(PROJECT)}
# Where a test's runs print to does not matter; what the file says is tested by itself.
QUIET = {"compute_logs": {"module": "dagster.core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}}


@dataclass(frozen=True)
class Instance:
    """One of the two instances: its folder, and the values of the variables that it and its runs need."""

    platform: str
    home: Path
    environment: dict[str, str]

    @property
    def file(self) -> dict[str, object]:
        found: dict[str, object] = yaml.safe_load((self.home / "dagster.yaml").read_text(encoding="utf-8"))
        return found

    def open(self) -> DagsterInstance:
        """The instance, but for where runs print to."""
        return DagsterInstance.from_ref(InstanceRef.from_dir(str(self.home), overrides=QUIET))


@pytest.fixture(scope="package")
def own_services(services: Services) -> Iterator[Services]:
    """The services, with a database that is made ready and no other test uses."""
    with own_database(services) as own:
        prepare(own)
        yield own


@pytest.fixture(scope="package")
def variables(own_services: Services) -> dict[str, str]:
    """Values of all that the instances, their runs and the code server read from the environment."""
    return {
        "NACHET_DATABASE_URL": own_services.importer_url,
        "NACHET_DATABASE_READER_URL": own_services.reader_url,
        "NACHET_BLOB_ACCOUNT_URL": own_services.blob_account_url,
        "NACHET_SECRET_KEYS": SECRET_KEY,
        "NACHET_DECODE_WORKERS": "2",
        "LOGS_STORAGE_ACCOUNT": "logsaccount",
        "AZURE_SUBSCRIPTION_ID": "00000000-0000-0000-0000-00000000abcd",
        "AZURE_CLIENT_ID": "00000000-0000-0000-0000-00000000c11e",
        "RUNS_RESOURCE_GROUP": "nachet-runs",
        "RUNS_REGION": "canadacentral",
        "RUNS_ENVIRONMENT_ID": "/subscriptions/s/resourceGroups/g/providers/Microsoft.App/managedEnvironments/nachet",
        "RUNS_IDENTITY_ID": "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/"
        "userAssignedIdentities/nachet",
    }


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    """Each of the two in turn, unless a test asks for one."""
    found: str = request.param
    return found


@pytest.fixture
def instance(platform: str, variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """An instance of deploy/, with its environment set."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(DEPLOY / platform / name, home)
    for name in [name for name in os.environ if name.startswith("NACHET_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return Instance(platform, home, variables)


@pytest.fixture(scope="package")
def code_server(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a code server that was started by the command of the image."""
    command = yaml.safe_load(re.findall(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)[0])
    port = free_port()
    command[command.index("--host") + 1] = LOOPBACK
    command[command.index("--port") + 1] = str(port)
    log = tmp_path_factory.mktemp("code") / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            env={**CONTAINER, **variables, "HOME": str(log.parent), "DAGSTER_CURRENT_IMAGE": IMAGE},
            cwd=log.parent,
            stdout=output,
            stderr=output,
        ) as server,
    ):
        try:
            _wait_until_healthy(server, port, log)
            yield port
        finally:
            server.terminate()


def _wait_until_healthy(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    from dagster._grpc.client import DagsterGrpcClient  # noqa: PLC0415 (brings gRPC, which one test module needs)

    client = DagsterGrpcClient(port=port, host=LOOPBACK)
    until = time.monotonic() + 90
    while client.health_check_query() != "SERVING":
        if server.poll() is not None or time.monotonic() > until:
            raise AssertionError(log.read_text(errors="replace"))
        time.sleep(0.2)
