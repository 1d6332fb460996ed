"""Whether a version is as sure as it is right."""

from dataclasses import dataclass

import numpy as np

from nachet_pipeline.models.evaluation.classification import Answers
from nachet_pipeline.models.evaluation.intervals import Array, Interval, group_sums, intervals, ratio, shares

BINS = 15


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Answers of about one confidence.

    Attributes:
        pictures: how many there are.
        confidence: how sure the version was, on average; nan without pictures.
        accuracy: the share that is right.
    """

    pictures: int
    confidence: float
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether a version is as sure as it is right.

    Attributes:
        ece: expected calibration error: by how much confidence and accuracy differ, averaged over bins of equal width.
        by_chance: what a version that is as right as it is sure would have, with as many pictures: never nought.
        bins: from the least certain to the most certain.
    """

    ece: Interval
    by_chance: float
    bins: tuple[ReliabilityBin, ...]


def calibration(answers: Answers, *, seed: int = 0) -> Calibration:
    """Compare how sure a version was of the class it named first with how often it was right."""
    confidence = np.clip(answers.score[:, 0], 0, 1)
    # As usual, a bin has its upper end; the first has nought, too.
    of = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    in_bin = np.eye(BINS)[of]
    right, sure = answers.right[:, None] * in_bin, confidence[:, None] * in_bin
    groups = [group_sums(values, answers.group) for values in (right, sure, in_bin)]
    spread = np.bincount(of, confidence * (1 - confidence), BINS)
    (ece,) = intervals(np.hstack(groups), _ece, seed=seed)
    accuracy = shares(groups[0], groups[2], seed=seed)
    counts, sums = in_bin.sum(axis=0), sure.sum(axis=0)
    return Calibration(
        ece,
        # The mean distance of a sum of chances from what is expected of it, if it is about normally distributed.
        float(np.sqrt(2 / np.pi * spread).sum() / max(len(of), 1)),
        tuple(
            ReliabilityBin(int(count), float(total / count) if count else np.nan, share)
            for count, total, share in zip(counts, sums, accuracy, strict=True)
        ),
    )


def _ece(sums: Array) -> Array:
    right, sure, pictures = np.split(sums, 3, axis=1)
    return ratio(np.abs(right - sure).sum(axis=1, keepdims=True), pictures.sum(axis=1, keepdims=True))
