"""What is judged becomes labels and what is verified, and is so no more when it is taken back."""

import io
from typing import Any
from uuid import UUID, uuid4

import pyarrow.parquet as pq
import pytest

from nachet_pipeline.identifiers import seed_id
from nachet_pipeline.models.judgements.judgement import Verdict
from nachet_pipeline.models.judgements.policy import region_of
from nachet_pipeline.models.judgements.recording import JudgementsRefusedError
from nachet_pipeline.picture_sets.labels import UndecidableLabelError, undecide_label
from nachet_pipeline.training.publishing import Published
from nachet_pipeline_tests.labelled import ARVENSE, JUNCEA, NAPUS, decided, import_as, photograph, picture_of
from nachet_pipeline_tests.models.judgements.judging import (
    ANN,
    BO,
    CY,
    content_of,
    crop,
    experts,
    judge,
    judgements,
    model,
    outcomes,
    pixels,
    predict,
    says,
    take_back,
)
from nachet_pipeline_tests.training.test_label_conflicts import labels, published
from nachet_pipeline_tests.workbench import Workbench

UNKNOWN = {"seedName": "unknown"}
LEFT, RIGHT = (0, 0, 30, 48), (34, 0, 64, 48)


def verified(bench: Workbench) -> set[UUID]:
    return {row["id"] for row in bench.query("select id from pictures where verified")}


def by_judgement(bench: Workbench) -> dict[UUID, str]:
    """The species of whole pictures that follow from judgements."""
    rows = bench.query(
        "select v.picture_id, s.name from label_decided v join seeds s on s.id = v.seed_id"
        " join pictures p on p.id = v.picture_id join label_decision d using (sha256) where d.from_judgements"
    )
    return {row["picture_id"]: row["name"] for row in rows}


def members(bench: Workbench, made: Published) -> dict[UUID, tuple[str, str]]:
    table = pq.read_table(io.BytesIO(bench.blobs.read(made.built.container, made.built.blob)))
    rows = table.select(["picture_id", "scientific_name", "split"]).to_pylist()
    return {UUID(row["picture_id"]): (row["scientific_name"], row["split"]) for row in rows}


def note(made: Published, code: str) -> list[str]:
    return [one.message for one in made.built.notes if one.code == code]


@pytest.fixture
def stored(workbench: Workbench) -> Workbench:
    """Three photographs of one species, and one that nobody has named; ann is an expert."""
    import_as(workbench, "spring", "east", NAPUS, {f"{number}.png": photograph(number) for number in (1, 2, 3)})
    import_as(workbench, "summer", "west", UNKNOWN, {"1.png": photograph(9)})
    experts(workbench, ANN)
    return workbench


def test_judgements_of_photographs_become_labels_and_are_taken_back_with_them(stored: Workbench) -> None:
    first, second, unknown = picture_of(stored, "east"), picture_of(stored, "east", "2.png"), picture_of(stored, "west")
    before = stored.query("select * from picture_seed order by id")

    done = judge(
        stored,
        says(ANN, Verdict.RIGHT, picture=first),
        says(CY, Verdict.TAXON, JUNCEA, picture=second),
        says(ANN, Verdict.TAXON, JUNCEA, picture=unknown),
    )

    assert (done.new, done.known, done.applied.labels, done.applied.verified) == (3, 0, 2, 2)
    assert verified(stored) == {first, unknown}
    assert by_judgement(stored) == {first: NAPUS, unknown: JUNCEA}
    assert outcomes(stored)[content_of(stored, second), ""] == ("open", None)
    assert stored.query("select * from unnamed_picture") == []
    # The same again changes nothing.
    again = judge(stored, says(ANN, Verdict.RIGHT, picture=first), says(CY, Verdict.TAXON, JUNCEA, picture=second))
    assert (again.new, again.known) == (0, 2)
    # Two people who agree are enough.
    assert judge(stored, says(BO, Verdict.TAXON, JUNCEA, picture=second)).applied.labels == 1
    assert by_judgement(stored)[second] == JUNCEA

    for one in judgements(stored):
        take_back(stored, one)

    assert (verified(stored), by_judgement(stored), outcomes(stored)) == (set(), {}, {})
    assert len(stored.query("select * from unnamed_picture")) == 1
    assert stored.query("select * from picture_seed order by id") == before
    trail = stored.query(
        "select action, before, after from audit_trail where subject = 'label of a photograph' and subject_id = %s"
        " order by id",
        unknown,
    )
    assert [(row["action"], (row["after"] or row["before"])["species"]) for row in trail] == [
        ("decided", JUNCEA),
        ("taken back", JUNCEA),
    ]
    with pytest.raises(JudgementsRefusedError, match="expected a judgement that is recorded"):
        take_back(stored, judgements(stored, verdict="withdrawn")[0])


def test_who_names_only_the_genus_leaves_the_species_that_an_uploader_stated(stored: Workbench) -> None:
    first, unknown = picture_of(stored, "east"), picture_of(stored, "west")

    judge(stored, *(says(ANN, Verdict.TAXON, "Brassica", picture=one) for one in (first, unknown)))

    assert outcomes(stored)[content_of(stored, first), ""][0] == "taxon"
    assert by_judgement(stored) == {unknown: "Brassica"}
    assert verified(stored) == {unknown}
    judge(stored, says(ANN, Verdict.TAXON, "Cirsium", picture=first))
    assert by_judgement(stored)[first] == "Cirsium", "another genus is another label"


def test_what_somebody_decides_of_a_photograph_stays_and_wins(stored: Workbench) -> None:
    first = picture_of(stored, "east")
    judge(stored, says(ANN, Verdict.TAXON, JUNCEA, picture=first))
    with pytest.raises(UndecidableLabelError, match="goes when they are taken back"), stored.database.connection() as c:
        undecide_label(c, first, by="a test", why="they err")

    assert decided(stored, first, ARVENSE).before == JUNCEA
    judge(stored, says(BO, Verdict.TAXON, JUNCEA, picture=first))

    assert by_judgement(stored) == {}
    (row,) = stored.query("select * from label_decided where picture_id = %s", first)
    assert row["seed_id"] == seed_id(ARVENSE)
    assert verified(stored) == set()


def test_pictures_that_are_stored_or_cut_later_are_verified_as_their_content_is(stored: Workbench) -> None:
    judge(stored, says(ANN, Verdict.RIGHT, picture=picture_of(stored, "east")))
    other = stored.another_user("other@example.org")
    import_as(other, "autumn", "north", JUNCEA, {"1.png": photograph(1), "2.png": photograph(4)})
    assert verified(stored) == {picture_of(stored, "east"), picture_of(stored, "north")}


def test_a_crop_is_labelled_by_what_is_judged_of_it_or_of_its_region(workbench: Workbench) -> None:
    several = [{"seedName": NAPUS, "numberOfSeeds": 1}, {"seedName": JUNCEA, "numberOfSeeds": 1}]
    import_as(workbench, "spring", "east", several, {"1.png": photograph(1), "2.png": photograph(2)})
    import_as(workbench, "summer", "west", ARVENSE, {"1.png": photograph(3)})
    experts(workbench, ANN)
    first, second, third = (
        picture_of(workbench, "east"),
        picture_of(workbench, "east", "2.png"),
        picture_of(workbench, "west"),
    )
    by_crop, by_region, unjudged = (
        crop(workbench, first, LEFT),
        crop(workbench, second, LEFT),
        crop(workbench, second, RIGHT),
    )
    plain, empty = crop(workbench, third, LEFT), crop(workbench, third, RIGHT)
    assert set(members(workbench, published(workbench, pictures="crops"))) == {plain, empty}

    prediction = predict(workbench, model(workbench), content_of(workbench, second), (pixels(2, 0, 31, 46), [1, 0]))
    judge(
        workbench,
        says(ANN, Verdict.TAXON, NAPUS, picture=by_crop),
        says(ANN, Verdict.RIGHT, prediction=prediction, object=1),
        says(ANN, Verdict.NOT_A_SEED, picture=empty),
    )

    made = published(workbench, pictures="crops")
    assert made.released, [one.summary for one in made.verdicts]
    assert {picture: name for picture, (name, _) in members(workbench, made).items()} == {
        by_crop: NAPUS,
        by_region: JUNCEA,
        plain: ARVENSE,
    }
    assert made.built.labels == {"stated": 1, "verified": 2, "disputed": 0}
    assert note(made, "judged-unfit")[0].startswith("1 pictures were left out because people judged")
    assert "1 stated, 2 verified, 0 disputed" in made.text
    assert outcomes(workbench)[content_of(workbench, second), region_of(pixels(*LEFT))] == ("taxon", JUNCEA)
    assert verified(workbench) == {by_crop, by_region}
    only = published(workbench, pictures="crops", verified_only=True)
    assert set(members(workbench, only)) == {by_crop, by_region}
    assert unjudged not in members(workbench, made)
    assert labels(workbench, published(workbench)) == [(ARVENSE, "west")]


def test_files_of_the_same_pixels_are_judged_as_one(stored: Workbench) -> None:
    other = stored.another_user(f"{uuid4().hex}@example.org")
    import_as(other, "winter", "north", NAPUS, {"1.tiff": photograph(1, "TIFF")})
    first, twin = picture_of(stored, "east"), picture_of(stored, "north", "1.tiff")
    judge(stored, says(BO, Verdict.TAXON, JUNCEA, picture=first), says(CY, Verdict.TAXON, JUNCEA, picture=twin))
    assert (by_judgement(stored), verified(stored)) == ({first: JUNCEA, twin: JUNCEA}, {first, twin})
    # Experts who name them differently do not agree, in whichever order they come.
    experts(stored, CY)
    judge(stored, says(ANN, Verdict.TAXON, ARVENSE, picture=first, at=1))
    assert (by_judgement(stored), verified(stored)) == ({}, set())
    assert {outcome for outcome, _ in outcomes(stored).values()} == {"disputed"}
    for one in judgements(stored):
        take_back(stored, one)
    assert outcomes(stored) == {}


def test_a_crop_is_right_as_what_is_verified_for_it(workbench: Workbench) -> None:
    several = [{"seedName": NAPUS, "numberOfSeeds": 1}, {"seedName": JUNCEA, "numberOfSeeds": 1}]
    import_as(workbench, "spring", "east", several, {"1.png": photograph(1)})
    import_as(workbench, "summer", "west", {"seedName": NAPUS, "numberOfSeeds": 2}, {"1.png": photograph(3)})
    experts(workbench, ANN)
    crops = [crop(workbench, picture_of(workbench, session), LEFT) for session in ("east", "west")]
    judge(workbench, *(says(ANN, Verdict.TAXON, ARVENSE, picture=one) for one in crops))
    judge(workbench, *(says(BO, Verdict.RIGHT, picture=one) for one in crops))
    rows = workbench.query("select seed_id from judgement where person = %s", BO)
    assert [row["seed_id"] for row in rows] == [seed_id(ARVENSE)] * 2


def test_a_corrected_label_changes_exactly_its_row_in_the_next_version(stored: Workbench) -> None:
    first, second, third = (picture_of(stored, "east", f"{number}.png") for number in (1, 2, 3))
    before = published(stored)
    assert members(stored, before) == dict.fromkeys((first, second, third), (NAPUS, "train"))

    judge(stored, says(ANN, Verdict.TAXON, JUNCEA, picture=second))

    after = published(stored)
    assert members(stored, after) == members(stored, before) | {second: (JUNCEA, "train")}
    difference = after.built.difference
    assert difference is not None
    assert (difference.added.count, difference.removed.count, difference.relabelled.count) == (0, 0, 1)
    take_back(stored, judgements(stored)[0])
    assert published(stored).built.digest == before.built.digest


def test_recipes_ask_for_what_is_verified_or_for_agreement(stored: Workbench) -> None:
    first, second, third = (picture_of(stored, "east", f"{number}.png") for number in (1, 2, 3))
    experts(stored, BO)
    judge(
        stored,
        says(ANN, Verdict.RIGHT, picture=first),
        says(ANN, Verdict.TAXON, JUNCEA, picture=second),
        says(BO, Verdict.RIGHT, picture=second),
    )

    def chosen(**recipe: Any) -> set[UUID]:
        return set(members(stored, published(stored, **recipe)))

    assert published(stored).built.labels == {"stated": 1, "verified": 1, "disputed": 1}
    assert chosen(verified_only=True) == {first}
    agreeing = published(stored, minimum_agreement=0.7)
    assert set(members(stored, agreeing)) == {first, third}
    assert note(agreeing, "judged-differently")[0].startswith("1 pictures were left out")
    assert chosen(minimum_agreement=0.5) == {first, second, third}
    assert published(stored).built.recipe.digest == published(stored, minimum_agreement=None).built.recipe.digest
