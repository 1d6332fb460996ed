"""Merge the results of the shards of one reprocessing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.reprocessing.reprocessor import NAMED, Ending, Reprocessed, ReprocessRequest, VerdictDifference
from nachet_pipeline.reprocessing.verdicts import VerdictChange, VerdictState


def what_is_left(wanted: ReprocessRequest, records: Sequence[Mapping[str, Any]]) -> ReprocessRequest:
    """The request for what the shards left to do of the whole, within its budgets.

    Args:
        wanted: the whole.
        records: what the shards did, each as `formatting.result_record` returns it.
    """
    looked_at = sum(int(record["looked_at"]) for record in records)
    longest = max((float(record["seconds"]) for record in records), default=0.0)
    return replace(
        wanted,
        pictures=None if wanted.pictures is None else max(0, wanted.pictures - looked_at),
        seconds=None if wanted.seconds is None else max(0.0, wanted.seconds - longest),
    )


def merge(last: Reprocessed, records: Sequence[Mapping[str, Any]]) -> Reprocessed:
    """Merge what the shards did with the last run, which did what they left.

    Args:
        last: the result of that run; it has the figures of what is stale and refused now.
        records: what the shards did, each as `formatting.result_record` returns it.
    """
    whole = replace(last, states=dict(last.states))
    differences = {one.change: one for one in last.differences}
    for record in records:
        whole.looked_at += record["looked_at"]
        whole.updated += record["updated"]
        whole.changed_verdicts += record["changed_verdicts"]
        for state, count in record["states"].items():
            whole.states[VerdictState(state)] = whole.states.get(VerdictState(state), 0) + count
        for said in record["differences"]:
            change = VerdictChange(said["code"], _severity(said["before"]), _severity(said["now"]))
            known = differences.get(change, VerdictDifference(change))
            first = [*known.pictures, *map(UUID, said["first"])][:NAMED]
            differences[change] = replace(known, count=known.count + said["pictures"], pictures=first)
        if whole.ending is Ending.DONE:
            whole.ending = Ending(record["ending"])
    whole.differences = sorted(differences.values(), key=lambda one: (-one.count, one.change.code))
    # The shards ran at the same time.
    whole.seconds += max((float(record["seconds"]) for record in records), default=0.0)
    return whole


def _severity(weight: str | None) -> Severity | None:
    return Severity(weight) if weight else None
