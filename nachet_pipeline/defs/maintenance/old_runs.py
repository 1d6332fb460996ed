"""Clearing runs of long ago from Dagster, with their events, verdicts and logs, so that none of it grows for ever."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance, OpExecutionContext, ResourceParam, RunRecord, RunsFilter, op

from nachet_pipeline.database.connection import Database
from nachet_pipeline.defs.mass_import.jobs import mass_import
from nachet_pipeline.defs.partitions import containers, recipes, uploads
from nachet_pipeline.defs.resources import DatabaseResource
from nachet_pipeline.defs.runs import ENDED
from nachet_pipeline.reconciliation.event_log_queries import (
    delete_backfills,
    delete_runless_events,
    delete_runless_verdicts,
    delete_verdicts,
    needed_runs,
    thin_runs,
)
from nachet_pipeline.settings import RetentionSettings

EXAMINED_TAG = "nachet/examined-up-to"
_DEFINITIONS = [str(definition.name) for definition in (uploads, containers, recipes)]
_RUN_KEY = "dagster/run_key"
_PAGE = 100
_EVENTS = 1000
_SECONDS = 1800.0
"""One run deletes for so long at most. What it left is deleted the next day."""


@dataclass(slots=True)
class ClearedRuns:
    """The result of clearing.

    Attributes:
        runs: runs that were deleted, with their events and logs.
        kept: runs that are old enough, and that a partition or an asset needs.
        verdicts: verdicts of checks that were deleted.
        events: other events that were deleted: those of no run, and in runs that are kept those of partitions that
            are gone.
        backfills: backfills that ended and whose runs are all deleted.
        examined: the last run that was looked at and kept, if some are left for the next time.
    """

    runs: int = 0
    kept: int = 0
    verdicts: int = 0
    events: int = 0
    backfills: int = 0
    examined: str | None = None


def clear_runs(
    instance: DagsterInstance,
    database: Database,
    before: datetime,
    *,
    after: str | None = None,
    seconds: float = _SECONDS,
) -> ClearedRuns:
    """Delete the runs that ended and were made before a moment, unless the UI needs them.

    A run stays that made what the UI shows of an asset, or of a partition that there is still; and one whose run key
    keeps a container from being mass-imported again. Of these, what concerns partitions that are gone is deleted. An
    interruption loses nothing: each run is deleted by itself.

    Args:
        instance: has the runs.
        database: where Dagster's tables are, too.
        before: the moment.
        after: begin behind this run, which is kept.
        seconds: begin with nothing more after so long.
    """
    end, result = time.monotonic() + seconds, ClearedRuns()
    for page in _pages(instance, before, after, result):
        runs = [record.dagster_run.run_id for record in page]
        with database.connection() as connection:
            kept = needed_runs(connection, runs, _DEFINITIONS) | {
                record.dagster_run.run_id for record in page if _keeps_its_key(record)
            }
            result.verdicts += delete_verdicts(connection, [run for run in runs if run not in kept])
            result.events += thin_runs(connection, sorted(kept), _DEFINITIONS)
        for run in runs:
            if run in kept:
                result.examined, result.kept = run, result.kept + 1
            else:
                instance.compute_log_manager.delete_logs(prefix=[run])
                instance.delete_run(run)
                result.runs += 1
        if time.monotonic() > end:
            return result
    result.examined = None
    _clear_runless(database, before, end, result)
    return result


def _pages(
    instance: DagsterInstance, before: datetime, after: str | None, result: ClearedRuns
) -> Iterator[Sequence[RunRecord]]:
    old = RunsFilter(statuses=list(ENDED), created_before=before)
    while page := instance.get_run_records(old, limit=_PAGE, ascending=True, cursor=result.examined or after):
        yield page


def _keeps_its_key(record: RunRecord) -> bool:
    run = record.dagster_run
    return run.job_name == mass_import.name and _RUN_KEY in run.tags


def _clear_runless(database: Database, before: datetime, end: float, result: ClearedRuns) -> None:
    last: int | None = 0
    while last is not None and time.monotonic() < end:
        with database.connection() as connection:
            deleted, last = delete_runless_events(
                connection, before, after=last, most=_EVENTS, definitions=_DEFINITIONS
            )
        result.events += deleted
    with database.connection() as connection:
        result.verdicts += delete_runless_verdicts(connection, before)
        result.backfills += delete_backfills(connection, before)


@op
def clear_all_old_runs(
    context: OpExecutionContext, database: DatabaseResource, retention_settings: ResourceParam[RetentionSettings]
) -> None:
    """Delete what is older than NACHET_RETAIN_RUNS_DAYS, going on behind what the last run examined."""
    before = datetime.now(UTC) - timedelta(days=retention_settings.retain_runs_days)
    with database.open() as db:
        result = clear_runs(context.instance, db, before, after=_examined(context.instance, context.job_name))
    if result.examined:
        context.instance.add_run_tags(context.run_id, {EXAMINED_TAG: result.examined})
    context.log.info(
        "%d runs deleted, %d kept because the UI shows what they made; %d verdicts, %d other events and %d backfills"
        " deleted",
        result.runs,
        result.kept,
        result.verdicts,
        result.events,
        result.backfills,
    )
    found = asdict(result)
    del found["examined"]
    context.add_output_metadata(found)


def _examined(instance: DagsterInstance, job: str) -> str | None:
    """The last run that was examined and kept, if the time was up before all were examined."""
    records = instance.get_run_records(RunsFilter(job_name=job, statuses=list(ENDED)), limit=1)
    run = records[0].dagster_run.tags.get(EXAMINED_TAG) if records else None
    return run if run and instance.get_run_by_id(run) else None
