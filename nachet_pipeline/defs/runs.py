"""Tags and states of runs."""

from collections.abc import Sequence

from dagster import (
    AssetExecutionContext,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    QueuedRunCoordinator,
    SubmitRunContext,
)

from nachet_pipeline.contract.names import printable

OWNER_TAG, FOLDER_TAG = "nachet/owner", "nachet/folder"
"""What people look for in the list of runs."""
_CHARACTERS = 120
"""A tag is a key of an index, whose entries PostgreSQL limits."""

BATCH_TAG = "nachet/batch"
PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
ENDED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
UNDER_WAY = set(DagsterRunStatus) - ENDED

PLACE_TAG = "nachet/place"
SHORT_PLACE = {PLACE_TAG: "short"}
"""Tags of runs that take seconds."""
SHARED_PLACE = {PLACE_TAG: "shared"}
"""Tags of all others. Deployments limit how many of these go on at a time, so that a place is left for short ones."""
SHORT_IMPORT = {**SHORT_PLACE, "dagster/priority": "1"}
"""Tags of runs that import a few small uploads; they start before others."""


class PlacingRunCoordinator(QueuedRunCoordinator[DagsterInstance]):
    """The queue of runs that dagster.yaml names. A run without a place shares one, also if it is of no job.

    Materialize starts such runs. Dagster limits runs by the tags that they have, never by those that they lack.
    """

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Put a run into the queue."""
        run = context.dagster_run
        if PLACE_TAG not in run.tags:
            self._instance.add_run_tags(run.run_id, SHARED_PLACE)
        return super().submit_run(context)


REPOSITORY_TAG = ".dagster/repository"
REPOSITORY = "__repository__@nachet_pipeline"
"""The tag of this project's runs. Those of other code locations give no sign of life, so none can be missed."""


def whose(owner: str, folder: str, number: int = 1) -> dict[str, str]:
    """The tags that say whose folders a run works on, and which.

    Args:
        owner: e-mail address of the first folder's owner.
        folder: the first folder.
        number: how many folders there are.
    """
    more = f", +{number - 1} more" if number > 1 else ""
    return {OWNER_TAG: owner, FOLDER_TAG: f"{printable(folder)[:_CHARACTERS]}{more}"}


def tags_of_uploads(owner: str, folder: str, keys: Sequence[str]) -> dict[str, str]:
    """The tags of a run of uploads that a sensor requests.

    Args:
        owner: e-mail address of the first upload's owner.
        folder: the first upload's folder.
        keys: the partitions of the uploads, in Dagster's order; a run takes the range from the first to the last.
    """
    return {
        **whose(owner, folder, len(keys)),
        RANGE_START: keys[0],
        RANGE_END: keys[-1],
        "nachet/uploads": str(len(keys)),
    }


def say_whose(context: AssetExecutionContext, owner: str, folder: str, number: int = 1) -> None:
    """Tag a run that somebody started by hand as sensors tag theirs; the arguments are those of `whose`."""
    if OWNER_TAG not in context.run.tags:
        context.instance.add_run_tags(context.run_id, whose(owner, folder, number))
