"""Seeds that nobody can name yet: what waits, naming a picture set at once, and taking that back."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.identifiers import seed_id
from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.picture_sets.browsing import find_picture
from nachet_pipeline.picture_sets.labels import UndecidableLabelError, doubts
from nachet_pipeline.picture_sets.labels import labels as stored_labels
from nachet_pipeline.picture_sets.naming import Named, Waiting, name_pictures, unname_pictures, waiting_for_names
from nachet_pipeline.registry.queries import RegistryConflictError
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.training.queries import withdraw
from nachet_pipeline_tests.folders.kept import folder_id, keeper
from nachet_pipeline_tests.health.test_report import look
from nachet_pipeline_tests.labelled import (
    ARVENSE,
    JUNCEA,
    NAPUS,
    decided,
    import_as,
    import_sessions,
    in_conflict,
    photograph,
    picture_of,
)
from nachet_pipeline_tests.registries import load, without
from nachet_pipeline_tests.workbench import Workbench

SAID = {"by": "ann@example.org", "why": "grew them"}
GUESSED = {"seedName": "unknown", "guess": "Avena sp.", "guessRank": "genus"}
TWO = {"1.png": photograph(1), "2.png": photograph(2)}


def name(bench: Workbench, picture_set: UUID, species: str, **said: str) -> Named:
    with bench.database.connection() as connection:
        return name_pictures(connection, picture_set, species, **SAID | said)


def unname(bench: Workbench, picture_set: UUID) -> Named:
    with bench.database.connection() as connection:
        return unname_pictures(connection, picture_set, by="bo@example.org", why="they were others")


def waiting(bench: Workbench) -> Waiting:
    with bench.database.reading() as connection:
        return waiting_for_names(connection)


def labels(bench: Workbench) -> dict[UUID, UUID]:
    return {row["picture_id"]: row["seed_id"] for row in bench.query("select * from label_decided")}


def test_what_waits_is_listed_named_at_once_and_waits_again_when_that_is_taken_back(workbench: Workbench) -> None:
    import_sessions(workbench, "spring", {"east": (GUESSED, TWO), "west": (NAPUS, {"3.png": photograph(3)})})
    east = folder_id(workbench, "east")
    pictures = {picture_of(workbench, "east", one) for one in TWO}
    found = waiting(workbench)
    (one,) = found.sets
    assert (found.pictures, found.since) == (2, one.since)
    assert (one.picture_set, one.place, one.guess, one.rank, one.pictures, one.several) == (
        east,
        "spring/pictures/east",
        "Avena sp.",
        "genus",
        2,
        0,
    )
    assert look(workbench).unnamed == found

    done = name(workbench, east, "brassica JUNCEA")

    assert (done.species, done.pictures, done.new) == (JUNCEA, 2, True)
    assert labels(workbench) == dict.fromkeys(pictures, seed_id(JUNCEA))
    assert waiting(workbench) == Waiting(0, None, [])
    again = name(workbench, east, str(seed_id(JUNCEA)))
    assert (again.pictures, again.decided, again.new) == (0, 2, False)
    with pytest.raises(UndecidableLabelError, match=r"2 were named Brassica juncea before; `nachet labels unname"):
        name(workbench, east, NAPUS)
    # Nobody retires what pictures were named.
    with pytest.raises(RegistryConflictError, match="but 2 pictures show it"):
        load(workbench, without(list(packaged_seeds()), JUNCEA))
    # Imported again, they are named all the same.
    import_sessions(workbench, "spring", {"east": (GUESSED, TWO)}, replace=True)
    assert waiting(workbench).pictures == 0

    undone = unname(workbench, east)

    assert (undone.species, undone.pictures) == (None, 2)
    assert waiting(workbench) == found
    assert labels(workbench) == {}
    with pytest.raises(UndecidableLabelError, match="was not named"):
        unname(workbench, east)
    for picture in pictures:
        history = workbench.query(
            "select actor, action, before, after from audit_trail where subject_id = %s"
            " and subject = 'label of a photograph' order by id",
            picture,
        )
        assert [(row["actor"], row["action"]) for row in history] == [
            ("ann@example.org", "decided"),
            ("bo@example.org", "taken back"),
        ]
        assert history[0]["after"]["species"] == JUNCEA
        assert history[0]["after"]["picture_set"] == str(east)
        assert history[1]["before"] == {"species": JUNCEA, "why": "grew them"}
    acts = workbench.query(
        "select action, before, after from audit_trail where subject_id = %s and action like '%%name%%' order by id",
        east,
    )
    assert acts == [
        {"action": "named", "before": None, "after": {"species": JUNCEA, "why": "grew them", "pictures": 2}},
        {
            "action": "name taken back",
            "before": {"species": [JUNCEA], "pictures": 2},
            "after": {"why": "they were others"},
        },
    ]


def test_left_are_pictures_of_several_kinds_those_decided_of_and_those_that_others_know(workbench: Workbench) -> None:
    other = workbench.another_user(f"{uuid4().hex}@example.org")
    several = b"seedData:\n- {seedName: Brassica napus, numberOfSeeds: 1}\n- {seedName: unknown, numberOfSeeds: 1}\n"
    pictures = {f"{number}.png": photograph(number) for number in range(1, 6)}
    import_as(workbench, "spring", "east", GUESSED, pictures | {"2.yaml": several})
    import_as(other, "summer", "west", JUNCEA, {"3.tiff": photograph(3, "TIFF")})
    decided(workbench, picture_of(workbench, "east", "4.png"), ARVENSE)
    east = folder_id(workbench, "east")
    assert in_conflict(workbench) == []
    assert {(one.guess, one.pictures, one.several) for one in waiting(workbench).sets} == {
        ("Avena sp.", 3, 0),
        (None, 1, 1),
    }

    done = name(workbench, east, NAPUS)

    assert (done.pictures, done.several, done.decided, done.elsewhere) == (2, 1, 1, 1)
    assert [one.place for one in done.left] == ["spring/pictures/east/3.png"]
    assert [one.species for one in done.left] == [("unknown",)]
    with pytest.raises(
        UndecidableLabelError, match=f"1 are stored elsewhere under another species, {done.left[0].picture}"
    ):
        name(workbench, east, NAPUS)
    # As the other uploader says: both are named so.
    assert name(workbench, east, JUNCEA).pictures == 1
    assert in_conflict(workbench) == []
    assert unname(workbench, east).pictures == 3
    assert labels(workbench) == {picture_of(workbench, "east", "4.png"): seed_id(ARVENSE)}
    with workbench.database.reading() as connection:
        assert find_picture(connection, picture_of(workbench, "east", "2.png")).seeds == [NAPUS, "unknown"]
        assert list(doubts(connection)) == []


def test_a_photograph_that_shows_several_kinds_elsewhere_is_not_named_with_the_others(workbench: Workbench) -> None:
    import_as(workbench, "spring", "east", GUESSED, TWO)
    other = workbench.another_user(f"{uuid4().hex}@example.org")
    several = [{"seedName": NAPUS, "numberOfSeeds": 1}, {"seedName": "unknown", "numberOfSeeds": 1}]
    import_as(other, "summer", "west", several, {"1.png": photograph(1)})

    done = name(workbench, folder_id(workbench, "east"), NAPUS)

    assert (done.pictures, done.elsewhere) == (1, 1)
    assert [one.picture for one in done.left] == [picture_of(workbench, "east")]
    assert labels(workbench) == {picture_of(workbench, "east", "2.png"): seed_id(NAPUS)}


def test_nothing_waits_of_what_is_withdrawn_superseded_or_deleted(workbench: Workbench) -> None:
    import_as(workbench, "spring", "east", "unknown", {**TWO, "3.png": photograph(3)})
    east = folder_id(workbench, "east")
    with workbench.database.connection() as connection:
        withdraw(connection, picture_of(workbench, "east", "1.png"), by="ann", why="asked")
    again = import_as(workbench, "spring", "east", "unknown", TWO, replace=True)
    assert again.receipt.waiting == 1
    workbench.query("update pictures set superseded_at = now() where name = '3.png'")

    assert waiting(workbench).pictures == 1

    keeper(workbench).delete(east, by="ann", why="asked")
    assert waiting(workbench).pictures == 0
    with pytest.raises(UndecidableLabelError, match="was deleted"):
        name(workbench, east, NAPUS)


def test_what_cannot_be_named_is_said_and_nothing_is_decided(workbench: Workbench) -> None:
    import_sessions(workbench, "spring", {"east": ("unknown", TWO), "west": (NAPUS, {"3.png": photograph(3)})})
    load(workbench, without(list(packaged_seeds()), ARVENSE))
    east, west = folder_id(workbench, "east"), folder_id(workbench, "west")
    refused: list[tuple[UUID, str, str]] = [
        (uuid4(), NAPUS, "there is no picture set"),
        (west, NAPUS, "none of its pictures waits for a name"),
        (east, "Brassica nappus", "did you mean Brassica napus?"),
        (east, "unknown", "expected a registered species"),
        (east, ARVENSE, "expected a registered species"),
    ]
    for picture_set, species, reason in refused:
        with pytest.raises(UndecidableLabelError, match=reason.replace("?", r"\?")):
            name(workbench, picture_set, species)
    nobody: Any = {"by": " "}
    with pytest.raises(ValueError, match="somebody decides for a reason"):
        name(workbench, east, NAPUS, **nobody)

    assert workbench.query("select * from label_decision") == []
    assert waiting(workbench).pictures == 2


def test_what_the_uploader_learnt_later_ends_the_waiting_without_a_decision(workbench: Workbench) -> None:
    import_as(workbench, "spring", "east", "unknown", TWO)

    corrected = import_as(workbench, "spring", "east", NAPUS, TWO, replace=True)

    assert corrected.receipt.correction is not None
    assert corrected.receipt.correction.relabelled == 2
    assert waiting(workbench).pictures == 0
    import_as(workbench, "spring", "east", "unknown", TWO, replace=True)
    assert waiting(workbench).pictures == 2


def test_crops_show_what_their_pictures_show_and_are_named_with_them(workbench: Workbench) -> None:
    both = [{"seedName": NAPUS, "numberOfSeeds": 1}, {"seedName": "unknown", "numberOfSeeds": 1}]
    large = [sample_picture(number, seeds=2, width=320, height=240, picture_format="png") for number in (1, 2)]
    outcome = import_sessions(
        workbench, "spring", {"east": (GUESSED, {"1.png": large[0]}), "west": (both, {"2.png": large[1]})}
    )
    with CroppingPool(workbench.pool.settings) as pool:
        workbench.cropper(pool).crop(workbench.now(outcome.upload))
    shown = workbench.query(
        "select s.name as session, count(*) as crops, l.seed_id, l.number_of_seeds from picture_seed l"
        " join pictures p on p.id = l.picture_id join picture_set s on s.id = p.picture_set_id"
        " where p.parent is not null group by 1, 3, 4 order by 1, 3"
    )
    assert [tuple(row.values()) for row in shown] == [
        ("east", 2, None, None),
        ("west", 2, seed_id(NAPUS), 1),
        ("west", 2, None, 1),
    ]
    assert waiting(workbench).pictures == 2  # whole ones

    assert name(workbench, folder_id(workbench, "east"), JUNCEA).pictures == 1

    with workbench.database.reading() as connection:
        assert sorted(species for _, species in stored_labels(connection).decided) == [str(seed_id(JUNCEA))] * 3


def test_equal_photographs_of_two_sets_are_named_together_and_what_to_take_back_is_said(workbench: Workbench) -> None:
    other = workbench.another_user(f"{uuid4().hex}@example.org")
    import_as(workbench, "spring", "east", "unknown", TWO)
    import_as(other, "summer", "west", "unknown", {"1.png": photograph(1), "3.png": photograph(3)})
    east, west = folder_id(workbench, "east"), folder_id(other, "west")
    name(workbench, east, NAPUS)
    assert name(workbench, west, JUNCEA).pictures == 1

    # As before of the one that is named with it, although not of all.
    assert not name(workbench, west, JUNCEA).new
    with pytest.raises(UndecidableLabelError, match=f"`nachet labels unname {west}` takes back"):
        name(workbench, west, NAPUS)
    unname(workbench, west)
    # The rest of the set is named with the other, which is deleted meanwhile.
    keeper(workbench).delete(east, by="ann", why="asked")
    name(workbench, west, NAPUS)
    with pytest.raises(UndecidableLabelError, match=f"`nachet labels unname {east}` takes back"):
        name(workbench, west, JUNCEA)
    assert unname(workbench, east).pictures == 0
    assert unname(workbench, west).pictures == 1
    assert waiting(workbench).pictures == 2


def test_what_its_uploader_named_meanwhile_does_not_wait_again(workbench: Workbench) -> None:
    import_as(workbench, "spring", "east", "unknown", TWO)
    east = folder_id(workbench, "east")
    name(workbench, east, NAPUS)
    import_as(workbench, "spring", "east", JUNCEA, TWO, replace=True)

    assert unname(workbench, east).pictures == waiting(workbench).pictures == 0
