"""The group `training` as Dagster loads it: training sets."""

from dagster import Definitions

from nachet_pipeline.defs.code import with_code
from nachet_pipeline.defs.training.assets import training_set
from nachet_pipeline.defs.training.jobs import build_training_set, nightly_training_set
from nachet_pipeline.defs.training.sensors import sync_recipes


def definitions() -> Definitions:
    """The group's assets, checks, jobs, sensors and schedules."""
    return Definitions(
        assets=with_code([training_set]),
        jobs=[build_training_set],
        sensors=[sync_recipes],
        schedules=[nightly_training_set],
    )
