"""Sensors on runs: those whose process is gone, and bulk work that is fanned out.

Dagster's default launcher knows no health of what it launched. A run whose process ended while the database was away,
or with its code server, would stay under way, hold its place, and keep what it owes from being asked for again.
"""

import json
import time
from collections.abc import Iterable

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    RunRecord,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from nachet_pipeline.database.connection import Database
from nachet_pipeline.database.run_locks import living_runs
from nachet_pipeline.defs.automation import running_sensor
from nachet_pipeline.defs.fan_out import due_runs
from nachet_pipeline.defs.maintenance.jobs import reprocess_pictures
from nachet_pipeline.defs.mass_import.jobs import mass_import
from nachet_pipeline.defs.resources import DatabaseResource
from nachet_pipeline.defs.runs import BATCH_TAG, REPOSITORY, REPOSITORY_TAG, UNDER_WAY
from nachet_pipeline.uploads.queries import requeue_batch, waiting_batches

_OPS = {mass_import.name: "import_container", reprocess_pictures.name: "reprocessed_pictures"}
"""The jobs whose work may be cut into parts, each with the op that does a part."""

SECONDS_WITHOUT_SIGN = 20.0
"""A run whose sign of life was missing at every look for so long is dead: one that lost it with its connection gives it
again within seconds after the database is back."""


@running_sensor(
    minimum_interval_seconds=10,
    description="Ends runs whose process is gone, so that they hold no place and what they owe is asked for again;"
    " lets the uploads that a cancelled run never began with be asked for at once.",
)
def dead_runs(context: SensorEvaluationContext, database: DatabaseResource) -> SensorResult:
    """End runs whose process is gone, and release what cancelled runs leave behind."""
    missed: dict[str, float] = json.loads(context.cursor) if context.cursor else {}
    with database.open() as db:
        missed, ended = end_dead_runs(context.instance, db, missed, time.time())
        batches = release_cancelled(context.instance, db)
    for record in ended:
        context.log.warning("run %s was ended, because its process is gone", record.dagster_run.run_id)
    for batch in batches:
        context.log.info("what the cancelled run request %s left is asked for again", batch)
    told = f"Ended {len(ended)} dead runs, released {len(batches)} cancelled run requests."
    return SensorResult(skip_reason=told, cursor=json.dumps(missed))


def end_dead_runs(
    instance: DagsterInstance, database: Database, missed: dict[str, float], now: float
) -> tuple[dict[str, float], list[RunRecord]]:
    """End the runs whose sign of life has been missing for long enough.

    Args:
        instance: knows the runs.
        database: where they give signs of life.
        missed: since when the sign of a run was missing at every look, in seconds since 1970.
        now: the time.

    Returns:
        The same for the next look, and the runs that were ended.
    """
    ours = RunsFilter(
        statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING], tags={REPOSITORY_TAG: REPOSITORY}
    )
    under_way = {record.dagster_run.run_id: record for record in instance.get_run_records(ours)}
    if not under_way:
        return {}, []
    with database.connection() as connection:
        living = living_runs(connection, list(under_way))
    silent = {run_id: missed.get(run_id, now) for run_id in under_way.keys() - living}
    dead = [run_id for run_id, since in silent.items() if now - since >= SECONDS_WITHOUT_SIGN]
    ended = [under_way[run_id] for run_id in dead if _end(instance, run_id)]
    return {run_id: since for run_id, since in silent.items() if run_id not in dead}, ended


def _end(instance: DagsterInstance, run_id: str) -> bool:
    """End a run in Dagster, unless it ended by itself since it was looked at; its failure is tried again by Dagster."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    if run.status is DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, "It was cancelled, and its process is gone.")
    else:
        instance.report_run_failed(run, "Its process is gone: it was killed, or ended while the database was away.")
    return True


def release_cancelled(instance: DagsterInstance, database: Database) -> list[str]:
    """Let uploads be asked for again that wait for a run which was cancelled before it came to them.

    Returns:
        Their run requests.
    """
    with database.connection() as connection:
        waiting = waiting_batches(connection, minutes=0)
        if not waiting:
            return []
        cancelled = RunsFilter(tags={BATCH_TAG: waiting}, statuses=[DagsterRunStatus.CANCELED])
        batches = _batches(instance.get_run_records(cancelled))
        # Somebody may have started the cancelled run once more by hand.
        going_on = RunsFilter(tags={BATCH_TAG: sorted(batches)}, statuses=list(UNDER_WAY))
        batches -= _batches(instance.get_run_records(going_on)) if batches else set()
        for batch in batches:
            requeue_batch(connection, batch)
    return sorted(batches)


def _batches(records: Iterable[RunRecord]) -> set[str]:
    return {record.dagster_run.tags[BATCH_TAG] for record in records}


@running_sensor(
    jobs=[mass_import, reprocess_pictures],
    minimum_interval_seconds=30,
    description="Where a run cut its work into parts: starts a run of each part, and after them the one that ends"
    " the whole.",
)
def cut_runs(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Request the runs of bulk work that was cut into parts."""
    requests = list(due_runs(context.instance, _OPS))
    return SensorResult(run_requests=requests) if requests else SkipReason("No part of cut work is due.")
