"""An import may be killed at any moment; what it becomes afterwards is what it would have been."""

import pytest

from nachet_pipeline.identifiers import receipt_blob
from nachet_pipeline.local.services import Services
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline_tests.durability.differing import differences
from nachet_pipeline_tests.durability.killed_commands import killed
from nachet_pipeline_tests.workbench import Workbench, edit

KILLS = 30


def test_imports_killed_anywhere_end_as_if_nobody_had_disturbed_them(services: Services) -> None:
    tally, code = killed(services, KILLS, "--seed", "1")
    assert tally["broken"] == []
    assert tally["kills"] == KILLS
    assert 0 < tally["at_random_moments"] < tally["imports"] <= KILLS
    assert {plan.partition(" ")[0] for plan in tally["boundaries"]} == {"core", "job", "command"}
    assert code == 0


@pytest.mark.parametrize(
    ("wanted", "found", "told"),
    [
        ({"a": {"b": [1]}}, {"a": {"b": [1]}}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["/a/b: expected 1, found 2"]),
        ({"rows": {}}, {"rows": {"x": 1}}, ["/rows/x: expected None, found 1"]),
        ({"rows": {"x": {"y": 1}}}, {"rows": {}}, ["/rows/x: expected {'y': 1}, found None"]),
    ],
)
def test_an_import_that_ended_otherwise_is_noticed(wanted: object, found: object, told: list[str]) -> None:
    assert differences(wanted, found) == told


def test_a_receipt_that_an_import_killed_after_its_rows_did_not_write_replaces_the_one_before(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = workbench.sample()
    edit(folder / "pictures/session1/index.yaml", "imageData", numberOfImages=3)
    refused = workbench.stage(folder)
    workbench.import_as_the_sensor_does(refused)
    assert workbench.receipt(refused).state == "refused"
    edit(folder / "pictures/session1/index.yaml", "imageData", numberOfImages=2)
    upload = workbench.stage(folder)
    with monkeypatch.context() as patch:
        patch.setattr("nachet_pipeline.uploads.importing.write_receipt", lambda *_: None)
        workbench.import_as_the_sensor_does(upload)
    assert (workbench.now(upload).state, workbench.receipt(upload).state) == ("imported", "refused")
    assert workbench.due() == []
    assert workbench.receipt(upload) == workbench.now(upload).receipt
    before = workbench.versions(upload.staging_container)[receipt_blob(upload.folder)]
    assert workbench.due() == []
    assert workbench.versions(upload.staging_container)[receipt_blob(upload.folder)] == before


def test_pictures_that_equal_each_other_are_told_the_same_when_they_are_imported_once_more(
    workbench: Workbench,
) -> None:
    folder = workbench.sample(sessions=2)
    twin = (folder / "pictures/session1/1.png").read_bytes()
    (folder / "pictures/session1/1.yaml").unlink()  # two descriptions of one file would be refused
    (folder / "pictures/session1/2.png").write_bytes(twin)
    (folder / "pictures/session2/1.png").write_bytes(twin)
    upload = workbench.stage(folder)
    first, second = workbench.run(upload), workbench.run(upload)
    assert first.receipt.report is not None
    assert first.receipt.report.codes == {"duplicate-picture": 2, "label-conflict": 1}
    assert second.receipt.report == first.receipt.report


def test_storage_is_what_it_is_said_to_be(workbench: Workbench, blobs: BlobStorage) -> None:
    workbench.put("note.txt", b"some bytes")
    read = blobs.checksum_of(workbench.user.upload_container, "note.txt")
    said = blobs.properties_of(workbench.user.upload_container, "note.txt")
    assert read is not None
    assert said is not None
    assert (read.size, read.version) == (said.size, said.version) == (10, said.version)
    assert blobs.checksum_of(workbench.user.upload_container, "nothing.txt") is None
    assert blobs.properties_of(workbench.user.upload_container, "nothing.txt") is None
