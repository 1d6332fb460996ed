"""The job that imports a container."""

from dagster import define_asset_job

from nachet_pipeline.defs.fan_out import BULK_TAGS
from nachet_pipeline.defs.mass_import.assets import mass_imported_container

mass_import = define_asset_job(
    "mass_import",
    selection=[mass_imported_container],
    description="Imports a container that is full of pictures already; its name is the partition. Try it with dry_run"
    " first. A large container is split into several runs. It fails if the container or the mapping cannot be used;"
    " files that were not taken do not fail it, they are listed with their reasons.",
    tags=BULK_TAGS,
)
