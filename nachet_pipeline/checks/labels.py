"""The check on all stored pictures together: no photograph is under several species.

A sensor says so within a minute of any change, whoever made it; the check itself is there to be run by hand. A run of
imports leaves it out, for it would cost each of them more than the sensor's look, and would tell less.
"""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    MetadataValue,
    TableRecord,
    asset_check,
)

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.labels import Standing, conflicts, standing
from nachet_pipeline.resources.database import DatabaseResource

ASSET = AssetKey("picture_metadata")
LABELS_AGREE = "labels_agree"
_LISTED = 20
_HOW = (
    "`nachet labels conflicts` lists them, `nachet labels decide PICTURE --species NAME --by WHO --why WHY` settles one"
)


@asset_check(
    asset=ASSET,
    name=LABELS_AGREE,
    description="No photograph (equal file or equal pixels) is stored under several species. Those that are stay out of"
    " training sets until they are corrected, withdrawn, or decided of.",
)
def labels_agree(database: DatabaseResource) -> AssetCheckResult:
    """Look at all stored pictures."""
    with database.open() as db, db.reading() as connection:
        return AssetCheckResult(**_verdict(connection, standing(connection)))


def evaluation(connection: Connection, stands: Standing) -> AssetCheckEvaluation:
    """The verdict as an event that belongs to no run.

    Args:
        connection: to the database.
        stands: how things stand there.
    """
    return AssetCheckEvaluation(asset_key=ASSET, check_name=LABELS_AGREE, **_verdict(connection, stands))


def _verdict(connection: Connection, stands: Standing) -> dict[str, Any]:
    said = f"{stands.photographs} photographs are stored under several species; {_HOW}" if stands.photographs else None
    table = list(_rows(connection)) if stands.photographs else []
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


def _rows(connection: Connection) -> Iterator[TableRecord]:
    for number, pictures in enumerate(conflicts(connection, most=_LISTED), start=1):
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
