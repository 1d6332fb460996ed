"""The job that imports a container."""

from dagster import define_asset_job

from nachet_pipeline.defs.fan_out import BULK_TAGS
from nachet_pipeline.defs.mass_import.assets import mass_imported_container

mass_import = define_asset_job(
    "mass_import",
    selection=[mass_imported_container],
    description="Give rows to the pictures that lie in a container already; add its name as a partition first.",
    tags=BULK_TAGS,
)
