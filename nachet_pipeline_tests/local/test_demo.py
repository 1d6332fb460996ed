"""`make demo` as a new user runs it: a real UI, daemon and sensor; and a run that is killed under them."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from pydantic import SecretStr
from rich.console import Console

from nachet_pipeline.contract.receipt import Receipt
from nachet_pipeline.crops.receipts import with_counts
from nachet_pipeline.database.connection import Database
from nachet_pipeline.local import demo, postgres, processes
from nachet_pipeline.local.embedded import running
from nachet_pipeline.local.processes import wait_until
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.local.supervisor import down
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.users.queries import find_user
from nachet_pipeline.users.user import User
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.real_pictures import write_project
from nachet_pipeline_tests.workbench import Uploader, process_of_run

_SECONDS = 240


@dataclass
class Demo(Uploader):
    home: Path
    url: str
    receipt: Receipt
    database: Database
    blobs: BlobStorage
    user: User

    def wait(self, what: Callable[[], bool], reason: str) -> None:
        if not wait_until(what, _SECONDS):
            log = (self.home / "run" / "supervisor.log").read_text(errors="replace")
            pytest.fail(f"{reason} did not happen within {_SECONDS} s:\n{log[-3000:]}")


@pytest.fixture(scope="module")
def running_demo(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    home = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NACHET_DATABASE_URL", "NACHET_BLOB_ACCOUNT_URL", "NACHET_BLOB_KEY", "DAGSTER_HOME"):
            patch.delenv(name, raising=False)
        try:
            url, receipt = demo.run(home, Console(quiet=True), tools=tools)
            services = running(home)
            assert services is not None
            with (
                Database(SecretStr(services.importer_url)) as database,
                BlobStorage.connect(services.blob_account_url, SecretStr(services.blob_key)) as blobs,
            ):
                with database.connection() as connection:
                    user = find_user(connection, demo.EMAIL)
                assert user is not None
                yield Demo(home, url, receipt, database, blobs, user)
        finally:
            down(home)


def test_the_demo_imports_its_sample_by_the_sensor(running_demo: Demo) -> None:
    receipt = running_demo.receipt

    assert receipt.state == "imported"
    assert receipt.pictures == 8
    assert [item.seed for item in receipt.picture_sets] == ["Brassica napus", "Brassica juncea"]
    for item in receipt.picture_sets:
        names = {file.path for file in running_demo.blobs.files(running_demo.user.user_container, str(item.id))}
        assert len([name for name in names if name.endswith(".tiff")]) == item.pictures


def test_the_demo_shows_its_web_page(running_demo: Demo) -> None:
    address = urlsplit(running_demo.url)
    with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)) as connection:
        connection.request("GET", "/asset-groups")
        with connection.getresponse() as answer:
            assert answer.status == 200
            assert b"<!DOCTYPE html>" in answer.read(200)


def test_the_health_of_the_demo_has_its_sensors_and_schedules_alive(
    running_demo: Demo, command: Nachet, monkeypatch: pytest.MonkeyPatch
) -> None:
    _on_the_demo(running_demo, monkeypatch)

    dead = json.loads(command("health", "--json").out)["automation_alive"]["found"]

    # A daemon without one of these could not have imported the sample; others may have their first tick yet to come.
    assert [name for name in ("start_imports", "nightly_key_rotation", "hourly_health") if name in dead] == []


def _on_the_demo(running_demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find the demo."""
    monkeypatch.setenv("NACHET_HOME", str(running_demo.home))
    for name in ("NACHET_DATABASE_URL", "NACHET_BLOB_ACCOUNT_URL"):
        monkeypatch.setenv(name, "")  # the command sets these for Dagster; the next test shall not find them
    for name in ("NACHET_DATABASE_READER_URL", "NACHET_BLOB_KEY", "NACHET_SECRET_KEYS", "DAGSTER_HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_the_demo_a_second_time_finds_everything_as_it_was(running_demo: Demo, tools: Path) -> None:
    url, receipt = demo.run(running_demo.home, Console(quiet=True), tools=tools)

    assert url == running_demo.url
    # Meanwhile the seeds may have been counted, which the receipt then says.
    assert with_counts(receipt, [], []) == with_counts(running_demo.receipt, [], [])


def test_the_sensor_imports_the_two_real_photographs_byte_for_byte(
    running_demo: Demo, real_pictures: list[Path], tmp_path: Path
) -> None:
    upload = running_demo.stage(write_project(tmp_path / "real", real_pictures, demo.EMAIL))

    running_demo.wait(lambda: running_demo.now(upload).state in {"imported", "refused", "failed"}, "the import")

    receipt = running_demo.now(upload).receipt
    assert receipt is not None
    assert {item.seed: item.pictures for item in receipt.picture_sets} == {"Brassica juncea": 1, "Brassica napus": 1}
    with running_demo.database.connection() as connection:
        rows = connection.execute(
            "select blob from pictures join picture_set s on s.id = picture_set_id where s.upload_id = %s", (upload.id,)
        ).fetchall()
    stored = {running_demo.blobs.read(running_demo.user.user_container, str(row["blob"])) for row in rows}
    assert stored == {picture.read_bytes() for picture in real_pictures}


def test_a_run_that_ends_while_the_database_is_away_is_recognised_as_dead_and_completed_by_another(
    running_demo: Demo, tmp_path: Path
) -> None:
    folder = write_sample(tmp_path / "outage", pictures=150, email=demo.EMAIL, width=640, height=480, seed=1)
    upload = running_demo.stage(folder)
    running_demo.wait(lambda: running_demo.now(upload).state == "importing", "the import")
    run_id = running_demo.now(upload).run_id
    assert run_id is not None
    worker = psutil.Process(process_of_run(running_demo.database, run_id))
    database = postgres.running(running_demo.home / "postgres")
    assert database is not None

    # Nobody can write down how the run ended: neither itself nor the code server, whose child it is.
    os.kill(database.process.pid, signal.SIGKILL)
    os.kill(worker.pid, signal.SIGKILL)
    assert processes.wait_gone(database.process, 20)

    running_demo.wait(lambda: running(running_demo.home) is not None, "the return of the database")
    running_demo.wait(lambda: _status(running_demo, run_id) == "FAILURE", "the end of the dead run")
    running_demo.wait(lambda: running_demo.now(upload).state == "imported", "the completion of the dead import")
    assert running_demo.now(upload).run_id != run_id


def _status(running_demo: Demo, run_id: str) -> str:
    with running_demo.database.connection() as connection:
        row = connection.execute("select status from runs where run_id = %s", (run_id,)).fetchone()
    assert row is not None
    return str(row["status"])


def test_an_import_whose_run_is_killed_is_completed_by_another(running_demo: Demo, tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "killed", pictures=150, email=demo.EMAIL, width=640, height=480)
    upload = running_demo.stage(folder)
    running_demo.wait(lambda: running_demo.now(upload).state == "importing", "the import")
    run_id = running_demo.now(upload).run_id
    assert run_id is not None
    worker = psutil.Process(process_of_run(running_demo.database, run_id))
    decoders = worker.children(recursive=True)

    os.kill(worker.pid, signal.SIGKILL)

    psutil.wait_procs([worker, *decoders], timeout=_SECONDS)
    assert not [process for process in decoders if process.is_running()]
    running_demo.wait(lambda: running_demo.now(upload).state == "imported", "the completion of the killed import")
    assert running_demo.now(upload).run_id != run_id
    receipt = running_demo.now(upload).receipt
    assert receipt is not None
    assert receipt.pictures == 150


def test_a_story_has_two_versions_fifty_judgements_and_evaluations_that_find_the_weakness(
    running_demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    _on_the_demo(running_demo, monkeypatch)

    # In a process of its own: it runs commands within a command, each of which takes the streams for its own.
    nachet = Path(sys.executable).with_name("nachet")
    told = subprocess.run([nachet, "story"], capture_output=True, text=True, check=False)

    assert told.returncode == 0, told.stderr
    with running_demo.database.connection() as connection:
        (counts,) = connection.execute(
            "select (select count(*) from judgement) as judgements, (select count(*) from judged where outcome ="
            " 'disputed') as disputed, (select count(*) from pictures where verified and parent is null) as verified"
        ).fetchall()
        evaluations = connection.execute(
            # The sensor start_evaluations may have evaluated one as well meanwhile; the last counts.
            "select distinct on (v.version) v.version, e.metrics ->> 'champion' as champion,"
            " (select array_agg(one ->> 'name') from jsonb_array_elements(e.verdicts) one"
            "  where one ->> 'passed' = 'false') as failed"
            " from model_evaluation e join model_version v on v.id = e.model_version_id order by 1, evaluated_at desc"
        ).fetchall()
    assert counts == {"judgements": 50, "disputed": 3, "verified": 23}
    assert evaluations == [
        {"version": "1.0", "champion": None, "failed": None},
        {"version": "2.0", "champion": "story-classifier@1.0", "failed": ["no_slice_far_below"]},
    ]
    assert "much more is wrong where: zoom 10" in told.stdout
