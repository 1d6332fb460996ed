"""Upload keys and what became of them; the keys themselves only encrypted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import cast
from uuid import UUID

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.locks import session_lock
from nachet_pipeline.users.key import KeyKind, UploadKey

_COLUMNS = (
    "id, user_id, number, container, kind, permissions, starts_at, expires_at, created_at, created_by,"
    " encrypted_sas, shown_at, shown_to, revoked_at"
)


def _key(row: dict[str, object]) -> UploadKey:
    return UploadKey(
        id=cast(UUID, row["id"]),
        user=cast(UUID, row["user_id"]),
        number=cast(int, row["number"]),
        container=str(row["container"]),
        kind=KeyKind(str(row["kind"])),
        permissions=str(row["permissions"]),
        starts_at=cast(datetime, row["starts_at"]),
        expires_at=cast(datetime, row["expires_at"]),
        created_at=cast(datetime, row["created_at"]),
        created_by=str(row["created_by"]),
        encrypted_sas=cast("str | None", row["encrypted_sas"]),
        shown_at=cast("datetime | None", row["shown_at"]),
        shown_to=cast("str | None", row["shown_to"]),
        revoked_at=cast("datetime | None", row["revoked_at"]),
    )


@contextmanager
def user_lock(connection: Connection, user: UUID) -> Iterator[None]:
    """Hold a user's keys against other processes, for as long as the connection lives at most."""
    with session_lock(connection, str(user), seed=11):
        yield


def keys_of(connection: Connection, user: UUID) -> list[UploadKey]:
    """All keys that a user ever had, the newest first."""
    rows = connection.execute(f"select {_COLUMNS} from upload_key where user_id = %s order by number desc", (user,))
    return [_key(row) for row in rows]


def add_key(connection: Connection, key: UploadKey) -> None:
    """Note a new key."""
    connection.execute(
        "insert into upload_key (id, user_id, number, container, kind, permissions, encrypted_sas, starts_at,"
        " expires_at, created_at, created_by) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            key.id,
            key.user,
            key.number,
            key.container,
            key.kind,
            key.permissions,
            key.encrypted_sas,
            key.starts_at,
            key.expires_at,
            key.created_at,
            key.created_by,
        ),
    )


def mark_shown(connection: Connection, key: UUID, to: str) -> None:
    """Note that a key was shown."""
    connection.execute("update upload_key set shown_at = now(), shown_to = %s where id = %s", (to, key))


def end_key_at(connection: Connection, key: UUID, expires_at: datetime) -> None:
    """Let a key expire at another time."""
    connection.execute("update upload_key set expires_at = %s where id = %s", (expires_at, key))


def revoke_keys(connection: Connection, keys: Sequence[UUID]) -> None:
    """Note that keys are revoked, and forget them."""
    connection.execute(
        "update upload_key set revoked_at = now(), encrypted_sas = null where id = any(%s) and revoked_at is null",
        (list(keys),),
    )


def forget_expired(connection: Connection, now: datetime) -> int:
    """Forget what keys were that opened something once.

    Returns:
        How many.
    """
    return connection.execute(
        "update upload_key set encrypted_sas = null where encrypted_sas is not null and expires_at <= %s", (now,)
    ).rowcount


def encrypted_keys(connection: Connection) -> list[tuple[UUID, str]]:
    """Everything that is stored encrypted, locked against changes until the transaction ends."""
    rows = connection.execute(
        "select id, encrypted_sas from upload_key where encrypted_sas is not null order by id for update"
    )
    return [(cast(UUID, row["id"]), str(row["encrypted_sas"])) for row in rows]


def replace_encrypted(connection: Connection, key: UUID, encrypted: str) -> None:
    """Store a key as it is encrypted now."""
    connection.execute("update upload_key set encrypted_sas = %s where id = %s", (encrypted, key))
