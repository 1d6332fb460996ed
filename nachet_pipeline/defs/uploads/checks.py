"""The checks on uploads: those of the folder contract, and whether an upload was stored and imported.

Each has one evaluation for each upload. `labels_agree` has one for all stored pictures: see the sensor
`report_label_conflicts`.
"""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    EventLogRecord,
    MetadataValue,
    asset_check,
)

from nachet_pipeline.contract.catalogue import Check, Severity
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.report import Report
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.defs.checks import evaluation_target, partitioned_specs
from nachet_pipeline.defs.metadata import findings_table, manifest_link, tables
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.defs.resources import DatabaseResource
from nachet_pipeline.picture_sets.labels import LabelStanding, conflict_standing, stored_conflicts
from nachet_pipeline.settings import Verification
from nachet_pipeline.uploads.importing import ImportOutcome

IMPORTED_CHECK = "imported"
STORED_CHECK = "stored_blobs_verified"
_SESSIONS_NAMED = 20
MANIFEST, PICTURES = AssetKey("validated_manifest"), AssetKey("stored_pictures")
METADATA = AssetKey("picture_metadata")

_STORED = (
    "Every stored picture has the checksum that was validated. Red: storage has other bytes; nothing was recorded."
)
_IMPORTED = (
    "The upload was imported as a whole. Amber: it was refused, or some of its sessions were. Red: the import failed."
    " The result says why."
)
check_specs = [
    *partitioned_specs(MANIFEST, uploads, {check.value: check.description for check in Check}),
    *partitioned_specs(PICTURES, uploads, {STORED_CHECK: _STORED}),
    *partitioned_specs(METADATA, uploads, {IMPORTED_CHECK: _IMPORTED}),
]


def contract_evaluations(
    instance: DagsterInstance, partition: str, report: Report, state: State, materialized: EventLogRecord | None
) -> Iterator[AssetCheckEvaluation]:
    """The verdicts of all checks of the contract on one upload. Call it after its manifest is materialized.

    They warn of what a partly imported upload left out.
    """
    target = evaluation_target(instance, MANIFEST, partition, materialized)
    severity = AssetCheckSeverity.WARN if state is State.PARTLY_IMPORTED else AssetCheckSeverity.ERROR
    for check in Check:
        errors = report.errors_of(check)
        groups = report.groups_of(check)
        yield AssetCheckEvaluation(
            asset_key=MANIFEST,
            check_name=check.value,
            passed=not errors,
            partition=partition,
            severity=severity,
            description=", ".join(f"{code} ({count})" for code, count in errors.items()) or None,
            metadata={
                "errors": sum(errors.values()),
                **({"findings": findings_table(groups)} if groups else {}),
                "rule_set_version": MetadataValue.text(report.rule_set_version),
            },
            target_materialization_data=target,
        )


def stored_evaluation(
    instance: DagsterInstance,
    partition: str,
    outcome: ImportOutcome,
    verification: Verification,
    materialized: EventLogRecord | None,
) -> AssetCheckEvaluation:
    """Whether the stored pictures are what was validated. Call it after they are materialized, if they are."""
    target = evaluation_target(instance, PICTURES, partition, materialized) if outcome.stored else None
    return AssetCheckEvaluation(
        asset_key=PICTURES,
        check_name=STORED_CHECK,
        passed=outcome.wrong_blob is None,
        partition=partition,
        severity=AssetCheckSeverity.ERROR,
        description=outcome.wrong_blob,
        metadata={
            "verified": outcome.stored.pictures if outcome.stored else 0,
            "by": MetadataValue.text(verification),
        },
        target_materialization_data=target,
    )


def imported_evaluation(partition: str, receipt: Receipt) -> AssetCheckEvaluation:
    """Whether an upload was imported, and as a whole; one that its user withdrew need not be.

    A refusal is a warning here; the error is with the manifest's checks.
    """
    if receipt.state.is_as_wanted:
        return _imported(partition, None, AssetCheckSeverity.ERROR)
    failed = receipt.state is State.FAILED
    return _imported(
        partition, not_imported_reason(receipt), AssetCheckSeverity.ERROR if failed else AssetCheckSeverity.WARN
    )


def not_imported_evaluation(partition: str, reason: str) -> AssetCheckEvaluation:
    """The verdict on an upload whose import failed unexpectedly."""
    return _imported(partition, reason, AssetCheckSeverity.ERROR)


def _imported(partition: str, failure: str | None, severity: AssetCheckSeverity) -> AssetCheckEvaluation:
    return AssetCheckEvaluation(
        asset_key=METADATA,
        check_name=IMPORTED_CHECK,
        passed=failure is None,
        partition=partition,
        severity=severity,
        description=failure,
        metadata={"report": manifest_link(partition, "report")},
    )


def not_imported_reason(receipt: Receipt) -> str:
    """Why an upload was not imported, or not as a whole."""
    if receipt.failure:
        return receipt.failure
    report = receipt.report
    codes = (code for code in report.codes if report.severity_of(code) is Severity.ERROR) if report else ()
    errors = ", ".join(f"{code} ({report.codes[code]})" for code in codes) if report else ""
    refused = ", ".join(item.session for item in receipt.refused_sessions[:_SESSIONS_NAMED])
    return f"{receipt.state}{f', without {refused}' if refused else ''}: {errors}"


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
    """Evaluate all stored pictures."""
    with database.open() as db, db.reading() as connection:
        return AssetCheckResult(**_labels_verdict(connection, conflict_standing(connection)))


def labels_evaluation(connection: Connection, stands: LabelStanding) -> AssetCheckEvaluation:
    """The verdict as an event that belongs to no run.

    Args:
        connection: to the database.
        stands: what it says of labels now.
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
    for number, pictures in enumerate(stored_conflicts(connection, most=_LISTED), start=1):
        for one in pictures:
            yield {
                "photograph": number,
                "species": " and ".join(one.species),
                "owner": one.owner,
                "place": one.place,
                "picture": str(one.picture),
            }
