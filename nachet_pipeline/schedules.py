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
from nachet_pipeline.jobs import build_training_set, reprocess_pictures
from nachet_pipeline.settings import ImportSettings


@schedule(
    name="nightly_training_set",
    job=build_training_set,
    cron_schedule="0 2 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every night at two, UTC: the training sets of nightly recipes follow what was imported by day.",
)
def nightly_training_set(
    context: ScheduleEvaluationContext, import_settings: ResourceParam[ImportSettings]
) -> list[RunRequest] | SkipReason:
    """One run for each recipe whose `schedule` is `nightly`."""
    from nachet_pipeline.training.recipe import RecipeError, packaged_recipes  # noqa: PLC0415 (brings a YAML parser)
    from nachet_pipeline.training.recipe_folder import look_at  # noqa: PLC0415

    found = look_at(import_settings.recipes_folder or packaged_recipes())
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
