import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from nachet_pipeline.local import postgres, processes
from nachet_pipeline_tests.homes import furnish


@pytest.fixture
def empty_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nachet-tests-") as home:
        yield Path(home) / "a folder" / "postgres"
        postgres.stop(Path(home) / "a folder" / "postgres")


@pytest.fixture
def folder(empty_folder: Path, cluster: Path) -> Path:
    return furnish(empty_folder.parent, cluster) / "postgres"


def _write(server: postgres.Server) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'Brassica napus' AS name")


def _read(server: postgres.Server) -> object:
    with psycopg.connect(server.url) as connection:
        return connection.execute("SELECT name FROM kept").fetchone()


def test_what_was_stored_is_there_after_a_restart_at_the_same_address(empty_folder: Path) -> None:
    first = postgres.start(empty_folder)
    _write(first)
    assert postgres.stop(empty_folder)
    assert postgres.running(empty_folder) is None
    assert not postgres.stop(empty_folder)

    second = postgres.start(empty_folder)

    assert second.url == first.url
    assert _read(second) == ("Brassica napus",)


def test_starting_what_runs_finds_it(folder: Path) -> None:
    assert postgres.start(folder) == postgres.start(folder)


def test_what_was_stored_survives_a_killed_server_whose_clients_are_still_there(folder: Path) -> None:
    first = postgres.start(folder)
    _write(first)
    with closing(psycopg.connect(first.url)) as client:
        client.execute("SELECT 1")
        processes.send(first.process, signal.SIGKILL)
        assert processes.wait_gone(first.process, 10)

        assert _read(postgres.start(folder)) == ("Brassica napus",)


def test_a_pid_file_that_names_somebody_elses_process_does_not_hinder_a_start(folder: Path) -> None:
    _write(postgres.start(folder))
    postgres.stop(folder)
    (folder / "data" / "postmaster.pid").write_text("1\n/elsewhere\n0\n5432\n\n127.0.0.1\n\nready\n")

    assert postgres.running(folder) is None
    assert _read(postgres.start(folder)) == ("Brassica napus",)


def test_another_port_is_taken_when_the_former_one_is_in_use(folder: Path) -> None:
    first = postgres.start(folder)
    _write(first)
    postgres.stop(folder)
    with socket.create_server(("127.0.0.1", first.port)):
        second = postgres.start(folder)

    assert second.port != first.port
    assert _read(second) == ("Brassica napus",)


def test_a_start_that_was_interrupted_half_way_is_begun_anew(empty_folder: Path) -> None:
    (empty_folder / "data.new" / "base").mkdir(parents=True)

    assert postgres.start(empty_folder).process.find() is not None


def test_sqlalchemy_reaches_it_by_the_same_address_and_nobody_without_the_password(empty_folder: Path) -> None:
    server = postgres.start(empty_folder)
    engine = sqlalchemy.create_engine(server.url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    engine.dispose()

    assert engine.dialect.driver == "psycopg2"
    assert server.password not in repr(server)
    assert (empty_folder / "password").stat().st_mode & 0o077 == 0
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url.replace(server.password, "guessed"))
