"""The results of reconciliation, for people and for programs."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from nachet_pipeline.reconciliation.comparing import Compared
from nachet_pipeline.reconciliation.queries import Drift
from nachet_pipeline.reconciliation.repairing import Repair, RepairAction


def drift_record(repair: Repair) -> dict[str, Any]:
    """A disagreement and what is done about it, for programs: JSON's types only."""
    drift = repair.drift
    return {
        "kind": drift.kind.value,
        "container": drift.container,
        "name": drift.name,
        "picture": _text(drift.picture_id),
        "picture_set": _text(drift.picture_set_id),
        "upload": _text(drift.upload_id),
        "size": drift.size,
        "sha256": drift.sha256,
        "found_size": drift.found_size,
        "found_sha256": drift.found_sha256,
        "modified": _moment(drift.modified),
        "detail": drift.detail or None,
        "first_seen": _moment(drift.first_seen),
        "action": repair.remedy.action.value,
        "why": repair.remedy.why,
        "done": repair.done,
    }


def summary_record(result: Compared, *, repaired: int, left: int) -> dict[str, Any]:
    """The result of comparing, for programs: JSON's types only."""
    return {
        "users": len(result.users),
        "pictures": result.pictures,
        "blobs": result.blobs,
        "read": result.read,
        "under_way": result.under_way,
        "drift": [
            {
                "kind": one.kind.value,
                "owner": one.owner,
                "number": one.number,
                "bytes": one.size,
                "oldest": _moment(one.oldest),
            }
            for one in result.tallies
        ],
        "repaired": repaired,
        "left": left,
        "seconds": round(result.seconds, 3),
    }


def drift_text(repair: Repair, *, planned: bool) -> str:
    """A disagreement and what is done about it, for people: one line."""
    drift, remedy = repair.drift, repair.remedy
    what = f"{drift.kind.value:<22} {drift.container}/{drift.name}{found_text(drift)}"
    if remedy.action is RepairAction.NOTHING:
        return f"{what}\n  → left as it is: {remedy.why}"
    mark = "would " if planned else ""
    return f"{what}\n  → {mark}{remedy.action.value}: {remedy.why}"


def found_text(drift: Drift) -> str:
    """What was expected and what was found, as far as both are known."""
    if drift.found_size is not None and drift.size is not None and drift.found_size != drift.size:
        return f": expected {drift.size} bytes, found {drift.found_size}"
    if drift.sha256 and drift.found_size is not None:
        return f": expected SHA-256 {drift.sha256[:16]}…, found {(drift.found_sha256 or 'none')[:16]}"
    return f": {drift.detail}" if drift.detail else ""


def summary_text(result: Compared, *, repaired: int, left: int) -> Iterator[str]:
    """The result of comparing, for people."""
    read = f", {result.read} of them read" if result.read else ""
    yield f"compared   {len(result.users)} users, {result.pictures} pictures{read}, {result.blobs} blobs"
    for one in result.tallies:
        yield f"drift      {one.number} {one.kind.value} of {one.owner}, the oldest seen first on {one.oldest:%Y-%m-%d}"
    if result.under_way:
        yield f"under way  {result.under_way} blobs that an import may be working on"
    if repaired:
        yield f"repaired   {repaired}"
    yield f"left       {left}" if left else "nothing is amiss"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _moment(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat() if value else None
