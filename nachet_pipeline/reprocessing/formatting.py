"""Format what reprocessing did or would do, as text and as JSON."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.reprocessing.queries import Versions
from nachet_pipeline.reprocessing.reprocessor import Ending, Plan, Reprocessed


def result_record(result: Reprocessed) -> dict[str, Any]:
    """What reprocessing did, in JSON's types."""
    oldest = result.oldest_left
    return {
        "rule_set_version": result.current.rules,
        "enrichment_version": result.current.enrichment,
        "looked_at": result.looked_at,
        "updated": result.updated,
        "changed_verdicts": result.changed_verdicts,
        "states": {state.value: count for state, count in sorted(result.states.items())},
        "differences": [
            {
                "rule": one.change.rule,
                "code": one.change.code,
                "before": _weight(one.change.before),
                "now": _weight(one.change.now),
                "pictures": one.count,
                "first": [str(picture) for picture in one.pictures],
            }
            for one in result.differences
        ],
        "ending": result.ending.value,
        "seconds": round(result.seconds, 3),
        "pictures_per_second": round(result.pictures_per_second, 1),
        "left_stale": result.left_stale,
        "oldest_left": oldest.astimezone(UTC).isoformat() if oldest else None,
        "refused_today": result.standing.refused,
        "broken": result.standing.broken,
    }


def plan_record(planned: Plan) -> dict[str, Any]:
    """What reprocessing would do, in JSON's types."""
    return {
        "rule_set_version": planned.current.rules,
        "enrichment_version": planned.current.enrichment,
        "would_look_at": planned.pictures,
        "stale": [
            {
                "rule_set_version": group.versions.rules or None,
                "enrichment_version": group.versions.enrichment or None,
                "pictures": group.pictures,
                "why": reasons(group.versions, planned.current),
                "oldest": group.oldest.astimezone(UTC).isoformat(),
            }
            for group in planned.groups
        ],
    }


def result_text(result: Reprocessed) -> Iterator[str]:
    """What reprocessing did, as lines of text."""
    rate = f", {result.pictures_per_second:.0f} pictures/s" if result.looked_at else ""
    yield f"looked at  {result.looked_at} pictures in {result.seconds:.1f} s{rate}"
    yield f"changed    {result.updated} rows, {result.changed_verdicts} verdicts"
    for one in result.differences:
        before, now = (_weight(weight) or "not found" for weight in (one.change.before, one.change.now))
        yield f"  {one.change.rule}/{one.change.code}: {before} → {now}, {one.count} pictures"
        yield from (f"    {picture}" for picture in one.pictures)
    if result.standing.refused:
        yield f"refused    {result.standing.refused} stored pictures would be refused today; they stay where they are"
    if result.standing.broken:
        yield f"broken     {result.standing.broken} pictures whose file is missing, changed or unreadable"
    why = "" if result.ending is Ending.DONE else f", the {result.ending} is used up; the same command goes on"
    yield f"stale      {result.left_stale} pictures{why}"


def plan_text(planned: Plan) -> Iterator[str]:
    """What reprocessing would do, as lines of text."""
    for group in planned.groups:
        why = ", ".join(reasons(group.versions, planned.current))
        yield f"stale: {group.pictures} pictures ({why}), the oldest last looked at on {group.oldest:%Y-%m-%d}"
    yield f"{planned.pictures} pictures would be looked at; nothing is changed"


def reasons(old: Versions, current: Versions) -> list[str]:
    """Why pictures of some versions are stale."""
    pairs = (("rules", old.rules, current.rules), ("enrichment", old.enrichment, current.enrichment))
    differing = [f"{name}: {before or 'none'} → {now}" for name, before, now in pairs if before != now]
    return differing or ["not accepted by rules or code of in between"]


def _weight(severity: Severity | None) -> str | None:
    return severity.value if severity else None
