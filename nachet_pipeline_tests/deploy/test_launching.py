"""A run goes to Kubernetes or Container Apps as a job that does what the run should, and carries no secret openly."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes
import psycopg
import pytest
import yaml
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._cli.job import _create_run
from dagster._core.remote_representation.code_location import CodeLocation
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from nachet_pipeline.defs.fan_out import BULK_TAGS
from nachet_pipeline.defs.runs import PLACE_TAG, SHARED_PLACE, SHORT_IMPORT, SHORT_PLACE
from nachet_pipeline.local.ports import LOOPBACK
from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.deploy import DEPLOY, IMAGE
from nachet_pipeline_tests.deploy.conftest import CONTAINER, Instance
from nachet_pipeline_tests.deploy.control_plane import ControlPlane, Request, control_plane
from nachet_pipeline_tests.deployment import PROJECT

SECRETS = ("NACHET_DATABASE_URL", "NACHET_DATABASE_READER_URL", "NACHET_SECRET_KEYS", "NACHET_BLOB_KEY")
POD = "nachet-pod"
ONE_MACHINE = yaml.safe_load((PROJECT / "dagster.yaml").read_text(encoding="utf-8"))

# Dagster says so of the launcher of Container Apps; its notes do too.
pytestmark = pytest.mark.filterwarnings("ignore:Class `AcaRunLauncher` is currently in beta")


@dataclass(frozen=True)
class Job:
    """A job as it arrived, whichever platform's."""

    image: str
    command: list[str]
    environment: dict[str, str]
    cpu: float
    memory: str
    all_of_it: str


@dataclass(frozen=True)
class Machines:
    """An instance whose launcher's platform is a server here, with the workspace of the code server."""

    instance: Instance
    opened: DagsterInstance
    process: WorkspaceProcessContext
    workspace: WorkspaceRequestContext
    plane: ControlPlane

    def run(self, job: str, *, config: dict[str, Any] | None = None, tags: dict[str, str] | None = None) -> DagsterRun:
        """A run as the UI makes one: its code is on the code server, and it waits in the queue."""
        location = self.workspace.get_code_location("nachet_pipeline")
        assert isinstance(location, CodeLocation)
        repository = next(iter(location.get_repositories().values()))
        made = _create_run(
            instance=self.opened,
            code_location=location,
            remote_repo=repository,
            remote_job=repository.get_full_job(job),
            run_config=config or {},
            tags=tags or {},
            op_selection=None,
            run_id=None,
        )
        return self.opened.submit_run(made.run_id, self.workspace)

    def launch(self, job: str, *, config: dict[str, Any] | None = None) -> tuple[DagsterRun, Job]:
        """A run that was launched, and the job that arrived for it."""
        before = len(self.jobs())
        run = self.opened.launch_run(self.run(job, config=config).run_id, self.workspace)
        arrived = self.jobs()[before:]
        assert len(arrived) == 1
        return run, arrived[0]

    def jobs(self) -> list[Job]:
        if self.instance.platform == "kubernetes":
            return [_kubernetes_job(body) for body in self.plane.bodies("POST", "/jobs")]
        return [_azure_job(found.body) for found in self.plane.requests if found.method == "PUT"]


def _kubernetes_job(body: dict[str, Any]) -> Job:
    container = body["spec"]["template"]["spec"]["containers"][0]
    return Job(
        container["image"],
        container["args"],
        {entry["name"]: entry["value"] for entry in container["env"]},
        float(container["resources"]["limits"]["cpu"]),
        container["resources"]["limits"]["memory"],
        json.dumps(body),
    )


def _azure_job(body: dict[str, Any]) -> Job:
    container = body["properties"]["template"]["containers"][0]
    return Job(
        container["image"],
        container["command"],
        {entry["name"]: entry["value"] for entry in container["env"]},
        container["resources"]["cpu"],
        container["resources"]["memory"],
        json.dumps(body),
    )


def _kubernetes(request: Request) -> tuple[int, object]:
    if request.path.endswith("/pods"):
        return 200, {"kind": "PodList", "items": [{"metadata": {"name": POD}}]}
    if request.path.endswith("/status"):
        return 200, {"kind": "Job", "metadata": {"name": "job"}, "status": {"active": 1}}
    return (201 if request.method == "POST" else 200), {**request.body, "metadata": {"name": "job"}}


def _azure(request: Request) -> tuple[int, object]:
    if request.path.endswith("/executions"):
        return 200, {"value": [{"name": "execution", "properties": {"status": "Running"}}]}
    if request.method == "PUT":
        done = {**request.body["properties"], "provisioningState": "Succeeded"}
        return 200, {**request.body, "properties": done}
    return 200, {"name": "execution", "id": "execution"}


def _identity(_: Request) -> tuple[int, object]:
    # Long past the end of this test, whenever it runs.
    return 200, {"access_token": "of-the-identity", "expires_on": "4102444800", "resource": "r", "token_type": "Bearer"}


def _in_the_cluster(stack: ExitStack, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    """Everything that a pod finds in a cluster: the service's address, a token, and whom to believe."""
    plane = stack.enter_context(control_plane(_kubernetes, folder))
    token = folder / "token"
    token.write_text("of-the-service-account")
    found = kubernetes.config.incluster_config
    monkeypatch.setattr(found, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(found, "SERVICE_CERT_FILENAME", str(plane.certificate))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", plane.host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(plane.port))
    stack.callback(kubernetes.client.Configuration.set_default, None)
    return plane


def _on_azure(stack: ExitStack, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    """Everything that a container of Container Apps finds: its identity's endpoint, and the resource manager."""
    plane = stack.enter_context(control_plane(_azure, folder))
    identity = stack.enter_context(control_plane(_identity, folder, tls=False))
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://{identity.host}:{identity.port}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(plane.certificate))
    endpoint = f"https://{plane.host}:{plane.port}"
    monkeypatch.setattr(
        "azure.mgmt.appcontainers._container_apps_api_client.get_arm_endpoints",
        lambda _cloud: {"resource_manager": endpoint, "credential_scopes": [f"{endpoint}/.default"]},
    )
    return plane


@pytest.fixture
def machines(
    instance: Instance, code_server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machines]:
    # The code server is here and not at the address that its platform gives it.
    file = instance.home / "workspace.yaml"
    workspace = yaml.safe_load(file.read_text(encoding="utf-8"))
    workspace["load_from"][0]["grpc_server"].update(host=LOOPBACK, port=code_server)
    file.write_text(yaml.safe_dump(workspace))
    with ExitStack() as stack:
        there = _in_the_cluster if instance.platform == "kubernetes" else _on_azure
        plane = there(stack, tmp_path, monkeypatch)
        opened = stack.enter_context(instance.open())
        process = stack.enter_context(WorkspaceProcessContext(opened, WorkspaceFileTarget([str(file)])))
        yield Machines(instance, opened, process, process.create_request_context(), plane)
        for run in opened.get_runs():
            if not run.is_finished:
                opened.report_run_canceled(run)


def test_a_run_becomes_a_job_of_the_image_that_serves_its_code(machines: Machines) -> None:
    run, job = machines.launch("load_seeds")

    assert job.image == IMAGE
    assert job.command[:3] == ["dagster", "api", "execute_run"]
    assert run.run_id in job.command[3]
    assert (job.cpu, job.memory) == (2.0, "4Gi")
    token = "of-the-service-account" if machines.instance.platform == "kubernetes" else "of-the-identity"
    assert {str(found.authorization).lower() for found in machines.plane.requests} == {f"bearer {token}"}


@pytest.mark.parametrize("platform", ["kubernetes"])
def test_a_job_of_kubernetes_names_its_secrets_and_holds_none(machines: Machines) -> None:
    _, job = machines.launch("load_seeds")

    values = machines.instance.environment
    assert [name for name in SECRETS if name in values and values[name] in job.all_of_it] == []
    body = machines.plane.bodies("POST", "/namespaces/nachet/jobs")[-1]
    pod = body["spec"]["template"]["spec"]
    assert {"secretRef": {"name": "nachet-secrets"}} in pod["containers"][0]["envFrom"]
    assert {"configMapRef": {"name": "nachet-settings"}} in pod["containers"][0]["envFrom"]
    assert pod["serviceAccountName"] == "nachet-run"
    assert pod["containers"][0]["securityContext"]["runAsNonRoot"] is True
    assert body["spec"]["backoffLimit"] == 0
    assert body["spec"]["activeDeadlineSeconds"] == 23400
    assert body["spec"]["template"]["metadata"]["labels"]["azure.workload.identity/use"] == "true"


@pytest.mark.parametrize("platform", ["azure-container-apps"])
def test_a_job_of_container_apps_holds_what_the_notes_say_and_no_account_key(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NACHET_BLOB_KEY", "account-key-of-somebody-who-set-it")
    _, job = machines.launch("load_seeds")

    assert "account-key-of-somebody-who-set-it" not in job.all_of_it
    values = machines.instance.environment
    # In its variables, because this launcher knows no reference to a secret; on its command line, never.
    open_ones = {name for name, value in job.environment.items() if name in SECRETS and value == values[name]}
    assert [name for name in open_ones if values[name] in job.command[3]] == []
    notes = (DEPLOY / "azure-container-apps" / "README.md").read_text(encoding="utf-8")
    told = notes.partition("## Secrets")[2].partition("\n## ")[0]
    assert open_ones == {name for name in SECRETS if f"`{name}`" in told and name != "NACHET_BLOB_KEY"}
    body = next(found.body for found in machines.plane.requests if found.method == "PUT")
    assert list(body["identity"]["userAssignedIdentities"]) == [values["RUNS_IDENTITY_ID"]]
    assert body["properties"]["configuration"]["registries"] == [
        {"server": "account.azurecr.io", "identity": values["RUNS_IDENTITY_ID"]}
    ]
    assert body["properties"]["configuration"]["replicaTimeout"] == 23400
    assert body["properties"]["environmentId"] == values["RUNS_ENVIRONMENT_ID"]
    assert body["location"] == values["RUNS_REGION"]
    assert machines.plane.requests[-1].path.endswith("/start")


def test_what_the_job_says_does_what_the_run_should(machines: Machines, own_services: Services, tmp_path: Path) -> None:
    """The command of the job, with the variables that the job gives and no others, registers a user."""
    email = f"{machines.instance.platform}@example.org"
    run, job = machines.launch("onboard_user", config={"email": email, "by": "a test"})
    given = {**CONTAINER, "HOME": str(tmp_path), **job.environment}
    if machines.instance.platform == "kubernetes":
        # What the cluster puts in for the secret and the map that the job names.
        names = ("NACHET_DATABASE_URL", "NACHET_DATABASE_READER_URL", "NACHET_SECRET_KEYS", "NACHET_BLOB_ACCOUNT_URL")
        given |= {name: machines.instance.environment[name] for name in names}
    # The emulator knows no managed identity.
    given["NACHET_BLOB_KEY"] = own_services.blob_key
    done = subprocess.run(job.command, env=given, cwd=tmp_path, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
    finished = machines.opened.get_run_by_id(run.run_id)
    assert finished is not None
    assert finished.status is DagsterRunStatus.SUCCESS
    with psycopg.connect(own_services.database_url) as connection:
        assert connection.execute("select count(*) from users where email = %s", (email,)).fetchone() == (1,)


@pytest.mark.parametrize("platform", ["kubernetes"])  # the queue is the same on both; another test says so
@pytest.mark.parametrize(("tag", "places"), [("nachet/kind", 16), (PLACE_TAG, 18)])
def test_bulk_work_and_long_imports_leave_room_for_small_uploads(machines: Machines, tag: str, places: int) -> None:
    """Runs that came first and take long do not keep a run waiting that people wait for."""
    long = {**BULK_TAGS, **SHARED_PLACE}
    for _ in range(places + 2):
        # Without their priority, which lets others go first but ends no run that goes on already.
        machines.run("load_seeds", tags={tag: long[tag]})
    urgent = machines.run("load_seeds", tags=SHORT_PLACE)
    list(QueuedRunCoordinatorDaemon(interval_seconds=1).run_iteration(machines.process))

    runs = machines.opened.get_runs()
    waiting = [run for run in runs if run.status is DagsterRunStatus.QUEUED]
    assert len(waiting) == 2
    assert {run.tags.get(tag) for run in waiting} == {long[tag]}
    started = machines.opened.get_run_by_id(urgent.run_id)
    assert started is not None
    assert started.status is DagsterRunStatus.STARTING
    assert len(machines.jobs()) == places + 1


@pytest.fixture
def _places_of_one_machine(instance: Instance) -> None:
    file = {**instance.file, "concurrency": ONE_MACHINE["concurrency"]}
    (instance.home / "dagster.yaml").write_text(yaml.safe_dump(file))


@pytest.mark.parametrize("platform", ["kubernetes"])  # its launcher is at hand; the places are those of one machine
@pytest.mark.usefixtures("_places_of_one_machine")
def test_on_one_machine_a_small_upload_waits_neither_for_crops_nor_for_what_somebody_materialized(
    machines: Machines,
) -> None:
    """Materialize starts runs without the tags of a job, as those of `purge_folders`."""

    def started() -> set[str]:
        list(QueuedRunCoordinatorDaemon(interval_seconds=1).run_iteration(machines.process))
        return {run.run_id for run in machines.opened.get_runs() if run.status is DagsterRunStatus.STARTING}

    crops = machines.run("load_seeds", tags={**BULK_TAGS, **SHARED_PLACE})
    before = started()
    assert before == {crops.run_id}
    materialized = {machines.run("purge_folders").run_id for _ in range(3)}
    before = started()
    assert len(before & materialized) == 2, "three places are shared"
    for _ in range(2):  # the second has the place of the first
        small = machines.run("load_seeds", tags=SHORT_IMPORT)
        assert started() == {*before, small.run_id}
        machines.opened.report_run_canceled(small)


def test_a_run_is_looked_after_and_ended_with_the_rights_that_are_given(machines: Machines) -> None:
    run, _ = machines.launch("load_seeds")
    fresh = machines.opened.get_run_by_id(run.run_id)
    assert fresh is not None
    assert machines.opened.run_launcher.check_run_worker_health(fresh).status.name == "RUNNING"
    assert machines.opened.run_launcher.terminate(run.run_id)
    ended = [found for found in machines.plane.requests if found.method == "DELETE"]
    assert ended
    if machines.instance.platform != "kubernetes":
        return
    used = {_right(found) for found in machines.plane.requests}
    manifests = yaml.safe_load_all((DEPLOY / "kubernetes" / "nachet.yaml").read_text(encoding="utf-8"))
    role = next(found for found in manifests if found["kind"] == "Role")
    given = {(what, verb) for rule in role["rules"] for what in rule["resources"] for verb in rule["verbs"]}
    assert used - given == set()
    assert ("jobs", "create") in used


def _right(request: Request) -> tuple[str, str]:
    """The resource and the verb that Kubernetes looks for in a role."""
    parts = request.path.partition("/namespaces/nachet/")[2].split("/")
    what = "/".join((parts[0], *parts[2:]))
    verb = {"POST": "create", "DELETE": "delete", "GET": "get" if len(parts) > 1 else "list"}[request.method]
    return what, verb
