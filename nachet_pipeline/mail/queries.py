"""The rows of mails: what each tells, when it is due, and what became of it.

A mail tells what happened to its user, of its kind, between two numbers of the outbox. It takes up what happens until
it is tried first; what happens later is told by another. So nothing is told twice, and nothing is lost.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid5

from psycopg.rows import class_row, dict_row, tuple_row

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.moments import has_come
from nachet_pipeline.database.reading import fetch, fetch_column
from nachet_pipeline.events.event import CheckTurned, KeyEnding
from nachet_pipeline.events.queries import last_number
from nachet_pipeline.identifiers import NAMESPACE
from nachet_pipeline.settings import Notice
from nachet_pipeline.uploads.queries import MAX_ATTEMPTS

Kind = Notice | Literal["health"]

COLLECTED = timedelta(minutes=5)
"""A mail waits so long for more of its kind; a hundred refusals are one mail."""
APART = timedelta(minutes=30)
"""Two mails of one kind to one user are at least so far apart."""
DIGEST_HOUR = 11
"""When digests are sent, in UTC: early morning in Canada."""
RETRIED = timedelta(days=3)
"""A mail that the server does not take now is tried for so long. Nobody is told what happened while nothing was
collected for longer: mail was off."""
KEPT = timedelta(days=90)
"""What became of a mail is kept for so long."""
MOST_TOLD = 20
"""A mail lists this many folders or checks at most; it says how many there are."""

_PAUSES = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4))
_GROUPS_READ = 40

# The kind of mail that tells an event; null of an event that no mail tells.
_KIND = f"""case
    when type in ('upload.refused', 'upload.partly_imported') then 'refused'
    when type = 'upload.failed' and (data ->> 'attempts')::int >= {MAX_ATTEMPTS} then 'failed'
    when type = 'upload.imported' and (data #>> '{{findings,warning}}')::bigint > 0 then 'imported'
    when type = 'crops.done' and (data ->> 'differing')::bigint > 0 then 'imported'
    when type = 'key.ending' then 'key'
    when type in ('health.failing', 'health.passing') then 'health'
end"""


@dataclass(frozen=True, slots=True)
class KeptMail:
    """A mail as it is kept.

    Attributes:
        id: its identifier; also its Message-ID.
        recipient: e-mail address of the user; None: the operators.
        kind: what it tells.
        created_at: when the first that it tells was noticed.
        attempts: how often it was tried.
        failure: why it could not be sent when it was tried last.
        outcome: what became of it; None: it waits.
        ended_at: since when it waits no more.
    """

    id: UUID
    recipient: str | None
    kind: Kind
    created_at: datetime
    attempts: int
    failure: str | None
    outcome: Literal["sent", "failed", "unneeded"] | None
    ended_at: datetime | None

    @property
    def state(self) -> str:
        """What became of it, in words."""
        at = f" on {self.ended_at:%Y-%m-%d %H:%M}" if self.ended_at else ""
        reason = f": {self.failure}" if self.failure else ""
        match self.outcome:
            case "sent":
                return f"sent{at}{reason}"
            case "failed":
                return f"given up{at}{reason}"
            case "unneeded":
                return f"not needed any more{at}"
            case None:
                return f"tried {self.attempts} times{reason}" if self.attempts else "waits for more"


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A mail that somebody is about to send.

    Attributes:
        id: its identifier; also its Message-ID.
        user_id: whom it is for; None: the operators.
        kind: what it tells.
        first: number of the first event that it tells.
        last: number of the last.
        tried_at: when it was tried first.
    """

    id: UUID
    user_id: UUID | None
    kind: Kind
    first: int
    last: int
    tried_at: datetime


@dataclass(frozen=True, slots=True)
class ToldUpload:
    """An upload that a mail tells of.

    Attributes:
        folder: its name.
        state: its state.
        at: when it got into this state.
        codes: findings by code.
        counts: findings by severity.
        groups: the first groups of its report, as records.
        total: how many uploads the mail tells of.
    """

    folder: str
    state: State
    at: datetime
    codes: dict[str, int]
    counts: dict[str, int]
    groups: list[dict[str, Any]]
    total: int


def collect_mails(connection: Connection, now: datetime, default: Collection[Notice], *, operators: bool) -> None:
    """Make mails of what happened since it was done last, in the transaction that moves the cursor on.

    Args:
        connection: in whose transaction.
        now: the time.
        default: what users are told who never said what they want to be told.
        operators: whether there is anybody to tell of checks.
    """
    cursors = fetch(connection, tuple_row, "select number, read_at from mail_cursor for update skip locked")
    if not cursors:  # somebody else is at it
        return
    number, read_at = cursors[0]
    last = last_number(connection)
    if last > number and read_at and now - read_at <= RETRIED:
        _open_mails(connection, _told_since(connection, number, last, default, operators=operators), now)
    connection.execute("update mail_cursor set number = greatest(number, %s), read_at = %s", (last, now))
    connection.execute("delete from mail where outcome is not null and ended_at < %s", (now - KEPT,))


# A folder that was tried again by itself (a species was registered, rules changed) and is refused for the same, after a
# mail told so. That mail told it unless something else had happened to the folder by then.
_TOLD_BEFORE = """exists (
    select from event as earlier join mail on mail.addressee = earlier.owner_id and mail.kind = 'refused'
        and mail.outcome = 'sent' and earlier.number between mail.first and mail.last
    where earlier.subject = event.subject and earlier.number < event.number and earlier.type = event.type
        and earlier.data ->> 'submission' = event.data ->> 'submission'
        and earlier.data -> 'codes' = event.data -> 'codes'
        and not exists (
            select from event as meanwhile where meanwhile.subject = event.subject
                and meanwhile.number > earlier.number and meanwhile.number < event.number
                and meanwhile.type like 'upload.%%'
                and (meanwhile.at <= mail.ended_at or meanwhile.type <> all(
                    array['upload.staged', 'upload.queued', 'upload.importing', event.type]))
        )
)"""


def _told_since(
    connection: Connection, number: int, last: int, default: Collection[Notice], *, operators: bool
) -> list[dict[str, Any]]:
    return fetch(
        connection,
        dict_row,
        "select found.*, event.id as event from (select user_id, kind, min(number) as first, max(number) as last"
        f" from (select owner_id as user_id, number, {_KIND} as kind from event where number > %(number)s"
        f" and number <= %(last)s and not (type in ('upload.refused', 'upload.partly_imported') and {_TOLD_BEFORE}))"
        " as told left join users on users.id = user_id where kind = 'health' and %(operators)s"
        " or users.disabled_at is null and kind = any(coalesce(users.notify, %(default)s))"
        " group by user_id, kind) as found join event on event.number = found.first order by found.first",
        {"number": number, "last": last, "default": list(default), "operators": operators},
    )


def _open_mails(connection: Connection, found: Sequence[dict[str, Any]], now: datetime) -> None:
    rows = [
        {
            **one,
            "id": uuid5(NAMESPACE, f"mail\x1f{one['user_id']}\x1f{one['kind']}\x1f{one['event']}"),
            "addressee": one["user_id"] or UUID(int=0),
            "now": now,
            "due": _next_digest(now) if one["kind"] == "imported" else now + COLLECTED,
            "apart": APART,
        }
        for one in found
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into mail (id, user_id, kind, first, last, created_at, due_at) values (%(id)s, %(user_id)s,"
            " %(kind)s, %(first)s, %(last)s, %(now)s, greatest(%(due)s, (select max(ended_at) + %(apart)s from mail"
            " where addressee = %(addressee)s and kind = %(kind)s and outcome = 'sent' and ended_at <= %(now)s)))"
            " on conflict (addressee, kind) where attempts = 0 and outcome is null do update set last = excluded.last",
            rows,
        )


def _next_digest(now: datetime) -> datetime:
    today = now.replace(hour=DIGEST_HOUR, minute=0, second=0, microsecond=0)
    return today if now < today else today + timedelta(days=1)


def claim_mail(connection: Connection, now: datetime) -> ClaimedMail | None:
    """Take a mail that is due, so that nobody else sends it; who dies with it has it tried again a minute later.

    Of one kind, a user's mails leave in their order, and of digests one on a day (UTC).
    """
    found = fetch(
        connection,
        class_row(ClaimedMail),
        "update mail set attempts = attempts + 1, tried_at = coalesce(tried_at, %(now)s), due_at = %(now)s"
        " + (%(pauses)s::interval[])[least(attempts + 1, %(most)s)] where id = (select id from mail as due"
        f" where outcome is null and {has_come('due_at')} and not exists (select from mail as other"
        " where other.addressee = due.addressee and other.kind = due.kind and (other.outcome is null"
        " and other.first < due.first or due.kind = 'imported' and other.outcome = 'sent'"
        " and (other.ended_at at time zone 'UTC')::date = (%(now)s at time zone 'UTC')::date))"
        " order by due_at limit 1 for update skip locked) returning id, user_id, kind, first, last, tried_at",
        {"now": now, "pauses": list(_PAUSES), "most": len(_PAUSES)},
    )
    return found[0] if found else None


def end_mail(connection: Connection, mail: UUID, now: datetime, outcome: str, failure: str | None = None) -> None:
    """Record what became of a mail: `sent`, `failed` for good, or `unneeded`."""
    connection.execute(
        "update mail set outcome = %s, failure = %s, ended_at = %s where id = %s and outcome is null",
        (outcome, failure, now, mail),
    )


def record_failure(connection: Connection, mail: UUID, failure: str) -> None:
    """Record why a mail could not be sent now; it is tried again."""
    connection.execute("update mail set failure = %s where id = %s", (failure, mail))


_TOLD = f"number between %(first)s and %(last)s and {_KIND} = %(kind)s"


def _range(mail: ClaimedMail) -> dict[str, Any]:
    return {"first": mail.first, "last": mail.last, "kind": mail.kind, "user": mail.user_id, "most": MOST_TOLD}


def told_uploads(connection: Connection, mail: ClaimedMail) -> list[ToldUpload]:
    """The uploads that a mail tells of, the latest first, without those to which something else happened since."""
    return fetch(
        connection,
        class_row(ToldUpload),
        "select upload.folder, upload.state, upload.updated_at as at,"
        " coalesce(receipt #> '{report,codes}', '{}') as codes,"
        " coalesce(receipt #> '{report,counts}', '{}') as counts,"
        f" coalesce(jsonb_path_query_array(receipt, '$.report.groups[0 to {_GROUPS_READ - 1}]'), '[]') as groups, total"
        " from (select told.*, count(*) over () as total from (select distinct on (subject) subject, number from event"
        f" where owner_id = %(user)s and {_TOLD} order by subject, number desc) as told where not exists (select"
        " from event as later where later.subject = told.subject and later.number > told.number"
        " and later.type like 'upload.%%') order by number desc limit %(most)s) as told"
        " join upload on upload.id = told.subject::uuid order by told.number desc",
        _range(mail),
    )


def told_keys(connection: Connection, mail: ClaimedMail) -> list[KeyEnding]:
    """What was said of a user's keys that are about to end."""
    query = f"select data from event where owner_id = %(user)s and {_TOLD} order by number limit %(most)s"
    return [KeyEnding.model_validate(data) for data in fetch_column(connection, query, _range(mail))]


def told_checks(connection: Connection, mail: ClaimedMail) -> list[CheckTurned]:
    """The checks that turned, and did not turn back, with what was said of each last."""
    query = (
        f"select (array_agg(data order by number desc))[1] from event where {_TOLD}"
        " group by subject having count(*) %% 2 = 1 order by max(number) limit %(most)s"
    )
    return [CheckTurned.model_validate(data) for data in fetch_column(connection, query, _range(mail))]


_KEPT = (
    "select mail.id, lower(users.email) as recipient, kind, mail.created_at, attempts, failure, outcome, ended_at"
    " from mail left join users on users.id = mail.user_id"
)


def mails_of(connection: Connection, user: UUID) -> list[KeptMail]:
    """A user's five latest mails, the latest first."""
    query = f"{_KEPT} where addressee = %s order by mail.created_at desc, first desc limit 5"
    return fetch(connection, class_row(KeptMail), query, (user,))


def stuck_mails(connection: Connection, since: datetime, most: int) -> list[KeptMail]:
    """The mails that were given up since then or not taken for all, and those that were tried twice and wait still."""
    return fetch(
        connection,
        class_row(KeptMail),
        f"{_KEPT} where outcome is null and attempts > 1 and failure is not null or outcome in ('failed', 'sent')"
        " and failure is not null and ended_at >= %s order by mail.created_at desc limit %s",
        (since, most),
    )
