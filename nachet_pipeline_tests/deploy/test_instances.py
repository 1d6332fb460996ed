"""The two instances of deploy/: they open, they differ from one machine's only where they say so, and are explained."""

import os
import re
import uuid
from pathlib import Path

import psycopg
import pytest
import yaml
from dagster import DagsterInstance, DagsterInvalidConfigError
from dagster_azure.blob import AzureBlobComputeLogManager
from dagster_azure.container_apps import AcaRunLauncher

from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.deploy import DEPLOY, PLATFORMS
from nachet_pipeline_tests.deploy.conftest import Instance
from nachet_pipeline_tests.deployment import PROJECT

ONE_MACHINE = yaml.safe_load((PROJECT / "dagster.yaml").read_text(encoding="utf-8"))
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "nachet.yaml").read_text(encoding="utf-8")))

pytestmark = pytest.mark.filterwarnings("ignore:Class `AcaRunLauncher` is currently in beta")


def _named(value: object) -> set[str]:
    """Environment variables that a configuration takes values from."""
    if isinstance(value, dict):
        if set(value) == {"env"}:
            return {value["env"]}
        return set().union(*(_named(part) for part in value.values()))
    if isinstance(value, list):
        return set().union(*(_named(part) for part in value))
    return set()


def _kinds(kind: str) -> dict[str, dict]:
    return {found["metadata"]["name"]: found for found in MANIFESTS if found["kind"] == kind}


def test_the_instance_keeps_its_state_in_postgresql_and_logs_in_blob_storage(
    instance: Instance, own_services: Services
) -> None:
    key = f"{instance.platform}~{uuid.uuid4()}"
    with DagsterInstance.from_config(str(instance.home)) as opened:
        opened.add_dynamic_partitions("upload", [key])
        with psycopg.connect(own_services.importer_url) as connection:
            found = connection.execute("select partition from dynamic_partitions where partition = %s", (key,))
            assert found.fetchall() == [(key,)]
        assert isinstance(opened.compute_log_manager, AzureBlobComputeLogManager)
        # Without a key or a token, managed identity is what is left.
        logs = opened.get_ref().compute_logs_data.config_dict
        assert not {"access_key_or_sas_token", "secret_credential"} & set(logs)
        assert opened.run_monitoring_enabled
        assert opened.get_concurrency_config().run_queue_config is not None


@pytest.mark.parametrize("platform", ["azure-container-apps"])
def test_the_launcher_of_container_apps_is_what_the_file_says(instance: Instance) -> None:
    with instance.open() as opened:
        launcher = opened.run_launcher
        assert isinstance(launcher, AcaRunLauncher)
        assert launcher.identity_id == instance.environment["RUNS_IDENTITY_ID"]
        assert "NACHET_BLOB_KEY" not in launcher.env_vars


@pytest.mark.parametrize("wrong", [{"memory_limit": "4Gi"}, {"env_vars": "NACHET_DATABASE_URL"}])
def test_a_wrong_setting_of_the_launcher_is_refused(instance: Instance, wrong: dict[str, object]) -> None:
    file = instance.file
    file["run_launcher"]["config"].update(wrong)
    (instance.home / "dagster.yaml").write_text(yaml.safe_dump(file))
    with instance.open() as opened, pytest.raises(DagsterInvalidConfigError, match=next(iter(wrong))):
        _ = opened.run_launcher


def test_a_variable_that_is_not_set_is_named(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOGS_STORAGE_ACCOUNT")
    with (
        DagsterInstance.from_config(str(instance.home)) as opened,
        pytest.raises(DagsterInvalidConfigError, match="LOGS_STORAGE_ACCOUNT"),
    ):
        _ = opened.compute_log_manager


@pytest.mark.parametrize("section", ["storage", "run_coordinator", "run_retries", "retention", "telemetry", "nux"])
def test_what_needs_no_reason_to_differ_is_as_on_one_machine(instance: Instance, section: str) -> None:
    assert instance.file[section] == ONE_MACHINE[section]


def test_runs_are_monitored_as_on_one_machine_but_may_take_longer_to_start(instance: Instance) -> None:
    here, there = dict(ONE_MACHINE["run_monitoring"]), dict(instance.file["run_monitoring"])
    assert there.pop("start_timeout_seconds") > here.pop("start_timeout_seconds")
    assert there == here


def test_nothing_of_one_machine_is_forgotten(instance: Instance) -> None:
    assert set(ONE_MACHINE) - set(instance.file) == set()
    assert set(instance.file) - set(ONE_MACHINE) <= {"run_launcher", "compute_logs"}


def test_the_platform_ends_no_run_before_dagster_does(instance: Instance) -> None:
    config = instance.file["run_launcher"]["config"]
    limit = (
        config["run_job_replica_timeout"]
        if instance.platform == "azure-container-apps"
        else config["run_k8s_config"]["job_spec_config"]["active_deadline_seconds"]
    )
    monitoring = instance.file["run_monitoring"]
    assert limit > monitoring["max_runtime_seconds"] + monitoring["start_timeout_seconds"]


def test_the_two_differ_in_nothing_but_the_platform() -> None:
    one, two = (yaml.safe_load((DEPLOY / name / "dagster.yaml").read_text(encoding="utf-8")) for name in PLATFORMS)
    assert one.pop("run_launcher") != two.pop("run_launcher")
    assert one == two


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_variable_that_is_read_is_explained(platform: str) -> None:
    config = yaml.safe_load((DEPLOY / platform / "dagster.yaml").read_text(encoding="utf-8"))
    forwarded = {name for name in config["run_launcher"]["config"].get("env_vars", []) if "=" not in name}
    notes = (DEPLOY / platform / "README.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `(\w+)` \|", notes, re.MULTILINE))
    assert _named(config) | forwarded <= explained


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_file_that_the_notes_speak_of_exists(platform: str) -> None:
    notes = DEPLOY / platform / "README.md"
    links = re.findall(r"\]\(([^)#:]+)\)", notes.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (notes.parent / link).exists()] == []


def test_the_workspace_names_the_service_of_the_code_server() -> None:
    workspace = yaml.safe_load((DEPLOY / "kubernetes" / "workspace.yaml").read_text(encoding="utf-8"))
    server = workspace["load_from"][0]["grpc_server"]
    service = _kinds("Service")[server["host"]]
    assert service["spec"]["ports"][0]["port"] == server["port"]
    labels = _kinds("Deployment")["nachet-code"]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_the_manifests_mount_what_the_launcher_mounts_and_read_what_its_runs_read() -> None:
    config = yaml.safe_load((DEPLOY / "kubernetes" / "dagster.yaml").read_text(encoding="utf-8"))
    launcher = config["run_launcher"]["config"]
    custom = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text(encoding="utf-8"))
    assert custom["namespace"] == launcher["job_namespace"]
    assert custom["configMapGenerator"][0]["name"] == launcher["instance_config_map"]
    for name in (*custom["resources"], *custom["configMapGenerator"][0]["files"]):
        assert (DEPLOY / "kubernetes" / name).is_file()
    assert launcher["service_account_name"] in _kinds("ServiceAccount")
    assert set(launcher["env_config_maps"]) <= set(_kinds("ConfigMap"))
    deployments = _kinds("Deployment")
    assert set(deployments) == {"nachet-code", "nachet-daemon", "nachet-web"}
    for deployment in deployments.values():
        pod = deployment["spec"]["template"]["spec"]
        container = pod["containers"][0]
        assert {source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source} == set(
            launcher["env_secrets"]
        )
        assert {"name": "DAGSTER_HOME", "value": launcher["dagster_home"]} in container["env"]
        assert container["securityContext"]["runAsNonRoot"]
        assert pod["serviceAccountName"] in _kinds("ServiceAccount")


def test_there_is_one_daemon_even_while_it_is_replaced() -> None:
    daemon = _kinds("Deployment")["nachet-daemon"]["spec"]
    assert (daemon["replicas"], daemon["strategy"]) == (1, {"type": "Recreate"})


def test_the_settings_of_the_cluster_are_settings_of_the_project() -> None:
    from nachet_pipeline.settings import Settings  # noqa: PLC0415 (beside what it is for)

    given = {name: value for name, value in _kinds("ConfigMap")["nachet-settings"]["data"].items() if "NACHET" in name}
    settings = Settings.from_environment({**given, "NACHET_DATABASE_URL": "postgresql://importer@server/nachet"})
    # As many as a run may use cores, and not as many as its machine has.
    limits = yaml.safe_load((DEPLOY / "kubernetes" / "dagster.yaml").read_text())["run_launcher"]["config"]["resources"]
    assert settings.decoder.decode_workers == int(limits["limits"]["cpu"])


def test_no_file_of_deploy_names_this_machine() -> None:
    for file in DEPLOY.rglob("*"):
        if file.is_file():
            assert str(PROJECT) not in file.read_text(encoding="utf-8"), file
            assert str(Path.home()) + "/" not in file.read_text(encoding="utf-8").replace("/home/nachet", ""), file


def test_the_environment_of_the_tests_is_no_help(instance: Instance) -> None:
    """What the files need is what the README tells and no more: nothing else of ours is set here."""
    assert {name for name in os.environ if name.startswith("NACHET_")} <= set(instance.environment)
