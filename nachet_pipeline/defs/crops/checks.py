"""The check on `picture_crops`: as many seeds were found in every picture as its uploader declares."""

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
    TableMetadataValue,
    TableRecord,
)

# See defs/uploads/checks.py: nothing that is exported ties an evaluation to a partition's materialization.
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from nachet_pipeline.contract.catalogue import CATALOGUE, Severity
from nachet_pipeline.crops.cropping import Cropped
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.pictures.contact_sheet import as_markdown

CROPS = AssetKey("picture_crops")
SEEDS_FOUND = "declared_seeds_found"
_CODE = "seed-count-differs"


def _spec() -> AssetCheckSpec:
    with warnings.catch_warnings():
        # Partitioned checks are a preview in Dagster; they are what shows each upload's verdict on its own.
        warnings.filterwarnings("ignore", message="Specifying a partitions_def on an AssetCheckSpec")
        return AssetCheckSpec(
            SEEDS_FOUND,
            asset=CROPS,
            description="In every picture as many seeds were found as its uploader declares.",
            partitions_def=uploads,
        )


check_specs = [_spec()]


def evaluations(
    instance: DagsterInstance, partition: str, outcome: Cropped, sheet: bytes | None
) -> Iterator[AssetCheckEvaluation]:
    """The verdict on one upload; call it when the partition is materialized.

    Args:
        instance: where it is materialized.
        partition: the upload's.
        outcome: what was found in it.
        sheet: pictures with the boxes drawn, as a JPEG.
    """
    number = outcome.pictures_differing
    severities = {one.finding.severity for one in outcome.differing if one.finding}
    yield AssetCheckEvaluation(
        asset_key=CROPS,
        check_name=SEEDS_FOUND,
        passed=not number,
        partition=partition,
        blocking=False,
        severity=AssetCheckSeverity.ERROR if Severity.ERROR in severities else AssetCheckSeverity.WARN,
        description=f"{_CODE} ({number})" if number else None,
        metadata={
            "pictures": outcome.pictures,
            "differing": number,
            **({"findings": differing_table(outcome)} if outcome.differing else {}),
            **({"boxes": MetadataValue.md(as_markdown(sheet, "what was found"))} if sheet and number else {}),
        },
        target_materialization_data=_target(instance, partition),
    )


def differing_table(outcome: Cropped) -> TableMetadataValue:
    """The pictures in which another number of seeds was found than is declared; a hundred at most."""
    return MetadataValue.table(
        [
            TableRecord(
                {
                    "code": _CODE,
                    "where": one.finding.path if one.finding else one.parent.name,
                    "declared": one.parent.declared,
                    "found": one.found,
                    "picture": str(one.parent.id),
                    "remedy": CATALOGUE[_CODE].remedy.en,
                }
            )
            for one in outcome.differing
        ]
    )


def _target(instance: DagsterInstance, partition: str) -> AssetCheckEvaluationTargetMaterializationData | None:
    records = instance.fetch_materializations(
        AssetRecordsFilter(asset_key=CROPS, asset_partitions=[partition]), limit=1
    ).records
    if not records:
        return None
    found = records[0]
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=found.storage_id, run_id=found.run_id, timestamp=found.timestamp
    )
