import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.identifiers import receipt_blob
from nachet_pipeline.storage import listings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.uploads import discovery
from nachet_pipeline.uploads.discovery import Arrival, FolderSnapshot, due_uploads, fail_abandoned, queue, take_snapshot
from nachet_pipeline.uploads.importing import fail_upload
from nachet_pipeline.uploads.queries import (
    mark_importing,
    requeue_batch,
    upload_lock,
    uploads_of_batch,
    uploads_of_run,
    waiting_batches,
)
from nachet_pipeline.uploads.staged_folder import StagedFolder
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.queries import add_user
from nachet_pipeline_tests.workbench import InterruptedStorage, Workbench, edit

SETTLED = timedelta(seconds=60)
QUIET = timedelta(hours=1)
_KILLED = r"""
import os, sys, time
from uuid import UUID
from pydantic import SecretStr
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.database.connection import Database
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.uploads.importing import Importer
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.settings import TransferSettings
from nachet_pipeline.storage.blobs import BlobStorage

class Stuck(BlobStorage):
    def copy(self, *arguments, **settings):
        super().copy(*arguments, **settings)
        os.write(1, b"storing\n")
        time.sleep(600)

if __name__ == "__main__":
    judging = RuleSet(), ContractLimits(), TransferSettings(transfer_concurrency=1)
    with (
        Database(SecretStr(os.environ["TEST_DATABASE"])) as database,
        Stuck.connect(os.environ["TEST_ACCOUNT"], SecretStr(os.environ["TEST_KEY"])) as blobs,
        DecodingPool(DecodingSettings(workers=1)) as pool,
    ):
        with database.connection() as connection:
            registry = registered_seeds(connection)
        Importer(database, blobs, pool, registry, *judging, run_id="killed").import_upload(UUID(sys.argv[1]))
"""


def look(workbench: Workbench, upload: Upload, after: timedelta = timedelta(0)) -> FolderSnapshot:
    folder = StagedFolder(workbench.blobs, upload.staging_container, upload.folder)
    return take_snapshot(folder, workbench.settings.arrival, workbench.limits, datetime.now(UTC) + after)


def folders(due: list[Arrival]) -> list[str]:
    return [arrival.upload.folder for arrival in due]


def import_due(workbench: Workbench) -> list[State]:
    """Ask for a run of all that is due, and let it run."""
    due = workbench.due()
    queue(workbench.database, due)
    return [workbench.run(arrival.upload).receipt.state for arrival in due]


# When a folder is complete


def test_a_folder_that_lacks_declared_pictures_waits_and_says_for_what(workbench: Workbench) -> None:
    folder = workbench.sample(pictures=2)
    edit(folder / "pictures/session1/index.yaml", "imageData", numberOfImages=5)
    upload = workbench.stage(folder, complete=False)
    seen = look(workbench, upload, SETTLED)
    assert (seen.complete, seen.reason) == (False, "pictures/session1 holds 2 of 5 pictures")
    assert workbench.due(after=SETTLED) == []
    assert workbench.now(upload).state is State.STAGED


def test_a_folder_whose_declared_pictures_are_all_there_is_due_once_it_has_settled(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample(), complete=False)
    assert look(workbench, upload).reason == "it is changing"
    assert workbench.due() == []
    (arrival,) = workbench.due(after=SETTLED)
    assert (arrival.upload, arrival.snapshot.reason) == (upload, "its declared pictures are all there")
    files = {file.path: file.size for file in workbench.blobs.files(upload.staging_container, "project")}
    assert (arrival.snapshot.files, arrival.snapshot.size) == (len(files), sum(files.values()))


def test_a_folder_marked_as_complete_is_due_at_once_whatever_it_lacks(workbench: Workbench) -> None:
    folder = workbench.sample(pictures=2)
    edit(folder / "pictures/session1/index.yaml", "imageData", numberOfImages=5)
    workbench.stage(folder)
    (arrival,) = workbench.due()
    assert arrival.snapshot.reason == "it is marked as complete"


def test_a_folder_that_has_been_quiet_for_long_is_due_so_that_what_it_lacks_is_told(workbench: Workbench) -> None:
    folder = workbench.sample(pictures=2)
    (folder / "pictures/session1/index.yaml").unlink()
    upload = workbench.stage(folder, complete=False)
    assert workbench.due(after=SETTLED) == []
    (arrival,) = workbench.due(after=QUIET)
    assert arrival.snapshot.reason == "nothing in it changed for 900 s"
    queue(workbench.database, [arrival])
    assert workbench.run(upload).receipt.state is State.REFUSED


def test_a_folder_of_no_known_shape_waits_until_it_is_quiet(workbench: Workbench) -> None:
    workbench.put("letters/dear-anna.txt", b"hello")
    assert workbench.due(after=SETTLED) == []
    assert folders(workbench.due(after=QUIET)) == ["letters"]


def test_the_digest_changes_with_the_content_and_not_with_the_marker(workbench: Workbench) -> None:
    folder = workbench.sample()
    upload = workbench.stage(folder, complete=False)
    unmarked = look(workbench, upload)
    assert look(workbench, workbench.stage(folder)).digest == unmarked.digest
    edit(folder / "index.yaml", "userData", zoom=10)
    assert look(workbench, workbench.stage(folder)).digest != unmarked.digest


def test_files_outside_of_folders_are_no_arrival(workbench: Workbench) -> None:
    workbench.put("1.png", b"x")
    assert workbench.due(after=QUIET) == []


# From due to done


def test_a_folder_is_due_until_a_run_is_asked_for(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    first, second = workbench.due(), workbench.due()
    assert folders(first) == ["project"]
    assert [arrival.key for arrival in first] == [arrival.key for arrival in second]
    batch = queue(workbench.database, first)
    assert workbench.due(after=QUIET) == []
    found = workbench.now(upload)
    assert (found.state, found.batch, found.staged_digest) == (State.QUEUED, batch, first[0].snapshot.digest)


def test_an_imported_folder_is_not_due_again(workbench: Workbench) -> None:
    workbench.stage(workbench.sample())
    assert import_due(workbench) == [State.IMPORTED]
    rows, staged = workbench.rows(), workbench.versions(workbench.user.upload_container)
    for after in (timedelta(0), SETTLED, QUIET):
        assert workbench.due(after=after) == []
    assert workbench.rows() == rows
    assert workbench.versions(workbench.user.upload_container) == staged


def test_an_imported_folder_whose_metadata_is_corrected_is_due_again(workbench: Workbench) -> None:
    folder = workbench.sample()
    upload = workbench.stage(folder)
    assert import_due(workbench) == [State.IMPORTED]
    edit(folder / "pictures/session1/index.yaml", "seedData", seedSpecies="juncea")
    workbench.stage(folder)
    assert import_due(workbench) == [State.IMPORTED]
    assert [item.seed for item in workbench.receipt(upload).picture_sets] == ["Brassica juncea"]
    assert workbench.due() == []


def test_a_refused_folder_is_due_only_when_it_is_corrected(workbench: Workbench) -> None:
    folder = workbench.sample()
    edit(folder / "pictures/session1/index.yaml", "seedData", seedSpecies="nothing")
    workbench.stage(folder)
    assert import_due(workbench) == [State.REFUSED]
    assert workbench.due(after=QUIET) == []
    edit(folder / "pictures/session1/index.yaml", "seedData", seedSpecies="napus")
    workbench.stage(folder)
    assert import_due(workbench) == [State.IMPORTED]


def test_a_folder_that_other_rules_refused_is_judged_again_by_those_of_today(workbench: Workbench) -> None:
    folder = workbench.sample()
    edit(folder / "pictures/session1/index.yaml", "seedData", seedSpecies="nothing")
    upload = workbench.stage(folder)
    assert import_due(workbench) == [State.REFUSED]
    with workbench.database.connection() as connection:
        connection.execute("""update upload set receipt = jsonb_set(receipt, '{report,rule_set_version}', '"1"')""")
    assert [arrival.upload.id for arrival in workbench.due(after=QUIET)] == [upload.id]
    assert import_due(workbench) == [State.REFUSED]
    assert workbench.due(after=QUIET) == []


def work_on(workbench: Workbench, upload: Upload) -> None:
    with workbench.database.connection() as connection:
        mark_importing(connection, upload.id, "run-1")


def test_a_failed_upload_is_tried_again_after_a_while_and_three_times_at_most(workbench: Workbench) -> None:
    folder = workbench.sample()
    upload = workbench.stage(folder)
    keys = set()
    for attempt, minutes in enumerate((3, 5, 9), start=1):
        (arrival,) = workbench.due()
        keys.add(arrival.key)
        queue(workbench.database, [arrival])
        work_on(workbench, upload)
        fail_upload(workbench.database, workbench.blobs, workbench.now(upload), "the service went away")
        assert workbench.now(upload).attempts == attempt
        assert workbench.due() == []
        workbench.backdate(upload.id, minutes)
    assert len(keys) == 3
    workbench.backdate(upload.id, 60 * 24)
    assert workbench.due(after=QUIET) == []
    edit(folder / "index.yaml", "userData", zoom=10)
    workbench.stage(folder)
    assert import_due(workbench) == [State.IMPORTED]
    assert workbench.now(upload).attempts == 0


def test_waiting_grows_with_every_failure(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    for _ in range(2):
        work_on(workbench, upload)
        fail_upload(workbench.database, workbench.blobs, workbench.now(upload), "the service went away")
    workbench.backdate(upload.id, 3)
    assert workbench.due() == []
    workbench.backdate(upload.id, 2)
    assert folders(workbench.due()) == ["project"]


def test_a_run_request_that_became_no_run_is_asked_for_again_under_another_key(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    batch = queue(workbench.database, workbench.due())
    with workbench.database.connection() as connection:
        assert waiting_batches(connection, minutes=5) == []
        connection.execute("update upload set queued_at = queued_at - interval '6 minutes'")
    with workbench.database.connection() as connection:
        assert waiting_batches(connection, minutes=5) == [batch]
        assert [found.id for found in uploads_of_batch(connection, batch)] == [upload.id]
        requeue_batch(connection, batch)
    due = workbench.due()
    assert folders(due) == ["project"]
    # Dagster runs a key once, also when that run was cancelled before it came to this upload.
    assert queue(workbench.database, due) != batch


def test_requeueing_a_batch_leaves_what_a_run_has_begun_with(workbench: Workbench) -> None:
    begun, waiting = (workbench.stage(workbench.sample(name)) for name in ("begun", "waiting"))
    batch = queue(workbench.database, workbench.due())
    with workbench.database.connection() as connection:
        mark_importing(connection, begun.id, "run-1")
        requeue_batch(connection, batch)
        assert [upload.id for upload in uploads_of_run(connection, "run-1")] == [begun.id]
    assert (workbench.now(begun).state, workbench.now(waiting).state) == (State.IMPORTING, State.STAGED)
    assert folders(workbench.due()) == ["waiting"]


# Several users, many folders


def test_folders_of_several_users_are_due_together_and_keep_their_owners(workbench: Workbench) -> None:
    other = workbench.another_user(f"{uuid4().hex}@example.org")
    for seed, (bench, name) in enumerate(((workbench, "same"), (workbench, "mine"), (other, "same"))):
        bench.stage(replace(bench, place=bench.place / str(bench.user.id)).sample(name, seed=seed))
    due = workbench.due()
    assert sorted((arrival.upload.owner.email, arrival.upload.folder) for arrival in due) == sorted(
        [(workbench.user.email, "same"), (workbench.user.email, "mine"), (other.user.email, "same")]
    )
    assert len({arrival.key for arrival in due}) == 3
    assert import_due(workbench) == [State.IMPORTED] * 3
    assert [len(bench.stored_pictures()) for bench in (workbench, other)] == [4, 2]


def test_a_user_without_a_container_keeps_nobody_else_waiting(
    workbench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    with workbench.database.connection() as connection:
        add_user(connection, "0-first-of-all@example.org")
    workbench.stage(workbench.sample())
    assert folders(workbench.due()) == ["project"]
    assert "0-first-of-all@example.org" in caplog.text


def test_storage_that_is_down_is_an_error_and_not_an_empty_list(workbench: Workbench) -> None:
    with (
        BlobStorage.connect("http://127.0.0.1:1/account", workbench.blob_key) as down,
        pytest.raises(StorageError, match=r"127\.0\.0\.1:1"),
    ):
        replace(workbench, blobs=down).due()


@pytest.mark.parametrize("blob", ["bad//1.png", "tab\there/1.png", "bad/\t.png", "/1.png"])
def test_a_blob_with_an_outlandish_name_keeps_no_folder_waiting(workbench: Workbench, blob: str) -> None:
    workbench.stage(workbench.sample())
    workbench.put(blob, b"x")
    assert folders(workbench.due()) == ["project"]
    assert "project" in folders(workbench.due(after=QUIET))


def test_a_user_with_many_unfinished_folders_keeps_nobody_else_waiting(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "LOOKS_PER_TICK", 4)
    other = workbench.another_user(f"z-{uuid4().hex}@example.org")
    many = workbench.another_user(f"a-{uuid4().hex}@example.org")
    for number in range(6):
        many.put(f"unfinished-{number}/1.png", b"x")
    other.stage(other.sample())
    assert folders(workbench.due()) == ["project"]


def test_a_tick_looks_at_so_many_folders_and_the_next_goes_on(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "LOOKS_PER_TICK", 2)
    for number in range(5):
        workbench.put(f"unfinished-{number}/1.png", b"x")
    counts = []
    for _ in range(3):
        assert workbench.due() == []
        counts.append(len(workbench.query("select id from upload")))
    assert counts == [2, 4, 5]


def settle(workbench: Workbench, name: str, state: State) -> None:
    """A staged folder that is done with, without having been imported."""
    workbench.put(f"{name}/1.png", b"x")
    workbench.put(f"{name}/_COMPLETE", b"complete")
    (arrival,) = workbench.due()
    queue(workbench.database, [arrival])
    workbench.query("update upload set state = %s where id = %s", state, arrival.upload.id)


def test_a_correction_is_seen_however_many_other_folders_are_done_with(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "FIRST_SECOND_LOOKS", 2)
    for number in range(3):
        settle(workbench, f"refused-{number}", State.REFUSED)
        settle(workbench, f"imported-{number}", State.IMPORTED)
    for name in ("refused-2", "imported-2"):
        workbench.put(f"{name}/2.png", b"corrected")
    seen = {name for _ in range(3) for name in folders(workbench.due())}
    assert seen == {"refused-2", "imported-2"}


def test_a_correction_is_seen_although_older_folders_were_removed_from_staging(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "FIRST_SECOND_LOOKS", 2)
    for number in range(4):
        settle(workbench, f"imported-{number}", State.IMPORTED)
    for number in range(3):
        for file in ("1.png", "_COMPLETE"):
            workbench.blobs.delete(workbench.user.upload_container, f"imported-{number}/{file}")
    workbench.put("imported-3/2.png", b"corrected")
    seen = {name for _ in range(3) for name in folders(workbench.due())}
    assert seen == {"imported-3"}


def test_of_folders_that_are_done_with_those_settled_last_are_looked_at_first_and_the_others_in_turn(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "FIRST_SECOND_LOOKS", 1)
    days_ago = {"old": 90, "older": 91, "new": 1}
    for name in days_ago:
        settle(workbench, name, State.REFUSED)
    for name, days in days_ago.items():
        workbench.query(
            "update upload set updated_at = now() - interval '1 day' * %s, checked_at = now() - interval '1 hour'"
            " where folder = %s",
            days,
            name,
        )
        workbench.put(f"{name}/2.png", b"corrected")
    seen = []
    for _ in range(3):
        (arrival,) = workbench.due()
        seen.append(arrival.upload.folder)
        queue(workbench.database, [arrival])
    assert seen == ["new", "old", "older"]


def test_the_folders_of_two_users_share_the_second_looks_of_a_tick(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "FIRST_SECOND_LOOKS", 2)
    other = workbench.another_user(f"{uuid4().hex}@example.org")
    for bench in (workbench, other):
        for number in range(2):
            settle(bench, f"refused-{number}", State.REFUSED)
    for bench in (workbench, other):
        for number in range(2):
            bench.put(f"refused-{number}/2.png", b"corrected")
    first = workbench.due()
    queue(workbench.database, first)
    second = workbench.due()
    assert (len(first), len(second)) == (2, 2)
    assert len({arrival.upload.id for arrival in first + second}) == 4


def test_a_tick_that_takes_long_leaves_folders_to_the_next(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(discovery, "LOOKING_SECONDS", 0)
    monkeypatch.setattr(discovery, "_LOOKS_BETWEEN_STATEMENTS", 2)
    for number in range(5):
        workbench.put(f"marked-{number}/_COMPLETE", b"complete")
    found = []
    for _ in range(3):
        due = workbench.due()
        queue(workbench.database, due)
        found.append(len(due))
    assert found == [2, 2, 1]
    assert "the next tick goes on" in caplog.text


def test_what_lies_on_many_pages_is_found_and_keeps_its_receipts(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "NAMES_A_PAGE", 2)
    monkeypatch.setattr(discovery, "_FOLDERS_BETWEEN_STATEMENTS", 2)
    uploads = [workbench.stage(workbench.sample(f"project{number}", seed=number)) for number in range(3)]
    assert sorted(folders(workbench.due())) == ["project0", "project1", "project2"]
    assert import_due(workbench) == [State.IMPORTED] * 3
    staged = workbench.versions(workbench.user.upload_container)
    assert workbench.due(after=QUIET) == []
    monkeypatch.setattr(discovery, "LISTING_SECONDS", 0)
    assert _due_by_ticks(workbench) == [[]] * 5  # each begins where the one before it ended
    assert workbench.versions(workbench.user.upload_container) == staged
    assert {workbench.receipt(upload).state for upload in uploads} == {State.IMPORTED}


def _due_by_ticks(workbench: Workbench, most: int = 20) -> list[list[str]]:
    """What is due tick by tick, until one ends where the listing of every container does, or there were so many."""
    listing, found = discovery.Listing(), []
    while True:
        due = list(
            due_uploads(
                workbench.database, workbench.blobs, workbench.settings.arrival, workbench.limits, listing=listing
            )
        )
        found.append(sorted(arrival.upload.folder for arrival in due))
        queue(workbench.database, due)
        if listing.ended or len(found) == most:
            return found
        listing = discovery.Listing(listing.place)  # as the sensor keeps it, as text


def test_a_tick_that_cannot_list_everything_goes_on_where_the_last_one_ended(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "NAMES_A_PAGE", 1)
    monkeypatch.setattr(discovery, "LISTING_SECONDS", 0)
    for number in range(3):
        workbench.put(f"marked-{number}/_COMPLETE", b"complete")
    assert _due_by_ticks(workbench) == [["marked-0"], ["marked-1"], ["marked-2"]]
    assert _due_by_ticks(workbench) == [[], [], []]
    workbench.put("a-new-one/_COMPLETE", b"complete")
    assert ["a-new-one"] in _due_by_ticks(workbench)


def test_with_many_users_each_has_its_turn_within_a_few_ticks(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "LISTING_SECONDS", 0)
    monkeypatch.setattr(discovery, "_AT_A_TIME", 2)
    monkeypatch.setattr(listings, "NAMES_A_PAGE", 1)
    benches = [workbench, *(workbench.another_user(f"{uuid4().hex}@example.org") for _ in range(4))]
    for bench in benches:
        for number in range(2):
            bench.put(f"marked-{number}/_COMPLETE", b"complete")
    ticks = _due_by_ticks(workbench, most=8)
    assert sum(map(len, ticks)) == 10
    assert ticks[-1] == []


def test_users_who_did_nothing_lately_take_turns_and_one_who_sends_something_is_seen_at_every_tick(
    workbench: Workbench,
) -> None:
    others = [workbench.another_user(f"{uuid4().hex}@example.org") for _ in range(6)]
    listing = discovery.Listing()

    def tick() -> int:
        nonlocal listing
        arrivals = (workbench.database, workbench.blobs, workbench.settings.arrival, workbench.limits)
        due = list(due_uploads(*arrivals, listing=listing))
        queue(workbench.database, due)
        listing = discovery.Listing(listing.place)
        return len(due)

    workbench.put("sent/1.png", b"x")
    while not workbench.query("select id from upload"):
        tick()
    for number in range(2):
        workbench.put(f"marked-{number}/_COMPLETE", b"complete")
        assert tick() == 1
    for other in others:
        other.put("marked/_COMPLETE", b"complete")
    assert sorted(tick() for _ in range(3)) == [2, 2, 2]


def test_a_place_that_no_user_has_any_more_begins_with_the_next_one(workbench: Workbench) -> None:
    workbench.put("marked/_COMPLETE", b"complete")
    gone = str(UUID(int=0))
    for place in ("", f"{gone}:page", json.dumps({"first": gone, "pages": {gone: "page"}}), "[]", '{"pages": 1}'):
        listing = discovery.Listing(place)
        due = due_uploads(
            workbench.database, workbench.blobs, workbench.settings.arrival, workbench.limits, listing=listing
        )
        assert [arrival.upload.folder for arrival in due] == ["marked"]
        assert listing.ended


# Receipts


def test_a_receipt_that_is_missing_beside_its_folder_is_written_again(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    assert import_due(workbench) == [State.IMPORTED]
    receipt = workbench.receipt(upload)
    workbench.blobs.delete(upload.staging_container, receipt_blob(upload.folder))
    assert workbench.due() == []
    assert workbench.receipt(upload) == receipt == workbench.now(upload).receipt


def test_a_receipt_of_a_folder_that_the_user_removed_is_not_written_again(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    assert import_due(workbench) == [State.IMPORTED]
    for blob in workbench.versions(upload.staging_container):
        workbench.blobs.delete(upload.staging_container, blob)
    assert workbench.due(after=QUIET) == []
    assert workbench.versions(upload.staging_container) == {}
    assert len(workbench.stored_pictures()) == 2


# Runs that died


def begin(workbench: Workbench, name: str) -> Upload:
    """An upload that a run began with two minutes ago."""
    upload = workbench.stage(workbench.sample(name))
    with workbench.database.connection() as connection:
        mark_importing(connection, upload.id, "run-1")
    workbench.backdate(upload.id, 2)
    return workbench.now(upload)


def test_an_upload_that_nobody_works_on_any_more_is_failed_and_one_that_is_worked_on_is_not(
    workbench: Workbench,
) -> None:
    abandoned, busy = begin(workbench, "abandoned"), begin(workbench, "busy")
    with workbench.database.connection() as holding, upload_lock(holding, busy.id):
        assert [upload.folder for upload in fail_abandoned(workbench.database, workbench.blobs)] == ["abandoned"]
        assert workbench.now(busy).state is State.IMPORTING
    receipt = workbench.receipt(abandoned)
    assert (receipt.state, receipt.run_id) == (State.FAILED, "run-1")
    assert receipt.failure == "the process that imported it ended before it was done"
    assert receipt == workbench.now(abandoned).receipt
    assert [upload.folder for upload in fail_abandoned(workbench.database, workbench.blobs)] == ["busy"]


def test_an_upload_that_was_just_begun_with_is_not_abandoned(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    with workbench.database.connection() as connection:
        mark_importing(connection, upload.id, "run-1")
    assert fail_abandoned(workbench.database, workbench.blobs) == []


@pytest.fixture
def importing_process(workbench: Workbench) -> Iterator[tuple[Upload, subprocess.Popen[str]]]:
    """Another process in the middle of an import: it has stored a picture, and is stuck."""
    upload = workbench.stage(workbench.sample(pictures=3))
    with workbench.process(_KILLED, upload.id, stuck_at="storing") as process:
        yield upload, process


def test_an_import_whose_process_is_killed_is_noticed_told_and_completed(
    workbench: Workbench, importing_process: tuple[Upload, subprocess.Popen[str]]
) -> None:
    upload, process = importing_process
    workbench.backdate(upload.id, 2)
    assert fail_abandoned(workbench.database, workbench.blobs) == []
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30  # PostgreSQL notices a moment after the connection is gone
    while not (failed := fail_abandoned(workbench.database, workbench.blobs)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [found.id for found in failed] == [upload.id]
    assert (workbench.receipt(upload).state, workbench.receipt(upload).run_id) == (State.FAILED, "killed")
    assert workbench.query("select id from pictures") == []
    workbench.backdate(upload.id, 3)
    assert import_due(workbench) == [State.IMPORTED]
    assert len(workbench.stored_pictures()) == len(workbench.query("select id from pictures")) == 3
    assert workbench.receipt(upload).state is State.IMPORTED


def test_however_long_storage_is_away_the_upload_is_asked_for_again(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    (arrival,) = workbench.due()
    queue(workbench.database, [arrival])
    with InterruptedStorage.connect(workbench.blobs.account_url, workbench.blob_key) as away:
        for _ in range(5):
            assert workbench.run(workbench.now(upload), blobs=away).receipt.state is State.FAILED
            workbench.backdate(upload.id, 9)
            assert [one.upload.id for one in workbench.due()] == [upload.id]
    assert import_due(workbench) == [State.IMPORTED]
    assert workbench.now(upload).attempts == 0
