"""Tasks for Label Studio, and its annotations as judgements.

A task has the prediction as a prediction of Label Studio's, and what was judged already as annotations. A region of
such an annotation carries the judgement that it stands for: as long as nobody touches it, it stays that judgement.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from xml.sax.saxutils import quoteattr

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.models.findings import Findings, LineFinding
from nachet_pipeline.models.judgements.formatting import judgement_record
from nachet_pipeline.models.judgements.judgement import Box, Stated, box_of
from nachet_pipeline.models.judgements.queries import RecordedJudgement
from nachet_pipeline.models.judgements.reading import Otherwise, stated_of
from nachet_pipeline.models.judgements.tasks import (
    LABEL_OF,
    NO_TAXON,
    SPECIAL,
    UNJUDGED,
    Drawn,
    Task,
    TaskObject,
    compared,
    objects_of,
)
from nachet_pipeline.support.batches import batched
from nachet_pipeline.support.i18n import Bilingual

_BOXES, _WHOLE, _IMAGE = "taxon", "shows", "image"
_BATCH = 500


def interface(taxa: Sequence[str]) -> str:
    """The labelling interface: the taxa that can be chosen, and what else can be said."""
    labels = "\n".join(f"    <Label value={quoteattr(one)}/>" for one in (*SPECIAL, *taxa))
    choices = "\n".join(f"    <Choice value={quoteattr(one)}/>" for one in (*SPECIAL, *taxa))
    return (
        f'<View>\n  <Image name="{_IMAGE}" value="$image" zoom="true"/>\n'
        f'  <Filter name="filter" toName="{_BOXES}" minlength="0"/>\n'
        f'  <RectangleLabels name="{_BOXES}" toName="{_IMAGE}" canRotate="false">\n{labels}\n  </RectangleLabels>\n'
        f'  <Choices name="{_WHOLE}" toName="{_IMAGE}">\n{choices}\n  </Choices>\n</View>\n'
    )


def exported(tasks: Iterable[Task]) -> Iterator[dict[str, Any]]:
    """The tasks as Label Studio imports them."""
    for task in tasks:
        result = [_region(task, one.number, one.box, one.label, score=one.score) for one in task.objects]
        scores = [one.score for one in task.objects if one.score is not None]
        prediction = {"model_version": task.model, "score": min(scores, default=0.0), "result": result}
        yield {
            "data": {
                "image": f"azure-blob://{task.container}/{task.blob}",
                "picture": str(task.picture),
                "sha256": task.sha256.hex(),
                "prediction": str(task.prediction),
            },
            "predictions": [prediction],
            "annotations": list(_annotations(task)),
        }


def _annotations(task: Task) -> Iterator[dict[str, Any]]:
    """An annotation for each time that somebody judged."""
    by_act: dict[tuple[str, datetime], list[RecordedJudgement]] = {}
    for one in task.judged:
        by_act.setdefault((one.judgement.person, one.judgement.at), []).append(one)
    for (person, at), judged in by_act.items():
        known = {
            one.judgement.object: one
            for one in judged
            if one.judgement.object and one.judgement.prediction == task.prediction
        }
        result = [_as_judged(task, known[one.number], one) for one in task.objects if one.number in known]
        result += [_region(task, one.number, one.box, UNJUDGED) for one in task.objects if one.number not in known]
        result += [_as_judged(task, one, None) for one in judged if one not in known.values()]
        moment = at.isoformat()
        yield {"completed_by": {"email": person}, "created_at": moment, "updated_at": moment, "result": result}


def _as_judged(task: Task, listed: RecordedJudgement, thing: TaskObject | None) -> dict[str, Any]:
    """The region of a judgement, which carries it."""
    one = listed.judgement
    label = LABEL_OF.get(one.verdict) or listed.taxon or (thing.label if thing else NO_TAXON)
    box = one.corrected_box or one.box
    # The taxon of what is denied is no label.
    shown = {"box": list(box) if box else None, "label": label}
    number = thing.number if thing else None
    region = _region(task, number, box, label, note=one.note)
    region["id"] = str(one.id)
    region["meta"]["said"] = {"judgement": judgement_record(listed), "shown": shown, "object": number}
    return region


def _region(
    task: Task,
    number: int | None,
    box: Box | None,
    label: str,
    *,
    score: float | None = None,
    note: str | None = None,
) -> dict[str, Any]:
    place: dict[str, Any] = {
        "id": f"object-{number}",
        "to_name": _IMAGE,
        "original_width": task.width,
        "original_height": task.height,
        "image_rotation": 0,
        "meta": {"text": [note]} if note else {},
    }
    if score is not None:
        place["score"] = score
    if box is None:
        return {**place, "type": "choices", "from_name": _WHOLE, "value": {"choices": [label]}}
    left, top, right, bottom = (100 * side for side in box)
    value = {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0}
    return {**place, "type": "rectanglelabels", "from_name": _BOXES, "value": {**value, "rectanglelabels": [label]}}


def read(connection: Connection, document: Any, otherwise: Otherwise, findings: Findings) -> Iterator[Stated]:
    """The judgements of what Label Studio exports as JSON; those with errors are left out, and reported."""
    tasks = document if isinstance(document, list) else [document]
    for batch in batched(enumerate(tasks, 1), _BATCH):
        identified = [(line, task, _prediction(task, line, findings)) for line, task in batch]
        objects = objects_of(connection, [one for _, _, one in identified if one])
        for line, task, prediction in identified:
            if prediction is None:
                continue
            if prediction not in objects:
                # Reported when it is looked up, with all others that are not stored.
                objects[prediction] = []
            for annotation in task.get("annotations") or ():
                if not annotation.get("was_cancelled"):
                    yield from _said(annotation, objects[prediction], prediction, line, otherwise, findings)


def _prediction(task: Any, line: int, findings: Findings) -> UUID | None:
    data = task.get("data") if isinstance(task, dict) else None
    try:
        return UUID(str((data or {})["prediction"]))
    except (KeyError, ValueError):
        expected = Bilingual("a task with data.prediction", "une tâche avec data.prediction")
        findings.add([LineFinding("no-task", line, "data.prediction", expected, Bilingual("none", "aucune"))])
        return None


def _said(
    annotation: Mapping[str, Any],
    objects: Sequence[TaskObject],
    prediction: UUID,
    line: int,
    otherwise: Otherwise,
    findings: Findings,
) -> Iterator[Stated]:
    person, at = _person(annotation.get("completed_by")) or otherwise.person, _moment(annotation) or otherwise.at
    if person is None or at is None:
        name = "completed_by" if person is None else "updated_at"
        expected = Bilingual("who judged, or --person", "la personne, ou --person")
        if person is not None:
            expected = Bilingual("when, or --at", "le moment, ou --at")
        findings.add([LineFinding("missing-key", line, f"annotations.{name}", expected, Bilingual("none", "rien"))])
        return
    drawn = []
    for region in annotation.get("result") or ():
        one = _drawn(region, line, findings)
        if one is None:
            continue
        said = (region.get("meta") or {}).get("said")
        if said and _same(one, said["shown"]) and one.note == said["judgement"].get("note"):
            if stated := stated_of(said["judgement"], line, otherwise, findings):
                yield stated
            # It is no new word about that object, and the object was not deleted.
            if said["object"]:
                drawn.append(Drawn(one.box, UNJUDGED, said["object"]))
            continue
        drawn.append(Drawn(one.box, one.label, said["object"], one.note) if said else one)
    yield from compared(objects, drawn, prediction=prediction, person=person, at=at, line=line)


def _same(one: Drawn, shown: Mapping[str, Any]) -> bool:
    box = tuple(shown["box"]) if shown["box"] else None
    if one.label != shown["label"] or (one.box is None) != (box is None):
        return False
    return box is None or one.box is None or max(abs(a - b) for a, b in zip(one.box, box, strict=True)) < 1e-6  # noqa: PLR2004 (rounding)


def _drawn(region: Mapping[str, Any], line: int, findings: Findings) -> Drawn | None:
    value = region.get("value") or {}
    labels, kind = value.get("rectanglelabels") or value.get("choices"), region.get("type")
    # A rectangle whose label was taken off is still there.
    if kind not in ("rectanglelabels", "rectangle") and (kind != "choices" or not labels):
        return None
    box = None
    if kind != "choices":
        try:
            box = _box(value, region)
        except ValueError:
            expected = Bilingual("a box within the picture", "un rectangle dans l'image")
            findings.add([LineFinding("wrong-value", line, "value", expected, str(value)[:80])])
            return None
    kept, _, number = str(region.get("id", "")).partition("-")
    meta = region.get("meta") or {}
    text = meta.get("text")
    note = " ".join(map(str, text)) if isinstance(text, list) else text
    of_object = int(number) if kept == "object" and number.isdigit() else None
    unlabelled = NO_TAXON if of_object is None and "said" not in meta else UNJUDGED
    return Drawn(box, str(labels[0]) if labels else unlabelled, of_object, note or None)


def _box(value: Mapping[str, Any], region: Mapping[str, Any]) -> Box:
    """The box of a rectangle; around one that was turned about its left upper corner.

    Raises:
        ValueError: it is empty, or not within the picture.
    """
    left, top, wide, high = (value[name] / 100 for name in ("x", "y", "width", "height"))
    across: tuple[float, ...] = (0.0, wide)
    down: tuple[float, ...] = (0.0, high)
    if turned := math.radians(value.get("rotation") or 0):
        shape = region["original_width"] / region["original_height"]
        sine, cosine = math.sin(turned), math.cos(turned)
        across = (0.0, wide * cosine, -high / shape * sine, wide * cosine - high / shape * sine)
        down = (0.0, wide * shape * sine, high * cosine, wide * shape * sine + high * cosine)
    # Tools let people draw a little over the edge.
    sides = left + min(across), top + min(down), left + max(across), top + max(down)
    return box_of(*(min(max(side, 0.0), 1.0) for side in sides))


def _person(completed_by: Any) -> str | None:
    """Who annotated: an address, or the name that a task had in its place; a number of Label Studio's says nobody."""
    if isinstance(completed_by, dict):
        return str(completed_by.get("email") or "") or None
    return completed_by if isinstance(completed_by, str) and "@" in completed_by else None


def _moment(annotation: Mapping[str, Any]) -> datetime | None:
    text = annotation.get("updated_at") or annotation.get("created_at")
    try:
        found = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return found if found and found.tzinfo else None
