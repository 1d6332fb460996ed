"""Finding the pictures that look alike among very many: which are connected, and which pairs do it.

Two hashes that differ in at most r bits are equal in at least one of any r + 1 parts of their bits. So the hashes are
sorted by each part in turn and only those equal in it are compared. The parts are cut anew for the pictures at hand,
from bits that say something about them, and pictures that agree in too many are parted further in the same way. Where
very many pictures look like one of them, that one connects them all, and nothing among them is left to compare.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.training.components import Indices
from nachet_pipeline.training.hash_parts import (
    WORDS,
    Words,
    buckets,
    distances,
    mask,
    middle,
    parts,
    spread,
    telling_word,
)
from nachet_pipeline.training.near_pairs import FoundPairs, HashRows

LISTED = 10_000
"""Pairs that are listed at most; all are counted."""

# Rows equal in a part: up to so many, all such together, in a few passes over the whole; from there on one by one.
_FEW, _COMPARED = 128, 2_048
# Comparisons at a time: what fits in a core's own cache.
_TILE = 1 << 18
# Where more than one pair in so many is alike in one word, all words are compared at once.
_RARE = 50
# Rows that look like one of them must be so many, and such a share of the rows at hand, to be taken out at once.
_DENSE, _DENSE_SHARE = 4_096, 32
_PIVOTS, _SAMPLE = 16, 1_024
# Pairs that are compared at most, a minute's work; what is then still to do is joined without comparing.
_AFFORDED = 50_000_000_000
# What sorting one row by one part costs, in comparisons.
_SORTED = 100
# What looking at some rows by themselves costs, in comparisons.
_LOOKED_AT = 200_000
# So many rows of other places are compared with all of a place that has nearly all rows.
_FOREIGN = 256


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """What looks alike.

    Attributes:
        links: (m, 2) pairs of pictures that connect all that is connected by looks; not all pairs that are near.
        pairs: (p, 3) index, index, bits apart: pairs near each other that are in different places, at most as many as
            were to be listed, the closest first.
        count: number of such pairs.
        counted_all: False if there were too many to look at each: there are then more than `count`.
        joined_unseen: pictures connected without comparing them, because comparing them all would have taken too long.
            What is connected is then too much, and never too little.
    """

    links: Indices
    pairs: Indices
    count: int
    counted_all: bool
    joined_unseen: int


def near_duplicates(
    looks: Words,
    has_looks: NDArray[np.bool_],
    place: Indices,
    *,
    near_bits: int,
    different: Indices | None = None,
    listed: int = LISTED,
) -> NearDuplicates:
    """Find what looks alike.

    Args:
        looks: (n, 4) the pictures' perceptual hashes of 256 bits.
        has_looks: (n,) whether a picture has one.
        place: (n,) where each picture is, as any code: pairs within one place are neither counted nor listed. Places
            are the sessions when groups are looked for, and the splits when leaks are.
        near_bits: how many bits the hashes of two pictures that look alike may differ in.
        different: (k, 2) pairs that do not look alike, whatever their hashes are.
        listed: pairs to list at most.
    """
    apart = np.zeros((0, 2), np.int64) if different is None else np.asarray(different, np.int64).reshape(-1, 2)
    found = FoundPairs(HashRows.of(looks, has_looks, place, apart), near_bits, listed)
    found.take_equal()
    _Search(found).search(np.arange(found.rows.weight.size), np.zeros((0, WORDS), np.uint64), 0)
    found.components.connect()
    return NearDuplicates(
        links=found.links(),
        pairs=found.closest.pictures(),
        count=found.count,
        counted_all=found.counted_all,
        joined_unseen=found.joined_unseen(),
    )


class _Search:
    """One search for pairs: where it looks, and how many pairs it has compared."""

    def __init__(self, found: FoundPairs) -> None:
        self._found = found
        self._rows = found.rows
        self._words = found.rows.words
        self._place = found.rows.only_place
        self._near = found.near
        self._components = found.components
        self._compared = 0

    def search(self, rows: Indices, masks: Words, depth: int) -> None:
        """Find all that is near each other among some rows.

        Args:
            rows: the rows.
            masks: pairs equal in any of these bits are found elsewhere.
            depth: how often the rows have been parted.
        """
        while not self._done(rows):
            foreign = self._foreign(rows)
            if foreign is not None:
                self._compare_foreign(rows, foreign, masks)
                rows = rows[foreign]
                continue
            if rows.size <= _COMPARED:
                self._compare(rows, masks)
                return
            dense = self._dense(rows)
            if dense is None:
                self._part(rows, masks, depth)
                return
            rows = self._take_out(rows, *dense, masks)

    def _done(self, rows: Indices) -> bool:
        """Whether pairs among these rows can change nothing."""
        if rows.size < 2:  # noqa: PLR2004 (a pair)
            return True
        place = self._place[rows]
        if place[0] < self._rows.places and (place == place[0]).all():
            # Within a place nothing is counted, and it is connected anyway.
            return True
        if not self._found.exhausted():
            return False
        root = self._components.root[rows]
        return bool((root == root[0]).all())

    def _foreign(self, rows: Indices) -> NDArray[np.bool_] | None:
        """Which few rows are not in the one place that has nearly all of them; None if there is no such place."""
        place = self._place[rows]
        usual = np.partition(place, rows.size // 2)[rows.size // 2]
        foreign = place != usual
        most = min(_FOREIGN, rows.size // _FEW)
        return foreign if usual < self._rows.places and foreign.sum() <= most else None

    def _compare_foreign(self, rows: Indices, foreign: NDArray[np.bool_], masks: Words) -> None:
        """Compare the few foreign rows with all of the place."""
        place = rows[~foreign]
        self._compared += place.size * int(foreign.sum())
        for row in rows[foreign].tolist():
            near = place[distances(self._words[place], self._words[row]) <= self._near]
            self._found.take(np.full_like(near, row), near, masks)

    def _compare(self, rows: Indices, masks: Words) -> None:
        """Compare each with each."""
        self._compared += rows.size**2 // 2 + _LOOKED_AT
        words = self._words[rows]
        word = np.ascontiguousarray(words[:, telling_word(words)])
        step = max(1, _TILE // rows.size)
        for start in range(0, rows.size, step):
            tile = word[start : start + step]
            alike = np.bitwise_count(tile[:, None] ^ word[None, start:]) <= self._near
            if np.count_nonzero(alike) * _RARE > alike.size:
                # One word does not distinguish them.
                apart = np.zeros(alike.shape, np.uint16)
                for column in range(WORDS):
                    apart += np.bitwise_count(words[start : start + step, None, column] ^ words[None, start:, column])
                alike = apart <= self._near
            # Most often nothing is found but each row itself.
            one, other = np.divmod(np.flatnonzero(alike), word.size - start)
            later = other > one
            if later.any() and self._found.exhausted():
                later &= self._components.root[rows[start + one]] != self._components.root[rows[start + other]]
            if later.any():
                self._found.take(rows[start + one[later]], rows[start + other[later]], masks)

    def _dense(self, rows: Indices) -> tuple[int, NDArray[np.uint8]] | None:
        """One row that very many others are near to, and how far each is from it."""
        free = rows[~self._rows.alone[rows]]
        if not free.size:
            return None
        pivots = free[:: max(1, free.size // _PIVOTS)][:_PIVOTS]
        sample = self._words[rows[:: max(1, rows.size // _SAMPLE)]]
        apart = np.bitwise_count(self._words[pivots][:, None] ^ sample[None]).sum(axis=2, dtype=np.uint16)
        share = (apart <= self._near).mean(axis=1)
        wanted = max(_DENSE / rows.size, 1 / _DENSE_SHARE)
        if share.max() < wanted:
            return None
        pivot = int(pivots[share.argmax()])
        distance = distances(self._words[rows], self._words[pivot])
        # One in their midst has more of them near.
        ball = rows[distance <= self._near]
        usual = middle(self._words[ball[:: max(1, ball.size // 4_096)]])
        free_ball = ball[~self._rows.alone[ball]]
        centre = int(free_ball[np.bitwise_count(self._words[free_ball] ^ usual).sum(axis=1, dtype=np.int64).argmin()])
        closer = distances(self._words[rows], self._words[centre])
        if (closer <= self._near).sum() > ball.size:
            pivot, distance = centre, closer
        return (pivot, distance) if (distance <= self._near).sum() >= _DENSE else None

    def _take_out(self, rows: Indices, pivot: int, distance: NDArray[np.uint8], masks: Words) -> Indices:
        """Connect those near one row, and what is near any of them; the rows that remain."""
        inside = distance <= self._near
        ball, rest = rows[inside], rows[~inside]
        others = ball[ball != pivot]
        self._found.take(np.full_like(others, pivot), others, masks)
        # None that is farther from the one is near any that is near it.
        shell = rest[distance[~inside] <= int(distance[inside].max()) + self._near]
        place = self._place[ball]
        if (place == place[0]).all() and place[0] < self._rows.places:
            shell = shell[self._place[shell] != place[0]]
        else:
            self._found.counted_all = False
        self._across(ball, shell, masks)
        return rest

    def _across(self, ball: Indices, shell: Indices, masks: Words) -> None:
        """Find which rows of a shell are near any of the connected ones of a ball."""
        if ball.size * shell.size + self._compared > _AFFORDED:
            self._found.join_unseen(np.append(ball[:1], shell))
            return
        words = self._words[ball]
        telling = telling_word(words)
        start = 0
        while start < ball.size and shell.size:
            step = max(1, _TILE // shell.size)
            tile = words[start : start + step, telling]
            self._compared += tile.size * shell.size
            word = self._words[shell, telling]
            alike = np.bitwise_count(tile[:, None] ^ word[None]) <= self._near
            one, other = np.divmod(np.flatnonzero(alike), shell.size)
            if one.size:
                held = self._found.take(ball[start + one], shell[other], masks)
                self._found.counted_all &= not held.size
                left = np.ones(shell.size, bool)
                left[other[held]] = False
                shell = shell[left]
            start += step

    def _part(self, rows: Indices, masks: Words, depth: int) -> None:
        """Compare those that are equal in one of the parts of their bits."""
        if depth and self._compared > _AFFORDED:
            self._found.join_unseen(rows)
            return
        words = self._words[rows]
        cut = parts(words, self._near + 1)
        part_masks = np.array([mask(part) for part in cut], np.uint64)
        for place, part in enumerate(cut):
            order, starts, sizes = buckets(words, part)
            self._compared += _SORTED * rows.size + _LOOKED_AT
            if place == 0 and _cost(sizes, rows.size, len(cut)) > rows.size**2 / 2:
                # They agree in so much that parting them saves nothing.
                if rows.size**2 // 2 + self._compared <= _AFFORDED:
                    self._compare(rows, masks)
                    return
                if depth:
                    self._found.join_unseen(rows)
                    return
            elsewhere = np.concatenate((masks, part_masks[:place]))
            self._compare_buckets(rows[order], starts, sizes, elsewhere, depth)

    def _compare_buckets(self, rows: Indices, starts: Indices, sizes: Indices, masks: Words, depth: int) -> None:
        starts, sizes = self._of_several_places(rows, starts, sizes)
        starred = self._found.exhausted()
        if starred:
            starts, sizes = self._undone(rows, starts, sizes)
        few = sizes <= _FEW
        self._compare_few(rows, starts[few], sizes[few], masks)
        starts, sizes = starts[~few], sizes[~few]
        for place, (start, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
            if not starred and self._found.exhausted():
                self._compare_buckets(rows, starts[place:], sizes[place:], masks, depth)
                return
            self.search(rows[start : start + size], masks, depth + 1)

    def _compare_few(self, rows: Indices, starts: Indices, sizes: Indices, masks: Words) -> None:
        """Compare each with each in every one of many small buckets, all buckets at once."""
        positions = spread(starts, sizes)
        word = self._words[rows[positions], telling_word(self._words[rows[positions[:: positions.size // 256 + 1]]])]
        left = np.repeat(sizes, sizes) - 1 - (np.arange(positions.size) - np.repeat(np.cumsum(sizes) - sizes, sizes))
        first = np.arange(positions.size)
        root: Indices | None = None
        for step in range(1, int(sizes.max(initial=0))):
            keep: NDArray[np.bool_] | None = left >= step
            # Rows without a partner so far on are dropped when they are many.
            if keep is not None and keep.sum() < 0.8 * first.size:
                first, left = first[keep], left[keep]
                keep = None
            one = word[first] if first.size != word.size else word
            other = word[np.minimum(first + step, word.size - 1)]
            alike = np.bitwise_count(one ^ other) <= self._near
            if keep is not None:
                alike &= keep
            self._compared += first.size
            found = first[alike]
            if found.size and self._found.exhausted():
                if root is None:
                    self._undone(rows, starts, sizes)
                    root = self._components.root[rows[positions]]
                found = found[root[found] != root[found + step]]
            if found.size:
                self._found.take(rows[positions[found]], rows[positions[found + step]], masks)

    def _of_several_places(self, rows: Indices, starts: Indices, sizes: Indices) -> tuple[Indices, Indices]:
        """The buckets that are not wholly in one place; a row in several places has a number of its own."""
        if not starts.size:
            return starts, sizes
        place = self._place[rows[spread(starts, sizes)]]
        at = np.cumsum(sizes) - sizes
        several = np.minimum.reduceat(place, at) != np.maximum.reduceat(place, at)
        return starts[several], sizes[several]

    def _undone(self, rows: Indices, starts: Indices, sizes: Indices) -> tuple[Indices, Indices]:
        """Connect what is near some rows of each bucket; the buckets that are then not wholly connected."""
        if not starts.size:
            return starts, sizes
        inside = rows[spread(starts, sizes)]
        for share in range(4):
            one = np.repeat(rows[starts + sizes * share // 4], sizes)
            self._components.connect()
            apart = np.flatnonzero(self._components.root[one] != self._components.root[inside])
            for at in np.array_split(apart, apart.size // _TILE + 1):
                self._found.take(one[at], inside[at], np.zeros((0, WORDS), np.uint64))
        self._components.connect()
        root = self._components.root[inside]
        at = np.cumsum(sizes) - sizes
        split = np.minimum.reduceat(root, at) != np.maximum.reduceat(root, at)
        return starts[split], sizes[split]


def _cost(sizes: Indices, rows: int, parts: int) -> float:
    """What parting will cost, in comparisons, if all parts are like one with buckets of these sizes."""
    pairs = float((sizes.astype(np.float64) ** 2).sum()) / 2
    several, many = int((sizes > _FEW).sum()), int((sizes > _COMPARED).sum())
    return parts * (pairs + _SORTED * rows + _LOOKED_AT * (several + parts * many))
