"""The jobs that reprocess, reconcile, clear, delete, archive and purge, and their schedules."""

from uuid import UUID

from dagster import MetadataValue, OpExecutionContext, ResourceParam, define_asset_job, job, op
from pydantic import Field

from nachet_pipeline.defs.automation import running_schedule
from nachet_pipeline.defs.failures import failing_on
from nachet_pipeline.defs.fan_out import BULK_TAGS
from nachet_pipeline.defs.forms import Form, form_of_asset_job, form_of_job, required
from nachet_pipeline.defs.maintenance.assets import (
    ReconcileForm,
    ReprocessForm,
    RetentionForm,
    cleared_imports,
    reconciled_storage,
    reprocessed_pictures,
)
from nachet_pipeline.defs.maintenance.health import pipeline_health
from nachet_pipeline.defs.maintenance.old_runs import clear_all_old_runs
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource
from nachet_pipeline.defs.runs import SHORT_PLACE
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.folders.folder import Folder
from nachet_pipeline.folders.formatting import tombstone_record
from nachet_pipeline.folders.keeper import FolderKeeper
from nachet_pipeline.folders.queries import find_folder
from nachet_pipeline.picture_sets.tombstones import Tombstone
from nachet_pipeline.settings import FolderSettings


class _FolderForm(Form):
    folder: str = required("identifier of the folder (`nachet folder list`)", "0d8a6a8e-5d8e-5c52-9f5f-0d4a5f0b6c11")
    by: str = required("who wants it, for the audit trail", "you@example.org")
    why: str = required("the reason, for the audit trail", "the seeds were mixed up")

    def problems(self) -> list[str]:
        """Also an identifier that is none."""
        if self.folder:
            try:
                UUID(self.folder)
            except ValueError:
                wanted = type(self).model_fields["folder"].description
                return [f"folder: expected {wanted}; found {self.folder[:80]!r}", *super().problems()]
        return super().problems()


class DeletingForm(_FolderForm):
    """Which folder is deleted, by whom and why, and what becomes of its pictures."""

    keep_for_training: bool = Field(False, description="archive the pictures, so that they stay for training")
    delete_all: bool = Field(False, description="delete the pictures too; one of the two must be decided")

    def problems(self) -> list[str]:
        """Also two decisions."""
        both = ["keep_for_training, delete_all: expected true for one of them; found it for both"]
        return super().problems() + (both if self.keep_for_training and self.delete_all else [])


class ArchivingForm(_FolderForm):
    """Which folder is archived, by whom and why."""


def _report(context: OpExecutionContext, tombstone: Tombstone) -> None:
    context.add_output_metadata({"tombstone": MetadataValue.json(tombstone_record(tombstone))})


def _check_decision(config: DeletingForm, folder: Folder) -> None:
    if folder.needs_decision and not (config.keep_for_training or config.delete_all):
        raise RefusedError(f"{folder.name} has {folder.pictures} pictures: decide keep_for_training or delete_all")


@op
def delete_one_folder(
    context: OpExecutionContext,
    config: DeletingForm,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    folder_settings: ResourceParam[FolderSettings],
) -> None:
    """Delete or archive a folder."""
    with database.open() as db, blob_storage.open() as blobs, failing_on(RefusedError):
        keeper = FolderKeeper(db, blobs, folder_settings.undo_days)
        with db.connection() as connection:
            folder = find_folder(connection, config.folder)
        _check_decision(config, folder)
        act = keeper.archive if config.keep_for_training else keeper.delete
        _report(context, act(folder.id, by=config.by, why=config.why))


@op
def archive_one_folder(
    context: OpExecutionContext,
    config: ArchivingForm,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    folder_settings: ResourceParam[FolderSettings],
) -> None:
    """Archive a folder."""
    with database.open() as db, blob_storage.open() as blobs, failing_on(RefusedError):
        keeper = FolderKeeper(db, blobs, folder_settings.undo_days)
        _report(context, keeper.archive(UUID(config.folder), by=config.by, why=config.why))


@op
def purge_all_folders(
    context: OpExecutionContext,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    folder_settings: ResourceParam[FolderSettings],
) -> None:
    """Remove what nobody can bring back any more."""
    with database.open() as db, blob_storage.open() as blobs:
        done = FolderKeeper(db, blobs, folder_settings.undo_days).purge()
    left = [f"{tombstone.name} of {tombstone.owner}: {reason}" for tombstone, reason in done.left]
    context.add_output_metadata(
        {
            "purged": done.purged,
            "kept_rows": done.kept_rows,
            "finished": done.finished,
            "left": MetadataValue.json(left),
        }
    )


@job(config=form_of_job("delete_one_folder", DeletingForm))
def delete_folder() -> None:
    """Deletes an imported folder. Fill in the form: which, by whom, why, and keep_for_training or delete_all.

    Nothing is gone at once: `nachet folder undo` brings it back for some days.
    """
    delete_one_folder()


@job(config=form_of_job("archive_one_folder", ArchivingForm))
def archive_folder() -> None:
    """Moves an imported folder to its user's archive, for training. Fill in the form: which, by whom, why."""
    archive_one_folder()


@job
def purge_folders() -> None:
    """Removes deleted folders that nobody can bring back any more, and ends what was interrupted.

    It runs every day; pressing it is safe.
    """
    purge_all_folders()


@job
def clear_old_runs() -> None:
    """Delete runs of long ago with their events and logs, but for those that made what the UI shows."""
    clear_all_old_runs()


reprocess_pictures = define_asset_job(
    "reprocess_pictures",
    selection=[reprocessed_pictures],
    config=form_of_asset_job("reprocessed_pictures", ReprocessForm),
    tags=BULK_TAGS,
    description="Validates and measures stored pictures again where rules or code changed, within a budget. It runs"
    " every night. Press it after an upgrade to go on at once; with `rule` in its form it looks again at the pictures"
    " of one finding. It never removes a picture.",
)

reconcile_storage = define_asset_job(
    "reconcile_storage",
    selection=[reconciled_storage],
    config=form_of_asset_job("reconciled_storage", ReconcileForm),
    description="Compares staging, storage and database; it runs every day and changes nothing. With `repair` in its"
    " form it does what is safe about what disagrees. It fails only if a service did not answer; what disagrees is the"
    " verdict of the check no_drift.",
)

clear_old_imports = define_asset_job(
    "clear_old_imports",
    selection=[cleared_imports],
    config=form_of_asset_job("cleared_imports", RetentionForm),
    description="Clears staged folders and partitions of imports that are old, recorded and verified. It runs every"
    " day. With `dry_run` in its form it says what it would clear.",
)

check_health = define_asset_job(
    "check_health",
    selection=[pipeline_health],
    tags={"dagster/priority": "1", **SHORT_PLACE},  # it tells of a full queue, so it does not wait at its end
    description="Read how the pipeline is and say what is amiss; changes nothing.",
)

hourly_health = running_schedule(
    name="hourly_health",
    job=check_health,
    cron_schedule="0 * * * *",
    description="Every hour: the page on the pipeline's health is read again, and its checks, which alerts listen to.",
)

nightly_reprocessing = running_schedule(
    name="nightly_reprocessing",
    job=reprocess_pictures,
    cron_schedule="0 3 * * *",
    description="Runs reprocess_pictures every night at 03:00 UTC. Cheap if nothing is stale.",
)

daily_reconciliation = running_schedule(
    name="daily_reconciliation",
    job=reconcile_storage,
    cron_schedule="0 4 * * *",
    description="Runs reconcile_storage every day at 04:00 UTC, without repair.",
)

daily_retention = running_schedule(
    name="daily_retention",
    job=clear_old_imports,
    cron_schedule="0 5 * * *",
    description="Runs clear_old_imports every day at 05:00 UTC. While it is off, the staging containers grow.",
)

daily_purge = running_schedule(
    name="daily_purge",
    job=purge_folders,
    cron_schedule="30 5 * * *",
    description="Runs purge_folders every day at 05:30 UTC.",
)

daily_run_clearing = running_schedule(
    name="daily_run_clearing",
    job=clear_old_runs,
    cron_schedule="0 6 * * *",
    description="Every day at six, UTC: runs older than NACHET_RETAIN_RUNS_DAYS and their events are deleted.",
)
