"""The checks of the folder contract, on `validated_manifest`, one evaluation for each upload."""

import logging
import warnings
from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AssetRecordsFilter,
    DagsterInstance,
    MetadataValue,
    TableRecord,
    asset_check,
)

# Dagster does not export the one class that ties an evaluation to a partition's materialization; without it the
# check's Partitions tab shows every upload as missing.
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from nachet_pipeline.contract.catalogue import Check
from nachet_pipeline.contract.report import Report
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.defs.metadata import findings_table
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.defs.resources import DatabaseResource
from nachet_pipeline.picture_sets.labels import LabelStanding, conflict_standing, stored_conflicts

IMPORTED_CHECK = "imported"
STORED_CHECK = "stored_blobs_verified"
_MANIFEST = AssetKey("validated_manifest")
log = logging.getLogger(__name__)


def _specs() -> list[AssetCheckSpec]:
    with warnings.catch_warnings():
        # Partitioned checks are a preview in Dagster; they are what shows each upload's verdict on its own.
        warnings.filterwarnings("ignore", message="Specifying a partitions_def on an AssetCheckSpec")
        contract = [
            AssetCheckSpec(
                check.value,
                asset="validated_manifest",
                description=check.description,
                blocking=True,
                partitions_def=uploads,
            )
            for check in Check
        ]
        imported = AssetCheckSpec(
            IMPORTED_CHECK,
            asset="picture_metadata",
            description="The upload was imported; if not, this says why.",
            blocking=True,
            partitions_def=uploads,
        )
        stored = AssetCheckSpec(
            STORED_CHECK,
            asset="stored_pictures",
            description="Every stored picture has the checksum that was validated.",
            blocking=True,
            partitions_def=uploads,
        )
    return [*contract, stored, imported]


check_specs = _specs()


def evaluated(
    instance: DagsterInstance, partition: str, asset: AssetKey = _MANIFEST
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """The latest materialization of an asset for an upload: what its checks are evaluated on."""
    records = instance.fetch_materializations(
        AssetRecordsFilter(asset_key=asset, asset_partitions=[partition]), limit=1
    ).records
    if not records:
        log.warning("%s of %s was not found in the event log", asset.to_user_string(), partition)
        return None
    found = records[0]
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=found.storage_id, run_id=found.run_id, timestamp=found.timestamp
    )


def contract_evaluations(
    partition: str, report: Report, target: AssetCheckEvaluationTargetMaterializationData | None
) -> Iterator[AssetCheckEvaluation]:
    """The verdict of every check on one upload."""
    for check in Check:
        errors = report.errors_of(check)
        groups = report.groups_of(check)
        yield AssetCheckEvaluation(
            asset_key=_MANIFEST,
            check_name=check.value,
            passed=not errors,
            partition=partition,
            blocking=True,
            severity=AssetCheckSeverity.ERROR,
            description=", ".join(f"{code} ({count})" for code, count in errors.items()) or None,
            metadata={
                "errors": sum(errors.values()),
                **({"findings": findings_table(groups)} if groups else {}),
                "rule_set_version": MetadataValue.text(report.rule_set_version),
            },
            target_materialization_data=target,
        )


PICTURE_METADATA = AssetKey("picture_metadata")
LABELS_AGREE = "labels_agree"
_LISTED = 20
_HOW = (
    "`nachet labels conflicts` lists them, `nachet labels decide PICTURE --species NAME --by WHO --why WHY` settles one"
)


@asset_check(
    asset=PICTURE_METADATA,
    name=LABELS_AGREE,
    description="No photograph (equal file or equal pixels) is stored under several species. Those that are stay out of"
    " training sets until they are corrected, withdrawn, or decided of.",
)
def labels_agree(database: DatabaseResource) -> AssetCheckResult:
    """Look at all stored pictures."""
    with database.open() as db, db.reading() as connection:
        return AssetCheckResult(**_labels_verdict(connection, conflict_standing(connection)))


def labels_evaluation(connection: Connection, stands: LabelStanding) -> AssetCheckEvaluation:
    """The verdict as an event that belongs to no run.

    Args:
        connection: to the database.
        stands: how things stand there.
    """
    return AssetCheckEvaluation(
        asset_key=PICTURE_METADATA, check_name=LABELS_AGREE, **_labels_verdict(connection, stands)
    )


def _labels_verdict(connection: Connection, stands: LabelStanding) -> dict[str, Any]:
    said = f"{stands.photographs} photographs are stored under several species; {_HOW}" if stands.photographs else None
    table = list(_conflict_rows(connection)) if stands.photographs else []
    return {
        "passed": not stands.photographs,
        "severity": AssetCheckSeverity.WARN,
        "description": said,
        "metadata": {
            "photographs": stands.photographs,
            "pictures": stands.pictures,
            **({"conflicts": MetadataValue.table(table), "how": MetadataValue.md(_HOW)} if table else {}),
        },
    }


def _conflict_rows(connection: Connection) -> Iterator[TableRecord]:
    for number, pictures in enumerate(stored_conflicts(connection, most=_LISTED), start=1):
        for one in pictures:
            yield TableRecord(
                {
                    "photograph": number,
                    "species": " and ".join(one.species),
                    "owner": one.owner,
                    "place": one.place,
                    "picture": str(one.picture),
                }
            )
