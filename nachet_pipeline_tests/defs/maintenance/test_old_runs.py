"""Runs of long ago leave Dagster, and nothing that the UI shows goes with them."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from inspect import getsource
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterRun,
    DagsterRunStatus,
)
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.storage.event_log import schema
from dagster._core.storage.runs import schema as runs_schema
from dagster._core.test_utils import create_run_for_test

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.defs.maintenance import old_runs
from nachet_pipeline.defs.maintenance.old_runs import ClearedRuns, clear_runs
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.reconciliation import event_log_queries
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.deployment import Deployment

_STORED = AssetKey("stored_pictures")


def import_long_ago(deployment: Deployment, *staged: Upload) -> str:
    """Import uploads in one run, and let that have been 400 days ago."""
    run = deployment.run_import(*staged).run_id
    age(deployment, run)
    return run


def age(deployment: Deployment, *runs: str, days: int = 400) -> None:
    query(
        deployment,
        "update runs set create_timestamp = create_timestamp - interval '1 day' * %s where run_id = any(%s)",
        days,
        list(runs),
    )


def query(deployment: Deployment, text: str, *parameters: object) -> None:
    with deployment.database.connection() as connection:
        connection.execute(text, parameters)


def clear(deployment: Deployment, *, days: int = 365, **settings: Any) -> ClearedRuns:
    return clear_runs(deployment.instance, deployment.database, datetime.now(UTC) - timedelta(days=days), **settings)


def traces(deployment: Deployment, runs: Iterable[str]) -> dict[str, int]:
    """What there is of runs: rows by table, and files of logs."""
    tables = ("runs", "run_tags", "event_logs", "asset_check_executions")
    with deployment.database.connection() as connection:
        found = {
            table: connection.execute(
                f"select count(*) as n from {table} where run_id = any(%s)", (list(runs),)
            ).fetchone()["n"]
            for table in tables
        }
    storage = Path(deployment.instance.storage_directory())
    return found | {"logs": sum((storage / run).exists() for run in runs)}


def materialized(deployment: Deployment, keys: Sequence[str]) -> list[bool]:
    """Whether there is a materialization of these partitions: their dots alone stay green without, for a while."""
    wanted = AssetRecordsFilter(asset_key=_STORED, asset_partitions=list(keys))
    found = {record.partition_key for record in deployment.instance.fetch_materializations(wanted, limit=99).records}
    statuses = deployment.instance.get_status_by_partition(_STORED, keys, uploads)
    return [key in found and statuses[key].value == "MATERIALIZED" for key in keys]


def test_a_run_goes_with_all_its_traces_once_no_partition_needs_it(deployment: Deployment) -> None:
    staged = [deployment.stage(deployment.sample(f"lot-{number}", seed=number)) for number in (1, 2)]
    keys = [upload.partition for upload in staged]
    run = import_long_ago(deployment, *staged)

    events = traces(deployment, [run])
    kept = clear(deployment)
    seen = materialized(deployment, keys)
    deployment.instance.delete_dynamic_partition("upload", keys[0])
    kept_for_one = clear(deployment)
    still, thinned = materialized(deployment, keys[1:]), traces(deployment, [run])
    deployment.instance.delete_dynamic_partition("upload", keys[1])
    cleared = clear(deployment)

    assert (kept.kept, kept.runs, kept_for_one.kept, kept_for_one.runs) == (1, 0, 1, 0)
    assert seen == [True, True]
    assert min(events.values()) > 0
    # What a run is kept for is one upload's: no more of it is kept.
    assert still == [True]
    assert 2 * thinned["asset_check_executions"] == events["asset_check_executions"]
    assert 2 * thinned["event_logs"] < events["event_logs"]
    assert (cleared.kept, cleared.runs) == (0, 1)
    assert cleared.verdicts == thinned["asset_check_executions"]
    assert set(traces(deployment, [run]).values()) == {0}
    assert [deployment.now(upload).state for upload in staged] == [State.IMPORTED, State.IMPORTED]


def test_a_partition_that_was_imported_again_does_not_need_its_first_run_and_stays_green(
    deployment: Deployment,
) -> None:
    upload = deployment.stage(deployment.sample("again"))
    first = import_long_ago(deployment, upload)
    second = deployment.run_import(upload).run_id

    result = clear(deployment)

    assert result.runs == 1
    assert deployment.instance.get_run_by_id(first) is None
    assert deployment.instance.get_run_by_id(second) is not None
    assert materialized(deployment, [upload.partition]) == [True]
    last = AssetRecordsFilter(asset_key=_STORED, asset_partitions=[upload.partition])
    assert [record.run_id for record in deployment.instance.fetch_materializations(last, limit=9).records] == [second]


def test_the_last_run_of_an_asset_without_partitions_stays_and_those_before_it_go(deployment: Deployment) -> None:
    job = deployment.definitions.resolve_job_def("check_health")
    runs = [job.execute_in_process(instance=deployment.instance).run_id for _ in range(2)]
    age(deployment, *runs)

    assert (clear(deployment).runs, clear(deployment).kept) == (1, 1)
    assert [deployment.instance.get_run_by_id(run) is not None for run in runs] == [False, True]


def test_what_is_interrupted_or_out_of_time_goes_on_behind_what_was_kept(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_runs, "_PAGE", 1)
    runs = [str(uuid4()) for _ in range(3)]
    for run, job, tags in zip(
        runs,
        ("mass_import", "purge_folders", "purge_folders"),
        ({"dagster/run_key": "container:digest"}, {}, {}),
        strict=True,
    ):
        deployment.instance.add_run(DagsterRun(job, run_id=run, status=DagsterRunStatus.SUCCESS, tags=tags))
    age(deployment, *runs, days=4000)

    first = clear(deployment, days=3000, seconds=-1)
    second = clear(deployment, days=3000, after=first.examined, seconds=-1)
    rest = clear(deployment, days=3000, after=first.examined)

    # The reviewed list of containers would be imported again if its run key were gone.
    assert (first.kept, first.runs, first.examined) == (1, 0, runs[0])
    assert (second.runs, second.examined) == (1, None)
    assert (rest.runs, rest.examined) == (1, None)
    assert all(deployment.instance.get_run_by_id(run) is None for run in runs[1:])
    deployment.instance.delete_run(runs[0])


def test_events_of_no_run_go_but_for_the_last_of_what_there_is_still(deployment: Deployment) -> None:
    instance = deployment.instance
    there, gone = f"there-{uuid4().hex}", f"gone-{uuid4().hex}"
    instance.add_dynamic_partitions("upload", [there])
    for key in (there, there, gone):
        instance.report_runless_asset_event(AssetMaterialization("staged_upload", partition=key, tags={"a": "b"}))
    for passed in (False, True):
        instance.report_runless_asset_event(
            AssetCheckEvaluation(AssetKey("picture_metadata"), "labels_agree", passed=passed, metadata={})
        )
    for table, moment in (("event_logs", "timestamp"), ("asset_check_executions", "create_timestamp")):
        query(deployment, f"update {table} set {moment} = {moment} - interval '400 days' where run_id = ''")

    result = clear(deployment)
    again = clear(deployment)

    left = AssetRecordsFilter(asset_key=AssetKey("staged_upload"), asset_partitions=[there, gone])
    assert [record.partition_key for record in instance.fetch_materializations(left, limit=9).records] == [there]
    assert (result.events >= 4, result.verdicts >= 1) == (True, True)
    assert (again.events, again.verdicts) == (0, 0)
    with deployment.database.connection() as connection:
        rows = connection.execute(
            "select execution_status as status from asset_check_executions where check_name = 'labels_agree'"
        ).fetchall()
        tags = "select count(*) as n from asset_event_tags where event_id not in (select id from event_logs)"
        assert connection.execute(tags).fetchone()["n"] == 0
    assert [row["status"] for row in rows] == ["SUCCEEDED"]


def test_the_last_word_of_a_check_outlives_its_run(deployment: Deployment) -> None:
    upload = deployment.stage(deployment.sample("checked-long-ago"))
    run = import_long_ago(deployment, upload)
    deployment.instance.delete_dynamic_partition("upload", upload.partition)
    check = AssetCheckKey(AssetKey("picture_metadata"), "labels_agree")
    for passed in (True, False):
        deployment.instance.report_runless_asset_event(
            AssetCheckEvaluation(check.asset_key, check.name, passed=passed, metadata={})
        )
    of_the_run = "update asset_check_executions set run_id = %s where run_id = '' and check_name = 'labels_agree'"
    query(deployment, of_the_run, run)

    clear(deployment)

    assert deployment.instance.get_run_by_id(run) is None
    found = deployment.instance.event_log_storage.get_asset_check_execution_history(check, limit=9)
    assert [one.status.value for one in found] == ["FAILED"]


def test_a_backfill_that_ended_long_ago_goes_once_its_runs_are_gone(deployment: Deployment) -> None:
    long_ago = (datetime.now(UTC) - timedelta(days=400)).timestamp()
    for name, status, started in (
        ("ended", BulkActionStatus.COMPLETED_SUCCESS, long_ago),
        ("failed", BulkActionStatus.COMPLETED_FAILED, long_ago),
        ("has-a-run", BulkActionStatus.CANCELED, long_ago),
        ("under-way", BulkActionStatus.REQUESTED, long_ago),
        ("young", BulkActionStatus.COMPLETED_SUCCESS, datetime.now(UTC).timestamp()),
    ):
        deployment.instance.add_backfill(
            PartitionBackfill(
                name, status=status, from_failure=False, tags={"a": "b"}, backfill_timestamp=started, asset_selection=[]
            )
        )
    create_run_for_test(deployment.instance, tags={"dagster/backfill": "has-a-run"})

    result = clear(deployment)

    assert result.backfills == 2
    assert {one.backfill_id for one in deployment.instance.get_backfills()} == {"has-a-run", "under-way", "young"}
    with deployment.database.connection() as connection:
        tags = connection.execute("select distinct backfill_id as id from backfill_tags").fetchall()
    assert {row["id"] for row in tags} == {"has-a-run", "under-way", "young"}


def test_the_job_deletes_nothing_that_is_younger_than_the_setting(deployment: Deployment) -> None:
    young = deployment.run_import(deployment.stage(deployment.sample("young"))).run_id
    deployment.instance.delete_dynamic_partition("upload", deployment.instance.get_dynamic_partitions("upload")[-1])

    result = deployment.definitions.resolve_job_def("clear_old_runs").execute_in_process(instance=deployment.instance)

    assert result.success
    assert deployment.instance.get_run_by_id(young) is not None


def test_the_tables_of_dagster_are_as_the_queries_name_them() -> None:
    tables = {**schema.SqlEventLogStorageMetadata.tables, **runs_schema.RunStorageSqlMetadata.tables}
    columns = {name: set(tables[name].columns.keys()) for name in tables}

    used = {name for name in tables if re.search(rf"\b{name}\b", getsource(event_log_queries))}
    assert used - {"runs"} == {
        "event_logs",
        "asset_event_tags",
        "asset_check_executions",
        "dynamic_partitions",
        "bulk_actions",
        "backfill_tags",
        "run_tags",
    }
    assert columns["bulk_actions"] >= {"key", "status", "timestamp", "action_type"}
    assert (columns["backfill_tags"] >= {"backfill_id"}, columns["run_tags"] >= {"key", "value"}) == (True, True)
    assert columns["event_logs"] >= {"id", "run_id", "dagster_event_type", "timestamp", "asset_key", "partition"}
    assert columns["asset_event_tags"] >= {"event_id"}
    assert columns["dynamic_partitions"] >= {"partitions_def_name", "partition"}
    assert columns["asset_check_executions"] >= {
        "id",
        "asset_key",
        "check_name",
        "run_id",
        "partition",
        "create_timestamp",
    }
