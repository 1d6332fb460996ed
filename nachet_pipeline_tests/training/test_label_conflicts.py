"""Photographs under several species, and training sets: left out, listed, decided, and never let through."""

import hashlib
import io
from typing import Any
from uuid import UUID, uuid4, uuid5

import pyarrow.parquet as pq
import pytest

from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.identifiers import NAMESPACE, picture_seed_id
from nachet_pipeline.support.progress import silent
from nachet_pipeline.training.publishing import Published, publish
from nachet_pipeline.training.queries import version_of, withdraw
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline_tests.labelled import ARVENSE, JUNCEA, NAPUS, decided, import_as, photograph, picture_of
from nachet_pipeline_tests.workbench import Workbench

CHECK = "no_conflicting_labels"


def published(bench: Workbench, progress: Any = silent, **recipe: Any) -> Published:
    # A container of its own: all tests share the account.
    name = f"labels-{bench.user.id.hex[:12]}"
    wanted = {"name": name, "near_duplicate_bits": None, "splits": {"train": 1}, **recipe}
    return publish(
        Recipe.model_validate(wanted),
        bench.database,
        bench.blobs,
        bench.pool,
        bench.rules,
        bench.settings.transfer,
        progress=progress,
    )


def labels(bench: Workbench, made: Published) -> list[tuple[str, str]]:
    """Species and picture set name of each picture of a version."""
    table = pq.read_table(io.BytesIO(bench.blobs.read(made.built.container, made.built.blob)))
    names = {str(row["id"]): row["name"] for row in bench.query("select id, name from picture_set")}
    rows = table.select(["scientific_name", "picture_set_id"]).to_pylist()
    return sorted((row["scientific_name"], names[row["picture_set_id"]]) for row in rows)


def notes(made: Published) -> list[str]:
    return [note.message for note in made.built.notes if note.code == "label-conflicts"]


def failed(made: Published) -> dict[str, str]:
    return {verdict.name: verdict.summary for verdict in made.verdicts if not verdict.passed and verdict.grave}


@pytest.fixture
def torn(workbench: Workbench) -> Workbench:
    """A photograph that two users stored under two species, and two that nobody disputes."""
    import_as(workbench, "spring", "east", NAPUS, {"1.png": photograph(1), "2.png": photograph(2)})
    other = workbench.another_user(f"{uuid4().hex}@example.org")
    import_as(other, "summer", "west", JUNCEA, {"1.png": photograph(1), "3.png": photograph(3)})
    return workbench


def test_a_photograph_that_two_users_stored_under_two_species_is_in_no_version_and_in_its_card(torn: Workbench) -> None:
    made = published(torn)

    assert labels(torn, made) == [(JUNCEA, "west"), (NAPUS, "east")]
    assert made.released
    first, *listed = notes(made)
    assert first.startswith("2 pictures were left out because their photograph is stored under several species")
    assert sorted(listed) == sorted(
        f"{picture_of(torn, session)} is stored as {JUNCEA} and as {NAPUS}" for session in ("east", "west")
    )
    card = torn.blobs.read(made.built.container, made.card).decode()
    for note in (first, *listed):
        assert note in card


def test_a_recipe_of_one_species_or_of_one_user_does_without_it_too(torn: Workbench) -> None:
    assert labels(torn, published(torn, species=[NAPUS])) == [(NAPUS, "east")]
    made = published(torn, users=[torn.user.email])
    assert labels(torn, made) == [(NAPUS, "east")]
    assert notes(made)[1:] == [f"{picture_of(torn, 'east')} is stored as {JUNCEA} and as {NAPUS}"]


def test_a_decision_lets_it_in_under_one_species_wherever_it_is_stored(torn: Workbench) -> None:
    decided(torn, picture_of(torn, "west"), ARVENSE)

    made = published(torn)

    assert labels(torn, made) == [(JUNCEA, "west"), (NAPUS, "east"), (ARVENSE, "east"), (ARVENSE, "west")]
    assert notes(made) == []
    assert made.released
    assert labels(torn, published(torn, species=[ARVENSE])) == [(ARVENSE, "east"), (ARVENSE, "west")]
    assert labels(torn, published(torn, species=[NAPUS])) == [(NAPUS, "east")]


def test_once_the_photograph_is_withdrawn_it_is_in_conflict_no_more_and_nobodys_to_train_with(torn: Workbench) -> None:
    with torn.database.connection() as connection:
        withdraw(connection, picture_of(torn, "west"), by="ann", why="not a mustard")

    made = published(torn)
    assert labels(torn, made) == [(JUNCEA, "west"), (NAPUS, "east")]
    assert notes(made) == []


@pytest.fixture
def cropped(workbench: Workbench) -> Workbench:
    """Two folders of one photograph, large enough to find seeds in, under two species; both are cropped."""
    from nachet_pipeline.local.sample import sample_picture  # noqa: PLC0415 (for this alone)

    def large(number: int) -> bytes:
        return sample_picture(number, seeds=2, width=320, height=240, picture_format="png")

    with CroppingPool(workbench.pool.settings) as pool:
        cropper = workbench.cropper(pool)
        for folder, species, second in (("spring", NAPUS, 2), ("summer", JUNCEA, 3)):
            pictures = {"1.png": large(1), "2.png": large(second)}
            outcome = import_as(workbench, folder, f"of-{folder}", species, pictures)
            cropper.crop(workbench.now(outcome.upload))
    return workbench


def test_crops_of_it_are_left_out_and_come_under_the_species_that_is_decided(cropped: Workbench) -> None:
    made = published(cropped, pictures="crops")
    assert set(labels(cropped, made)) == {(NAPUS, "of-spring"), (JUNCEA, "of-summer")}
    assert made.built.pictures == 4
    assert notes(made)[0].startswith("4 pictures were left out")
    assert len(notes(made)) == 5
    assert made.released

    decided(cropped, picture_of(cropped, "of-summer"), NAPUS)

    made = published(cropped, pictures="crops")
    assert (
        labels(cropped, made) == [(JUNCEA, "of-summer")] * 2 + [(NAPUS, "of-spring")] * 4 + [(NAPUS, "of-summer")] * 2
    )
    assert failed(made) == {}


def test_a_version_that_holds_one_anyway_is_red_and_not_the_current_one(torn: Workbench) -> None:
    """It was read before the photograph came a second time, and checked after."""
    good = published(torn)

    def meanwhile(step: str, done: int, _total: int) -> None:
        if step == "recording" and not done:
            import_as(torn, "autumn", "north", ARVENSE, {"2.tiff": photograph(2, "TIFF")})

    decided(torn, picture_of(torn, "west"), NAPUS)
    made = published(torn, meanwhile)

    assert made.built.digest != good.built.digest
    assert failed(made) == {CHECK: "1 pictures are of photographs that are stored under another species as well"}
    assert not made.released
    (verdict,) = [verdict for verdict in made.verdicts if verdict.name == CHECK]
    assert [row["picture"] for row in verdict.rows] == [str(picture_of(torn, "east", "2.png"))]
    with torn.database.reading() as connection:
        assert version_of(connection, made.built.name).digest == good.built.digest
    assert CHECK in torn.blobs.read(made.built.container, made.card).decode()
    assert published(torn).released


def test_a_version_that_was_read_before_a_decision_is_red(torn: Workbench) -> None:
    def meanwhile(step: str, done: int, _total: int) -> None:
        if step == "recording" and not done:
            decided(torn, picture_of(torn, "east", "2.png"), JUNCEA)

    assert failed(published(torn, meanwhile)) == {CHECK: "1 pictures are under another species than was decided"}


def test_crops_of_different_photographs_that_are_equal_and_of_two_species_are_left_out(torn: Workbench) -> None:
    for session, name in (("east", "2.png"), ("west", "3.png")):
        parent = picture_of(torn, session, name)
        for place in ("blank", name):
            _insert_crop(torn, parent, place)

    made = published(torn, pictures="crops")

    assert labels(torn, made) == [(JUNCEA, "west"), (NAPUS, "east")]
    assert sorted(note.partition(" is stored as ")[2] for note in notes(made)[1:]) == [f"{JUNCEA} and as {NAPUS}"] * 2
    assert made.released


def test_deciding_of_a_photograph_says_nothing_of_another_of_which_an_equal_piece_was_cut(torn: Workbench) -> None:
    for session, name in (("east", "2.png"), ("west", "3.png")):
        _insert_crop(torn, picture_of(torn, session, name), "blank")

    done = decided(torn, picture_of(torn, "east", "2.png"), ARVENSE)

    assert [one.name for one in done.pictures] == ["2.png"]
    assert labels(torn, published(torn)) == [(JUNCEA, "west"), (ARVENSE, "east")]


def _insert_crop(bench: Workbench, parent: UUID, what: str) -> None:
    crop = uuid5(NAMESPACE, f"{parent} {what}")
    (row,) = bench.query("select seed_id from picture_seed where picture_id = %s", parent)
    bench.query(
        "insert into pictures (id, picture, picture_set_id, parent, nb_object, name, blob, sha256, size, format, width,"
        " height, pixel_sha256, bounding_box, detector)"
        " select %s, '{}', picture_set_id, id, 1, 'crop', %s, %s, 1, 'PNG',"
        " 1, 1, %s, '{0,0,1,1}', 'test 1' from pictures where id = %s",
        crop,
        str(crop),
        hashlib.sha256(crop.bytes).digest(),
        hashlib.sha256(what.encode()).digest(),
        parent,
    )
    seed = UUID(str(row["seed_id"]))
    bench.query(
        "insert into picture_seed (id, picture_id, seed_id) values (%s, %s, %s)",
        picture_seed_id(crop, seed),
        crop,
        seed,
    )
