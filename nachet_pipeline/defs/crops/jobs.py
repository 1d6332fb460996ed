"""The job that crops pictures."""

from dagster import AssetSelection, define_asset_job

from nachet_pipeline.defs.crops.assets import crop_upload
from nachet_pipeline.defs.fan_out import BULK_TAGS

crop_pictures = define_asset_job(
    "crop_pictures",
    selection=AssetSelection.assets(crop_upload).without_checks(),  # evaluated all the same; see import_uploads
    description="Finds the seeds in the pictures of imported uploads and stores each as a picture of its own."
    " start_crops runs it by itself. Press it for a partition to crop an upload again, for example after the detector"
    " was away. It fails if pictures could not be cropped; its last events name them.",
    tags=BULK_TAGS,
)
