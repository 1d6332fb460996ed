"""Reconciliation and retention as operators meet them: in the UI and at the terminal."""

import json
from typing import Any

import pytest
from dagster import AssetCheckSeverity, RunConfig, materialize

from nachet_pipeline.defs.maintenance.assets import ReconcileForm, reconciled_storage
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource, of_settings
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.deployment import Deployment
from nachet_pipeline_tests.reconciliation.drifted import imported, pictures
from nachet_pipeline_tests.workbench import Workbench


def run(bench: Workbench, **config: Any) -> Any:
    """Materialize the asset as the job does."""
    return materialize(
        [reconciled_storage],
        resources={
            "database": DatabaseResource(url=bench.database_url.get_secret_value()),
            "blob_storage": BlobStorageResource(
                account_url=bench.blobs.account_url, key=bench.blob_key.get_secret_value()
            ),
            **of_settings(bench.settings),
        },
        run_config=RunConfig(ops={"reconciled_storage": ReconcileForm(**config)}),
        raise_on_error=False,
    )


def damage(bench: Workbench) -> str:
    imported(bench)
    name = str(pictures(bench)[0]["blob"])
    bench.blobs.delete(bench.user.user_container, name)
    return name


def test_the_check_is_green_when_nothing_is_amiss(workbench: Workbench) -> None:
    imported(workbench)

    result = run(workbench)

    (check,) = result.get_asset_check_evaluations()
    assert (result.success, check.passed) == (True, True)


def test_the_check_is_red_on_drift_and_names_it(workbench: Workbench) -> None:
    name = damage(workbench)

    result = run(workbench)

    (check,) = result.get_asset_check_evaluations()
    assert (result.success, check.passed, check.severity) == (True, False, AssetCheckSeverity.ERROR)
    assert check.description == f"1 missing-blob of {workbench.user.email}"
    (event,) = result.asset_materializations_for_node("reconciled_storage")
    (row,) = event.metadata["first"].records
    assert (row.data["blob"], row.data["action"]) == (f"{workbench.user.user_container}/{name}", "queue-again")
    assert (event.metadata["drift"].value, event.metadata["missing_blob"].value) == (1, 1)


def test_a_user_whom_nobody_knows_does_nothing_and_fails_no_check(
    workbench: Workbench, capfd: pytest.CaptureFixture[str]
) -> None:
    damage(workbench)

    result = run(workbench, user="nobody@example.org")

    assert result.success
    assert result.get_asset_check_evaluations() == []
    assert result.asset_materializations_for_node("reconciled_storage") == []
    assert "user: expected a registered user; found 'nobody@example.org'" in capfd.readouterr().err


def test_the_command_tells_people_and_programs_and_repairs_when_asked(workbench: Workbench, nachet: Nachet) -> None:
    name = damage(workbench)

    code, text, _ = nachet("reconcile", "--user", workbench.user.email)
    assert code == 1
    assert f"{workbench.user.user_container}/{name}" in text
    assert "would queue-again: project is staged still" in text

    code, lines, _ = nachet("reconcile", "--json", "--repair")
    found, last = (json.loads(line) for line in lines.splitlines())
    assert (code, found["kind"], found["action"], found["done"]) == (0, "missing-blob", "queue-again", True)
    assert (last["summary"]["repaired"], last["summary"]["left"]) == (1, 0)


def test_the_command_answers_0_when_nothing_is_amiss(workbench: Workbench, nachet: Nachet) -> None:
    imported(workbench)

    code, text, _ = nachet("reconcile")

    assert code == 0
    assert "nothing is amiss" in text


def test_an_unknown_user_is_refused(nachet: Nachet) -> None:
    assert nachet("reconcile", "--user", "nobody@example.org")[0] == 1


def test_a_dry_run_of_retention_names_what_is_due_and_leaves_it(deployment: Deployment, command: Nachet) -> None:
    upload = deployment.stage(deployment.sample("old-import", seed=90_001))
    assert deployment.run_import(upload).success
    with deployment.database.connection() as connection:
        connection.execute(
            "update upload set receipt = jsonb_set(receipt, '{finished_at}', '\"2020-01-01T00:00:00Z\"') where id = %s",
            (upload.id,),
        )
    code, listed, _ = command("retention", "--dry-run")
    assert code == 0
    assert "cleared  folder old-import" in listed
    assert deployment.instance.has_dynamic_partition("upload", upload.partition)
