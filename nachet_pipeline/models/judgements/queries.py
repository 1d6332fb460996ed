"""Judgements in PostgreSQL, and what they are about."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import dict_row, tuple_row
from psycopg.types.json import Jsonb

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_column
from nachet_pipeline.models.judgements.judgement import Box, Judgement, Verdict

_COLUMNS = (
    "id, person, at, recorded_by, source, prediction_id, object, sha256, box, verdict, seed_id, corrected_box, sure,"
    " note, facts, withdraws"
)


@dataclass(frozen=True, slots=True)
class About:
    """What a judgement is about, looked up.

    Attributes:
        sha256: of the content.
        box: the region.
        taxon: what was predicted, or stated of the picture; None if nothing, or several taxa.
    """

    sha256: bytes
    box: Box | None = None
    taxon: UUID | None = None


@dataclass(frozen=True, slots=True)
class Predicted:
    """A prediction.

    Attributes:
        sha256: of the content.
        objects: what was found there, by number.
    """

    sha256: bytes
    objects: dict[int, About] = field(default_factory=dict)


def predicted(connection: Connection, identifiers: Sequence[UUID]) -> dict[UUID, Predicted]:
    """Predictions by identifier."""
    if not identifiers:
        return {}
    rows = fetch(connection, tuple_row, "select id, sha256 from prediction where id = any(%s)", (list(identifiers),))
    found = {prediction: Predicted(bytes(sha256)) for prediction, sha256 in rows}
    objects = fetch(
        connection,
        tuple_row,
        "select prediction_id, object, sha256, box, seed_id from predicted_object where prediction_id = any(%s)",
        (list(identifiers),),
    )
    for prediction, number, sha256, box, taxon in objects:
        found[prediction].objects[number] = About(bytes(sha256), tuple(box) if box else None, taxon)
    return found


def pictures_by_id(connection: Connection, identifiers: Sequence[UUID]) -> dict[UUID, About]:
    """Pictures and crops by identifier, with the one taxon that each is labelled as."""
    return dict(fetch(connection, _about_row, _LABELLED.format(key="p.id", kind="uuid[]"), (list(identifiers),)))


def pictures_by_content(connection: Connection, contents: Sequence[bytes]) -> dict[bytes, About]:
    """The same by SHA-256; the rows of a content may have several labels."""
    return dict(fetch(connection, _about_row, _LABELLED.format(key="p.sha256", kind="bytea[]"), (list(contents),)))


# Of a crop what is verified for it comes first, as in training sets.
_LABELLED = (
    "select {key}, p.sha256, array_agg(distinct coalesce(own.seed_id, d.seed_id, s.merged_into, s.id)) from pictures p"
    " left join pictures q on q.id = p.parent left join pictures g on g.id = q.parent"
    " left join lateral (select v.seed_id from judged_picture v where v.picture_id = p.id and p.parent is not null"
    "  limit 1) own on true"
    " left join lateral label_decision_of(coalesce(g.id, q.id, p.id)) d on true"
    " left join picture_seed l on l.picture_id = p.id left join seeds s on s.id = l.seed_id"
    " where {key} = any(%s::{kind}) group by 1, 2"
)


def _about_row(_cursor: Cursor[Any]) -> Callable[[Sequence[Any]], tuple[Any, About]]:
    return lambda row: (row[0], About(bytes(row[1]), None, row[2][0] if len(row[2]) == 1 else None))


def withdrawable(connection: Connection, identifiers: Sequence[UUID]) -> dict[UUID, About]:
    """What judgements are about, by identifier; those that take another back cannot be taken back."""
    if not identifiers:
        return {}
    columns = "id, sha256, box, verdict"
    rows = fetch(
        connection,
        dict_row,
        f"select {columns} from judgement where id = any(%(them)s)"
        f" union select {columns} from judging where id = any(%(them)s)",
        {"them": list(identifiers)},
    )
    return {
        row["id"]: About(bytes(row["sha256"]), tuple(row["box"]) if row["box"] else None)
        for row in rows
        if row["verdict"] != Verdict.WITHDRAWN
    }


def begin_judging(connection: Connection) -> None:
    """Make a place for judgements that are handed in, until the transaction ends."""
    connection.execute("create temp table judging (like judgement including defaults) on commit drop")


def put_judgements(connection: Connection, judgements: Iterable[Judgement], *, by: str, source: str) -> None:
    """Bring judgements there; see `record_judgements`."""
    with connection.cursor() as cursor, cursor.copy(f"copy judging ({_COLUMNS}) from stdin") as copy:
        for one in judgements:
            copy.write_row(_row(one, by, source))


def keep_judgements(connection: Connection) -> dict[bytes, int]:
    """Record those that were brought there and are new: how many of each content."""
    rows = fetch(
        connection,
        tuple_row,
        f"with made as (insert into judgement ({_COLUMNS}) select {_COLUMNS} from judging on conflict (id) do nothing"
        " returning sha256) select sha256, count(*) from made group by 1",
    )
    connection.execute("drop table judging")
    return {bytes(content): number for content, number in rows}


def _row(one: Judgement, by: str, source: str) -> tuple[Any, ...]:
    return (
        one.id,
        one.person,
        one.at,
        by,
        source,
        one.prediction,
        one.object,
        one.sha256,
        list(one.box) if one.box else None,
        one.verdict.value,
        one.taxon,
        list(one.corrected_box) if one.corrected_box else None,
        one.sure,
        one.note,
        Jsonb(dict(one.facts)),
        one.withdraws,
    )


_JUDGEMENT = (
    "j.id, j.person, j.at, j.sha256, j.verdict, j.box, coalesce(s.merged_into, s.id) as taxon, j.corrected_box,"
    " j.prediction_id as prediction, j.object, j.sure, j.note, j.withdraws, j.facts"
)


def judgements_of(connection: Connection, contents: Sequence[bytes]) -> list[Judgement]:
    """All judgements of contents, those that were taken back too; taxa as the registry knows them today."""
    rows = fetch(
        connection,
        dict_row,
        f"select {_JUDGEMENT} from judgement j left join seeds s on s.id = j.seed_id where j.sha256 = any(%s)"
        " order by j.at, j.id",
        (list(contents),),
    )
    return [judgement_of(row) for row in rows]


def judgement_of(row: Mapping[str, Any]) -> Judgement:
    """The judgement of a row."""
    boxes = {name: tuple(row[name]) if row[name] else None for name in ("box", "corrected_box")}
    return Judgement(**{**row, **boxes, "verdict": Verdict(row["verdict"]), "sha256": bytes(row["sha256"])})


def judged_contents(
    connection: Connection, person: str | None = None, *, after: bytes = b"", limit: int | None = None
) -> list[bytes]:
    """The contents that were judged, by a person if one is named, in their order.

    Args:
        connection: to the database.
        person: who judged them.
        after: only those after this one.
        limit: how many at most.
    """
    query = (
        "select distinct sha256 from judgement where sha256 > %(after)s"
        " and (%(person)s::text is null or person = %(person)s) order by 1 limit %(limit)s"
    )
    return fetch_column(connection, query, {"person": person, "after": after, "limit": limit})


def outcome_counts(connection: Connection) -> dict[str, int]:
    """How many contents and regions come to what."""
    return dict(fetch(connection, tuple_row, "select outcome, count(*) from judged group by 1"))


@dataclass(frozen=True, slots=True)
class RecordedJudgement:
    """A recorded judgement, with what stands beside it.

    Attributes:
        judgement: the judgement.
        taxon: name of its taxon.
        source: where it came from.
        taken_back: whether it was.
    """

    judgement: Judgement
    taxon: str | None
    source: str
    taken_back: bool


def judgements_page(
    connection: Connection,
    *,
    contents: Sequence[bytes] | None = None,
    person: str | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[RecordedJudgement]:
    """Judgements in the order of their times, a page at a time.

    Args:
        connection: to the database.
        contents: only those of these contents.
        person: only those of this person.
        after: time and identifier of the last one of the page before.
        limit: how many at most.
    """
    rows = fetch(
        connection,
        dict_row,
        f"select {_JUDGEMENT}, s.name, j.source,"
        " exists (select from judgement w where w.withdraws = j.id) as taken_back"
        " from judgement j left join seeds s on s.id = j.seed_id"
        " where (%(contents)s::bytea[] is null or j.sha256 = any(%(contents)s))"
        " and (%(person)s::text is null or j.person = %(person)s)"
        " and (%(at)s::timestamptz is null or (j.at, j.id) > (%(at)s, %(id)s::uuid))"
        " order by j.at, j.id limit %(limit)s",
        {
            "contents": None if contents is None else list(contents),
            "person": person.strip().lower() if person else None,
            "at": after[0] if after else None,
            "id": after[1] if after else None,
            "limit": limit,
        },
    )
    beside = ("name", "source", "taken_back")
    return [
        RecordedJudgement(
            judgement_of({name: value for name, value in row.items() if name not in beside}),
            row["name"],
            row["source"],
            row["taken_back"],
        )
        for row in rows
    ]


def content_of(connection: Connection, subject: UUID) -> bytes | None:
    """The content of a picture, a crop or a prediction; None if there is none of that identifier."""
    query = "select sha256 from pictures where id = %(id)s union all select sha256 from prediction where id = %(id)s"
    found = fetch_column(connection, query, {"id": subject})
    return bytes(found[0]) if found else None


def is_prediction(connection: Connection, subject: UUID) -> bool:
    """Whether there is a prediction of this identifier."""
    return bool(fetch_column(connection, "select id from prediction where id = %s", (subject,)))
