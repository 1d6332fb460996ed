"""The checks of the folder contract, on `validated_manifest`, one evaluation for each upload."""

import logging
import warnings
from collections.abc import Iterator

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AssetRecordsFilter,
    DagsterInstance,
    MetadataValue,
)

# Dagster does not export the one class that ties an evaluation to a partition's materialization; without it the
# check's Partitions tab shows every upload as missing.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

from nachet_pipeline.assets.partitions import uploads
from nachet_pipeline.assets.report_metadata import findings_table
from nachet_pipeline.contract.catalogue import CHECKS, Check
from nachet_pipeline.contract.report import Report

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
                check.value, asset="validated_manifest", description=text, blocking=True, partitions_def=uploads
            )
            for check, text in CHECKS.items()
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
