"""The job that imports staged uploads."""

from dagster import AssetSelection, define_asset_job

from nachet_pipeline.defs.uploads.assets import import_upload

import_uploads = define_asset_job(
    "import_uploads",
    # The step evaluates the checks all the same. If the job planned them, Dagster would write a row for each check and
    # upload beforehand, in no order, and the UI would show the verdicts on whichever upload came last there.
    selection=AssetSelection.assets(*import_upload.keys).without_checks(),
    description="Imports staged uploads: validates, stores, records. start_imports runs it by itself; one run takes"
    " many uploads, and each has its verdict. Press it for a partition to import that upload again. A refused upload"
    " does not fail the run. A failed run means that the pipeline or a service failed; its last events name the"
    " uploads.",
    # The sensor asks for what a run owes that died, in halves. Dagster's own retry would take all of it again.
    tags={"dagster/max_retries": "0"},
)
