"""What a receipt says, whatever became of the folder, and the page beside it."""

import io
import shutil
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from PIL import Image

from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.stored import Correction
from nachet_pipeline.contract.understood import UnderstoodSession
from nachet_pipeline.identifiers import report_blob
from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.uploads.formatting import receipt_lines
from nachet_pipeline.uploads.importing import fail_upload
from nachet_pipeline_tests.receipts import valid_receipt
from nachet_pipeline_tests.workbench import MeddledStorage, Workbench, edit

_DAY = timedelta(days=1)


def test_an_imported_folder_is_told_what_was_understood_of_it(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2, pictures=2)
    upload = workbench.stage(folder)
    before = datetime.now(UTC) - _DAY
    receipt = workbench.import_as_the_sensor_does(upload).receipt

    assert receipt == workbench.receipt(upload)
    assert [
        (one.session, one.species, one.zoom, one.seeds_per_picture, one.pictures, one.imported)
        for one in receipt.sessions
    ] == [
        ("pictures/session1", "Brassica napus", 30, 6, 2, True),
        ("pictures/session2", "Brassica juncea", 30, 2, 2, True),
    ]
    assert [one.size for one in receipt.sessions] == [one.size for one in receipt.picture_sets]
    assert (receipt.receipt_version, receipt.number_of_sessions) == ("3", 2)
    assert receipt.quality is not None
    assert 0 <= receipt.quality.minimum <= receipt.quality.median <= receipt.quality.maximum <= 1
    times = [receipt.staged_at, receipt.queued_at, receipt.started_at, receipt.finished_at]
    assert all(time and before < time for time in times)
    assert times[1:] == sorted(times[1:])  # type: ignore[type-var]
    page = workbench.page(upload)
    assert receipt.report_page == report_blob("project")
    assert page.count("<img") == 4
    for said in ("Imported", "2 sessions, 4 pictures of Brassica napus and Brassica juncea", "UTC"):
        assert said in page


def test_a_refused_folder_is_told_what_was_understood_as_far_as_it_is_known(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2, pictures=2)
    edit(folder / "pictures/session2/index.yaml", "seedData", seedSpecies="junceaa")
    edit(folder / "pictures/session2/index.yaml", "userData", numberOfSeeds=None)
    edit(folder / "pictures/session1/index.yaml", "userData", numberOfSeeds=6)
    edit(folder / "index.yaml", "userData", numberOfSeeds=None)
    (folder / "notes.docx").write_bytes(b"seen today")
    upload = workbench.stage(folder)
    receipt = workbench.run(upload).receipt

    first, second = receipt.sessions
    assert (first.species, first.findings, first.imported) == ("Brassica napus", {}, False)
    assert (second.species, second.seeds_per_picture, second.zoom) == (None, None, 30)
    assert second.findings == {"missing-key": 1, "unregistered-seed": 1}
    assert receipt.folder_findings == {"unexpected-file": 1}
    lines = list(receipt_lines(receipt))
    assert [" ".join(line.split()[:4]) for line in lines[-5:-1]] == [
        "SESSION SPECIES ZOOM SEEDS",
        "pictures/session1 Brassica napus 30",
        "pictures/session2 ? 30 ?",
        "",
    ]
    assert lines[-1] == "Not importable: 3 errors."
    assert "Not accepted" in workbench.page(upload)


def test_a_correction_says_what_it_changed_on_the_page_too(workbench: Workbench) -> None:
    folder = workbench.sample(pictures=3)
    workbench.run(workbench.stage(folder))
    (folder / "pictures/session1/3.png").unlink()
    edit(folder / "pictures/session1/index.yaml", "imageData", numberOfImages=2)
    edit(folder / "pictures/session1/index.yaml", "seedData", seedSpecies="juncea")
    upload = workbench.stage(folder, replace=True)

    receipt = workbench.run(upload).receipt

    assert receipt.correction == Correction(removed=1, relabelled=2)
    page = workbench.page(upload)
    assert "What this correction changed" in page
    assert "<strong>2</strong> <span" in page


def test_a_partly_imported_folder_says_of_each_session_whether_it_is_stored(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2, pictures=2)
    edit(folder / "index.yaml", "uploadData", acceptValid=True)
    (folder / "pictures/session2/1.png").write_bytes(b"no picture")
    upload = workbench.stage(folder)

    receipt = workbench.run(upload).receipt

    assert [one.imported for one in receipt.sessions] == [True, False]
    last = [list(receipt_lines(receipt, language))[-1] for language in ("en", "fr")]
    assert last == [
        "Imported in part: 1 session, 2 pictures of Brassica napus; 1 error.",
        "Importé en partie : 1 session, 2 images de Brassica napus; 1 erreur.",
    ]
    page = workbench.page(upload)
    assert "Imported in part" in page
    assert "cannot be shown" in page


def test_an_import_that_failed_has_a_page_too_and_the_next_one_replaces_it(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample(pictures=2))
    with MeddledStorage.connect(workbench.blobs.account_url, workbench.blob_key) as meddled:
        meddled.blob, meddled.content = "project/pictures/session1/2.png", b"another"
        failed = workbench.run(upload, blobs=meddled).receipt
    page = workbench.page(upload)
    assert (failed.state, failed.report_page) == (State.FAILED, report_blob("project"))
    assert "Not imported yet" in page
    assert "changed or vanished" in page
    assert workbench.blob_key.get_secret_value() not in page + failed.model_dump_json()
    assert "content=\"default-src 'none'; img-src data:" in page

    workbench.stage(workbench.place / "project", replace=True)
    workbench.run(workbench.now(upload))
    assert "Not imported yet" not in workbench.page(upload)


def test_a_run_that_died_leaves_a_page(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    fail_upload(workbench.database, workbench.blobs, upload, "the run died: <it> was killed")
    assert "the run died: &lt;it&gt; was killed" in workbench.page(upload)


def test_a_duplicate_is_named_as_its_owner_knows_it_and_nobody_elses_name_is_told(workbench: Workbench) -> None:
    folder = workbench.sample("canola-2025", pictures=2)
    workbench.run(workbench.stage(folder))
    again = workbench.place / "canola-2026"
    shutil.copytree(folder, again)
    mine = workbench.stage(again)
    workbench.run(mine)
    eve = workbench.another_user(f"{uuid4().hex}@example.org")
    hers = eve.place / "eves-secret-folder"
    shutil.copytree(folder, hers)
    edit(hers / "index.yaml", "clientData", clientEmail=eve.user.email)
    theirs = eve.stage(hers)
    eve.run(theirs)

    receipt, page = workbench.receipt(mine), workbench.page(mine)
    assert receipt.report is not None
    said = {one.path: one.found.en for one in receipt.report.findings if one.found}
    for one in (1, 2):
        place = f"pictures/session1/{one}.png"
        assert said[place].startswith(f"the same file as canola-2025/{place}, which is stored already (identifier ")
        assert f"canola-2025/{place}, déjà enregistrée" in page
    told = eve.receipt(theirs).model_dump_json() + eve.page(theirs)
    assert "another user&#39;s picture" in told
    assert "l&#39;image d&#39;un autre utilisateur" in told
    for private in (workbench.user.email, "canola-2025", "canola-2026", str(workbench.user.id)):
        assert private not in told


def test_pictures_that_are_damaged_misnamed_or_there_twice_are_shown(workbench: Workbench) -> None:
    folder = workbench.sample(pictures=5)
    session = folder / "pictures/session1"
    (session / "1.png").write_bytes(sample_picture(1, width=64, height=48, picture_format="png")[:-900])
    stream = io.BytesIO()
    Image.open(session / "2.png").save(stream, "JPEG")
    (session / "2.png").write_bytes(stream.getvalue())
    shutil.copy(session / "4.png", session / "3.png")
    (session / "5.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing")
    upload = workbench.stage(folder)

    workbench.run(upload)

    articles = {
        part.partition('"')[0]: part.partition("</article>")[0]
        for part in workbench.page(upload).split('<article id="')[1:]
    }
    assert articles["picture-format"].count("<img") == 1
    damaged = articles["picture-damaged"]
    assert (damaged.count("<img"), damaged.count("cannot be shown")) == (1, 1)
    pair = articles["duplicate-picture"].partition('<div class="pair">')[2]
    assert pair.count("<img") == 2


def test_a_page_holds_few_pictures_of_an_upload_of_many(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample(sessions=3, pictures=30))
    workbench.run(upload)

    page = workbench.page(upload)

    assert page.count("<img") == 24
    assert len(page) < 400_000
    assert page.count("<h3>") == 3


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_receipt_of_an_older_version_is_still_read(workbench: Workbench, version: str) -> None:
    upload = workbench.stage(workbench.sample())
    workbench.run(upload)
    later = set(Receipt.model_fields) - {
        *("receipt_version", "upload", "partition", "owner", "folder", "state", "run_id", "started_at", "finished_at"),
        *("content_digest", "pictures", "size", "container", "picture_sets", "refused_sessions", "report", "failure"),
    }
    for key in later:
        workbench.query("update upload set receipt = receipt - %s", key)
    workbench.query("update upload set receipt = jsonb_set(receipt, '{receipt_version}', to_jsonb(%s::text))", version)

    receipt = workbench.now(upload).receipt

    assert receipt is not None
    assert (receipt.receipt_version, receipt.state, receipt.sessions) == (version, State.IMPORTED, [])
    assert list(receipt_lines(receipt))[-1] == "Imported."
    assert workbench.run(workbench.now(upload)).receipt.receipt_version == "3"


def test_a_session_of_the_receipt_survives_being_written_and_read() -> None:
    session = UnderstoodSession(session="pictures/é \u202e", species="A b", zoom=3.5, findings={"empty-file": 2})
    receipt = Receipt(
        upload=uuid4(), partition="x~1", owner="ada@example.org", folder="x", state=State.REFUSED, sessions=[session]
    )

    assert valid_receipt(receipt.model_dump_json(exclude_none=True)) == receipt
    assert session.name.en == "pictures/é \\u202e"
