"""Connections to PostgreSQL, and its migrations."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from threading import Lock
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

    def __init__(self, url: SecretStr, *, connections: int = 4) -> None:
        """Use a database; nothing is sent until the first connection is asked for.

        Args:
            url: `postgresql://…`.
            connections: how many are open at a time, at most.
        """
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
                kwargs={"row_factory": dict_row, "connect_timeout": CONNECT_SECONDS, "application_name": "nachet"},
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
