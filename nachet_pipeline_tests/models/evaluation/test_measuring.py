"""What is written by hand, beside a second implementation of it."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, top_k_accuracy_score

from nachet_pipeline.models.evaluation.calibration import BINS, calibration
from nachet_pipeline.models.evaluation.classification import Answers, classification
from nachet_pipeline.models.evaluation.detection import average_precision, detection
from nachet_pipeline.models.evaluation.intervals import group_sums, shares
from nachet_pipeline.models.evaluation.libraries import Boxes, coco_evaluation

CLASSES = 8


def answers(pictures: int = 2000, groups: int = 200, *, seed: int = 1) -> tuple[Answers, np.ndarray]:
    """Answers with all scores, (pictures, classes); those of a group are about equally hard."""
    draw = np.random.default_rng(seed)
    group = draw.integers(0, groups, pictures)
    group[:groups] = np.arange(groups)
    label = draw.integers(0, CLASSES, pictures)
    scores = (
        draw.gumbel(size=(pictures, CLASSES)) + np.eye(CLASSES)[label] * draw.normal(2, 1.5, groups)[group][:, None]
    )
    scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    order = np.argsort(-scores, axis=1)
    return Answers(label, order, np.take_along_axis(scores, order, axis=1), group), scores


def test_accuracy_top_5_and_f1_are_those_of_scikit_learn() -> None:
    said, scores = answers()
    found = classification(said, CLASSES)
    assert found.accuracy.value == pytest.approx(accuracy_score(said.label, scores.argmax(axis=1)))
    assert found.top5.value == pytest.approx(top_k_accuracy_score(said.label, scores, k=5))
    assert np.mean([one.f1.value for one in found.classes]) == pytest.approx(
        f1_score(said.label, scores.argmax(axis=1), average="macro")
    )
    for one in found.classes:
        assert one.recall.low < one.recall.value < one.recall.high
        assert one.f1.low < one.f1.value < one.f1.high


def test_what_a_model_calls_no_class_of_the_set_is_in_the_confusion_and_counts_as_missed() -> None:
    label, said = np.array([0, 0, 1, 1]), np.array([[0, 1], [2, 0], [1, 0], [0, 1]])
    found = classification(Answers(label, said, np.full((4, 2), 0.5), np.arange(4)), 2)
    assert found.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert (found.classes[0].recall.value, found.top5.value) == (0.5, 1.0)
    assert found.classes[1].precision.value == 1.0


def test_intervals_are_those_of_a_bootstrap_of_groups_by_scipy() -> None:
    said, _ = answers()
    right, every = group_sums(said.right, said.group), group_sums(np.ones(len(said.label)), said.group)
    (found,) = shares(right, every, seed=3)
    other = stats.bootstrap(
        (right[:, 0], every[:, 0]),
        lambda part, whole, axis: part.sum(axis=axis) / whole.sum(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert found.low == pytest.approx(other.low, abs=0.01)
    assert found.high == pytest.approx(other.high, abs=0.01)
    by_picture = math.sqrt(found.value * (1 - found.value) / len(said.label))
    assert found.high - found.low > 1.5 * 2 * 1.96 * by_picture, "pictures of a group are not independent"


def test_few_groups_that_agree_do_not_make_a_recall_certain() -> None:
    (found,) = shares(np.full((3, 1), 10.0), np.full((3, 1), 10.0), seed=1)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(stats.binomtest(3, 3).proportion_ci().low)


def test_the_calibration_error_is_that_of_a_loop_over_bins() -> None:
    said, _ = answers()
    sure, right = said.score[:, 0], said.right
    error = 0.0
    for at in range(BINS):
        inside = (sure > at / BINS) & (sure <= (at + 1) / BINS)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    found = calibration(said)
    assert found.ece.value == pytest.approx(error)
    assert sum(one.pictures for one in found.bins) == len(sure)


def test_what_chance_makes_of_the_calibration_error_is_known() -> None:
    draw = np.random.default_rng(2)
    sure = draw.beta(4, 1, 400)
    errors, by_chance = [], 0.0
    for _ in range(30):
        said = np.where(draw.random(400) < sure, 0, 1)[:, None]
        found = calibration(Answers(np.zeros(400, np.int64), said, sure[:, None], np.arange(400)))
        errors.append(found.ece.value)
        by_chance = found.by_chance
    assert np.mean(errors) == pytest.approx(by_chance, rel=0.15)


def boxes(photographs: int = 60, *, seed: int = 4) -> tuple[Boxes, Boxes]:
    """True boxes, and detections of most of them, some of them askew or of another category, and of others."""
    draw = np.random.default_rng(seed)
    picture = np.repeat(np.arange(photographs), draw.integers(1, 8, photographs))
    corner, size = draw.uniform(0, 0.8, (len(picture), 2)), draw.uniform(0.05, 0.2, (len(picture), 2))
    truth = Boxes(
        picture, np.hstack([corner, corner + size]), draw.integers(0, 3, len(picture)), np.zeros(len(picture))
    )
    kept = draw.random(len(picture)) < 0.8
    askew = truth.box[kept] + draw.normal(0, 0.01, (int(kept.sum()), 4))
    category = np.where(draw.random(int(kept.sum())) < 0.9, truth.category[kept], 0)
    other = draw.uniform(0, 0.8, (40, 2))
    return truth, Boxes(
        np.concatenate([picture[kept], draw.integers(0, photographs, 40)]),
        np.vstack([askew, np.hstack([other, other + 0.1])]),
        np.concatenate([category, draw.integers(0, 3, 40)]),
        np.round(draw.random(int(kept.sum()) + 40), 2),
    )


def test_average_precision_with_weights_is_that_of_pycocotools_where_all_weights_are_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth, detected = boxes()
    average, matches = coco_evaluation(truth, detected, 60, 3)
    ours = np.stack([average_precision(one, np.ones(60)) for one in matches], axis=1)
    assert ours == pytest.approx(average)
    assert 0.1 < average[0].min() < average[0].max() < 1
    assert capsys.readouterr() == ("", ""), "pycocotools is silent"


def test_a_picture_drawn_twice_counts_like_two_pictures() -> None:
    truth, detected = boxes(20)
    twice = [
        Boxes(
            np.concatenate([one.picture, one.picture + 20]),
            np.tile(one.box, (2, 1)),
            np.tile(one.category, 2),
            np.tile(one.score, 2),
        )
        for one in (truth, detected)
    ]
    _, once_matched = coco_evaluation(truth, detected, 20, 3)
    average, _ = coco_evaluation(twice[0], twice[1], 40, 3)
    weighted = np.stack([average_precision(one, np.full(20, 2.0)) for one in once_matched], axis=1)
    assert weighted == pytest.approx(average, abs=0.02)


def test_detection_has_intervals_and_counts_what_was_found() -> None:
    truth, detected = boxes()
    found = detection(truth, detected, np.arange(60) // 2, 3)
    assert found.ap50.low < found.ap50.value < found.ap50.high
    assert found.ap.value < found.ap50.value
    assert found.truths.sum() == len(truth.picture)
    assert 0.5 < found.found.sum() / found.truths.sum() < 0.9
    nothing = Boxes(np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))
    assert detection(truth, nothing, np.arange(60), 3).ap50.value == 0
    assert math.isnan(detection(nothing, detected, np.arange(60), 3).ap50.value)
