"""The check on `mass_imported_container`."""

from dagster import AssetCheckResult, AssetCheckSeverity, AssetCheckSpec, AssetKey, MetadataValue

from nachet_pipeline.mass_import.importing import MassImportOutcome

ASSET = AssetKey("mass_imported_container")
COMPLETE_CHECK = "mass_import_complete"

check_specs = [
    AssetCheckSpec(
        COMPLETE_CHECK,
        asset=ASSET,
        description="Every file of the container that is a picture was taken. Amber: some were not; it says why.",
    )
]


def complete_result(container: str, outcome: MassImportOutcome) -> AssetCheckResult:
    """The verdict on a whole container."""
    return AssetCheckResult(
        check_name=COMPLETE_CHECK,
        passed=outcome.not_taken == 0,
        severity=AssetCheckSeverity.WARN,
        description=_reason(outcome),
        metadata={"container": MetadataValue.text(container), "not_taken": outcome.not_taken},
    )


def _reason(outcome: MassImportOutcome) -> str | None:
    if not outcome.not_taken:
        return None
    codes = ", ".join(f"{code} ({count})" for code, count in outcome.report.codes.items())
    return f"{outcome.not_taken} files were not taken: {codes}"
