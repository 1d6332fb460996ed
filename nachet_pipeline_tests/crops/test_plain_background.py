"""The built-in detector: the right number of seeds, where they are, and nothing that is no seed."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nachet_pipeline.crops.detecting import Box
from nachet_pipeline.crops.plain_background import PlainBackgroundDetector
from nachet_pipeline.local.sample import SPECIES, sample_picture
from nachet_pipeline_tests.crops.drawn import Ellipse, Pixels, ground, noisy, pixels_of, unevenly_lit, with_seeds

TWO: list[Ellipse] = [(100, 120, 220, 300), (450, 200, 640, 330)]


def boxes(pixels: Pixels) -> list[Box]:
    height, width = pixels.shape[:2]
    return [region.box(width, height) for region in PlainBackgroundDetector().detect(pixels)]


def near(found: Box, drawn: Ellipse, *, by: int = 5) -> bool:
    expected = (drawn[0], drawn[1], drawn[2] + 1, drawn[3] + 1)
    return all(abs(one - other) <= by for one, other in zip(found.corners, expected, strict=True))


def test_the_two_seeds_of_the_real_tiff_are_found_and_not_its_scale_bar(real_pictures: list[Path]) -> None:
    found = boxes(pixels_of(real_pictures[1].read_bytes()))

    assert len(found) == 2
    assert near(found[0], (480, 396, 768, 726), by=12)
    assert near(found[1], (1122, 417, 1486, 785), by=12)


def test_the_one_seed_of_the_real_png_is_found_and_not_its_dust(real_pictures: list[Path]) -> None:
    (found,) = boxes(pixels_of(real_pictures[0].read_bytes()))

    assert near(found, (145, 57, 450, 463), by=10)


@pytest.mark.parametrize("seeds", [0, 1, 2, 6])
@pytest.mark.parametrize("species", SPECIES[::4], ids=lambda one: one.epithet)
def test_a_sample_picture_has_as_many_seeds_as_were_drawn(seeds: int, species) -> None:
    for chance in range(2):
        assert (
            len(boxes(pixels_of(sample_picture(chance, species=species, seeds=seeds, width=640, height=480)))) == seeds
        )


@pytest.mark.parametrize(
    "changed",
    [
        lambda pixels: pixels,
        unevenly_lit,
        lambda pixels: noisy(pixels, 9),
        lambda pixels: noisy(unevenly_lit(pixels), 6),
    ],
    ids=["as drawn", "unevenly lit", "noisy", "noisy and unevenly lit"],
)
def test_seeds_are_found_where_they_are(changed) -> None:
    found = boxes(changed(with_seeds(ground(), TWO)))

    assert len(found) == 2
    assert all(near(one, drawn) for one, drawn in zip(found, TWO, strict=True))


@pytest.mark.parametrize("changed", [lambda pixels: pixels, unevenly_lit, lambda pixels: noisy(pixels, 12)])
def test_an_empty_ground_has_no_seed(changed) -> None:
    assert boxes(changed(np.asarray(ground()))) == []


@pytest.mark.parametrize(
    "cut_off",
    [(-60, 200, 60, 320), (740, 200, 860, 320), (300, -50, 420, 60), (300, 550, 420, 660), (-60, -60, 70, 70)],
    ids=["left", "right", "top", "bottom", "corner"],
)
def test_a_seed_that_the_edge_cuts_off_is_found_up_to_the_edge(cut_off: Ellipse) -> None:
    found = boxes(with_seeds(ground(), [cut_off, (350, 250, 460, 380)]))

    assert len(found) == 2
    inside = (max(0, cut_off[0]), max(0, cut_off[1]), min(799, cut_off[2]), min(599, cut_off[3]))
    assert any(near(one, inside) for one in found)


@pytest.mark.parametrize("gap", [5, 8, 16])
def test_seeds_that_nearly_touch_are_two(gap: int) -> None:
    right = 300 + gap
    assert len(boxes(with_seeds(ground(), [(180, 200, 300, 320), (right, 200, right + 120, 320)]))) == 2


def test_pale_seeds_are_found_beside_dark_ones() -> None:
    pixels = with_seeds(ground(), [(100, 100, 260, 260)])
    both = with_seeds(Image.fromarray(pixels), [(450, 300, 610, 460)], colour=(190, 170, 130))

    assert len(boxes(both)) == 2


def test_what_shines_on_a_seed_does_not_divide_it() -> None:
    pixels = with_seeds(ground(), [(200, 150, 500, 420)])
    pixels[150:421, 330:350] = np.minimum(pixels[150:421, 330:350].astype(int) + 110, 205).astype(np.uint8)
    pixels[220:300, 320:380] = (238, 236, 230)

    (found,) = boxes(pixels)
    assert near(found, (200, 150, 500, 420))


def test_a_seed_that_shines_all_but_its_rim_is_as_large_as_any() -> None:
    pixels = with_seeds(ground(), [(40, 100, 440, 500), (560, 220, 700, 360)])
    rows, columns = np.mgrid[0:600, 0:800]
    pixels[(rows - 290) ** 2 + (columns - 630) ** 2 < 65**2] = (238, 236, 230)

    found = boxes(pixels)

    assert len(found) == 2
    assert near(found[1], (560, 220, 700, 360))


def test_the_rim_of_a_tray_that_fills_the_picture_is_no_seed() -> None:
    image = ground()
    ImageDraw.Draw(image).rectangle((10, 10, 789, 589), outline=(60, 60, 60), width=5)

    assert boxes(np.asarray(image)) == []


def test_many_seeds_are_found_in_reading_order() -> None:
    places = [
        (60 + 120 * column, 60 + 130 * row, 110 + 120 * column, 130 + 130 * row)
        for row in range(4)
        for column in range(6)
    ]

    found = boxes(with_seeds(ground(), places))

    assert len(found) == 24
    assert all(near(one, place) for one, place in zip(found, places, strict=True))


@pytest.mark.parametrize("label", ["above", "below"])
def test_a_scale_bar_with_its_label_is_no_seed(label: str) -> None:
    image = ground()
    pen = ImageDraw.Draw(image)
    pen.rectangle((560, 560, 760, 566), fill=(0, 0, 0))
    pen.text((630, 528 if label == "above" else 570), "1 mm", fill=(0, 0, 0), font_size=28)

    found = boxes(with_seeds(image, [(300, 200, 360, 270)]))

    assert len(found) == 1
    assert near(found[0], (300, 200, 360, 270))


def test_a_scale_bar_in_a_box_is_no_seed() -> None:
    image = ground()
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((20, 540, 190, 585), radius=8, fill=(80, 80, 80))
    pen.rectangle((50, 555, 160, 558), fill="white")
    pen.text((90, 560), "1mm", fill="white", font_size=18)

    assert len(boxes(with_seeds(image, TWO))) == 2


def test_dust_is_no_seed() -> None:
    image = ground()
    pen = ImageDraw.Draw(image)
    for place in range(40):
        pen.ellipse((20 + 19 * place, 40 + 13 * place % 520, 24 + 19 * place, 44 + 13 * place % 520), fill=(90, 90, 90))

    assert len(boxes(with_seeds(image, TWO))) == 2


def test_a_large_picture_is_looked_at_reduced_and_its_boxes_are_those_of_the_whole() -> None:
    small = with_seeds(ground(), TWO)
    large = np.asarray(Image.fromarray(small).resize((3200, 2400), Image.Resampling.NEAREST))

    found = boxes(large)

    assert len(found) == 2
    assert all(near(one, tuple(4 * edge for edge in drawn), by=24) for one, drawn in zip(found, TWO, strict=True))


def test_a_picture_of_one_pixel_has_no_seed() -> None:
    assert boxes(np.zeros((1, 1, 3), dtype=np.uint8)) == []


def test_no_more_memory_is_kept_after_pictures_of_many_sizes() -> None:
    detector = PlainBackgroundDetector()
    tracemalloc.start()
    try:
        for height in range(2040, 2044):
            detector.detect(np.full((height, 2048, 3), 200, np.uint8))
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 40 * 1024**2
    assert most < 150 * 1024**2
