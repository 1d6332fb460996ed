"""Walls between users: whatever lies in one upload container, the folders of the others are imported."""

import random
import sqlite3
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from azure.core.credentials import AzureSasCredential
from azure.storage.blob import ContainerClient

from nachet_pipeline.contract import structure
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.receipt import State
from nachet_pipeline.identifiers import receipt_blob, user_id
from nachet_pipeline.reconciliation.retention_queries import begin_clearing
from nachet_pipeline.storage import listings
from nachet_pipeline.storage.blobs import API_VERSION, BlobStorage
from nachet_pipeline.support.files import StagedFile
from nachet_pipeline.uploads import discovery
from nachet_pipeline.uploads.discovery import Arrival, Listing, UnfinishedLooks, due_uploads, queue, take_snapshot
from nachet_pipeline.uploads.queries import see_upload
from nachet_pipeline.uploads.staged_folder import StagedFolder
from nachet_pipeline.users.upload_address import UploadAddress
from nachet_pipeline_tests.users.keys import ACTOR, shown_url, upload_keys
from nachet_pipeline_tests.workbench import Workbench, edit

QUIET = timedelta(hours=1)
_LONG = "".join(random.Random(1).choices([chr(code) for code in range(0x4E00, 0x9FA5)], k=1000))


@pytest.fixture
def hostile(workbench: Workbench) -> Workbench:
    """A user whose container comes before that of the honest one, whose `workbench` it is."""
    email = next(
        name for name in (f"{uuid4().hex}@example.org" for _ in range(10_000)) if user_id(name) < workbench.user.id
    )
    other = workbench.another_user(email)
    return replace(other, place=other.place / "hostile")


def ticks(
    workbench: Workbench, count: int = 2, *, unfinished: UnfinishedLooks | None = None
) -> Iterator[list[Arrival]]:
    """What is due tick by tick, each listing from where the last one ended; a run is asked for all of it."""
    place = ""
    for _ in range(count):
        listing = Listing(place)
        due = list(
            due_uploads(
                workbench.database,
                workbench.blobs,
                workbench.settings.arrival,
                workbench.limits,
                listing=listing,
                unfinished=unfinished,
            )
        )
        place = listing.place
        queue(workbench.database, due)
        yield due


def names(due: list[Arrival]) -> list[str]:
    return [arrival.upload.folder for arrival in due]


def import_within_two_ticks(workbench: Workbench) -> dict[UUID, State]:
    """How the runs of two ticks end."""
    ended = {}
    for due in ticks(workbench):
        for arrival in due:
            ended[arrival.upload.id] = workbench.run(arrival.upload).receipt.state
    return ended


HOSTILE = {
    "a control character in a folder": ["c/\x0b.tiff", "c/_COMPLETE"],
    "a control character first of all": ["\x0bfolder/1.tiff", "\x01/2.tiff"],
    "control characters among others": ["pro\x1fject/1.tiff", "zz\x0b.receipt.json", "a\x00/1.tiff"],
    "noncharacters": ["\ufffe/1.tiff", "\uffff", "n/\ufffe", "\ufdd0/1.tiff", "\U0001fffe/_COMPLETE"],
    "very deep": ["/".join("d" * 500), "/".join("e" * 254) + "/_COMPLETE", "e/_COMPLETE"],
    "1024 characters": ["x" * 1024, "y" * 1014 + "/_COMPLETE", "z/" + "z" * 1022, "z/_COMPLETE"],
    "a name that no index of the database takes": [f"{_LONG}/_COMPLETE", f"{_LONG}/1.tiff"],
    "two names that some clients take for one": ["twice/1.tiff", "twice/1.tiff/", "twice//1.tiff", "twice/_COMPLETE"],
    "empty parts": ["/1.tiff", "//", "a//", "b/", "b/_COMPLETE", "./", "e/"],
    "folders called like receipts": [
        "project.receipt.json/1.png",
        "project.receipt.json/_COMPLETE",
        ".receipt.json/_COMPLETE",
        ".receipt.json",
        "project.report.html/_COMPLETE",
    ],
    "other users' containers": [f"upload-{uuid4()}/_COMPLETE", f"user-{uuid4()}/_COMPLETE", "_template/_COMPLETE"],
    "letters of all kinds": ["\u202egpj.exe/_COMPLETE", "\r\n/_COMPLETE", "\x7f/_COMPLETE", "%00/_COMPLETE", "&#0;/1"],
}


@pytest.mark.parametrize("written", HOSTILE.values(), ids=HOSTILE)
def test_whatever_lies_in_one_container_the_folders_of_others_and_its_own_are_imported_within_two_ticks(
    workbench: Workbench, hostile: Workbench, written: list[str]
) -> None:
    for blob in written:
        if not {"..", "."} & set(blob.split("/")):  # no client can write these
            hostile.put(blob, b"x")
    honest, own = workbench.stage(workbench.sample("project")), hostile.stage(hostile.sample("beside", seed=1))
    ended = import_within_two_ticks(workbench)
    assert (ended[honest.id], ended[own.id]) == (State.IMPORTED, State.IMPORTED)


def test_a_folder_that_cannot_be_listed_has_failed_and_says_so_in_its_receipt_and_in_the_log(
    workbench: Workbench, hostile: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    hostile.put("c/\x0b.tiff", b"x")
    hostile.put("c/1.tiff", b"x")
    assert hostile.due() == []
    upload = replace(workbench, user=hostile.user).query("select id, state from upload where folder = 'c'")[0]
    assert upload["state"] == "failed"
    receipt = hostile.receipt(see(hostile, "c"))
    assert receipt.state is State.FAILED
    assert "a name among them cannot be listed" in str(receipt.failure)
    assert f"the folder c of {hostile.user.email} cannot be looked at" in caplog.text
    hostile.blobs.delete(hostile.user.upload_container, "c/\x0b.tiff")
    hostile.backdate(upload["id"], 60)
    assert names(hostile.due(after=QUIET)) == ["c"]


def see(workbench: Workbench, folder: str) -> Any:
    with workbench.database.connection() as connection:
        return see_upload(connection, workbench.owner, folder)


def test_an_imported_folder_that_cannot_be_listed_any_more_stays_imported_and_keeps_nobody_waiting(
    workbench: Workbench, hostile: Workbench
) -> None:
    upload = hostile.stage(hostile.sample("mine"))
    assert import_within_two_ticks(workbench)[upload.id] is State.IMPORTED
    hostile.put("mine/\x0b.tiff", b"x")
    honest = workbench.stage(workbench.sample("project", seed=1))
    assert import_within_two_ticks(workbench) == {honest.id: State.IMPORTED}
    assert hostile.receipt(upload).state is State.IMPORTED


def test_of_a_receipt_that_somebody_replaced_by_a_huge_file_nothing_is_held_and_it_is_written_again(
    workbench: Workbench, hostile: Workbench
) -> None:
    upload = hostile.stage(hostile.sample("mine"))
    assert import_within_two_ticks(workbench)[upload.id] is State.IMPORTED
    receipt = hostile.receipt(upload)
    hostile.put(receipt_blob("mine"), b"[" * 40 * 1024**2)
    hostile.due()
    tracemalloc.start()
    hostile.put(receipt_blob("mine"), bytes(40 * 1024**2))
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        assert hostile.due() == []
        assert tracemalloc.get_traced_memory()[1] - before < 10 * 1024**2
    finally:
        tracemalloc.stop()
    assert hostile.receipt(upload) == receipt


# Many names


def test_a_container_of_very_many_names_lets_the_next_user_have_a_turn_after_each_page(
    workbench: Workbench, hostile: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "NAMES_A_PAGE", 1)
    monkeypatch.setattr(discovery, "LISTING_SECONDS", 0)
    monkeypatch.setattr(discovery, "_AT_A_TIME", 1)
    for number in range(4):
        hostile.put(f"loose-{number}.tiff", b"x")
        hostile.put(f"more-{number}/_COMPLETE", b"complete")
    workbench.put("project/_COMPLETE", b"complete")
    first, second = (names(due) for due in ticks(workbench))
    assert "project" in first + second
    seen = [name for due in ticks(workbench, 20) for name in names(due)]
    assert sorted(seen) == [f"more-{number}" for number in range(4)]


@pytest.fixture
def _small_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look lists two files at a turn, and has one turn in a tick, which lists all containers however busy it is."""
    monkeypatch.setattr(discovery, "LISTING_SECONDS", 30)
    monkeypatch.setattr(listings, "NAMES_A_PAGE", 2)
    monkeypatch.setattr(structure, "_FILES_A_STEP", 1)
    monkeypatch.setattr(discovery, "LOOK_NAMES", 2)
    monkeypatch.setattr(discovery, "LARGE_SECONDS", 0)


class CountingStorage(BlobStorage):
    """The real storage, which counts how often each file of a folder is listed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.listed: list[str] = []

    def files_page(self, container: str, folder: str, after: str = "") -> tuple[list[StagedFile], str]:
        files, following = super().files_page(container, folder, after)
        if folder == "large":
            self.listed.extend(file.path for file in files)
        return files, following


@pytest.mark.usefixtures("_small_turns")
def test_a_look_at_a_large_folder_goes_on_in_the_next_tick_where_it_stopped(
    workbench: Workbench, hostile: Workbench
) -> None:
    for number in range(9):
        hostile.put(f"large/{number}.png", b"x")
    hostile.put("large/_COMPLETE", b"complete")
    workbench.put("project/_COMPLETE", b"complete")
    unfinished = UnfinishedLooks()
    with CountingStorage.connect(workbench.blobs.account_url, workbench.blob_key) as counting:
        found = list(ticks(replace(workbench, blobs=counting), 16, unfinished=unfinished))
        assert sorted(counting.listed) == sorted([*(f"{number}.png" for number in range(9)), "_COMPLETE"])
    assert names(found[0]) == ["project"]
    (tick,) = [number for number, due in enumerate(found) if "large" in names(due)]
    assert tick >= 3
    folder = StagedFolder(hostile.blobs, hostile.user.upload_container, "large")
    assert found[tick][0].snapshot == take_snapshot(folder, hostile.settings.arrival, hostile.limits)


@pytest.mark.usefixtures("_small_turns")
def test_a_long_list_is_read_some_lines_at_a_time(workbench: Workbench, hostile: Workbench) -> None:
    hostile.put("large/index.yaml", b"x")
    hostile.put("large/_COMPLETE", b"files:\n" + b"".join(b"%d.png\n" % number for number in range(20)))
    workbench.put("project/_COMPLETE", b"complete")
    found = [names(due) for due in ticks(workbench, 30, unfinished=UnfinishedLooks())]
    assert found[0] == ["project"]
    (tick,) = [number for number, due in enumerate(found) if "large" in due]
    assert tick >= 5


@pytest.mark.usefixtures("_small_turns")
def test_large_folders_of_one_user_are_looked_at_one_after_the_other(workbench: Workbench) -> None:
    for folder in ("a", "b", "c"):
        for number in range(4):
            workbench.put(f"{folder}/{number}.png", b"x")
        workbench.put(f"{folder}/_COMPLETE", b"complete")
    unfinished = UnfinishedLooks()
    due = [name for found in ticks(workbench, 40, unfinished=unfinished) for name in names(found)]
    assert sorted(due) == ["a", "b", "c"]


def test_a_folder_of_too_many_files_has_failed_and_says_so(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(structure, "_FILES_A_STEP", 1)
    monkeypatch.setattr(discovery, "MOST_FILES", 3)
    for number in range(5):
        workbench.put(f"large/{number}.png", b"x")
    assert workbench.due() == []
    assert workbench.receipt(see(workbench, "large")).failure == (
        "the folder cannot be looked at: it holds more than 3 files"
    )


def test_a_temporary_file_without_room_lets_its_folder_wait_and_no_other(
    workbench: Workbench, hostile: Workbench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hostile.put("large/0.png", b"x")
    workbench.put("project/_COMPLETE", b"complete")
    add_file = Inventory.add_file

    def add(self: Inventory, file: StagedFile, folded: str) -> None:
        if file.path == "0.png":
            raise sqlite3.OperationalError("database or disk is full")
        add_file(self, file, folded)

    monkeypatch.setattr(Inventory, "add_file", add)
    assert names(workbench.due(after=QUIET)) == ["project"]
    assert f"no temporary file for the look at large of {hostile.user.email}: database or disk is full" in caplog.text
    monkeypatch.undo()
    assert names(workbench.due(after=QUIET)) == ["large", "project"]


def test_a_folder_of_very_many_sessions_waits_for_its_marker_and_its_indexes_are_not_read(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "MOST_SESSIONS", 1)
    folder = workbench.sample(sessions=2)
    upload = workbench.stage(folder, complete=False)
    assert workbench.due(after=timedelta(seconds=60)) == []
    edit(folder / "index.yaml", "userData", zoom=10)
    assert workbench.stage(folder).id == upload.id
    assert names(workbench.due()) == ["project"]


def test_indexes_that_take_long_to_read_keep_nobody_waiting(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "INDEX_SECONDS", -1.0)
    workbench.stage(workbench.sample(), complete=False)
    assert workbench.due(after=timedelta(seconds=60)) == []
    assert names(workbench.due(after=QUIET)) == ["project"]


def test_receipts_that_are_missing_are_written_some_at_a_time(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = [workbench.stage(workbench.sample(f"project{number}", seed=number)) for number in range(3)]
    assert set(import_within_two_ticks(workbench).values()) == {State.IMPORTED}
    monkeypatch.setattr(discovery, "MISSING_RECEIPTS", 1)
    monkeypatch.setattr(discovery, "FIRST_SECOND_LOOKS", 0)
    for upload in uploads:
        workbench.blobs.delete(upload.staging_container, receipt_blob(upload.folder))
    for written in (1, 2, 3):
        assert workbench.due() == []
        beside = workbench.blobs.top_level(workbench.user.upload_container).blobs
        assert len([name for name in beside if name.endswith(".receipt.json")]) == written


# Folders that are being cleared


class ClearingStorage(BlobStorage):
    """The real storage; while a folder is listed, retention begins to clear it."""

    clear: Any = None

    def files_page(self, container: str, folder: str, after: str = "") -> tuple[list[StagedFile], str]:
        if self.clear:
            self.clear()
        return super().files_page(container, folder, after)


def test_a_folder_that_begins_to_be_cleared_while_it_is_looked_at_is_neither_queued_nor_given_a_receipt(
    workbench: Workbench,
) -> None:
    upload = workbench.stage(workbench.sample())
    assert import_within_two_ticks(workbench) == {upload.id: State.IMPORTED}
    workbench.put("project/pictures/session1/more.png", b"corrected")
    workbench.put(receipt_blob("project"), b"another")

    def clear() -> None:
        with workbench.database.connection() as connection:
            begin_clearing(connection, upload.id)

    with ClearingStorage.connect(workbench.blobs.account_url, workbench.blob_key) as clearing:
        clearing.clear = clear
        assert replace(workbench, blobs=clearing).due(after=QUIET) == []
    assert workbench.now(upload).state is State.IMPORTED
    assert workbench.blobs.read(upload.staging_container, receipt_blob("project")) == b"another"


# An enemy who has an upload key and nothing else


@pytest.fixture
def key(hostile: Workbench) -> Iterator[ContainerClient]:
    """The hostile user's container, as their upload key opens it."""
    upload_keys(hostile).ensure(hostile.user.email, actor=ACTOR)
    address = UploadAddress.parse(shown_url(hostile))
    credential = AzureSasCredential(address.sas.get_secret_value())
    with ContainerClient(address.account_url, address.container, credential, api_version=API_VERSION) as container:
        yield container


def test_a_lease_on_receipts_keeps_them_from_being_written_and_nobody_waiting(
    workbench: Workbench, hostile: Workbench, key: ContainerClient
) -> None:
    mine = hostile.stage(hostile.sample("mine"))
    for blob in (receipt_blob("mine"), "mine.report.html"):
        key.upload_blob(blob, b"held")
        key.get_blob_client(blob).acquire_lease(-1)
    honest = workbench.stage(workbench.sample("project", seed=1))
    assert import_within_two_ticks(workbench) == {mine.id: State.IMPORTED, honest.id: State.IMPORTED}
    assert workbench.now(mine).state is State.IMPORTED
    assert workbench.due() == []


def test_an_index_that_cannot_be_read_is_its_folders_failure(
    workbench: Workbench, hostile: Workbench, key: ContainerClient
) -> None:
    mine = hostile.stage(hostile.sample("mine"), complete=False)
    key.get_blob_client("mine/pictures/session1/index.yaml").set_standard_blob_tier("Archive")
    workbench.stage(workbench.sample("project", seed=1))
    assert names(workbench.due(after=timedelta(seconds=60))) == ["project"]
    assert hostile.receipt(mine).state is State.FAILED


def test_what_an_upload_key_can_write_as_a_receipt_is_put_right(
    workbench: Workbench, hostile: Workbench, key: ContainerClient
) -> None:
    mine = hostile.stage(hostile.sample("mine"))
    assert import_within_two_ticks(workbench) == {mine.id: State.IMPORTED}
    receipt = hostile.receipt(mine)
    for content in (b"{}", b"[" * 100_000, b"\xff\xfe", b"null", b'{"state": ' + b"9" * 50_000 + b"}"):
        key.upload_blob(receipt_blob("mine"), content, overwrite=True)
        assert hostile.due() == []
        assert hostile.receipt(mine) == receipt
