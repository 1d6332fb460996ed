"""Dagster's storage of runs and events in PostgreSQL, over connections that stay open.

Dagster's own storage opens a connection for every statement of every event, so that many instances do not hold many
connections. An import writes some twenty events an upload. Over a new connection each costs 12 ms of processor time,
because PostgreSQL starts a process for it; over an open one it costs 2 ms. Each process of Dagster then holds three.

Dagster takes one three times for an event. So a connection that was just used is not asked whether it is still open:
what a server says when it closes one lies there, unread. And a table that was there once is not looked for again.

Events that belong together are written together: those that an import reports of an upload, and those by which Dagster
plans a run. One statement writes them, and one more for each asset; one by one, each takes three or four.
"""

import atexit
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from select import POLLIN, poll
from threading import local
from typing import Any, ClassVar, Self

from click import ClickException
from dagster import AssetCheckEvaluation, AssetKey, DagsterEventType, EventLogEntry, EventLogRecord
from dagster._core.storage.config import pg_config
from dagster._serdes import ConfigurableClassData, serialize_value
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import (
    DagsterPostgresException,
    create_pg_engine,
    get_token_provider_from_config,
    pg_url_from_config,
    set_pg_statement_timeout,
)
from psycopg2 import Error as PostgresError  # type: ignore[import-untyped]
from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from nachet_pipeline.errors import ActionableError, UnavailableError, raise_alone
from nachet_pipeline.local.embedded import meant, use_services
from nachet_pipeline.settings import Settings, SettingsError
from nachet_pipeline.support.quick_process import collect_seldom

collect_seldom()  # before the definitions are imported

_ADDRESSES = {"postgres_url", "postgres_db"}
_RECYCLED_SECONDS = 3600
_OVERFLOW = -1
"""Connections beyond the one that stays open: as many as are needed at a time. Dagster takes another while it holds
one, so threads that share a number of them could all wait for each other."""
_TRUSTED_SECONDS = 10.0
_RETURNED = "returned"
_TOGETHER_AT_MOST = 1000

# The identifiers are drawn in the order of the events. A verdict replaces the plan of its check, if there is one.
_WRITE = text("""
with given as (
    select nextval(pg_get_serial_sequence('event_logs', 'id')) as id, e.* from (
        select * from unnest(
            cast(:run_id as text[]), cast(:event as text[]), cast(:type as text[]), cast(:timestamp as timestamp[]),
            cast(:step_key as text[]), cast(:asset_key as text[]), cast(:partition as text[]),
            cast(:checked as text[]), cast(:check_name as text[]), cast(:checked_partition as text[]),
            cast(:status as text[]), cast(:target as bigint[])
        ) with ordinality as e (
            run_id, event, type, timestamp, step_key, asset_key, partition,
            checked, check_name, checked_partition, status, target, place
        ) order by place
    ) e
), written as (
    insert into event_logs (id, run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
    select id, run_id, event, type, timestamp, step_key, asset_key, partition from given
), judged as (
    insert into asset_check_executions (asset_key, check_name, run_id, execution_status, evaluation_event,
        evaluation_event_timestamp, evaluation_event_storage_id, materialization_event_storage_id, partition)
    select distinct on (checked, check_name, run_id, checked_partition)
        checked, check_name, run_id, status, event, timestamp, id, target, checked_partition
    from given where check_name is not null order by checked, check_name, run_id, checked_partition, id desc
    on conflict (asset_key, check_name, run_id, partition) do update set execution_status = excluded.execution_status,
        evaluation_event = excluded.evaluation_event,
        evaluation_event_timestamp = excluded.evaluation_event_timestamp,
        evaluation_event_storage_id = excluded.evaluation_event_storage_id,
        materialization_event_storage_id = excluded.materialization_event_storage_id
)
select id from given order by place
""")
_OF_ASSETS = {
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_OBSERVATION,
}


def _returned(_: object, entry: ConnectionPoolEntry) -> None:
    entry.info[_RETURNED] = time.monotonic()


def _look_at(held: Any, entry: ConnectionPoolEntry, _: object) -> None:
    """See that a connection is still open, before it is used again.

    Raises:
        DisconnectionError: it is not; SQLAlchemy then opens another.
    """
    if not held.closed and entry.info.get(_RETURNED, 0.0) + _TRUSTED_SECONDS > time.monotonic():
        unread = poll()
        unread.register(held, POLLIN)
        if not unread.poll(0):
            return
    try:
        with held.cursor() as cursor:
            cursor.execute("select 1")
    except PostgresError:
        raise DisconnectionError("PostgreSQL closed it") from None


_opened: dict[tuple[type, str], tuple[Engine, set[str]]] = {}
"""Pools of this process by storage and address, with what is known to be there. A code server opens the instance anew
for each tick of each sensor: to connect, and to ask what is there, took most of a tick that finds nothing."""


@atexit.register
def _close() -> None:
    """Say goodbye to PostgreSQL, which else logs each connection as lost."""
    for engine, _ in _opened.values():
        engine.dispose()


def _leave() -> None:
    """Let a forked process connect anew: the connections are its parent's."""
    for engine, _ in _opened.values():
        engine.dispose(close=False)
    _opened.clear()


os.register_at_fork(after_in_child=_leave)


class _Pooled:
    """Keeps connections open, and replaces a dead one.

    Attributes:
        MAIN_TABLE: where it is, the parent has created all tables.
    """

    MAIN_TABLE: ClassVar[str]

    def __init__(self, postgres_url: str, should_autocreate_tables: bool, *, token_provider: Any = None) -> None:
        place = (type(self), postgres_url)
        opened = None if token_provider else self._kept(place)
        self._there = opened[1] if opened else set()
        create = should_autocreate_tables and not opened
        super().__init__(postgres_url, create, token_provider=token_provider)  # type: ignore[call-arg]
        # The parent has created the tables. Dagster has no setting for a pool.
        self._engine = opened[0] if opened else self._pool(_RECYCLED_SECONDS, _OVERFLOW)
        self._is_shared = not token_provider
        if self._is_shared:
            _opened[place] = self._engine, self._there

    def _kept(self, place: tuple[type, str]) -> tuple[Engine, set[str]] | None:
        """The pool of an instance before, if the database still has the tables; else the parent says what is wrong."""
        opened = _opened.get(place)
        if opened is None:
            return None
        try:
            with opened[0].connect() as connection:
                found = connection.execute(text("select to_regclass(:name)"), {"name": self.MAIN_TABLE}).scalar()
        except SQLAlchemyError:
            found = None
        return opened if found else None

    def _pool(self, recycled_seconds: int, overflow: int) -> Engine:
        engine = create_pg_engine(
            self.postgres_url,  # type: ignore[attr-defined]
            self._token_provider,  # type: ignore[attr-defined]
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=overflow,
            pool_recycle=recycled_seconds,
        )
        listen(engine, "checkin", _returned)
        listen(engine, "checkout", _look_at)
        return engine

    def _is_there(self, name: str, look: Callable[[], bool]) -> bool:
        """Whether something of Dagster's is there; it removes nothing, so what was there is not looked for again."""
        if name not in self._there and look():
            self._there.add(name)
        return name in self._there

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Do as the parent does, whose pool would fail a request for each connection that died."""
        self._engine = self._pool(pool_recycle, max_overflow)
        self._is_shared = False
        listen(self._engine, "connect", lambda held, _: set_pg_statement_timeout(held, statement_timeout))

    def dispose(self) -> None:
        """Do as the parent does; connections that this process will take again stay open."""
        super().dispose()  # type: ignore[misc]
        if not self._is_shared:
            self._engine.dispose()


class _Runs(_Pooled, PostgresRunStorage):
    """Dagster looks for columns six times a run, each time by reading what the table consists of, in 5 ms."""

    MAIN_TABLE = "runs"

    def has_run_stats_index_cols(self) -> bool:
        """Whether runs have columns for when they started and ended."""
        return self._is_there("the times of runs", super().has_run_stats_index_cols)

    def has_backfill_id_column(self) -> bool:
        """Whether runs have a column for their backfill."""
        return self._is_there("the backfill of runs", super().has_backfill_id_column)


def _verdict(entry: EventLogEntry) -> AssetCheckEvaluation | None:
    event = entry.dagster_event
    if event is None or event.event_type is not DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    return event.asset_check_evaluation_data


def _can_wait(entry: EventLogEntry) -> bool:
    """Whether an event may be written with others: a line of the log, a word on an asset, a verdict on a partition."""
    verdict = _verdict(entry)
    if verdict:
        return bool(entry.run_id and verdict.partition)
    return entry.dagster_event is None or entry.dagster_event.event_type in _OF_ASSETS


def _row(entry: EventLogEntry) -> dict[str, Any]:
    event, verdict = entry.dagster_event, _verdict(entry)
    target = verdict.target_materialization_data if verdict else None
    return {
        "run_id": entry.run_id,
        "event": serialize_value(entry),
        "type": event.event_type_value if event else None,
        "timestamp": datetime.fromtimestamp(entry.timestamp, UTC).replace(tzinfo=None),
        "step_key": event.step_key if event else entry.step_key,
        "asset_key": event.asset_key.to_string() if event and event.asset_key else None,
        "partition": event.partition if event else None,
        "checked": verdict.asset_key.to_string() if verdict else None,
        "check_name": verdict.check_name if verdict else None,
        "checked_partition": verdict.partition if verdict else None,
        "status": ("SUCCEEDED" if verdict.passed else "FAILED") if verdict else None,
        "target": target.storage_id if target else None,
    }


class _Events(_Pooled, PostgresEventLogStorage):
    MAIN_TABLE = "event_logs"

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self._waiting = local()
        super().__init__(*arguments, **settings)

    @contextmanager
    def together(self) -> Iterator[dict[tuple[AssetKey, str | None], EventLogRecord]]:
        """Write what this thread reports when the context ends, however it does. Nobody reads it before.

        Afterwards it holds the materializations that were written together, by asset and partition.
        """
        self._waiting.events = []
        materialized: dict[tuple[AssetKey, str | None], EventLogRecord] = {}
        try:
            yield materialized
        finally:
            events, self._waiting.events = self._waiting.events, None
            for event, one in zip(events, self._write(events), strict=True):
                if event.dagster_event and event.asset_materialization:
                    place = event.asset_materialization.asset_key, event.dagster_event.partition
                    materialized[place] = EventLogRecord(one, event)

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event, or keep it until its context ends. One that cannot wait is written after those that do."""
        waiting = getattr(self._waiting, "events", None)
        if waiting is not None and _can_wait(event):
            waiting.append(event)
            return
        if waiting:
            self._waiting.events = []
            self._write(waiting)
        super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store what Dagster reports together, such as the plan of a run."""
        self._write([event for event in events if _can_wait(event)])
        for event in events:
            if not _can_wait(event):
                super().store_event(event)

    def _write(self, events: Sequence[EventLogEntry]) -> list[int]:
        """Write events, and return their identifiers."""
        if not events:
            return []
        rows = [_row(event) for event in events]
        with self.index_transaction() as connection:
            written = connection.execute(_WRITE, {name: [row[name] for row in rows] for name in rows[0]})
            ids = [int(one) for one in written.scalars()]
            of_assets = [(event, one) for event, one, row in zip(events, ids, rows, strict=True) if row["asset_key"]]
            if of_assets:
                self._store_asset_event_tags(connection, *zip(*of_assets, strict=True))
            # In one order, or two runs that report of the same assets could wait for each other.
            last = {row["asset_key"]: (event, one) for event, one, row in zip(events, ids, rows, strict=True)}
            for key in sorted(filter(None, last)):
                self._store_asset_event(connection, *last[key])
        return ids

    def has_asset_key_col(self, column_name: str) -> bool:
        """Whether assets have a column. Dagster looks three times before the first step of a run."""
        look = super().has_asset_key_col
        return self._is_there(f"the column {column_name} of assets", lambda: look(column_name))

    def has_secondary_index(self, name: str) -> bool:
        """Whether a migration of the data is complete. Each instance asks, with its first event of an asset."""
        look = super().has_secondary_index
        return self._is_there(f"the index {name}", lambda: look(name))

    def has_table(self, table_name: str) -> bool:
        """Whether a table is there. Dagster asks with every verdict."""
        look = super().has_table
        return self._is_there(table_name, lambda: look(table_name))


class _Schedules(_Pooled, PostgresScheduleStorage):
    """Dagster asks for these several times a tick of every sensor."""

    MAIN_TABLE = "jobs"

    def has_instigators_table(self) -> bool:
        """Whether the table of sensors and schedules is there."""
        return self._is_there("the table of instigators", super().has_instigators_table)

    def has_built_index(self, migration_name: str) -> bool:
        """Whether a migration of the data is complete."""
        look = super().has_built_index
        return self._is_there(migration_name, lambda: look(migration_name))


class StorageError(ClickException, ActionableError):
    """The storage cannot be had; the message is one line, and all that a command of Dagster's prints."""

    exit_code = UnavailableError.exit_code


class PooledPostgresStorage(DagsterPostgresStorage):
    """The class that dagster.yaml names. It takes the settings of Dagster's own storage in PostgreSQL.

    Without an address it is in the database of the pipeline: in the one that NACHET_DATABASE_URL names, else in the
    embedded one, which is started for the command that asks.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: Any = None,
    ) -> None:
        # This skips the parent's __init__, which would open the three storages that these replace.
        super(DagsterPostgresStorage, self).__init__()  # type: ignore[no-untyped-call]
        self.postgres_url = postgres_url
        self.should_autocreate_tables = should_autocreate_tables
        self._inst_data = inst_data
        # Dagster has no other setting for it. Without, it hands over the plan of a run one by one.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(_TOGETHER_AT_MOST))
        arguments = (postgres_url, should_autocreate_tables)
        self._run_storage = _Runs(*arguments, token_provider=token_provider)
        self._event_log_storage = _Events(*arguments, token_provider=token_provider)
        self._schedule_storage = _Schedules(*arguments, token_provider=token_provider)

    @classmethod
    def config_type(cls) -> Any:
        """The settings that dagster.yaml may give."""
        return pg_config()

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """The storage that dagster.yaml describes.

        Raises:
            StorageError: a setting is wrong, or the database does not answer.
        """
        try:
            return cls(
                pg_url_from_config(config_value) if _ADDRESSES & config_value.keys() else _pipeline_url(),
                config_value.get("should_autocreate_tables", True),
                inst_data,
                get_token_provider_from_config(config_value),
            )
        except ActionableError as error:
            raise_alone(StorageError(str(error)), error)
        except DagsterPostgresException as error:
            cause = error.__cause__
            reason = " ".join(str(cause.orig if isinstance(cause, DBAPIError) else error).split())
            raise_alone(StorageError(f"NACHET_DATABASE_URL: the database does not answer: {reason}"), error)


def _pipeline_url() -> str:
    settings = Settings.from_environment()
    if meant(settings):
        use_services(settings.home)
        settings = Settings.from_environment()
    if settings.database_url is None:
        raise SettingsError("NACHET_DATABASE_URL: is not set")
    return settings.database_url.get_secret_value()
