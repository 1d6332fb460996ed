"""The job that imports a container."""

from dagster import AssetSelection, define_asset_job, in_process_executor

from nachet_pipeline.defs.fan_out import BULK_TAGS
from nachet_pipeline.defs.mass_import.assets import containers

mass_import = define_asset_job(
    "mass_import",
    selection=AssetSelection.assets("mass_imported_container"),
    tags=BULK_TAGS,
    description="Give rows to the pictures that lie in a container already; add its name as a partition first.",
    partitions_def=containers,
    executor_def=in_process_executor,
)
