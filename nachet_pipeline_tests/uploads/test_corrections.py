"""People correct what they sent: labels, names, pictures that should not be there; and nothing is there twice."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unicodedata import normalize
from uuid import uuid4

import pytest
import yaml

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.receipt import State
from nachet_pipeline.contract.stored import Correction
from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.crops.detecting import Region
from nachet_pipeline.folders.queries import folders_of
from nachet_pipeline.picture_sets.duplicates import duplicate_pairs
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.reconciliation.retention import Retention
from nachet_pipeline.training.building import Built, build
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline.uploads.importing import ImportOutcome
from nachet_pipeline.uploads.queries import record_wishes
from nachet_pipeline_tests.crops.test_cropping import Finding as ToldDetector
from nachet_pipeline_tests.folders.kept import (
    archive_of,
    assert_every_row_has_its_bytes,
    folder_id,
    keeper,
    let_undo_end,
    names,
)
from nachet_pipeline_tests.uploads.test_importing import small_picture, write_session
from nachet_pipeline_tests.workbench import Workbench, edit

LEFT, RIGHT = Region(0, 0, 0.5, 1), Region(0.5, 0, 1, 1)


@pytest.fixture(scope="module")
def cropping_pool() -> Iterator[CroppingPool]:
    with CroppingPool(DecodingSettings(workers=1, seconds=60)) as pool:
        yield pool


def imported(bench: Workbench, folder: Path, *, replace: bool = False) -> ImportOutcome:
    """Stage and import a folder, as `nachet import` does."""
    upload = bench.stage(folder, replace=replace)
    with bench.database.connection() as connection:
        record_wishes(connection, upload.id, accept_valid=False, replace=replace)
    outcome = bench.run(bench.now(upload))
    assert outcome.receipt.state is State.IMPORTED, outcome.receipt
    return outcome


def session(bench: Workbench, name: str, numbers: range | list[int], species: str = "napus") -> Path:
    """A session folder of generated pictures."""
    folder = write_session(bench.place / name, {f"{number}.png": small_picture(number) for number in numbers})
    edit(folder / "index.yaml", "seedData", seedSpecies=species)
    return folder


def left_out(folder: Path, *numbers: int) -> None:
    """Take pictures out of a local session folder."""
    index = yaml.safe_load((folder / "index.yaml").read_text())
    for number in numbers:
        (folder / f"{number}.png").unlink()
    edit(folder / "index.yaml", "imageData", numberOfImages=index["imageData"]["numberOfImages"] - len(numbers))


def live(bench: Workbench) -> dict[str, str]:
    """The pictures that count, by name, with their species; each once."""
    rows = bench.query(
        "select p.name, seeds.name as species from pictures p join picture_set s on s.id = p.picture_set_id"
        " join picture_seed l on l.picture_id = p.id join seeds on seeds.id = l.seed_id"
        " where p.parent is null and p.superseded_at is null and s.deleted_at is null order by p.name"
    )
    assert len({row["name"] for row in rows}) == len(rows), rows
    return {row["name"]: row["species"] for row in rows}


def findings(outcome: ImportOutcome, code: str) -> list[Finding]:
    assert outcome.receipt.report is not None
    return [finding for finding in outcome.receipt.report.findings if finding.code == code]


def clear_staging(bench: Workbench, folder: Path) -> None:
    """Let the staged folder be gone, as retention clears it; the local one too."""
    for blob in bench.blobs.listing(bench.user.upload_container, f"{folder.name}/"):
        bench.blobs.delete(bench.user.upload_container, blob.name)
    shutil.rmtree(folder)


def everything(bench: Workbench, **recipe: Any) -> Built:
    return build(Recipe(name=f"all-{uuid4().hex[:8]}", **recipe), bench.database, bench.blobs)


def assert_nothing_amiss(bench: Workbench) -> None:
    for container in (bench.user.user_container, archive_of(bench)):
        if bench.blobs.container_exists(container):
            comparer = bench.comparer()
            with bench.database.connection() as connection:
                found = comparer.compare_container(connection, bench.user, container)
            assert found.found == {}, (container, found)


# Corrections in place


def test_a_corrected_species_and_a_removed_picture_leave_one_set_with_one_label_each(workbench: Workbench) -> None:
    folder = session(workbench, "thistles", range(1, 6))
    first = imported(workbench, folder)
    assert first.receipt.correction == Correction(added=5)
    left_out(folder, 5)
    edit(folder / "index.yaml", "seedData", seedSpecies="juncea")

    outcome = imported(workbench, folder, replace=True)

    assert live(workbench) == {f"{number}.png": "Brassica juncea" for number in range(1, 5)}
    assert len(workbench.query("select id from picture_set")) == 1
    assert outcome.receipt.picture_sets[0].id == first.receipt.picture_sets[0].id
    assert outcome.receipt.correction == Correction(removed=1, relabelled=4)
    (told,) = findings(outcome, "pictures-taken-out")
    assert told.found is not None
    assert "5.png" in told.found.en
    (taken_out,) = workbench.query("select name from pictures where superseded_at is not null")
    assert taken_out["name"] == "5.png"
    assert everything(workbench).pictures == 4
    assert_every_row_has_its_bytes(workbench)
    assert_nothing_amiss(workbench)


def test_a_folder_that_is_corrected_in_place_by_other_means_says_the_same(workbench: Workbench) -> None:
    folder = session(workbench, "thistles", range(1, 4))
    imported(workbench, folder)
    workbench.blobs.delete(workbench.user.upload_container, "thistles/3.png")
    left_out(folder, 3)

    outcome = imported(workbench, folder)

    assert sorted(live(workbench)) == ["1.png", "2.png"]
    assert outcome.receipt.correction == Correction(removed=1, unchanged=2)


def test_a_renamed_picture_stays_the_same_row_under_its_new_name(workbench: Workbench) -> None:
    folder = session(workbench, "thistles", [1, 2])
    imported(workbench, folder)
    before = workbench.query("select id from pictures order by id")
    (folder / "2.png").rename(folder / "seven.png")

    outcome = imported(workbench, folder, replace=True)

    assert sorted(live(workbench)) == ["1.png", "seven.png"]
    assert workbench.query("select id from pictures order by id") == before
    assert outcome.receipt.correction == Correction(unchanged=2)
    assert findings(outcome, "pictures-taken-out") == []


def test_a_picture_taken_by_another_takes_its_place(workbench: Workbench) -> None:
    folder = session(workbench, "thistles", [1, 2])
    imported(workbench, folder)
    (folder / "2.png").write_bytes(small_picture(9))

    outcome = imported(workbench, folder, replace=True)

    assert sorted(live(workbench)) == ["1.png", "2.png"]
    assert outcome.receipt.correction == Correction(added=1, removed=1, unchanged=1)
    assert len(workbench.query("select id from pictures")) == 2 + 1


def test_what_was_taken_out_comes_back_as_it_was_when_it_is_sent_again(
    workbench: Workbench, cropping_pool: CroppingPool
) -> None:
    folder = session(workbench, "thistles", [1, 2])
    upload = workbench.stage(folder)
    imported(workbench, folder)
    cropper = workbench.cropper(cropping_pool, detector=ToldDetector(LEFT, RIGHT))
    assert cropper.crop(workbench.now(upload)).crops == 4
    rows = workbench.query("select id, superseded_at from pictures order by id")
    left_out(folder, 2)
    imported(workbench, folder, replace=True)
    assert len(workbench.query("select id from pictures where superseded_at is null")) == 1 + 2
    assert everything(workbench, pictures="crops").pictures == 2
    assert cropper.crop(workbench.now(upload)).crops == 2

    (folder / "2.png").write_bytes(small_picture(2))
    edit(folder / "index.yaml", "imageData", numberOfImages=2)
    outcome = imported(workbench, folder, replace=True)

    assert workbench.query("select id, superseded_at from pictures order by id") == rows
    assert outcome.receipt.correction == Correction(added=1, unchanged=1)
    assert everything(workbench, pictures="crops").pictures == 4
    cropped = cropper.crop(workbench.now(upload))
    assert (cropped.crops, cropped.new) == (4, 0)


def test_a_corrected_species_is_that_of_a_crop_of_a_crop_too(workbench: Workbench, cropping_pool: CroppingPool) -> None:
    folder = session(workbench, "thistles", [1])
    upload = workbench.stage(folder)
    imported(workbench, folder)
    cropper = workbench.cropper(cropping_pool, detector=ToldDetector(LEFT))
    cropper.crop(workbench.now(upload))
    # As other programs cut them: the detector finds seeds in whole pictures alone.
    cut = uuid4()
    workbench.query(
        "insert into pictures (id, picture, picture_set_id, parent, nb_object, name, blob, sha256, size, format, width,"
        " height, bounding_box, detector) select %s, picture, picture_set_id, id, 1, 'cut', blob, sha256, size, format,"
        " width, height, bounding_box, 'other 1' from pictures where parent is not null",
        cut,
    )
    workbench.query(
        "insert into picture_seed (id, picture_id, seed_id) select %s, %s, seed_id from picture_seed limit 1",
        uuid4(),
        cut,
    )
    edit(folder / "index.yaml", "seedData", seedSpecies="juncea")

    imported(workbench, folder)

    species = workbench.query("select distinct seeds.name from picture_seed l join seeds on seeds.id = l.seed_id")
    assert [row["name"] for row in species] == ["Brassica juncea"]


def test_an_import_that_changes_nothing_keeps_what_the_receipt_says_of_the_last_that_did(workbench: Workbench) -> None:
    folder = session(workbench, "thistles", [1, 2, 3])
    imported(workbench, folder)
    left_out(folder, 3)
    corrected = imported(workbench, folder, replace=True)
    again = imported(workbench, folder)
    assert again.receipt.correction == corrected.receipt.correction == Correction(removed=1, unchanged=2)
    assert again.rows is not None
    assert (again.rows.pictures, again.rows.picture_seeds) == (0, 0)


# Absence


def test_what_comes_after_the_folder_was_cleared_is_an_addition(workbench: Workbench) -> None:
    folder = session(workbench, "thistles", [1, 2])
    imported(workbench, folder)
    clear_staging(workbench, folder)
    workbench.query("update picture_set set staged_until = staged_until - interval '1 hour'")

    outcome = imported(workbench, session(workbench, "thistles", [3]))

    assert sorted(live(workbench)) == ["1.png", "2.png", "3.png"]
    assert outcome.receipt.correction == Correction(added=1)
    (told,) = findings(outcome, "pictures-sent-earlier")
    assert told.found is not None
    assert "1.png, 2.png" in told.found.en
    assert "--replace" in told.kind.remedy.en


def test_what_was_sent_earlier_stays_when_the_addition_is_corrected(workbench: Workbench) -> None:
    folder = session(workbench, "thistles", [1, 2])
    imported(workbench, folder)
    clear_staging(workbench, folder)
    workbench.query("update picture_set set staged_until = staged_until - interval '1 hour'")
    folder = session(workbench, "thistles", [3, 4])
    imported(workbench, folder)
    workbench.blobs.delete(workbench.user.upload_container, "thistles/4.png")
    left_out(folder, 4)

    outcome = imported(workbench, folder)

    assert sorted(live(workbench)) == ["1.png", "2.png", "3.png"]
    assert outcome.receipt.correction == Correction(removed=1, unchanged=1)


@pytest.mark.parametrize("said", ["by the command", "in the index"])
def test_who_says_that_a_cleared_session_is_replaced_is_believed(said: str, workbench: Workbench) -> None:
    folder = session(workbench, "thistles", [1, 2])
    imported(workbench, folder)
    clear_staging(workbench, folder)
    workbench.query("update picture_set set staged_until = staged_until - interval '1 hour'")
    folder = session(workbench, "thistles", [2, 3])
    if said == "in the index":
        edit(folder / "index.yaml", "uploadData", replace=True)

    outcome = imported(workbench, folder, replace=said == "by the command")

    assert sorted(live(workbench)) == ["2.png", "3.png"]
    assert outcome.receipt.correction == Correction(added=1, removed=1, unchanged=1)


def test_what_the_command_said_of_one_upload_is_not_said_of_the_next(workbench: Workbench) -> None:
    folder = session(workbench, "thistles", [1, 2])
    imported(workbench, folder, replace=True)
    clear_staging(workbench, folder)
    workbench.query("update picture_set set staged_until = staged_until - interval '1 hour'")
    upload = workbench.stage(session(workbench, "thistles", [3]))

    workbench.run(workbench.now(upload))

    assert sorted(live(workbench)) == ["1.png", "2.png", "3.png"]


def test_a_session_that_is_missing_is_not_removed(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2, pictures=2)
    imported(workbench, folder)
    shutil.rmtree(folder / "pictures/session2")

    outcome = imported(workbench, folder, replace=True)

    assert workbench.query("select id from pictures where superseded_at is not null") == []
    assert [item.session for item in outcome.receipt.picture_sets] == ["pictures/session1"]


def test_a_session_is_removed_by_a_wish_in_the_index_and_comes_back_when_it_is_sent(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2, pictures=2)
    imported(workbench, folder)
    shutil.move(folder / "pictures/session2", workbench.place / "aside")
    edit(folder / "index.yaml", "uploadData", removedSessions=["session2"])

    outcome = imported(workbench, folder, replace=True)

    assert outcome.receipt.removed_sessions == ["pictures/session2"]
    rows = workbench.query(
        "select s.session, p.superseded_at is null as live from pictures p"
        " join picture_set s on s.id = p.picture_set_id order by 1, p.id"
    )
    assert [(row["session"], row["live"]) for row in rows] == [
        ("pictures/session1", True),
        ("pictures/session1", True),
        ("pictures/session2", False),
        ("pictures/session2", False),
    ]
    with workbench.database.connection() as connection:
        assert [one.name for one in folders_of(connection, workbench.user.id)] == ["session1"]
    again = imported(workbench, folder)
    assert findings(again, "unknown-session") == []

    shutil.move(workbench.place / "aside", folder / "pictures/session2")
    edit(folder / "index.yaml", "uploadData", removedSessions=None)
    imported(workbench, folder, replace=True)
    assert workbench.query("select id from pictures where superseded_at is not null") == []
    assert len(workbench.query("select id from pictures")) == 4
    assert len(workbench.query("select id from picture_set")) == 2


@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_a_session_is_removed_however_its_accents_are_written(written: Any, workbench: Workbench) -> None:
    other = "NFD" if written == "NFC" else "NFC"
    folder = workbench.sample(sessions=2, pictures=1)
    (folder / "pictures/session2").rename(folder / "pictures" / normalize(other, "été"))
    imported(workbench, folder)
    shutil.rmtree(folder / "pictures" / normalize(other, "été"))
    edit(folder / "index.yaml", "uploadData", removedSessions=[f"pictures/{normalize(written, 'été')}/"])

    outcome = imported(workbench, folder, replace=True)

    assert outcome.receipt.removed_sessions == [f"pictures/{normalize(other, 'été')}"]


def test_removing_a_session_that_is_there_is_refused_and_one_that_never_was_is_told(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2, pictures=1)
    edit(folder / "index.yaml", "uploadData", removedSessions=["session2"])
    refused = workbench.run(workbench.stage(folder))
    assert refused.receipt.state is State.REFUSED
    (told,) = findings(refused, "removed-session-staged")
    assert (told.path, told.field) == ("index.yaml", "uploadData.removedSessions")

    edit(folder / "index.yaml", "uploadData", removedSessions=["sesion1"])
    outcome = imported(workbench, folder)
    assert len(findings(outcome, "unknown-session")) == 1


def test_of_very_many_sessions_that_never_were_the_first_get_a_suggestion(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2, pictures=1)
    imported(workbench, folder)
    edit(folder / "index.yaml", "uploadData", removedSessions=[f"sesion1{'-' * number}" for number in range(30)])
    told = findings(imported(workbench, folder), "unknown-session")
    assert (len(told), sum(one.suggestion is not None for one in told)) == (30, 20)


# The same photographs elsewhere


def test_the_same_photographs_in_another_folder_are_told_with_their_place(workbench: Workbench) -> None:
    first = imported(workbench, session(workbench, "first", [1, 2]))
    second = imported(workbench, session(workbench, "second", [1, 2]))

    assert first.receipt.picture_sets[0].id != second.receipt.picture_sets[0].id
    told = findings(second, "duplicate-picture")
    assert len(told) == 2
    assert told[0].found is not None
    assert "the same file as first/1.png, which is stored already" in told[0].found.en
    # The first folder's rows are its own: nothing of the second has touched them.
    again = imported(workbench, workbench.place / "first")
    assert again.rows is not None
    assert (again.rows.picture_sets, again.rows.pictures, again.rows.picture_seeds) == (0, 0, 0)


def test_the_same_photographs_as_another_species_leave_the_first_folders_labels_alone(workbench: Workbench) -> None:
    imported(workbench, session(workbench, "first", [1, 2]))
    before = workbench.query("select * from picture_seed order by id")
    imported(workbench, session(workbench, "second", [1, 2], "juncea"))
    after = workbench.query("select * from picture_seed order by id")
    assert [row for row in before if row not in after] == []
    assert len(after) == 4


def test_of_another_users_photographs_no_name_is_told(workbench: Workbench) -> None:
    other = workbench.another_user(f"{uuid4().hex}@example.org")
    imported(other, session(other, "secret-name", [1]))
    outcome = imported(workbench, session(workbench, "mine", [1]))
    (told,) = findings(outcome, "duplicate-picture")
    assert other.user.email not in str(told)
    assert "secret-name" not in str(told)


def test_a_renamed_session_is_another_one_and_its_photographs_are_told(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=1, pictures=2)
    imported(workbench, folder)
    (folder / "pictures/session1").rename(folder / "pictures/renamed")
    outcome = imported(workbench, folder, replace=True)
    told = findings(outcome, "duplicate-picture")
    assert [finding.path for finding in told] == ["pictures/renamed/1.png", "pictures/renamed/2.png"]
    assert "project/pictures/session1/1.png" in str(told[0].found)
    # A session that is missing is not removed.
    assert len(workbench.query("select id from pictures where superseded_at is null")) == 4


def test_what_was_taken_out_is_no_duplicate_of_anything(workbench: Workbench) -> None:
    folder = session(workbench, "first", [1, 2])
    imported(workbench, folder)
    left_out(folder, 2)
    imported(workbench, folder, replace=True)
    outcome = imported(workbench, session(workbench, "second", [2]))
    assert findings(outcome, "duplicate-picture") == []
    with workbench.database.connection() as connection:
        assert list(duplicate_pairs(connection)) == []


# Folders that are put away


def test_a_deleted_folder_comes_back_as_far_as_it_is_sent_again(workbench: Workbench) -> None:
    folder = session(workbench, "thistles", [1, 2, 3])
    imported(workbench, folder)
    keeper(workbench).delete(folder_id(workbench), by="ada", why="blurred")
    left_out(folder, 3)
    imported(workbench, folder, replace=True)
    assert sorted(live(workbench)) == ["1.png", "2.png"]
    assert_every_row_has_its_bytes(workbench)


def test_a_purged_folder_that_a_training_set_knows_can_be_sent_again(
    workbench: Workbench, cropping_pool: CroppingPool
) -> None:
    folder = session(workbench, "thistles", [1, 2])
    upload = workbench.stage(folder)
    imported(workbench, folder)
    detector = ToldDetector(LEFT)
    cropper = workbench.cropper(cropping_pool, detector=detector)
    cropper.crop(workbench.now(upload))
    said = workbench.query("select id, picture from pictures order by id")
    everything(workbench)
    everything(workbench, pictures="crops")
    keeper(workbench).delete(folder_id(workbench), by="ada", why="blurred")
    let_undo_end(workbench)
    assert keeper(workbench).purge().kept_rows > 0

    outcome = imported(workbench, folder)

    assert outcome.receipt.correction == Correction(added=2)
    assert sorted(live(workbench)) == ["1.png", "2.png"]
    assert cropper.crop(workbench.now(upload)).crops == 2
    assert workbench.query("select id, picture from pictures order by id") == said
    assert everything(workbench).pictures == 2
    assert everything(workbench, pictures="crops").pictures == 2
    assert_every_row_has_its_bytes(workbench)


def test_an_archived_folder_that_is_sent_again_keeps_its_crops(
    workbench: Workbench, cropping_pool: CroppingPool
) -> None:
    folder = session(workbench, "thistles", [1, 2, 3])
    upload = workbench.stage(folder)
    imported(workbench, folder)
    cropper = workbench.cropper(cropping_pool, detector=ToldDetector(LEFT, RIGHT))
    cropper.crop(workbench.now(upload))
    left_out(folder, 3)
    imported(workbench, folder, replace=True)
    keeper(workbench).archive(folder_id(workbench), by="ada", why="the season is over")

    imported(workbench, folder)

    assert_every_row_has_its_bytes(workbench)
    cropped = cropper.crop(workbench.now(upload))
    assert (cropped.crops, cropped.new) == (4, 0)
    keeper(workbench).purge()
    assert names(workbench, archive_of(workbench)) == set()
    assert_every_row_has_its_bytes(workbench)
    assert_nothing_amiss(workbench)


def test_cleaning_an_archive_keeps_what_rows_point_at_and_only_the_archive_has(
    workbench: Workbench, cropping_pool: CroppingPool
) -> None:
    """As an earlier version left it: the rows point home, and the crops' files are in the archive alone."""
    folder = session(workbench, "thistles", [1])
    upload = workbench.stage(folder)
    imported(workbench, folder)
    cropper = workbench.cropper(cropping_pool, detector=ToldDetector(LEFT))
    cropper.crop(workbench.now(upload))
    keeper(workbench).archive(folder_id(workbench), by="ada", why="the season is over")
    imported(workbench, folder)
    (crop,) = workbench.query("select blob from pictures where parent is not null")
    workbench.blobs.delete(workbench.user.user_container, crop["blob"])

    keeper(workbench).purge()

    assert names(workbench, archive_of(workbench)) == set()
    assert_every_row_has_its_bytes(workbench)


def test_retention_does_not_take_what_it_cleared_for_removed(workbench: Workbench) -> None:
    folder = session(workbench, "thistles", [1, 2])
    upload = workbench.stage(folder)
    workbench.import_as_the_sensor_does(upload)
    later = datetime.now(UTC) + timedelta(days=workbench.settings.retention.retain_staged_days + 1)
    retention = Retention(
        workbench.database,
        workbench.blobs,
        workbench.settings.retention,
        workbench.comparer(),
        workbench.settings.arrival,
        workbench.limits,
    )
    assert retention.run(now=later).folders == 1
    shutil.rmtree(folder)
    workbench.query("update picture_set set staged_until = staged_until - interval '40 days'")
    outcome = workbench.import_as_the_sensor_does(workbench.stage(session(workbench, "thistles", [3])))
    assert outcome.receipt.correction == Correction(added=1)
    assert sorted(live(workbench)) == ["1.png", "2.png", "3.png"]


def test_a_partial_import_that_is_done_again_tells_what_the_first_one_changed(workbench: Workbench) -> None:
    """As after a kill between its rows and its receipt: the index alone refuses a session, which is told early."""
    folder = workbench.sample(sessions=2, pictures=2)
    edit(folder / "pictures/session2/index.yaml", "imageData", numberOfImages=3)
    edit(folder / "index.yaml", "uploadData", acceptValid=True)
    upload = workbench.stage(folder)
    first, again = workbench.run(workbench.now(upload)), workbench.run(workbench.now(upload))
    assert first.receipt.state is State.PARTLY_IMPORTED
    assert again.receipt.correction == first.receipt.correction == Correction(added=2)
    assert again.receipt.picture_sets == first.receipt.picture_sets
