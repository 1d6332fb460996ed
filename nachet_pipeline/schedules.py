"""The schedules."""

from dagster import DefaultScheduleStatus, ScheduleDefinition

from nachet_pipeline.jobs import build_training_set, reprocess_pictures

nightly_training_set = ScheduleDefinition(
    name="nightly_training_set",
    job=build_training_set,
    cron_schedule="0 2 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every night at two, UTC: the training set follows what was imported by day.",
)

nightly_reprocessing = ScheduleDefinition(
    name="nightly_reprocessing",
    job=reprocess_pictures,
    cron_schedule="0 3 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every night at three, UTC: stored pictures follow the rules and the code. Cheap if nothing is stale.",
)
