"""The schedules."""

from dagster import DefaultScheduleStatus, ScheduleDefinition

from nachet_pipeline.jobs import build_training_set

nightly_training_set = ScheduleDefinition(
    name="nightly_training_set",
    job=build_training_set,
    cron_schedule="0 2 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every night at two, UTC: the training set follows what was imported by day.",
)
