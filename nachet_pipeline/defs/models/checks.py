"""The checks on what versions of models say, and on how good they are."""

from dagster import AssetKey

from nachet_pipeline.defs.checks import partitioned_specs
from nachet_pipeline.defs.partitions import versions

PREDICTIONS, EVALUATION, HEALTH = (
    AssetKey("recorded_predictions"),
    AssetKey("model_evaluation"),
    AssetKey("model_health"),
)
FILES_VALID, NO_DRIFT = "files_valid", "no_drift"

_NOT_CHAMPION = "A version that fails cannot be named champion."
predictions_specs = partitioned_specs(
    PREDICTIONS, versions, {FILES_VALID: "Nothing is wrong with the files of predictions in the folder of the version."}
)
evaluation_specs = partitioned_specs(
    EVALUATION,
    versions,
    {
        "enough_pictures": "The version answered most of the test split, of which each class has enough."
        f" {_NOT_CHAMPION}",
        "no_train_on_test": f"It was trained on nothing that it is judged by. {_NOT_CHAMPION}",
        "worst_class_above": f"The recall of each class is large enough. {_NOT_CHAMPION}",
        "no_slice_far_below": "No part of the pictures is recognized much less often than the rest, beyond chance.",
        "calibrated": "The version is right as often as it says that it is, beyond chance.",
        "not_worse_than_champion": "Neither all pictures nor any species on a list is recognized less often than by the"
        f" champion, beyond chance. {_NOT_CHAMPION}",
    },
)
health_specs = partitioned_specs(
    HEALTH,
    versions,
    {NO_DRIFT: "What the version says in a month is as before, but for what is small or chance."},
)
