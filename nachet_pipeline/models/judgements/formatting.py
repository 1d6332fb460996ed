"""Judgements as lines for people, and as records that `reading.py` reads again."""

from collections.abc import Iterator
from typing import Any

from nachet_pipeline.contract.names import printable
from nachet_pipeline.models.judgements.queries import RecordedJudgement
from nachet_pipeline.models.judgements.recording import Recorded


def judgement_record(listed: RecordedJudgement) -> dict[str, Any]:
    """A judgement as a line of a file of judgements; what is not said is left out."""
    one = listed.judgement
    about = (
        {"prediction": str(one.prediction), "object": one.object} if one.prediction else {"sha256": one.sha256.hex()}
    )
    if one.withdraws:
        about = {}
    said = {
        "person": one.person,
        "at": one.at.isoformat(),
        **about,
        "box": None if one.prediction or one.withdraws or one.box is None else list(one.box),
        "verdict": one.verdict.value,
        "taxon": listed.taxon,
        "corrected_box": list(one.corrected_box) if one.corrected_box else None,
        "sure": one.sure,
        "note": one.note,
        "withdraws": str(one.withdraws) if one.withdraws else None,
        "facts": dict(one.facts),
    }
    return {name: value for name, value in said.items() if value not in (None, {})}


def judgement_line(listed: RecordedJudgement) -> str:
    """A judgement in one line."""
    one = listed.judgement
    about = f"{one.prediction}:{one.object or ''}".rstrip(":") if one.prediction else f"sha256 {one.sha256.hex()[:12]}"
    where = f" at {' '.join(f'{side:.3f}' for side in one.box)}" if one.box else ""
    said = " ".join(filter(None, (one.verdict.value, listed.taxon)))
    sure = f" ({one.sure:.0%} sure)" if one.sure is not None else ""
    note = f"  {printable(one.note)}" if one.note else ""
    gone = "  (taken back)" if listed.taken_back else ""
    return f"{one.id}  {one.at:%Y-%m-%d %H:%M}  {printable(one.person)}  {about}{where}: {said}{sure}{note}{gone}"


def recorded_record(done: Recorded) -> dict[str, Any]:
    """What recording did, for programs."""
    return {
        "new": done.new,
        "known": done.known,
        "unknown": done.unknown,
        "subjects": done.applied.subjects,
        "labels": done.applied.labels,
        "verified": done.applied.verified,
        "findings": done.findings.record(),
    }


def recorded_lines(done: Recorded) -> Iterator[str]:
    """What recording did."""
    known = f", {done.known} known before" if done.known else ""
    unknown = f", {done.unknown} of pictures or predictions that are not stored" if done.unknown else ""
    yield f"{done.new} judgements recorded{known}{unknown}"
    if done.new:
        yield (
            f"{done.applied.subjects} outcomes changed, {done.applied.labels} labels of photographs,"
            f" {done.applied.verified} pictures verified or no longer so"
        )
