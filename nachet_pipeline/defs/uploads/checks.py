"""The checks of the folder contract, on `validated_manifest`, one evaluation for each upload."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    MetadataValue,
    asset_check,
)

from nachet_pipeline.contract.catalogue import CHECKS, Check
from nachet_pipeline.contract.report import Report
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.defs.checks import evaluation_target, partitioned_specs
from nachet_pipeline.defs.metadata import findings_table, tables
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.defs.resources import DatabaseResource
from nachet_pipeline.picture_sets.labels import LabelStanding, conflicts, standing

IMPORTED_CHECK = "imported"
STORED_CHECK = "stored_blobs_verified"
MANIFEST, PICTURES = AssetKey("validated_manifest"), AssetKey("stored_pictures")
METADATA = AssetKey("picture_metadata")

check_specs = [
    *partitioned_specs(MANIFEST, uploads, {check.value: text for check, text in CHECKS.items()}, blocking=True),
    *partitioned_specs(
        PICTURES,
        uploads,
        {STORED_CHECK: "Every stored picture has the checksum that was validated."},
        blocking=True,
    ),
    *partitioned_specs(
        METADATA, uploads, {IMPORTED_CHECK: "The upload was imported; if not, this says why."}, blocking=True
    ),
]


def contract_evaluations(instance: DagsterInstance, partition: str, report: Report) -> Iterator[AssetCheckEvaluation]:
    """The verdict of every check on one upload; call it when its manifest is materialized."""
    target = evaluation_target(instance, MANIFEST, partition)
    for check in Check:
        errors = report.errors_of(check)
        groups = report.groups_of(check)
        yield AssetCheckEvaluation(
            asset_key=MANIFEST,
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


LABELS_AGREE = "labels_agree"
_LISTED = 20
_HOW = (
    "`nachet labels conflicts` lists them, `nachet labels decide PICTURE --species NAME --by WHO --why WHY` settles one"
)


@asset_check(
    asset=METADATA,
    name=LABELS_AGREE,
    description="No photograph (equal file or equal pixels) is stored under several species. Those that are stay out of"
    " training sets until they are corrected, withdrawn, or decided of.",
)
def labels_agree(database: DatabaseResource) -> AssetCheckResult:
    """Look at all stored pictures."""
    with database.open() as db, db.reading() as connection:
        return AssetCheckResult(**_labels_verdict(connection, standing(connection)))


def labels_evaluation(connection: Connection, stands: LabelStanding) -> AssetCheckEvaluation:
    """The verdict as an event that belongs to no run.

    Args:
        connection: to the database.
        stands: how things stand there.
    """
    return AssetCheckEvaluation(asset_key=METADATA, check_name=LABELS_AGREE, **_labels_verdict(connection, stands))


def _labels_verdict(connection: Connection, stands: LabelStanding) -> dict[str, Any]:
    said = f"{stands.photographs} photographs are stored under several species; {_HOW}" if stands.photographs else None
    shown = tables(conflicts=_conflict_rows(connection)) if stands.photographs else {}
    return {
        "passed": not stands.photographs,
        "severity": AssetCheckSeverity.WARN,
        "description": said,
        "metadata": {
            "photographs": stands.photographs,
            "pictures": stands.pictures,
            **shown,
            **({"how": MetadataValue.md(_HOW)} if shown else {}),
        },
    }


def _conflict_rows(connection: Connection) -> Iterator[dict[str, str | int]]:
    for number, pictures in enumerate(conflicts(connection, most=_LISTED), start=1):
        for one in pictures:
            yield {
                "photograph": number,
                "species": " and ".join(one.species),
                "owner": one.owner,
                "place": one.place,
                "picture": str(one.picture),
            }
