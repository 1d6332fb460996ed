"""Tasks for the tools that people draw with: what a version predicted, picture by picture, and what was judged of it.

What comes back is compared with what was predicted: a box that is as it was is right, one that was moved, named
otherwise, deleted or added says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import dict_row, tuple_row

from nachet_pipeline.crops.detecting import SAME_REGION, overlap
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch
from nachet_pipeline.models.judgements.judgement import Box, Stated, Verdict
from nachet_pipeline.models.judgements.queries import RecordedJudgement, judgements_page

Which = Literal["unjudged", "disputed", "all"]

LABEL_OF = {
    Verdict.NOT_A_SEED: "(not a seed)",
    Verdict.UNUSABLE: "(unusable)",
    Verdict.UNSURE: "(not sure)",
    Verdict.WRONG: "(wrong)",
}
"""The labels by which tools say what is no taxon."""

UNJUDGED, NO_TAXON = "(not judged)", "(no taxon)"
SPECIAL = (*LABEL_OF.values(), UNJUDGED, NO_TAXON)
_VERDICT_OF = {label: verdict for verdict, label in LABEL_OF.items()}

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
_MOVED = 0.0005
"""A side that differs by no more was not moved: tools round."""


@dataclass(frozen=True, slots=True)
class TaskObject:
    """An object of a prediction.

    Attributes:
        number: from 1.
        box: where; None: the whole picture.
        taxon: the name of the best candidate's taxon; None if it has none.
        score: of that candidate, or of the box.
    """

    number: int
    box: Box | None
    taxon: str | None
    score: float | None

    @property
    def label(self) -> str:
        """As tools show it."""
        return self.taxon or NO_TAXON


@dataclass(frozen=True, slots=True)
class Task:
    """A picture to judge.

    Attributes:
        picture: a stored picture or crop of the content.
        sha256: of the content.
        container: where it is.
        blob: its name there.
        width: in pixels.
        height: in pixels.
        prediction: what is to be judged.
        model: the version that predicted it, `NAME@VERSION`.
        objects: what it found.
        judged: what was said of it and counts still.
    """

    picture: UUID
    sha256: bytes
    container: str
    blob: str
    width: int
    height: int
    prediction: UUID
    model: str
    objects: Sequence[TaskObject] = ()
    judged: Sequence[RecordedJudgement] = ()


# Of each content the newest prediction; the least sure comes first.
_TASKS = """
select p.id as picture, newest.sha256, c.name as container, p.blob, p.width, p.height, newest.id as prediction
from (
    select distinct on (q.sha256) q.id, q.sha256 from prediction q where q.model_version_id = %(version)s
    order by q.sha256, q.at desc, q.recorded_at desc, q.id
) newest
    cross join lateral (
        select p.id, p.blob, p.width, p.height, s.container_id from pictures p
            join picture_set s on s.id = p.picture_set_id and s.deleted_at is null
        where p.sha256 = newest.sha256 and p.superseded_at is null and p.withdrawn_at is null order by p.id limit 1
    ) p
    join container c on c.id = p.container_id
where %(which)s = 'all'
    or (%(which)s = 'unjudged' and not exists (select from judged j where j.sha256 = newest.sha256))
    or (%(which)s = 'disputed'
        and exists (select from judged j where j.sha256 = newest.sha256 and j.outcome = 'disputed'))
order by (select min(coalesce(o.score, o.box_score)) from predicted_object o where o.prediction_id = newest.id)
    nulls first, newest.sha256
limit %(limit)s
"""


def tasks(
    connection: Connection, version: UUID, model: str, *, which: Which = "unjudged", limit: int = 1000
) -> list[Task]:
    """What of a version's predictions is to be judged.

    Args:
        connection: to the database.
        version: the version of a model.
        model: its name, `NAME@VERSION`.
        which: what nobody judged yet, what is disputed, or everything.
        limit: how many pictures at most.
    """
    rows = fetch(connection, dict_row, _TASKS, {"version": version, "which": which, "limit": limit})
    objects = objects_of(connection, [row["prediction"] for row in rows])
    judged: dict[bytes, list[RecordedJudgement]] = {}
    after: tuple[datetime, UUID] | None = None
    contents = [bytes(row["sha256"]) for row in rows]
    while page := judgements_page(connection, contents=contents, after=after, limit=1000):
        for one in page:
            if not one.taken_back and one.judgement.verdict is not Verdict.WITHDRAWN:
                judged.setdefault(one.judgement.sha256, []).append(one)
        after = page[-1].judgement.at, page[-1].judgement.id
    return [
        Task(
            **{**row, "sha256": bytes(row["sha256"])},
            model=model,
            objects=objects.get(row["prediction"], ()),
            judged=judged.get(bytes(row["sha256"]), ()),
        )
        for row in rows
    ]


def objects_of(connection: Connection, predictions: Sequence[UUID]) -> dict[UUID, list[TaskObject]]:
    """The objects of predictions; those that are not stored are left out."""
    known = fetch(connection, tuple_row, "select id from prediction where id = any(%s)", (list(predictions),))
    found: dict[UUID, list[TaskObject]] = {prediction: [] for (prediction,) in known}
    rows = fetch(
        connection,
        tuple_row,
        "select prediction_id, object, box, s.name, coalesce(score, box_score) from predicted_object"
        " left join seeds s on s.id = seed_id where prediction_id = any(%s) order by 1, 2",
        (list(predictions),),
    )
    for prediction, number, box, taxon, score in rows:
        found[prediction].append(TaskObject(number, tuple(box) if box else None, taxon, score))
    return found


def newest_prediction(connection: Connection, sha256: bytes) -> UUID | None:
    """The newest prediction about a content, whosever it is."""
    query = "select id from prediction where sha256 = %s order by at desc, recorded_at desc, id limit 1"
    rows = fetch(connection, tuple_row, query, (sha256,))
    return rows[0][0] if rows else None


def picture_size(connection: Connection, picture: UUID | None, sha256: bytes | None) -> tuple[bytes, int, int] | None:
    """SHA-256, width and height of a picture, by identifier or by content; None if it is not stored."""
    rows = fetch(
        connection,
        tuple_row,
        "select sha256, width, height from pictures where id = %s or (%s::uuid is null and sha256 = %s) limit 1",
        (picture, picture, sha256),
    )
    return (bytes(rows[0][0]), rows[0][1], rows[0][2]) if rows else None


@dataclass(frozen=True, slots=True)
class Drawn:
    """A region as a tool gives it back.

    Attributes:
        box: where; None: the whole picture.
        label: name of a taxon, or one of `SPECIAL`.
        number: the object that it was, if the tool kept that.
        note: what was written to it.
        facts: what else there is to keep.
    """

    box: Box | None
    label: str
    number: int | None = None
    note: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def compared(
    objects: Sequence[TaskObject],
    drawn: Sequence[Drawn],
    *,
    prediction: UUID,
    person: str,
    at: datetime,
    line: int,
) -> list[Stated]:
    """What somebody says of a prediction by what they drew; see the module.

    Args:
        objects: what was predicted.
        drawn: what came back.
        prediction: which prediction it is.
        person: who drew.
        at: when.
        line: where that was read.
    """
    pairs = _paired(objects, drawn)

    def said(verdict: Verdict, number: int | None, one: Drawn | None, **more: Any) -> Stated:
        note, facts = (one.note, one.facts) if one else (None, {})
        return Stated(
            person, verdict, at, prediction=prediction, object=number, note=note, facts=facts, line=line, **more
        )

    found = []
    for thing in objects:
        one = pairs.get(thing.number)
        if one is None:
            found.append(said(Verdict.NOT_A_SEED, thing.number, None))
            continue
        if one.label == UNJUDGED:
            continue
        corrected = one.box if _moved(thing.box, one.box) else None
        if one.label in _VERDICT_OF:
            found.append(said(_VERDICT_OF[one.label], thing.number, one))
        elif one.label not in {thing.label, NO_TAXON}:
            found.append(said(Verdict.TAXON, thing.number, one, taxon=one.label, corrected_box=corrected))
        elif corrected:
            found.append(said(Verdict.BOX, thing.number, one, taxon=thing.taxon, corrected_box=corrected))
        else:
            found.append(said(Verdict.RIGHT, thing.number, one))
    taken = {id(one) for one in pairs.values()}
    for one in drawn:
        if id(one) not in taken and one.label not in (*LABEL_OF.values(), UNJUDGED):
            taxon = None if one.label == NO_TAXON else one.label
            found.append(said(Verdict.MISSED, None, one, taxon=taxon, corrected_box=one.box or WHOLE))
    return found


def _paired(objects: Sequence[TaskObject], drawn: Sequence[Drawn]) -> dict[int, Drawn]:
    """Which drawn region is which object: by its number, or the one that shares most with it.

    If a tool copied a region with its number, the copy is another object.
    """
    pairs: dict[int, Drawn] = {}
    for thing in objects:
        numbered = [one for one in drawn if one.number == thing.number]
        if numbered:
            pairs[thing.number] = max(numbered, key=lambda one: overlap(thing.box or WHOLE, one.box or WHOLE))
    left = [one for one in drawn if one.number is None]
    shared = [
        (overlap(thing.box or WHOLE, one.box or WHOLE), -thing.number, -place)
        for thing in objects
        if thing.number not in pairs
        for place, one in enumerate(left)
    ]
    taken: set[int] = set()
    for share, number, place in sorted(shared, reverse=True):
        if share >= SAME_REGION and -number not in pairs and -place not in taken:
            pairs[-number] = left[-place]
            taken.add(-place)
    return pairs


def _moved(one: Box | None, other: Box | None) -> bool:
    return any(abs(here - there) > _MOVED for here, there in zip(one or WHOLE, other or WHOLE, strict=True))
