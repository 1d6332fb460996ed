"""Connections to PostgreSQL, and its migrations."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.resources import files
from select import POLLIN, poll
from threading import Lock, local
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout
from pydantic import SecretStr

from nachet_pipeline.errors import UnavailableError, raise_alone

CONNECT_SECONDS = 5
MINIMUM_VERSION = 14
Connection = psycopg.Connection[dict[str, object]]

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each retry of a transaction that was cut off; their sum outlasts a restart of PostgreSQL."""

_KEEPALIVE = {
    # A firewall may drop a silent connection, such as one that holds a lock during a long import. A vanished
    # server is noticed within a minute or two instead of never.
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 6,
    "tcp_user_timeout": 60_000,
}

# Transient failures: no connection, a lost one, a server that restarts, a deadlock.
_PASSING = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)

_NOT_THERE_YET = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
)

_TRUSTED_SECONDS = 10.0
"""For so long after it was taken from the pool, whoever tries again does not ask a connection whether it is open."""

_Result = TypeVar("_Result")
_Given = ParamSpec("_Given")

log = logging.getLogger(__name__)


class DatabaseError(UnavailableError):
    """PostgreSQL cannot be reached or refuses; the message is one line that names it, without its password.

    Attributes:
        sqlstate: PostgreSQL's code of what it refused for, if it answered.
        passing: whether a retry may succeed.
    """

    def __init__(self, message: str, *, sqlstate: str | None = None, passing: bool = False) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.passing = passing


def _place(url: SecretStr) -> str:
    """The place of a database, for messages.

    Raises:
        DatabaseError: the address cannot be read; libpq's own message would quote parts of the password.
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
    """Pools of connections to one database. A context manager; safe to use from several threads.

    Attributes:
        place: where it is, for messages.
        pauses: seconds to wait before each further try of a transaction, see `transact`.
    """

    def __init__(
        self,
        url: SecretStr,
        *,
        reader_url: SecretStr | None = None,
        connections: int = 4,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """Use a database; nothing is sent until the first connection is asked for.

        Args:
            url: `postgresql://…`, of a login that may read and write.
            reader_url: the same database for a login that may only read; `url` if not given.
            connections: how many are open at a time of either kind, at most.
            pauses: seconds to wait before each further try of a transaction, see `transact`.
        """
        self.pauses = pauses
        self._writing = _Pool(url, connections, read_only=False)
        self._reading = _Pool(reader_url or url, connections, read_only=True)
        self.place = self._writing.place

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self._writing.close()
        self._reading.close()

    def connection(self) -> AbstractContextManager[Connection]:
        """A connection whose work is one transaction: committed at the end, rolled back on an exception.

        Raises:
            DatabaseError: the database cannot be reached, or a statement failed.
        """
        return self._writing.connection()

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection for one transaction that PostgreSQL lets change nothing, by the reading login if there is one.

        Temporary tables cannot be made either.

        Raises:
            DatabaseError: the database cannot be reached, or a statement failed or would have changed something.
        """
        return self._reading.connection()

    def call(
        self, work: Callable[Concatenate[Connection, _Given], _Result], *given: _Given.args, **named: _Given.kwargs
    ) -> _Result:
        """Call a function in a transaction of its own, for example `database.call(find_user, email)`.

        Raises:
            DatabaseError: the database cannot be reached, or a statement failed.
        """
        with self.connection() as connection:
            return work(connection, *given, **named)

    def transact(
        self, work: Callable[Concatenate[Connection, _Given], _Result], *given: _Given.args, **named: _Given.kwargs
    ) -> _Result:
        """Do work in one transaction; transient failures are retried, each in a new transaction.

        Nobody can tell whether a transaction was committed whose connection broke at its end. So the work must have the
        same result if it is done twice.

        Raises:
            DatabaseError: the database refuses, or does not come back within the pauses.
        """
        for pause in self.pauses:
            try:
                with self._writing.retrying():
                    return self.call(work, *given, **named)
            except DatabaseError as error:
                if not error.passing:
                    raise
                log.warning("%s; trying again in %s s", error, pause)
            time.sleep(pause)
        return self.call(work, *given, **named)


class _Pool:
    """Connections of one login, opened when the first is asked for."""

    def __init__(self, url: SecretStr, connections: int, *, read_only: bool) -> None:
        self.place = _place(url)
        self._url = url
        self._connections = connections
        self._read_only = read_only
        self._pool: ConnectionPool[Connection] | None = None
        self._taken: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._lock = Lock()
        self._caller = local()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _open(self) -> "ConnectionPool[Connection]":
        if self._pool is None:
            # A probe reports at once why there is no connection; a pool only times out.
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
                configure=self._configure,
                check=self._check,
                open=True,
            )
        return self._pool

    def _configure(self, connection: Connection) -> None:
        connection.read_only = self._read_only or None

    def _check(self, connection: Connection) -> None:
        """See that a connection is still open.

        Whoever tries again trusts one that was used just now, unless something unread lies there, as when a server
        closes it. Others ask it, because it may be about to be closed.

        Raises:
            psycopg.Error: it is not; the pool takes another.
        """
        unread, last = poll(), self._taken.get(connection)
        unread.register(connection, POLLIN)
        trusting = getattr(self._caller, "retries", False)
        if not trusting or last is None or last + _TRUSTED_SECONDS < time.monotonic() or unread.poll(0):
            ConnectionPool.check_connection(connection)
        self._taken[connection] = time.monotonic()

    @contextmanager
    def retrying(self) -> Iterator[None]:
        """Let this thread trust connections: it tries again if one breaks."""
        self._caller.retries = True
        try:
            yield
        finally:
            self._caller.retries = False

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        try:
            with self._lock:
                pool = self._open()
            with pool.connection() as connection:
                yield connection
        except (psycopg.Error, PoolTimeout) as error:
            lines = str(error).strip().splitlines()
            reason = lines[0] if lines else type(error).__name__
            if isinstance(error, _NOT_THERE_YET):
                reason += "; run `nachet db upgrade`"
            sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
            message = f"PostgreSQL at {self.place}: {reason}"
            raise_alone(DatabaseError(message, sqlstate=sqlstate, passing=isinstance(error, _PASSING)), error)


def is_newest(connection: Connection) -> bool:
    """Whether the tables are of this version of the package, so that `migrate` would change nothing.

    Asking costs a millisecond, and importing Alembic a fifth of a second.
    """
    there = connection.execute("select to_regclass('nachet_alembic_version') as found").fetchone()
    if there is None or there["found"] is None:
        return False
    revisions = (files("nachet_pipeline.database") / "migrations" / "versions").iterdir()
    newest = max(name.partition("_")[0] for name in (file.name for file in revisions) if name[:1].isdigit())
    found = connection.execute("select version_num from nachet_alembic_version").fetchall()
    return [row["version_num"] for row in found] == [newest]


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
        cause = getattr(error, "orig", None)
        reason = str(cause or error).strip().splitlines()[0]
        if isinstance(cause, psycopg.errors.InsufficientPrivilege) and ";" not in reason:
            reason += "; tables are changed by the login of NACHET_DATABASE_OWNER_URL"
        raise_alone(DatabaseError(f"PostgreSQL at {place}: {reason}"), error)
    finally:
        engine.dispose()
