"""The group `uploads` as Dagster loads it: a staged folder, from found to imported."""

from dagster import Definitions

from nachet_pipeline.defs.code import with_code
from nachet_pipeline.defs.uploads.assets import import_upload, staged_upload
from nachet_pipeline.defs.uploads.checks import labels_agree
from nachet_pipeline.defs.uploads.jobs import import_uploads
from nachet_pipeline.defs.uploads.sensors import report_label_conflicts, settle_failed_imports, start_imports_sensor
from nachet_pipeline.settings import SensorSettings


def definitions(settings: SensorSettings) -> Definitions:
    """The group's assets, checks, jobs, sensors and schedules.

    Args:
        settings: how often staged folders are looked for.
    """
    return Definitions(
        assets=[staged_upload, *with_code([import_upload])],
        asset_checks=[labels_agree],
        jobs=[import_uploads],
        sensors=[start_imports_sensor(settings), settle_failed_imports, report_label_conflicts],
    )
