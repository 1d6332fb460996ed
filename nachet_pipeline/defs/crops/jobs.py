"""The job that crops pictures."""

from dagster import define_asset_job

from nachet_pipeline.defs.crops.assets import crop_upload
from nachet_pipeline.defs.fan_out import BULK_TAGS

crop_pictures = define_asset_job(
    "crop_pictures",
    selection=[crop_upload],
    description="Find the seeds in the pictures of imported uploads, and store each as a picture of its own.",
    tags=BULK_TAGS,
)
