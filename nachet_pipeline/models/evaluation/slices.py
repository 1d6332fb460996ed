"""How well a version does on parts of the pictures: of one owner, device, zoom, month, and so on.

Whether a part is worse than the rest is tested for all parts at once. Chance is simulated by dealing parts to groups
anew, with all that was right and wrong in a group kept together; and, where a part divides groups, by turning round
within each group whether the part did worse than the others. The largest statistic of all parts in a simulation is what
chance does. So of evaluations in which no part matters, one in a hundred has a part that is called worse.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.models.evaluation.intervals import Array, Interval, group_sums, ratio, shares
from nachet_pipeline.models.evaluation.significance import adjusted

FALSE_ALARMS = 0.01
"""Share of evaluations that call a part worse although none is."""
PERMUTATIONS = 2000
LEAST_PICTURES, LEAST_GROUPS = 10, 2
"""Smaller parts are not measured."""
_MOST_PARTS = 400
_CELLS_AT_A_TIME = 1_000_000


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a version got right, picture by picture.

    Attributes:
        right: (n,) number of things that it got right in each picture.
        of: (n,) number of things that there are; 1 if the picture as a whole is classified.
        label: (n,) class of each picture.
        group: (n,) group of each picture, from 0 and without gaps.
    """

    right: Array
    of: Array
    label: NDArray[np.int64]
    group: NDArray[np.int64]

    def among(self, kept: NDArray[np.bool_]) -> "Outcomes":
        """Those of some of the pictures."""
        groups = np.unique(self.group[kept], return_inverse=True)[1].astype(np.int64)
        return Outcomes(self.right[kept], self.of[kept], self.label[kept], groups)


class Part(NamedTuple):
    """Some of the pictures: by which attribute, of which value, and which (n,)."""

    attribute: str
    value: str
    pictures: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Slice:
    """How well a version does on a part of the pictures.

    Attributes:
        attribute: such as `device`.
        value: such as `Canon EOS R5`.
        pictures: in it.
        groups: that these make.
        right: share that is right.
        rest: share that is right of all other pictures.
        chance: how probable it is that the worst of all parts is as much worse than the rest as this one by chance.
    """

    attribute: str
    value: str
    pictures: int
    groups: int
    right: Interval
    rest: float
    chance: float


def parts(attributes: Mapping[str, Sequence[str]], lists: Mapping[str, NDArray[np.bool_]]) -> list[Part]:
    """The parts of pictures that are worth measuring.

    Args:
        attributes: of each attribute the value of each picture, empty if it is not known.
        lists: of each list, which pictures show a taxon on it.
    """
    found: list[Part] = []
    for attribute, values in attributes.items():
        known, of = np.unique(np.asarray(values, np.str_), return_inverse=True)
        found += [Part(attribute, str(value), of == place) for place, value in enumerate(known) if value]
    found += [Part("list", name, pictures) for name, pictures in lists.items()]
    large = [one for one in found if LEAST_PICTURES <= one.pictures.sum() < len(one.pictures)]
    return sorted(large, key=lambda one: -int(one.pictures.sum()))[:_MOST_PARTS]


def slices(outcomes: Outcomes, wanted: Sequence[Part], *, seed: int = 0) -> list[Slice]:
    """Measure parts of the pictures, and test which are worse than the rest; the worst first."""
    wanted = [
        one
        for one in wanted
        if len(np.unique(outcomes.group[one.pictures])) >= LEAST_GROUPS
        and outcomes.of[one.pictures].any()
        and outcomes.of[~one.pictures].any()
    ]
    if not wanted:
        return []
    right, of = _sums(outcomes, wanted)
    rest = (outcomes.right.sum() - right.sum(axis=0)) / (outcomes.of.sum() - of.sum(axis=0))
    chance = chances(outcomes, wanted, seed=seed)
    found = [
        Slice(
            one.attribute,
            one.value,
            int(one.pictures.sum()),
            len(np.unique(outcomes.group[one.pictures])),
            share,
            float(rest[place]),
            float(chance[place]),
        )
        for place, (one, share) in enumerate(zip(wanted, shares(right, of, seed=seed), strict=True))
    ]
    return sorted(found, key=lambda one: (one.chance, one.right.value - one.rest))


def _sums(outcomes: Outcomes, wanted: Sequence[Part]) -> tuple[Array, Array]:
    """What is right and what there is, by group and part."""
    member = np.stack([one.pictures for one in wanted], axis=1).astype(np.float64)
    right, of = (group_sums(values[:, None] * member, outcomes.group) for values in (outcomes.right, outcomes.of))
    return right, of


def chances(outcomes: Outcomes, wanted: Sequence[Part], *, seed: int = 0, permutations: int = PERMUTATIONS) -> Array:
    """How probable it is, for each part, that the worst of all is by chance as much worse than the rest.

    Args:
        outcomes: what is right.
        wanted: the parts, one at least, none of them empty or all that there is.
        seed: of what is drawn.
        permutations: how often chance is simulated.
    """
    right, of = _sums(outcomes, wanted)
    total = group_sums(np.stack([outcomes.right, outcomes.of], axis=1), outcomes.group)
    share = total[:, 0].sum() / total[:, 1].sum()
    size, missing = total[:, 1], share * total[:, 1] - total[:, 0]
    # What a group misses, as far as it comes from the group as a whole; and what the part of it misses beyond that.
    within = np.divide(of, size[:, None], out=np.zeros_like(of), where=size[:, None] > 0)
    beyond = share * of - right - within * missing[:, None]
    fixed = np.stack([missing, size, _spread(missing, size, share)])
    observed = _statistics(fixed[:, None, :], within, beyond.sum(axis=0)[None], beyond)[0]
    drawn = [
        _statistics(dealt, within, signs @ beyond, beyond)
        for dealt, signs in _dealt(fixed, of.shape[1], seed, permutations)
    ]
    return adjusted(observed, np.concatenate(drawn))


def _dealt(fixed: Array, columns: int, seed: int, permutations: int) -> Iterator[tuple[Array, Array]]:
    """Groups in other orders, (3, r, groups), and as many signs, (r, groups)."""
    draw = np.random.default_rng(seed)
    groups = fixed.shape[1]
    step = max(1, _CELLS_AT_A_TIME // max(groups, columns))
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        order = draw.permuted(np.tile(np.arange(groups), (rows, 1)), axis=1)
        yield fixed[:, order], draw.choice((-1.0, 1.0), (rows, groups))


def _spread(missing: Array, size: Array, share: float) -> Array:
    """The variance that is expected of what a group misses, by its size.

    Pictures of a group hang together; how much is estimated from all groups, as those of a part may be few.
    """
    of_one = share * (1 - share)
    pairs = float((size * (size - 1)).sum())
    together = ((missing**2).sum() / of_one - size.sum()) / pairs if of_one and pairs else 0.0
    return np.asarray(of_one * size * (1 + np.maximum(size - 1, 0) * min(max(together, 0.0), 1.0)))


def _statistics(dealt: Array, within: Array, beyond: Array, each_beyond: Array) -> Array:
    """By how many standard deviations parts miss more than the rest, (r, parts).

    Args:
        dealt: (3, r, groups) what groups miss, their sizes, and the variance of what they miss.
        within: (groups, parts) the share of each group that is in each part.
        beyond: (r, parts) what parts miss beyond their groups.
        each_beyond: (groups, parts) the same by group.
    """
    missing, size, spread = dealt
    inside = size @ within
    outside = size.sum(axis=1, keepdims=True) - inside
    per_part, per_rest = (1 / np.maximum(one, 1e-9) for one in (inside, outside))
    twice, whole = spread @ within**2, spread.sum(axis=1, keepdims=True)
    once = spread @ within
    variance = twice * (per_part + per_rest) ** 2 - 2 * once * per_rest * (per_part + per_rest) + whole * per_rest**2
    variance += (each_beyond**2).sum(axis=0) * (per_part + per_rest) ** 2
    difference = (missing @ within + beyond) * (per_part + per_rest)
    return np.asarray(np.nan_to_num(ratio(difference, np.sqrt(variance))), np.float64)
