"""The sensor on imported uploads whose pictures are not cropped."""

from dagster import (
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from nachet_pipeline.crops.cropping import crop_method
from nachet_pipeline.crops.queries import uploads_to_crop
from nachet_pipeline.defs.automation import running_sensor
from nachet_pipeline.defs.crops.jobs import crop_pictures
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.defs.resources import DatabaseResource
from nachet_pipeline.defs.runs import UNDER_WAY, tags_of_uploads
from nachet_pipeline.settings import CropSettings, SensorSettings

_SECONDS = 14
"""Seconds between two ticks at least. The daemon rounds them up to fives. Each tick costs an idle machine something,
and nobody waits for crops as for a receipt."""


def start_crops_sensor(settings: SensorSettings) -> SensorDefinition:
    """The sensor on imported uploads whose pictures are not cropped; it runs no oftener than that on staged folders."""

    @running_sensor(
        job=crop_pictures,
        minimum_interval_seconds=max(settings.sensor_interval_seconds, _SECONDS),
        description="Starts crop_pictures for imported uploads that have no crops yet, one run at a time for all that"
        " wait. Stop it if the detector is away for long; what waits is cropped later.",
    )
    def start_crops(
        context: SensorEvaluationContext,
        database: DatabaseResource,
        sensor_settings: ResourceParam[SensorSettings],
        crop_settings: ResourceParam[CropSettings],
    ) -> SensorResult | SkipReason:
        under_way = RunsFilter(job_name=crop_pictures.name, statuses=list(UNDER_WAY))
        if context.instance.get_run_records(under_way, limit=1):
            return SkipReason("A run that crops pictures is under way.")
        with database.open() as db, db.connection() as connection:
            method = crop_method(crop_settings)
            due = {
                upload.partition: upload
                for upload in uploads_to_crop(connection, method, most=sensor_settings.batch_size)
            }
        if not due:
            return SkipReason("No imported upload waits for its crops.")
        order = context.instance.get_dynamic_partitions("upload")
        new = sorted(due.keys() - set(order))
        order = [*order, *new]
        start = next(place for place, key in enumerate(order) if key in due)
        # A run takes a range of keys in Dagster's order. Each key in between that is not due costs it one query.
        within = [key for key in order[start : start + sensor_settings.batch_size] if key in due]
        first = due[within[0]]
        return SensorResult(
            run_requests=[RunRequest(tags=tags_of_uploads(first.owner.email, first.folder, within))],
            dynamic_partitions_requests=[uploads.build_add_request(new)] if new else [],
        )

    return start_crops
