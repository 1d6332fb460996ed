"""The sensor on the reviewed list of containers."""

from dagster import (
    ResourceParam,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from nachet_pipeline.defs.automation import running_sensor
from nachet_pipeline.defs.mass_import.jobs import mass_import
from nachet_pipeline.defs.partitions import containers
from nachet_pipeline.mass_import.reviewed_list import ListedContainer, read_list
from nachet_pipeline.settings import MassImportSettings


@running_sensor(
    job=mass_import,
    minimum_interval_seconds=60,
    description="Mass-imports the containers of the reviewed list, each once for what its entry says.",
)
def listed_containers(
    context: SensorEvaluationContext, mass_import_settings: ResourceParam[MassImportSettings]
) -> SensorResult | SkipReason:
    """Request a run for each entry of the reviewed list of containers."""
    file = mass_import_settings.mass_import_list
    if file is None:
        return SkipReason("NACHET_MASS_IMPORT_LIST names no list.")
    listed = read_list(file)
    if not listed:
        return SkipReason(f"{file} lists no container.")
    known = set(context.instance.get_dynamic_partitions("container"))
    new = sorted({one.container for one in listed} - known)
    return SensorResult(
        # Dagster starts no second run for a run key, so an unchanged entry is imported once.
        run_requests=[
            RunRequest(
                run_key=f"{one.container}:{one.digest}",
                partition_key=one.container,
                run_config={"ops": {"import_container": {"config": _mass_import_config(one)}}},
            )
            for one in listed
        ],
        dynamic_partitions_requests=[containers.build_add_request(new)] if new else [],
    )


def _mass_import_config(listed: ListedContainer) -> dict[str, object]:
    config = {
        "owner": listed.owner,
        "seed": listed.seed,
        "zoom": listed.zoom,
        "seeds_per_picture": listed.seeds_per_picture,
        "mapping": listed.mapping,
        "mapping_name": listed.mapping_name,
        "prefix": listed.prefix,
        "adopt": listed.adopt,
    }
    return {name: value for name, value in config.items() if value is not None}
