"""Locks on shards of bulk work, one for each section, so that no two processes do the same work."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.support.shards import Shard

log = logging.getLogger(__name__)

_GATE = -1


@contextmanager
def shard_lock(
    connection: Connection,
    name: str,
    part: Shard,
    *,
    busy: Exception | None = None,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold a shard against shards that overlap it, for as long as the connection lives at most.

    Args:
        connection: holds the locks.
        name: of the work.
        part: the shard of it.
        busy: raised if another process has some of it; without it, wait for that process.
        waiting: called before waiting for another process.
    """
    if not _take_at_once(connection, name, part):
        if busy:
            raise busy
        waiting()
        # Everybody locks the lowest section first, so that two that wait never wait for each other.
        connection.execute(
            "select pg_advisory_lock(hashtextextended(%s, section))"
            " from (select section from generate_series(%s::int, %s) section order by section) as ordered",
            (name, part.first, part.last),
        )
        connection.commit()
    try:
        yield
    finally:
        try:
            connection.rollback()
            _release(connection, name, list(range(part.first, part.last + 1)))
        except psycopg.Error as error:
            # It was idle for long. The locks went with it; what others wrote is written.
            log.warning("the connection that kept other processes from the same work was lost: %s", error)


def _take_at_once(connection: Connection, name: str, part: Shard) -> bool:
    # One at a time: otherwise two that overlap could each take some, and both give up.
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, %s))", (name, _GATE))
    rows = connection.execute(
        "select section, pg_try_advisory_lock(hashtextextended(%s, section)) as taken"
        " from generate_series(%s::int, %s) section",
        (name, part.first, part.last),
    ).fetchall()
    taken = [int(str(row["section"])) for row in rows if row["taken"]]
    if len(taken) == len(rows):
        connection.commit()
        return True
    _release(connection, name, taken)
    return False


def _release(connection: Connection, name: str, sections: list[int]) -> None:
    connection.execute(
        "select pg_advisory_unlock(hashtextextended(%s, section)) from unnest(%s::int[]) section", (name, sections)
    )
    connection.commit()
