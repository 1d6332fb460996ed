"""How well a version classifies: accuracy, and precision, recall and F1 of each class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.models.evaluation.intervals import Array, Interval, group_sums, intervals, ratio, shares
from nachet_pipeline.models.evaluation.libraries import class_scores, confusion

TOP = 5


@dataclass(frozen=True, slots=True)
class Answers:
    """What a version said of pictures whose class is known.

    Attributes:
        label: (n,) the class of each picture.
        said: (n, k) the classes that the version named, the best first. One that is no class of the truth, or none at
            all, is a number as large as the number of classes.
        score: (n, k) how sure it was, from 0 to 1.
        group: (n,) group of each picture, from 0 and without gaps.
    """

    label: NDArray[np.int64]
    said: NDArray[np.int64]
    score: Array
    group: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the class that was named first is the true one."""
        return np.asarray(self.said[:, 0] == self.label)


@dataclass(frozen=True, slots=True)
class ClassScores:
    """How well one class is told from the others.

    Attributes:
        pictures: of the class.
        groups: that these make.
        precision: share of what is called so that is so.
        recall: share of what is so that is called so.
        f1: harmonic mean of both.
    """

    pictures: int
    groups: int
    precision: Interval
    recall: Interval
    f1: Interval


@dataclass(frozen=True, slots=True)
class Classification:
    """How well a version classifies.

    Attributes:
        pictures: that it was asked about.
        groups: that these make.
        accuracy: share of pictures whose class was named first.
        top5: share of pictures whose class was among the first five.
        classes: by class.
        confusion: pictures by true class and by what was said; the last row and column stand for everything else.
    """

    pictures: int
    groups: int
    accuracy: Interval
    top5: Interval
    classes: tuple[ClassScores, ...]
    confusion: NDArray[np.int64]


def classification(answers: Answers, classes: int, *, seed: int = 0) -> Classification:
    """Measure how well a version classifies.

    Args:
        answers: what it said.
        classes: number of classes.
        seed: of the intervals.
    """
    label, first, group = answers.label, answers.said[:, 0], answers.group
    among = (answers.said[:, :TOP] == label[:, None]).any(axis=1)
    hits = group_sums(np.stack([answers.right, among], axis=1), group)
    accuracy, top5 = shares(hits, np.repeat(group_sums(np.ones(len(label)), group), 2, axis=1), seed=seed)
    return Classification(
        len(label), len(hits), accuracy, top5, _by_class(answers, classes, seed), confusion(label, first, classes + 1)
    )


def _by_class(answers: Answers, classes: int, seed: int) -> tuple[ClassScores, ...]:
    label, first, group = answers.label, answers.said[:, 0], answers.group
    groups = int(group.max(initial=-1)) + 1

    def by_class(rows: NDArray[np.bool_], of: NDArray[np.int64]) -> Array:
        cells = group[rows] * (classes + 1) + of[rows]
        counted = np.bincount(cells, minlength=groups * (classes + 1)).reshape(groups, classes + 1)
        return counted[:, :classes].astype(np.float64)

    every = np.ones(len(label), np.bool_)
    true, said, both = by_class(every, label), by_class(every, first), by_class(answers.right, label)
    precision, recall = shares(both, said, seed=seed), shares(both, true, seed=seed)
    f1 = intervals(
        np.hstack([2 * both, said + true]), lambda sums: ratio(sums[:, :classes], sums[:, classes:]), seed=seed
    )
    values = class_scores(label, first, classes)
    return tuple(
        ClassScores(
            int(true[:, one].sum()),
            int((true[:, one] > 0).sum()),
            *(
                Interval(float(value), found.low, found.high)
                for value, found in zip(values[:, one], (precision[one], recall[one], f1[one]), strict=True)
            ),
        )
        for one in range(classes)
    )
