"""Services that fail while an upload is imported: what passes is waited for, what does not ends as a failure."""

import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database import connection as connection_module
from nachet_pipeline.database.connection import Database, DatabaseError, migrate
from nachet_pipeline.local import postgres
from nachet_pipeline.registry.queries import load_seeds
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support import scratch
from nachet_pipeline.uploads.importing import ImportOutcome
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.registering import register_user
from nachet_pipeline_tests.durability.proxies import Cut, Fault, HttpProxy, Judge, TcpProxy, http_proxy, tcp_proxy
from nachet_pipeline_tests.homes import furnish
from nachet_pipeline_tests.meeting import GatedStorage
from nachet_pipeline_tests.workbench import Workbench

_PAUSES = (0.1, 0.2, 0.4)


def imported(outcome: ImportOutcome) -> ImportOutcome:
    assert outcome.receipt.state is State.IMPORTED, outcome.receipt.failure
    return outcome


def kept(workbench: Workbench) -> object:
    return workbench.rows(without=("upload_date", "first_seen")), workbench.contents(workbench.user.user_container)


def assert_it_ended_as_undisturbed(workbench: Workbench, upload: Upload) -> None:
    disturbed = kept(workbench)
    workbench.forget(upload)
    imported(workbench.run(upload))
    assert kept(workbench) == disturbed


# The database


@pytest.fixture
def cut_off(workbench: Workbench) -> Iterator[tuple[TcpProxy, Database]]:
    """A proxy before PostgreSQL, and the test's database through it."""
    url = workbench.database_url.get_secret_value()
    parts = urlsplit(url)
    with tcp_proxy(str(parts.hostname), int(parts.port or 5432)) as proxy:
        through = SecretStr(url.replace(f":{parts.port}/", f":{proxy.port}/"))
        with Database(through, connections=6, pauses=_PAUSES) as database:
            yield proxy, database


@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("words", [b"copy incoming (", b"commit", b"for update", b"with asked as"])
def test_a_connection_that_is_cut_in_a_transaction_changes_nothing_of_the_import(
    workbench: Workbench, cut_off: tuple[TcpProxy, Database], words: bytes, cut: Cut
) -> None:
    proxy, database = cut_off
    upload = workbench.stage(workbench.sample(sessions=2, pictures=2))
    proxy.listening_for, proxy.cut, proxy.cuts_left = words, cut, 2
    imported(workbench.run(upload, database=database))
    assert proxy.cuts == 2
    assert_it_ended_as_undisturbed(workbench, upload)


def test_a_run_that_lost_its_lock_and_its_upload_leaves_both_to_the_other_run(
    workbench: Workbench, cut_off: tuple[TcpProxy, Database]
) -> None:
    proxy, database = cut_off
    upload = workbench.stage(workbench.sample())
    with (
        GatedStorage.connect(workbench.blobs.account_url, workbench.blob_key) as gated,
        ThreadPoolExecutor(1) as executor,
    ):
        first = executor.submit(workbench.run, upload, blobs=gated, database=database, run_id="run-1")
        assert gated.storing.wait(60)
        proxy.cut_all()
        second = imported(workbench.run(upload, run_id="run-2"))
        gated.going_on.set()
        left = first.result()
    assert "another run took it over" in str(left.receipt.failure)
    now = workbench.now(upload)
    assert (now.state, now.run_id, now.attempts) == (State.IMPORTED, "run-2", 0)
    assert now.receipt == second.receipt == workbench.receipt(upload)
    assert_it_ended_as_undisturbed(workbench, upload)


def test_a_database_that_is_gone_for_good_leaves_the_upload_to_a_later_run(
    workbench: Workbench, cut_off: tuple[TcpProxy, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, database = cut_off
    database.pauses = ()
    monkeypatch.setattr(connection_module, "CONNECT_SECONDS", 1)
    upload = workbench.stage(workbench.sample())

    def away(step: str, *_: int) -> None:
        if step == "storing":
            proxy.refusing = True
            proxy.cut_all()

    with pytest.raises(DatabaseError, match="PostgreSQL at"):
        workbench.run(upload, database=database, progress=away)
    assert workbench.query("select id from pictures") == []
    assert workbench.now(upload).state == State.IMPORTING
    imported(workbench.run(upload))
    assert_it_ended_as_undisturbed(workbench, upload)


def test_a_database_that_is_away_for_a_moment_is_waited_for(
    workbench: Workbench, cut_off: tuple[TcpProxy, Database]
) -> None:
    proxy, database = cut_off
    upload = workbench.stage(workbench.sample())
    back = threading.Event()

    def return_later() -> None:
        assert proxy.refused.wait(300)
        proxy.refusing = False
        back.set()

    def away(step: str, done: int, _total: int) -> None:
        if (step, done) == ("storing", 1):
            proxy.refusing = True
            proxy.cut_all()
            threading.Thread(target=return_later, daemon=True).start()

    imported(workbench.run(upload, database=database, progress=away))
    assert back.is_set()
    assert_it_ended_as_undisturbed(workbench, upload)


def test_postgresql_restarted_in_the_middle_of_the_transaction_is_waited_for(
    workbench: Workbench, tmp_path_factory: pytest.TempPathFactory, cluster: Path
) -> None:
    folder = furnish(tmp_path_factory.mktemp("restarted"), cluster) / "postgres"
    server = postgres.start(folder)
    try:
        url = SecretStr(server.url)
        migrate(url)
        restarts: list[int] = []

        class RestartedDatabase(Database):
            """PostgreSQL, which restarts once before a picture set is committed."""

            @contextmanager
            def connection(self) -> Iterator[Any]:
                with super().connection() as connection:
                    yield connection
                    found = connection.execute("select count(*) as n from picture_set").fetchone()
                    if found and found["n"] and not restarts:
                        restarts.append(1)
                        postgres.stop(folder)
                        # A port of its own choice would be another server to the import.
                        again = postgres.start(folder)
                        proxy.server = ("127.0.0.1", again.port)

        with tcp_proxy("127.0.0.1", server.port) as proxy:
            through = SecretStr(url.get_secret_value().replace(f":{server.port}/", f":{proxy.port}/"))
            with RestartedDatabase(through, connections=6) as database:
                with database.connection() as connection:
                    load_seeds(connection, packaged_seeds())
                user = register_user(database, workbench.blobs, workbench.user.email)
                bench = replace(workbench, database=database, user=user, database_url=through)
                upload = bench.stage(bench.sample())
                imported(bench.run(upload))
                assert restarts == [1]
                assert_it_ended_as_undisturbed(bench, upload)
    finally:
        postgres.stop(folder)


# Storage


@pytest.fixture
def disturbed(workbench: Workbench) -> Iterator[tuple[HttpProxy, BlobStorage]]:
    """A proxy before Azurite, and the account through it."""
    with (
        http_proxy(workbench.blobs.account_url) as (proxy, url),
        BlobStorage.connect(url, workbench.blob_key) as blobs,
    ):
        yield proxy, blobs


def once(fault: Fault, method: str, part: str) -> Judge:
    """A fault for the first request of a kind."""
    left = [fault]

    def judge(asked: str, path: str, _number: int) -> Fault | None:
        return left.pop() if left and asked == method and part in path else None

    return judge


def every(number: int, fault: Fault) -> Judge:
    return lambda _method, _path, count: fault if count % number == 0 else None


_STAGED, _STORED = "/upload-", "/user-"


@pytest.mark.parametrize(
    "judge",
    [
        pytest.param(once(Fault(status=500), "GET", _STAGED), id="500 while reading"),
        pytest.param(once(Fault(status=503), "PUT", _STORED), id="503 while copying"),
        pytest.param(once(Fault(hang_up=True), "PUT", _STORED), id="no answer to a copy"),
        pytest.param(once(Fault(hang_up=True, late=True), "PUT", _STORED), id="the answer to a copy is lost"),
        pytest.param(once(Fault(hang_up=True, late=True), "PUT", "manifest.jsonl"), id="to a manifest, too"),
        pytest.param(once(Fault(hang_up=True), "GET", _STAGED), id="no answer to reading"),
        pytest.param(once(Fault(halve=True), "GET", ".png"), id="half of a picture"),
        pytest.param(every(3, Fault(seconds=0.3)), id="slow"),
        pytest.param(every(4, Fault(status=503)), id="every fourth request refused"),
    ],
)
def test_storage_that_stumbles_changes_nothing_of_the_import(
    workbench: Workbench, disturbed: tuple[HttpProxy, BlobStorage], judge: Judge
) -> None:
    proxy, blobs = disturbed
    upload = workbench.stage(workbench.sample(sessions=2, pictures=2))
    proxy.judge = judge
    imported(workbench.run(upload, blobs=blobs))
    assert proxy.faults > 0
    assert_it_ended_as_undisturbed(workbench, upload)


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(hang_up=True)], ids=["500", "gone"])
def test_storage_that_fails_for_good_fails_the_import_with_its_reason_and_a_later_run_completes_it(
    workbench: Workbench, disturbed: tuple[HttpProxy, BlobStorage], fault: Fault
) -> None:
    proxy, blobs = disturbed
    upload = workbench.stage(workbench.sample(sessions=2, pictures=2))
    copied: list[str] = []

    def judge(method: str, path: str, _number: int) -> Fault | None:
        if method == "PUT" and _STORED in path:
            copied.append(path)
        return fault if len(copied) > 2 else None

    proxy.judge = judge
    outcome = workbench.run(upload, blobs=blobs)
    assert outcome.receipt.state is State.FAILED
    assert "Blob storage at 127.0.0.1" in str(outcome.receipt.failure)
    assert workbench.now(upload).receipt == outcome.receipt
    assert workbench.query("select id from pictures") == []
    imported(workbench.run(upload))
    assert_it_ended_as_undisturbed(workbench, upload)


def test_a_picture_that_is_deleted_after_it_was_validated_fails_the_import_until_it_is_there_again(
    workbench: Workbench,
) -> None:
    folder = workbench.sample(pictures=3)
    upload = workbench.stage(folder)
    gone = "project/pictures/session1/2.png"

    def delete(step: str, done: int, total: int) -> None:
        if step == "validating" and done == total:
            workbench.blobs.delete(upload.staging_container, gone)

    outcome = workbench.run(upload, progress=delete)
    assert outcome.receipt.state is State.FAILED
    assert "2.png changed or vanished" in str(outcome.receipt.failure)
    assert workbench.query("select id from pictures") == []
    workbench.put(gone, (folder / "pictures/session1/2.png").read_bytes())
    imported(workbench.run(upload))
    assert_it_ended_as_undisturbed(workbench, upload)


# This machine


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No process of ours can write a larger file, as on a disk that is full; the system says so of each write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_from_the_start_fails_the_import_and_a_later_run_completes_it(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(workbench.run(workbench.stage(workbench.sample("first"))))  # starts the decoders, which write as well
    # What is known of an upload goes to disk at once, as that of a large one does when there is much of it.
    monkeypatch.setattr(scratch, "_SETTINGS", "pragma journal_mode=off; pragma cache_size=1;")
    upload = workbench.stage(workbench.sample(seed=1))
    importer = workbench.importer()
    with files_of_at_most(0):
        outcome = importer.import_upload(upload.id)
    assert outcome.receipt.state is State.FAILED
    assert "the temporary file of the import: disk I/O error" in str(outcome.receipt.failure)
    assert workbench.receipt(upload) == outcome.receipt
    imported(workbench.run(upload))
    assert len(workbench.stored_pictures()) == 4


def test_a_disk_that_fills_up_on_the_way_fails_the_import_and_a_later_run_completes_it(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample(pictures=20))
    with ExitStack() as stack:

        def fill(step: str, done: int, total: int) -> None:
            if (step, done) == ("storing", total):
                stack.enter_context(files_of_at_most(1024))

        outcome = workbench.run(upload, progress=fill)
    assert outcome.receipt.state is State.FAILED
    assert "File too large" in str(outcome.receipt.failure)
    assert workbench.query("select id from pictures") == []
    imported(workbench.run(upload))
    assert_it_ended_as_undisturbed(workbench, upload)


def test_a_defect_of_ours_is_in_the_receipt_too(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())

    def defect(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    with pytest.raises(ZeroDivisionError):
        workbench.run(upload, progress=defect)
    now = workbench.now(upload)
    assert now.state == State.FAILED
    assert now.receipt is not None
    assert now.receipt.failure == "ZeroDivisionError: a defect"
    assert workbench.receipt(upload) == now.receipt
    imported(workbench.run(upload))
