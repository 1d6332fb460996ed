"""Files of predictions and their rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, tuple_row
from psycopg.types.json import Jsonb

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_column, fetch_value
from nachet_pipeline.models.findings import Findings
from nachet_pipeline.models.queries import trained_on

_STORED = "select p.id, p.sha256 from pictures p join picture_set s on s.id = p.picture_set_id and s.deleted_at is null"
_UNSTORED = f"not exists ({_STORED} where p.sha256 = i.sha256)"

_COLUMNS = (
    "id, sha256, picture_id, at, objects, boxes, box_scores, candidate_object, candidate_class, candidate_score,"
    " probabilities, embedding"
)


@dataclass(frozen=True, slots=True)
class PredictionFile:
    """A file of predictions that was read; see the columns of `prediction_file`.

    Attributes:
        id: its identifier, of its version and its content.
        version: `NAME@VERSION`.
        place: where it was.
        state: `recorded`, or `refused` as a whole because something in it is wrong.
        size: its bytes.
        lines: answers in it.
        predictions: of stored pictures, recorded now or before.
        new: recorded because of it.
        unknown_pictures: answers about pictures that are not stored; they are not recorded.
        on_trained: recorded ones about what the version was trained on.
        findings: what is wrong, and the first of the unknown pictures: a group for each code.
        recorded_at: when it was read last.
        recorded_by: by whom.
    """

    id: UUID
    version: str
    place: str
    state: str
    size: int
    lines: int
    predictions: int
    new: int
    unknown_pictures: int
    on_trained: int
    findings: list[dict[str, Any]]
    recorded_at: datetime
    recorded_by: str


@dataclass(frozen=True, slots=True)
class FileReceipt:
    """What became of a file of predictions.

    Attributes:
        file: what is recorded of it.
        findings: what is wrong with it, and the first of the unknown pictures, with their lines.
    """

    file: PredictionFile
    findings: Findings

    @property
    def recorded(self) -> bool:
        """Whether nothing in it is wrong."""
        return self.file.state == "recorded"


def begin_incoming(connection: Connection) -> None:
    """Make room for the answers of a file, until the transaction ends."""
    # An import keeps a table `incoming` for as long as its connection lives.
    connection.execute("create temp table said_now (like prediction including defaults) on commit drop")


def copy_incoming(connection: Connection, rows: bytes) -> None:
    """Send answers, as `copy_text` writes them."""
    with (
        connection.cursor() as cursor,
        cursor.copy(f"copy said_now ({_COLUMNS}, model_version_id, file_id) from stdin") as copy,
    ):
        copy.write(rows)


def stored_contents(connection: Connection, pictures: Sequence[UUID]) -> dict[UUID, bytes]:
    """The contents of those of some pictures that are stored."""
    rows: list[tuple[UUID, bytes]] = fetch(connection, tuple_row, f"{_STORED} where p.id = any(%s)", (list(pictures),))
    return dict(rows)


def unknown_contents(connection: Connection, most: int) -> tuple[int, list[str]]:
    """How many of the answers are about contents that are not stored, and the first of these contents."""
    connection.execute("analyze said_now")
    number = int(fetch_value(connection, f"select count(*) from said_now i where {_UNSTORED}"))
    if not number:
        return 0, []
    first = f"select distinct encode(sha256, 'hex') as content from said_now i where {_UNSTORED} order by 1 limit %s"
    return number, fetch_column(connection, first, (most,))


def record_incoming(connection: Connection, *, all_stored: bool) -> int:
    """Record the answers about contents that are stored, without those that are recorded already.

    Returns:
        How many are new.
    """
    return connection.execute(
        f"insert into prediction ({_COLUMNS}, model_version_id, file_id)"
        f" select {_COLUMNS}, model_version_id, file_id from said_now i"
        f"{'' if all_stored else f' where not ({_UNSTORED})'} on conflict (id) do nothing"
    ).rowcount


def incoming_on_trained(connection: Connection, version: UUID) -> int:
    """How many of the answers are about what their version was trained on."""
    trained = trained_on("p.sha256 in (select sha256 from said_now)")
    query = f"{trained} select count(*) from said_now where sha256 in (select sha256 from trained)"
    return int(fetch_value(connection, query, {"versions": [version]}))


_OLD = (
    "select p.id, p.at, not exists (select from judgement j where j.prediction_id = p.id) and not exists ("
    "select from (select x.id from pictures x where x.sha256 = p.sha256 union all select c.id from pictures x"
    "  join pictures c on c.parent = x.id where x.sha256 = p.sha256) found"
    " join training_set_member m on m.picture_id = found.id and m.split <> 0) as unwanted"
    " from prediction p where p.model_version_id = %(version)s and p.at < %(before)s"
    " and (p.at, p.id) > (%(at)s, %(id)s) order by p.at, p.id limit %(most)s"
)


def versions_to_clear(connection: Connection) -> list[UUID]:
    """The versions whose predictions need not be kept for ever: those that never were champion."""
    never = "not exists (select from model_champion c where c.model_version_id = v.id)"
    return fetch_column(connection, f"select v.id from model_version v where {never} order by 1")


def delete_old_predictions(
    connection: Connection, version: UUID, before: datetime, after: tuple[datetime, UUID], most: int
) -> tuple[int, tuple[datetime, UUID] | None]:
    """Delete what a version said before a moment, if nobody judged it and no evaluation asks for it.

    An evaluation asks for pictures that a training set held out, and for the photographs that they were cut from.

    Args:
        connection: in whose transaction it is done.
        version: a version that never was champion.
        before: the moment.
        after: time and identifier of the last prediction that was looked at.
        most: how many are looked at.

    Returns:
        How many were deleted, and the last one that was looked at; None if there are no more.
    """
    arguments = {"version": version, "before": before, "at": after[0], "id": after[1], "most": most}
    rows = fetch(connection, tuple_row, _OLD, arguments)
    unwanted = [identifier for identifier, _, unwanted in rows if unwanted]
    connection.execute("delete from prediction where id = any(%s)", (unwanted,))
    return len(unwanted), (rows[-1][1], rows[-1][0]) if rows else None


def write_file(connection: Connection, file: PredictionFile, version: UUID, sha256: bytes) -> PredictionFile:
    """Write what became of a file; what it brought when it was read before is its own still."""
    values = {name: getattr(file, name) for name in PredictionFile.__dataclass_fields__}
    values |= {"version": version, "sha256": sha256, "findings": Jsonb(file.findings)}
    (new,) = fetch_column(
        connection,
        "insert into prediction_file (id, model_version_id, place, sha256, size, state, lines, predictions, new,"
        " unknown_pictures, on_trained, findings, recorded_at, recorded_by) values (%(id)s, %(version)s, %(place)s,"
        " %(sha256)s, %(size)s, %(state)s, %(lines)s, %(predictions)s, %(new)s, %(unknown_pictures)s, %(on_trained)s,"
        " %(findings)s, %(recorded_at)s, %(recorded_by)s) on conflict (id) do update set place = excluded.place,"
        " state = excluded.state, lines = excluded.lines, predictions = excluded.predictions,"
        " new = prediction_file.new + excluded.new, unknown_pictures = excluded.unknown_pictures,"
        " on_trained = excluded.on_trained, findings = excluded.findings, recorded_at = excluded.recorded_at,"
        " recorded_by = excluded.recorded_by returning new",
        values,
    )
    return replace(file, new=int(new))


def prediction_files(connection: Connection, version: UUID | None = None, *, most: int = 1000) -> list[PredictionFile]:
    """Files of predictions, of one version or of all, the one that was read last first."""
    return fetch(
        connection,
        class_row(PredictionFile),
        "select f.id, m.name || '@' || v.version as version, place, state, size, lines, predictions, new,"
        " unknown_pictures, on_trained, findings, recorded_at, recorded_by from prediction_file f"
        " join model_version v on v.id = f.model_version_id join model m on m.id = v.model_id"
        " where %(version)s::uuid is null or v.id = %(version)s order by recorded_at desc, f.id limit %(most)s",
        {"version": version, "most": most},
    )
