"""The sensors on files of predictions, and on versions that can be evaluated."""

import json
from datetime import UTC, datetime

from dagster import (
    AddDynamicPartitionsRequest,
    DagsterInstance,
    DeleteDynamicPartitionsRequest,
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
from nachet_pipeline.models.model import digest_of
from nachet_pipeline.models.predictions.containers import due_files
from nachet_pipeline.models.queries import model_versions, recorded_of_files

_SECONDS = 60


def _under_way(instance: DagsterInstance, *jobs: str) -> set[str]:
    """Partitions that runs of some jobs work on."""
    runs = (run for job in jobs for run in instance.get_runs(RunsFilter(job_name=job, statuses=list(UNDER_WAY))))
    return {run.tags[PARTITION] for run in runs if PARTITION in run.tags}


def _partitions(
    instance: DagsterInstance, names: set[str]
) -> list[AddDynamicPartitionsRequest | DeleteDynamicPartitionsRequest]:
    """What makes the partitions equal to the versions."""
    known = {*instance.get_dynamic_partitions(str(versions.name))}
    return [
        *([versions.build_add_request(sorted(names - known))] if names - known else []),
        *([versions.build_delete_request(sorted(known - names))] if known - names else []),
    ]


@running_sensor(
    job=record_predictions,
    minimum_interval_seconds=_SECONDS,
    description="Starts record_predictions for each version into whose folder of `predictions-<model>` files were put,"
    " and keeps one partition for each registered version. After a run that failed it tries the same files again within"
    " the hour.",
)
def start_predictions(
    context: SensorEvaluationContext, database: DatabaseResource, blob_storage: BlobStorageResource
) -> SensorResult | SkipReason:
    """Request a run for each version with files that were not read."""
    with database.open() as db, db.reading() as connection:
        registered = model_versions(connection)
    with blob_storage.open() as blobs:
        due: dict[str, list[str]] = {}
        for file in due_files(registered, blobs):
            due.setdefault(file.version.name, []).append(f"{file.blob} {file.etag}")
    changes = _partitions(context.instance, {one.name for one in registered})
    if not due and not changes:
        return SkipReason("No file of predictions waits.")
    hour = f"{datetime.now(UTC):%Y-%m-%dT%H}"
    requests = [
        # One run an hour for the same files, or one that fails on them would start another every minute.
        RunRequest(run_key=f"{name} {hour} {digest_of({'files': sorted(files)})}", partition_key=name)
        for name, files in sorted(due.items())
    ]
    busy = _under_way(context.instance, record_predictions.name) if due else set()
    return SensorResult(
        run_requests=[one for one in requests if one.partition_key not in busy], dynamic_partitions_requests=changes
    )


@running_sensor(
    job=evaluate_models,
    minimum_interval_seconds=_SECONDS,
    description="Starts evaluate_models for each version of which files brought new predictions. A version that cannot"
    " be judged is tried again with the next ones.",
)
def start_evaluations(context: SensorEvaluationContext, database: DatabaseResource) -> SensorResult | SkipReason:
    """Request a run for each version of which files brought predictions since the last request."""
    with database.open() as db, db.reading() as connection:
        now = recorded_of_files(connection)
    asked: dict[str, int] = json.loads(context.cursor or "{}")
    due = {name for name, number in now.items() if asked.get(name) != number}
    if due:
        # More of them are to come from a run that reads files.
        due -= _under_way(context.instance, record_predictions.name, evaluate_models.name)
    if not due:
        return SkipReason("No file brought new predictions.")
    # start_predictions adds them too, but a version may be newer than its last tick.
    context.instance.add_dynamic_partitions(str(versions.name), sorted(due))
    return SensorResult(
        run_requests=[RunRequest(partition_key=name) for name in sorted(due)],
        cursor=json.dumps(asked | {name: now[name] for name in due}, sort_keys=True),
    )
