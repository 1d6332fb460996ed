"""Pictures of a large upload are copied while others are still validated; a refused upload keeps none of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.picture_sets import early_copies
from nachet_pipeline.picture_sets.withdrawn_content import LOCK_WITHDRAWING
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.workbench import InterruptedStorage, Workbench, edit

LAST = "pictures/session2/3.png"


@pytest.fixture(autouse=True)
def _every_upload_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_copies, "FIRST", 1)


def _project(workbench: Workbench, *, refused: bool = False) -> Path:
    folder = workbench.sample(sessions=2, pictures=3)
    if refused:
        (folder / LAST).write_bytes(b"no picture at all")
    return folder


class _Watching:
    """Counts the blobs in the user's container when the last picture was validated."""

    def __init__(self, workbench: Workbench, failing: bool = False) -> None:
        self.workbench, self.failing = workbench, failing
        self.stored = 0

    def __call__(self, step: str, done: int, total: int) -> None:
        if step == "validating" and done == total:
            self.stored = len(self.workbench.stored_pictures())
            if self.failing:
                raise OSError("the machine went away")


def _everything(workbench: Workbench) -> object:
    rows = workbench.rows(without=("upload_date", "first_seen"))
    return rows, workbench.contents(workbench.user.user_container)


def test_an_upload_whose_pictures_are_copied_early_ends_as_any_other(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = workbench.stage(_project(workbench))
    watching = _Watching(workbench)
    outcome = workbench.run(upload, progress=watching)
    assert outcome.receipt.state is State.IMPORTED
    assert watching.stored > 0
    assert outcome.stored is not None
    assert (outcome.stored.pictures, outcome.stored.new) == (6, 6)
    early = _everything(workbench)

    workbench.forget(upload)
    monkeypatch.setattr(early_copies, "FIRST", 100)
    watching = _Watching(workbench)
    workbench.run(upload, progress=watching)
    assert watching.stored == 0
    assert _everything(workbench) == early


def test_a_refused_upload_keeps_nothing_of_what_was_copied_even_by_a_run_that_died(workbench: Workbench) -> None:
    upload = workbench.stage(_project(workbench, refused=True))
    dying = _Watching(workbench, failing=True)
    assert workbench.run(upload, progress=dying).receipt.state is State.FAILED
    assert workbench.stored_pictures() != {}

    assert workbench.run(upload).receipt.state is State.REFUSED
    assert workbench.contents(workbench.user.user_container) == {}


def test_a_session_that_is_not_accepted_keeps_nothing_of_what_was_copied(workbench: Workbench) -> None:
    folder = _project(workbench, refused=True)
    edit(folder / "index.yaml", "uploadData", acceptValid=True)
    watching = _Watching(workbench)
    outcome = workbench.run(workbench.stage(folder), progress=watching)
    assert outcome.receipt.state is State.PARTLY_IMPORTED
    assert watching.stored > 0
    assert sorted(workbench.stored_pictures()) == sorted(
        row["blob"] for row in workbench.query("select blob from pictures")
    )


def test_a_run_that_another_took_the_upload_from_removes_nothing(workbench: Workbench) -> None:
    upload = workbench.stage(_project(workbench, refused=True))

    def take_over(step: str, done: int, total: int) -> None:
        if step == "validating" and done == total:
            workbench.query("update upload set run_id = 'run-2' where id = %s returning id", upload.id)

    workbench.run(upload, progress=take_over)
    assert workbench.stored_pictures() != {}


def test_a_copy_that_fails_early_is_made_again_and_then_fails_the_import(workbench: Workbench) -> None:
    upload = workbench.stage(_project(workbench))
    with InterruptedStorage.connect(workbench.blobs.account_url, workbench.blob_key) as broken:
        broken.copies_left = 1
        outcome = workbench.run(upload, blobs=broken)
    assert outcome.receipt.failure == "Blob storage at 127.0.0.1: it went away"
    assert workbench.query("select id from pictures") == []
    assert workbench.run(upload).receipt.state is State.IMPORTED


class _Removing(BlobStorage):
    """The real storage, where something happens when a blob was deleted."""

    then: Callable[[], None]

    def delete(self, container: str, blob: str, version: str | None = None) -> bool:
        deleted = super().delete(container, blob, version)
        self.then()
        return deleted


def _run(workbench: Workbench, upload: Upload, then: Callable[[], None], **changes: Any) -> State:
    with _Removing.connect(workbench.blobs.account_url, workbench.blob_key) as blobs:
        blobs.then = then
        return workbench.run(upload, blobs=blobs, **changes).receipt.state


def test_a_run_that_loses_the_database_while_it_removes_copies_removes_none_of_the_next_run_s(
    workbench: Workbench,
) -> None:
    folder = _project(workbench, refused=True)
    good = (workbench.sample("good", sessions=2, pictures=3) / LAST).read_bytes()
    upload = workbench.stage(folder)
    ended: list[State] = []

    def correct_and_import() -> None:
        if ended:
            return
        ended.append(State.IMPORTING)
        workbench.query(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        (folder / LAST).write_bytes(good)
        workbench.stage(folder, replace=True)
        ended.append(workbench.run(upload, run_id="run-2").receipt.state)

    one_at_a_time = workbench.settings.transfer.model_copy(update={"transfer_concurrency": 1})
    _run(workbench, upload, correct_and_import, transfer=one_at_a_time)
    assert ended[-1] is State.IMPORTED
    assert workbench.now(upload).state is State.IMPORTED
    rows = [row["blob"] for row in workbench.query("select blob from pictures")]
    assert sorted(workbench.stored_pictures()) == sorted(rows)


def test_a_refused_upload_is_refused_although_storage_does_not_let_its_copies_go(workbench: Workbench) -> None:
    def refuse() -> None:
        raise StorageError("Blob storage at 127.0.0.1: there is a legal hold", status=409)

    assert _run(workbench, workbench.stage(_project(workbench, refused=True)), refuse) is State.REFUSED


def test_nobody_who_withdraws_pictures_waits_until_copies_are_removed(workbench: Workbench) -> None:
    folder = _project(workbench, refused=True)
    edit(folder / "index.yaml", "uploadData", acceptValid=True)
    free: list[bool] = []

    def withdraw() -> None:
        free.append(workbench.query("select pg_try_advisory_xact_lock(%s, 0) as free", LOCK_WITHDRAWING)[0]["free"])

    assert _run(workbench, workbench.stage(folder), withdraw) is State.PARTLY_IMPORTED
    assert free
    assert all(free)
