"""The plots of an evaluation, as PNG files, in the manner of those of training sets."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.models.evaluation.calibration import BINS, Calibration
from nachet_pipeline.models.evaluation.slices import FALSE_ALARMS, Slice
from nachet_pipeline.training.plots import (
    BLUE,
    CLASSES_SHOWN,
    GREY,
    ORANGE,
    TEXT,
    as_png,
    classes_down,
    new_figure,
    number_matrix,
)

_CLASSES_CONFUSED = 12


def confusion(counts: NDArray[np.int64], labels: Sequence[str]) -> bytes:
    """Pictures by true class and by what was said, of the classes that are confused most.

    Args:
        counts: by class and class; the last row and column stand for everything else.
        labels: of the classes, such as `000 Brassica napus`.
    """
    names = [*labels, "anything else"]
    wrong = counts - np.diag(np.diag(counts))
    most = np.argsort(-(wrong.sum(axis=0) + wrong.sum(axis=1)), kind="stable")
    there = [place for place in most.tolist() if counts[place].any() or counts[:, place].any()]
    shown = sorted(there[:_CLASSES_CONFUSED])
    return number_matrix(
        counts[np.ix_(shown, shown)].astype(np.float64),
        [names[place] for place in shown],
        [names[place].partition(" ")[0] if place < len(labels) else "else" for place in shown],
        classes=len(there),
        across="what was said, down what is true",
    )


def reliability(found: Calibration) -> bytes:
    """How often a version is right, by how sure it is, with the number of its answers."""
    figure, axes = new_figure(12, width=6.0)
    middle = (np.arange(BINS) + 0.5) / BINS
    numbers = np.array([one.pictures for one in found.bins], np.float64)
    axes.bar(middle, numbers / max(numbers.max(), 1) * 0.25, width=0.9 / BINS, color="#D8D8D8", label="answers")
    axes.plot([0, 1], [0, 1], "--", color=GREY, lw=1, label="as sure as right")
    shown = [one for one in found.bins if one.pictures]
    at = np.array([one.confidence for one in shown])
    accuracy = [one.accuracy for one in shown]
    axes.vlines(at, [one.low for one in accuracy], [one.high for one in accuracy], color=BLUE, lw=1.4)
    axes.plot(at, [one.value for one in accuracy], "o", color=BLUE, ms=5, label="right, with 95 % interval")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_xlabel("how sure the version is", fontsize=TEXT)
    axes.set_ylabel("share that is right", fontsize=TEXT)
    axes.set_title(f"ECE {found.ece.value:.3f}, of which chance {found.by_chance:.3f}", fontsize=TEXT, loc="right")
    axes.legend(loc="upper left", frameon=False, fontsize=TEXT - 1)
    axes.tick_params(labelsize=TEXT)
    return as_png(figure)


def slices(found: Sequence[Slice], overall: float) -> bytes:
    """The share that is right of each part of the pictures, the worst at the top; in red what chance does not explain.

    Args:
        found: the parts, the worst first.
        overall: the share of all pictures.
    """
    shown = found[:CLASSES_SHOWN]
    figure, axes = new_figure(len(shown))
    for place, one in enumerate(shown):
        colour = ORANGE if one.chance <= FALSE_ALARMS and one.right.value < one.rest else BLUE
        axes.hlines(place, one.right.low, one.right.high, color=colour, lw=1.6)
        axes.plot([one.right.value], [place], "o", color=colour, ms=6)
    axes.axvline(overall, color=GREY, ls="--", lw=1)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share that is right, with 95 % interval; dashed: of all", fontsize=TEXT)
    classes_down(axes, [f"{one.attribute}: {one.value[:40]} ({one.pictures:,})" for one in shown], len(found))
    return as_png(figure)
