"""`cleared_imports`: what old imports leave behind, cleared once it is safe."""

from collections.abc import Sequence
from typing import Any

from dagster import (
    AssetExecutionContext,
    Config,
    DagsterInstance,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    TableRecord,
    asset,
)
from pydantic import Field

from nachet_pipeline.assets.freshness import NIGHTLY
from nachet_pipeline.assets.partitions import uploads
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.reconciliation.comparing import Comparer
from nachet_pipeline.resources.blob_storage import BlobStorageResource
from nachet_pipeline.resources.database import DatabaseResource
from nachet_pipeline.retention import Cleared, ForgetPartitions, Retention
from nachet_pipeline.settings import ArrivalSettings, ReconciliationSettings, RetentionSettings, TransferSettings


class RetentionConfig(Config):
    """What one run does; it may be left as it is."""

    dry_run: bool = Field(False, description="say what would be cleared, and change nothing")


def forgetting(instance: DagsterInstance) -> ForgetPartitions:
    """Deletes partitions of uploads from an instance."""

    def forget(keys: Sequence[str]) -> None:
        for key in keys:
            if instance.has_dynamic_partition(str(uploads.name), key):
                instance.delete_dynamic_partition(str(uploads.name), key)

    return forget


@asset(
    deps=["picture_metadata"],
    group_name="uploads",
    kinds={"azure", "postgres"},
    owners=["team:ai-lab"],
    freshness_policy=NIGHTLY,
)
def cleared_imports(
    context: AssetExecutionContext,
    config: RetentionConfig,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    retention_settings: ResourceParam[RetentionSettings],
    reconciliation_settings: ResourceParam[ReconciliationSettings],
    transfer_settings: ResourceParam[TransferSettings],
    arrival_settings: ResourceParam[ArrivalSettings],
    contract_limits: ResourceParam[ContractLimits],
) -> MaterializeResult[None]:
    """Staged folders and partitions of old imports, cleared.

    Only of uploads that were imported as a whole, whose receipt is in the database, whose rows and blobs are all there
    and right, and whose folder is still what was imported. The database keeps answering for them.
    """
    with database.open() as db, blob_storage.open() as blobs:
        retention = Retention(
            db,
            blobs,
            retention_settings,
            Comparer(db, blobs, reconciliation_settings, transfer_settings),
            arrival_settings,
            contract_limits,
            forgetting(context.instance),
        )
        result = retention.run(dry_run=config.dry_run)
    context.log.info(
        "%d staged folders and %d partitions cleared, %d folders kept",
        result.folders,
        result.partitions,
        result.kept_number,
    )
    return MaterializeResult(metadata=_metadata(result))


def _metadata(result: Cleared) -> dict[str, Any]:
    """What the UI shows; Dagster shows no table without a row, and draws numbers as plots over the runs."""
    rows = [TableRecord({"owner": one.owner, "folder": one.name, "why": one.kept or ""}) for one in result.kept]
    return {
        **({"kept": MetadataValue.table(rows)} if rows else {}),
        "folders": result.folders,
        "partitions": result.partitions,
        "bytes": result.size,
        "kept_folders": result.kept_number,
        "seconds": round(result.seconds, 3),
    }
