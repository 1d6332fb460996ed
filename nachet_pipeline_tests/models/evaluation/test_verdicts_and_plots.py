import io
from dataclasses import replace

import numpy as np
from PIL import Image

from nachet_pipeline.models.evaluation import plots, verdicts
from nachet_pipeline.models.evaluation.calibration import calibration
from nachet_pipeline.models.evaluation.classification import classification
from nachet_pipeline.models.evaluation.comparing import Difference, differences
from nachet_pipeline.models.evaluation.slices import Outcomes, parts, slices
from nachet_pipeline.settings import EvaluationSettings
from nachet_pipeline.training.verifying import SetVerdict
from nachet_pipeline_tests.models.evaluation.test_measuring import CLASSES, answers

LIMITS = EvaluationSettings(evaluation_recall_percent=30)
LABELS = [f"{place:03d} Genus number{place}" for place in range(CLASSES)]
SAID, _ = answers()
RIGHT = Outcomes(SAID.right.astype(float), np.ones(len(SAID.label)), SAID.label, SAID.group)


def opened(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("RGB")


def test_a_class_of_few_pictures_or_a_version_that_answered_few_is_not_judged() -> None:
    few = verdicts.enough_pictures([("000 a", 50, 9), ("001 b", 50, 2)], members=200, answered=100, limits=LIMITS)
    assert not few.passed
    assert few.grave
    assert few.summary == (
        "the version answered 100 of 200 pictures of the test split; expected 95 %; one class is of fewer than 20"
        " answered pictures in 3 groups: 001 b"
    )
    assert verdicts.enough_pictures([("000 a", 50, 9)], members=50, answered=50, limits=LIMITS).passed
    assert not verdicts.enough_pictures([], members=0, answered=0, limits=LIMITS).passed


def test_a_version_that_was_trained_on_the_test_split_fails_and_one_of_which_nothing_is_known_may_pass() -> None:
    assert verdicts.no_train_on_test(0, known=True).passed
    trained, unknown = verdicts.no_train_on_test(7, known=True), verdicts.no_train_on_test(0, known=False)
    assert (trained.passed, trained.grave, trained.numbers) == (False, True, {"trained_on": 7})
    assert (unknown.passed, unknown.grave) == (False, False)


def test_the_worst_class_is_named_with_its_recall() -> None:
    right = RIGHT.right * (RIGHT.label != 2)
    found = verdicts.worst_class_above(replace(RIGHT, right=right), LABELS, LIMITS)
    assert found.summary == "one class is of a recall below 30 %: 002 Genus number2 (0%)"
    assert verdicts.worst_class_above(RIGHT, LABELS, LIMITS).passed


def test_the_device_on_which_the_version_fails_is_named() -> None:
    device = np.where(SAID.group % 5 == 0, "Phone", "Camera").tolist()
    on_phone = np.array(device) == "Phone"
    worse = replace(RIGHT, right=RIGHT.right * ~on_phone)
    wanted = parts({"device": device}, {"Weed Seeds Order": SAID.label < 3})
    failing = verdicts.no_slice_far_below(slices(worse, wanted), LIMITS)
    assert failing.summary.startswith("much more is wrong where: device Phone (0%, the rest ")
    assert [row["value"] for row in failing.rows] == ["Phone"]
    assert verdicts.no_slice_far_below(slices(RIGHT, wanted), LIMITS).passed
    assert plots.slices(slices(worse, wanted), 0.7) != plots.slices(slices(RIGHT, wanted), 0.7)


def test_a_version_that_is_always_sure_is_not_calibrated() -> None:
    assert verdicts.calibrated(calibration(SAID), LIMITS).numbers["ece"] > 0
    boastful = calibration(replace(SAID, score=np.ones_like(SAID.score)))
    failing = verdicts.calibrated(boastful, LIMITS)
    assert not failing.passed
    assert failing.summary.startswith("how sure the version is and how often it is right differ by 0.")
    assert max(opened(plots.reliability(boastful)).size) < 1000


def test_a_version_is_blocked_by_one_regulated_species_though_it_is_better_in_all() -> None:
    tested = np.arange(CLASSES) == 3
    now = np.where(RIGHT.label == 3, 0.0, 1.0)
    found = differences(replace(RIGHT, right=now), RIGHT.right, classes=CLASSES, tested=tested)
    all_of_them = len(RIGHT.label)

    def compared(champion: str | None, found: list[Difference], comparable: int = all_of_them) -> SetVerdict:
        return verdicts.not_worse_than_champion(champion, found, LABELS, comparable=comparable, limits=LIMITS)

    verdict = compared("seeds@1.0", found)
    assert found[0].change.value > 0
    assert verdict.summary == "fewer are right than of seeds@1.0, the champion: 003 Genus number3"
    assert verdict.grave
    same = differences(RIGHT, RIGHT.right, classes=CLASSES, tested=tested)
    assert compared("seeds@1.0", same).passed
    assert compared(None, []).passed
    assert not compared("seeds@1.0", []).passed, "nothing to compare with"
    few = compared("seeds@1.0", same, comparable=2 * all_of_them)
    assert (few.passed, few.numbers) == (False, {"pictures": all_of_them}), "of few, nothing is beyond chance"
    assert f"answered {all_of_them:,} of {2 * all_of_them:,} pictures" in few.summary


def test_the_classes_that_are_confused_most_are_shown() -> None:
    many = 60
    counts = np.diag(np.full(many + 1, 9))
    counts[50, 20] = 30
    png = plots.confusion(counts, [f"{place:03d} Genus number{place}" for place in range(many)])
    assert max(opened(png).size) < 1200
    assert png != plots.confusion(np.diag(np.full(many + 1, 9)), LABELS * 8)
    assert len(plots.confusion(classification(SAID, CLASSES).confusion, LABELS)) < 150_000
