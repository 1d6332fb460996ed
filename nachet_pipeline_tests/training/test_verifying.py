from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachet_pipeline.picture_sets.labels import Labels
from nachet_pipeline.training.statistics import statistics
from nachet_pipeline.training.verifying import (
    SetVerdict,
    classes_large_enough,
    classes_on_every_side,
    no_conflicting_labels,
    no_empty_class,
    no_leaks,
    picture_keys,
    pictures_current,
)
from nachet_pipeline.training.version_pictures import NotCurrent
from nachet_pipeline_tests.training.rows import batch, classes, row, sha256, uuid

TEST = {"split": "test"}


def verdict(*rows: dict[str, Any], **options: Any) -> SetVerdict:
    ordered = sorted(rows, key=lambda one: one["picture_id"])
    middle = len(ordered) // 2
    return no_leaks(picture_keys([batch(*ordered[:middle]), batch(*ordered[middle:])]), **{"near_bits": 12, **options})


def bits_flipped(looks: str, number: int) -> str:
    return f"{int(looks, 16) ^ ((1 << number) - 1):064x}"


def test_pictures_that_nothing_ties_may_be_on_two_sides() -> None:
    found = verdict(row(1), row(2, **TEST), row(3, split="validation"))
    assert (found.passed, found.summary, set(found.numbers.values())) == (True, "", {0})


@pytest.mark.parametrize(
    ("kind", "tied"),
    [
        ("session", {"session": 10_001}),
        ("file", {"sha256": sha256(1)}),
        ("pixels", {"pixel_sha256": sha256("pixels 1")}),
        ("family", {"parent_id": uuid(1)}),
        ("looks", {"perceptual_hash": sha256("looks 1")}),
        ("looks", {"perceptual_hash": bits_flipped(sha256("looks 1"), 12)}),
    ],
)
def test_what_belongs_together_and_is_on_two_sides_is_a_leak(kind: str, tied: dict[str, Any]) -> None:
    together, torn = verdict(row(1), row(2, **tied), row(3)), verdict(row(1), row(2, **TEST, **tied), row(3))

    assert together.passed
    assert not torn.passed
    assert torn.grave
    assert {name for name, count in torn.numbers.items() if count} == {kind}
    assert [(one["picture"], one["split"], one["other picture"], one["other split"]) for one in torn.rows] in (
        [(uuid(1), "train", uuid(2), "test")],
        [(uuid(2), "test", uuid(1), "train")],
    )


def test_the_column_group_is_not_believed() -> None:
    lying = verdict(row(1, session=7, group=uuid(1)), row(2, session=7, group=uuid(2), **TEST))
    assert not lying.passed
    assert verdict(row(1, group=uuid(1)), row(2, group=uuid(1), **TEST)).passed


def test_two_crops_of_one_picture_on_two_sides_are_a_leak_though_the_picture_is_not_in_the_set() -> None:
    assert not verdict(row(1, parent_id=uuid(77)), row(2, parent_id=uuid(77), **TEST)).passed


def test_looks_count_as_far_as_the_recipe_says() -> None:
    looks = sha256("looks 1")
    pair = row(1), row(2, perceptual_hash=bits_flipped(looks, 9), **TEST)
    assert not verdict(*pair, near_bits=9).passed
    assert verdict(*pair, near_bits=8).passed
    assert verdict(*pair, near_bits=None).passed


@pytest.mark.parametrize("kind", ["photograph_sha256", "photograph_pixel_sha256"])
def test_crops_of_two_rows_of_one_photograph_on_two_sides_are_a_leak_though_their_own_bytes_differ(kind: str) -> None:
    crops = row(1, parent_id=uuid(77)), row(2, parent_id=uuid(78), **TEST)
    assert verdict(*crops).passed
    found = verdict(*({**one, kind: sha256("one photograph")} for one in crops))
    assert (found.passed, len(found.rows)) == (False, 1)


def contents(number: int) -> tuple[str, ...]:
    return sha256(number), sha256(f"pixels {number}")


def test_what_somebody_decided_about_a_pair_counts() -> None:
    alike = row(1), row(2, perceptual_hash=sha256("looks 1"), **TEST)
    assert verdict(*alike, different=[(contents(1), contents(2))]).passed
    assert verdict(*alike, different=[(contents(2), contents(1)), (contents(5), contents(6))]).passed
    unlike = row(1), row(2, **TEST)
    torn = verdict(*unlike, duplicate=[(contents(1), contents(2)), (contents(1), contents(99))])
    assert (torn.passed, torn.numbers["duplicates"]) == (False, 1)
    assert [{one["picture"], one["other picture"]} for one in torn.rows] == [{uuid(1), uuid(2)}]
    assert verdict(row(1), row(2), duplicate=[(contents(1), contents(2))]).passed


def test_what_somebody_decided_holds_for_other_files_of_the_same_pixels_and_for_crops() -> None:
    decided = (contents(1), contents(2))
    again = row(3, sha256=sha256("saved anew"), pixel_sha256=sha256("pixels 1"))
    assert not verdict(again, row(2, **TEST), duplicate=[decided]).passed
    looks = {"perceptual_hash": sha256("looks 3")}
    assert verdict(again, row(2, **TEST, **looks), different=[decided]).passed
    crops = row(8, photograph_sha256=sha256(1)), row(9, photograph_pixel_sha256=sha256("pixels 2"), **TEST)
    assert not verdict(*crops, duplicate=[decided]).passed


def test_a_picture_without_hashes_is_tied_by_what_is_known() -> None:
    unknown: dict[str, Any] = {"pixel_sha256": None, "perceptual_hash": None}
    assert verdict(row(1, **unknown), row(2, **unknown, **TEST)).passed
    assert not verdict(row(1, session=7, **unknown), row(2, session=7, **unknown, **TEST)).passed


def test_a_picture_on_no_side_is_told() -> None:
    found = verdict(row(1), row(2, split="holdout"))
    assert (found.passed, found.numbers["on_no_side"]) == (False, 1)


def test_an_empty_set_leaks_nothing() -> None:
    assert no_leaks(picture_keys([]), near_bits=12, different=[(contents(1), contents(2))]).passed


pictures = st.lists(
    st.tuples(*(st.integers(0, 4) for _ in range(5)), st.sampled_from(["train", "validation", "test"])), max_size=12
)


@settings(max_examples=60)
@given(pictures)
def test_a_set_leaks_exactly_if_two_tied_pictures_are_on_two_sides(drawn: list[tuple[Any, ...]]) -> None:
    rows = [
        row(
            number,
            session=100 + 5 * number + session if session > 2 else session,
            sha256=sha256(("file", file if file < 2 else (number, file))),
            pixel_sha256=None if pixels == 3 else sha256(("pixels", pixels if pixels < 2 else (number, pixels))),
            parent_id=None if parent > 2 else uuid(50 + parent),
            perceptual_hash=None if looks == 3 else sha256(("looks", looks if looks < 2 else (number, looks))),
            split=split,
        )
        for number, (session, file, pixels, parent, looks, split) in enumerate(drawn)
    ]

    def tied(one: dict[str, Any], other: dict[str, Any]) -> bool:
        columns = ("picture_set_id", "sha256", "pixel_sha256", "parent_id", "perceptual_hash")
        return any(one[name] is not None and one[name] == other[name] for name in columns)

    leaks = any(tied(one, other) and one["split"] != other["split"] for one, other in combinations(rows, 2))
    assert verdict(*rows).passed is not leaks


def test_every_class_needs_pictures_to_train_with() -> None:
    counted = statistics([batch(row(1), row(2, index=1, **TEST))])
    full = no_empty_class(statistics([batch(row(1), row(2, index=1))]), classes(2))
    found = no_empty_class(counted, classes(3))

    assert (full.passed, full.summary) == (True, "")
    assert (found.passed, found.grave) == (False, True)
    assert "no picture: 002 Cirsium arvense" in found.summary
    assert "no picture to train with: 001 Brassica juncea" in found.summary
    assert found.numbers == {"classes": 3, "empty": 1, "without_training_pictures": 1}


def test_a_set_without_any_class_is_empty() -> None:
    assert not no_empty_class(statistics([batch()]), []).passed


def test_a_class_under_the_minimum_is_named() -> None:
    counted = statistics([batch(row(1), row(2), row(3, index=1))])
    assert classes_large_enough(counted, classes(2), minimum=1).passed
    found = classes_large_enough(counted, classes(2), minimum=2)
    assert (found.passed, found.grave, found.numbers["smallest_class"]) == (False, True, 1)
    assert found.summary == "1 class has fewer than 2 pictures: 001 Brassica juncea"
    assert list(found.rows) == [{"class": "001 Brassica juncea", "pictures": 1, "minimum": 2}]


def test_a_class_that_is_not_on_every_side_is_said_and_keeps_nothing_back() -> None:
    fractions = {"train": 0.8, "validation": 0.0, "test": 0.2}
    on_both = statistics([batch(row(1), row(2, **TEST))])
    assert classes_on_every_side(on_both, classes(1), fractions=fractions).passed
    found = classes_on_every_side(statistics([batch(row(1))]), classes(1), fractions=fractions)
    assert (found.passed, found.grave) == (False, False)
    assert list(found.rows) == [{"class": "000 Brassica napus", "pictures": 1, "not in": "test"}]


@pytest.mark.parametrize("kind", ["withdrawn", "superseded", "refused", "broken", "stale"])
def test_pictures_that_are_not_current_are_a_warning(kind: str) -> None:
    nothing = dict.fromkeys(("withdrawn", "superseded", "refused", "broken", "stale"), 0)
    assert pictures_current(NotCurrent(**nothing)).passed
    found = pictures_current(NotCurrent(**{**nothing, kind: 3}))
    assert (found.passed, found.grave) == (False, False)
    assert found.summary.startswith("3 pictures are ")
    assert sorted(found.numbers.values()) == [0, 0, 0, 0, 3]


# Labels


def labels(*rows: dict[str, Any], **stored: Any) -> SetVerdict:
    known = Labels(**{"conflicting": (), "files": (), "pixels": (), "decided": (), **stored})
    return no_conflicting_labels(picture_keys([batch(*rows)]), classes(), known)


@pytest.mark.parametrize("tied", [{"sha256": sha256(1)}, {"pixel_sha256": sha256("pixels 1")}])
def test_one_photograph_under_two_labels_is_grave_and_named_and_under_one_is_well(tied: dict[str, Any]) -> None:
    found = labels(row(1), row(2, index=1, **tied), row(3, index=1))

    assert (found.passed, found.grave) == (False, True)
    assert found.numbers == {"two_labels": 1, "in_conflict": 0, "not_as_decided": 0}
    assert {(one["picture"], one["label"]) for one in found.rows} == {
        (uuid(1), "000 Brassica napus"),
        (uuid(2), "001 Brassica juncea"),
    }
    assert labels(row(1), row(2, **tied), row(3, index=1)).passed


@pytest.mark.parametrize(
    "stored",
    [{"conflicting": (uuid(2),)}, {"files": (sha256(2),)}, {"pixels": (sha256("pixels 2"),)}],
    ids=["picture", "file", "pixels"],
)
def test_a_picture_that_is_in_conflict_where_it_is_stored_is_grave(stored: dict[str, Any]) -> None:
    found = labels(row(1), row(2), row(3), **stored)

    assert not found.passed
    assert [one["picture"] for one in found.rows] == [uuid(2)]
    assert labels(row(1), row(3), **stored).passed


def test_a_picture_must_be_what_was_decided_of_it() -> None:
    one, other = (kind.taxon_id for kind in classes())

    assert labels(row(1), row(2, index=1), decided=((uuid(2), other), (uuid(9), one))).passed
    found = labels(row(1), row(2, index=1), decided=((uuid(2), one), (uuid(1), uuid(999))))
    assert (found.passed, found.numbers["not_as_decided"]) == (False, 2)
    assert labels(decided=((uuid(1), one),)).passed
