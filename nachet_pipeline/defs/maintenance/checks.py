"""The checks on `reprocessed_pictures` and `reconciled_storage`.

`verdicts_unchanged`, `stored_blobs_intact` and `nothing_stale` are about all stored pictures as they are now, not about
one run: they stay amber until somebody settles the cause.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from dagster import AssetCheckResult, AssetCheckSeverity, AssetCheckSpec, MetadataValue

from nachet_pipeline.defs.metadata import tables
from nachet_pipeline.reconciliation.comparing import Compared
from nachet_pipeline.reprocessing.formatting import reasons
from nachet_pipeline.reprocessing.reprocessor import Reprocessed
from nachet_pipeline.reprocessing.verdicts import BLOBS_RULE, message_of, rule_of

VERDICTS_UNCHANGED, NOTHING_STALE = "verdicts_unchanged", "nothing_stale"
_ASSET = "reprocessed_pictures"

reprocessed_specs = [
    AssetCheckSpec(
        VERDICTS_UNCHANGED,
        asset=_ASSET,
        description="No stored picture would be refused if it were imported today. Those that would be stay where they"
        " are; people decide.",
    ),
    AssetCheckSpec(
        BLOBS_RULE,
        asset=_ASSET,
        description="Every picture's file that was looked at is in storage, readable, and the one that was stored.",
    ),
    AssetCheckSpec(
        NOTHING_STALE,
        asset=_ASSET,
        description="Every stored picture was judged by today's rules and enriched by today's code.",
    ),
]


def reprocessed_results(result: Reprocessed) -> Iterator[AssetCheckResult]:
    """The checks' verdicts after reprocessing."""
    standing = result.standing
    blobs = {code: count for code, count in standing.errors.items() if rule_of(code) == BLOBS_RULE}
    refused = {code: count for code, count in standing.errors.items() if code not in blobs}
    yield _result(VERDICTS_UNCHANGED, standing.refused, refused, "pictures that would be refused today")
    yield _result(BLOBS_RULE, standing.broken, blobs, "pictures whose file is not what was stored")
    yield AssetCheckResult(
        check_name=NOTHING_STALE,
        passed=not result.left_stale,
        severity=AssetCheckSeverity.WARN,
        description=_stale(result) if result.left_stale else None,
        metadata={
            "pictures": result.left_stale,
            "rule_set_version": MetadataValue.text(result.current.rules),
            "enrichment_version": MetadataValue.text(result.current.enrichment),
            **tables(versions=stale_rows(result)),
        },
    )


def _result(name: str, pictures: int, codes: dict[str, int], what: str) -> AssetCheckResult:
    listed = ", ".join(f"{code} ({count})" for code, count in codes.items())
    rows = (
        {"rule": rule_of(code), "code": code, "pictures": count, "what": message_of(code).en}
        for code, count in codes.items()
    )
    return AssetCheckResult(
        check_name=name,
        passed=not pictures,
        severity=AssetCheckSeverity.WARN,
        description=f"{pictures} {what}: {listed}" if pictures else None,
        metadata={"pictures": pictures, **tables(codes=rows)},
    )


def _stale(result: Reprocessed) -> str:
    oldest = f", the oldest last looked at on {result.oldest_left:%Y-%m-%d}" if result.oldest_left else ""
    return f"{result.left_stale} pictures are stale{oldest}; reprocessing goes on with the next run"


def stale_rows(result: Reprocessed) -> Iterator[dict[str, str | int]]:
    """The stale pictures by their versions, and why they are stale."""
    for group in result.left:
        yield {
            "why": ", ".join(reasons(group.versions, result.current)),
            "pictures": group.pictures,
            "oldest": f"{group.oldest.astimezone(UTC):%Y-%m-%d %H:%M}",
            "days": (datetime.now(UTC) - group.oldest).days,
        }


NO_DRIFT = "no_drift"

reconciled_specs = [
    AssetCheckSpec(
        NO_DRIFT,
        asset="reconciled_storage",
        description="Every row has its blob, every blob its row, sizes and checksums agree, and every staged folder"
        " and receipt is accounted for. Red: the result lists what disagrees, `repair` settles what is safe.",
    )
]


def reconciled_result(result: Compared) -> AssetCheckResult:
    """The check's verdict on what is wrong still, after a repair if there was one."""
    listed = ", ".join(f"{one.number} {one.kind.value} of {one.owner}" for one in result.tallies)
    return AssetCheckResult(
        check_name=NO_DRIFT,
        passed=not result.drift,
        severity=AssetCheckSeverity.ERROR,
        description=listed or None,
        metadata={"drift": result.drift, **tables(tally=tally_rows(result))},
    )


def tally_rows(result: Compared) -> Iterator[dict[str, str | int]]:
    """What is wrong, by kind and user."""
    for one in result.tallies:
        yield {
            "kind": one.kind.value,
            "owner": one.owner,
            "number": one.number,
            "bytes": one.size,
            "since": f"{one.oldest:%Y-%m-%d %H:%M}",
        }
