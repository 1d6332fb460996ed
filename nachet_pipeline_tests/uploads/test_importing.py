import hashlib
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import yaml
from pydantic import SecretStr

from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.database.connection import Database
from nachet_pipeline.identifiers import receipt_blob, report_blob
from nachet_pipeline.local.sample import SPECIES, sample_picture
from nachet_pipeline.pictures import workers
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline.training.building import build
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline.uploads.importing import ImportOutcome, UnknownUploadError
from nachet_pipeline.uploads.staging import mark_complete, stage_folder
from nachet_pipeline_tests.meeting import GatedStorage
from nachet_pipeline_tests.pictures.decoders import DyingPool
from nachet_pipeline_tests.workbench import InterruptedStorage, MeddledStorage, Workbench, edit

SEEDS = {"seedGenus": "Brassica", "seedSpecies": "napus"}


def write_session(folder: Path, pictures: dict[str, bytes], **user_data: object) -> Path:
    folder.mkdir(parents=True)
    index = {
        "imageData": {"numberOfImages": len(pictures)},
        "seedData": SEEDS,
        "userData": {"description": "a session", "numberOfSeeds": 2, "zoom": 30, **user_data},
    }
    (folder / "index.yaml").write_text(yaml.safe_dump(index), encoding="utf-8")
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    return folder


def small_picture(number: int) -> bytes:
    return sample_picture(number, width=64, height=48, picture_format="png")


def sha256s(pictures: dict[str, bytes]) -> list[str]:
    return sorted(hashlib.sha256(content).hexdigest() for content in pictures.values())


def imported(outcome: ImportOutcome) -> ImportOutcome:
    assert outcome.receipt.state is State.IMPORTED, outcome.receipt
    return outcome


def species_of_pictures(workbench: Workbench) -> dict[str, list[str]]:
    """From a picture's name to the seeds that are linked to it."""
    rows = workbench.query(
        "select p.name, array_agg(seeds.name order by seeds.name) as seeds from pictures p"
        " join picture_seed l on l.picture_id = p.id join seeds on seeds.id = l.seed_id group by p.id, p.name"
    )
    return {row["name"]: row["seeds"] for row in rows}


def assert_nothing_is_imported(workbench: Workbench) -> None:
    rows = workbench.rows()
    assert [rows[table] for table in ("picture_set", "pictures", "picture_seed")] == [[], [], []]
    assert workbench.contents(workbench.user.user_container) == {}


# What an import stores


def test_real_pictures_are_stored_byte_for_byte_and_described(workbench: Workbench, real_pictures: list[Path]) -> None:
    contents = {picture.name: picture.read_bytes() for picture in real_pictures}
    upload = workbench.stage(write_session(workbench.place / "real", contents))
    outcome = imported(workbench.run(upload))
    assert sha256s(workbench.stored_pictures()) == sha256s(contents)
    rows = workbench.query(
        "select name, blob, encode(sha256, 'hex') as sha256, size, format, width, height, nb_object, picture"
        " from pictures order by name"
    )
    assert [(row["name"], row["format"], row["width"], row["height"]) for row in rows] == [
        ("cfia-one-seed-638x559.png", "PNG", 638, 559),
        ("cfia-two-seeds-1920x1080-lzw.tiff", "TIFF", 1920, 1080),
    ]
    for row in rows:
        content = contents[row["name"]]
        assert workbench.blobs.read(workbench.user.user_container, row["blob"]) == content
        assert (row["sha256"], row["size"]) == (hashlib.sha256(content).hexdigest(), len(content))
        assert (row["nb_object"], row["picture"]["user_data"]["zoom"]) == (2, 30)
        assert row["picture"]["quality_check"]["image_checksum"] == row["sha256"]
        assert row["picture"]["metadata"]["sources"]["userData.zoom"].startswith("index.yaml:")
    assert species_of_pictures(workbench) == {name: ["Brassica napus"] for name in contents}
    assert (outcome.receipt.pictures, outcome.receipt.size) == (2, sum(map(len, contents.values())))


def test_a_project_becomes_one_picture_set_a_session(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2, pictures=2)
    outcome = imported(workbench.run(workbench.stage(folder)))
    rows = workbench.query(
        "select s.id, s.name, s.owner_id, c.name as container, s.picture_set, count(p.id) as pictures"
        " from picture_set s join container c on c.id = s.container_id left join pictures p on p.picture_set_id = s.id"
        " group by s.id, c.name order by s.name"
    )
    assert [(row["name"], row["pictures"]) for row in rows] == [("session1", 2), ("session2", 2)]
    assert {row["owner_id"] for row in rows} == {workbench.user.id}
    assert {row["container"] for row in rows} == {workbench.user.user_container}
    assert [row["picture_set"]["seed_data"]["seed_species"] for row in rows] == ["napus", "juncea"]
    assert {row["picture_set"]["client_data"]["client_email"] for row in rows} == {workbench.user.email}
    local = {str(file): file.read_bytes() for file in folder.rglob("*.png")}
    assert sha256s(workbench.stored_pictures()) == sha256s(local)
    assert [item.session for item in outcome.receipt.picture_sets] == ["pictures/session1", "pictures/session2"]
    assert {item.id for item in outcome.receipt.picture_sets} == {row["id"] for row in rows}


def test_a_session_alone_becomes_a_picture_set_named_for_its_folder(workbench: Workbench) -> None:
    folder = write_session(
        workbench.place / "Récolte n° 1, 50%", {"1.png": small_picture(1), "é 2.png": small_picture(2)}
    )
    imported(workbench.run(workbench.stage(folder)))
    assert [row["name"] for row in workbench.query("select name from picture_set")] == ["Récolte n° 1, 50%"]
    assert species_of_pictures(workbench) == {"1.png": ["Brassica napus"], "é 2.png": ["Brassica napus"]}


def test_what_lies_beside_the_pictures_agrees_with_the_rows(workbench: Workbench) -> None:
    outcome = imported(workbench.run(workbench.stage(workbench.sample(pictures=3))))
    contents = workbench.contents(workbench.user.user_container)
    (picture_set,) = workbench.query("select id, picture_set from picture_set")
    assert json.loads(contents[f"{picture_set['id']}/{picture_set['id']}.json"]) == picture_set["picture_set"]
    (received,) = outcome.receipt.picture_sets
    assert picture_set["picture_set"]["audit_trail"]["manifest"] == received.manifest
    head, *pictures = map(json.loads, contents[received.manifest].splitlines())
    assert head["picture_set_id"] == str(picture_set["id"])
    rows = workbench.query("select id::text, encode(sha256, 'hex') as sha256 from pictures order by name")
    assert [(line["id"], line["sha256"]) for line in pictures] == [(row["id"], row["sha256"]) for row in rows]
    assert len(contents) == len(rows) + 2


def test_two_users_may_stage_folders_of_the_same_name_and_content(workbench: Workbench) -> None:
    other = workbench.another_user(f"{uuid4().hex}@example.org")
    folder = write_session(workbench.place / "session", {"1.png": small_picture(1)})
    for bench in (workbench, other):
        imported(bench.run(bench.stage(folder)))
        assert sha256s(bench.stored_pictures()) == sha256s({"1.png": small_picture(1)})
    owners = {row["owner_id"] for row in workbench.query("select owner_id from picture_set")}
    assert owners == {workbench.user.id, other.user.id}


def test_an_upload_that_nobody_staged_is_unknown(workbench: Workbench) -> None:
    with pytest.raises(UnknownUploadError):
        workbench.importer().import_upload(uuid4())


# Importing again


def test_importing_the_same_folder_twice_changes_nothing(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample(sessions=2, pictures=2))
    first = imported(workbench.run(upload))
    rows, versions = workbench.rows(), workbench.versions(workbench.user.user_container)
    again = imported(workbench.run(upload))
    assert workbench.rows() == rows
    assert workbench.versions(workbench.user.user_container) == versions
    assert first.stored is not None
    assert again.stored is not None
    assert (first.stored.new, again.stored.new) == (4, 0)
    assert again.rows is not None
    assert (again.rows.picture_sets, again.rows.pictures, again.rows.picture_seeds) == (0, 0, 0)


def test_a_species_corrected_after_the_import_replaces_the_wrong_one(workbench: Workbench) -> None:
    folder = workbench.sample(pictures=3)
    imported(workbench.run(workbench.stage(folder)))
    pictures = workbench.stored_pictures()
    before = workbench.versions(workbench.user.user_container)
    edit(folder / "pictures/session1/index.yaml", "seedData", seedSpecies="juncea")
    outcome = imported(workbench.run(workbench.stage(folder)))
    assert species_of_pictures(workbench) == {f"{n}.png": ["Brassica juncea"] for n in (1, 2, 3)}
    assert len(workbench.query("select id from picture_set")) == 1
    assert workbench.stored_pictures() == pictures
    after = workbench.versions(workbench.user.user_container)
    assert {name for name in pictures if after[name] != before[name]} == set()
    (row,) = workbench.query("select id, picture_set from picture_set")
    assert row["picture_set"]["seed_data"]["seed_species"] == "juncea"
    descriptor = workbench.blobs.read(workbench.user.user_container, f"{row['id']}/{row['id']}.json")
    assert json.loads(descriptor) == row["picture_set"]
    assert {
        row["picture"]["terms"]["dwc:scientificName"] for row in workbench.query("select picture from pictures")
    } == {"Brassica juncea"}
    assert outcome.receipt.picture_sets[0].seed == "Brassica juncea"


def test_metadata_corrected_for_one_picture_changes_its_row_alone(workbench: Workbench) -> None:
    folder = workbench.sample(pictures=3)
    imported(workbench.run(workbench.stage(folder)))
    before = {row["id"]: row for row in workbench.rows()["pictures"]}
    edit(folder / "pictures/session1/1.yaml", "userData", numberOfSeeds=4, zoom=12.5)
    outcome = imported(workbench.run(workbench.stage(folder)))
    after = {row["id"]: row for row in workbench.rows()["pictures"]}
    changed = [row for key, row in after.items() if row != before[key]]
    assert [(row["name"], row["nb_object"], row["picture"]["user_data"]["zoom"]) for row in changed] == [
        ("1.png", 4, 12.5)
    ]
    assert after.keys() == before.keys()
    assert outcome.rows is not None
    assert (outcome.rows.pictures, outcome.rows.picture_seeds) == (1, 0)


def test_a_session_added_to_an_imported_project_adds_only_itself(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=1, pictures=2)
    imported(workbench.run(workbench.stage(folder)))
    before, versions = workbench.rows(), workbench.versions(workbench.user.user_container)
    write_session(folder / "pictures/session2", {"1.png": small_picture(71)})
    outcome = imported(workbench.run(workbench.stage(folder)))
    after = workbench.rows()
    added = {
        table: [row for row in after[table] if row not in before[table]]
        for table in ("picture_set", "pictures", "picture_seed")
    }
    assert {table: len(rows) for table, rows in added.items()} == {"picture_set": 1, "pictures": 1, "picture_seed": 1}
    assert [row["name"] for row in added["picture_set"]] == ["session2"]
    for table in added:
        assert [row for row in before[table] if row not in after[table]] == []
    assert versions.items() <= workbench.versions(workbench.user.user_container).items()
    assert outcome.stored is not None
    assert outcome.stored.new == 1


# Refusing


def test_a_refused_upload_stores_nothing_and_says_why_beside_the_folder(workbench: Workbench) -> None:
    folder = workbench.sample(pictures=3)
    (folder / "pictures/session1/2.png").write_bytes(b"no picture at all")
    upload = workbench.stage(folder)
    staged = workbench.contents(upload.staging_container)
    outcome = workbench.run(upload)
    assert outcome.receipt.state is State.REFUSED
    assert_nothing_is_imported(workbench)
    beside = workbench.contents(upload.staging_container)
    receipt = Receipt.model_validate_json(beside.pop(receipt_blob("project")))
    assert b"picture-format" in beside.pop(report_blob("project"))
    assert beside == staged
    assert receipt == outcome.receipt == workbench.now(upload).receipt
    assert receipt.report is not None
    assert [(finding.path, finding.kind.severity) for finding in receipt.report.findings] == [
        ("pictures/session1/2.png", "error")
    ]


def test_a_refused_upload_is_imported_once_it_is_corrected(workbench: Workbench) -> None:
    folder = workbench.sample(pictures=2)
    edit(folder / "pictures/session1/index.yaml", "imageData", numberOfImages=3)
    assert workbench.run(workbench.stage(folder)).receipt.state is State.REFUSED
    edit(folder / "pictures/session1/index.yaml", "imageData", numberOfImages=2)
    upload = workbench.stage(folder)
    imported(workbench.run(upload))
    assert workbench.receipt(upload).state is State.IMPORTED
    assert len(workbench.stored_pictures()) == 2


def test_a_folder_in_the_name_of_somebody_else_is_refused(workbench: Workbench) -> None:
    folder = workbench.sample()
    edit(folder / "index.yaml", "clientData", clientEmail="somebody.else@example.org")
    outcome = workbench.run(workbench.stage(folder))
    assert outcome.receipt.state is State.REFUSED
    assert outcome.receipt.report is not None
    assert outcome.receipt.report.codes == {"not-the-owner": 1}
    assert_nothing_is_imported(workbench)


def test_an_unregistered_species_is_refused_and_never_created(workbench: Workbench) -> None:
    seeds = workbench.rows()["seeds"]
    folder = workbench.sample()
    edit(folder / "pictures/session1/index.yaml", "seedData", seedSpecies="napuss")
    outcome = workbench.run(workbench.stage(folder))
    assert outcome.receipt.state is State.REFUSED
    assert outcome.receipt.report is not None
    (finding,) = outcome.receipt.report.findings
    assert (finding.code, finding.suggestion) == ("unregistered-seed", Bilingual.same("Brassica napus"))
    assert_nothing_is_imported(workbench)
    assert workbench.rows()["seeds"] == seeds


@pytest.mark.parametrize("name", ["pictures//1.png", "pictures/session1/tab\there.png"])
def test_a_file_name_that_no_form_would_send_is_refused_with_its_finding(workbench: Workbench, name: str) -> None:
    upload = workbench.stage(workbench.sample())
    workbench.put(f"project/{name}", small_picture(1))
    outcome = workbench.run(upload)
    assert outcome.receipt.state is State.REFUSED
    assert outcome.receipt.report is not None
    assert "unsafe-name" in outcome.receipt.report.codes
    assert_nothing_is_imported(workbench)


def test_one_bad_session_keeps_the_whole_project_out(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2)
    (folder / "pictures/session2/index.yaml").unlink()
    assert workbench.run(workbench.stage(folder)).receipt.state is State.REFUSED
    assert_nothing_is_imported(workbench)


# Disturbed on the way


def state_of(workbench: Workbench) -> object:
    rows = workbench.rows(without=("upload_date", "first_seen"))
    return rows, workbench.contents(workbench.user.user_container)


@pytest.mark.parametrize("moment", ["read", "copy"])
def test_a_picture_that_changes_during_its_import_fails_it_and_a_later_run_completes_it(
    workbench: Workbench, moment: str
) -> None:
    upload = workbench.stage(workbench.sample(pictures=3))
    replacement = small_picture(99)
    with MeddledStorage.connect(workbench.blobs.account_url, workbench.blob_key) as meddled:
        meddled.blob, meddled.content, meddled.before = "project/pictures/session1/2.png", replacement, moment
        outcome = workbench.run(upload, blobs=meddled)
    assert outcome.receipt.state is State.FAILED
    assert outcome.receipt.failure is not None
    assert "pictures/session1/2.png changed or vanished" in outcome.receipt.failure
    assert workbench.receipt(upload) == outcome.receipt
    assert workbench.query("select id from pictures") == []
    imported(workbench.run(upload))
    stored = sha256s(workbench.stored_pictures())
    assert hashlib.sha256(replacement).hexdigest() in stored
    rows = workbench.query("select name, blob, encode(sha256, 'hex') as sha256 from pictures order by name")
    assert [row["name"] for row in rows] == ["1.png", "2.png", "3.png"]
    for row in rows:
        content = workbench.blobs.read(workbench.user.user_container, row["blob"])
        assert hashlib.sha256(content).hexdigest() == row["sha256"]


@pytest.mark.parametrize("copies", [0, 3])
def test_an_interrupted_import_repeated_ends_as_if_undisturbed(workbench: Workbench, copies: int) -> None:
    upload = workbench.stage(workbench.sample(sessions=2, pictures=2))
    with InterruptedStorage.connect(workbench.blobs.account_url, workbench.blob_key) as broken:
        broken.copies_left = copies
        outcome = workbench.run(upload, blobs=broken)
    assert outcome.receipt.state is State.FAILED
    assert outcome.receipt.failure == "Blob storage at 127.0.0.1: it went away"
    assert len(workbench.stored_pictures()) == copies
    assert workbench.query("select id from picture_set") == []
    assert workbench.now(upload).attempts == 1
    second = imported(workbench.run(upload))
    assert second.stored is not None
    assert second.stored.new == 4 - copies
    disturbed = state_of(workbench)
    workbench.forget(upload)
    imported(workbench.run(upload))
    assert state_of(workbench) == disturbed


def test_another_blob_under_a_pictures_name_is_an_error_and_is_not_overwritten(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    imported(workbench.run(upload))
    blob = min(workbench.stored_pictures())
    workbench.forget(upload)
    foreign = b"put here by somebody else"
    workbench.blobs.upload(workbench.user.user_container, blob, foreign, content_type="image/png", overwrite=True)
    outcome = workbench.run(upload)
    assert outcome.receipt.state is State.FAILED
    assert outcome.receipt.failure is not None
    assert blob in outcome.receipt.failure
    assert workbench.blobs.read(workbench.user.user_container, blob) == foreign
    assert workbench.query("select id from pictures") == []


def test_other_bytes_under_a_pictures_name_are_refused_although_their_size_and_their_note_are_right(
    workbench: Workbench,
) -> None:
    upload = workbench.stage(workbench.sample())
    imported(workbench.run(upload))
    blob, content = min(workbench.stored_pictures().items())
    workbench.forget(upload)
    foreign, note = b"x" * len(content), {"sha256": hashlib.sha256(content).hexdigest()}
    workbench.blobs.upload(workbench.user.user_container, blob, foreign, content_type="image/png", metadata=note)

    outcome = workbench.run(upload)

    assert outcome.receipt.state is State.FAILED
    assert blob in str(outcome.receipt.failure)
    assert workbench.blobs.read(workbench.user.user_container, blob) == foreign
    assert workbench.query("select id from pictures") == []


def test_two_runs_of_one_upload_at_the_same_time_end_as_one(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample(sessions=2, pictures=3))
    with (
        GatedStorage.connect(workbench.blobs.account_url, workbench.blob_key) as gated,
        ThreadPoolExecutor(2) as executor,
    ):
        first = executor.submit(workbench.run, upload, blobs=gated, run_id="run-1")
        assert gated.storing.wait(60)
        second = executor.submit(workbench.run, upload, run_id="run-2")
        query = "select pid from pg_locks join pg_database on oid = database where not granted and datname = %s"
        name = workbench.database_url.get_secret_value().rpartition("/")[2]
        while not (waiting := workbench.query(query, name)) and not second.done():
            time.sleep(0.02)
        gated.going_on.set()
        outcomes = [imported(run.result()) for run in (first, second)]
    assert len(waiting) == 1
    assert [outcome.stored.new for outcome in outcomes if outcome.stored] == [6, 0]
    together = state_of(workbench)
    workbench.forget(upload)
    imported(workbench.run(upload))
    assert state_of(workbench) == together


def test_a_storage_service_that_is_down_fails_the_import_and_the_database_says_so(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    with BlobStorage.connect("http://127.0.0.1:1/account", workbench.blob_key) as down:
        outcome = workbench.run(upload, blobs=down)
    assert outcome.receipt.state is State.FAILED
    found = workbench.now(upload)
    assert (found.state, found.attempts, found.receipt) == (State.FAILED, 1, outcome.receipt)
    assert "Blob storage at 127.0.0.1:1" in str(outcome.receipt.failure)
    imported(workbench.run(upload))
    assert workbench.now(upload).attempts == 0


def test_rows_that_the_database_refuses_leave_none_of_the_upload_behind(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample())
    workbench.query("alter table picture_seed add constraint full_up check (upload_date < '2000-01-01')")
    outcome = workbench.run(upload)
    assert outcome.receipt.state is State.FAILED
    assert "full_up" in str(outcome.receipt.failure)
    assert [workbench.query(f"select id from {table}") for table in ("picture_set", "pictures")] == [[], []]
    workbench.query("alter table picture_seed drop constraint full_up")
    imported(workbench.run(upload))
    assert len(workbench.query("select id from picture_seed")) == 2


# Receipts


def test_a_receipt_reads_back_as_it_was_written(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample(sessions=2))
    outcome = imported(workbench.run(upload))
    content = workbench.blobs.read(upload.staging_container, receipt_blob(upload.folder))
    receipt = Receipt.model_validate_json(content)
    assert receipt == outcome.receipt == workbench.now(upload).receipt
    assert json.loads(receipt.model_dump_json(exclude_none=True)) == json.loads(content)
    assert (receipt.partition, receipt.owner, receipt.folder) == (upload.partition, workbench.user.email, "project")
    assert (receipt.pictures, receipt.container) == (4, workbench.user.user_container)
    assert receipt.started_at is not None
    assert receipt.finished_at is not None
    assert receipt.started_at <= receipt.finished_at


def test_progress_counts_every_picture_of_every_session(workbench: Workbench) -> None:
    told: list[tuple[str, int, int]] = []
    upload = workbench.stage(workbench.sample(sessions=2, pictures=2))
    imported(workbench.run(upload, progress=lambda *step: told.append(step)))
    assert told == [(step, done, 4) for step in ("validating", "storing") for done in (1, 2, 3, 4)]


def test_no_secret_is_in_a_log_a_receipt_or_anything_stored(
    workbench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = workbench.database_url.get_secret_value()
    password = url.partition("@")[0].rpartition(":")[2]
    key = workbench.blob_key.get_secret_value()
    folder = workbench.sample()
    with (
        Database(SecretStr(url)) as database,
        BlobStorage.connect(workbench.blobs.account_url, workbench.blob_key) as blobs,
    ):
        stage_folder(blobs, LocalFolder(folder), workbench.user.upload_container, "project")
        mark_complete(blobs, workbench.user.upload_container, "project")
        (arrival,) = workbench.due()
        imported(workbench.run(arrival.upload, database=database, blobs=blobs))
        published = build(Recipe(name="all-pictures"), database, blobs)
        refused = workbench.stage(workbench.sample("refused", pictures=0))
        assert workbench.run(refused, database=database, blobs=blobs).receipt.state is State.REFUSED
    kept = {
        **workbench.contents(workbench.user.upload_container),
        **workbench.contents(workbench.user.user_container),
        **workbench.contents(published.container),
    }
    assert any(name.endswith(".receipt.json") for name in kept)
    assert any(name.endswith(".parquet") for name in kept)
    assert {"azure", "urllib3", "nachet_pipeline"} & {record.name.partition(".")[0] for record in caplog.records}
    for secret in (password, key, "sig="):
        assert len(secret) > 3
        assert secret not in caplog.text
        assert secret not in json.dumps(workbench.rows())
        assert [name for name, content in kept.items() if secret.encode() in content] == []


def test_pictures_of_every_format_are_stored_as_they_came(workbench: Workbench) -> None:
    chance = np.random.default_rng(5)
    pictures = {
        f"{number}.{suffix}": sample_picture(chance, species=SPECIES[0], picture_format=suffix, width=64, height=48)
        for number, suffix in enumerate(("tiff", "png", "jpeg"))
    }
    imported(workbench.run(workbench.stage(write_session(workbench.place / "formats", pictures))))
    stored = workbench.stored_pictures()
    assert sha256s(stored) == sha256s(pictures)
    assert sorted(Path(name).suffix for name in stored) == [".jpg", ".png", ".tiff"]


def test_a_machine_short_of_memory_fails_the_import_saying_so_and_a_later_run_completes_it(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_PAUSE", 0.01)
    upload = workbench.stage(workbench.sample(pictures=6))

    with DyingPool(workbench.pool.settings) as pool:
        outcome = workbench.run(upload, pool=pool)

    assert outcome.receipt.state is State.FAILED
    assert "killed from outside" in str(outcome.receipt.failure)
    assert "short of memory; give the machine more memory" in str(outcome.receipt.failure)
    assert workbench.receipt(upload) == workbench.now(upload).receipt == outcome.receipt
    assert workbench.query("select id from pictures") == []
    imported(workbench.run(upload))
