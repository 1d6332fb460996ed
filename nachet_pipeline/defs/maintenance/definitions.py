"""The group `maintenance` as Dagster loads it: stored pictures, folders and runs, kept in order."""

from dagster import Definitions

from nachet_pipeline.defs.code import with_code
from nachet_pipeline.defs.maintenance.assets import cleared_imports, reconciled_storage, reprocessed_pictures
from nachet_pipeline.defs.maintenance.health import pipeline_health
from nachet_pipeline.defs.maintenance.jobs import (
    archive_folder,
    check_health,
    clear_old_imports,
    clear_old_runs,
    daily_purge,
    daily_reconciliation,
    daily_retention,
    daily_run_clearing,
    delete_folder,
    hourly_health,
    nightly_reprocessing,
    purge_folders,
    reconcile_storage,
    reprocess_pictures,
)
from nachet_pipeline.defs.maintenance.sensors import deliver_events, end_dead_runs, send_mail, start_shards


def definitions() -> Definitions:
    """The group's assets, checks, jobs, sensors and schedules."""
    return Definitions(
        assets=with_code([pipeline_health, reprocessed_pictures, reconciled_storage, cleared_imports]),
        jobs=[
            reprocess_pictures,
            reconcile_storage,
            clear_old_imports,
            delete_folder,
            archive_folder,
            purge_folders,
            check_health,
            clear_old_runs,
        ],
        sensors=[end_dead_runs, start_shards, deliver_events, send_mail],
        schedules=[
            hourly_health,
            nightly_reprocessing,
            daily_reconciliation,
            daily_retention,
            daily_purge,
            daily_run_clearing,
        ],
    )
