"""Checks that give each partition of an asset a verdict of its own."""

import logging
import warnings
from collections.abc import Mapping

from dagster import AssetCheckSpec, AssetKey, AssetRecordsFilter, DagsterInstance, EventLogRecord, PartitionsDefinition

# Dagster does not export the one class that ties an evaluation to a partition's materialization; without it the
# check's Partitions tab shows every partition as missing.
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

log = logging.getLogger(__name__)


def partitioned_specs(
    asset: AssetKey, partitions: PartitionsDefinition[str], checks: Mapping[str, str]
) -> list[AssetCheckSpec]:
    """The checks of an asset, evaluated for each partition. None blocks: Dagster fails the step of one that does.

    Args:
        asset: what is checked.
        partitions: the asset's.
        checks: what each check says when it passes, by its name.
    """
    with warnings.catch_warnings():
        # Partitioned checks are a preview in Dagster; they are what shows each partition's verdict on its own.
        warnings.filterwarnings("ignore", message="Specifying a partitions_def on an AssetCheckSpec")
        return [
            AssetCheckSpec(name, asset=asset, description=text, partitions_def=partitions)
            for name, text in checks.items()
        ]


def evaluation_target(
    instance: DagsterInstance, asset: AssetKey, partition: str, just: EventLogRecord | None = None
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """The latest materialization of a partition: what its checks are evaluated on.

    Args:
        instance: asked for it.
        asset: what was materialized.
        partition: its partition.
        just: the materialization, if it was written just now; then the instance is not asked.
    """
    found = just
    if found is None:
        wanted = AssetRecordsFilter(asset_key=asset, asset_partitions=[partition])
        found = next(iter(instance.fetch_materializations(wanted, limit=1).records), None)
    if found is None:
        log.warning("%s of %s was not found in the event log", asset.to_user_string(), partition)
        return None
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=found.storage_id, run_id=found.run_id, timestamp=found.timestamp
    )
