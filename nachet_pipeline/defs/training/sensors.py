"""The sensor on the folder of recipes."""

from dagster import (
    ResourceParam,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from nachet_pipeline.defs.automation import running_sensor
from nachet_pipeline.defs.partitions import recipes
from nachet_pipeline.defs.training.jobs import build_training_set
from nachet_pipeline.settings import TrainingSettings


@running_sensor(
    job=build_training_set,
    minimum_interval_seconds=60,
    description="Keeps one partition of training_set for each recipe of the folder that NACHET_RECIPES_FOLDER names."
    " Its tick fails while a recipe cannot be read, and says why; the others have their partitions all the same.",
)
def sync_recipes(
    context: SensorEvaluationContext, training_settings: ResourceParam[TrainingSettings]
) -> SensorResult | SkipReason:
    """Keep the partitions equal to the folder of recipes."""
    from nachet_pipeline.training.recipe import RecipeError, packaged_recipes  # noqa: PLC0415 (a YAML parser)
    from nachet_pipeline.training.recipe_folder import read_folder  # noqa: PLC0415

    found = read_folder(training_settings.recipes_folder or packaged_recipes())
    known = context.instance.get_dynamic_partitions(str(recipes.name))
    new, gone = found.new(known), found.gone(known)
    if new or gone:
        if found.complaint:
            context.log.error("%s", found.complaint)
        # Changes come first, because a failed tick changes nothing. The next tick reports what cannot be read.
        return SensorResult(
            skip_reason="; ".join(
                f"{what}: {', '.join(names)}" for what, names in (("new", new), ("removed", gone)) if names
            ),
            dynamic_partitions_requests=[
                *([recipes.build_add_request(new)] if new else []),
                *([recipes.build_delete_request(gone)] if gone else []),
            ],
        )
    if found.complaint:
        raise RecipeError(found.complaint)
    return SkipReason(f"{len(found.recipes)} recipes, each with its partition.")
