"""Tags of runs, and the states of runs that have ended and that have not."""

from dagster import DagsterRunStatus

BATCH_TAG = "nachet/batch"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
ENDED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
UNDER_WAY = set(DagsterRunStatus) - ENDED

REPOSITORY_TAG = ".dagster/repository"
REPOSITORY = "__repository__@nachet_pipeline"
"""Runs of other code locations of the same instance give no sign of life that we could miss."""
