"""What disagrees between staging, storage and database is found, and nothing else is."""

import uuid
from datetime import timedelta

import pytest

from nachet_pipeline.identifiers import descriptor_blob, receipt_blob
from nachet_pipeline.reconciliation.queries import (
    DriftKind,
    ReconciliationBusyError,
    begin_comparison,
    find_bad_blobs,
    reconciliation_lock,
    record_known,
    record_listing,
)
from nachet_pipeline.uploads.queries import mark_importing, mark_queued, upload_lock
from nachet_pipeline_tests.mass_import.containers import EARLY_LAYOUT, Filled
from nachet_pipeline_tests.reconciliation.drifted import (
    compare,
    comparer,
    drift,
    imported,
    kinds,
    orphan,
    pictures,
    repair,
    store,
)
from nachet_pipeline_tests.workbench import Workbench


def test_after_an_import_nothing_is_amiss(workbench: Workbench) -> None:
    imported(workbench, pictures=3, sessions=2)

    result = compare(workbench, read=True)

    assert (result.drift, result.under_way) == (0, 0)
    # Six pictures, and of both picture sets a descriptor and a manifest.
    assert (result.pictures, result.read, result.blobs) == (6, 6, 10)


def test_a_user_without_anything_is_compared_too(workbench: Workbench) -> None:
    result = compare(workbench)

    assert (result.drift, result.pictures, result.blobs) == (0, 0, 0)


def test_a_row_without_blob_is_found(workbench: Workbench) -> None:
    imported(workbench)
    gone, there = pictures(workbench)
    workbench.blobs.delete(workbench.user.user_container, gone["blob"])

    (found,) = drift(workbench)

    assert (found.kind, found.name, found.picture_id) == (DriftKind.MISSING_BLOB, gone["blob"], gone["id"])
    assert (found.size, found.sha256, found.found_size) == (gone["size"], gone["sha256"], None)
    assert there["blob"] != gone["blob"]


@pytest.mark.parametrize("which", ["descriptor", "manifest"])
def test_a_picture_set_without_its_description_is_found(workbench: Workbench, which: str) -> None:
    upload = imported(workbench)
    assert upload.receipt
    (received,) = upload.receipt.picture_sets
    name = descriptor_blob(received.id) if which == "descriptor" else received.manifest
    workbench.blobs.delete(workbench.user.user_container, name)

    assert kinds(workbench) == {DriftKind.MISSING_BLOB: {name}}


def test_a_container_that_is_gone_leaves_rows_without_blob(workbench: Workbench) -> None:
    filled = Filled.of(workbench, EARLY_LAYOUT)
    filled.run()
    for name in filled.versions():
        workbench.blobs.delete(filled.name, name)

    found = drift(workbench)

    assert {one.name for one in found} == set(EARLY_LAYOUT)
    assert {(one.kind, one.container) for one in found} == {(DriftKind.MISSING_BLOB, filled.name)}


def test_a_stored_blob_without_row_is_found(workbench: Workbench) -> None:
    imported(workbench)
    (row, _) = pictures(workbench)
    names = {
        orphan(workbench),
        store(workbench, f"{row['picture_set_id']}/{uuid.uuid4()}.png", b"in a set that is known"),
        store(workbench, f"{row['picture_set_id']}/note.txt", b"somebody else's"),
        store(workbench, "at the top", b"somebody else's"),
    }

    assert kinds(workbench) == {DriftKind.ORPHAN_BLOB: names}


def test_a_blob_that_was_written_just_now_is_not_judged_yet(workbench: Workbench) -> None:
    orphan(workbench)

    result = comparer(workbench, margin=timedelta(minutes=1)).compare(workbench.user)

    assert (result.drift, result.under_way) == (0, 1)


def test_what_an_import_that_is_under_way_stored_is_not_drift(workbench: Workbench) -> None:
    upload = imported(workbench)
    orphan(workbench)
    with workbench.database.connection() as connection:
        mark_importing(connection, upload.id, "run-2")

    result = compare(workbench)

    assert (result.number_of(DriftKind.ORPHAN_BLOB), result.under_way) == (0, 1)


def test_an_earlier_manifest_of_a_picture_set_is_no_orphan(workbench: Workbench) -> None:
    upload = imported(workbench)
    assert upload.receipt
    (received,) = upload.receipt.picture_sets
    store(workbench, f"{received.id}/{received.id}.{'0' * 16}.manifest.jsonl", b"{}")

    assert kinds(workbench) == {}


def test_what_a_mass_import_left_alone_in_its_container_is_none_of_our_business(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {**EARLY_LAYOUT, "batch1/notes.txt": b"not a picture"})
    filled.run()

    result = compare(workbench, read=True)

    assert (result.drift, result.pictures) == (0, len(EARLY_LAYOUT))


def test_a_blob_of_another_size_is_found(workbench: Workbench) -> None:
    imported(workbench)
    (row, _) = pictures(workbench)
    store(workbench, row["blob"], b"short")

    (found,) = drift(workbench)

    assert (found.kind, found.name, found.size, found.found_size) == (
        DriftKind.SIZE_MISMATCH,
        row["blob"],
        row["size"],
        5,
    )


def test_a_blob_that_was_written_over_by_another_of_the_same_size_is_found(workbench: Workbench) -> None:
    imported(workbench)
    (row, _) = pictures(workbench)
    store(workbench, row["blob"], b"x" * row["size"])

    (found,) = drift(workbench)

    assert (found.kind, found.name, found.sha256) == (DriftKind.CHECKSUM_MISMATCH, row["blob"], row["sha256"])
    assert found.found_sha256 not in {None, row["sha256"]}


def test_a_blob_that_was_brought_back_without_its_note_is_right_by_its_bytes(workbench: Workbench) -> None:
    imported(workbench)
    (row, _) = pictures(workbench)
    store(workbench, row["blob"], workbench.blobs.read(workbench.user.user_container, row["blob"]))

    result = compare(workbench)

    assert (result.drift, result.read) == (0, 1)


def test_in_a_container_that_was_there_before_only_reading_tells_other_bytes(workbench: Workbench) -> None:
    filled = Filled.of(workbench, EARLY_LAYOUT)
    filled.run()
    name, content = next(iter(EARLY_LAYOUT.items()))
    filled.put(name, b"x" * len(content))

    assert kinds(workbench) == {}
    assert {(one.kind, one.name) for one in drift(workbench, read=True)} == {(DriftKind.CHECKSUM_MISMATCH, name)}


def test_names_that_services_sort_differently_are_compared_all_the_same(workbench: Workbench) -> None:
    content = next(iter(EARLY_LAYOUT.values()))
    names = ["batch/\uffee.tiff", "batch/\U0001f331.tiff", "batch/a b%41.tiff"]
    filled = Filled.of(workbench, {name: content + bytes([n]) for n, name in enumerate(names)})
    filled.run()
    assert sorted(row["blob"] for row in pictures(workbench)) == sorted(names)

    assert kinds(workbench) == {}


def test_a_picture_that_is_imported_while_blobs_are_listed_is_not_drift(workbench: Workbench) -> None:
    user, container = workbench.user, workbench.user.user_container
    with workbench.database.connection() as connection:
        begin_comparison(connection)
        record_listing(connection, [])
        imported(workbench)

        pictures_seen = record_known(connection, user.id, container, own=True)
        find_bad_blobs(connection, user.id, container)

        assert pictures_seen == 0
        assert connection.execute("select * from found").fetchall() == []


def test_a_settled_folder_without_receipt_is_found(workbench: Workbench) -> None:
    upload = imported(workbench)
    workbench.blobs.delete(upload.staging_container, receipt_blob(upload.folder))

    (found,) = drift(workbench)

    assert (found.kind, found.name, found.upload_id) == (DriftKind.STAGED_WITHOUT_RECEIPT, "project", upload.id)


def test_a_folder_that_nobody_takes_up_is_found_once_patience_is_at_its_end(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    assert kinds(workbench) == {}

    workbench.query("update upload set first_seen = now() - interval '2 days', updated_at = now() - interval '2 days'")

    assert kinds(workbench) == {DriftKind.STAGED_WITHOUT_RECEIPT: {upload.folder}}


def test_a_folder_that_was_never_seen_has_time_to_be(workbench: Workbench) -> None:
    workbench.put("never-seen/1.png", b"picture")

    assert kinds(workbench) == {}
    assert kinds(workbench, reconcile_patience_hours=-1) == {DriftKind.STAGED_WITHOUT_RECEIPT: {"never-seen"}}


def test_a_receipt_whose_pictures_have_no_rows_is_found(workbench: Workbench) -> None:
    upload = imported(workbench)
    (row, _) = pictures(workbench)
    workbench.query("delete from picture_seed where picture_id = %s", row["id"])
    workbench.query("delete from pictures where id = %s", row["id"])

    found = {one.kind: one for one in drift(workbench)}

    assert set(found) == {DriftKind.RECEIPT_WITHOUT_ROWS, DriftKind.ORPHAN_BLOB}
    assert found[DriftKind.RECEIPT_WITHOUT_ROWS].upload_id == upload.id
    assert found[DriftKind.RECEIPT_WITHOUT_ROWS].detail == "the receipt tells of 2 pictures, 1 have rows"


def test_a_receipt_of_an_upload_that_the_database_does_not_know_is_found(workbench: Workbench) -> None:
    upload = imported(workbench)
    assert upload.receipt
    workbench.forget(upload)
    workbench.query("delete from upload where id = %s", upload.id)

    assert kinds(workbench) == {DriftKind.RECEIPT_WITHOUT_ROWS: {"project"}}


def test_a_file_of_the_users_that_is_called_like_a_receipt_is_none(workbench: Workbench) -> None:
    workbench.put("shopping.receipt.json", b'{"milk": 2}')

    assert kinds(workbench) == {}


@pytest.mark.parametrize("state", ["importing", "queued"])
def test_an_upload_that_no_process_works_on_is_found_after_a_while(workbench: Workbench, state: str) -> None:
    upload = workbench.stage(workbench.sample())
    with workbench.database.connection() as connection:
        mark_queued(connection, "batch", {upload.id: "digest"})
        if state == "importing":
            mark_importing(connection, upload.id, "run-1")
    assert kinds(workbench) == {}

    long_ago = "now() - interval '2 days'"
    workbench.query(f"update upload set first_seen = {long_ago}, updated_at = {long_ago}, queued_at = {long_ago}")

    with workbench.database.connection() as connection, upload_lock(connection, upload.id):
        assert kinds(workbench) == {}
    assert kinds(workbench) == {DriftKind.STALLED_UPLOAD: {upload.folder}}


def test_since_when_something_is_wrong_is_remembered_and_what_is_right_again_is_forgotten(workbench: Workbench) -> None:
    imported(workbench)
    (row, _) = pictures(workbench)
    container = workbench.user.user_container
    content = workbench.blobs.read(container, row["blob"])
    workbench.blobs.delete(container, row["blob"])
    (first,) = drift(workbench)
    workbench.query("update drift set first_seen = first_seen - interval '3 days'")

    (again,) = drift(workbench)
    store(workbench, row["blob"], content)

    assert first.first_seen is not None
    assert again.first_seen == first.first_seen - timedelta(days=3)
    assert drift(workbench) == []


def test_comparing_one_user_leaves_what_is_known_of_another(workbench: Workbench) -> None:
    other = workbench.another_user("other.user@example.org")
    orphan(workbench)
    orphan(other)

    both = comparer(workbench).compare()
    assert {one.owner for one in both.tallies} == {workbench.user.email, other.user.email}
    one = compare(workbench)

    assert [(tally.owner, tally.number) for tally in one.tallies] == [(workbench.user.email, 1)]
    assert workbench.query("select count(*) as n from drift")[0]["n"] == 2


def test_a_folder_that_is_deleted_while_blobs_are_listed_is_not_drift(workbench: Workbench) -> None:
    imported(workbench)
    for row in pictures(workbench):
        workbench.blobs.delete(workbench.user.user_container, row["blob"])
    assert len(drift(workbench)) == 2
    workbench.query("delete from picture_seed")
    workbench.query("delete from pictures")

    from nachet_pipeline.reconciliation.queries import forget_settled  # noqa: PLC0415

    run = workbench.query("select seen_by from drift limit 1")[0]["seen_by"]
    with workbench.database.connection() as connection:
        forget_settled(connection, workbench.user.id, run)

    assert workbench.query("select * from drift") == []


def test_two_comparisons_at_once_are_one_too_many(workbench: Workbench) -> None:
    with (
        workbench.database.connection() as connection,
        reconciliation_lock(connection),
        pytest.raises(ReconciliationBusyError),
    ):
        compare(workbench)


def test_an_account_without_a_registered_container_is_never_told_to_be_in_order(workbench: Workbench) -> None:
    assert kinds(workbench) == {}
    workbench.blobs._service.delete_container(workbench.user.upload_container)
    workbench.blobs._service.delete_container(workbench.user.user_container)

    found = drift(workbench)

    assert {(one.kind, one.container) for one in found} == {
        (DriftKind.MISSING_CONTAINER, workbench.user.upload_container),
        (DriftKind.MISSING_CONTAINER, workbench.user.user_container),
    }
    assert all(workbench.blobs.account_url in one.detail for one in found)
    repairs = repair(workbench)
    assert [one.done for one in repairs] == [False, False]
    assert "NACHET_BLOB_ACCOUNT_URL" in repairs[0].remedy.why
