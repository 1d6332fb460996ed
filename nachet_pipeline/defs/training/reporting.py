"""Reporting a version that was built by command, so that the UI shows it as one that a run built."""

from typing import TYPE_CHECKING

from dagster import AssetMaterialization, DagsterInstance, MetadataValue

from nachet_pipeline.defs.partitions import recipes
from nachet_pipeline.defs.training.checks import TRAINING_SET, check_evaluations
from nachet_pipeline.defs.training.metadata import version_metadata

if TYPE_CHECKING:
    from nachet_pipeline.training.publishing import Published


def report_version(instance: DagsterInstance, published: "Published", account_url: str) -> None:
    """Report the materialization of a recipe's partition, and the verdicts of its checks.

    Args:
        instance: what the UI shows.
        published: the version.
        account_url: of the storage account that it lies in.
    """
    recipe = published.built.name
    instance.add_dynamic_partitions(str(recipes.name), [recipe])
    metadata = {"built_by": MetadataValue.text("nachet training-set build"), **version_metadata(published, account_url)}
    instance.report_runless_asset_event(AssetMaterialization(TRAINING_SET, partition=recipe, metadata=metadata))
    for evaluation in check_evaluations(instance, recipe, published.verdicts):
        instance.report_runless_asset_event(evaluation)
