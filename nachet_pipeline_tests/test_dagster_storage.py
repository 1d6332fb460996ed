"""Dagster's runs and events go through connections that stay open, and are not lost when one breaks."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    AssetSelection,
    AssetSpec,
    DagsterEventType,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    StaticPartitionsDefinition,
    define_asset_job,
    multi_asset,
)
from sqlalchemy import Engine
from sqlalchemy.event import listen, remove

from nachet_pipeline import dagster_storage
from nachet_pipeline.dagster_storage import PooledPostgresStorage
from nachet_pipeline.defs.checks import partitioned_specs
from nachet_pipeline.defs.instance import written_together
from nachet_pipeline.defs.runs import RANGE_END, RANGE_START
from nachet_pipeline_tests.deployment import Deployment

_HELD = "select pid from pg_stat_activity where application_name = %s"
_NAME = "test_dagster_storage"


@pytest.fixture
def instance(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """An instance of its own, whose connections have a name."""
    monkeypatch.setenv("PGAPPNAME", _NAME)
    monkeypatch.setattr(dagster_storage, "_opened", {})
    with DagsterInstance.get() as instance:
        yield instance


def _held(deployment: Deployment) -> set[int]:
    with psycopg.connect(deployment.services.database_url, autocommit=True, application_name="probe") as connection:
        return {int(row[0]) for row in connection.execute(_HELD, (_NAME,))}


def _report(instance: DagsterInstance, *partitions: str) -> None:
    for partition in partitions:
        instance.report_runless_asset_event(AssetMaterialization("stored_somewhere", partition=partition))


def _reported(instance: DagsterInstance) -> set[str | None]:
    records = AssetRecordsFilter(asset_key=AssetKey("stored_somewhere"))
    return {record.partition_key for record in instance.fetch_materializations(records, limit=100).records}


@contextmanager
def _statements() -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def note(*given: object) -> None:
        sent.append(str(given[2]))

    listen(Engine, "before_cursor_execute", note)
    yield sent
    remove(Engine, "before_cursor_execute", note)


def test_the_project_s_instance_keeps_its_events_in_this_storage(instance: DagsterInstance) -> None:
    assert type(instance.event_log_storage).__module__ == "nachet_pipeline.dagster_storage"
    assert type(instance.run_storage).__module__ == "nachet_pipeline.dagster_storage"


def test_many_events_are_written_through_one_connection(deployment: Deployment, instance: DagsterInstance) -> None:
    _report(instance, "a")
    first = _held(deployment)
    _report(instance, "b", "c", "d")
    assert first
    assert _held(deployment) <= first
    assert {"a", "b", "c", "d"} <= _reported(instance)


def test_a_verdict_takes_three_statements_and_none_asks_whether_there_is_a_table_for_it(
    instance: DagsterInstance,
) -> None:
    def report(number: int) -> None:
        for _ in range(number):
            instance.report_runless_asset_event(
                AssetCheckEvaluation(asset_key=AssetKey("stored_somewhere"), check_name="is_good", passed=True)
            )

    report(1)
    with _statements() as statements:
        report(4)
    assert len(statements) == 3 * 4


def test_no_run_reads_what_tables_consist_of_once_another_of_its_process_did(instance: DagsterInstance) -> None:
    _judge(instance, AssetKey("columns_are_known"), planned=True)
    with _statements() as statements:
        _judge(instance, AssetKey("columns_are_known"), planned=True)
    assert [statement for statement in statements if "pg_catalog.pg_attribute" in statement] == []


def test_a_look_at_a_sensor_s_state_takes_one_statement(instance: DagsterInstance) -> None:
    instance.all_instigator_state()
    with _statements() as statements:
        instance.all_instigator_state()
    assert len(statements) == 1


def _judge(instance: DagsterInstance, key: AssetKey, *, planned: bool) -> ExecuteInProcessResult:
    """Run a step that reports of each of two partitions together, and says how many the log had before."""
    two = StaticPartitionsDefinition(["one", "two"])
    checks = partitioned_specs(key, two, {"is_good": ""})

    @multi_asset(specs=[AssetSpec(key, partitions_def=two, skippable=True)], check_specs=checks, can_subset=True)
    def judged(context: AssetExecutionContext) -> Iterator[AssetMaterialization | AssetCheckEvaluation]:
        for partition in ("one", "two"):
            with written_together(context.instance):
                yield AssetMaterialization(key, partition=partition)
                for passed in (False, partition == "one"):
                    yield AssetCheckEvaluation(asset_key=key, check_name="is_good", passed=passed, partition=partition)
                context.log.info("before: %d", len(_materialized(instance, key)))

    chosen = AssetSelection.assets(key)
    job = define_asset_job("judge", chosen if planned else chosen.without_checks())
    return (
        Definitions(assets=[judged], jobs=[job])
        .resolve_job_def("judge")
        .execute_in_process(instance=instance, tags={RANGE_START: "one", RANGE_END: "two"})
    )


def _materialized(instance: DagsterInstance, key: AssetKey) -> list[str | None]:
    records = AssetRecordsFilter(asset_key=key)
    return [one.partition_key for one in instance.fetch_materializations(records, limit=9, ascending=True).records]


@pytest.mark.parametrize("planned", [False, True])
def test_what_is_reported_together_is_in_the_log_at_once_in_its_order_with_the_last_verdict_of_each_check(
    deployment: Deployment, instance: DagsterInstance, planned: bool
) -> None:
    del deployment
    key = AssetKey(f"judged_{planned}")
    run = _judge(instance, key, planned=planned).run_id
    entries = [record.event_log_entry for record in instance.get_records_for_run(run).records]
    said = [entry.dagster_event_type or entry.user_message for entry in entries]
    materialized, judged = DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_CHECK_EVALUATION
    together = [materialized, judged, judged]
    assert [one for one in said if one in {materialized, judged} or str(one).startswith("before")] == [
        *together,
        "before: 0",
        *together,
        "before: 1",
    ]
    history = instance.event_log_storage.get_asset_check_execution_history(AssetCheckKey(key, "is_good"), limit=9)
    assert {(one.partition, one.status.value) for one in history} == {("one", "SUCCEEDED"), ("two", "FAILED")}
    assert len(history) == 2
    assert _materialized(instance, key) == ["one", "two"]
    latest = instance.get_latest_materialization_event(key)
    assert latest
    assert latest.get_dagster_event().partition == "two"


def test_an_event_after_a_restart_of_the_database_is_written_all_the_same(
    deployment: Deployment, instance: DagsterInstance
) -> None:
    _report(instance, "before")
    held = _held(deployment)
    with psycopg.connect(deployment.services.database_url, autocommit=True, application_name="probe") as connection:
        for pid in held:
            connection.execute("select pg_terminate_backend(%s, 5000)", (pid,))
    _report(instance, "after")
    assert {"before", "after"} <= _reported(instance)
    assert _held(deployment).isdisjoint(held)


def test_the_web_server_s_first_request_after_a_restart_of_the_database_is_answered(
    deployment: Deployment, instance: DagsterInstance
) -> None:
    instance.optimize_for_webserver(statement_timeout=15_000, pool_recycle=3600, max_overflow=20)
    _report(instance, "asked for")
    held = _held(deployment)
    with psycopg.connect(deployment.services.database_url, autocommit=True, application_name="probe") as connection:
        for pid in held:
            connection.execute("select pg_terminate_backend(%s, 5000)", (pid,))
    assert "asked for" in _reported(instance)
    assert instance.get_runs_count() >= 0
    assert _held(deployment).isdisjoint(held)
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        assert connection.exec_driver_sql("show statement_timeout").scalar() == "15s"


def test_an_instance_goes_on_with_the_connections_of_the_one_before(
    instance: DagsterInstance, deployment: Deployment
) -> None:
    _report(instance, "first")
    instance.dispose()
    with DagsterInstance.get() as another:  # it connects for runs and schedules too
        assert another.get_runs_count() >= 0
    held = _held(deployment)
    assert held
    for _ in range(3):  # as a code server does for each tick
        with DagsterInstance.get() as another, _statements() as sent:
            assert "first" in _reported(another)
        assert not [one for one in sent if "pg_catalog" in one]
    assert _held(deployment) == held


def test_many_threads_that_open_the_instance_at_once_do_not_wait_for_each_other(deployment: Deployment) -> None:
    together = threading.Barrier(16)

    def report(number: int) -> None:
        with DagsterInstance.get() as instance:
            together.wait(60)
            _report(instance, f"at once {number}")

    threads = [threading.Thread(target=report, args=(number,), daemon=True) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(25)  # a pool that is exhausted lets wait for 30
    assert not [thread for thread in threads if thread.is_alive()]
    with DagsterInstance.get() as instance:
        assert {f"at once {number}" for number in range(16)} <= _reported(instance)


def test_a_forked_process_has_connections_of_its_own(instance: DagsterInstance) -> None:
    _report(instance, "of the parent")
    if (child := os.fork()) == 0:
        signal.alarm(60)
        with DagsterInstance.get() as own:
            _report(own, "of the child")
        os._exit(0)
    for _ in range(20):
        assert "of the parent" in _reported(instance)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert "of the child" in _reported(instance)


def test_tables_that_are_gone_are_made_again_by_the_next_instance(deployment: Deployment) -> None:
    url = deployment.services.database_url
    address = f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3Dothers"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create schema others")
        assert PooledPostgresStorage(address).run_storage.get_runs_count() == 0
        connection.execute("drop schema others cascade")
        connection.execute("create schema others")
        assert PooledPostgresStorage(address).run_storage.get_runs_count() == 0
        connection.execute("drop schema others cascade")


def test_an_instance_whose_storage_takes_a_token_connects_anew(instance: DagsterInstance) -> None:
    address = instance.event_log_storage.postgres_url  # type: ignore[attr-defined]
    one, other = (PooledPostgresStorage(address, False, token_provider=lambda: "token") for _ in range(2))
    assert one.run_storage._engine is not other.run_storage._engine  # type: ignore[attr-defined]
