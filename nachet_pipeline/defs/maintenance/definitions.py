"""The group `maintenance` as Dagster loads it: stored pictures, folders and runs, kept in order."""

from dagster import Definitions

from nachet_pipeline.defs.code import with_code
from nachet_pipeline.defs.maintenance.assets import cleared_imports, reconciled_storage, reprocessed_pictures
from nachet_pipeline.defs.maintenance.jobs import (
    archive_folder,
    clear_old_imports,
    daily_purge,
    daily_reconciliation,
    daily_retention,
    delete_folder,
    nightly_reprocessing,
    purge_folders,
    reconcile_storage,
    reprocess_pictures,
)
from nachet_pipeline.defs.maintenance.sensors import end_dead_runs, start_shards


def definitions() -> Definitions:
    """The group's assets, checks, jobs, sensors and schedules."""
    return Definitions(
        assets=with_code([reprocessed_pictures, reconciled_storage, cleared_imports]),
        jobs=[
            reprocess_pictures,
            reconcile_storage,
            clear_old_imports,
            delete_folder,
            archive_folder,
            purge_folders,
        ],
        sensors=[end_dead_runs, start_shards],
        schedules=[nightly_reprocessing, daily_reconciliation, daily_retention, daily_purge],
    )
