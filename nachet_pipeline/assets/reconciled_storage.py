"""`reconciled_storage`: what is staged, what is stored and what the database says, compared."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from dagster import (
    AssetExecutionContext,
    Config,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    TableRecord,
    asset,
)
from pydantic import Field

from nachet_pipeline.assets.freshness import NIGHTLY
from nachet_pipeline.checks.reconciled_storage import check_result, check_specs, tally_table
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.database.reconciliation import Kind
from nachet_pipeline.database.users import find_user
from nachet_pipeline.reconciliation.comparing import Compared, Comparer
from nachet_pipeline.reconciliation.repairing import Repair, Repairer
from nachet_pipeline.reconciliation.telling import found_text
from nachet_pipeline.resources.blob_storage import BlobStorageResource
from nachet_pipeline.resources.database import DatabaseResource
from nachet_pipeline.settings import ArrivalSettings, ReconciliationSettings, TransferSettings

_NAMED = 100


class ReconcileConfig(Config):
    """What one run compares; all of it may be left as it is."""

    user: str | None = Field(None, description="e-mail address of the one user to compare; all of them if empty")
    read: bool = Field(False, description="read every picture and compare its bytes, instead of what storage noted")
    repair: bool = Field(False, description="do what is safe about what is found")


@asset(
    deps=["picture_metadata", "mass_imported_container"],
    group_name="uploads",
    kinds={"azure", "postgres"},
    owners=["team:ai-lab"],
    check_specs=check_specs,
    freshness_policy=NIGHTLY,
)
def reconciled_storage(
    context: AssetExecutionContext,
    config: ReconcileConfig,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    reconciliation_settings: ResourceParam[ReconciliationSettings],
    transfer_settings: ResourceParam[TransferSettings],
    arrival_settings: ResourceParam[ArrivalSettings],
    contract_limits: ResourceParam[ContractLimits],
) -> Iterator[MaterializeResult[None]]:
    """Staged folders, stored blobs and rows of all users, compared.

    What disagrees is in the table `drift`, since when, and here as a table of the first hundred with what a repair does
    about each. Nothing is changed unless the run is asked to repair.
    """
    with database.open() as db, blob_storage.open() as blobs:
        user = None
        if config.user:
            with db.connection() as connection:
                user = find_user(connection, config.user)
            if user is None:
                raise ValueError(f"{config.user} is not a registered user")
        comparer = Comparer(db, blobs, reconciliation_settings, transfer_settings)
        result = comparer.compare(user, read=config.read)
        repairer = Repairer(db, blobs, comparer, arrival_settings, contract_limits)
        repaired: list[Repair] = []
        done = 0
        if config.repair:
            for repair in repairer.repair(result.users):
                done += repair.done
                if len(repaired) < _NAMED:
                    repaired.append(repair)
            comparer.count(result)
        left = list(islice(repairer.plan(result.users), _NAMED))
    context.log.info(
        "%d pictures and %d blobs compared, %d disagreements, %d repaired",
        result.pictures,
        result.blobs,
        result.drift,
        done,
    )
    yield MaterializeResult(metadata=_metadata(result, repaired, left, done), check_results=[check_result(result)])


def _metadata(result: Compared, repaired: list[Repair], left: list[Repair], done: int) -> dict[str, Any]:
    """What the UI shows; Dagster shows no table without a row, and draws numbers as plots over the runs."""
    metadata: dict[str, Any] = {}
    if result.tallies:
        metadata["tally"] = tally_table(result)
    if left:
        metadata["first"] = MetadataValue.table([_row(one) for one in left])
    if repaired:
        metadata["repairs"] = MetadataValue.table([_row(one) for one in repaired])
    return metadata | {
        "drift": result.drift,
        **{kind.value.replace("-", "_"): result.number_of(kind) for kind in Kind},
        "repaired": done,
        "under_way": result.under_way,
        "users": len(result.users),
        "pictures": result.pictures,
        "blobs": result.blobs,
        "read": result.read,
        "seconds": round(result.seconds, 3),
    }


def _row(repair: Repair) -> TableRecord:
    drift = repair.drift
    return TableRecord(
        {
            "kind": drift.kind.value,
            "blob": f"{drift.container}/{drift.name}",
            "what": found_text(drift).removeprefix(": "),
            "action": repair.remedy.action.value,
            "why": repair.remedy.why,
        }
    )
