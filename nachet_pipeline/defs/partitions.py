"""Partitions of the assets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dagster import DagsterInstance, DynamicPartitionsDefinition

if TYPE_CHECKING:
    from nachet_pipeline.reconciliation.retention import ForgetPartitions

uploads = DynamicPartitionsDefinition(name="upload")
"""One partition an upload; see `identifiers.partition_key`."""

containers = DynamicPartitionsDefinition(name="container")
"""One partition a container of a mass import, by its name."""

recipes = DynamicPartitionsDefinition(name="recipe")
"""One partition a recipe of a training set, by its name; the sensor `sync_recipes` keeps them equal to the folder."""

versions = DynamicPartitionsDefinition(name="model_version")
"""One partition a version of a model, by its `NAME@VERSION`; the sensor `start_predictions` adds what is registered."""


def forgetting(instance: DagsterInstance) -> "ForgetPartitions":
    """What deletes partitions of uploads from an instance."""

    def forget(keys: Sequence[str]) -> None:
        for key in keys:
            if instance.has_dynamic_partition(str(uploads.name), key):
                instance.delete_dynamic_partition(str(uploads.name), key)

    return forget
