"""A run's sign of life: a lock in PostgreSQL that its process holds for as long as it lives.

PostgreSQL notices when the process is gone, whether it ran on this machine, in a container or in a cluster. Its
launcher need not be asked, and may be gone itself.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

import psycopg
from pydantic import SecretStr

from nachet_pipeline.database.connection import CONNECT_SECONDS, Connection

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_SIGNS = 3.0
_SECONDS_BEFORE_ANOTHER_TRY = 1.0
# The connection of a machine that vanished, and the lock with it, would last for two hours.
_NOTICE_SILENCE = (
    "select set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),"
    " set_config('tcp_keepalives_count', '3', false)"
)
_NAME = "hashtextextended('run ' || %s, 0)"


@contextmanager
def sign_of_life(url: SecretStr, run_id: str) -> Iterator[None]:
    """Hold the lock of a run while the context lasts, on a connection of its own.

    If the database goes away, the lock is lost, and taken again within seconds after the database is back. Several
    processes of one run hold it together.

    Args:
        url: `postgresql://…`.
        run_id: the run.
    """
    ended, tried = Event(), Event()
    # A daemon, so that a process that ends before the context does need not wait for it.
    thread = Thread(target=_hold, args=(url, run_id, ended, tried), name="sign of life", daemon=True)
    thread.start()
    tried.wait(CONNECT_SECONDS)
    try:
        yield
    finally:
        ended.set()
        thread.join(CONNECT_SECONDS)


def _hold(url: SecretStr, run_id: str, ended: Event, tried: Event) -> None:
    while not ended.is_set():
        try:
            with psycopg.connect(
                url.get_secret_value(),
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                application_name="nachet run",
                keepalives_idle=10,
                tcp_user_timeout=20_000,
            ) as connection:
                connection.execute(_NOTICE_SILENCE)
                connection.execute(f"select pg_advisory_lock_shared({_NAME})", (run_id,))
                tried.set()
                while not ended.wait(_SECONDS_BETWEEN_SIGNS):
                    connection.execute("select 1")
        except psycopg.Error as error:
            # Its message may hold parts of the address.
            log.warning("the sign of life of run %s was lost (%s); giving it again", run_id, type(error).__name__)
            tried.set()
            ended.wait(_SECONDS_BEFORE_ANOTHER_TRY)


def living_runs(connection: Connection, run_ids: Sequence[str]) -> set[str]:
    """Those of the runs that some process holds the lock of."""
    rows = connection.execute(
        "select run from unnest(%s::text[]) as asked (run)"
        " where exists (select from pg_locks where locktype = 'advisory' and granted and objsubid = 1"
        " and database = (select oid from pg_database where datname = current_database())"
        " and (classid::bigint << 32 | objid::bigint) = hashtextextended('run ' || run, 0))",
        (list(run_ids),),
    )
    return {str(row["run"]) for row in rows}
