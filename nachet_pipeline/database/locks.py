"""Locks that processes hold against each other, for longer than a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

from nachet_pipeline.database.connection import Connection


@contextmanager
def session_lock(connection: Connection, name: str, *, seed: int = 0) -> Iterator[None]:
    """Hold a lock, waiting for whoever has it, for as long as the connection lives at most.

    Args:
        connection: holds the lock.
        name: what is locked.
        seed: sets one kind of names apart from another.
    """
    connection.execute("select pg_advisory_lock(hashtextextended(%s, %s))", (name, seed))
    connection.commit()
    try:
        yield
    finally:
        release(connection, name, seed)


@contextmanager
def sole_lock(connection: Connection, name: str, busy: Exception) -> Iterator[None]:
    """Hold a lock that nobody else has, for as long as the connection lives at most.

    Args:
        connection: holds the lock.
        name: what is locked.
        busy: raised if another process has it.
    """
    row = connection.execute("select pg_try_advisory_lock(hashtextextended(%s, 0)) as taken", (name,)).fetchone()
    connection.commit()
    if not (row and row["taken"]):
        raise busy
    try:
        yield
    finally:
        release(connection, name)


def release(connection: Connection, name: str, seed: int = 0) -> None:
    """Let go of a lock, if the connection that holds it still lives."""
    if not connection.closed:
        connection.rollback()
        connection.execute("select pg_advisory_unlock(hashtextextended(%s, %s))", (name, seed))
        connection.commit()
