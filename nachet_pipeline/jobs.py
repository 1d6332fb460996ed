"""The jobs."""

from dagster import AssetSelection, define_asset_job, in_process_executor

from nachet_pipeline.assets.mass_imported_container import containers
from nachet_pipeline.assets.partitions import recipes, uploads
from nachet_pipeline.checks.labels import labels_agree
from nachet_pipeline.cut_runs import BULK_TAGS

import_uploads = define_asset_job(
    "import_uploads",
    selection=AssetSelection.assets("validated_manifest", "stored_pictures", "picture_metadata")
    - AssetSelection.checks(labels_agree),
    description="Import staged uploads: validate, store, record. One run takes many uploads, each has its verdict.",
    partitions_def=uploads,
    # One step: a process of its own for it would cost seconds and win nothing.
    executor_def=in_process_executor,
)

mass_import = define_asset_job(
    "mass_import",
    selection=AssetSelection.assets("mass_imported_container"),
    tags=BULK_TAGS,
    description="Give rows to the pictures that lie in a container already; add its name as a partition first.",
    partitions_def=containers,
    executor_def=in_process_executor,
)

crop_pictures = define_asset_job(
    "crop_pictures",
    selection=AssetSelection.assets("picture_crops"),
    description="Find the seeds in the pictures of imported uploads, and store each as a picture of its own.",
    partitions_def=uploads,
    executor_def=in_process_executor,
    tags=BULK_TAGS,
)

load_seeds = define_asset_job(
    "load_seeds",
    selection=AssetSelection.assets("registered_seeds"),
    description="Bring the species registry of the database up to the package's reviewed file.",
    executor_def=in_process_executor,
)

load_users = define_asset_job(
    "load_users",
    selection=AssetSelection.assets("registered_users"),
    description="Apply the reviewed file of users.",
    executor_def=in_process_executor,
)

reprocess_pictures = define_asset_job(
    "reprocess_pictures",
    selection=AssetSelection.assets("reprocessed_pictures"),
    tags=BULK_TAGS,
    description="Judge and enrich stored pictures anew where rules or code changed, within a budget.",
    executor_def=in_process_executor,
)

reconcile_storage = define_asset_job(
    "reconcile_storage",
    selection=AssetSelection.assets("reconciled_storage"),
    description="Compare staging, storage and rows; with `repair` in its form, do what is safe about what disagrees.",
    executor_def=in_process_executor,
)

clear_old_imports = define_asset_job(
    "clear_old_imports",
    selection=AssetSelection.assets("cleared_imports"),
    description="Clear staged folders and partitions of imports that are old, recorded and verified.",
    executor_def=in_process_executor,
)

build_training_set = define_asset_job(
    "build_training_set",
    selection=AssetSelection.assets("training_set"),
    description="Build the training set of a recipe, which is a partition: selection, split, manifest, checks, card.",
    partitions_def=recipes,
    executor_def=in_process_executor,
)
