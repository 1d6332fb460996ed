"""The rows of webhooks, and of what each is still to be told."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row, tuple_row

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.moments import has_come
from nachet_pipeline.database.reading import fetch, fetch_column, fetch_value
from nachet_pipeline.events.queries import last_number
from nachet_pipeline.webhooks.webhook import Webhook

_SEED = 24
_NUMBERS_AT_ONCE = 10_000
LEAST_ATTEMPTS = 10
PATIENCE = timedelta(days=3)
"""An event is dead after so long and so many attempts."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook leads, encrypted.

    Attributes:
        id: its identifier.
        encrypted_url: its address.
        encrypted_secret: what signs.
        encrypted_former_secret: what signs as well, while its receiver changes the secret.
    """

    id: UUID
    encrypted_url: str = field(repr=False)
    encrypted_secret: str = field(repr=False)
    encrypted_former_secret: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that a webhook is to be told next.

    Attributes:
        webhook: which one.
        number: of the event.
        attempts: how often it was tried.
    """

    webhook: UUID
    number: int
    attempts: int


_TARGET = (
    "select id, encrypted_url, encrypted_secret,"
    " case when former_until > %(now)s then encrypted_former_secret end as encrypted_former_secret"
    " from webhook where id = any(%(ids)s)"
)
_DUE = f"paused_at is null and (webhook.next_at is null or {has_come('webhook.next_at')})"


def webhook_states(connection: Connection, only: str = "") -> list[Webhook]:
    """All webhooks, or those whose identifier begins so, the oldest first."""
    return fetch(
        connection,
        class_row(Webhook),
        "select id, place, types, created_at, created_by, paused_at, paused_because, failing_since,"
        " coalesce(last_error, (select one.last_error from webhook_delivery as one where webhook_id = id"
        "  and one.last_error is not null order by number limit 1)) as last_error, waiting, dead,"
        " least(oldest, (select at from event where number > cursor order by number limit 1)) as oldest"
        " from webhook_state, lateral (select count(*) filter (where dead_at is null) as waiting,"
        "  count(dead_at) as dead, min(since) filter (where dead_at is null) as oldest"
        "  from webhook_delivery where webhook_id = id) as counted"
        " where starts_with(id::text, %s) order by created_at, id",
        (only,),
    )


def any_webhook(connection: Connection) -> bool:
    """Whether somebody is to be told of events."""
    return bool(fetch_value(connection, "select exists (select from webhook where paused_at is null)"))


@contextmanager
def held_webhooks(connection: Connection, now: datetime) -> Iterator[list[Target]]:
    """The webhooks that may be told something now and that no other process holds; those that answer come first.

    They are held for as long as the context, or the connection, lasts.
    """
    try:
        due = fetch_column(connection, f"select id from webhook where {_DUE} order by failures, id", {"now": now})
        held = fetch_column(
            connection,
            "select id from unnest(%s::uuid[]) as due (id) where pg_try_advisory_lock(hashtextextended(id::text, %s))",
            (due, _SEED),
        )
        connection.commit()
        # Who held one before may have told it everything, or found that it does not answer.
        query = f"{_TARGET} and {_DUE} order by failures, id"
        yield fetch(connection, class_row(Target), query, {"now": now, "ids": held})
    finally:
        if not connection.closed:
            connection.rollback()
            connection.execute("select pg_advisory_unlock_all()")
            connection.commit()


def target_of(connection: Connection, webhook: UUID, now: datetime) -> Target:
    """Where a webhook leads."""
    (found,) = fetch(connection, class_row(Target), _TARGET, {"now": now, "ids": [webhook]})
    return found


def fan_out(connection: Connection, webhooks: Sequence[UUID], now: datetime) -> None:
    """Write down what webhooks are to be told of the events since they were asked last; of some thousands at once."""
    last = last_number(connection)
    parameters = {"ids": list(webhooks), "last": last, "most": _NUMBERS_AT_ONCE, "now": now}
    connection.execute(
        "insert into webhook_delivery (webhook_id, number, subject, since, next_at)"
        " select webhook.id, event.number, event.subject, %(now)s, %(now)s from webhook join event"
        " on event.number > webhook.cursor and event.number <= least(webhook.cursor + %(most)s, %(last)s)"
        " where webhook.id = any(%(ids)s)"
        " and types && array[event.type, split_part(event.type, '.', 1) || '.*', '*'] on conflict do nothing",
        parameters,
    )
    connection.execute(
        "update webhook set cursor = least(cursor + %(most)s, %(last)s) where id = any(%(ids)s) and cursor < %(last)s",
        parameters,
    )


def next_deliveries(
    connection: Connection, places: Mapping[UUID, int], under_way: Collection[Delivery], now: datetime, *, most: int
) -> list[Delivery]:
    """What webhooks are to be told next: of each subject its first event alone, the least tried before others.

    Who is told least at the moment comes first, and of those one by chance, so that none waits for all of the others.

    Args:
        connection: where to look.
        places: how many each webhook takes at most.
        under_way: what is being told.
        now: the time.
        most: how many all of them take together.
    """
    busy = Counter(one.webhook for one in under_way)
    return fetch(
        connection,
        class_row(Delivery),
        "select webhook, number, attempts from unnest(%(ids)s::uuid[], %(places)s::int[], %(busy)s::int[])"
        f" as asked (id, places, busy) join webhook on webhook.id = asked.id and {_DUE}, lateral ("
        " select webhook_id as webhook, number, attempts, row_number() over (order by attempts, number) as turn"
        " from webhook_delivery as one"
        f" where webhook_id = webhook.id and dead_at is null and {has_come('one.next_at')}"
        " and (webhook_id, number) not in"
        "  (select * from unnest(%(told)s::uuid[], %(numbers)s::bigint[]))"
        " and number = (select number from webhook_delivery as first where first.webhook_id = one.webhook_id"
        "  and first.subject = one.subject and first.dead_at is null order by number limit 1)"
        " order by attempts, number limit asked.places) as due order by busy + turn, failures, random() limit %(most)s",
        {
            "ids": list(places),
            "places": list(places.values()),
            "busy": [busy[one] for one in places],
            "told": [one.webhook for one in under_way],
            "numbers": [one.number for one in under_way],
            "now": now,
            "most": most,
        },
    )


def record_delivered(connection: Connection, delivery: Delivery) -> None:
    """Record that a webhook accepted an event."""
    told = "delete from webhook_delivery where webhook_id = %s and number = %s"
    connection.execute(told, (delivery.webhook, delivery.number))
    connection.execute(f"{_BEGIN_ANEW} where id = %s and failures > 0", (delivery.webhook,))


_BEGIN_ANEW = "update webhook set failures = 0, failing_since = null, next_at = null, last_error = null"


def defer(connection: Connection, delivery: Delivery, error: str, now: datetime, next_at: datetime) -> None:
    """Try an event again later, or give it up after three days."""
    connection.execute(
        "update webhook_delivery set attempts = attempts + 1, next_at = %(next)s, last_error = %(error)s, dead_at ="
        " case when attempts + 1 >= %(least)s and since <= %(long_ago)s then %(now)s::timestamptz end"
        " where webhook_id = %(id)s and number = %(number)s",
        {
            "id": delivery.webhook,
            "number": delivery.number,
            "next": next_at,
            "error": error,
            "now": now,
            "long_ago": now - PATIENCE,
            "least": LEAST_ATTEMPTS,
        },
    )


def record_failed(connection: Connection, delivery: Delivery, error: str, now: datetime, next_at: datetime) -> int:
    """Record that a webhook did not accept an event; it is tried again later, or given up after three days.

    Returns:
        How many attempts in a row the webhook failed at.
    """
    defer(connection, delivery, error, now, next_at)
    failed = fetch_value(
        connection,
        "update webhook set failures = failures + 1, failing_since = coalesce(failing_since, %s), last_error = %s"
        " where id = %s returning failures",
        (now, error, delivery.webhook),
    )
    return int(failed or 0)


def spare(connection: Connection, webhook: UUID, now: datetime, until: datetime) -> None:
    """Tell a webhook nothing for a while; if it accepted nothing for three days, give up what waited so long."""
    connection.execute("update webhook set next_at = %s where id = %s", (until, webhook))
    connection.execute(
        "update webhook_delivery as one set dead_at = %(now)s,"
        " last_error = coalesce(one.last_error, webhook.last_error) from webhook where webhook.id = %(id)s"
        " and failures >= %(least)s and failing_since <= %(long_ago)s"
        " and webhook_id = webhook.id and dead_at is null and since <= %(long_ago)s",
        {"id": webhook, "now": now, "long_ago": now - PATIENCE, "least": LEAST_ATTEMPTS},
    )


def add_webhook(
    connection: Connection,
    webhook: UUID,
    place: str,
    types: Sequence[str],
    *,
    url: str,
    secret: str,
    by: str,
    from_beginning: bool,
) -> None:
    """Add a webhook; address and secret are encrypted. It is told what happens from now on, or all that is kept."""
    connection.execute(
        "insert into webhook (id, place, types, encrypted_url, encrypted_secret, cursor, created_by)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        (webhook, place, list(types), url, secret, 0 if from_beginning else last_number(connection), by),
    )


def pause_webhook(connection: Connection, webhook: UUID, why: str) -> int:
    """Tell a webhook nothing; 0 if it was paused before."""
    query = "update webhook set paused_at = now(), paused_because = %s where id = %s and paused_at is null"
    return connection.execute(query, (why, webhook)).rowcount


def resume_webhook(connection: Connection, webhook: UUID, now: datetime) -> int:
    """Tell a webhook again what it was not told, for three days anew; 0 if it was not paused."""
    query = f"{_BEGIN_ANEW}, paused_at = null, paused_because = null where id = %s and paused_at is not null"
    resumed = connection.execute(query, (webhook,)).rowcount
    if resumed:
        connection.execute(f"{_TRY_ANEW} and dead_at is null", {"id": webhook, "now": now})
    return resumed


_TRY_ANEW = (
    "update webhook_delivery set dead_at = null, attempts = 0, since = %(now)s, next_at = %(now)s"
    " where webhook_id = %(id)s"
)


def retry_dead(connection: Connection, webhook: UUID, now: datetime) -> int:
    """Try again what was given up; how many events that are."""
    connection.execute(f"{_BEGIN_ANEW} where id = %s", (webhook,))
    return connection.execute(f"{_TRY_ANEW} and dead_at is not null", {"id": webhook, "now": now}).rowcount


def remove_webhook(connection: Connection, webhook: UUID) -> int:
    """Remove a webhook, and what it was still to be told."""
    return connection.execute("delete from webhook where id = %s", (webhook,)).rowcount


def replace_secret(connection: Connection, webhook: UUID, encrypted: str, former_until: datetime | None) -> int:
    """Sign with another secret, and until a moment with the former one as well."""
    return connection.execute(
        "update webhook set encrypted_former_secret = case when %(until)s::timestamptz is not null"
        " then encrypted_secret end, former_until = %(until)s, encrypted_secret = %(new)s where id = %(id)s",
        {"id": webhook, "new": encrypted, "until": former_until},
    ).rowcount


def encrypt_anew(connection: Connection, anew: Callable[[str], str]) -> int:
    """Replace everything that is stored encrypted by what a function makes of it; of how many webhooks."""
    query = "select id, encrypted_url, encrypted_secret, encrypted_former_secret from webhook order by id for update"
    stored = fetch(connection, tuple_row, query)
    for identifier, *encrypted in stored:
        connection.execute(
            "update webhook set encrypted_url = %s, encrypted_secret = %s, encrypted_former_secret = %s where id = %s",
            (*(one and anew(one) for one in encrypted), identifier),
        )
    return len(stored)
