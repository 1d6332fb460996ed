"""The audit trail: who changed what, from what to what. PostgreSQL lets nobody change or remove a row of it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from nachet_pipeline.database.connection import Connection


def record(
    connection: Connection,
    *,
    actor: str,
    action: str,
    subject: str,
    subject_id: UUID | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Note a change, in the transaction that makes it: neither is ever there without the other.

    Args:
        connection: in whose transaction the change is made.
        actor: who made it: a person's e-mail address, or a program with its version.
        action: what was done, as a past participle: `added`, `renamed`, …
        subject: what kind of thing was changed: `seed`, `user`, …
        subject_id: which one, None if it has no identifier.
        before: what it was, None if it was not; never a secret.
        after: what it is, None if it is no more; never a secret.

    Raises:
        ValueError: actor, action or subject is empty.
    """
    if not (actor.strip() and action.strip() and subject.strip()):
        raise ValueError("a row of the audit trail names who did what to which kind of thing")
    connection.execute(
        "insert into audit_trail (actor, action, subject, subject_id, before, after) values (%s, %s, %s, %s, %s, %s)",
        (actor, action, subject, subject_id, _json(before), _json(after)),
    )


def _json(value: Mapping[str, Any] | None) -> Jsonb | None:
    return None if value is None else Jsonb(dict(value))
