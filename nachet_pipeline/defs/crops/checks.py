"""The check on `picture_crops`: every picture has as many seeds as its uploader declares."""

from collections.abc import Iterator

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    MetadataValue,
)

from nachet_pipeline.contract.catalogue import CATALOGUE, Severity
from nachet_pipeline.crops.cropping import Cropped
from nachet_pipeline.defs.checks import evaluation_target, partitioned_specs
from nachet_pipeline.defs.metadata import tables
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.pictures.contact_sheet import as_markdown

CROPS = AssetKey("picture_crops")
SEEDS_FOUND = "declared_seeds_found"
_CODE = "seed-count-differs"

check_specs = partitioned_specs(
    CROPS,
    uploads,
    {SEEDS_FOUND: "In every picture as many seeds were found as its uploader declares. Amber: look at the boxes."},
)


def evaluation(
    instance: DagsterInstance, partition: str, outcome: Cropped, sheet: bytes | None
) -> AssetCheckEvaluation:
    """The verdict on one upload. Call it after the partition is materialized.

    Args:
        instance: where it was materialized.
        partition: the upload's.
        outcome: what was found in it.
        sheet: pictures with the boxes drawn, as a JPEG.
    """
    number = outcome.pictures_differing
    severities = {one.finding.severity for one in outcome.differing if one.finding}
    return AssetCheckEvaluation(
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
            **tables(findings=differing_rows(outcome)),
            **({"boxes": MetadataValue.md(as_markdown(sheet, "What was found, framed"))} if sheet and number else {}),
        },
        target_materialization_data=evaluation_target(instance, CROPS, partition),
    )


def differing_rows(outcome: Cropped) -> Iterator[dict[str, str | int | None]]:
    """The pictures whose number of seeds differs from the declared one; a hundred at most."""
    for one in outcome.differing:
        yield {
            "code": _CODE,
            "where": one.finding.path if one.finding else one.parent.name,
            "declared": one.parent.declared,
            "found": one.found,
            "picture": str(one.parent.id),
            "remedy": CATALOGUE[_CODE].remedy.en,
        }
