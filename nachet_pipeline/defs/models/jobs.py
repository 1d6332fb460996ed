"""The jobs on models and judgements, and the schedules."""

from datetime import timedelta

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleEvaluationContext,
    SkipReason,
    define_asset_job,
    schedule,
)

from nachet_pipeline.defs.fan_out import BULK_TAGS
from nachet_pipeline.defs.models.assets import evaluate_model, judged_pictures, model_health, recorded_predictions
from nachet_pipeline.defs.partitions import versions
from nachet_pipeline.defs.resources import DatabaseResource
from nachet_pipeline.models.judgements.queries import outcome_counts
from nachet_pipeline.models.queries import versions_that_spoke

record_predictions = define_asset_job(
    "record_predictions",
    selection=[recorded_predictions],
    description="Records the files of predictions that were put into the folder of a version, which is the partition."
    " Pressing it again reads nothing twice. start_predictions runs it when files arrive.",
)

evaluate_models = define_asset_job(
    "evaluate_models",
    selection=[evaluate_model],
    description="Evaluates a version of a model, which is the partition, by what it predicted of a test split."
    " start_evaluations runs it when predictions came; the same again finds the same.",
)

apply_judgements = define_asset_job(
    "apply_judgements",
    selection=[judged_pictures],
    description="Decides anew what all judgements come to, by the settings, species and pictures of today.",
)

look_for_drift = define_asset_job(
    "look_for_drift",
    selection=[model_health],
    description="Compares what a version, which is the partition, says in yesterday's month with what it said before.",
    tags=BULK_TAGS,
)


@schedule(
    job=look_for_drift,
    cron_schedule="30 4 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Runs look_for_drift every night at 04:30 UTC for each version that said something in"
    " yesterday's month.",
)
def nightly_drift(context: ScheduleEvaluationContext, database: DatabaseResource) -> list[RunRequest] | SkipReason:
    """One run for each version that said something in yesterday's month."""
    at = context.scheduled_execution_time
    with database.open() as db, db.reading() as connection:
        names = versions_that_spoke(connection, (at - timedelta(days=1)).date().replace(day=1))
    if not names:
        return SkipReason("No version said anything in yesterday's month.")
    context.instance.add_dynamic_partitions(str(versions.name), names)
    return [RunRequest(run_key=f"{name}|{at.isoformat()}", partition_key=name) for name in names]


@schedule(
    job=apply_judgements,
    cron_schedule="30 1 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Runs apply_judgements every night at 01:30 UTC, before the training sets of the night, if anybody"
    " judged anything.",
)
def nightly_judgements(database: DatabaseResource) -> RunRequest | SkipReason:
    """One run, if there is anything to decide."""
    with database.open() as db, db.reading() as connection:
        return RunRequest() if outcome_counts(connection) else SkipReason("Nothing was judged.")
