"""Locks that processes hold against each other, for longer than a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch_value


@contextmanager
def session_lock(connection: Connection, name: str, *, seed: int = 0, busy: Exception | None = None) -> Iterator[None]:
    """Hold a lock, for as long as the connection lives at most.

    Args:
        connection: holds the lock.
        name: what is locked.
        seed: sets one kind of names apart from another.
        busy: raised if another process has the lock; without it, wait for that process.
    """
    how = "pg_try_advisory_lock" if busy else "pg_advisory_lock"
    taken = fetch_value(connection, f"select {how}(hashtextextended(%s, %s))", (name, seed))
    connection.commit()
    if busy and not taken:
        raise busy
    try:
        yield
    finally:
        if not connection.closed:
            connection.rollback()
            connection.execute("select pg_advisory_unlock(hashtextextended(%s, %s))", (name, seed))
            connection.commit()
