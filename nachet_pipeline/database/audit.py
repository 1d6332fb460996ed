"""The audit trail: who changed what, from what to what. PostgreSQL lets nobody change or remove a row of it.

Changes of users, picture sets, pictures, their links to seeds, and training sets are recorded by PostgreSQL itself, one
row for each, whichever program makes them; `changing` states who makes them and why. All other changes are recorded by
`record`. The program states whom a row names; PostgreSQL states its time and its login.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from nachet_pipeline import __version__
from nachet_pipeline.database.connection import Connection

PROGRAM = f"nachet_pipeline {__version__}"
"""The actor of changes that no person decided."""

_PAGE = 500


@contextmanager
def changing(
    connection: Connection, *, actor: str, action: str = "", note: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """State who makes the changes that follow in this transaction; PostgreSQL writes it into their rows.

    Args:
        connection: in whose transaction the changes are made.
        actor: as for `record`.
        action: what is done to each of the changed things; if empty, `added`, `changed` or `removed`.
        note: further keys of `after`, such as the reason; never a secret. They hide nothing of the change.

    Raises:
        ValueError: nobody makes them.
    """
    if not actor.strip():
        raise ValueError("somebody makes a change")
    state = "select set_config('nachet.actor', %s, true), set_config('nachet.action', %s, true),"
    state += " set_config('nachet.note', %s, true)"
    connection.execute(state, (actor, action, json.dumps(dict(note)) if note else ""))
    try:
        yield
    finally:
        # A failed transaction accepts no statement, and records nothing either.
        if connection.info.transaction_status is psycopg.pq.TransactionStatus.INTRANS:
            connection.execute(state, ("", "", ""))


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A row of the audit trail; see `record`.

    Attributes:
        id: its number.
        at: when it was recorded, by the clock of PostgreSQL.
        actor: who made it.
        login: the login of PostgreSQL that acted; None in rows that are older than the column.
        action: what was done.
        subject: the kind of thing.
        subject_id: which one.
        before: what it was.
        after: what it is.
    """

    id: int
    at: datetime
    actor: str
    login: str | None
    action: str
    subject: str
    subject_id: UUID | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def entries(
    connection: Connection, *, subject: str | None = None, since: datetime | None = None, most: int | None = None
) -> Iterator[AuditEntry]:
    """The entries of the trail, the latest first, read as they are needed.

    Args:
        connection: to the database; its transaction stays open while entries are read.
        subject: a kind of thing, or the identifier of one thing; everything if not given.
        since: only what was changed then or later.
        most: how many at most.
    """
    try:
        identifier = UUID(subject) if subject else None
    except ValueError:
        identifier = None
    conditions = []
    if identifier:
        conditions.append("subject_id = %(identifier)s")
    elif subject:
        conditions.append("subject = %(subject)s")
    if since:
        conditions.append("at >= %(since)s")
    where = f" where {' and '.join(conditions)}" if conditions else ""
    with connection.cursor("audit_entries", row_factory=class_row(AuditEntry)) as cursor:
        cursor.itersize = _PAGE
        cursor.execute(
            f"select id, at, actor, login, action, subject, subject_id, before, after from audit_trail{where}"
            " order by id desc limit %(most)s",
            {"identifier": identifier, "subject": subject, "since": since, "most": most},
        )
        yield from cursor


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
    """Record a change in the transaction that makes it, so that neither exists without the other.

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
        "select audit_note(%s, %s, %s, %s, %s, %s)",
        (actor, action, subject, subject_id, _json(before), _json(after)),
    )


class Noted(NamedTuple):
    """One of many changes of one kind of thing; see `record`."""

    action: str
    subject_id: UUID | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


def record_all(connection: Connection, changes: Iterable[Noted], *, actor: str, subject: str) -> None:
    """Record many changes, in their order, as `record` does each.

    Raises:
        ValueError: actor or subject is empty.
    """
    if not (actor.strip() and subject.strip()):
        raise ValueError("a row of the audit trail names who changed which kind of thing")
    with connection.cursor() as cursor:
        cursor.executemany(
            "select audit_note(%s, %s, %s, %s, %s, %s)",
            ((actor, one.action, subject, one.subject_id, _json(one.before), _json(one.after)) for one in changes),
        )


def _json(value: Mapping[str, Any] | None) -> Jsonb | None:
    return None if value is None else Jsonb(dict(value))
