"""The jobs that delete, archive and purge folders; what is to be done stands in the form of the launchpad."""

from uuid import UUID

from dagster import Config, Failure, MetadataValue, OpExecutionContext, ResourceParam, in_process_executor, job, op
from pydantic import Field, field_validator

from nachet_pipeline.database.folders import Folder, find_folder
from nachet_pipeline.database.tombstones import Tombstone
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.folders.keeper import FolderKeeper
from nachet_pipeline.folders.telling import tombstone_record
from nachet_pipeline.resources.blob_storage import BlobStorageResource
from nachet_pipeline.resources.database import DatabaseResource
from nachet_pipeline.settings import FolderSettings


class _FolderConfig(Config):
    folder: str = Field(description="identifier of the folder, which is a picture set; `nachet folder list` names it")
    by: str = Field(description="who wants it, for the audit trail")
    why: str = Field(description="the reason, for the audit trail")

    @field_validator("folder")
    @classmethod
    def _is_an_identifier(cls, value: str) -> str:
        return str(UUID(value.strip()))

    @field_validator("by", "why")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("expected some text")
        return value.strip()


class DeletingConfig(_FolderConfig):
    """Which folder is deleted, by whom and why, and what becomes of its pictures."""

    keep_for_training: bool = Field(False, description="archive the pictures, so that they stay for training")
    delete_all: bool = Field(False, description="delete the pictures too; one of the two must be decided")


class ArchivingConfig(_FolderConfig):
    """Which folder is archived, by whom and why."""


def _tell(context: OpExecutionContext, tombstone: Tombstone) -> None:
    context.add_output_metadata({"tombstone": MetadataValue.json(tombstone_record(tombstone))})


def _check_decision(config: DeletingConfig, folder: Folder) -> None:
    if config.keep_for_training == config.delete_all and (config.delete_all or folder.needs_decision):
        raise RefusedError(f"{folder.name} has {folder.pictures} pictures: decide keep_for_training or delete_all")


@op(description="Delete or archive a folder.")
def delete_one_folder(
    context: OpExecutionContext,
    config: DeletingConfig,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    folder_settings: ResourceParam[FolderSettings],
) -> None:
    """Delete a folder, or archive it if its pictures are kept for training."""
    with database.open() as db, blob_storage.open() as blobs:
        keeper = FolderKeeper(db, blobs, folder_settings.undo_days)
        try:
            with db.connection() as connection:
                folder = find_folder(connection, config.folder)
            _check_decision(config, folder)
            act = keeper.archive if config.keep_for_training else keeper.delete
            _tell(context, act(folder.id, by=config.by, why=config.why))
        except RefusedError as error:
            raise Failure(str(error), allow_retries=False) from error


@op(description="Archive a folder.")
def archive_one_folder(
    context: OpExecutionContext,
    config: ArchivingConfig,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    folder_settings: ResourceParam[FolderSettings],
) -> None:
    """Bring a folder to its user's archive."""
    with database.open() as db, blob_storage.open() as blobs:
        keeper = FolderKeeper(db, blobs, folder_settings.undo_days)
        try:
            _tell(context, keeper.archive(UUID(config.folder), by=config.by, why=config.why))
        except RefusedError as error:
            raise Failure(str(error), allow_retries=False) from error


@op(description="Remove what nobody can bring back any more.")
def purge_all_folders(
    context: OpExecutionContext,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    folder_settings: ResourceParam[FolderSettings],
) -> None:
    """Remove deleted folders whose time to be brought back is over, and end archivings that were interrupted."""
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


@job(
    executor_def=in_process_executor,
    description="Delete a folder: fill in its id, by whom and why, and decide keep_for_training or delete_all.",
)
def delete_folder() -> None:
    """Delete a folder."""
    delete_one_folder()


@job(
    executor_def=in_process_executor,
    description="Move a folder's pictures to its user's archive, for training: fill in its id, by whom and why.",
)
def archive_folder() -> None:
    """Archive a folder."""
    archive_one_folder()


@job(
    executor_def=in_process_executor,
    description="Remove deleted folders that nobody can bring back any more, and end what was interrupted.",
)
def purge_folders() -> None:
    """Purge folders."""
    purge_all_folders()
