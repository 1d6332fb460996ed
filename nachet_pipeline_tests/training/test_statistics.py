import random

import pytest

from nachet_pipeline.training.statistics import SAMPLED_CLASSES, SAMPLES_PER_CLASS, statistics
from nachet_pipeline_tests.training.rows import batch, row, sha256


def test_every_picture_is_counted_under_its_class_split_seeds_zoom_and_format() -> None:
    counted = statistics(
        [
            batch(row(1), row(2, split="test", number_of_seeds=6, size=500)),
            batch(row(3, index=1, zoom=None, format="TIFF"), row(4, zoom=10.0)),
        ]
    )

    assert counted.labels == {0: "000 Brassica napus", 1: "001 Brassica juncea"}
    assert counted.pictures == {(0, "train"): 2, (0, "test"): 1, (1, "train"): 1}
    assert counted.seeds == {(0, 1): 2, (0, 6): 1, (1, 1): 1}
    assert (counted.total, counted.by_split(), counted.of_class(0)) == (4, {"train": 3, "test": 1}, 3)
    assert counted.bytes_by_split == {"train": 3000, "test": 500}
    assert counted.formats == {"PNG": 3, "TIFF": 1}
    assert counted.zooms == {30.0: 2, 10.0: 1}


def test_a_set_without_pictures_has_no_numbers() -> None:
    counted = statistics([batch()])
    assert (counted.total, counted.samples, counted.quality_of().quantile(0.5)) == (0, {}, None)


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.75, 0.95])
def test_shares_of_sharpness_are_right_to_the_width_of_a_bin(share: float) -> None:
    values = [random.Random(number).lognormvariate(4, 1) for number in range(400)]
    rows = [row(number, sharpness=value) for number, value in enumerate(values)]

    found = statistics([batch(*rows[:150]), batch(*rows[150:])]).sharpness_of(0)

    exact = sorted(values)[int(share * len(values))]
    assert found.total == 400
    assert found.quantile(share) == pytest.approx(exact, rel=0.15)


def test_pictures_that_were_not_measured_are_in_no_distribution() -> None:
    counted = statistics([batch(row(1, sharpness=None, quality_score=None), row(2, sharpness=0.0, quality_score=1.0))])
    assert (counted.sharpness_of(0).total, counted.quality_of().total) == (1, 1)
    assert counted.quality_of(0).quantile(0.5) == pytest.approx(0.995, abs=0.01)
    assert counted.sharpness_of(0).quantile(0.5) == pytest.approx(0.01, rel=0.2)


def test_samples_are_the_same_in_whatever_batches_the_pictures_come() -> None:
    rows = [row(number, index=number % 3, session=number // 7) for number in range(300)]
    first = statistics([batch(*rows)]).samples
    random.Random(3).shuffle(rows)

    assert statistics([batch(*rows[start : start + 41]) for start in range(0, 300, 41)]).samples == first
    assert {len(few) for few in first.values()} == {SAMPLES_PER_CLASS}


def test_samples_are_of_as_many_sessions_as_there_are() -> None:
    many = [row(number, session=1) for number in range(50)]
    others = [row(100 + number, session=2 + number) for number in range(3)]

    few = statistics([batch(*many), batch(*others)]).samples[0]

    assert len(few) == SAMPLES_PER_CLASS
    assert len({picture.picture_set_id for picture in few}) == 4
    smallest = min(sha256(number) for number in range(50))
    assert smallest in {picture.sha256 for picture in few}


def test_only_so_many_classes_are_sampled_those_of_the_smallest_indices() -> None:
    rows = [{**row(number), "class_index": number, "label": f"{number:03d} x"} for number in range(SAMPLED_CLASSES + 5)]
    random.Random(1).shuffle(rows)

    found = statistics([batch(*rows[:20]), batch(*rows[20:])])

    assert sorted(found.samples) == list(range(SAMPLED_CLASSES))
    assert len(found.labels) == SAMPLED_CLASSES + 5
