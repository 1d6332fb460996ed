"""Partitions of the assets."""

from collections.abc import Sequence

from dagster import AssetExecutionContext, AssetKey, DagsterInstance, DynamicPartitionsDefinition

# Dagster has no public way to say that a partition has a materialization and failed all the same.
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent

from nachet_pipeline.reconciliation.retention import ForgetPartitions

uploads = DynamicPartitionsDefinition(name="upload")
"""One partition an upload; see `identifiers.partition_key`."""

containers = DynamicPartitionsDefinition(name="container")
"""One partition a container of a mass import, by its name."""

recipes = DynamicPartitionsDefinition(name="recipe")
"""One partition a recipe of a training set, by its name; the sensor `sync_recipes` keeps them equal to the folder."""


def show_as_failed(context: AssetExecutionContext, asset: AssetKey, partition: str) -> None:
    """Let the UI show a partition as failed although this run materialized it. The run must fail.

    The manifest of a refused upload is materialized, because its page carries the report. That alone would make the
    partition green. Dagster shows a partition as failed if a failed run planned it after its latest materialization,
    so this plans it once more. The next successful run of the partition makes it green.
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
