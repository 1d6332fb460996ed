"""Pictures of a large upload are copied while others are still validated; a refused upload keeps none of them."""

from pathlib import Path

import pytest

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.picture_sets import early_copies
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
