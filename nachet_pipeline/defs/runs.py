"""Tags and states of runs."""

from dagster import DagsterRunStatus

BATCH_TAG = "nachet/batch"
PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
ENDED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
UNDER_WAY = set(DagsterRunStatus) - ENDED

REPOSITORY_TAG = ".dagster/repository"
REPOSITORY = "__repository__@nachet_pipeline"
"""The tag of this project's runs. Those of other code locations give no sign of life, so none can be missed."""
