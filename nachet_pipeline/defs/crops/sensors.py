"""The sensor on imported uploads whose pictures are not cropped."""

from datetime import timedelta

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
from nachet_pipeline.crops.queries import since_change, uploads_to_crop
from nachet_pipeline.defs.automation import running_sensor
from nachet_pipeline.defs.crops.jobs import crop_pictures
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.defs.resources import DatabaseResource
from nachet_pipeline.defs.runs import UNDER_WAY, tags_of_uploads
from nachet_pipeline.defs.uploads.jobs import import_uploads
from nachet_pipeline.settings import CropSettings, SensorSettings

_SECONDS = 14
"""Seconds between two ticks at least. The daemon rounds them up to fives. Each tick costs an idle machine something,
and nobody waits for crops as for a receipt."""
_LONGEST_WAIT = timedelta(minutes=10)
"""After which crops do not wait for imports any more. A deployment may always be importing something."""


def start_crops_sensor(settings: SensorSettings) -> SensorDefinition:
    """The sensor on imported uploads whose pictures are not cropped; it runs no oftener than that on staged folders."""

    @running_sensor(
        job=crop_pictures,
        minimum_interval_seconds=max(settings.sensor_interval_seconds, _SECONDS),
        description="Starts crop_pictures for imported uploads that have no crops yet, one run at a time for all that"
        " wait. They wait while imports are under way, ten minutes at most. Stop it if the detector is away for long;"
        " what waits is cropped later.",
    )
    def start_crops(
        context: SensorEvaluationContext,
        database: DatabaseResource,
        sensor_settings: ResourceParam[SensorSettings],
        crop_settings: ResourceParam[CropSettings],
    ) -> SensorResult | SkipReason:
        def is_under_way(job: str) -> bool:
            return bool(context.instance.get_run_records(RunsFilter(job_name=job, statuses=list(UNDER_WAY)), limit=1))

        if is_under_way(crop_pictures.name):
            return SkipReason("A run that crops pictures is under way.")
        with database.open() as db, db.connection() as connection:
            method = crop_method(crop_settings)
            waiting = uploads_to_crop(connection, method, most=sensor_settings.batch_size)
            if not waiting:
                return SkipReason("No imported upload waits for its crops.")
            waited = since_change(connection, waiting[0].id)
        if waited < _LONGEST_WAIT and is_under_way(import_uploads.name):
            return SkipReason("Imports are under way, for which people wait; crops follow.")
        due = {upload.partition: upload for upload in waiting}
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
