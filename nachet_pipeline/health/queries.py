"""SQL of the pipeline's health: what waits, what was refused, what failed, what drifts, what grows.

Each query reads what is open, or what changed within a window, by an index. None reads all uploads or all pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row, kwargs_row, tuple_row

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_value
from nachet_pipeline.identifiers import partition_key

OPEN = (State.STAGED, State.QUEUED, State.IMPORTING, State.FAILED)
SETTLED = (State.IMPORTED, State.PARTLY_IMPORTED, State.REFUSED, State.WITHDRAWN)
NAMED = 100
"""A table lists this many rows at most; its numbers are complete."""

_MOST_REPORTS_READ = 5000
_MOST_DRIFT_COUNTED = 100_000
_EVENT_TABLES = (
    "event_logs",
    "asset_event_tags",
    "asset_check_executions",
    "runs",
    "run_tags",
    "job_ticks",
    "snapshots",
)


@dataclass(frozen=True, slots=True)
class ListedUpload:
    """An upload as a row of a table.

    Attributes:
        partition: its partition in Dagster.
        owner: e-mail address of its user.
        folder: its name.
        state: its state.
        since: when it got into this state.
        run_id: the last run that worked on it.
        attempts: how many runs in a row failed.
        failure: why it failed, if it did.
        codes: the errors of its report.
    """

    partition: str
    owner: str
    folder: str
    state: State
    since: datetime
    run_id: str | None
    attempts: int
    failure: str | None
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusals:
    """Refusals that share their code or their user, within the window.

    Attributes:
        name: the code, or the user's e-mail address.
        uploads: how many uploads.
        latest: when the last one was refused.
    """

    name: str
    uploads: int
    latest: datetime


@dataclass(frozen=True, slots=True)
class DriftCount:
    """Disagreements of one kind, as of the last reconciliation.

    Attributes:
        kind: the kind.
        number: how many.
        since: when the oldest was seen first.
    """

    kind: str
    number: int
    since: datetime


@dataclass(frozen=True, slots=True)
class EndingKey:
    """A user's newest upload key, which is about to end or has ended.

    Attributes:
        owner: e-mail address of the user.
        number: of the key.
        expires_at: when it ends.
    """

    owner: str
    number: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TaintedChampion:
    """A champion that was trained on photographs which nobody may use any more.

    Attributes:
        name: the version, as `NAME@VERSION`.
        since: since when it is champion.
        withdrawn: how many photographs were withdrawn.
        deleted: how many were deleted, while nothing else has the same content.
    """

    name: str
    since: datetime
    withdrawn: int
    deleted: int

    @property
    def found(self) -> str:
        """On how many of each it rests."""
        counts = ((self.withdrawn, "withdrawn"), (self.deleted, "deleted"))
        return f"champion {self.name} rests on {' and '.join(f'{n} {what}' for n, what in counts if n)} photographs"


@dataclass(frozen=True, slots=True)
class Sizes:
    """What grows.

    Attributes:
        database: bytes of all tables, ours and Dagster's.
        event_log: bytes of Dagster's events, runs and ticks in it.
        events: rows of the event log, about.
        uploads: uploads in all, about.
    """

    database: int
    event_log: int
    events: int
    uploads: int


def count_open(connection: Connection) -> dict[State, int]:
    """The uploads that are not settled, by state."""
    return _by_state(connection, OPEN, "true")


def count_settled(connection: Connection, since: datetime) -> dict[State, int]:
    """The uploads that were imported, refused or withdrawn since then, and are so still, by state."""
    return _by_state(connection, SETTLED, "updated_at >= %s", since)


def _by_state(connection: Connection, states: Sequence[State], which: str, *parameters: object) -> dict[State, int]:
    query = f"select state, count(*) from upload where state = any(%s) and {which} group by state"
    counts: dict[str, int] = dict(fetch(connection, tuple_row, query, (list(states), *parameters)))
    return {state: counts.get(state, 0) for state in states}


def last_settled(connection: Connection) -> datetime | None:
    """When an upload was last imported, refused or given up."""
    found: datetime | None = fetch_value(
        connection,
        "select max(last) from unnest(%s::text[]) as settled (state), lateral (select updated_at as last from upload"
        " where upload.state = settled.state order by updated_at desc limit 1) as latest",
        ([*(state for state in SETTLED if state is not State.WITHDRAWN), State.FAILED],),
    )
    return found


_ERRORS = "jsonb_path_query(receipt, '$.report.groups[*] ? (@.severity == \"error\").code') as error"
_LISTED = (
    "select upload.id, lower(users.email) as owner, upload.folder, upload.state, upload.run_id, upload.attempts,"
    " upload.receipt ->> 'failure' as failure, upload.since,"
    f" array(select distinct error #>> '{{}}' from {_ERRORS}) as codes"
)


def _listed(connection: Connection, which: str, parameters: Sequence[object]) -> list[ListedUpload]:
    # The receipts are read of those alone that are listed.
    query = f"{_LISTED} from ({which}) as upload join users on users.id = upload.owner_id order by upload.since"
    return fetch(connection, kwargs_row(_listed_upload), query, parameters)


def _listed_upload(*, id: UUID, state: str, codes: list[str], **row: object) -> ListedUpload:  # noqa: A002 (a column)
    partition = partition_key(id, str(row["folder"]))
    return ListedUpload(partition=partition, state=State(state), codes=tuple(codes), **row)  # type: ignore[arg-type]


def waiting_longest(connection: Connection) -> list[ListedUpload]:
    """The uploads that wait for a run or are in one, those that wait longest first."""
    return _listed(
        connection,
        "select *, case state when 'queued' then coalesce(queued_at, updated_at) else updated_at end as since"
        " from upload where state in ('queued', 'importing') order by since limit %s",
        (NAMED,),
    )


def failed_uploads(connection: Connection) -> list[ListedUpload]:
    """The uploads that failed, those that failed first before others."""
    return _listed(
        connection,
        "select *, updated_at as since from upload where state = 'failed' order by updated_at limit %s",
        (NAMED,),
    )


def refused_uploads(connection: Connection, since: datetime) -> list[ListedUpload]:
    """The uploads that were refused since then, as a whole or in part, and are so still; the newest first."""
    found = _listed(
        connection,
        "select *, updated_at as since from upload where state in ('refused', 'partly_imported')"
        " and updated_at >= %s order by updated_at desc limit %s",
        (since, NAMED),
    )
    return found[::-1]


def refusals(connection: Connection, since: datetime) -> tuple[list[Refusals], list[Refusals]]:
    """The refusals since then, whole or in part: by code and by user, the most frequent first.

    An upload counts for each of its codes. Of the newest `_MOST_REPORTS_READ` if there are more.
    """
    latest = (
        "with refused as materialized (select owner_id, receipt, updated_at from upload"
        " where state in ('refused', 'partly_imported') and updated_at >= %s order by updated_at desc limit %s)"
    )
    by_code = (
        f"{latest} select code as name, count(*) as uploads, max(updated_at) as latest from refused, lateral (select"
        f" distinct error #>> '{{}}' as code from {_ERRORS}) as found group by code order by uploads desc, code"
    )
    by_user = (
        f"{latest} select lower(email) as name, count(*) as uploads, max(refused.updated_at) as latest"
        " from refused join users on users.id = owner_id group by users.id order by uploads desc, name limit %s"
    )
    window = (since, _MOST_REPORTS_READ)
    return (
        fetch(connection, class_row(Refusals), by_code, window),
        fetch(connection, class_row(Refusals), by_user, (*window, NAMED)),
    )


def pictures_by_day(connection: Connection, now: datetime, days: int) -> dict[date, int]:
    """Pictures that uploads and mass imports brought on each of the last days (UTC), the newest day first."""
    listed = [now.date() - timedelta(days=ago) for ago in range(days)]
    rows = fetch(
        connection,
        tuple_row,
        "select (upload_date at time zone 'UTC')::date as day,"
        " sum((picture_set #>> '{image_data,number_of_images}')::bigint)::bigint"
        " from picture_set where upload_date >= %s::timestamp at time zone 'UTC' group by day",
        (listed[-1],),
    )
    counts: dict[date, int | None] = dict(rows)
    return {day: counts.get(day) or 0 for day in listed}


def drift_counts(connection: Connection) -> list[DriftCount]:
    """What storage and database disagree about, by kind, as of the last reconciliation."""
    return fetch(
        connection,
        class_row(DriftCount),
        "select kind, count(*) as number, min(first_seen) as since from (select kind, first_seen from drift limit %s)"
        " as counted group by kind order by kind",
        (_MOST_DRIFT_COUNTED,),
    )


def tainted_champions(connection: Connection) -> list[TaintedChampion]:
    """The champions that photographs taught which were withdrawn or deleted since, most of them first."""
    return fetch(
        connection,
        class_row(TaintedChampion),
        "select t.model || '@' || t.version as name, c.since,"
        " count(distinct photograph_id) filter (where gone = 'withdrawn') as withdrawn,"
        " count(distinct photograph_id) filter (where gone = 'deleted') as deleted"
        " from champion c join taught t using (model_version_id) where t.gone is not null"
        " group by 1, 2 order by count(distinct photograph_id) desc, 1",
    )


def ending_keys(connection: Connection, now: datetime, days: int) -> list[EndingKey]:
    """The upload keys that end within so many days, or have ended, and that no newer key has replaced.

    Of a key that lives a few days only, a quarter of its life counts instead. Disabled users need no key.
    """
    return fetch(
        connection,
        class_row(EndingKey),
        "select lower(email) as owner, ending.number, ending.expires_at from upload_key_end ending"
        " join users on users.id = ending.user_id where users.disabled_at is null"
        " and ending.expires_at <= %(now)s + interval '1 day' * %(days)s"
        " and ending.expires_at <= %(now)s + (ending.expires_at - ending.starts_at) / 4"
        " and not exists (select from upload_key_end newer where newer.user_id = ending.user_id"
        " and newer.number > ending.number) order by ending.expires_at limit %(most)s",
        {"now": now, "days": days, "most": NAMED},
    )


def sizes(connection: Connection) -> Sizes:
    """What the database holds; numbers of rows as PostgreSQL estimates them."""
    (found,) = fetch(
        connection,
        class_row(Sizes),
        # Dagster's tables are in a schema of theirs that the reader may not use, but for a database of long ago.
        "with ours as (select c.oid, relname, greatest(reltuples, 0)::bigint as about from pg_class c"
        " join pg_namespace n on n.oid = relnamespace where relkind = 'r' and nspname in ('dagster', current_schema()))"
        " select sum(pg_total_relation_size(oid))::bigint as database, coalesce(sum(pg_total_relation_size(oid))"
        " filter (where relname = any(%s)), 0)::bigint as event_log,"
        " coalesce(max(about) filter (where relname = 'event_logs'), 0) as events,"
        " coalesce(max(about) filter (where relname = 'upload'), 0) as uploads from ours",
        (list(_EVENT_TABLES),),
    )
    return found
