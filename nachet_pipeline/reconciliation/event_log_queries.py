"""SQL on the tables of Dagster's event log: what it has no way to clear itself, and what must be kept.

Dagster's public `delete_run` deletes a run and its events. It leaves the run's verdicts of checks, which are in a table
of their own, and it knows no way to delete events that belong to no run. These tables are no public interface: a test
compares the names used here with Dagster's schema.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch_column, fetch_value

_NO_RUN = ""
_ENDED_BACKFILLS = ("COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED")
_MADE = "'ASSET_MATERIALIZATION'"
# The latest materialization of an asset, or of a partition that there is still, is what the UI shows of it.
_LATEST = (
    "(case when e.partition is null then not exists (select from event_logs n where n.asset_key = e.asset_key"
    " and n.dagster_event_type = e.dagster_event_type and n.partition is null and n.id > e.id)"
    " else exists (select from dynamic_partitions d where d.partitions_def_name = any(%(definitions)s)"
    " and d.partition = e.partition) and not exists (select from event_logs n where n.asset_key = e.asset_key"
    " and n.dagster_event_type = e.dagster_event_type and n.partition = e.partition and n.id > e.id) end)"
)

# The table has an index by asset, check and run, in this order: there are few checks, which are found by leaps.
_KNOWN_CHECKS = (
    "with recursive known (asset_key, check_name) as ("
    " (select asset_key, check_name from asset_check_executions order by 1, 2 limit 1)"
    " union all select following.* from known, lateral (select asset_key, check_name from asset_check_executions"
    " where (asset_key, check_name) > (known.asset_key, known.check_name) order by 1, 2 limit 1) as following)"
)


def needed_runs(connection: Connection, runs: Sequence[str], definitions: Sequence[str]) -> set[str]:
    """Those of some runs that the UI needs: they made what it shows of an asset, or of a partition that there is still.

    Args:
        connection: to the database.
        runs: their identifiers.
        definitions: names of the definitions of partitions.
    """
    query = (
        "select distinct e.run_id from event_logs e where e.run_id = any(%(runs)s)"
        f" and e.dagster_event_type = {_MADE} and e.asset_key is not null and {_LATEST}"
    )
    return set(fetch_column(connection, query, {"runs": list(runs), "definitions": list(definitions)}))


def thin_runs(connection: Connection, runs: Sequence[str], definitions: Sequence[str]) -> int:
    """Delete from runs that are kept what the UI does not need of them: what concerns partitions that are gone.

    A run imports many uploads, of which one may keep it. What a check said last is in its own table, so that its events
    are not needed either.

    Returns:
        How many events were deleted.
    """
    gone = (
        "(e.partition is not null and not exists (select from dynamic_partitions d"
        " where d.partitions_def_name = any(%(definitions)s) and d.partition = e.partition))"
    )
    parameters = {"runs": list(runs), "definitions": list(definitions)}
    deleted = fetch_column(
        connection,
        f"delete from event_logs e where e.run_id = any(%(runs)s) and (e.dagster_event_type in"
        f" ('ASSET_CHECK_EVALUATION', 'ASSET_CHECK_EVALUATION_PLANNED') or {gone}) returning e.id",
        parameters,
    )
    _delete_tags(connection, deleted)
    connection.execute(
        f"{_KNOWN_CHECKS} delete from asset_check_executions e using known, unnest(%(runs)s::text[]) as run (id)"
        f" where e.asset_key = known.asset_key and e.check_name = known.check_name and e.run_id = run.id and {gone}",
        parameters,
    )
    return len(deleted)


def delete_verdicts(connection: Connection, runs: Sequence[str]) -> int:
    """Delete what checks said in some runs, and return how many verdicts that were.

    The last word of a check on no partition stays: it may be long ago that the check had a reason to speak.
    """
    return connection.execute(
        f"{_KNOWN_CHECKS} delete from asset_check_executions e using known, unnest(%s::text[]) as run (id)"
        " where e.asset_key = known.asset_key and e.check_name = known.check_name and e.run_id = run.id"
        " and (e.partition is not null or exists (select from asset_check_executions n where n.partition is null"
        " and n.asset_key = e.asset_key and n.check_name = e.check_name and n.id > e.id))",
        (list(runs),),
    ).rowcount


def delete_backfills(connection: Connection, before: datetime) -> int:
    """Delete backfills that ended, were started before a moment, and have no run any more; return how many."""
    deleted = fetch_column(
        connection,
        "delete from bulk_actions b where b.action_type = 'PARTITION_BACKFILL' and b.\"timestamp\" < %s"
        " and b.status = any(%s) and not exists (select from run_tags t where t.key = 'dagster/backfill'"
        " and t.value = b.key) returning b.key",
        (_as_stored(before), list(_ENDED_BACKFILLS)),
    )
    connection.execute("delete from backfill_tags where backfill_id = any(%s)", (deleted,))
    return len(deleted)


def delete_runless_events(
    connection: Connection, before: datetime, *, after: int, most: int, definitions: Sequence[str]
) -> tuple[int, int | None]:
    """Delete the next events that belong to no run and happened before a moment, but for what the UI shows still.

    Args:
        connection: to the database.
        before: the moment.
        after: behind this event.
        most: how many are looked at, at most.
        definitions: names of the definitions of partitions.

    Returns:
        How many were deleted, and the last that was looked at, None if there was none.
    """
    parameters = {
        "no_run": _NO_RUN,
        "before": _as_stored(before),
        "after": after,
        "most": most,
        "definitions": list(definitions),
    }
    old = (
        "select * from (select * from event_logs where run_id = %(no_run)s and id > %(after)s order by id"
        ' limit %(most)s) as next where "timestamp" < %(before)s'
    )
    last = cast("int | None", fetch_value(connection, f"select max(id) from ({old}) as old", parameters))
    if last is None:
        return 0, None
    # What a check said last is in its own table, whatever becomes of the event.
    deleted = fetch_column(
        connection,
        f"delete from event_logs using ({old}) as e where event_logs.id = e.id and (e.asset_key is null or"
        f" e.dagster_event_type is distinct from {_MADE} or not {_LATEST}) returning e.id",
        parameters,
    )
    _delete_tags(connection, deleted)
    return len(deleted), last


def delete_runless_verdicts(connection: Connection, before: datetime) -> int:
    """Delete what checks said outside of runs before a moment, but for the last word of each."""
    return connection.execute(
        "delete from asset_check_executions e where run_id = %s and create_timestamp < %s and exists (select from"
        " asset_check_executions n where n.asset_key = e.asset_key and n.check_name = e.check_name"
        " and n.run_id = e.run_id and n.partition is not distinct from e.partition and n.id > e.id)",
        (_NO_RUN, _as_stored(before)),
    ).rowcount


def _delete_tags(connection: Connection, events: Sequence[int]) -> None:
    connection.execute("delete from asset_event_tags where event_id = any(%s)", (list(events),))


def _as_stored(moment: datetime) -> datetime:
    """A moment as these tables have it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)
