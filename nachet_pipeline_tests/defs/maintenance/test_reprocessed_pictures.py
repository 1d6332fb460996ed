"""Reprocessing on Dagster: what an operator sees of stored pictures under today's rules and code."""

from datetime import timedelta
from typing import Any

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetKey,
    ExecuteInProcessResult,
    RunConfig,
    TableMetadataValue,
    materialize,
)

from nachet_pipeline.defs.forms import FormError
from nachet_pipeline.defs.maintenance.assets import ReprocessForm, reprocessed_pictures
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource, of_settings
from nachet_pipeline.settings import Settings
from nachet_pipeline_tests.deployment import Deployment
from nachet_pipeline_tests.reprocessing.stored import age, imported, measured, places, severe, verdicts
from nachet_pipeline_tests.workbench import Workbench, settings_with


def run(workbench: Workbench, settings: Settings | None = None, **config: Any) -> ExecuteInProcessResult:
    """Materialize the asset as the job does."""
    return materialize(
        [reprocessed_pictures],
        resources={
            "database": DatabaseResource(url=workbench.database_url.get_secret_value()),
            "blob_storage": BlobStorageResource(
                account_url=workbench.blobs.account_url, key=workbench.blob_key.get_secret_value()
            ),
            **of_settings(settings or workbench.settings),
        },
        run_config=RunConfig(ops={"reprocessed_pictures": ReprocessForm(**config)}),
        raise_on_error=False,
    )


def shown(result: ExecuteInProcessResult) -> dict[str, Any]:
    """The metadata of the materialization, tables as lists of rows."""
    (event,) = result.asset_materializations_for_node("reprocessed_pictures")
    return {
        name: [dict(record.data) for record in value.records] if isinstance(value, TableMetadataValue) else value.value
        for name, value in event.metadata.items()
        if not name.startswith("dagster/")
    }


def checks(result: ExecuteInProcessResult) -> dict[str, AssetCheckEvaluation]:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def test_a_night_without_stale_pictures_is_green(workbench: Workbench) -> None:
    imported(workbench)
    run(workbench)

    result = run(workbench)

    assert result.success
    assert {name: check.passed for name, check in checks(result).items()} == {
        "verdicts_unchanged": True,
        "stored_blobs_intact": True,
        "nothing_stale": True,
    }
    metadata = shown(result)
    assert (metadata["looked_at"], metadata["changed"], metadata["left_stale"]) == (0, 0, 0)
    assert not {"differences", "sample", "not_accepted_today", "stale"} & set(metadata)


def test_a_stricter_rule_turns_the_check_amber_and_shows_which_pictures(workbench: Workbench) -> None:
    imported(workbench, number=3, places=2)

    result = run(workbench, severe(workbench, location_in_picture="error"))

    assert result.success
    metadata, check = shown(result), checks(result)["verdicts_unchanged"]
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.WARN)
    assert check.description == "2 pictures that would be refused today: location-in-picture (2)"
    (row,) = metadata["differences"]
    refused = [str(picture) for picture, verdict in verdicts(workbench).items() if verdict["state"] == "refused"]
    assert (row["rule"], row["code"], row["before"], row["now"], row["pictures"]) == (
        "personal_data",
        "location-in-picture",
        "not found",
        "error",
        2,
    )
    assert sorted(row["first"].split()) == refused
    assert "data:image/jpeg;base64," in metadata["sample"]
    assert sorted(row["picture"] for row in metadata["not_accepted_today"]) == refused
    assert len(measured(workbench)) == 3


def test_the_check_stays_amber_until_somebody_settles_it(workbench: Workbench) -> None:
    imported(workbench, number=2, places=1)
    strict = severe(workbench, location_in_picture="error")
    run(workbench, strict)

    again = run(workbench, strict)

    assert shown(again)["looked_at"] == 0
    assert not checks(again)["verdicts_unchanged"].passed


def test_what_the_budget_leaves_is_stale_and_seen(workbench: Workbench) -> None:
    imported(workbench, number=3)
    age(workbench)
    workbench.query("update pictures set upload_date = upload_date - interval '40 days'")

    result = run(workbench, settings_with(workbench.settings, reprocess_per_night=1))

    metadata, check = shown(result), checks(result)["nothing_stale"]
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.WARN)
    assert check.description is not None
    assert check.description.startswith("2 pictures are stale, the oldest last looked at on ")
    assert (metadata["looked_at"], metadata["left_stale"], metadata["oldest_stale_days"]) == (1, 2, 40)
    (row,) = metadata["stale"]
    assert (row["pictures"], row["days"]) == (2, 40)
    assert "enrichment: 0 → " in row["why"]
    assert metadata["pictures_per_second"] > 0


def test_a_missing_file_turns_its_own_check_amber_and_is_named(workbench: Workbench) -> None:
    imported(workbench, number=2)
    age(workbench)
    picture, place = next(iter(places(workbench).items()))
    workbench.blobs.delete(*place)

    result = run(workbench)

    assert result.success
    amber = {name for name, check in checks(result).items() if not check.passed}
    assert amber == {"stored_blobs_intact"}
    (row,) = shown(result)["not_accepted_today"]
    assert row == {
        "state": "missing",
        "codes": "blob-missing",
        "picture": str(picture),
        "blob": "/".join(place),
    }


def test_the_launchpad_narrows_a_run(workbench: Workbench) -> None:
    imported(workbench, number=3, places=1)
    age(workbench)

    assert shown(run(workbench, since="2999-01-01"))["looked_at"] == 0
    assert shown(run(workbench, since="2020-01-01", limit=2))["looked_at"] == 2
    assert shown(run(workbench))["looked_at"] == 1
    assert shown(run(workbench, rule="location-in-picture"))["looked_at"] == 1


WRONG = [
    ({"since": "yesterday"}, "since: expected a date such as 2026-05-01; found 'yesterday'"),
    ({"limit": -1}, "limit: expected a number of pictures, or 0; found -1"),
    ({"rule": "no-such-rule"}, "rule: there is no rule or finding 'no-such-rule'"),
]


@pytest.mark.parametrize(("config", "said"), WRONG)
def test_a_wrong_date_limit_or_rule_starts_no_run_and_is_named(
    deployment: Deployment, config: dict[str, Any], said: str
) -> None:
    job = deployment.definitions.resolve_job_def("reprocess_pictures")

    with pytest.raises(FormError, match=f"^{said}"):
        job.execute_in_process(
            instance=deployment.instance, run_config={"ops": {"reprocessed_pictures": {"config": config}}}
        )


def test_a_wrong_value_on_the_page_of_the_asset_does_nothing_and_fails_no_check(
    workbench: Workbench, capfd: pytest.CaptureFixture[str]
) -> None:
    imported(workbench)
    age(workbench)

    for config, said in WRONG:
        result = run(workbench, **config)
        assert (result.success, result.get_asset_check_evaluations()) == (True, [])
        assert f"Nothing was done, because of the form. {said}" in capfd.readouterr().err
    assert verdicts(workbench) == {}


def test_a_database_that_does_not_answer_fails_the_run(workbench: Workbench) -> None:
    imported(workbench)
    workbench.query("alter table picture_verdict rename to elsewhere")

    assert not run(workbench).success


@pytest.mark.parametrize("name", ["reprocessed_pictures", "training_set"])
def test_what_is_made_every_night_has_a_freshness_policy(deployment: Deployment, name: str) -> None:
    policy = deployment.definitions.resolve_asset_graph().get(AssetKey(name)).freshness_policy

    assert policy is not None
    warn, fail = policy.warn_window.to_timedelta(), policy.fail_window.to_timedelta()
    assert timedelta(hours=24) < warn < timedelta(hours=48)
    assert timedelta(hours=72) < fail


def test_the_job_of_the_schedule_runs_on_the_deployment(deployment: Deployment) -> None:
    upload = deployment.stage(deployment.sample("by-day"))
    assert deployment.run_import(upload).success

    result = deployment.definitions.resolve_job_def("reprocess_pictures").execute_in_process(
        instance=deployment.instance
    )

    assert result.success
    assert "left_stale" in shown(result)
