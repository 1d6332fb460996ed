"""Partitions of the assets."""

from collections.abc import Sequence

from dagster import AssetExecutionContext, AssetKey, DagsterInstance, DynamicPartitionsDefinition

# Dagster has no public way to say that a partition has a materialization and failed all the same.
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent

from nachet_pipeline.reconciliation.retention import ForgetPartitions

uploads = DynamicPartitionsDefinition(name="upload")
"""One partition an upload; see `identifiers.partition_key`."""

recipes = DynamicPartitionsDefinition(name="recipe")
"""One partition a recipe of a training set, by its name; the sensor `recipes` keeps them equal to the folder."""


def show_as_failed(context: AssetExecutionContext, asset: AssetKey, partition: str) -> None:
    """Let the UI show a partition as failed although it was materialized in this run, which must fail.

    The manifest of a refused upload is made, and its page carries the report; without this the partition would be
    green. Dagster shows a partition as failed when it was planned, after its latest materialization, in a failed run:
    so it is planned once more. The next successful run of the partition makes it green.
    """
    event = DagsterEvent.build_asset_materialization_planned_event(
        job_name=context.run.job_name,
        step_key=context.op_handle.name,
        asset_materialization_planned_data=AssetMaterializationPlannedData(asset_key=asset, partition=partition),
    )
    context.instance.report_dagster_event(event, run_id=context.run_id)


def forgetting(instance: DagsterInstance) -> ForgetPartitions:
    """What deletes partitions of uploads from an instance."""

    def forget(keys: Sequence[str]) -> None:
        for key in keys:
            if instance.has_dynamic_partition(str(uploads.name), key):
                instance.delete_dynamic_partition(str(uploads.name), key)

    return forget
