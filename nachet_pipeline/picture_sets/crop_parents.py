"""Crops follow their parents: they inherit the metadata of the picture they were cut from, and its seeds."""

from collections.abc import Sequence
from uuid import UUID

from psycopg.rows import tuple_row

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch_value
from nachet_pipeline.identifiers import picture_seed_id


def follow_parents(connection: Connection, picture_sets: Sequence[UUID]) -> None:
    """Copy metadata and seeds from pictures to their crops, so that a corrected upload corrects its crops.

    Args:
        connection: in whose transaction it is written; what is right already is not touched.
        picture_sets: the picture sets.
    """
    if not fetch_value(
        connection,
        "select exists (select from pictures where picture_set_id = any(%s) and detector is not null)",
        (list(picture_sets),),
    ):
        return
    of_sets = "c.parent = p.id and c.detector is not null and c.picture_set_id = any(%(sets)s)"
    said = (
        "c.picture || jsonb_build_object('user_data', p.picture -> 'user_data' || '{\"number_of_seeds\": 1}',"
        " 'metadata', p.picture -> 'metadata', 'terms', coalesce((select jsonb_object_agg(key, value)"
        " from jsonb_each(nullif(c.picture -> 'terms', 'null')) where key not like 'dwc:%%'), '{}')"
        " || coalesce((select"
        " jsonb_object_agg(key, value) from jsonb_each(p.picture -> 'terms') where key like 'dwc:%%'), '{}'))"
    )
    sets = {"sets": list(picture_sets)}
    changed = connection.execute(
        f"update pictures c set picture = {said} from pictures p where {of_sets}"
        " and p.picture ?& array['user_data', 'metadata', 'terms']"
        f" and c.picture is distinct from {said}",
        sets,
    ).rowcount
    changed += connection.execute(
        f"delete from picture_seed l using pictures c, pictures p where l.picture_id = c.id and {of_sets}"
        " and not exists (select from picture_seed whole where whole.picture_id = p.id"
        " and whole.seed_id is not distinct from l.seed_id)",
        sets,
    ).rowcount
    changed += connection.execute(
        "update picture_seed l set number_of_seeds = whole.number_of_seeds"
        " from pictures c, pictures p, picture_seed whole"
        f" where l.picture_id = c.id and {of_sets} and whole.picture_id = p.id"
        " and whole.seed_id is not distinct from l.seed_id"
        " and whole.number_of_seeds is distinct from l.number_of_seeds",
        sets,
    ).rowcount
    with connection.cursor(row_factory=tuple_row) as cursor:
        missing = cursor.execute(
            f"select c.id, whole.seed_id, whole.number_of_seeds from pictures c join pictures p on {of_sets}"
            " join picture_seed whole on whole.picture_id = p.id where not exists (select from picture_seed l"
            " where l.picture_id = c.id and l.seed_id is not distinct from whole.seed_id)",
            sets,
        ).fetchall()
        cursor.executemany(
            "insert into picture_seed (id, picture_id, seed_id, number_of_seeds) values (%s, %s, %s, %s)"
            " on conflict do nothing",
            [(picture_seed_id(crop, seed), crop, seed, number) for crop, seed, number in missing],
        )
    if changed or missing:  # once more: a crop may be cut from a crop that changed only now
        follow_parents(connection, picture_sets)
