"""The job that crops pictures."""

from dagster import AssetSelection, define_asset_job, in_process_executor

from nachet_pipeline.defs.fan_out import BULK_TAGS
from nachet_pipeline.defs.partitions import uploads

crop_pictures = define_asset_job(
    "crop_pictures",
    selection=AssetSelection.assets("picture_crops"),
    description="Find the seeds in the pictures of imported uploads, and store each as a picture of its own.",
    partitions_def=uploads,
    executor_def=in_process_executor,
    tags=BULK_TAGS,
)
