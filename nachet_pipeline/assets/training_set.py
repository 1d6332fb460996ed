"""`training_set`: what a trainer reads, made from all imported pictures."""

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, ResourceParam, TableRecord, asset

from nachet_pipeline.assets.freshness import NIGHTLY
from nachet_pipeline.database.reprocessing import standing
from nachet_pipeline.reprocessing.reprocessor import Wanted, plan
from nachet_pipeline.resources.blob_storage import BlobStorageResource
from nachet_pipeline.resources.database import DatabaseResource
from nachet_pipeline.settings import ImportSettings


@asset(
    deps=["picture_metadata", "mass_imported_container"],
    group_name="training",
    kinds={"parquet", "azure"},
    owners=["team:ai-lab"],
    freshness_policy=NIGHTLY,
)
def training_set(
    context: AssetExecutionContext,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    import_settings: ResourceParam[ImportSettings],
) -> MaterializeResult[None]:
    """The manifest of all imported pictures: address, checksum, species, and a split that keeps sessions whole."""
    from nachet_pipeline.training.manifest import build_training_set  # noqa: PLC0415 (imports pyarrow)

    with database.open() as db, blob_storage.open() as blobs:
        built = build_training_set(db, blobs)
        stale = plan(db, import_settings.rule_set(), Wanted()).stale
        with db.connection() as connection:
            today = standing(connection)
    context.log.info("%s/%s: %d pictures", built.container, built.blob, built.pictures)
    records = [
        TableRecord(
            {"scientificName": name, **{split: splits.get(split, 0) for split in ("train", "validation", "test")}}
        )
        for name, splits in built.classes.items()
    ]
    return MaterializeResult(
        metadata={
            "pictures": built.pictures,
            "classes": len(built.classes),
            # Of all stored pictures; `reprocessed_pictures` says which and why.
            "stale_pictures": stale,
            "refused_today": today.refused,
            "broken_files": today.broken,
            "pictures_by_class": MetadataValue.table(records)
            if records
            else MetadataValue.text("no picture is imported yet"),
            "digest": MetadataValue.text(built.digest),
            "manifest": MetadataValue.text(f"{built.container}/{built.blob}"),
            "new": MetadataValue.bool(built.new),
        }
    )
