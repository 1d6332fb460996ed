"""The check on `reconciled_storage`: staging, storage and database agree."""

from dagster import AssetCheckResult, AssetCheckSeverity, AssetCheckSpec, MetadataValue, TableRecord

from nachet_pipeline.reconciliation.comparing import Compared

NO_DRIFT = "no_drift"

check_specs = [
    AssetCheckSpec(
        NO_DRIFT,
        asset="reconciled_storage",
        description="Every row has its blob, every blob its row, sizes and checksums agree, and every staged folder"
        " and receipt is accounted for.",
    )
]


def check_result(result: Compared) -> AssetCheckResult:
    """The check's verdict on what is wrong still, after a repair if there was one."""
    listed = ", ".join(f"{one.number} {one.kind.value} of {one.owner}" for one in result.tallies)
    return AssetCheckResult(
        check_name=NO_DRIFT,
        passed=not result.drift,
        severity=AssetCheckSeverity.ERROR,
        description=listed or None,
        metadata={"drift": result.drift, **({"tally": tally_table(result)} if result.tallies else {})},
    )


def tally_table(result: Compared) -> MetadataValue:
    """What is wrong, by kind and user."""
    return MetadataValue.table(
        [
            TableRecord(
                {
                    "kind": one.kind.value,
                    "owner": one.owner,
                    "number": one.number,
                    "bytes": one.size,
                    "since": f"{one.oldest:%Y-%m-%d %H:%M}",
                }
            )
            for one in result.tallies
        ]
    )
