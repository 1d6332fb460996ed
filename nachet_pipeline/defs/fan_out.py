"""Bulk work in several runs: one run splits it into shards, each shard is a run, and one last run ends the whole.

A run that finds too much work records the shards in its tags and ends. The sensor `start_shards` requests a run for
each shard. When all of them have ended, successful or not, it requests the last run, which does what is left and
reports on the whole. The launcher of a deployment may start each of these runs on a machine of its own.
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

from nachet_pipeline.defs.runs import FOLDER_TAG, OWNER_TAG
from nachet_pipeline.support.shards import Shard

BULK_TAGS = {"nachet/kind": "bulk", "dagster/priority": "-1"}
"""Tags of bulk jobs: deployments limit how many of them run at a time, and imports start before them."""

FAN_OUT_OF_TAG = "nachet/cut-of"
SHARD_TAG = "nachet/part"
_CUT_TAG, _PARTS_TAG = "nachet/cut", "nachet/cut-parts"
_OPEN, _CLOSED = "open", "closed"
_REST = "rest"
_PARTITION = "dagster/partition"
_WILL_RETRY, _RETRIED_BY = "dagster/will_retry", "dagster/auto_retry_run_id"

SHARD_FIELD = "a part of the whole, such as 0-63; the sensor start_shards fills it in"
WHOLE_FIELD = "do everything in this one run, however much it is; else much work is cut into several runs"


def fan_out(context: AssetExecutionContext, asset: AssetKey, shards: list[Shard]) -> AssetObservation:
    """Record in the tags of this run that each of these shards needs a run of its own.

    Returns:
        What the UI shows on the asset meanwhile.
    """
    context.instance.add_run_tags(context.run_id, {_CUT_TAG: _OPEN, _PARTS_TAG: " ".join(map(str, shards))})
    context.log.info("split into %d parts, each a run of its own; the sensor start_shards requests them", len(shards))
    return AssetObservation(
        asset,
        partition=context.partition_key if context.has_partition_key else None,
        description=f"cut into {len(shards)} parts",
        metadata={"parts": len(shards)},
    )


def runs_of_fan_out(instance: DagsterInstance, run: DagsterRun) -> list[DagsterRun]:
    """The runs of the shards, if this run is the last one of bulk work; none for any other run."""
    cut_by = run.tags.get(FAN_OUT_OF_TAG)
    found = instance.get_runs(RunsFilter(tags={FAN_OUT_OF_TAG: cut_by})) if cut_by else []
    return [one for one in found if one.tags.get(SHARD_TAG) != _REST]


def due_runs(instance: DagsterInstance, ops: Mapping[str, str]) -> Iterator[RunRequest]:
    """The runs that bulk work needs now. Work that has all of its runs is marked, so that it is not read again.

    Args:
        instance: knows the runs.
        ops: the jobs whose work may be split, each with the op whose configuration names the shard.
    """
    for job, op in ops.items():
        split = RunsFilter(job_name=job, tags={_CUT_TAG: _OPEN}, statuses=[DagsterRunStatus.SUCCESS])
        for run in instance.get_runs(split):
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
    """Whether a run has ended for good. Dagster may retry one whose process died."""
    is_retried = run.tags.get(_WILL_RETRY) == "true" and _RETRIED_BY not in run.tags
    return run.is_finished and not is_retried


def _request(run: DagsterRun, op: str, name: str, changes: Mapping[str, Any]) -> RunRequest:
    ops: dict[str, Any] = dict(run.run_config.get("ops") or {})  # type: ignore[call-overload]
    config = {**ops.get(op, {}).get("config", {}), **changes}
    return RunRequest(
        # Dagster starts no second run for a run key.
        run_key=f"{run.run_id}:{name}",
        job_name=run.job_name,
        partition_key=run.tags.get(_PARTITION),
        run_config={**run.run_config, "ops": {**ops, op: {"config": config}}},
        tags={
            **{tag: run.tags[tag] for tag in (OWNER_TAG, FOLDER_TAG) if tag in run.tags},
            FAN_OUT_OF_TAG: run.run_id,
            SHARD_TAG: name,
        },
    )
