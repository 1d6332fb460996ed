"""Tests of many things at once, by simulating what chance would do to all of them together.

By P. Westfall and S. Young (Resampling-Based Multiple Testing, 1993). What is said to differ must differ more than the
most different of all things does by chance. So the false alarm rate is one for the whole family, however many things
are tested and however much they hang together.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def adjusted(observed: Array, simulated: Array) -> Array:
    """How probable it is that chance makes anything as large as each of these; of statistics of one scale.

    Args:
        observed: (k,), the larger the less likely by chance.
        simulated: (r, k), by chance.

    Returns:
        (k,) from 1 / (r + 1) to 1.
    """
    largest = np.sort(simulated.max(axis=1, initial=-np.inf))
    as_large = len(largest) - np.searchsorted(largest, observed - _TINY, side="left")
    return np.asarray((1.0 + as_large) / (1.0 + len(largest)), np.float64)


def adjusted_by_rank(observed: Array, simulated: Array) -> Array:
    """The same, of statistics of different scales: each is compared by how rare it is among its own simulations.

    What few groups show can never be rare, and so takes nothing from the power for the others. It resolves
    1 / (r + 1) only: of k things the smallest answer is about k / (r + 1).
    """
    every = np.vstack([simulated, observed])
    rarity = [len(column) - np.searchsorted(np.sort(column), column - _TINY, side="left") for column in every.T]
    ranks = -np.array(rarity, np.float64).reshape(-1, len(every)).T
    return adjusted(ranks[-1], ranks[:-1]) if len(observed) else np.zeros(0)


_TINY = 1e-9
"""Sums of the same numbers in another order may differ by less."""
