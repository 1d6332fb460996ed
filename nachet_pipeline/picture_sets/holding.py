"""Keeping imports of a user from beginning, while something of theirs is removed or moved."""

from uuid import UUID

import psycopg

from nachet_pipeline.database.connection import Connection

_SECONDS_TO_WAIT_FOR_A_LOCK = 5


HELD = (
    "exists (select from pg_locks where locktype = 'advisory' and granted"
    " and database = (select oid from pg_database where datname = current_database())"
    " and (classid::bigint << 32 | objid::bigint) = hashtextextended({}::text, 0))"
)


def hold_imports(connection: Connection, owner: UUID) -> bool:
    """Keep imports of a user from beginning until the transaction ends.

    An import finds an orphan's blob stored already, and then writes a row that points at it: nothing may be removed
    in between. New uploads, and new containers, refer to the user's row; those that are known have a row or a lock.

    Returns:
        False if one is under way; the transaction is then rolled back.
    """
    try:
        connection.execute(f"set local lock_timeout = '{_SECONDS_TO_WAIT_FOR_A_LOCK}s'")
        connection.execute("select from users where id = %s for update", (owner,))
        row = connection.execute(
            "with held as (select id, state from upload where owner_id = %s order by id for update)"
            f" select coalesce(bool_or(state in ('queued', 'importing') or {HELD.format('held.id')}), false) as busy"
            " from held",
            (owner,),
        ).fetchone()
        busy = bool(row and row["busy"])
        if not busy:
            row = connection.execute(
                "select coalesce(bool_and(pg_try_advisory_xact_lock(hashtextextended(m.id::text, 0))), true) as held"
                " from mass_import m join container c on c.id = m.container_id where c.owner_id = %s",
                (owner,),
            ).fetchone()
            busy = not (row and row["held"])
    except psycopg.errors.LockNotAvailable:
        busy = True
    if busy:
        connection.rollback()
    return not busy
