"""The job that imports staged uploads."""

from dagster import AssetSelection, define_asset_job, in_process_executor

from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.defs.uploads.checks import labels_agree

import_uploads = define_asset_job(
    "import_uploads",
    selection=AssetSelection.assets("validated_manifest", "stored_pictures", "picture_metadata")
    - AssetSelection.checks(labels_agree),
    description="Import staged uploads: validate, store, record. One run takes many uploads, each has its verdict.",
    partitions_def=uploads,
    # One step: a process of its own for it would cost seconds and win nothing.
    executor_def=in_process_executor,
    # What a run owes that died, the sensor asks for again, in halves: Dagster's own retry would take all of it anew.
    tags={"dagster/max_retries": "0"},
)
