"""`picture_crops`: every seed in an upload's pictures as a picture of its own.

One step for all uploads of the run, with events for each, for the reason given in defs/uploads/assets.py. A sensor
starts it after imports, so that it is never part of a run that imports.
"""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetExecutionContext,
    AssetMaterialization,
    AssetObservation,
    AssetSpec,
    BackfillPolicy,
    Failure,
    MetadataValue,
    ResourceParam,
    multi_asset,
)

from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.crops.cropping import Cropped, Cropper, NotImportedError
from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.crops.endpoint import DetectorUnavailableError
from nachet_pipeline.defs.crops.checks import CROPS, check_specs, differing_rows, evaluation
from nachet_pipeline.defs.executor import chosen_partitions
from nachet_pipeline.defs.metadata import tables, uploads_list
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.defs.progress_log import drop_missing_outputs, logged_pictures
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource
from nachet_pipeline.defs.runs import say_whose
from nachet_pipeline.models.predictions.detected import detector_predictions
from nachet_pipeline.pictures.contact_sheet import as_markdown
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.settings import CropSettings, TransferSettings
from nachet_pipeline.uploads.queries import upload_of_partition
from nachet_pipeline.uploads.upload import Upload

Event = AssetMaterialization | AssetObservation | AssetCheckEvaluation
_ROWS = 100
_PARTITIONS_PER_RUN = 200


@multi_asset(
    name="crop_upload",
    specs=[
        AssetSpec(
            CROPS,
            deps=["picture_metadata"],
            skippable=True,
            partitions_def=uploads,
            group_name="crops",
            kinds={"azure", "postgres"},
            owners=["team:ai-lab"],
            description="The seeds that a detector found in the upload's pictures, each cut out as a picture of its"
            " own beside its parent, without loss. Where another number was found than declared, the check is amber:"
            " somebody should look. **Red**: pictures were not cropped; most often the detector did not answer."
            " Materialize the partition again when it does.",
        )
    ],
    check_specs=check_specs,
    can_subset=True,
    # Another policy than that of imports: a backfill of both would put them into one run, where this step is skipped.
    backfill_policy=BackfillPolicy.multi_run(_PARTITIONS_PER_RUN),
)
def crop_upload(
    context: AssetExecutionContext,
    database: DatabaseResource,
    blob_storage: BlobStorageResource,
    crop_settings: ResourceParam[CropSettings],
    transfer_settings: ResourceParam[TransferSettings],
    rule_set: ResourceParam[RuleSet],
    decoding: ResourceParam[DecodingSettings],
) -> Iterator[Event]:
    """Crop each upload of the run. A failure of one does not stop the others."""
    drop_missing_outputs(context)
    partitions = chosen_partitions(context)
    if not partitions:
        return
    failed: dict[str, str] = {}
    with database.open() as db, blob_storage.open() as blobs, CroppingPool(decoding) as pool:
        predicted = detector_predictions(db, crop_settings)
        cropper = Cropper(db, blobs, pool, crop_settings, rule_set, transfer_settings, predicted=predicted)
        for number, partition in enumerate(partitions, start=1):
            context.log.info("%d of %d: %s", number, len(partitions), partition)
            cropper.progress = logged_pictures(context, partition)
            try:
                with db.connection() as connection:
                    upload = upload_of_partition(connection, partition)
                if upload is None:
                    context.log.warning("there is no upload of the partition %s", partition)
                    continue
                if number == 1:
                    say_whose(context, upload.owner.email, upload.folder, len(partitions))
                outcome = cropper.crop(upload)
            except NotImportedError as error:
                # A range of partitions may include a refused one, which has nothing to crop.
                context.log.info("%s", error)
                continue
            except Exception as error:  # a failure of one upload must not fail its neighbours
                context.log.exception("%s failed", partition)
                failed[partition] = str(error) or type(error).__name__
                if isinstance(error, DetectorUnavailableError):
                    break  # the next upload would get no answer either
                continue
            yield from _events(context, upload, outcome)
            if outcome.failure:
                failed[partition] = outcome.failure
    if failed:
        raise Failure(
            f"{len(failed)} of {len(partitions)} uploads could not be cropped, or not as a whole; the first,"
            f" {next(iter(failed))}: {next(iter(failed.values()))}",
            metadata={"failed": uploads_list(failed)},
            allow_retries=False,
        )


def _events(context: AssetExecutionContext, upload: Upload, outcome: Cropped) -> Iterator[Event]:
    sheet = outcome.sheet
    # What was not cropped as a whole is observed: its run fails, and Dagster shows the partition as failed.
    made = AssetObservation if outcome.failure else AssetMaterialization
    yield made(CROPS, partition=upload.partition, metadata=_metadata(outcome, sheet))
    yield evaluation(context.instance, upload.partition, outcome, sheet)


def _metadata(outcome: Cropped, sheet: bytes | None) -> dict[str, Any]:
    """What the UI shows of an upload's crops."""
    return {
        **tables(findings=differing_rows(outcome)),
        **({"boxes": MetadataValue.md(as_markdown(sheet, "What was found, framed"))} if sheet else {}),
        **tables(
            not_cropped=({"where": one.name, "why": one.reason} for one in outcome.not_cropped),
            sessions=(
                {
                    "session": one.session,
                    "pictures": one.pictures,
                    "seeds declared": one.declared,
                    "seeds found": one.found,
                    "crops": one.crops,
                    "differing": one.differing,
                }
                for one in outcome.sessions[:_ROWS]
            ),
        ),
        "pictures": outcome.pictures,
        "crops": outcome.crops,
        "differing": outcome.pictures_differing,
        "not_cropped_pictures": outcome.failed,
        "looked_at": outcome.looked_at,
        "new_crops": outcome.new,
        "detector": MetadataValue.text(outcome.method.found_by),
        "margin_percent": outcome.method.margin_percent,
    }
