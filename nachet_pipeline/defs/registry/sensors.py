"""The sensors on the reviewed file of users and on the species registry."""

from dagster import (
    ResourceParam,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from nachet_pipeline.defs.automation import running_sensor
from nachet_pipeline.defs.registry.jobs import load_seeds, load_users
from nachet_pipeline.registry.species_file import species_version
from nachet_pipeline.settings import SpeciesSettings, UserSettings
from nachet_pipeline.users.users_file import digest_of


@running_sensor(
    job=load_users,
    minimum_interval_seconds=60,
    description="Applies the reviewed file of users that NACHET_USERS_FILE names, whenever it changed. Does nothing"
    " without such a file.",
)
def sync_users(
    context: SensorEvaluationContext, user_settings: ResourceParam[UserSettings]
) -> SensorResult | SkipReason:
    """Request a run when the reviewed file of users changed."""
    file = user_settings.users_file
    if file is None:
        return SkipReason("NACHET_USERS_FILE names no file.")
    digest = digest_of(file)
    if digest == context.cursor:
        return SkipReason(f"{file} did not change.")
    # There is no run key, so that a file which was changed and changed back is applied again.
    return SensorResult(run_requests=[RunRequest()], cursor=digest)


@running_sensor(
    job=load_seeds,
    minimum_interval_seconds=60,
    description="Loads the registered species whenever the files that NACHET_SPECIES_FILE names changed, or this"
    " version of the package brings other ones of its own.",
)
def sync_registry(
    context: SensorEvaluationContext, species_settings: ResourceParam[SpeciesSettings]
) -> SensorResult | SkipReason:
    """Request a run when the files of species changed."""
    version = species_version(species_settings.species_file)
    if version == context.cursor:
        return SkipReason("The files of species did not change.")
    # There is no run key, so that files which were changed and changed back are loaded again.
    return SensorResult(run_requests=[RunRequest()], cursor=version)
