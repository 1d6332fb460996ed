"""How well a version finds seeds: average precision as in the COCO challenge, with intervals by bootstrap of groups."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.models.evaluation.intervals import Array, Interval, between, resampled_weights
from nachet_pipeline.models.evaluation.libraries import Boxes, CategoryMatches, coco_evaluation

RESAMPLES = 200
"""Each weighs every detection anew at ten thresholds, so there are fewer than of other measurements."""

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True)
class Detection:
    """How well a version finds what is in pictures.

    Attributes:
        pictures: that it was asked about.
        seeds: true boxes in them.
        ap50: average precision where boxes overlap by half (intersection over union of 0.5), averaged over categories.
        ap: the same, averaged over overlaps from 0.5 to 0.95.
        ap50_by_category: by category; nan where nothing is true.
        found: (pictures, categories) number of true boxes that were found with an overlap of a half.
        truths: (pictures, categories) number of true boxes.
    """

    pictures: int
    seeds: int
    ap50: Interval
    ap: Interval
    ap50_by_category: tuple[float, ...]
    found: NDArray[np.int64]
    truths: NDArray[np.int64]


def detection(truth: Boxes, detected: Boxes, group: NDArray[np.int64], categories: int, *, seed: int = 0) -> Detection:
    """Measure how well boxes are found.

    Args:
        truth: the true boxes.
        detected: what the version found.
        group: of each picture, from 0 and without gaps; their number is that of the pictures.
        categories: number of categories; 1, with all in category 0, asks only whether seeds are found.
        seed: of the intervals.
    """
    average, matches = coco_evaluation(truth, detected, len(group), categories)
    groups = int(group.max(initial=-1)) + 1
    drawn = [
        np.stack([_mean_precision(matches, group, row) for row in weights])
        for weights in resampled_weights(groups, resamples=RESAMPLES, seed=seed)
    ] or [np.zeros((0, 2))]
    resampled = np.concatenate(drawn)
    known = ~np.isnan(average[0])
    values = [average[0, known].mean(), average[:, known].mean()] if known.any() else [np.nan, np.nan]
    ap50, ap = (between(value, resampled[:, place]) for place, value in enumerate(values))
    return Detection(
        len(group),
        len(truth.picture),
        ap50,
        ap,
        tuple(average[0].tolist()),
        np.stack([one.found for one in matches], axis=1),
        np.stack([one.truths for one in matches], axis=1),
    )


def _mean_precision(matches: list[CategoryMatches], group: NDArray[np.int64], weights: Array) -> Array:
    """The average precision at an overlap of a half, and over all overlaps, with groups weighted."""
    by_category = [average_precision(one, weights[group]) for one in matches]
    known = [one for one in by_category if not np.isnan(one[0])]
    return np.array([np.mean([one[0] for one in known]), np.mean(known)]) if known else np.full(2, np.nan)


def average_precision(matches: CategoryMatches, weights: Array) -> Array:
    """The average precision of a category by threshold, with each picture counted as often as its weight says."""
    truths = float(matches.truths @ weights)
    if not truths:
        return np.full(len(matches.hit), np.nan)
    each = weights[matches.picture]
    hits, all_of_them = np.cumsum(matches.hit * each, axis=1), np.cumsum(each)
    precision = hits / np.maximum(all_of_them, np.spacing(1))
    # The best precision at this recall or a larger one; none where so many are never found.
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.hstack([best, np.zeros((len(best), 1))])
    at = [np.searchsorted(recall, _RECALLS, side="left") for recall in hits / truths]
    return np.array([row[places].mean() for row, places in zip(best, at, strict=True)])
