"""A repair does what is safe, says what it did in the audit trail, and leaves the rest to people."""

import json
import uuid

import pytest

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.identifiers import descriptor_blob, receipt_blob
from nachet_pipeline.picture_sets.holding import hold_imports
from nachet_pipeline.reconciliation import repairing as module
from nachet_pipeline.reconciliation.queries import DriftKind
from nachet_pipeline.reconciliation.repairing import RepairAction
from nachet_pipeline.uploads.queries import mark_importing, mark_queued, upload_lock
from nachet_pipeline_tests.reconciliation.drifted import (
    actions,
    compare,
    comparer,
    imported,
    kinds,
    orphan,
    pictures,
    repair,
    repairer,
    store,
    trail,
)
from nachet_pipeline_tests.workbench import Workbench

LONG = 15
"""Days: longer than orphans are kept."""


def test_what_is_missing_of_a_staged_upload_is_imported_again(workbench: Workbench) -> None:
    upload = imported(workbench)
    before = workbench.stored_pictures()
    for name in before:
        workbench.blobs.delete(workbench.user.user_container, name)

    repairs = repair(workbench)

    assert actions(repairs) == [(DriftKind.MISSING_BLOB, RepairAction.QUEUE_AGAIN, True)] * 2
    assert [(row["action"], row["subject_id"]) for row in trail(workbench)] == [("queued again", upload.id)]
    workbench.import_as_the_sensor_does(workbench.now(upload))
    assert workbench.stored_pictures() == before
    assert kinds(workbench) == {}


def test_what_is_missing_and_no_longer_staged_is_left_to_people(workbench: Workbench) -> None:
    upload = imported(workbench)
    for container in (workbench.user.user_container, upload.staging_container):
        for name in workbench.versions(container):
            if not name.endswith((".json", ".jsonl")):
                workbench.blobs.delete(container, name)

    repairs = repair(workbench)

    assert {one.remedy.action for one in repairs} == {RepairAction.NOTHING}
    assert "not staged any more" in repairs[0].remedy.why
    assert workbench.now(upload).state is State.IMPORTED


def test_a_folder_that_changed_since_is_left_to_the_sensor(workbench: Workbench) -> None:
    upload = imported(workbench)
    (row, _) = pictures(workbench)
    workbench.blobs.delete(workbench.user.user_container, row["blob"])
    workbench.put("project/pictures/session1/index.yaml", b"{}")

    (one,) = repair(workbench)

    assert (one.remedy.action, one.done) == (RepairAction.NOTHING, False)
    assert workbench.now(upload).state is State.IMPORTED


def test_a_row_that_points_at_nothing_is_linked_to_the_blob_of_its_usual_name(workbench: Workbench) -> None:
    imported(workbench)
    (row, _) = pictures(workbench)
    workbench.query("update pictures set blob = 'lost.png' where id = %s", row["id"])

    assert actions(repair(workbench)) == [(DriftKind.MISSING_BLOB, RepairAction.RELINK, True)]

    assert pictures(workbench)[0]["blob"] == row["blob"]
    (noted,) = trail(workbench)
    assert (noted["action"], noted["subject_id"]) == ("relinked", row["id"])
    assert (noted["before"]["blob"], noted["after"]["blob"]) == ("lost.png", row["blob"])
    assert kinds(workbench) == {}


def test_a_row_is_not_linked_to_another_picture(workbench: Workbench) -> None:
    imported(workbench)
    (row, _) = pictures(workbench)
    workbench.query("update pictures set blob = 'lost.png' where id = %s", row["id"])
    store(workbench, row["blob"], b"x" * row["size"])

    assert actions(repair(workbench)) == [(DriftKind.MISSING_BLOB, RepairAction.NOTHING, False)]

    assert workbench.query("select blob from pictures where id = %s", row["id"]) == [{"blob": "lost.png"}]
    assert trail(workbench) == []


def test_a_descriptor_is_written_again_and_says_the_same(workbench: Workbench) -> None:
    imported(workbench)
    (row, _) = pictures(workbench)
    container, name = workbench.user.user_container, descriptor_blob(row["picture_set_id"])
    before = workbench.blobs.read(container, name)
    workbench.blobs.delete(container, name)

    assert actions(repair(workbench)) == [(DriftKind.MISSING_BLOB, RepairAction.REWRITE, True)]

    # PostgreSQL keeps what JSON says, and not the order in which it says it.
    assert json.loads(workbench.blobs.read(container, name)) == json.loads(before)


def test_a_receipt_is_written_again(workbench: Workbench) -> None:
    upload = imported(workbench)
    workbench.blobs.delete(upload.staging_container, receipt_blob(upload.folder))

    assert actions(repair(workbench)) == [(DriftKind.STAGED_WITHOUT_RECEIPT, RepairAction.REWRITE, True)]

    assert workbench.receipt(upload) == upload.receipt


def test_an_orphan_is_removed_once_it_is_old_and_after_the_trail_says_so(workbench: Workbench) -> None:
    imported(workbench)
    name = orphan(workbench, b"12345")
    kept = set(workbench.versions(workbench.user.user_container)) - {name}
    assert actions(repair(workbench, after_days=13)) == [(DriftKind.ORPHAN_BLOB, RepairAction.NOTHING, False)]
    assert name in workbench.versions(workbench.user.user_container)

    assert actions(repair(workbench, after_days=LONG)) == [(DriftKind.ORPHAN_BLOB, RepairAction.REMOVE, True)]

    assert set(workbench.versions(workbench.user.user_container)) == kept
    (noted,) = trail(workbench)
    assert (noted["action"], noted["subject"], noted["before"]["blob"]) == ("removed", "blob", name)
    assert (noted["before"]["container"], noted["before"]["size"]) == (workbench.user.user_container, 5)
    assert workbench.query("select kind from drift") == []
    assert kinds(workbench) == {}


def test_no_orphan_is_removed_while_an_import_of_its_users_is_under_way(workbench: Workbench) -> None:
    upload = imported(workbench)
    name = orphan(workbench)
    one = comparer(workbench)
    users = one.compare(workbench.user).users
    workbench.query("update drift set modified = modified - interval '15 days'")
    with workbench.database.connection() as connection:
        mark_importing(connection, upload.id, "run-2")

    (repaired,) = repairer(workbench, one).repair(users)

    assert (repaired.done, repaired.remedy.why) == (False, "an import of this user's is under way; try again later")
    assert name in workbench.versions(workbench.user.user_container)
    assert trail(workbench) == []


def test_an_orphan_that_changed_since_it_was_listed_is_left(workbench: Workbench) -> None:
    name = orphan(workbench)
    one = comparer(workbench)
    users = one.compare(workbench.user).users
    workbench.query("update drift set modified = modified - interval '15 days'")
    store(workbench, name, b"another")

    (repaired,) = repairer(workbench, one).repair(users)

    assert not repaired.done
    assert workbench.blobs.read(workbench.user.user_container, name) == b"another"
    assert [row["action"] for row in trail(workbench)] == ["removed", "not removed"]


def test_what_somebody_else_put_there_or_a_row_could_come_to_mean_is_never_removed(workbench: Workbench) -> None:
    imported(workbench)
    (row, _) = pictures(workbench)
    names = {
        store(workbench, f"{row['picture_set_id']}/note.txt", b"a note"),
        store(workbench, f"{uuid.uuid4()}/{row['id']}.png", b"bears the name of a picture"),
    }

    repairs = repair(workbench, after_days=LONG)

    assert actions(repairs) == [(DriftKind.ORPHAN_BLOB, RepairAction.NOTHING, False)] * 2
    assert names <= set(workbench.versions(workbench.user.user_container))


def test_a_blob_with_other_bytes_is_never_written_over(workbench: Workbench) -> None:
    imported(workbench)
    first, second = pictures(workbench)
    store(workbench, first["blob"], b"short")
    store(workbench, second["blob"], b"x" * second["size"])

    repairs = repair(workbench, after_days=LONG)

    assert {one.drift.kind for one in repairs} == {DriftKind.SIZE_MISMATCH, DriftKind.CHECKSUM_MISMATCH}
    assert {one.remedy.action for one in repairs} == {RepairAction.NOTHING}
    assert workbench.blobs.read(workbench.user.user_container, first["blob"]) == b"short"


def test_an_upload_whose_run_died_is_queued_again(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    with workbench.database.connection() as connection:
        mark_queued(connection, "batch", {upload.id: "digest"})
        mark_importing(connection, upload.id, "run-1")
    long_ago = "now() - interval '2 days'"
    workbench.query(f"update upload set first_seen = {long_ago}, updated_at = {long_ago}, queued_at = {long_ago}")

    assert actions(repair(workbench)) == [(DriftKind.STALLED_UPLOAD, RepairAction.QUEUE_AGAIN, True)]

    assert workbench.now(upload).state is State.STAGED
    assert workbench.import_as_the_sensor_does(upload).receipt.state is State.IMPORTED


def test_an_orphan_that_a_row_comes_to_point_at_just_before_it_is_removed_stays(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(workbench)
    row = pictures(workbench)[0]
    name = store(workbench, f"{row['picture_set_id']}/{uuid.uuid4()}.png", b"picture")
    one = comparer(workbench)
    users = one.compare(workbench.user).users
    workbench.query("update drift set modified = modified - interval '15 days'")

    def hold(connection: Connection, owner: uuid.UUID) -> bool:
        workbench.query("update pictures set blob = %s where id = %s", name, row["id"])
        return hold_imports(connection, owner)

    monkeypatch.setattr(module, "hold_imports", hold)
    (repaired,) = repairer(workbench, one).repair(users)

    assert (repaired.done, repaired.remedy.why) == (False, "a row points at it since")
    assert workbench.blobs.read(workbench.user.user_container, name) == b"picture"


def test_an_import_that_goes_on_since_the_comparison_is_not_failed(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    with workbench.database.connection() as connection:
        mark_queued(connection, "batch", {upload.id: "digest"})
        mark_importing(connection, upload.id, "run-1")
    long_ago = "now() - interval '2 days'"
    workbench.query(f"update upload set first_seen = {long_ago}, updated_at = {long_ago}, queued_at = {long_ago}")
    one = comparer(workbench)
    users = one.compare(workbench.user).users

    with workbench.database.connection() as held, upload_lock(held, upload.id):
        repairs = list(repairer(workbench, one).repair(users))

    assert actions(repairs) == [(DriftKind.STALLED_UPLOAD, RepairAction.NOTHING, False)]
    assert workbench.now(upload).state is State.IMPORTING


def test_a_plan_changes_nothing(workbench: Workbench) -> None:
    imported(workbench)
    orphan(workbench)
    (row, _) = pictures(workbench)
    workbench.blobs.delete(workbench.user.user_container, row["blob"])
    one = comparer(workbench)
    users = compare(workbench).users
    before = workbench.rows(), workbench.versions(workbench.user.user_container)

    planned = list(repairer(workbench, one).plan(users))

    assert sorted(item.remedy.action for item in planned) == [RepairAction.NOTHING, RepairAction.QUEUE_AGAIN]
    assert not any(item.done for item in planned)
    assert (workbench.rows(), workbench.versions(workbench.user.user_container)) == before
