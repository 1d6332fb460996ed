"""Intervals by bootstrap of whole groups, because pictures of one group are not independent of each other.

Everything that is measured is computed from sums over groups. A resample draws as many groups as there are, with
replacement, so that its sums are those of the groups, each weighted by how often it was drawn: one product of matrices
for many resamples.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 1000
_WEIGHTS_AT_A_TIME = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """What was measured, and between which values it lies with a confidence of 95 %; nan where there is nothing."""

    value: float
    low: float
    high: float


def group_codes(groups: NDArray[np.generic]) -> NDArray[np.int64]:
    """Numbers of groups, from 0 and without gaps."""
    return np.asarray(np.unique(groups, return_inverse=True)[1], np.int64).ravel()


def group_sums(values: Array, group: NDArray[np.int64]) -> Array:
    """The sums of rows over groups, a row a group.

    Args:
        values: (n,) or (n, k).
        group: of each row, from 0 and without gaps.
    """
    columns = np.asarray(values, np.float64).reshape(len(group), *np.shape(values)[1:] or (1,))
    groups = int(group.max(initial=-1)) + 1
    return np.stack([np.bincount(group, column, groups).astype(np.float64) for column in columns.T], axis=1)


def resampled_weights(groups: int, *, resamples: int = RESAMPLES, seed: int) -> Iterator[Array]:
    """How often each group is drawn in each resample, a row a resample, some rows at a time."""
    draw = np.random.default_rng(seed)
    step = max(1, _WEIGHTS_AT_A_TIME // max(groups, 1))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = draw.integers(0, groups, (rows, groups)) + groups * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * groups).reshape(rows, groups).astype(np.float64)


def intervals(
    sums: Array, statistic: Callable[[Array], Array], *, seed: int, resamples: int = RESAMPLES
) -> list[Interval]:
    """Measure, and say how far it would be otherwise with other groups.

    Args:
        sums: (groups, k), of each group.
        statistic: makes of (r, k) sums over all groups (r, m) measurements.
        seed: of the resamples: the same numbers give the same intervals.
        resamples: how many are drawn.
    """
    measured = statistic(sums.sum(axis=0, keepdims=True))[0]
    if not len(sums):
        return [Interval(float(value), np.nan, np.nan) for value in measured]
    drawn = [statistic(weights @ sums) for weights in resampled_weights(len(sums), resamples=resamples, seed=seed)]
    return [between(value, column) for value, column in zip(measured, np.concatenate(drawn).T, strict=True)]


def between(value: float | np.float64, drawn: Array) -> Interval:
    """A measurement, with the interval that holds 95 % of what was drawn."""
    known = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(known):
        return Interval(float(value), np.nan, np.nan)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(value), float(low), float(high))


def shares(part: Array, whole: Array, *, seed: int) -> list[Interval]:
    """Shares of the sums over groups, with their intervals.

    Where all groups agree every resample does, too. Then the interval ends at the share that would still let so many
    groups agree by chance.

    Args:
        part: (groups, k).
        whole: (groups, k), nowhere smaller.
        seed: of the resamples.
    """
    columns = part.shape[1]
    found = intervals(np.hstack([part, whole]), lambda sums: ratio(sums[:, :columns], sums[:, columns:]), seed=seed)
    groups = (whole > 0).sum(axis=0)
    return [_widened(one, int(count)) for one, count in zip(found, groups, strict=True)]


def _widened(found: Interval, groups: int) -> Interval:
    least = ((1 - LEVEL) / 2) ** (1 / max(groups, 1))
    if found.value == 1:
        return Interval(1.0, min(found.low, least), 1.0)
    return Interval(0.0, 0.0, max(found.high, 1 - least)) if found.value == 0 else found


def ratio(part: Array, whole: Array) -> Array:
    """One by the other; nan where that is nought."""
    divided: Array = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return divided
