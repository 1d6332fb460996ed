"""The group `registry` as Dagster loads it: species, users and their upload keys."""

from dagster import Definitions

from nachet_pipeline.defs.code import with_code
from nachet_pipeline.defs.registry.assets import registered_seeds, registered_users
from nachet_pipeline.defs.registry.jobs import (
    load_seeds,
    load_users,
    nightly_key_rotation,
    onboard_user,
    rotate_upload_keys,
)
from nachet_pipeline.defs.registry.sensors import sync_registry, sync_users


def definitions() -> Definitions:
    """The group's assets, checks, jobs, sensors and schedules."""
    return Definitions(
        assets=with_code([registered_seeds, registered_users]),
        jobs=[load_seeds, load_users, onboard_user, rotate_upload_keys],
        sensors=[sync_users, sync_registry],
        schedules=[nightly_key_rotation],
    )
