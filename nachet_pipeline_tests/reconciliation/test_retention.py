"""Staged folders and partitions of old imports are cleared, and never too early."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.events.event import CheckTurned, EventType
from nachet_pipeline.events.queries import record_event
from nachet_pipeline.identifiers import receipt_blob, report_blob
from nachet_pipeline.reconciliation.retention import Cleared, Retention
from nachet_pipeline.reconciliation.retention_queries import begin_clearing
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.files import StagedFile
from nachet_pipeline.uploads.queries import search_uploads
from nachet_pipeline.uploads.staging import withdraw_folder
from nachet_pipeline_tests.reconciliation.drifted import imported, later, pictures, store, trail
from nachet_pipeline_tests.workbench import Workbench


def clear(bench: Workbench, days: float, forgotten: list[str] | None = None, **changes: Any) -> Cleared:
    """Clear what is due so many days from now."""
    dry_run = changes.pop("dry_run", False)
    forget = None if forgotten is None else forgotten.extend
    retention = Retention(
        bench.database,
        bench.blobs,
        bench.settings.retention,
        bench.comparer(),
        bench.settings.arrival,
        bench.limits,
        forget_partitions=forget,
    )
    return replace(retention, **changes).run(dry_run=dry_run, now=later(days))


def staged(bench: Workbench) -> set[str]:
    return set(bench.versions(bench.user.upload_container))


def test_an_old_import_is_cleared_and_the_database_answers_for_it(workbench: Workbench) -> None:
    upload = imported(workbench)
    stored = workbench.contents(workbench.user.user_container)

    result = clear(workbench, 31)

    assert (result.folders, result.kept_number) == (1, 0)
    assert staged(workbench) == set()
    assert workbench.contents(workbench.user.user_container) == stored
    with workbench.database.connection() as connection:
        (found,) = search_uploads(connection, "project")
    assert (found.state, found.receipt) == (State.IMPORTED, upload.receipt)
    (noted,) = trail(workbench)
    assert (noted["action"], noted["subject"], noted["subject_id"]) == ("cleared", "staged folder", upload.id)
    assert noted["before"]["bytes"] == result.size > 0


def test_a_withdrawn_folder_is_cleared_and_what_was_imported_of_it_stays(workbench: Workbench) -> None:
    container = workbench.user.upload_container
    upload = imported(workbench)
    stored = workbench.contents(workbench.user.user_container)
    workbench.stage(workbench.sample("never imported", seed=50), complete=False)
    for name in ("project", "never imported"):
        withdraw_folder(workbench.blobs, container, name)
    assert not workbench.due()
    assert clear(workbench, 29).folders == 0

    forgotten: list[str] = []
    assert clear(workbench, 400, forgotten).folders == 2

    assert staged(workbench) == set()
    assert workbench.contents(workbench.user.user_container) == stored
    assert upload.partition in forgotten
    assert workbench.now(upload).state is State.WITHDRAWN


def test_a_withdrawn_folder_that_is_taken_back_is_not_cleared_as_withdrawn(workbench: Workbench) -> None:
    folder = workbench.sample("project")
    workbench.stage(folder)
    withdraw_folder(workbench.blobs, workbench.user.upload_container, "project")
    assert not workbench.due()
    workbench.stage(folder)

    assert clear(workbench, 400).folders == 0
    assert len(workbench.due()) == 1


def test_a_younger_import_stays(workbench: Workbench) -> None:
    imported(workbench)
    before = staged(workbench)

    result = clear(workbench, 29)

    assert (result.folders, result.kept_number, staged(workbench)) == (0, 0, before)


def test_a_refused_upload_stays_for_ever(workbench: Workbench) -> None:
    folder = workbench.sample()
    next(folder.rglob("1.png")).write_bytes(b"no picture")
    upload = workbench.stage(folder)
    assert workbench.import_as_the_sensor_does(upload).receipt.state is State.REFUSED
    before = staged(workbench)

    assert clear(workbench, 1000).folders == 0
    assert staged(workbench) == before


def damage_nothing_staged(bench: Workbench) -> None:
    bench.put("project/pictures/session1/index.yaml", b"{}")


def damage_blob(bench: Workbench) -> None:
    bench.blobs.delete(bench.user.user_container, pictures(bench)[0]["blob"])


def damage_size(bench: Workbench) -> None:
    store(bench, pictures(bench)[0]["blob"], b"short")


def damage_bytes(bench: Workbench) -> None:
    row = pictures(bench)[0]
    store(bench, row["blob"], b"x" * row["size"])


def damage_bytes_under_a_right_note(bench: Workbench) -> None:
    row = pictures(bench)[0]
    bench.blobs.upload(
        bench.user.user_container,
        row["blob"],
        b"x" * row["size"],
        content_type="image/png",
        overwrite=True,
        metadata={"sha256": row["sha256"]},
    )


def damage_row(bench: Workbench) -> None:
    row = pictures(bench)[0]
    bench.query("delete from picture_seed where picture_id = %s", row["id"])
    bench.query("delete from pictures where id = %s", row["id"])


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (damage_nothing_staged, "not known to be what was imported"),
        (damage_blob, "1 missing-blob"),
        (damage_size, "1 size-mismatch"),
        (damage_bytes, "1 checksum-mismatch"),
        (damage_bytes_under_a_right_note, "1 checksum-mismatch"),
        (damage_row, "1 pictures of the picture set"),
    ],
)
def test_what_is_not_verified_stays_and_says_why(workbench: Workbench, damage: Any, why: str) -> None:
    imported(workbench)
    damage(workbench)
    before = staged(workbench)

    result = clear(workbench, 31)

    assert result.folders == 0
    assert [why in (one.kept or "") for one in result.kept] == [True]
    assert staged(workbench) == before
    assert trail(workbench) == []


def test_without_a_receipt_in_the_database_nothing_is_cleared(workbench: Workbench) -> None:
    imported(workbench)
    workbench.query("update upload set receipt = null")
    before = staged(workbench)

    assert clear(workbench, 31).folders == 0
    assert staged(workbench) == before


def test_a_dry_run_tells_and_changes_nothing(workbench: Workbench) -> None:
    imported(workbench)
    before = staged(workbench), workbench.rows()

    result = clear(workbench, 31, dry_run=True)

    assert result.folders == 1
    assert (staged(workbench), workbench.rows()) == before


class LeavingStorage(BlobStorage):
    """The real storage, which goes away after some deletions."""

    deletions_left = 3

    def delete(self, *arguments: Any, **settings: Any) -> bool:
        if self.deletions_left == 0:
            raise StorageError("Blob storage at 127.0.0.1: it went away")
        self.deletions_left -= 1
        return super().delete(*arguments, **settings)


def test_clearing_that_was_interrupted_is_ended_later_and_no_half_folder_is_imported(workbench: Workbench) -> None:
    upload = imported(workbench)
    before = staged(workbench)
    with (
        LeavingStorage.connect(workbench.blobs.account_url, workbench.blob_key) as leaving,
        pytest.raises(StorageError),
    ):
        clear(workbench, 31, blobs=leaving)
    assert 0 < len(staged(workbench)) < len(before)

    assert workbench.due(after=later(40) - later(0)) == []
    assert clear(workbench, 32).folders == 1

    assert staged(workbench) == set()
    assert workbench.now(upload).state is State.IMPORTED
    assert [row["action"] for row in trail(workbench)] == ["cleared"]


class ShiftedStorage(BlobStorage):
    """The real storage, as if some staged files had been written at another time."""

    shifts: dict[str, timedelta]

    def files(self, container: str, folder: str) -> Iterator[StagedFile]:
        for file in super().files(container, folder):
            yield replace(file, modified=file.modified + self.shifts.get(file.path, timedelta(0)))


def test_a_file_that_comes_while_its_folder_is_cleared_stays_with_its_receipt(workbench: Workbench) -> None:
    upload = imported(workbench)
    with workbench.database.connection() as connection:
        assert begin_clearing(connection, upload.id)
    workbench.put("project/pictures/session1/new.png", b"new")

    with ShiftedStorage.connect(workbench.blobs.account_url, workbench.blob_key) as shifted:
        shifted.shifts = {"pictures/session1/new.png": timedelta(days=31)}
        clear(workbench, 31, blobs=shifted)

    assert staged(workbench) == {
        "project/pictures/session1/new.png",
        receipt_blob("project"),
        report_blob("project"),
    }


def test_a_folder_is_cleared_although_storages_clock_is_some_minutes_ahead(workbench: Workbench) -> None:
    imported(workbench)
    folder = {name.removeprefix("project/") for name in staged(workbench)}

    with ShiftedStorage.connect(workbench.blobs.account_url, workbench.blob_key) as shifted:
        shifted.shifts = dict.fromkeys(folder, timedelta(minutes=30))
        assert clear(workbench, 31, blobs=shifted).folders == 1

    assert staged(workbench) == set()


class OverwrittenStorage(BlobStorage):
    """The real storage, where a user overwrites each staged picture just before it is deleted."""

    def delete(self, container: str, blob: str, version: str | None = None) -> bool:
        if blob.endswith(".png"):
            self.upload(container, blob, b"corrected", content_type="image/png", overwrite=True)
        return super().delete(container, blob, version)


def test_a_picture_that_is_replaced_while_its_folder_is_cleared_stays(workbench: Workbench) -> None:
    imported(workbench)

    with OverwrittenStorage.connect(workbench.blobs.account_url, workbench.blob_key) as overwritten:
        clear(workbench, 31, blobs=overwritten)

    left = workbench.contents(workbench.user.upload_container)
    assert left == {f"project/pictures/session1/{number}.png": b"corrected" for number in (1, 2)}


def test_what_is_staged_anew_under_the_same_name_is_imported_and_not_cleared(workbench: Workbench) -> None:
    first = imported(workbench)
    clear(workbench, 31)

    same = workbench.stage(workbench.place / "project")

    assert same.id == first.id
    assert [arrival.upload.id for arrival in workbench.due()] == [first.id]
    assert workbench.import_as_the_sensor_does(same).receipt.state is State.IMPORTED
    before = staged(workbench)
    assert clear(workbench, 29).folders == 0
    assert staged(workbench) == before


def test_a_partition_goes_after_its_folder_and_once(workbench: Workbench) -> None:
    upload = imported(workbench)
    forgotten: list[str] = []

    clear(workbench, 89, forgotten)
    assert forgotten == []
    first = clear(workbench, 91, forgotten)
    again = clear(workbench, 91, forgotten)

    assert (first.partitions, again.partitions, forgotten) == (1, 0, [upload.partition])
    assert [row["subject"] for row in trail(workbench)] == ["staged folder", "partition"]


def test_a_partition_whose_folder_stays_stays_too(workbench: Workbench) -> None:
    imported(workbench)
    damage_blob(workbench)
    forgotten: list[str] = []

    assert clear(workbench, 1000, forgotten).partitions == 0
    assert forgotten == []


def test_the_sensor_leaves_a_folder_alone_that_is_being_cleared(workbench: Workbench) -> None:
    upload = imported(workbench)
    workbench.put("project/pictures/session1/index.yaml", b"{}")
    assert [arrival.upload.id for arrival in workbench.due(after=later(1) - later(0))] == [upload.id]

    with workbench.database.connection() as connection:
        assert begin_clearing(connection, upload.id)

    assert workbench.due(after=later(1) - later(0)) == []


def test_old_events_go_but_for_those_that_somebody_is_still_to_be_told_and_the_last_verdicts(
    workbench: Workbench,
) -> None:
    def happen(subject: str, kind: EventType) -> int:
        told = CheckTurned(check=subject, passed=kind == EventType.CHECK_PASSING, urgent=False, found="")
        workbench.database.call(record_event, kind, subject, told)
        return int(workbench.query("select max(number) as last from event")[0]["last"])

    imported(workbench)
    happen("disk_free", EventType.CHECK_FAILING)
    verdict = happen("disk_free", EventType.CHECK_PASSING)
    other = happen("no_drift", EventType.CHECK_FAILING)
    dead, pending = workbench.query("select number from event order by number limit 2")
    workbench.query(
        "insert into webhook (id, place, encrypted_url, encrypted_secret, types, cursor, created_by)"
        " values (%s, 'https://example.org/', '', '', '{*}', %s, 'ada@example.org')",
        UUID(int=7),
        other,
    )
    workbench.query(
        "insert into webhook_delivery (webhook_id, number, subject, since, next_at, dead_at) values"
        " (%s, %s, 'a', now(), now(), now()), (%s, %s, 'a', now(), now(), null)",
        *(UUID(int=7), dead["number"], UUID(int=7), pending["number"]),
    )

    def kept() -> list[int]:
        return [row["number"] for row in workbench.query("select number from event order by number")]

    before = kept()
    assert (clear(workbench, 29).events, clear(workbench, 31, dry_run=True).events, kept()) == (0, 0, before)
    assert clear(workbench, 31).events == len(before) - 3
    assert kept() == [pending["number"], verdict, other]
    assert [row["number"] for row in workbench.query("select number from webhook_delivery")] == [pending["number"]]


def test_events_that_were_not_handed_to_a_webhook_yet_stay_unless_it_is_paused(workbench: Workbench) -> None:
    imported(workbench)
    workbench.query(
        "insert into webhook (id, place, encrypted_url, encrypted_secret, types, cursor, created_by)"
        " values (%s, 'https://example.org/', '', '', '{*}', 0, 'ada@example.org')",
        UUID(int=7),
    )
    assert clear(workbench, 31).events == 0
    workbench.query("update webhook set paused_at = now()")
    assert clear(workbench, 31).events > 0
