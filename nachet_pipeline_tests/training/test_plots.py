import io
import random
import subprocess
import sys
from datetime import date, timedelta
from functools import cache
from itertools import combinations

import pytest
from PIL import Image

from nachet_pipeline.training import plots

LARGEST = 150_000
LABELS = [f"{number:03d} Genus number{number}" for number in range(60)]


@cache
def many() -> dict[str, bytes]:
    """Every plot of a set with far more classes than can be shown."""
    draw = random.Random(1)
    spreads = [plots.Spread(label, 100, *sorted(draw.uniform(1, 500) for _ in range(5))) for label in LABELS]
    return {
        "pictures": plots.pictures_per_class(
            {label: {"train": draw.randrange(9000), "validation": 50, "test": 70} for label in LABELS}, minimum=300
        ),
        "seeds": plots.seeds_matrix({label: {n: draw.randrange(5000) for n in range(1, 30)} for label in LABELS}),
        "imports": plots.uploads_over_time({date(2020, 1, 1) + timedelta(days=7 * n): n for n in range(300)}),
        "sharpness": plots.sharpness_by_class(spreads, classes=60, minimum=20),
        "together": plots.classes_together(
            {(one, other): draw.randrange(900) for one, other in combinations(LABELS, 2)}
        ),
        "difference": plots.difference_by_class({label: (draw.randrange(900), draw.randrange(90)) for label in LABELS}),
    }


def size(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return image.size


def colours(png: bytes) -> set[tuple[int, ...]]:
    with Image.open(io.BytesIO(png)) as image:
        return {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}  # type: ignore[misc]


def near(found: set[tuple[int, ...]], wanted: tuple[int, int, int]) -> bool:
    return any(max(abs(a - b) for a, b in zip(one, wanted, strict=True)) < 12 for one in found)


def test_plots_of_many_classes_stay_small_and_as_wide_as_a_page() -> None:
    for name, png in many().items():
        width, height = size(png)
        assert len(png) < LARGEST, name
        assert 400 < width <= 900, name
        assert height < 1600, name


def test_the_same_numbers_make_the_same_bytes() -> None:
    counts = {label: {"train": 7, "test": 3} for label in LABELS[:3]}
    assert plots.pictures_per_class(counts) == plots.pictures_per_class(counts)


def test_each_split_has_its_colour_and_an_absent_one_none() -> None:
    blue, orange, dark = (0, 114, 178), (230, 159, 0), (59, 59, 59)
    all_three = colours(plots.pictures_per_class({"000 A b": {"train": 5, "validation": 5, "test": 5}}))
    assert all(near(all_three, colour) for colour in (blue, orange, dark))
    train = colours(plots.pictures_per_class({"000 A b": {"train": 5, "validation": 0, "test": 0}}))
    assert near(train, blue)
    assert not near(train, orange)


def test_pictures_that_left_are_drawn_and_only_if_there_are_any() -> None:
    vermilion = (213, 94, 0)
    left = plots.difference_by_class({"000 A b": (5, 5), "001 C d": (5, 0)})
    none_left = plots.difference_by_class({"000 A b": (5, 0)})
    bar = 60 * 20
    assert _pixels(left, vermilion) > bar > _pixels(none_left, vermilion)


def _pixels(png: bytes, wanted: tuple[int, int, int]) -> int:
    with Image.open(io.BytesIO(png)) as image:
        counted = image.convert("RGB").getcolors(1 << 24)
    return sum(count for count, colour in counted if near({colour}, wanted))  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    "png",
    [
        plots.pictures_per_class({"000 A b": {"train": 1}}),
        plots.pictures_per_class({}),
        plots.seeds_matrix({"000 A b": {1: 1}}),
        plots.seeds_matrix({"000 A b": {}}),
        plots.seeds_matrix({}),
        plots.uploads_over_time({date(2026, 1, 4): 1}),
        plots.uploads_over_time({}),
        plots.sharpness_by_class([plots.Spread("000 A b", 1, 0.01, 0.01, 0.01, 0.01, 0.01)], classes=1),
        plots.sharpness_by_class([], classes=0),
        plots.difference_by_class({"000 A b": (0, 3)}),
        plots.difference_by_class({}),
    ],
)
def test_a_set_of_hardly_anything_is_drawn_too(png: bytes) -> None:
    assert min(size(png)) > 100


def test_pairs_lie_side_by_side() -> None:
    def thumbnail(colour: str) -> bytes:
        stream = io.BytesIO()
        Image.new("RGB", (160, 120), colour).save(stream, "JPEG")
        return stream.getvalue()

    sheet = plots.side_by_side([(thumbnail("red"), thumbnail("blue")), (thumbnail("lime"), thumbnail("black"))])

    with Image.open(io.BytesIO(sheet)) as image:
        row = [image.getpixel((left, image.height // 2)) for left in (86, 252, 442, 608)]
    assert [tuple(round(value / 255) for value in pixel) for pixel in row] == [  # type: ignore[union-attr]
        (1, 0, 0),
        (0, 0, 1),
        (0, 1, 0),
        (0, 0, 0),
    ]


def test_definitions_load_without_what_draws_and_reads_training_sets(environment: dict[str, str]) -> None:
    code = (
        "import sys, nachet_pipeline.definitions;"
        "print([name for name in ('matplotlib', 'cv2', 'pyarrow') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_drawing_does_without_the_state_of_pyplot() -> None:
    code = (
        "import sys; from nachet_pipeline.training.plots import pictures_per_class;"
        "pictures_per_class({'000 A b': {'train': 1}}); print('matplotlib.pyplot' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
