"""Seeds that nobody can name, and several species in a picture, from the folder to the rows and back."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from psycopg.types.json import Jsonb

from nachet_pipeline.contract.receipt import Receipt
from nachet_pipeline.contract.stored import Correction
from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.crops.detecting import Region
from nachet_pipeline.identifiers import picture_seed_id
from nachet_pipeline.picture_sets.labels import decide_label
from nachet_pipeline.picture_sets.records import PictureSetRecord
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.uploads.formatting import receipt_lines
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.crops.test_cropping import Finding as ToldDetector
from nachet_pipeline_tests.uploads.test_importing import small_picture, write_session
from nachet_pipeline_tests.workbench import Workbench

UNKNOWN = {"seedName": "unknown", "guess": "Avena sp.", "guessRank": "genus"}
NAPUS, JUNCEA = {"seedName": "Brassica napus"}, {"seedName": "Brassica juncea"}
SEVERAL = [{**NAPUS, "numberOfSeeds": 1}, {**JUNCEA, "numberOfSeeds": 1}]


@pytest.fixture(scope="module")
def cropping_pool() -> Iterator[CroppingPool]:
    with CroppingPool(DecodingSettings(workers=1, seconds=60)) as pool:
        yield pool


def sent(
    bench: Workbench, seeds: Any, name: str = "day1", numbers: range = range(1, 3)
) -> tuple[Upload, Receipt, Correction]:
    """Stage a session that shows these seeds, or correct it, and import it; the last is what this import changed."""
    folder = bench.place / name
    if not folder.exists():
        write_session(folder, {f"{number}.png": small_picture(number) for number in (1, 2)})
    index = yaml.safe_load((folder / "index.yaml").read_text())
    (folder / "index.yaml").write_text(yaml.safe_dump({**index, "seedData": seeds}))
    upload = bench.stage(folder, replace=True)
    outcome = bench.run(bench.now(upload))
    assert outcome.receipt.state == "imported", outcome.receipt
    assert outcome.validation is not None
    return upload, outcome.receipt, outcome.validation.correction


def links(bench: Workbench, *, crops: bool = False) -> list[list[tuple[str, int | None]]]:
    """What pictures are linked to, each different set once."""
    rows = bench.query(
        "select p.id, coalesce(seeds.name, 'unknown') as name, l.number_of_seeds from pictures p"
        " join picture_seed l on l.picture_id = p.id left join seeds on seeds.id = l.seed_id"
        " where (p.parent is not null) = %s order by p.id, 2",
        crops,
    )
    by_picture = groupby(rows, key=lambda row: row["id"])
    return sorted(
        map(list, {tuple((row["name"], row["number_of_seeds"]) for row in of_one) for _, of_one in by_picture})
    )


def test_unknown_seeds_are_stored_and_named_by_a_corrected_index_and_unnamed_again(workbench: Workbench) -> None:
    _, receipt, _ = sent(workbench, UNKNOWN)

    assert links(workbench) == [[("unknown", None)]]
    (stored,) = workbench.query("select picture_set, picture_set -> 'terms' as terms from picture_set")
    assert stored["terms"]["dwc:verbatimIdentification"] == "Avena sp."
    assert stored["terms"]["dwc:verbatimTaxonRank"] == "genus"
    assert "dwc:scientificName" not in stored["terms"]
    (shown,) = stored["picture_set"]["seed_data"]["shows"]
    assert (shown["species"], shown["guess"], shown["guess_rank"]) == (None, "Avena sp.", "genus")
    (picture, _) = workbench.query("select picture -> 'terms' as terms from pictures")
    assert picture["terms"]["dwc:verbatimIdentification"] == "Avena sp."
    assert [row["count"] for row in workbench.query("select count(*) from unnamed_picture")] == [2]
    assert (receipt.waiting, receipt.picture_sets[0].seed) == (2, "unknown")
    assert "  waiting    2 pictures wait for a name" in list(receipt_lines(receipt))
    french = "\n".join(receipt_lines(receipt, "fr"))
    assert "2 images attendent un nom" in french
    assert "2 d'espèces inconnues" in french

    _, named, correction = sent(workbench, NAPUS)

    assert (correction, named.waiting) == (Correction(relabelled=2), 0)
    assert links(workbench) == [[("Brassica napus", None)]]
    _, again, correction = sent(workbench, "unknown")
    assert (correction, again.waiting) == (Correction(relabelled=2), 2)
    assert links(workbench) == [[("unknown", None)]]


def test_what_somebody_named_does_not_wait_any_more(workbench: Workbench) -> None:
    sent(workbench, UNKNOWN)
    (picture, _) = workbench.query("select id from pictures")
    with workbench.database.connection() as connection:
        decide_label(connection, picture["id"], "Brassica juncea", by="ann@example.org", why="looked")

    _, receipt, correction = sent(workbench, UNKNOWN)

    assert (receipt.waiting, correction) == (1, Correction(unchanged=2))
    assert [row["count"] for row in workbench.query("select count(*) from unnamed_picture")] == [1]


def test_several_species_are_linked_each_with_its_number(workbench: Workbench) -> None:
    _, receipt, _ = sent(workbench, SEVERAL)

    assert links(workbench) == [[("Brassica juncea", 1), ("Brassica napus", 1)]]
    assert receipt.picture_sets[0].seed == "Brassica napus (1), Brassica juncea (1)"
    assert receipt.waiting == 0
    (both, _) = workbench.query("select nb_object, picture from pictures")
    assert (both["nb_object"], both["picture"]["user_data"]["number_of_seeds"]) == (2, 2)
    before = workbench.rows(without=("upload", "audit"))

    *_, correction = sent(workbench, list(reversed(SEVERAL)))

    assert correction == Correction(unchanged=2)
    assert workbench.rows()["picture_seed"] == before["picture_seed"]
    own = [*SEVERAL, {"seedName": "unknown", "numberOfSeeds": 3}]
    (workbench.place / "day1/1.yaml").write_text(yaml.safe_dump({"seedData": own}))
    _, more, correction = sent(workbench, SEVERAL)
    assert (correction, more.waiting) == (Correction(relabelled=1, unchanged=1), 1)
    assert links(workbench) == [
        [("Brassica juncea", 1), ("Brassica napus", 1)],
        [("Brassica juncea", 1), ("Brassica napus", 1), ("unknown", 3)],
    ]


def test_other_numbers_of_the_same_species_are_linked_and_are_no_other_label(workbench: Workbench) -> None:
    sent(workbench, SEVERAL)
    index = workbench.place / "day1/index.yaml"
    index.write_text(index.read_text().replace("numberOfSeeds: 2", "numberOfSeeds: 4"))

    *_, correction = sent(workbench, [SEVERAL[0], {**SEVERAL[1], "numberOfSeeds": 3}])

    assert correction == Correction(unchanged=2)
    assert links(workbench) == [[("Brassica juncea", 3), ("Brassica napus", 1)]]


def test_what_an_earlier_release_stored_is_unchanged_when_it_is_sent_again(workbench: Workbench) -> None:
    """Releases before this one linked one seed without a number, and described the set by version 2."""
    sent(workbench, NAPUS)
    (stored,) = workbench.query("select id, picture_set from picture_set")
    record = stored["picture_set"]
    del record["seed_data"]["shows"]
    earlier = record | {"model_version": "2"}
    workbench.query("update picture_set set picture_set = %s", Jsonb(earlier))
    workbench.query("update pictures set picture = jsonb_set(picture, '{model_version}', '\"2\"')")
    before = workbench.rows()
    seed = before["picture_seed"][0]
    assert seed["id"] == str(picture_seed_id(UUID(seed["picture_id"]), UUID(seed["seed_id"])))
    assert seed["number_of_seeds"] is None
    assert PictureSetRecord.model_validate(earlier).seed_data.shows == ()

    *_, correction = sent(workbench, NAPUS)

    assert correction == Correction(unchanged=2)
    after = workbench.rows()
    assert after["picture_seed"] == before["picture_seed"]
    assert [row["id"] for row in after["pictures"]] == [row["id"] for row in before["pictures"]]


def test_crops_have_all_that_their_picture_shows_and_follow_it(
    workbench: Workbench, cropping_pool: CroppingPool
) -> None:
    upload, *_ = sent(workbench, [*SEVERAL[:1], {"seedName": "unknown", "numberOfSeeds": 1, "guess": "Avena"}])
    cropper = workbench.cropper(cropping_pool, detector=ToldDetector(Region(0, 0, 0.5, 1), Region(0.5, 0, 1, 1)))

    assert cropper.crop(workbench.now(upload)).crops == 4

    assert links(workbench, crops=True) == [[("Brassica napus", 1), ("unknown", 1)]]
    for seeds, shows, terms in (
        (JUNCEA, [("Brassica juncea", None)], {"dwc:scientificName": "Brassica juncea"}),
        ("unknown", [("unknown", None)], {}),
        (UNKNOWN, [("unknown", None)], {"dwc:verbatimIdentification": "Avena sp."}),
    ):
        sent(workbench, seeds)
        assert links(workbench, crops=True) == [shows]
        (crop, *_) = workbench.query("select picture -> 'terms' as terms from pictures where parent is not null")
        named = {key: value for key, value in crop["terms"].items() if key.endswith(("Name", "Identification"))}
        assert named == terms


def test_a_stored_photograph_of_unknown_seeds_is_in_conflict_with_nothing(workbench: Workbench) -> None:
    def conflicts(bench: Workbench, seeds: Any, name: str) -> list[str]:
        report = sent(bench, seeds, name)[1].report
        assert report is not None
        return sorted({group.found.en for group in report.groups if group.code == "label-conflict" and group.found})

    sent(workbench, UNKNOWN, "first")
    eve = workbench.another_user(f"{uuid4().hex}@example.org")

    assert conflicts(eve, NAPUS, "second") == []
    assert conflicts(workbench, UNKNOWN, "third") == []
    assert conflicts(workbench, SEVERAL, "fourth") == [
        "Brassica juncea and Brassica napus here; the same file is stored as Brassica napus"
    ]
    assert conflicts(workbench, SEVERAL, "fifth") == [
        "Brassica juncea and Brassica napus here; the same file is stored as Brassica napus"
    ]
    assert len(workbench.query("select picture_id from label_conflict")) == 6
