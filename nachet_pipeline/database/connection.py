"""Connections to PostgreSQL, and its migrations."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from threading import Lock
from typing import TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout
from pydantic import SecretStr

from nachet_pipeline.errors import UnavailableError

CONNECT_SECONDS = 5
MINIMUM_VERSION = 14
Connection = psycopg.Connection[dict[str, object]]

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a transaction that was cut off is tried again: a restart of PostgreSQL is over by then."""

_KEEPALIVE = {
    # What lies between may drop a connection that is silent, as one is that holds a lock during a long import; and a
    # server that vanished without a word is noticed within a minute or two instead of never.
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 6,
    "tcp_user_timeout": 60_000,
}

# What another try may cure: no connection, a lost one, a server that restarts, a deadlock.
_PASSING = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)

_Result = TypeVar("_Result")

log = logging.getLogger(__name__)


class DatabaseError(UnavailableError):
    """PostgreSQL cannot be reached or refuses; the message is one line that names it, without its password."""


def _place(url: SecretStr) -> str:
    """Where a database is, for messages.

    Raises:
        DatabaseError: the address cannot be read; what libpq would say of it quotes parts of the password.
    """
    try:
        parts = urlsplit(url.get_secret_value())
        place = f"{parts.hostname or 'local socket'}{f':{parts.port}' if parts.port else ''}{parts.path}"
        conninfo_to_dict(url.get_secret_value())
    except (ValueError, psycopg.Error):
        parts = None
    if parts is None or parts.netloc.count("@") > 1:
        raise DatabaseError(
            "PostgreSQL: its address cannot be read; expected postgresql://user:password@host:port/database with"
            " %, /, @, #, ? and : in user and password written as %25, %2F, %40, %23, %3F and %3A"
        )
    return place


class Database:
    """A pool of connections to one database. A context manager; safe to use from several threads."""

    def __init__(self, url: SecretStr, *, connections: int = 4, pauses: Sequence[float] = PAUSES) -> None:
        """Use a database; nothing is sent until the first connection is asked for.

        Args:
            url: `postgresql://…`.
            connections: how many are open at a time, at most.
            pauses: seconds to wait before each further try of a transaction, see `transact`.
        """
        self.pauses = pauses
        self.place = _place(url)
        self._url = url
        self._connections = connections
        self._pool: ConnectionPool[Connection] | None = None
        self._lock = Lock()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _open(self) -> "ConnectionPool[Connection]":
        if self._pool is None:
            # A first connection of its own tells at once, and in words, why there is none; a pool only times out.
            with psycopg.connect(self._url.get_secret_value(), connect_timeout=CONNECT_SECONDS) as probe:
                version = probe.info.server_version // 10_000
                if version < MINIMUM_VERSION:
                    raise DatabaseError(
                        f"PostgreSQL at {self.place}: version {MINIMUM_VERSION} or later is needed, found {version}"
                    )
            self._pool = ConnectionPool(
                self._url.get_secret_value(),
                min_size=0,
                max_size=self._connections,
                timeout=CONNECT_SECONDS + 3,
                kwargs={
                    "row_factory": dict_row,
                    "connect_timeout": CONNECT_SECONDS,
                    "application_name": "nachet",
                    **_KEEPALIVE,
                },
                check=ConnectionPool.check_connection,
                open=True,
            )
        return self._pool

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection whose work is one transaction: committed at the end, rolled back on an exception.

        Raises:
            DatabaseError: the database cannot be reached, or a statement failed.
        """
        try:
            with self._lock:
                pool = self._open()
            with pool.connection() as connection:
                yield connection
        except (psycopg.Error, PoolTimeout) as error:
            lines = str(error).strip().splitlines()
            reason = lines[0] if lines else type(error).__name__
            if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
                reason += "; run `nachet db upgrade`"
            raise DatabaseError(f"PostgreSQL at {self.place}: {reason}") from error

    def transact(self, work: Callable[[Connection], _Result]) -> _Result:
        """Do work in one transaction, and all of it again in a new one if the database was lost meanwhile.

        Whether a transaction was committed whose connection broke at its end, nobody can tell: the work must come to
        the same if it is done twice.

        Raises:
            DatabaseError: the database refuses, or does not come back within the pauses.
        """
        for pause in self.pauses:
            try:
                with self.connection() as connection:
                    return work(connection)
            except DatabaseError as error:
                if not isinstance(error.__cause__, _PASSING):
                    raise
                log.warning("%s; trying again in %s s", error, pause)
            time.sleep(pause)
        with self.connection() as connection:
            return work(connection)


def migrate(url: SecretStr, revision: str = "head") -> None:
    """Bring a database to a revision of the tables.

    Raises:
        DatabaseError: the database cannot be reached, or refuses.
    """
    import sqlalchemy  # noqa: PLC0415 (Alembic and SQLAlchemy are slow to import and needed here alone)
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    place = _place(url)
    config = Config()
    config.set_main_option("script_location", str(files("nachet_pipeline.database") / "migrations"))
    address = sqlalchemy.make_url(url.get_secret_value()).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(address, connect_args={"connect_timeout": CONNECT_SECONDS})
    try:
        with engine.begin() as connection:
            # Two migrations at once would both find a table missing: the second waits for the first.
            connection.execute(sqlalchemy.text("select pg_advisory_xact_lock(7209137)"))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise DatabaseError(f"PostgreSQL at {place}: {reason}") from error
    finally:
        engine.dispose()
