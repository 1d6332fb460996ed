"""The job that builds training sets, and its schedule."""

from dagster import (
    DefaultScheduleStatus,
    ResourceParam,
    RunRequest,
    ScheduleEvaluationContext,
    SkipReason,
    define_asset_job,
    schedule,
)

from nachet_pipeline.defs.partitions import recipes
from nachet_pipeline.defs.training.assets import training_set
from nachet_pipeline.settings import TrainingSettings

build_training_set = define_asset_job(
    "build_training_set",
    selection=[training_set],
    description="Builds the training set of a recipe, which is the partition: selection, split, manifest, checks, card."
    " Press it to publish today's pictures at once; if nothing changed, it finds the version that is there. It fails if"
    " a check keeps the version from becoming the current one; trainers keep the one before.",
)


@schedule(
    job=build_training_set,
    cron_schedule="0 2 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Runs build_training_set every night at 02:00 UTC for each recipe that says `schedule: nightly`.",
)
def nightly_training_set(
    context: ScheduleEvaluationContext, training_settings: ResourceParam[TrainingSettings]
) -> list[RunRequest] | SkipReason:
    """One run for each recipe whose `schedule` is `nightly`."""
    from nachet_pipeline.training.recipe import RecipeError, packaged_recipes  # noqa: PLC0415 (brings a YAML parser)
    from nachet_pipeline.training.recipe_folder import read_folder  # noqa: PLC0415

    found = read_folder(training_settings.recipes_folder or packaged_recipes())
    nightly = sorted(name for name, recipe in found.recipes.items() if recipe.schedule == "nightly")
    if found.complaint:
        if not nightly:
            raise RecipeError(found.complaint)
        context.log.error("recipes that cannot be read are not built: %s", found.complaint)
    if not nightly:
        return SkipReason("No recipe says `schedule: nightly`.")
    # The sensor adds them too, but a recipe may be newer than its last tick.
    context.instance.add_dynamic_partitions(str(recipes.name), nightly)
    at = context.scheduled_execution_time.isoformat()
    return [RunRequest(run_key=f"{name}@{at}", partition_key=name) for name in nightly]
