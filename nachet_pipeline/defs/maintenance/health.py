"""`pipeline_health`, the page that operators read first, and its checks, which alerts listen to."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    Definitions,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    RunRecord,
    RunsFilter,
    ScheduleDefinition,
    asset,
)

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.defs.metadata import manifest_page, partition_page, plain, tables
from nachet_pipeline.defs.resources import DatabaseResource
from nachet_pipeline.defs.runs import ENDED
from nachet_pipeline.defs.uploads.checks import LABELS_AGREE, METADATA
from nachet_pipeline.health.queries import NAMED, ListedUpload
from nachet_pipeline.health.report import PASSES_WHEN, REMEDIES, CheckResult, HealthCheck, check_health
from nachet_pipeline.health.snapshot import Automation, Disk, FailedRun, Health, Orchestration, read_health
from nachet_pipeline.health.turns import record_turns
from nachet_pipeline.picture_sets.naming import WaitingSet
from nachet_pipeline.settings import HealthSettings

_ASSET = AssetKey("pipeline_health")
_STARTED_BY = ("dagster/schedule_name", "dagster/sensor_name")
_TICKS = 3
_DEFAULT_INTERVAL = 30
_SHOWN_AT_ONCE = 1000
"""Dagster's UI hides longer Markdown behind a link."""

health_specs = [
    AssetCheckSpec(check.value, asset=_ASSET, description=f"{PASSES_WHEN[check]} If red: {REMEDIES[check]}")
    for check in HealthCheck
]


@dataclass(frozen=True, slots=True)
class WhatRuns:
    """What the project defines that runs.

    Attributes:
        jobs: names of the jobs.
        automation: sensors and schedules, as if none had ticked yet.
    """

    jobs: tuple[str, ...]
    automation: tuple[Automation, ...]

    @classmethod
    def of(cls, definitions: Definitions) -> Self:
        """What these definitions run."""
        sensors = [
            Automation(
                one.name,
                "sensor",
                one.default_status is DefaultSensorStatus.RUNNING,
                timedelta(seconds=one.minimum_interval_seconds or _DEFAULT_INTERVAL),
            )
            for one in definitions.sensors or ()
        ]
        schedules = [
            Automation(
                one.name,
                "schedule",
                one.default_status is DefaultScheduleStatus.RUNNING,
                longest_interval(one.cron_schedule),
            )
            for one in definitions.schedules or ()
            if isinstance(one, ScheduleDefinition)
        ]
        return cls(tuple(job.name for job in definitions.jobs or ()), (*sensors, *schedules))


def longest_interval(cron: str | Sequence[str]) -> timedelta:
    """The time between two ticks of a schedule, at most.

    It is read off the fields that are `*`: an hour, a day, a week or a month. A schedule that ticks more often is
    given that much time, too.
    """
    if not isinstance(cron, str):
        return min(map(longest_interval, cron))
    _, hour, day, month, weekday = cron.split()
    if (day, month, weekday) != ("*", "*", "*"):
        return timedelta(days=7 if (day, month) == ("*", "*") else 31)
    return timedelta(hours=1 if hour == "*" else 24)


@asset(
    group_name="maintenance",
    kinds={"postgres"},
    owners=["team:ai-lab"],
    check_specs=health_specs,
    freshness_policy=FreshnessPolicy.time_window(
        fail_window=timedelta(hours=6), warn_window=timedelta(hours=2, minutes=10)
    ),
)
def pipeline_health(
    context: AssetExecutionContext,
    database: DatabaseResource,
    health_settings: ResourceParam[HealthSettings],
    what_runs: ResourceParam[WhatRuns],
) -> Iterator[MaterializeResult[None]]:
    """The page to read first: what waits, what was refused and why, what failed, what runs by itself, what grows.

    It is read every hour, and when you materialize it. Each row links to the upload or run that
    it is about. Numbers are plotted over time. If a check is red, its description says what to do.
    """
    with database.open() as db:
        with db.reading() as connection:
            health = look(connection, context.instance, what_runs, health_settings)
        results = list(check_health(health, health_settings))
        db.call(record_turns, results)
    amiss = [result for result in results if not result.passed]
    for result in amiss:
        context.log.warning("%s: %s", result.check.value, result.text)
    yield MaterializeResult(
        metadata=_metadata(health, results, health_settings),
        check_results=[_check_result(result) for result in results],
    )


def look(connection: Connection, instance: DagsterInstance, what_runs: WhatRuns, settings: HealthSettings) -> Health:
    """How the pipeline is now, as the database, Dagster and the disk of this machine say."""
    usage = shutil.disk_usage(instance.root_directory)
    return read_health(
        connection,
        settings,
        dagster=read_orchestration(instance, what_runs, settings),
        disk=Disk(usage.free, usage.total),
        now=datetime.now(UTC),
    )


# What Dagster knows


def read_orchestration(instance: DagsterInstance, what_runs: WhatRuns, settings: HealthSettings) -> Orchestration:
    """Read what Dagster knows of sensors, schedules and runs. It costs a few queries for each sensor and each job."""
    oldest = instance.get_run_records(limit=1, ascending=True)
    stale = instance.get_latest_materialization_event(AssetKey("reprocessed_pictures"))
    reconciled = instance.get_latest_materialization_event(AssetKey("reconciled_storage"))
    return Orchestration(
        automation=list(_automation(instance, what_runs)),
        failed_runs=list(_failed_runs(instance, what_runs, settings)),
        oldest_run=oldest[0].create_timestamp if oldest else None,
        stale_pictures=_number(stale.asset_materialization.metadata, "left_stale")
        if stale and stale.asset_materialization
        else None,
        conflicts=_conflicts(instance),
        reconciled=_moment(reconciled.timestamp) if reconciled else None,
    )


def _automation(instance: DagsterInstance, what_runs: WhatRuns) -> Iterator[Automation]:
    found = {one.name: one for one in what_runs.automation}
    for state in instance.all_instigator_state():
        if (known := found.get(state.instigator_name)) is None:
            continue  # of a former version of the project, or of another code location
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_TICKS)
        data = state.instigator_data
        begun = getattr(data, "last_sensor_start_timestamp", None) or getattr(data, "start_timestamp", None)
        last = max([tick.timestamp for tick in ticks] + ([begun] if begun else []), default=None)
        # Another code location of the same name may have left a state of its own.
        if last is not None and (known.last is None or _moment(last) > known.last):
            failed = ticks and all(tick.is_failure for tick in ticks)
            found[known.name] = replace(
                known,
                running=state.is_running,
                last=_moment(last),
                error=ticks[0].error.message.strip() if failed and ticks[0].error else None,
            )
        elif known.last is None:
            found[known.name] = replace(known, running=state.is_running)
    return iter(found.values())


def _failed_runs(instance: DagsterInstance, what_runs: WhatRuns, settings: HealthSettings) -> Iterator[FailedRun]:
    """The runs that failed lately, with those that are the last of their job and that nobody started by hand."""
    since = datetime.now(UTC) - timedelta(days=settings.health_days)
    last: dict[str, FailedRun] = {}
    for job in what_runs.jobs:
        records = instance.get_run_records(RunsFilter(job_name=job, statuses=list(ENDED)), limit=1)
        for record in records:
            tags = record.dagster_run.tags
            if record.dagster_run.status is DagsterRunStatus.FAILURE and any(tag in tags for tag in _STARTED_BY):
                last[record.dagster_run.run_id] = _failed_run(record, last=True)
    filters = RunsFilter(statuses=[DagsterRunStatus.FAILURE], updated_after=since)
    for record in instance.get_run_records(filters, limit=NAMED):
        yield last.pop(record.dagster_run.run_id, _failed_run(record))
    yield from last.values()


def _failed_run(record: RunRecord, *, last: bool = False) -> FailedRun:
    run = record.dagster_run
    ended = _moment(record.end_time) if record.end_time else record.update_timestamp
    return FailedRun(run.run_id, run.job_name, ended, last)


def _conflicts(instance: DagsterInstance) -> int | None:
    record = instance.get_latest_asset_check_evaluation_record(AssetCheckKey(METADATA, LABELS_AGREE))
    said = record.evaluation if record else None  # a check that is only planned has another kind of event there
    return _number(said.metadata, "photographs") if isinstance(said, AssetCheckEvaluation) else None


def _number(metadata: Mapping[str, Any], name: str) -> int | None:
    return int(metadata[name].value) if name in metadata else None


def _moment(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


# What the UI shows


def _check_result(result: CheckResult) -> AssetCheckResult:
    return AssetCheckResult(
        check_name=result.check.value,
        passed=result.passed,
        severity=AssetCheckSeverity.ERROR if result.urgent else AssetCheckSeverity.WARN,
        description=result.text,
    )


def _metadata(health: Health, results: Sequence[CheckResult], settings: HealthSettings) -> dict[str, Any]:
    """What is amiss comes first, then what is asked most, then numbers, which the UI plots."""
    amiss = [{"check": f"**{one.check.value}**", "found": plain(one.text)} for one in results if not one.passed]
    days = settings.health_days
    return {
        **_linked("amiss", amiss),
        **_linked("refused", [_refused_row(one) for one in health.refused]),
        **tables(
            refused_by_code=(
                {"code": one.name, "uploads": one.uploads, "latest": _time(one.latest)} for one in health.by_code
            ),
            refused_by_user=(
                {"user": one.name, "uploads": one.uploads, "latest": _time(one.latest)} for one in health.by_user
            ),
        ),
        **_linked("failed", [_failed_row(one) for one in health.failed]),
        **_linked("waiting", [_waiting_row(one, health.at) for one in health.waiting]),
        **_linked("unnamed", [_unnamed_row(one) for one in health.unnamed.sets]),
        **_linked("failed_runs", [_run_row(one) for one in health.dagster.failed_runs]),
        **tables(
            keys_ending=({"user": one.owner, "key": one.number, "ends": _time(one.expires_at)} for one in health.keys),
            mail=(
                {"to": one.recipient or "the operators", "kind": one.kind, "at": _time(one.created_at), "is": one.state}
                for one in health.mail
            ),
            drift_by_kind=({"kind": one.kind, "number": one.number, "since": _time(one.since)} for one in health.drift),
            webhooks=(
                {
                    "webhook": one.name,
                    "state": one.state,
                    "waiting": one.waiting,
                    "dead": one.dead,
                    "error": one.last_error or one.paused_because or "",
                }
                for one in health.webhooks
            ),
            automation=_automation_rows(health, settings),
            pictures_by_day=({"day": f"{day}", "pictures": count} for day, count in health.pictures.items()),
        ),
        **{f"uploads_{state}": count for state, count in health.open_uploads.items()},
        **{f"uploads_{state}_in_{days}_days": count for state, count in health.settled.items()},
        **_figures(health),
    }


def _figures(health: Health) -> dict[str, float | MetadataValue[Any]]:
    dagster, size = health.dagster, health.sizes
    known: dict[str, int | None] = {
        "stale_pictures": dagster.stale_pictures,
        "label_conflicts": dagster.conflicts,
    }
    return {
        "waiting_minutes": round(health.waits.total_seconds() / 60, 1),
        "pictures_today": next(iter(health.pictures.values())),
        "pictures_in_30_days": sum(health.pictures.values()),
        **{name: number for name, number in known.items() if number is not None},
        "pictures_unnamed": health.unnamed.pictures,
        "drift": sum(one.number for one in health.drift),
        "uploads_in_all_about": size.uploads,
        "events_about": size.events,
        "event_log_mib": round(size.event_log / 1024**2, 1),
        "database_mib": round(size.database / 1024**2, 1),
        "disk_free_gib": round(health.disk.free / 1024**3, 1),
        "reconciled": MetadataValue.text(_time(dagster.reconciled) if dagster.reconciled else "never"),
        "oldest_run": MetadataValue.text(_time(dagster.oldest_run) if dagster.oldest_run else "none"),
    }


def _refused_row(one: ListedUpload) -> dict[str, str]:
    part = " (in part)" if one.state is State.PARTLY_IMPORTED else ""
    return {
        "upload": f"{_link(one.folder, manifest_page(one.partition))}{part}",
        "refused for": plain(", ".join(one.codes)),
        "user": plain(one.owner),
        "at": _at(one),
    }


def _failed_row(one: ListedUpload) -> dict[str, str]:
    return {
        "upload": _link(one.folder, partition_page("staged_upload", one.partition)),
        "reason": plain(one.failure or "not recorded"),
        "attempts": str(one.attempts),
        "user": plain(one.owner),
        "at": _at(one),
    }


def _waiting_row(one: ListedUpload, now: datetime) -> dict[str, str]:
    return {
        "upload": _link(one.folder, partition_page("staged_upload", one.partition)),
        "state": one.state.value,
        "minutes": str(round((now - one.since).total_seconds() / 60)),
        "run": _run_link(one.run_id) if one.state is State.IMPORTING and one.run_id else "",
        "user": plain(one.owner),
    }


def _unnamed_row(one: WaitingSet) -> dict[str, str]:
    return {
        "pictures": str(one.pictures),
        "since": _time(one.since),
        "user": plain(one.owner),
        "session": plain(one.place),
        "guess": plain(" ".join(filter(None, (one.guess, one.rank and f"({one.rank})")))),
        # The command leaves pictures of several kinds.
        "name them": (
            f"`nachet labels name {one.picture_set}`"
            if one.several < one.pictures
            else f"several kinds of seeds: their uploader corrects the list ({one.picture_set})"
        ),
    }


def _run_row(one: FailedRun) -> dict[str, str]:
    again = "its job did not run again" if one.last else ""
    return {"job": plain(one.job), "run": _run_link(one.run_id), "failed": _time(one.ended), "since": again}


def _automation_rows(health: Health, settings: HealthSettings) -> Iterator[dict[str, str]]:
    for one in sorted(health.dagster.automation, key=lambda found: found.state(health.at, settings) == "alive"):
        yield {
            "name": one.name,
            "kind": one.kind,
            "state": one.state(health.at, settings),
            "last tick": _time(one.last) if one.last else "never",
            "every": str(one.interval),
            "error": one.error or "",
        }


def _at(one: ListedUpload) -> str:
    return f"[{_time(one.since)}](/runs/{one.run_id})" if one.run_id else _time(one.since)


def _run_link(run_id: str) -> str:
    return f"[{run_id[:8]}](/runs/{run_id})"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _link(text: str, address: str) -> str:
    return f"[{plain(text)}]({address})"


def _linked(name: str, rows: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """Rows with links as Markdown. If the UI would hide them, those that fit are shown, and all are one click away."""
    listed = list(rows)
    if not listed:
        return {}
    columns = list(listed[0])
    head = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines = [f"| {' | '.join(row.values())} |" for row in listed]
    whole = "\n".join([*head, *lines])
    if len(whole) < _SHOWN_AT_ONCE:
        return {name: MetadataValue.md(whole)}
    shown = list(head)
    more = f"\n\nand more, in `{name}_all`"
    for line in lines:
        if len("\n".join([*shown, line])) + len(more) >= _SHOWN_AT_ONCE:
            break
        shown.append(line)
    return {name: MetadataValue.md("\n".join(shown) + more), f"{name}_all": MetadataValue.md(whole)}
