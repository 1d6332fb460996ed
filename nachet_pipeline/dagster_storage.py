"""Dagster's storage of runs and events in PostgreSQL, over connections that stay open.

Dagster's own storage opens a connection for every statement of every event, so that many instances do not hold many
connections. An import writes some twenty events an upload. Over a new connection each costs 12 ms of processor time,
because PostgreSQL starts a process for it; over an open one it costs 2 ms. Each process of Dagster then holds three.

Dagster takes one three times for an event. So a connection that was just used is not asked whether it is still open:
what a server says when it closes one lies there, unread. And a table that was there once is not looked for again.
"""

import time
from collections.abc import Mapping
from select import POLLIN, poll
from typing import Any, Self

from click import ClickException
from dagster._core.storage.config import pg_config
from dagster._serdes import ConfigurableClassData
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
from sqlalchemy.engine import Engine
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from nachet_pipeline.errors import ActionableError, UnavailableError, raise_alone
from nachet_pipeline.local.embedded import meant, use_services
from nachet_pipeline.settings import Settings, SettingsError

_ADDRESSES = {"postgres_url", "postgres_db"}
_RECYCLED_SECONDS = 3600
_OVERFLOW = 10
_TRUSTED_SECONDS = 10.0
_RETURNED = "returned"


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


class _Pooled:
    """Keeps connections open, and replaces a dead one."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        # The parent has created the tables. Dagster has no setting for a pool.
        self._engine = self._pool(_RECYCLED_SECONDS, _OVERFLOW)

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

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Do as the parent does, whose pool would fail a request for each connection that died."""
        self._engine.dispose()
        self._engine = self._pool(pool_recycle, max_overflow)
        listen(self._engine, "connect", lambda held, _: set_pg_statement_timeout(held, statement_timeout))

    def dispose(self) -> None:
        super().dispose()  # type: ignore[misc]
        self._engine.dispose()


class _Runs(_Pooled, PostgresRunStorage):
    pass


class _Events(_Pooled, PostgresEventLogStorage):
    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self._tables: set[str] = set()
        super().__init__(*arguments, **settings)

    def has_table(self, table_name: str) -> bool:
        """Whether a table is there. Dagster asks with every verdict, and removes none."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables


class _Schedules(_Pooled, PostgresScheduleStorage):
    pass


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
