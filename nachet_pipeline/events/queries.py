"""The rows of events: the outbox.

Events of uploads, crops and training sets are written by the tables' triggers (migration 0023); all others by
`record_event`. Each is in the transaction that lets it happen, so that neither exists without the other.
"""

from collections.abc import Collection, Sequence
from uuid import UUID, uuid4

from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_value
from nachet_pipeline.errors import UsageError
from nachet_pipeline.events.event import Event, EventData, EventType

_LOCKS = 7209138
"""The upper half of the locks that writers hold; the lower half is a number before theirs."""
_COLUMNS = "number, id, type, subject, owner_id as owner, at, data"
_KNOWN = list(EventType)
"""A newer release may have written events of other types; this one passes them over."""


def record_event(
    connection: Connection,
    kind: EventType,
    subject: str,
    data: EventData,
    *,
    owner: UUID | None = None,
    identifier: UUID | None = None,
) -> None:
    """Record an event in the transaction that lets it happen.

    Args:
        connection: in whose transaction.
        kind: what happened.
        subject: to what.
        data: the rest.
        owner: whose it is.
        identifier: of something that is noticed again and again and is to be told once; a new one if not given.
    """
    connection.execute(
        "insert into event (id, type, subject, owner_id, data) values (%s, %s, %s, %s, %s) on conflict do nothing",
        (identifier or uuid4(), kind, subject, owner, Jsonb(data.model_dump(mode="json", exclude_none=True))),
    )


def last_number(connection: Connection) -> int:
    """The number up to which all events are committed; none that comes later has a number before it.

    A number is taken before its transaction ends. Until then, whoever writes events holds a lock that is named by a
    number before its own. The sequence is read before the locks: who takes a number between the two gets a later one.

    The answer holds for statements that begin after it, in a transaction that sees what others commit meanwhile.
    """
    last = fetch_value(connection, "select case when is_called then last_value else 0 end from event_number_seq")
    first_open = fetch_value(
        connection,
        "select min(objid::bigint) from pg_locks where locktype = 'advisory' and classid = %s and objsubid = 1"
        " and database = (select oid from pg_database where datname = current_database())",
        (_LOCKS,),
    )
    return int(last if first_open is None else min(last, first_open))


def events_after(
    connection: Connection,
    after: int,
    *,
    types: Collection[EventType] = (),
    owner: UUID | None = None,
    limit: int = 100,
) -> tuple[list[Event], int]:
    """The events after a number, in their order.

    Args:
        connection: to the database that is written to; a replica does not know who is writing.
        after: a number; 0 is before all events.
        types: only these; all that this release knows if empty.
        owner: only what is this user's.
        limit: how many at most.

    Returns:
        The events, and the number to continue after: nothing before it is still to come.

    Raises:
        UsageError: no event can have that number yet.
    """
    last = last_number(connection)
    if after > last and after > fetch_value(connection, "select last_value from event_number_seq"):
        raise UsageError("after: there is no such event yet; was the database restored? begin at 0, or ask for None")
    found = fetch(
        connection,
        kwargs_row(Event.of_row),
        f"select {_COLUMNS} from event where number > %(after)s and number <= %(last)s"
        " and type = any(%(types)s) and (%(owner)s::uuid is null or owner_id = %(owner)s)"
        " order by number limit %(limit)s",
        {
            "after": after,
            "last": last,
            "types": list(types) or _KNOWN,
            "owner": owner,
            "limit": limit,
        },
    )
    return found, found[-1].number if len(found) == limit else max(after, last)


def find_events(connection: Connection, numbers: Sequence[int]) -> list[Event]:
    """The events with these numbers, in their order; those that were cleared, or of an unknown type, are missing."""
    return fetch(
        connection,
        kwargs_row(Event.of_row),
        f"select {_COLUMNS} from event where number = any(%s) and type = any(%s) order by number",
        (list(numbers), _KNOWN),
    )


def latest_event(connection: Connection, subject: str, types: Collection[EventType]) -> Event | None:
    """The last event of a subject that has one of some types."""
    found = fetch(
        connection,
        kwargs_row(Event.of_row),
        f"select {_COLUMNS} from event where subject = %s and type = any(%s) order by number desc limit 1",
        (subject, list(types)),
    )
    return found[0] if found else None
