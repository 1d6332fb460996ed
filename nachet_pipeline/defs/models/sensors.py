"""The sensors on files of predictions, and on versions that can be evaluated."""

import json

from dagster import (
    DagsterInstance,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from nachet_pipeline.defs.automation import running_sensor
from nachet_pipeline.defs.models.jobs import evaluate_models, record_predictions
from nachet_pipeline.defs.partitions import versions
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource
from nachet_pipeline.defs.runs import PARTITION, UNDER_WAY
from nachet_pipeline.models.queries import last_files, model_versions

_SECONDS = 60


def _under_way(instance: DagsterInstance, job: str) -> set[str]:
    """Partitions that runs of a job work on."""
    runs = instance.get_runs(RunsFilter(job_name=job, statuses=list(UNDER_WAY)))
    return {run.tags[PARTITION] for run in runs if PARTITION in run.tags}


@running_sensor(
    job=record_predictions,
    minimum_interval_seconds=_SECONDS,
    description="Starts record_predictions for each version into whose folder of `predictions-<model>` files were put,"
    " and keeps one partition for each registered version.",
)
def start_predictions(
    context: SensorEvaluationContext, database: DatabaseResource, blob_storage: BlobStorageResource
) -> SensorResult | SkipReason:
    """Request a run for each version with files that were not read."""
    from nachet_pipeline.models.predictions.containers import due_files  # noqa: PLC0415 (pyarrow)

    with database.open() as db, blob_storage.open() as blobs:
        with db.reading() as connection:
            registered = [one.name for one in model_versions(connection)]
        # Without a version there is no container of one.
        due = {one.version.name for one in due_files(db, blobs)} if registered else set()
    new = sorted({*registered} - {*context.instance.get_dynamic_partitions(str(versions.name))})
    due -= _under_way(context.instance, record_predictions.name)
    if not due and not new:
        return SkipReason("No file of predictions waits.")
    return SensorResult(
        run_requests=[RunRequest(partition_key=name) for name in sorted(due)],
        dynamic_partitions_requests=[versions.build_add_request(new)] if new else [],
    )


@running_sensor(
    job=evaluate_models,
    minimum_interval_seconds=_SECONDS,
    description="Starts evaluate_models for each version that predictions came of. A version that cannot be judged is"
    " tried again with the next predictions.",
)
def start_evaluations(context: SensorEvaluationContext, database: DatabaseResource) -> SensorResult | SkipReason:
    """Request a run for each version of which a file was recorded since the last request."""
    with database.open() as db, db.reading() as connection:
        last = {name: at.isoformat() for name, at in last_files(connection).items()}
    seen: dict[str, str] = json.loads(context.cursor or "{}")
    due = sorted(name for name, at in last.items() if seen.get(name) != at)
    busy = _under_way(context.instance, evaluate_models.name)
    now = [name for name in due if name not in busy]
    if not now:
        return SkipReason("No predictions came since the last look.")
    new = sorted({*now} - {*context.instance.get_dynamic_partitions(str(versions.name))})
    return SensorResult(
        run_requests=[RunRequest(partition_key=name) for name in now],
        dynamic_partitions_requests=[versions.build_add_request(new)] if new else [],
        cursor=json.dumps({**seen, **{name: last[name] for name in now}}, sort_keys=True),
    )
