"""Whether a version is worse than the champion on the same pictures.

Pictures are compared in pairs: what both got right or wrong says nothing. Chance is simulated by letting the two change
places in whole groups. Where every group is one picture this is McNemar's test.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.models.evaluation.intervals import Array, Interval, group_sums, intervals, ratio
from nachet_pipeline.models.evaluation.significance import adjusted_by_rank
from nachet_pipeline.models.evaluation.slices import Outcomes

FALSE_ALARMS = 0.05
"""Share of comparisons of two equally good versions that call one worse, in whatever respect."""
SWAPS = 4000
_CELLS_AT_A_TIME = 4_000_000


@dataclass(frozen=True, slots=True)
class Difference:
    """How two versions differ on the same pictures.

    Attributes:
        label: the class; None for all pictures.
        pictures: that both were asked about.
        groups: that these make.
        now: share that the version gets right.
        before: share that the champion gets right.
        change: the first less the second.
        chance: how probable it is that anything that is tested is as much worse by chance; nan if it was not tested.
    """

    label: int | None
    pictures: int
    groups: int
    now: float
    before: float
    change: Interval
    chance: float


def differences(
    now: Outcomes,
    before: Array,
    *,
    classes: int,
    tested: NDArray[np.bool_],
    seed: int = 0,
    swaps: int = SWAPS,
) -> list[Difference]:
    """Compare a version with the champion: on all pictures, and class by class.

    Args:
        now: what the version got right of the pictures that both were asked about.
        before: (n,) what the champion got right of the same.
        classes: number of classes.
        tested: (classes,) which classes must not be worse, each for itself; all pictures together must not be, either.
        seed: of what is drawn.
        swaps: how often chance is simulated.
    """
    columns = np.hstack([np.ones((len(now.label), 1)), np.eye(classes)[now.label]])
    right, was_right, of = (group_sums(values[:, None] * columns, now.group) for values in (now.right, before, now.of))
    wanted = np.flatnonzero(np.append(True, tested) & (of.sum(axis=0) > 0))
    chance = np.full(classes + 1, np.nan)
    chance[wanted] = _chance((was_right - right)[:, wanted], seed, swaps)
    count = classes + 1
    change = intervals(
        np.hstack([right - was_right, of]), lambda sums: ratio(sums[:, :count], sums[:, count:]), seed=seed
    )
    shares = [ratio(one.sum(axis=0), of.sum(axis=0)) for one in (right, was_right)]
    pictures = columns.sum(axis=0)
    return [
        Difference(
            place - 1 if place else None,
            int(pictures[place]),
            int((of[:, place] > 0).sum()),
            float(shares[0][place]),
            float(shares[1][place]),
            change[place],
            float(chance[place]),
        )
        for place in range(count)
        if pictures[place]
    ]


def _chance(worse: Array, seed: int, swaps: int) -> Array:
    """How probable it is that any column is by chance as much worse as each is; (groups, k) by how much it is worse."""
    draw = np.random.default_rng(seed)
    step = max(1, _CELLS_AT_A_TIME // max(len(worse), 1))
    swapped = [
        draw.choice((-1.0, 1.0), (min(step, swaps - start), len(worse))) @ worse for start in range(0, swaps, step)
    ]
    return adjusted_by_rank(worse.sum(axis=0), np.concatenate(swapped))
