"""The rows of upload keys; the keys themselves are kept only encrypted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import kwargs_row, tuple_row

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.locks import session_lock
from nachet_pipeline.database.reading import fetch
from nachet_pipeline.users.key import KeyKind, UploadKey

_COLUMNS = (
    'id, user_id as "user", number, container, kind, permissions, starts_at, expires_at, created_at, created_by,'
    " encrypted_sas, shown_at, shown_to, revoked_at"
)


def _key(kind: str, **stored: Any) -> UploadKey:
    return UploadKey(kind=KeyKind(kind), **stored)


@contextmanager
def user_lock(connection: Connection, user: UUID) -> Iterator[None]:
    """Hold a user's keys against other processes, for as long as the connection lives at most."""
    with session_lock(connection, str(user), seed=11):
        yield


def upload_keys_of(connection: Connection, user: UUID) -> list[UploadKey]:
    """All keys that a user ever had, the newest first."""
    query = f"select {_COLUMNS} from upload_key where user_id = %s order by number desc"
    return fetch(connection, kwargs_row(_key), query, (user,))


def add_key(connection: Connection, key: UploadKey) -> None:
    """Record a new key."""
    connection.execute(
        "insert into upload_key (id, user_id, number, container, kind, permissions, encrypted_sas, starts_at,"
        " expires_at, created_at, created_by) values (%(id)s, %(user)s, %(number)s, %(container)s, %(kind)s,"
        " %(permissions)s, %(encrypted_sas)s, %(starts_at)s, %(expires_at)s, %(created_at)s, %(created_by)s)",
        asdict(key),
    )


def mark_shown(connection: Connection, key: UUID, to: str) -> None:
    """Record that a key was shown."""
    connection.execute("update upload_key set shown_at = now(), shown_to = %s where id = %s", (to, key))


def end_key_at(connection: Connection, key: UUID, expires_at: datetime) -> None:
    """Change the time at which a key expires."""
    connection.execute("update upload_key set expires_at = %s where id = %s", (expires_at, key))


def revoke_keys(connection: Connection, keys: Sequence[UUID]) -> None:
    """Record that keys are revoked, and forget the keys themselves."""
    connection.execute(
        "update upload_key set revoked_at = now(), encrypted_sas = null where id = any(%s) and revoked_at is null",
        (list(keys),),
    )


def forget_expired(connection: Connection, now: datetime) -> int:
    """Forget the encrypted form of expired keys.

    Returns:
        How many.
    """
    return connection.execute(
        "update upload_key set encrypted_sas = null where encrypted_sas is not null and expires_at <= %s", (now,)
    ).rowcount


def encrypted_keys(connection: Connection) -> list[tuple[UUID, str]]:
    """Everything that is stored encrypted, locked against changes until the transaction ends."""
    query = "select id, encrypted_sas from upload_key where encrypted_sas is not null order by id for update"
    return fetch(connection, tuple_row, query)


def replace_encrypted(connection: Connection, key: UUID, encrypted: str) -> None:
    """Store a key as it is encrypted now."""
    connection.execute("update upload_key set encrypted_sas = %s where id = %s", (encrypted, key))
