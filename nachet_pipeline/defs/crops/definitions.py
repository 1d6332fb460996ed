"""The group `crops` as Dagster loads it: the seeds of pictures, each cut out."""

from dagster import Definitions

from nachet_pipeline.defs.code import with_code
from nachet_pipeline.defs.crops.assets import crop_upload
from nachet_pipeline.defs.crops.jobs import crop_pictures
from nachet_pipeline.defs.crops.sensors import start_crops_sensor
from nachet_pipeline.settings import SensorSettings


def definitions(settings: SensorSettings) -> Definitions:
    """The group's assets, checks, jobs, sensors and schedules.

    Args:
        settings: how often staged folders are looked for.
    """
    return Definitions(
        assets=with_code([crop_upload]),
        jobs=[crop_pictures],
        sensors=[start_crops_sensor(settings)],
    )
