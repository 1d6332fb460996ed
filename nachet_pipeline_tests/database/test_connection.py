import logging
import socket
import threading
import traceback
from urllib.parse import urlsplit

import psycopg
import pytest
from pydantic import SecretStr

from nachet_pipeline.database.connection import Connection, Database, DatabaseError, migrate
from nachet_pipeline.users.queries import add_user
from nachet_pipeline_tests.meeting import until
from nachet_pipeline_tests.workbench import Workbench

PASSWORD = "Kq7-sehr-geheim"


def attempt(url: str) -> str:
    with pytest.raises(DatabaseError) as caught, Database(SecretStr(url)) as database, database.connection():
        pass
    # Not the message alone: a traceback in a log shows the errors behind it as well.
    return "".join(traceback.format_exception(caught.value))


def test_a_database_that_is_down_is_one_line_that_names_it() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        url = SecretStr(f"postgresql://nachet:{PASSWORD}@127.0.0.1:{port}/nachet")
        with pytest.raises(DatabaseError) as opening, Database(url) as database, database.connection():
            pass
        with pytest.raises(DatabaseError) as migrating:
            migrate(url)
    for caught in (opening, migrating):
        message = str(caught.value)
        assert message.startswith(f"PostgreSQL at 127.0.0.1:{port}/nachet: ")
        assert "\n" not in message
        assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_a_wrong_password_is_not_shown(workbench: Workbench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    place = workbench.database_url.get_secret_value().rpartition("@")[2]
    shown = attempt(f"postgresql://nachet:{PASSWORD}@{place}")
    assert f"PostgreSQL at {place}" in shown
    assert "authentication failed" in shown
    assert PASSWORD not in shown + caplog.text


@pytest.mark.parametrize("password", ["Kq7%geheim", "Kq7/geheim", "Kq7#geheim", "geheim@Kq7", "Kq7?geheim"])
def test_a_password_with_special_characters_that_are_not_encoded_is_not_shown(password: str) -> None:
    url = f"postgresql://nachet:{password}@127.0.0.1:5432/nachet"
    shown = attempt(url)
    with pytest.raises(DatabaseError) as migrating:
        migrate(SecretStr(url))
    for text in (shown, "".join(traceback.format_exception(migrating.value))):
        assert "its address cannot be read" in text
        assert "Kq7" not in text
        assert "geheim" not in text


def test_a_database_that_does_not_exist_is_named(workbench: Workbench) -> None:
    base = workbench.database_url.get_secret_value().rpartition("/")[0]
    assert 'database "nowhere" does not exist' in attempt(f"{base}/nowhere")


def test_a_database_without_tables_says_which_command_makes_them(database_url: str) -> None:
    with (
        Database(SecretStr(database_url)) as database,
        pytest.raises(DatabaseError, match="run `nachet db upgrade`"),
        database.connection() as connection,
    ):
        connection.execute("select * from users")


def test_a_failed_statement_leaves_nothing_of_its_transaction(workbench: Workbench) -> None:
    def register_and_fail() -> None:
        with workbench.database.connection() as connection:
            add_user(connection, "bo@example.org")
            connection.execute("select nonsense")

    with pytest.raises(DatabaseError, match="nonsense"):
        register_and_fail()
    assert [row["email"] for row in workbench.query("select email from users")] == [workbench.user.email]


def test_threads_that_ask_at_once_share_the_connections_and_leave_none_open(workbench: Workbench) -> None:
    threads_count = 8
    barrier = threading.Barrier(threads_count)
    place = workbench.database_url.get_secret_value()
    seen: list[int] = []

    def ask(database: Database) -> None:
        barrier.wait()
        with database.connection() as connection:
            row = connection.execute(
                "select count(*) as n from pg_stat_activity where datname = current_database()"
                " and application_name = 'nachet'"
            ).fetchone()
            assert row is not None
            seen.append(int(str(row["n"])))

    workbench.database.__exit__()  # its own connections would be counted
    with Database(SecretStr(place), connections=2) as database:
        threads = [threading.Thread(target=ask, args=(database,)) for _ in range(threads_count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == threads_count
    assert max(seen) <= 2
    query = "select pid from pg_stat_activity where datname = current_database() and application_name = 'nachet'"
    with psycopg.connect(place, autocommit=True) as connection:
        # A server process ends a moment after its connection.
        until(lambda: connection.execute(query).fetchall() == [])


def test_a_repr_of_a_database_shows_no_password(workbench: Workbench) -> None:
    password = workbench.database_url.get_secret_value().partition("@")[0].rpartition(":")[2]
    assert password
    assert password not in repr(workbench.database) + str(vars(workbench.database))


def test_an_error_of_the_database_comes_alone_and_without_its_password(database_url: str) -> None:
    password = urlsplit(database_url).password or ""
    migrate(SecretStr(database_url))
    closed = database_url.replace(f":{urlsplit(database_url).port}/", ":1/")
    refused = database_url.replace(password, f"not{password}")
    errors = []
    nobody = "insert into users default values"
    for url, statement in ((closed, "select 1"), (refused, "select 1"), (database_url, nobody)):
        with Database(SecretStr(url), pauses=()) as database, pytest.raises(DatabaseError) as caught:
            database.transact(lambda connection, statement=statement: connection.execute(statement))
        errors.append(caught.value)
    for url in (closed, refused):
        with pytest.raises(DatabaseError) as caught:
            migrate(SecretStr(url))
        errors.append(caught.value)
    for error in errors:
        assert error.__cause__ is error.__context__ is None
        assert password not in "".join(traceback.format_exception(error)) + repr(vars(error))
    assert [(error.sqlstate, error.passing) for error in errors[1:3]] == [(None, True), ("23502", False)]


@pytest.mark.parametrize("ended", ["while it waits in the pool", "long ago"])
def test_a_connection_that_the_server_ended_is_replaced_before_anybody_uses_it(
    workbench: Workbench, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def process(connection: Connection) -> int:
        return connection.info.backend_pid

    if ended == "long ago":
        monkeypatch.setattr("nachet_pipeline.database.connection._TRUSTED_SECONDS", -1.0)
    with Database(workbench.database_url, connections=1) as database:
        first = database.transact(process)
        assert database.transact(process) == first, "it stays open"
        with workbench.database.connection() as other:
            other.execute("select pg_terminate_backend(%s, 5000)", (first,))
        assert database.transact(process) != first
