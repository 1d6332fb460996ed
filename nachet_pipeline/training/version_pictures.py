"""What the database knows of the pictures of a version of a training set: aggregates, and few rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from psycopg.rows import class_row, tuple_row

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch
from nachet_pipeline.picture_sets.withdrawn_content import live_elsewhere
from nachet_pipeline.reprocessing.queries import Versions
from nachet_pipeline.training.manifest import PictureFile

_PLACES = 20
_MEMBERS = (
    "select picture_id, unnest(coalesce(class_indices, array[class_index])) as class_index from training_set_member"
)


@dataclass(frozen=True, slots=True)
class NotCurrent:
    """Pictures of a version that are not what they were when they were stored, or are wanted no more.

    Attributes:
        withdrawn: those that were withdrawn, or deleted with their folder while nothing else has the same content.
        superseded: those that a correction took out, or that are cut otherwise today, likewise.
        refused: those that today's rules would refuse.
        broken: those whose file was found missing, changed or unreadable.
        stale: those judged by other rules, or measured by other code, than today's.
    """

    withdrawn: int
    superseded: int
    refused: int
    broken: int
    stale: int


def imported_by_day(connection: Connection, version: UUID) -> dict[date, int]:
    """How many pictures of a version were imported on which day (UTC)."""
    rows = fetch(
        connection,
        tuple_row,
        "select (p.upload_date at time zone 'UTC')::date as day, count(*) as pictures from training_set_member m"
        " join pictures p on p.id = m.picture_id where m.training_set_id = %s group by 1",
        (version,),
    )
    return dict(rows)


def not_current(connection: Connection, version: UUID, current: Versions) -> NotCurrent:
    """How many pictures of a version are not current.

    Args:
        connection: to the database.
        version: the version.
        current: today's rules and code.
    """
    elsewhere = live_elsewhere("p")
    (counts,) = fetch(
        connection,
        class_row(NotCurrent),
        f"select count(*) filter (where p.withdrawn_at is not null or s.deleted_at is not null and not {elsewhere})"
        " as withdrawn, count(*) filter (where p.withdrawn_at is null and s.deleted_at is null"
        f"   and p.superseded_at is not null and not {elsewhere}) as superseded,"
        " count(*) filter (where v.state = 'refused') as refused,"
        " count(*) filter (where v.state in ('missing', 'changed', 'unreadable')) as broken,"
        " count(*) filter (where coalesce(p.rule_set_version, '') <> %(rules)s"
        "   or coalesce(p.enrichment_version, '') <> %(enrichment)s) as stale"
        " from training_set_member m join pictures p on p.id = m.picture_id"
        " join picture_set s on s.id = p.picture_set_id"
        " left join picture_verdict v on v.picture_id = p.id"
        " where m.training_set_id = %(version)s",
        {"version": version, "rules": current.rules, "enrichment": current.enrichment},
    )
    return counts


def changes_by_class(connection: Connection, version: UUID, previous: UUID) -> dict[int, tuple[int, int]]:
    """Pictures that came into each class since an earlier version of the same set, and pictures that left it.

    Args:
        connection: to the database.
        version: the version.
        previous: the earlier one.

    Returns:
        Number added and number removed by class index; a picture of another label counts on both sides, one of several
        labels for each of them.
    """
    rows = fetch(
        connection,
        tuple_row,
        f"with now as ({_MEMBERS} where training_set_id = %(version)s),"
        f" before as ({_MEMBERS} where training_set_id = %(previous)s)"
        " select class_index, count(*) filter (where before.picture_id is null) as added,"
        " count(*) filter (where now.picture_id is null) as removed"
        " from now full join before using (picture_id, class_index) group by class_index",
        {"version": version, "previous": previous},
    )
    return {index: (added, removed) for index, added, removed in rows if added or removed}


def files_of(connection: Connection, pictures: Sequence[str]) -> dict[str, PictureFile]:
    """Where some pictures are, by their identifiers."""
    found = fetch(
        connection,
        class_row(PictureFile),
        "select p.id::text as picture_id, s.id::text as picture_set_id, c.name as container, p.blob, p.size,"
        " encode(p.sha256, 'hex') as sha256, p.format"
        " from pictures p join picture_set s on s.id = p.picture_set_id join container c on c.id = s.container_id"
        " where p.id = any(%s::uuid[])",
        (list(pictures),),
    )
    return {one.picture_id: one for one in found}


def places_of(connection: Connection, picture: UUID, sha256: str) -> list[tuple[str, str]]:
    """Containers and blobs where a picture's bytes may be today: its own row's place, then those of the same file."""
    rows = fetch(
        connection,
        tuple_row,
        "select c.name, p.blob from pictures p join picture_set s on s.id = p.picture_set_id"
        " join container c on c.id = s.container_id where p.sha256 = %s and s.purged_at is null and p.purged_at is null"
        " order by p.id <> %s, s.deleted_at is not null, p.superseded_at is not null, p.id limit %s",
        (bytes.fromhex(sha256), picture, _PLACES),
    )
    return [(container, blob) for container, blob in rows]
