"""How a run is executed, and what becomes of one that was launched without its partition.

The UI lets people launch a job on partitions without choosing one, and the checks of an asset alone; and a run may be
executed again whose partition was cleared since. Dagster fails such a run before its step begins, or in it. Here it
does nothing, says in one sentence what to choose, and succeeds, because nothing is broken.
"""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetExecutionContext,
    DagsterEvent,
    DagsterInstance,
    DagsterRun,
    DynamicPartitionsDefinition,
    Executor,
    ExecutorDefinition,
    InitExecutorContext,
    PartitionsDefinition,
    in_process_executor,
)

from nachet_pipeline.defs.runs import PARTITION, RANGE_END, RANGE_START

_NOTHING_CHOSEN = (
    "Nothing was done, because no %s was chosen. Choose Materialize on the page of %s, and then one or more of them."
)
_GONE = (
    "Nothing was done, because there is no partition %s any more. Choose Materialize on the page of %s, and then one"
    " that is there."
)


def _gone(instance: DagsterInstance, run: DagsterRun, among: PartitionsDefinition[str]) -> str | None:
    """A partition that the run names, and that was removed."""
    if not isinstance(among, DynamicPartitionsDefinition) or among.name is None:
        return None
    named = dict.fromkeys(run.tags[tag] for tag in (PARTITION, RANGE_START, RANGE_END) if tag in run.tags)
    return next((key for key in named if not instance.has_dynamic_partition(among.name, key)), None)


def chosen_partitions(context: AssetExecutionContext) -> list[str]:
    """The partitions of a run; none if its checks alone were launched, which its log then says."""
    if context.has_partition_key or context.has_partition_key_range:
        return list(context.partition_keys)
    asset = min(key.asset_key.to_user_string() for key in context.selected_asset_check_keys)
    context.log.warning(
        "Nothing was done, because these checks are evaluated when %s is materialized. Choose Materialize on its page.",
        asset,
    )
    return []


class _OneProcess(Executor):
    def __init__(self, steps: Executor) -> None:
        self._steps = steps

    @property
    def retries(self) -> Any:
        return self._steps.retries

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[DagsterEvent]:
        run, job = plan_context.dagster_run, plan_context.job.get_definition()
        assets = sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)  # none for checks alone
        if assets and job.partitions_def and not {PARTITION, RANGE_START} & run.tags.keys():
            plan_context.log.warning(_NOTHING_CHOSEN, job.partitions_def.name, " or ".join(assets))
            return
        if assets and job.partitions_def and (key := _gone(plan_context.instance, run, job.partitions_def)):
            plan_context.log.warning(_GONE, key, " or ".join(assets))
            return
        yield from self._steps.execute(plan_context, execution_plan)


def _create(context: InitExecutorContext) -> Executor:
    create = in_process_executor.executor_creation_fn
    if create is None:
        raise TypeError("Dagster's own executor cannot be created")
    return _OneProcess(create(context))


one_process = ExecutorDefinition(
    name="in_process",
    config_schema=in_process_executor.config_schema.as_field(),
    requirements=in_process_executor.get_requirements,
    executor_creation_fn=_create,
    description="All steps of a run in its one process, whose sign of life lasts from the first step to the last.",
)
