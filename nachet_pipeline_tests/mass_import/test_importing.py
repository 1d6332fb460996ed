"""Mass import on real services: what gets rows, what is left, and what an interruption or a repetition does."""

import hashlib
import io
import json
import os
import subprocess
import sys
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow.parquet as pq
import pytest

from nachet_pipeline.mass_import.errors import MassImportError
from nachet_pipeline.mass_import.importing import Result
from nachet_pipeline.mass_import.queries import ContainerTakenError, mass_import_lock
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.training.building import build
from nachet_pipeline.training.queries import withdraw
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline_tests.folders.kept import assert_every_row_has_its_bytes
from nachet_pipeline_tests.mass_import.containers import EARLY_LAYOUT, Filled, counting, folder, picture
from nachet_pipeline_tests.workbench import Workbench

ZOOM_ONLY = {"zoom": "30"}


def codes(outcome: Any) -> dict[str, int]:
    return dict(outcome.report.codes)


def test_the_early_layout_is_understood_without_a_mapping(workbench: Workbench) -> None:
    filled = Filled.of(workbench, EARLY_LAYOUT)

    outcome = filled.run(options=ZOOM_ONLY)

    assert (outcome.taken, outcome.not_taken, codes(outcome)) == (4, 0, {})
    rows = filled.pictures()
    assert {row["blob"]: (row["seed"], row["nb_object"]) for row in rows} == {
        "batch1/1-seed/train/0 Brassica napus/a.tiff": ("Brassica napus", 1),
        "batch1/1-seed/train/0 Brassica napus/b.tiff": ("Brassica napus", 1),
        "batch1/1-seed/test/1 Brassica juncea/a.tiff": ("Brassica juncea", 1),
        "batch1/6-seed/train/12 Solanum nigrum/a.tiff": ("Solanum nigrum", 6),
    }
    assert {row["record"]["audit_trail"]["split"] for row in rows} == {"train", "test"}
    assert {row["picture_set"] for row in rows} == {"0 Brassica napus", "1 Brassica juncea", "12 Solanum nigrum"}
    assert {row["picture"]["user_data"]["zoom"] for row in rows} == {30.0}


def test_rows_point_at_the_blobs_where_they_are_and_no_blob_is_touched(workbench: Workbench) -> None:
    filled = Filled.of(workbench, EARLY_LAYOUT)
    before = filled.versions()

    filled.run(options=ZOOM_ONLY)

    assert filled.versions() == before
    for row in filled.pictures():
        content = workbench.blobs.read(row["container"], row["blob"])
        assert row["container"] == filled.name
        assert (row["sha256"], row["size"]) == (hashlib.sha256(content).hexdigest(), len(content))
        assert row["upload_id"] is None
        assert row["mass_import_id"] is not None
    assert workbench.stored_pictures() == {}


def test_a_second_run_changes_nothing_and_reads_no_blob(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {**EARLY_LAYOUT, "batch1/notes.txt": b"x", "batch1/bad.png": b"no picture"})
    first = filled.run(options=ZOOM_ONLY)
    before = filled.everything()

    with counting(workbench) as storage:
        second = filled.run(options=ZOOM_ONLY, importer=filled.importer(blobs=storage))

    assert storage.reads == 0
    assert filled.everything()[:4] == before[:4]
    assert set(second.results) == set(Result)
    assert second.results[Result.TAKEN] == second.results[Result.REFUSED] == 0
    assert (second.taken, second.not_taken) == (first.taken, first.not_taken) == (4, 2)
    assert second.report == first.report


def test_a_folder_that_grew_gets_rows_for_what_is_new_only(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"day1/1.png": picture(1)})
    filled.run()
    (before,) = filled.pictures()
    filled.put("day1/2.png", picture(2))

    outcome = filled.run()

    rows = filled.pictures()
    assert [row["blob"] for row in rows] == ["day1/1.png", "day1/2.png"]
    assert rows[0]["id"] == before["id"]
    assert outcome.rows.pictures == 1
    assert rows[0]["record"]["image_data"]["number_of_images"] == 2


def test_a_corrected_species_corrects_the_rows(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"day1/1.png": picture(1)})
    filled.run()

    filled.run(options={"species": "Brassica juncea", "zoom": "30", "seeds": "2"})

    (row,) = filled.pictures()
    assert row["seed"] == "Brassica juncea"


def test_a_picture_written_over_an_imported_one_is_told_and_keeps_its_row(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"day1/1.png": picture(1), "day1/2.png": picture(2)})
    filled.run()
    before = filled.pictures()
    filled.put("day1/1.png", picture(9))

    outcome = filled.run()

    assert codes(outcome) == {"picture-replaced": 1}
    assert [(row["id"], row["sha256"]) for row in filled.pictures()] == [(row["id"], row["sha256"]) for row in before]


def test_pictures_renamed_in_a_circle_keep_their_rows_which_follow_them(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"day1/1.png": picture(1), "day1/2.png": picture(2)})
    filled.run()
    before = {row["sha256"]: row["id"] for row in filled.pictures()}
    filled.put("day1/1.png", picture(2))
    filled.put("day1/2.png", picture(1))

    outcome = filled.run()

    assert codes(outcome) == {}
    assert {row["sha256"]: row["id"] for row in filled.pictures()} == before
    assert_every_row_has_its_bytes(workbench)


def test_a_dry_run_tells_everything_and_writes_nothing(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {**EARLY_LAYOUT, "batch1/bad.png": b"no picture", "other/x.png": picture(7)})
    before = (filled.everything(), workbench.versions(workbench.user.upload_container))
    container_rows = workbench.query("select count(*) as n from container")

    outcome = filled.run(options=ZOOM_ONLY, dry_run=True)

    assert (filled.everything(), workbench.versions(workbench.user.upload_container)) == before
    assert workbench.query("select count(*) as n from container") == container_rows
    assert workbench.query("select * from mass_import") == []
    assert outcome.taken == 4
    assert folder(outcome, "other").result is Result.REFUSED
    assert folder(outcome, "batch1/6-seed/train/12 Solanum nigrum").species == "Solanum nigrum"
    assert codes(outcome)["undescribed-folder"] >= 2
    assert outcome.report_blob is None


def test_what_is_not_taken_is_listed_with_a_reason(workbench: Workbench) -> None:
    files = {
        "day1/good.png": picture(1),
        "day1/damaged.png": picture(2)[:-200],
        "day1/text.png": b"hello, this is no picture at all",
        "day1/notes.docx": b"x",
        "day1/empty.png": b"",
        "day1/.DS_Store": b"x",
        "day1/CON.png": picture(3),
        "day1/GOOD.png": picture(4),
        "day1/polyglot.png": picture(5) + b"PK\x03\x04" + b"x" * 100,
    }
    filled = Filled.of(workbench, files)

    outcome = filled.run()

    blob = workbench.blobs.read(workbench.user.upload_container, outcome.report_blob or "")
    listed = [json.loads(line) for line in blob.splitlines()]
    assert {(one["path"], one["code"]) for one in listed[:-1]} == {
        ("day1/damaged.png", "picture-damaged"),
        ("day1/text.png", "picture-format"),
        ("day1/notes.docx", "not-a-picture"),
        ("day1/empty.png", "empty-file"),
        ("day1/.DS_Store", "ignored-file"),
        ("day1/CON.png", "unsafe-name"),
        ("day1/good.png", "name-collision"),
        ("day1/polyglot.png", "trailing-data"),
    }
    assert listed[-1]["record"] == "summary"
    assert [row["name"] for row in filled.pictures()] == ["GOOD.png"]
    assert (outcome.taken, outcome.not_taken) == (1, 7)


def test_an_unknown_species_leaves_its_folder_and_suggests_the_nearest(workbench: Workbench) -> None:
    filled = Filled.of(
        workbench,
        {
            "b/2-seed/train/0 Brassica nappus/1.png": picture(1),
            "b/2-seed/train/1 Brassica juncea/1.png": picture(2),
        },
    )

    outcome = filled.run(options=ZOOM_ONLY)

    (group,) = outcome.report.groups
    assert group.code == "unregistered-seed"
    assert group.suggestion is not None
    assert group.suggestion.en == "Brassica napus"
    assert group.places[0].path == "b/2-seed/train/0 Brassica nappus/"
    assert [row["seed"] for row in filled.pictures()] == ["Brassica juncea"]


@pytest.mark.parametrize(("missing", "field"), [("species", "species"), ("zoom", "zoom"), ("seeds", "seeds")])
def test_what_nobody_says_is_a_finding_and_never_a_guess(workbench: Workbench, missing: str, field: str) -> None:
    options = {"species": "Brassica napus", "zoom": "30", "seeds": "2", missing: None}
    filled = Filled.of(workbench, {"day1/1.png": picture(1)})

    outcome = filled.run(options=options)

    assert [(group.code, group.field) for group in outcome.report.groups] == [("undescribed-folder", field)]
    assert filled.pictures() == []
    assert outcome.not_taken == 1


def test_a_folder_is_taken_once_its_description_is_complete(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"day1/1.png": picture(1)})
    assert filled.run(options=ZOOM_ONLY).taken == 0

    outcome = filled.run()

    assert (outcome.taken, codes(outcome)) == (1, {})
    assert workbench.query("select * from mass_import_finding") == []


def test_adopted_pictures_are_copied_byte_for_byte_into_the_usual_layout(workbench: Workbench) -> None:
    filled = Filled.of(workbench, EARLY_LAYOUT)
    before = filled.versions()

    outcome = filled.run(options=ZOOM_ONLY, adopt=True)

    rows = filled.pictures()
    assert filled.versions() == before
    assert {row["container"] for row in rows} == {workbench.user.user_container}
    stored = workbench.stored_pictures()
    assert sorted(stored.values()) == sorted(EARLY_LAYOUT.values())
    assert {row["blob"] for row in rows} == set(stored)
    for row in rows:
        assert hashlib.sha256(stored[row["blob"]]).hexdigest() == row["sha256"]
    for one in outcome.folders:
        assert f"{one.picture_set}/{one.picture_set}.json" in workbench.versions(workbench.user.user_container)


NAMES = ("a/with space.png", "a/hash#1.png", "a/100%.png", "a/%41.png", "a/query?x=1&y.png", "a/été+plus.png")


@pytest.mark.parametrize("adopt", [False, True])
def test_names_as_people_give_them_are_taken_and_have_an_address_that_works(
    workbench: Workbench, *, adopt: bool
) -> None:
    filled = Filled.of(workbench, {name: picture(number) for number, name in enumerate(NAMES)})

    outcome = filled.run(adopt=adopt)

    assert (outcome.taken, codes(outcome)) == (len(NAMES), {})
    rows = filled.pictures()
    assert {row["name"] for row in rows} == {name.removeprefix("a/") for name in NAMES}
    built = build(Recipe(name="all-pictures"), workbench.database, workbench.blobs)
    table = pq.read_table(io.BytesIO(workbench.blobs.read(built.container, built.blob))).to_pylist()
    urls = {row["picture_id"]: urlsplit(row["url"]) for row in table}
    for row in rows:
        url = urls[str(row["id"])]
        assert unquote(url.path).endswith(f"/{row['container']}/{row['blob']}")
        assert (url.query, url.fragment) == ("", "")
        assert hashlib.sha256(workbench.blobs.read(row["container"], row["blob"])).hexdigest() == row["sha256"]


def test_names_that_no_system_can_take_are_refused_and_their_folder_is_looked_at_once(workbench: Workbench) -> None:
    names = ("a//b.png", "bad\u200bdir/1.png", "a/\u202egnp.exe.png", "ok/1.png")
    filled = Filled.of(workbench, {name: picture(number) for number, name in enumerate(names)})

    first, second = filled.run(), filled.run()

    assert codes(first) == codes(second) == {"unsafe-name": 3}
    assert [row["blob"] for row in filled.pictures()] == ["ok/1.png"]
    assert second.results[Result.UNCHANGED] == sum(first.results.values())


def test_a_folder_stays_where_it_was_imported_when_the_other_way_is_asked_for(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"day1/1.png": picture(1)})
    filled.run()

    outcome = filled.run(adopt=True)

    assert folder(outcome, "day1").result is Result.UNCHANGED
    assert [row["container"] for row in filled.pictures()] == [filled.name]
    assert workbench.stored_pictures() == {}


def test_an_interrupted_import_goes_on_where_it_was(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {f"day{n}/1.png": picture(n) for n in range(6)})
    with counting(workbench) as storage:
        storage.reads_left = 4
        with pytest.raises(StorageError, match="went away"):
            filled.run(importer=filled.importer(blobs=storage, batch_pictures=1))
    assert len(filled.pictures()) == 4

    with counting(workbench) as storage:
        outcome = filled.run(importer=filled.importer(blobs=storage, batch_pictures=1))

    assert storage.reads == 2
    assert (outcome.results[Result.UNCHANGED], outcome.results[Result.TAKEN]) == (4, 2)
    assert len(filled.pictures()) == 6


KILLED = """
import os, signal, sys
from pydantic import SecretStr
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.database.connection import Database
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.mass_import.importing import MassImporter, MassImportRequest
from nachet_pipeline.mass_import.mapping import FolderMapping
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.settings import TransferSettings
from nachet_pipeline.storage.blobs import BlobStorage

class Deadly(BlobStorage):
    left = 3
    def read(self, *arguments, **settings):
        Deadly.left -= 1
        if Deadly.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(*arguments, **settings)

if __name__ == "__main__":
    database_url, account, key, container, owner = sys.argv[1:]
    with (
        Database(SecretStr(database_url)) as database,
        Deadly.connect(account, SecretStr(key)) as blobs,
        DecodingPool(DecodingSettings(workers=1)) as pool,
    ):
        with database.connection() as connection:
            registry = registered_seeds(connection)
        judging = RuleSet(), ContractLimits(), TransferSettings()
        importer = MassImporter(database, blobs, pool, registry, *judging, batch_pictures=1)
        options = {"species": "Brassica napus", "zoom": "30", "seeds": "2"}
        importer.run(MassImportRequest(container, owner, FolderMapping.of(None, options=options)))
"""


def test_a_killed_import_leaves_nothing_half_and_another_completes_it(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {f"day{n}/1.png": picture(n) for n in range(5)})
    script = workbench.place / "killed.py"
    script.write_text(KILLED)

    killed = subprocess.run(
        [
            sys.executable,
            str(script),
            workbench.database_url.get_secret_value(),
            workbench.blobs.account_url,
            workbench.blob_key.get_secret_value(),
            filled.name,
            workbench.user.email,
        ],
        env={**os.environ},
        check=False,
        capture_output=True,
    )
    survived = {row["blob"] for row in filled.pictures()}
    outcome = filled.run()

    assert killed.returncode == -9, killed.stderr
    assert survived == {f"day{n}/1.png" for n in range(3)}
    assert (outcome.results[Result.UNCHANGED], outcome.taken) == (3, 5)
    assert len(filled.pictures()) == 5


class _Meddler(BlobStorage):
    """The real storage, where somebody overwrites a blob after it was listed."""

    blob, content = "", b""

    def read(self, container: str, blob: str, *arguments: Any, **settings: Any) -> bytes:
        if blob == self.blob:
            self.upload(container, blob, self.content, content_type="image/png", overwrite=True)
        return super().read(container, blob, *arguments, **settings)


def test_a_folder_that_changes_while_it_is_read_waits_and_holds_nobody_up(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"day1/1.png": picture(1), "day2/1.png": picture(2)})
    with _Meddler.connect(workbench.blobs.account_url, workbench.blob_key) as storage:
        storage.blob, storage.content = "day1/1.png", picture(3)
        outcome = filled.run(importer=filled.importer(blobs=storage))

    assert codes(outcome) == {"changed-meanwhile": 1}
    assert [row["blob"] for row in filled.pictures()] == ["day2/1.png"]
    assert filled.run().taken == 2


def test_a_picture_that_is_there_already_is_told_and_taken_all_the_same(workbench: Workbench) -> None:
    upload = workbench.stage(workbench.sample(pictures=1))
    workbench.run(upload)
    (known,) = workbench.stored_pictures().values()
    filled = Filled.of(workbench, {"day1/1.png": picture(1), "day2/1.png": picture(1), "day3/1.png": known})

    outcome = filled.run()

    assert codes(outcome) == {"duplicate-picture": 2}
    places = {place.path for group in outcome.report.groups for place in group.places}
    assert places == {"day2/1.png", "day3/1.png"}
    assert (outcome.taken, outcome.not_taken) == (3, 0)


def test_only_the_folder_of_a_prefix_is_looked_into(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"a/b/1.png": picture(1), "ab/1.png": picture(2), "a/2.png": picture(3)})

    outcome = filled.run(prefix="a/")

    assert [one.folder for one in outcome.folders] == ["a", "a/b"]
    assert [row["blob"] for row in filled.pictures()] == ["a/2.png", "a/b/1.png"]


def test_pictures_at_the_top_of_a_container_are_a_set_named_like_it(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"1.png": picture(1), "day1/1.png": picture(2)})

    filled.run()

    assert [(row["picture_set"], row["blob"]) for row in filled.pictures()] == [
        (filled.name, "1.png"),
        ("day1", "day1/1.png"),
    ]


@pytest.mark.parametrize(
    "name", ["upload-x1", "user-abc", "training-set", "archive-1", "Not A Container", "$logs", "a-" * 40 + "a"]
)
def test_containers_of_the_pipeline_and_names_of_none_are_refused(workbench: Workbench, name: str) -> None:
    importer = Filled(workbench, name)

    with pytest.raises(MassImportError, match="container"):
        importer.run()


def test_a_container_that_is_not_there_is_named(workbench: Workbench) -> None:
    with pytest.raises(MassImportError, match="there is no container absent-container"):
        Filled(workbench, "absent-container").run()


def test_an_owner_who_is_not_registered_is_named(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"1.png": picture(1)})

    with pytest.raises(MassImportError, match=r"nobody@example\.org is not registered"):
        filled.run(owner="nobody@example.org")


def test_the_container_of_one_user_cannot_become_that_of_another(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"1.png": picture(1)})
    filled.run()
    other = workbench.another_user("grace@example.org")

    with pytest.raises(ContainerTakenError, match=workbench.user.email):
        filled.run(owner=other.user.email)
    with pytest.raises(ContainerTakenError):
        filled.run(owner=other.user.email, dry_run=True)


def test_a_second_import_of_a_container_says_that_it_waits(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"1.png": picture(1)})
    told = Event()
    outcomes: list[Any] = []
    importer = filled.importer(waiting=told.set)
    second = Thread(target=lambda: outcomes.append(filled.run(importer=importer)))

    with workbench.database.connection() as held, mass_import_lock(held, filled.name, lambda: None):
        second.start()
        assert told.wait(30)
        assert outcomes == []
    second.join(60)

    assert [outcome.taken for outcome in outcomes] == [1]


def test_progress_ends_with_every_picture(workbench: Workbench) -> None:
    filled = Filled.of(workbench, EARLY_LAYOUT)
    seen: list[tuple[int, int]] = []

    filled.run(options=ZOOM_ONLY, importer=filled.importer(progress=lambda *told: seen.append(told), batch_pictures=1))

    assert seen[-1] == (4, 4)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_what_was_withdrawn_or_is_stored_as_another_species_is_told_of_what_lies_in_a_container(
    workbench: Workbench,
) -> None:
    filled = Filled.of(workbench, {"napus/a.png": picture(1), "napus/b.png": picture(2)})
    filled.run()
    (withdrawn,) = workbench.query("select id from pictures where name = 'b.png'")
    with workbench.database.connection() as connection:
        withdraw(connection, withdrawn["id"], by="ada@example.org", why="blurred")

    again = Filled.of(workbench, {"juncea/a.png": picture(1), "juncea/b.png": picture(2)})
    outcome = again.run(options={"species": "Brassica juncea", "zoom": "30", "seeds": "2"})

    assert outcome.taken == 2
    assert codes(outcome) == {"duplicate-picture": 2, "label-conflict": 1, "withdrawn-picture": 1}
    assert build(Recipe(name="all-pictures"), workbench.database, workbench.blobs).pictures == 0


def test_one_file_twice_in_a_folder_is_one_picture_that_lies_where_the_first_does(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"napus/a.png": picture(1), "napus/b.png": picture(1)})

    outcome = filled.run()

    assert (outcome.taken, outcome.not_taken, codes(outcome)) == (2, 0, {"duplicate-picture": 1})
    assert [row["blob"] for row in filled.pictures()] == ["napus/a.png"]
