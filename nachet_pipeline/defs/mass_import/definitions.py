"""The group `mass_import` as Dagster loads it: containers full of pictures that have no rows yet."""

from dagster import Definitions

from nachet_pipeline.defs.code import with_code
from nachet_pipeline.defs.mass_import.assets import mass_imported_container
from nachet_pipeline.defs.mass_import.jobs import mass_import
from nachet_pipeline.defs.mass_import.sensors import start_mass_imports


def definitions() -> Definitions:
    """The group's assets, checks, jobs, sensors and schedules."""
    return Definitions(
        assets=with_code([mass_imported_container]),
        jobs=[mass_import],
        sensors=[start_mass_imports],
    )
