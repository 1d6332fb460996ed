"""Bulk work in several runs: one run cuts it into parts, each part is a run of its own, one more run ends the whole.

The launcher of a deployment may start every one of these runs on a machine of its own. A run that finds more to do than
one should notes the parts in its tags and is done; the sensor `cut_runs` asks for a run of each part, and when all have
ended, well or not, for the run that does what is left and tells of the whole.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetObservation,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RunRequest,
    RunsFilter,
)

from nachet_pipeline.support.shards import Shard

BULK_TAGS = {"nachet/kind": "bulk", "dagster/priority": "-1"}
"""Of the jobs of bulk work: deployments limit how many run at a time, and imports go before them."""

FAN_OUT_OF_TAG = "nachet/cut-of"
SHARD_TAG = "nachet/part"
_CUT_TAG, _PARTS_TAG = "nachet/cut", "nachet/cut-parts"
_OPEN, _CLOSED = "open", "closed"
_REST = "rest"
_PARTITION = "dagster/partition"
_WILL_RETRY, _RETRIED_BY = "dagster/will_retry", "dagster/auto_retry_run_id"

SHARD_FIELD = "a part of the whole, such as 0-63; the sensor cut_runs fills it in"
WHOLE_FIELD = "do everything in this one run, however much it is; else much work is cut into several runs"


def fan_out(context: AssetExecutionContext, asset: AssetKey, parts: list[Shard]) -> AssetObservation:
    """Record in the tags of this run that each of these parts is to be a run of its own.

    Returns:
        What the UI shows on the asset meanwhile.
    """
    context.instance.add_run_tags(context.run_id, {_CUT_TAG: _OPEN, _PARTS_TAG: " ".join(map(str, parts))})
    context.log.info("cut into %d parts, each a run of its own; the sensor cut_runs asks for them", len(parts))
    return AssetObservation(
        asset,
        partition=context.partition_key if context.has_partition_key else None,
        description=f"cut into {len(parts)} parts",
        metadata={"parts": len(parts)},
    )


def runs_of_fan_out(instance: DagsterInstance, run: DagsterRun) -> list[DagsterRun]:
    """The runs of the parts, seen from the run that ends the whole; none for any other run."""
    cut_by = run.tags.get(FAN_OUT_OF_TAG)
    found = instance.get_runs(RunsFilter(tags={FAN_OUT_OF_TAG: cut_by})) if cut_by else []
    return [one for one in found if one.tags.get(SHARD_TAG) != _REST]


def due_runs(instance: DagsterInstance, ops: Mapping[str, str]) -> Iterator[RunRequest]:
    """The runs that cut work asks for now; what has all of its runs is looked at no more.

    Args:
        instance: knows the runs.
        ops: the jobs whose work is cut, each with the op whose configuration names the part.
    """
    for job, op in ops.items():
        cut_runs = RunsFilter(job_name=job, tags={_CUT_TAG: _OPEN}, statuses=[DagsterRunStatus.SUCCESS])
        for run in instance.get_runs(cut_runs):
            yield from _due(instance, run, op)


def _due(instance: DagsterInstance, run: DagsterRun, op: str) -> Iterator[RunRequest]:
    begun = instance.get_runs(RunsFilter(tags={FAN_OUT_OF_TAG: run.run_id}))
    names = {one.tags.get(SHARD_TAG) for one in begun}
    missing = [part for part in run.tags.get(_PARTS_TAG, "").split() if part not in names]
    if missing:
        yield from (_request(run, op, part, {"part": part}) for part in missing)
    elif _REST in names:
        instance.add_run_tags(run.run_id, {_CUT_TAG: _CLOSED})
    elif all(_has_ended(one) for one in begun):
        yield _request(run, op, _REST, {"whole": True})


def _has_ended(run: DagsterRun) -> bool:
    """Whether nothing more comes of a run; one that died may be tried again by itself."""
    tried_again = run.tags.get(_WILL_RETRY) == "true" and _RETRIED_BY not in run.tags
    return run.is_finished and not tried_again


def _request(run: DagsterRun, op: str, name: str, changes: Mapping[str, Any]) -> RunRequest:
    ops: dict[str, Any] = dict(run.run_config.get("ops") or {})  # type: ignore[call-overload]
    config = {**ops.get(op, {}).get("config", {}), **changes}
    return RunRequest(
        # Dagster makes no second run of a key.
        run_key=f"{run.run_id}:{name}",
        job_name=run.job_name,
        partition_key=run.tags.get(_PARTITION),
        run_config={**run.run_config, "ops": {**ops, op: {"config": config}}},
        tags={FAN_OUT_OF_TAG: run.run_id, SHARD_TAG: name},
    )
