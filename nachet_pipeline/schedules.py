"""The schedules."""

from dagster import (
    DefaultScheduleStatus,
    ResourceParam,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from nachet_pipeline.assets.partitions import recipes
from nachet_pipeline.assets.registered_users import rotate_upload_keys
from nachet_pipeline.folder_jobs import purge_folders
from nachet_pipeline.jobs import build_training_set, clear_old_imports, reconcile_storage, reprocess_pictures
from nachet_pipeline.settings import TrainingSettings


@schedule(
    name="nightly_training_set",
    job=build_training_set,
    cron_schedule="0 2 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every night at two, UTC: the training sets of nightly recipes follow what was imported by day.",
)
def nightly_training_set(
    context: ScheduleEvaluationContext, training_settings: ResourceParam[TrainingSettings]
) -> list[RunRequest] | SkipReason:
    """One run for each recipe whose `schedule` is `nightly`."""
    from nachet_pipeline.training.recipe import RecipeError, packaged_recipes  # noqa: PLC0415 (brings a YAML parser)
    from nachet_pipeline.training.recipe_folder import look_at  # noqa: PLC0415

    found = look_at(training_settings.recipes_folder or packaged_recipes())
    nightly = sorted(name for name, recipe in found.recipes.items() if recipe.schedule == "nightly")
    if found.complaint:
        if not nightly:
            raise RecipeError(found.complaint)
        context.log.error("recipes that cannot be read are not built: %s", found.complaint)
    if not nightly:
        return SkipReason("No recipe says `schedule: nightly`.")
    # The sensor adds them too; a recipe may be newer than its last look.
    context.instance.add_dynamic_partitions(str(recipes.name), nightly)
    at = context.scheduled_execution_time.isoformat()
    return [RunRequest(run_key=f"{name}@{at}", partition_key=name) for name in nightly]


nightly_reprocessing = ScheduleDefinition(
    name="nightly_reprocessing",
    job=reprocess_pictures,
    cron_schedule="0 3 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every night at three, UTC: stored pictures follow the rules and the code. Cheap if nothing is stale.",
)

daily_reconciliation = ScheduleDefinition(
    name="daily_reconciliation",
    job=reconcile_storage,
    cron_schedule="0 4 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every day at four, UTC: staging, storage and rows are compared. Repairs nothing.",
)

daily_retention = ScheduleDefinition(
    name="daily_retention",
    job=clear_old_imports,
    cron_schedule="0 5 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every day at five, UTC: staged folders and partitions of old, verified imports are cleared.",
)

daily_purge = ScheduleDefinition(
    name="daily_purge",
    job=purge_folders,
    cron_schedule="30 5 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every day at half past five, UTC: deleted folders that nobody can bring back any more are removed.",
)

nightly_key_rotation = ScheduleDefinition(
    name="nightly_key_rotation",
    job=rotate_upload_keys,
    cron_schedule="0 1 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every night at one, UTC: upload keys about to expire are rotated, those of disabled users revoked.",
)
