"""The sensor on the reviewed list of containers."""

from dagster import (
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from nachet_pipeline.defs.automation import running_sensor
from nachet_pipeline.defs.mass_import.jobs import mass_import
from nachet_pipeline.defs.partitions import containers
from nachet_pipeline.defs.runs import whose
from nachet_pipeline.mass_import.reviewed_list import ListedContainer, read_list
from nachet_pipeline.settings import MassImportSettings

_RUN_KEY = "dagster/run_key"


@running_sensor(
    job=mass_import,
    minimum_interval_seconds=60,
    description="Imports the containers of the reviewed list that NACHET_MASS_IMPORT_LIST names, each once for what its"
    " entry says. Its tick fails while the list cannot be read; the message has file and line.",
)
def start_mass_imports(
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
    keys = {f"{one.container}:{one.digest}": one for one in listed}
    # Dagster starts no second run for a run key, unless the sensor had another name when it requested the first.
    asked = RunsFilter(job_name=mass_import.name, tags={_RUN_KEY: list(keys)})
    for run in context.instance.get_runs(asked):
        keys.pop(run.tags[_RUN_KEY], None)
    if not keys:
        return SkipReason(f"Each of the {len(listed)} entries had its run.")
    return SensorResult(
        run_requests=[
            RunRequest(
                run_key=key,
                partition_key=one.container,
                run_config={"ops": {"import_container": {"config": _mass_import_config(one)}}},
                tags=whose(one.owner, f"{one.container}/{one.prefix}".rstrip("/")),
            )
            for key, one in keys.items()
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
