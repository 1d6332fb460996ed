"""What a backend does with `nachet_pipeline.client`, on real storage and a real database."""

import asyncio
import importlib
import io
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from nachet_pipeline.client import (
    AsyncClient,
    AsyncRegistry,
    AsyncUsers,
    Client,
    NeedsServicesError,
    NoReceiptYetError,
    RefusedError,
    Registry,
    State,
    SupersededError,
    UsageError,
    Users,
    asynchronous,
)
from nachet_pipeline.client.services import Services as ClientServices
from nachet_pipeline.events.event import UploadChanged
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.registry.species_file import packaged_seeds, read_species
from nachet_pipeline.registry.upgrade import load_species
from nachet_pipeline.uploads import following
from nachet_pipeline.uploads.discovery import queue
from nachet_pipeline.uploads.queries import see_upload
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.deployment import PROJECT
from nachet_pipeline_tests.documents import PAGES, fenced
from nachet_pipeline_tests.registries import seed, table
from nachet_pipeline_tests.users.keys import ACTOR, SECRET_KEY, shown_url
from nachet_pipeline_tests.workbench import Workbench, edit, files_of, pipeline_runs, settings_with


@pytest.fixture(scope="module")
def key(bench: Workbench) -> str:
    return shown_url(bench)


@pytest.fixture(autouse=True)
def _settings(bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NACHET_DATABASE_URL", bench.database_url.get_secret_value())
    monkeypatch.setenv("NACHET_BLOB_ACCOUNT_URL", bench.blobs.account_url)
    monkeypatch.setenv("NACHET_BLOB_KEY", bench.blob_key.get_secret_value())
    monkeypatch.setenv("NACHET_SECRET_KEYS", SECRET_KEY.get_secret_value())
    monkeypatch.setenv("NACHET_DECODE_WORKERS", "1")
    monkeypatch.setattr(following, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(following, "LONGEST_PAUSE", 0.1)


@pytest.fixture
def client() -> Iterator[Client]:
    with Client.from_environment(by=ACTOR) as found:
        yield found


@contextmanager
def running_pipeline(bench: Workbench) -> Iterator[None]:
    """A pipeline that imports whatever arrives meanwhile."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(0.2):
            pipeline_runs(bench)

    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(run)
        try:
            yield
        finally:
            ended.set()
        running.result()


def test_the_first_program_runs_as_it_stands(
    bench: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    email = f"{uuid4().hex}@example.org"
    program, _, example = fenced(PAGES["docs/backends.md"], "python")
    assert len(program.splitlines()) <= 30
    assert example == (PROJECT / "examples/backend.py").read_text(encoding="utf-8")
    write_sample(
        tmp_path / "canola-2026", sessions=1, pictures=2, picture_format="png", email=email, width=64, height=48
    )
    with running_pipeline(bench):
        exec(program.replace("jane.doe@example.org", email), {})  # noqa: S102 (it is ours)
    said = capsys.readouterr().out
    assert "Brassica napus" in said
    assert "imported" in said.splitlines()
    assert len(list(tmp_path.glob("*.jpg"))) == 2


class LittleAtATime(io.BytesIO):
    """A stream that gives fewer bytes than it is asked for, as one without a buffer may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, 1000) if size and size > 0 else size)


def test_streams_that_a_frontend_received_arrive_by_a_key_alone(bench: Workbench, key: str) -> None:
    files = files_of(bench.sample("streamed", seed=1))
    done: list[tuple[int, int]] = []
    with Client.from_upload_key(key) as client:
        sent = client.submit(
            {path: LittleAtATime(content) for path, content in files.items()},
            name="streamed",
            progress=lambda *amount: done.append(amount),
        )
        assert (sent.status().state, sent.status().complete, sent.receipt()) == (State.STAGED, True, None)
        pipeline_runs(bench)
        receipt = sent.wait(timeout=30)
    size = sum(map(len, files.values()))
    assert done[-1] == (size, size)
    staged = bench.contents(bench.user.upload_container)
    assert {path: staged[f"streamed/{path}"] for path in files} == files
    assert (receipt.state, receipt.submission) == (State.IMPORTED, sent.digest)


def test_a_receipt_of_what_was_sent_before_is_none(bench: Workbench, client: Client) -> None:
    folder, owner = bench.sample("corrected", seed=2), bench.user.email
    index = folder / "pictures/session1/index.yaml"
    right = index.read_bytes()
    edit(index, "seedData", seedSpecies="nonsuch")
    client.submit(folder, owner=owner)
    pipeline_runs(bench)
    first = client.submission("corrected", owner=owner)
    assert first.wait(timeout=30).state is State.REFUSED

    index.write_bytes(right)
    second = client.submit(folder, owner=owner)

    assert (second.receipt(), second.status().receipt, second.status().state) == (None, None, State.STAGED)
    with pytest.raises(NoReceiptYetError, match="corrected"):
        second.wait(timeout=0.1)
    pipeline_runs(bench)
    assert [event.final for event in second.events()] == [True]
    assert second.wait().state is second.status().state is State.IMPORTED


def test_a_folder_that_is_changed_while_it_is_waited_for_gets_no_receipt(
    bench: Workbench, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK_PAUSE", 0)
    sent = client.submit(bench.sample("given-up", seed=3), owner=bench.user.email)
    client.withdraw("given-up", owner=bench.user.email)
    with pytest.raises(SupersededError) as raised:
        sent.wait(timeout=30)
    assert raised.value.withdrawn
    pipeline_runs(bench)
    assert client.submission("given-up", owner=bench.user.email).status().state is State.WITHDRAWN


def test_what_was_imported_is_listed_page_by_page_and_read(bench: Workbench, client: Client) -> None:
    client.users.add(email := f"{uuid4().hex}@example.org")
    before, folders = datetime.now(UTC), [f"listed{number}" for number in range(3)]
    for number, name in enumerate(folders):
        client.submit(bench.another_user(email).sample(name, pictures=3, seed=10 + number), owner=email)
    pipeline_runs(bench)

    assert _all(lambda after: client.uploads(owner=email, after=after, limit=2), lambda one: one.folder) == {*folders}
    assert len(client.uploads(owner=email, state="imported", since=before - timedelta(minutes=1)).items) == 3
    assert client.uploads(owner=email, since=datetime.now(UTC) + timedelta(minutes=1)).items == []
    assert client.uploads(owner=email, state=State.REFUSED).items == []
    sets = _all(lambda after: client.picture_sets(owner=email, after=after, limit=2), lambda one: (one.source, one.id))
    assert {source for source, _ in sets} == {*folders}
    listed = dict(sets)["listed0"]
    pictures = _all(lambda after: client.pictures(listed, after=after, limit=2), lambda one: (one.id, one.sha256))
    assert len(pictures) == 3
    sent = files_of(bench.place / "listed0").values()
    for identifier, _ in pictures:
        with client.open_picture(identifier) as stream:
            assert stream.read() in sent
    assert client.thumbnail(str(next(iter(pictures))[0])).startswith(b"\xff\xd8\xff")
    with pytest.raises(RefusedError, match="no picture"):
        client.open_picture(uuid4())


def _all(page: Callable, key: Callable) -> set:
    """What all pages hold, of which none holds the same twice."""
    found, after = [], None
    while True:
        one = page(after)
        found += map(key, one.items)
        if (after := one.after) is None:
            assert len(set(found)) == len(found)
            return set(found)


def test_a_user_who_is_disabled_hands_nothing_over(bench: Workbench, client: Client) -> None:
    done = client.users.add(email := f"{uuid4().hex}@example.org")
    assert done.new
    url = client.users.show_key(email).url.get_secret_value()
    assert [one.number for one in client.users.keys(email)] == [1]
    client.users.disable(email)
    with pytest.raises(RefusedError, match="disabled"):
        client.submit(bench.sample("late", seed=20), owner=email)
    with Client.from_upload_key(url) as by_key, pytest.raises(RefusedError, match="does not open"):
        by_key.submit(bench.place / "late")


def test_a_form_finds_a_species_soon_after_it_was_registered(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nachet_pipeline.client.registry._KEPT_SECONDS", -1.0)
    services = ClientServices(bench.settings, bench.blobs, stored=bench.database)
    registry = Registry(services)
    assert not registry.search("aven")
    weeds = table(tmp_path / "weeds.csv", [*packaged_seeds(), seed("Avena fatua")])
    with bench.database.connection() as connection:
        load_species(connection, read_species((weeds,)))
    (found,) = registry.search("aven")
    assert registry.search("aven")[0] is found, "what was read is kept while nothing else was loaded"

    by_key = replace(services, stored=None, settings=settings_with(species_file=(weeds,)))
    assert Registry(by_key).search("fatua")[0].name == "Avena fatua"


def test_a_wrong_call_is_said_in_one_line(bench: Workbench, client: Client, key: str) -> None:
    with Client.from_upload_key(key) as by_key:
        with pytest.raises(NeedsServicesError):
            by_key.uploads()
        with pytest.raises(UsageError, match="owner"):
            by_key.submit(bench.place, owner=bench.user.email)
        assert by_key.registry.search("nap")
    with pytest.raises(UsageError, match="owner"):
        client.submit(bench.place)
    with pytest.raises(UsageError, match="name"):
        client.submit({"index.yaml": b""}, owner=bench.user.email)
    closed = io.BytesIO()
    closed.close()
    for no_stream in (io.StringIO("a: 1"), closed, "a: 1", None):
        with pytest.raises(UsageError, match="stream of bytes"):
            client.submit({"index.yaml": no_stream}, name="text", owner=bench.user.email)  # type: ignore[dict-item]
    with pytest.raises(UsageError, match="path of a file"):
        client.submit({Path("index.yaml"): b""}, name="paths", owner=bench.user.email)  # type: ignore[dict-item]
    with pytest.raises(RefusedError, match="not registered"):
        client.submit({"index.yaml": b""}, name="nobody", owner="nobody@example.org")
    with pytest.raises(UsageError, match="nobody"):
        client.users.add("nobody")
    for call in (
        lambda: client.uploads(state="lost"),
        lambda: client.uploads(limit=0),
        lambda: client.uploads(after="x"),
        lambda: client.pictures("x"),
    ):
        with pytest.raises(UsageError, match="expected"):
            call()


def test_requests_that_wait_in_an_event_loop_hold_no_thread(
    bench: Workbench, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asynchronous, "_ASKING", 1)
    folders = [bench.sample(f"async{number}", seed=30 + number) for number in range(3)]

    async def backend() -> list[State]:
        async with AsyncClient.from_upload_key(key) as client:
            sent = [await client.submit(folder) for folder in folders]
            waiting = [asyncio.create_task(one.wait(timeout=60)) for one in sent]
            await asyncio.sleep(0.3)
            assert (await sent[0].status()).state is State.STAGED  # its one thread is free
            with ThreadPoolExecutor(1) as pipeline:
                await asyncio.get_running_loop().run_in_executor(pipeline, pipeline_runs, bench)
            assert [event.final async for event in sent[0].events()] == [True]
            assert (await client.registry.search("nap"))[0].seed.genus
            receipts = await asyncio.gather(*waiting)
            await client.close()  # and again at the end
            return [receipt.state for receipt in receipts]

    assert asyncio.run(backend()) == [State.IMPORTED] * 3


@pytest.mark.parametrize(
    ("sync", "mirror"),
    [(Client, AsyncClient), (Users, AsyncUsers), (Registry, AsyncRegistry)],
    ids=lambda one: one.__name__,
)
def test_an_event_loop_has_the_same_words(sync: type, mirror: type) -> None:
    assert [word for word in vars(sync) if not word.startswith("_") and not hasattr(mirror, word)] == []


# A backend that receives folders by a form


def test_the_example_of_a_backend_takes_a_folder_from_a_form_and_shows_its_receipt(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(PROJECT)
    program = (PROJECT / "examples/backend.py").read_text(encoding="utf-8")
    assert len(program.splitlines()) <= 60
    backend = importlib.import_module("examples.backend")
    owner, folder = bench.user.email, bench.sample("été 2026", seed=40)
    files = [("files", (f"été 2026/{path}", content)) for path, content in files_of(folder).items()]
    with TestClient(backend.app) as browser:
        assert 'action="/folders"' in browser.get("/").text
        sent = browser.post("/folders", data={"owner": owner, "name": "été 2026"}, files=files)
        assert (sent.status_code, sent.json()["state"], sent.json()["receipt"]) == (200, "staged", None)
        pipeline_runs(bench)
        receipt = browser.get(sent.url.path).json()["receipt"]
        assert (receipt["state"], receipt["submission"]) == ("imported", sent.json()["submission"])
        unknown = browser.post("/folders", data={"owner": "nobody@example.org", "name": "x"}, files=files)
        assert (unknown.status_code, "not registered" in unknown.json()["error"]) == (409, True)


# What happened, by cursor


def test_who_polls_what_happened_is_told_everything_once_while_others_write(
    bench: Workbench, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    client.users.add(email := f"{uuid4().hex}@example.org")
    owner = bench.another_user(email)
    cursor, told = client.events(None).after, []

    def poll(**chosen: Any) -> list[str]:
        nonlocal cursor
        found = []
        while True:
            page = client.events(cursor, limit=2, **chosen)
            found += page.items
            cursor = page.after
            if len(page.items) < 2:
                told.extend(found)
                return [f"{one.type} {one.data.folder}" for one in found if isinstance(one.data, UploadChanged)]

    client.submit(owner.sample("first", seed=50), owner=email)
    pipeline_runs(bench)
    assert poll(owner=email) == [f"upload.{state} first" for state in ("staged", "queued", "importing", "imported")]
    with bench.database.connection() as slow:
        see_upload(slow, owner.owner, "slow")
        client.submit(owner.sample("second", seed=51), owner=email)
        assert poll(owner=email) == []  # what `slow` has written comes before it
    pipeline_runs(bench)
    assert poll(owner=email, types={"upload.staged", "upload.imported"}) == [
        "upload.staged slow",
        "upload.staged second",
        "upload.imported second",
    ]
    assert len({event.id for event in told}) == len(told)
    assert poll() == []
    _, following, _ = fenced(PAGES["docs/backends.md"], "python")
    program: dict[str, Any] = {"client": client, "cursor": 0}
    exec(following, program)  # noqa: S102 (it is ours)
    assert program["cursor"] == cursor
    assert str(client.uploads(named="second", owner=email).items[0].id) in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"upload\.imported"):
        client.events(types={"upload.lost"})


# Where uploads stand, by command


def test_uploads_are_listed_with_times_chosen_among_and_counted(
    bench: Workbench, client: Client, command: Nachet
) -> None:
    client.users.add(email := f"{uuid4().hex}@example.org")
    owner = bench.another_user(email)
    misspelt = owner.sample("misspelt", seed=60)
    edit(misspelt / "pictures/session1/index.yaml", "seedData", seedSpecies="nonsuch")
    for folder in (owner.sample("right", seed=61), misspelt):
        client.submit(folder, owner=email)
    pipeline_runs(bench)
    client.submit(owner.sample("waiting", seed=62), owner=email)

    listed = command("status", "--owner", email)
    head, *lines, counted = listed.out.splitlines()
    assert head.split("  ")[0] == "upload"
    assert [(line.split()[1], line.split()[-1]) for line in lines] == [
        ("staged", "waiting"),
        ("refused", "misspelt"),
        ("imported", "right"),
    ]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert [line.count(today) for line in lines] == [2, 3, 3]  # no run was requested for the first
    assert counted == "3 uploads: 1 staged, 1 imported, 1 refused"
    assert command("status", "--owner", email, "--state", "refused", "--json").out.count('"folder": "misspelt"') == 1
    assert command("status", "--owner", email, "--since", "2100-01-01").out == ""
    assert "--limit" in command("status", "--owner", email, "--limit", 2).err
    assert "expected one of staged" in command("status", "--state", "lost").err
    assert command("status", "--owner", "nobody@example.org").code == 1


# What a program runs into


def test_a_folder_without_files_is_refused_before_anything_is_written(
    bench: Workbench, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", {}):
        with pytest.raises(UsageError, match="no file"):
            client.submit(folder, name="empty", owner=bench.user.email)
    assert client.uploads(owner=bench.user.email, named="empty").items == []
    with pytest.raises(RefusedError, match="no folder empty"):
        client.submission("empty", owner=bench.user.email)


def test_what_is_refused_leaves_no_upload_and_no_event_behind(bench: Workbench, client: Client) -> None:
    client.users.add(email := f"{uuid4().hex}@example.org")
    for name, files in (
        ("a/b", {"index.yaml": b""}),
        ("_template/new", {"index.yaml": b""}),
        ("..", {"index.yaml": b""}),
        ("unsafe", {"../index.yaml": b""}),
    ):
        with pytest.raises(RefusedError, match="cannot be staged"):
            client.submit(files, name=name, owner=email)
    with pytest.raises(UsageError, match="no file"):
        client.submit({"_COMPLETE": b"", ".DS_Store": b"x"}, name="marks", owner=email)
    assert client.uploads(owner=email).items == []
    assert client.events(0, owner=email, types={"upload.staged"}).items == []


def test_another_folder_that_is_refused_changes_nothing_of_the_one_that_is_there(
    bench: Workbench, client: Client
) -> None:
    owner = bench.user.email
    folder = bench.sample("taken", sessions=2, seed=80)
    edit(folder / "pictures/session2/index.yaml", "seedData", seedSpecies="nonsuch")
    first = client.submit(folder, owner=owner, accept_valid=True)
    pipeline_runs(bench)
    assert first.wait(timeout=30).state is State.PARTLY_IMPORTED
    with pytest.raises(RefusedError, match="holds other pictures"):
        client.submit(bench.sample("another", seed=81), name="taken", owner=owner)
    assert "taken" not in [arrival.upload.folder for arrival in bench.due()]
    assert client.uploads(named="taken", owner=owner).items[0].state is State.PARTLY_IMPORTED


@pytest.mark.parametrize("name", ["", "..", "/", "../upload-of-somebody/folder", "nul\0", "\ud800"])
def test_a_name_that_no_folder_can_have_is_looked_for_nowhere(client: Client, bench: Workbench, name: str) -> None:
    client.submit({"index.yaml": b""}, name="some-folder", owner=bench.user.email)
    for ask in (client.status, client.submission):
        with pytest.raises(RefusedError, match="no folder can have that name"):
            ask(name, owner=bench.user.email)


def test_a_client_is_not_used_by_two_processes(bench: Workbench, client: Client) -> None:
    client.uploads()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # what used the connections of two processes might wait for ever
        refused = 0
        for call in (client.uploads, lambda: client.status("x", owner=bench.user.email), client.events):
            try:
                call()
            except UsageError:
                refused += 1
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_a_cursor_of_another_database_is_told_instead_of_waiting_in_silence(client: Client) -> None:
    newest = client.events(None).after
    assert client.events(newest).after == newest
    with pytest.raises(UsageError, match="restored"):
        client.events(newest + 1000)


def test_a_key_opens_nobody_elses_container(bench: Workbench, client: Client, key: str) -> None:
    client.users.add(email := f"{uuid4().hex}@example.org")
    other = bench.another_user(email)
    forged = key.replace(str(bench.user.id), str(other.user.id))
    assert forged != key
    with Client.from_upload_key(forged) as thief, pytest.raises(RefusedError, match="does not open") as raised:
        thief.submit({"index.yaml": b"a: 1"}, name="stolen")
    secret = forged.partition("?")[2]
    assert secret not in "".join(traceback.format_exception(raised.value))
    assert not any(secret in repr(one) for one in (thief, thief._services, raised.value))


def test_two_requests_that_send_the_same_folder_at_the_same_time_both_see_its_receipt(
    bench: Workbench, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK_PAUSE", 0.5)
    folder = bench.sample("twice", seed=70)
    with ThreadPoolExecutor(2) as requests:
        sent = list(requests.map(lambda _: client.submit(folder, owner=bench.user.email), range(2)))
    pipeline_runs(bench)
    last = client.submission("twice", owner=bench.user.email)
    assert last.wait(timeout=30).state is State.IMPORTED
    for one in sent:
        if one.digest == last.digest:
            assert one.wait(timeout=30).submission == one.digest
        else:  # the other one has sent the same files over these
            with pytest.raises(SupersededError):
                one.wait(timeout=60)


def test_what_is_sent_while_its_folder_is_imported_is_imported_after_it(bench: Workbench, client: Client) -> None:
    folder, owner = bench.sample("meanwhile", seed=71), bench.user.email
    first = client.submit(folder, owner=owner)
    (arrival,) = [one for one in bench.due() if one.upload.folder == "meanwhile"]
    queue(bench.database, [arrival])
    index = folder / "pictures/session1/index.yaml"
    edit(index, "userData", description="corrected")
    second = client.submit(folder, owner=owner)
    bench.run(bench.now(arrival.upload))  # it imports what it finds
    pipeline_runs(bench)
    assert second.wait(timeout=30).state is State.IMPORTED
    assert first.digest != second.digest
    assert first.receipt() is None


def test_fifty_requests_of_an_event_loop_are_served_while_it_goes_on(bench: Workbench, client: Client) -> None:
    client.users.add(email := f"{uuid4().hex}@example.org")
    files = files_of(bench.another_user(email).sample("many", seed=72))

    async def backend() -> tuple[int, list[bool]]:
        async with AsyncClient.from_environment() as nachet:
            sending = [asyncio.create_task(nachet.submit(files, name=f"many{n}", owner=email)) for n in range(50)]
            ticks = 0
            while not all(task.done() for task in sending):
                await nachet.registry.search("nap")  # no question waits for what is sent
                ticks += 1
            sent = await asyncio.gather(*sending)
            return ticks, [(await one.status()).complete for one in sent]

    ticks, complete = asyncio.run(backend())
    assert complete == [True] * 50
    assert ticks > 50
