"""The sensors on the reviewed file of users and on the species registry."""

from dagster import (
    AssetSelection,
    AutomationConditionSensorDefinition,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from nachet_pipeline.defs.automation import running_sensor
from nachet_pipeline.defs.registry.jobs import load_users
from nachet_pipeline.settings import UserSettings
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


sync_registry = AutomationConditionSensorDefinition(
    "sync_registry",
    target=AssetSelection.assets("registered_seeds"),
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=60,
    description="Loads the species registry when the database has none, or this version of the package brings another"
    " one.",
)
