"""`nachet crops`, as operators type it."""

import json

import pytest

from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.workbench import Workbench


@pytest.fixture
def upload(workbench: Workbench) -> Upload:
    folder = write_sample(workbench.place / "trip", pictures=1, email=workbench.user.email, width=320, height=240)
    upload = workbench.stage(folder)
    workbench.run(upload)
    return upload


def test_an_upload_is_cropped_by_its_name_and_then_there_is_nothing_left(
    workbench: Workbench, nachet: Nachet, upload: Upload
) -> None:
    code, out, _ = nachet("crops", "trip")
    assert (code, out) == (0, "1 pictures, 6 crops, 6 of them new; found by plain-background 1.\n")
    assert len(workbench.query("select id from pictures where parent is not null")) == 6

    code, out, _ = nachet("crops", str(upload.id), "--json")
    told = json.loads(out)
    assert code == 0
    assert {name: told[name] for name in ("pictures", "crops", "new", "differing", "findings", "not_cropped")} == {
        "pictures": 1,
        "crops": 6,
        "new": 0,
        "differing": 0,
        "findings": [],
        "not_cropped": [],
    }


def test_another_number_than_declared_is_said_and_no_failure(
    workbench: Workbench, nachet: Nachet, upload: Upload
) -> None:
    workbench.query("update pictures set nb_object = 5")

    code, out, _ = nachet("crops", upload.partition)

    assert code == 0
    assert "seed-count-differs  pictures/session1/1.tiff: expected 5, found 6" in out


def test_a_picture_that_cannot_be_cropped_is_named_and_the_exit_code_is_1(
    workbench: Workbench, nachet: Nachet, upload: Upload
) -> None:
    (row,) = workbench.query("select blob from pictures")
    workbench.blobs.delete(workbench.user.user_container, row["blob"])

    code, _, told = nachet("crops", "trip")

    assert code == 1
    assert "nachet: pictures/session1/1.tiff: its file is missing" in told


def test_an_unknown_upload_and_one_that_is_not_imported_are_refused(workbench: Workbench, nachet: Nachet) -> None:
    code, _, told = nachet("crops", "nowhere")
    assert (code, "there is no upload nowhere" in told) == (1, True)

    workbench.stage(workbench.sample("early"))
    code, _, told = nachet("crops", "early")
    assert (code, "only an imported upload can be cropped" in told) == (1, True)


def test_an_endpoint_that_is_not_there_is_told_with_exit_code_3(
    nachet: Nachet, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NACHET_DETECTOR", "http://127.0.0.1:9/score")
    monkeypatch.setenv("NACHET_DETECTOR_TOKEN", "not-a-real-token")
    monkeypatch.setenv("NACHET_DETECTOR_ATTEMPTS", "1")

    code, out, told = nachet("crops", "trip")

    assert code == 3
    assert told.splitlines()[-1].startswith("nachet: The detector at 127.0.0.1:9/score: ")
    assert "not-a-real-token" not in out + told
