"""Regions and the whole pixels that they touch."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.crops import detecting
from nachet_pipeline.crops.detecting import Region, in_reading_order

SIDES = st.integers(1, 30_000)
FRACTIONS = st.floats(0, 1, allow_nan=False)


@given(SIDES, SIDES, st.tuples(FRACTIONS, FRACTIONS, FRACTIONS, FRACTIONS), st.floats(0, 1))
def test_a_box_lies_within_its_picture_and_holds_something(width, height, corners, margin) -> None:
    left, right = sorted(corners[:2])
    top, bottom = sorted(corners[2:])
    if right - left < 1e-3 or bottom - top < 1e-3:
        return
    region = Region(left, top, right, bottom)

    bare, box = region.box(width, height), region.box(width, height, margin=margin)

    assert 0 <= box.left <= bare.left < bare.right <= box.right <= width
    assert 0 <= box.top <= bare.top < bare.bottom <= box.bottom <= height


@given(SIDES, st.data())
def test_whole_pixels_survive_being_fractions(side: int, data) -> None:
    left = data.draw(st.integers(0, side - 1))
    right = data.draw(st.integers(left + 1, side))

    box = Region(left / side, left / side, right / side, right / side).box(side, side)

    assert box.corners == [left, left, right, right]


@pytest.mark.parametrize(
    "corners", [(0.5, 0, 0.5, 1), (0, 0.5, 1, 0.2), (-0.1, 0, 1, 1), (0, 0, 1.1, 1), (float("nan"), 0, 1, 1)]
)
def test_what_is_no_region_is_refused(corners: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="no region"):
        Region(*corners)


def test_regions_are_read_like_a_text_and_each_once() -> None:
    first, second, third = Region(0.5, 0, 1, 0.5), Region(0, 0.5, 0.5, 1), Region(0.5, 0.5, 1, 1)

    assert in_reading_order([third, second, first, second]) == (first, second, third)


def test_the_examples_are_true() -> None:
    assert doctest.testmod(detecting).failed == 0
