"""What an uploader learns once the seeds in an upload's pictures were counted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nachet_pipeline.contract.catalogue import CATALOGUE
from nachet_pipeline.contract.receipt import Receipt
from nachet_pipeline.contract.report_page import shown_on
from nachet_pipeline.contract.understood import SeedCount
from nachet_pipeline.crops.cropping import Cropper, crop_method
from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.crops.queries import uploads_to_crop
from nachet_pipeline.identifiers import receipt_blob, report_blob
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.uploads.formatting import receipt_lines
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.crops.test_cropping import ALL, Finding, imported
from nachet_pipeline_tests.workbench import Workbench, edit

__all__ = ["imported"]
_CODE = "seed-count-differs"


@pytest.fixture
def cropper(workbench: Workbench, cropping_pool: CroppingPool) -> Cropper:
    return workbench.cropper(cropping_pool)


def said(workbench: Workbench, upload: Upload) -> tuple[Receipt, str]:
    """The receipt and the page beside the folder; the database says the same."""
    receipt = workbench.receipt(upload)
    assert receipt == workbench.now(upload).receipt
    return receipt, workbench.page(upload)


def test_the_receipt_and_the_page_say_how_many_seeds_were_found(
    workbench: Workbench, imported: Callable[..., Upload], cropper: Cropper
) -> None:
    upload = imported(pictures=2)
    before, page = said(workbench, upload)
    assert [one.seeds for one in before.sessions] == [None]
    assert "Seeds counted" not in page

    cropper.crop(upload)

    receipt, page = said(workbench, upload)
    (session,) = receipt.sessions
    assert session.seeds == SeedCount(pictures=2, declared=12, found=12, crops=12, differing=0)
    assert (receipt.report, receipt.finished_at) == (before.report, before.finished_at)
    assert "Seeds counted" in page
    assert len(shown_on(page.encode())) == 2
    assert page.count("<img") == 4  # both again, with their boxes
    assert any(line.endswith("12 of 12") for line in receipt_lines(receipt))


def test_a_wrong_count_is_a_warning_that_the_uploader_sees_until_it_is_corrected(
    workbench: Workbench, imported: Callable[..., Upload], cropper: Cropper
) -> None:
    upload = imported(pictures=2)
    replace(cropper, detector=Finding(ALL)).crop(upload)

    receipt, page = said(workbench, upload)
    (session,) = receipt.sessions
    assert session.seeds == SeedCount(pictures=2, declared=12, found=2, crops=2, differing=2)
    assert session.findings == {_CODE: 2}
    assert receipt.report is not None
    assert (receipt.report.codes, receipt.report.counts["warning"]) == ({_CODE: 2}, 2)
    assert [finding.path for finding in receipt.report.findings] == [f"pictures/session1/{one}.tiff" for one in (1, 2)]
    lines = list(receipt_lines(receipt))
    assert f"WARNING {_CODE} (2): {CATALOGUE[_CODE].message.en}" in lines
    assert lines[-1] == "Imported: 1 session, 2 pictures of Brassica napus; 2 warnings."
    assert "6 declared, 1 found" in page

    folder = workbench.place / "project"
    edit(folder / "pictures/session1/index.yaml", "userData", numberOfSeeds=1)
    (folder / "pictures/session1/1.yaml").unlink(missing_ok=True)
    edit(folder / "index.yaml", "userData", numberOfSeeds=1)
    upload = workbench.stage(folder, replace=True)
    assert workbench.run(workbench.now(upload)).receipt.state == "imported"
    replace(cropper, detector=Finding(ALL)).crop(workbench.now(upload))

    receipt, page = said(workbench, upload)
    assert receipt.report is not None
    assert receipt.report.codes == {}
    assert receipt.sessions[0].findings == {}
    assert "declared, 1 found" not in page


class _StuckStorage(BlobStorage):
    """The real storage; the process ends at one of the blobs beside the folder."""

    at = ""

    def upload(self, container: str, blob: str, *arguments: Any, **settings: Any) -> Any:
        if self.at and blob.endswith(self.at):
            raise KeyboardInterrupt
        return super().upload(container, blob, *arguments, **settings)


@pytest.mark.parametrize("at", [".report.html", ".receipt.json"])
def test_counting_that_was_killed_and_repeated_says_the_same(
    workbench: Workbench, imported: Callable[..., Upload], cropper: Cropper, at: str
) -> None:
    upload, method = imported(pictures=2), crop_method(cropper.settings, Finding(ALL))
    cropper = replace(cropper, detector=Finding(ALL))
    with _StuckStorage.connect(workbench.blobs.account_url, workbench.blob_key) as stuck:
        stuck.at = at
        with pytest.raises(KeyboardInterrupt):
            replace(cropper, blobs=stuck).crop(upload)
    workbench.query("update upload_crops set begun_at = now() - interval '1 hour'")
    with workbench.database.connection() as connection:
        assert [one.id for one in uploads_to_crop(connection, method, most=9)] == [upload.id]

    cropper.crop(upload)

    first = said(workbench, upload)
    versions = workbench.query("select receipt from upload")
    cropper.crop(upload)
    assert said(workbench, upload) == first
    assert workbench.query("select receipt from upload") == versions
    assert first[0].sessions[0].findings == {_CODE: 2}
    assert len(shown_on(first[1].encode())) == 2


def test_nothing_is_written_beside_a_folder_that_was_cleared(
    workbench: Workbench, imported: Callable[..., Upload], cropper: Cropper
) -> None:
    upload = imported(pictures=1)
    for blob in workbench.versions(upload.staging_container):
        workbench.blobs.delete(upload.staging_container, blob)

    cropper.crop(upload)

    assert workbench.versions(upload.staging_container) == {}
    now = workbench.now(upload).receipt
    assert now is not None
    assert now.sessions[0].seeds is not None


@pytest.mark.parametrize("page", [None, b"<script>alert(1)</script>", b"\xff" * 3_000_000])
def test_a_page_that_somebody_took_away_or_exchanged_is_written_again(
    workbench: Workbench, imported: Callable[..., Upload], cropper: Cropper, page: bytes | None
) -> None:
    upload = imported(pictures=1)
    if page is None:
        workbench.blobs.delete(upload.staging_container, report_blob(upload.folder))
    else:
        workbench.put(report_blob(upload.folder), page)

    cropper.crop(upload)

    _, written = said(workbench, upload)
    assert "<script" not in written
    assert "Seeds counted" in written


def test_a_receipt_of_an_older_version_gets_its_counts_too(
    workbench: Workbench, imported: Callable[..., Upload], cropper: Cropper
) -> None:
    upload = imported(pictures=2)
    workbench.query(
        "update upload set receipt = receipt - 'sessions' - 'number_of_sessions' - 'quality' - 'sharpness'"
        " - 'staged_at' - 'queued_at' || '{\"receipt_version\": \"2\"}'"
    )

    cropper.crop(workbench.now(upload))

    receipt, _ = said(workbench, upload)
    (session,) = receipt.sessions
    assert (session.session, session.species, session.zoom) == ("pictures/session1", "Brassica napus", None)
    assert session.seeds == SeedCount(pictures=2, declared=12, found=12, crops=12, differing=0)


def test_a_storage_that_goes_away_leaves_the_counts_due(
    workbench: Workbench, imported: Callable[..., Upload], cropper: Cropper
) -> None:
    class Away(BlobStorage):
        def properties_of(self, container: str, blob: str) -> Any:
            raise StorageError(f"Blob storage at 127.0.0.1: {container}/{blob}")

    upload = imported(pictures=1)
    with Away.connect(workbench.blobs.account_url, workbench.blob_key) as away, pytest.raises(StorageError):
        replace(cropper, blobs=away).crop(upload)

    (row,) = workbench.query("select finished_at, failure from upload_crops")
    assert row["finished_at"] is None
    assert receipt_blob(upload.folder) in row["failure"]
