"""`staged_upload`: the folder as its user staged it; the sensor reports what it saw, the import what came of it."""

from dagster import AssetSpec

from nachet_pipeline.assets.partitions import uploads

staged_upload = AssetSpec(
    "staged_upload",
    partitions_def=uploads,
    group_name="uploads",
    kinds={"azure"},
    owners=["team:ai-lab"],
    description="A folder that a user staged in Blob storage, with what the sensor saw and what came of it.",
)
