"""The job that imports staged uploads."""

from dagster import AssetSelection, define_asset_job

from nachet_pipeline.defs.uploads.assets import import_upload
from nachet_pipeline.defs.uploads.checks import labels_agree

import_uploads = define_asset_job(
    "import_uploads",
    selection=AssetSelection.assets(*import_upload.keys) - AssetSelection.checks(labels_agree),
    description="Import staged uploads: validate, store, record. One run takes many uploads, each has its verdict.",
    # The sensor asks for what a run owes that died, in halves. Dagster's own retry would take all of it again.
    tags={"dagster/max_retries": "0"},
)
