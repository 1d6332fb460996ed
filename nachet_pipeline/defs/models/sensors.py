"""The sensors on files of predictions, and on versions that can be evaluated."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby

from dagster import (
    AddDynamicPartitionsRequest,
    DagsterInstance,
    DeleteDynamicPartitionsRequest,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from nachet_pipeline.database.audit import PROGRAM
from nachet_pipeline.defs.automation import running_sensor
from nachet_pipeline.defs.models.jobs import evaluate_models, record_predictions
from nachet_pipeline.defs.partitions import versions
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource
from nachet_pipeline.defs.runs import PARTITION, UNDER_WAY
from nachet_pipeline.models.model import ModelError, digest_of
from nachet_pipeline.models.predictions.containers import due_files, state_of
from nachet_pipeline.models.queries import model_versions, recorded_of_files
from nachet_pipeline.settings import TrainingSettings

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
    minimum_interval_seconds=_SECONDS,
    description="Registers the models of the folder that NACHET_MODELS_FOLDER names, whenever a file of it changed. Its"
    " tick fails while one cannot be registered, and says why; the others are registered all the same. Does nothing"
    " without such a folder.",
)
def sync_models(
    context: SensorEvaluationContext,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    training_settings: ResourceParam[TrainingSettings],
) -> SensorResult | SkipReason:
    """Register what the folder of models holds, if that changed."""
    from nachet_pipeline.models.model_file import model_files, read_model_file  # noqa: PLC0415 (a YAML parser)
    from nachet_pipeline.models.registering import UnregistrableModelError, register_models  # noqa: PLC0415

    folder = training_settings.models_folder
    if folder is None:
        return SkipReason("NACHET_MODELS_FOLDER names no folder.")
    files = model_files(folder)
    digest = digest_of({file.name: sha256(file.read_bytes()).hexdigest() for file in files})
    if digest == context.cursor:
        return SkipReason(f"{folder} did not change.")
    new, refused = [], []
    with database.open() as db, blob_storage.open() as blobs:
        for file in files:
            try:
                done = register_models(db, blobs, read_model_file(file), by=PROGRAM)
            except (ModelError, UnregistrableModelError) as error:
                refused.append(str(error))
            else:
                new += [one.version.name for one in done if one.new]
    if refused:
        raise ModelError("\n".join(refused))
    return SensorResult(skip_reason=f"new: {', '.join(new) or 'no version'}", cursor=digest)


@running_sensor(
    job=record_predictions,
    minimum_interval_seconds=_SECONDS,
    description="Starts record_predictions for each version into whose folder of `predictions-<model>` files were put,"
    " and keeps one partition for each registered version. After a run that failed it tries the same files again within"
    " the hour.",
)
def start_predictions(
    context: SensorEvaluationContext, database: DatabaseResource, blob_storage: BlobStorageResource
) -> SensorResult:
    """Request a run for each version with files that were not read."""
    with database.open() as db, db.reading() as connection:
        registered = model_versions(connection)
    # Of each model the state of its container when no file waited there.
    seen: dict[str, str] = json.loads(context.cursor or "{}")
    due: dict[str, list[str]] = {}
    with blob_storage.open() as blobs:
        for model, of_model in groupby(registered, key=lambda one: one.model):
            of = list(of_model)
            state = state_of(model, of, blobs)
            if seen.get(model) == state:
                continue
            files = list(due_files(of, blobs))
            for file in files:
                due.setdefault(file.version.name, []).append(f"{file.blob} {file.etag}")
            if not files:
                seen[model] = state
    cursor = json.dumps(seen, sort_keys=True)
    changes = _partitions(context.instance, {one.name for one in registered})
    if not due and not changes:
        return SensorResult(skip_reason="No file of predictions waits.", cursor=cursor)
    hour = f"{datetime.now(UTC):%Y-%m-%dT%H}"
    requests = [
        # One run an hour for the same files, or one that fails on them would start another every minute.
        RunRequest(run_key=f"{name} {hour} {digest_of({'files': sorted(files)})}", partition_key=name)
        for name, files in sorted(due.items())
    ]
    busy = _under_way(context.instance, record_predictions.name) if due else set()
    return SensorResult(
        run_requests=[one for one in requests if one.partition_key not in busy],
        dynamic_partitions_requests=changes,
        cursor=cursor,
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
