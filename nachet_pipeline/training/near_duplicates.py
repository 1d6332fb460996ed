"""Finding the pictures that look alike among very many: which are connected, and which pairs do it.

Two hashes that differ in at most r bits are equal in at least one of any r + 1 parts of their bits. So the hashes are
sorted by each part in turn and only those equal in it are compared. The parts are cut anew for the pictures at hand,
from bits that say something about them, and pictures that agree in too many are parted further in the same way. Where
very many pictures look like one of them, that one connects them all, and nothing among them is left to compare.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Words = NDArray[np.uint64]

LISTED = 10_000
"""Pairs that are listed at most; all are counted."""

_WORDS, _WORD_BITS = 4, 64
# A part is sorted as one number of 64 bits, with the row behind it.
_PART_BITS = 32
# Rows equal in a part: up to so many, all such together, in a few passes over the whole; from there on one by one.
_FEW, _COMPARED = 128, 2_048
# Comparisons at a time: what fits in a core's own cache.
_TILE = 1 << 18
# Where more than one pair in so many is alike in one word, all words are compared at once.
_RARE = 50
# Rows that look like one of them must be so many, and such a share of the rows at hand, to be taken out at once.
_DENSE, _DENSE_SHARE = 4_096, 32
_PIVOTS, _SAMPLE = 16, 1_024
# Pairs that are counted and listed one by one: 2 seconds' work. Then only what still connects something is looked for.
_COUNTED = 5_000_000
# Pairs that are compared at most, a minute's work; what is then still to do is joined without comparing.
_AFFORDED = 50_000_000_000
# What sorting one row by one part costs, in comparisons.
_SORTED = 100
# What looking at some rows by themselves costs, in comparisons.
_LOOKED_AT = 200_000
# So many rows of other places are compared with all of a place that has nearly all rows.
_FOREIGN = 256
_EDGES_KEPT = 1 << 20


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
        different: (k, 2) pairs that do not look alike, whatever their hashes say.
        listed: pairs to list at most.
    """
    apart = np.zeros((0, 2), np.int64) if different is None else np.asarray(different, np.int64).reshape(-1, 2)
    search = _Search(_Rows.of(looks, has_looks, place, apart), near_bits, listed)
    search.run()
    return search.result()


@dataclass(frozen=True, slots=True)
class _Rows:
    """The different hashes, with the pictures that have each.

    A picture that was declared different from another has a row of its own, for what holds of it does not hold of
    others with the same hash.
    """

    words: Words
    pictures: Indices  # those of the rows, row by row, and in a row by place
    first: Indices  # of each row, into `pictures`; one more for the end
    smallest: Indices  # each row's smallest picture
    alone: NDArray[np.bool_]
    place: Indices  # of each picture in `pictures`, from 0 on
    places: int
    entry: Indices  # the rows' different places as row * places + place, ascending
    entry_weight: Indices  # pictures of each entry
    first_entry: Indices  # of each row, into `entry`; one more for the end
    different: Indices  # pairs of pictures, smaller * pictures + larger, ascending
    n: int

    @classmethod
    def of(cls, looks: Words, has_looks: NDArray[np.bool_], place: Indices, different: Indices) -> "_Rows":
        n = looks.shape[0]
        seen = np.flatnonzero(has_looks)
        codes, place = np.unique(place[seen], return_inverse=True)
        alone = np.zeros(n, bool)
        alone[different] = True
        tag = np.where(alone, np.arange(n), -1)[seen]
        hashes = looks[seen]
        order = np.lexsort((place, tag, *hashes.T))
        hashes, tag = hashes[order], tag[order]
        new = np.ones(seen.size, bool)
        new[1:] = (hashes[1:] != hashes[:-1]).any(axis=1) | (tag[1:] != tag[:-1])
        first = np.flatnonzero(new)
        pictures, place = seen[order], place[order].astype(np.int64)
        places = max(1, codes.size)
        entry = (np.cumsum(new) - 1) * places + place
        new_entry = np.ones(seen.size, bool)
        new_entry[1:] = entry[1:] != entry[:-1]
        at = np.flatnonzero(new_entry)
        low, high = different.min(axis=1, initial=n), different.max(axis=1, initial=0)
        return cls(
            words=hashes[first],
            pictures=pictures,
            first=np.append(first, seen.size),
            smallest=np.minimum.reduceat(pictures, first) if first.size else pictures,
            alone=tag[first] >= 0,
            place=place,
            places=places,
            entry=entry[at],
            entry_weight=np.diff(np.append(at, seen.size)),
            first_entry=np.append(np.searchsorted(at, first), at.size),
            different=np.unique(low * n + high),
            n=n,
        )


class _Search:
    """One search: what it has found, and what it has spent."""

    def __init__(self, rows: _Rows, near_bits: int, listed: int) -> None:
        self._rows = rows
        self._near = near_bits
        self._listed = listed
        self._words = rows.words
        self._weight = np.diff(rows.first)
        self._entries = np.diff(rows.first_entry)
        # The place of a row whose pictures are all in one, or a number of its own that is no place.
        own = np.arange(rows.words.shape[0]) + rows.places
        only = rows.entry[rows.first_entry[:-1]] % rows.places if own.size else own
        self._place = np.where(self._entries == 1, only, own)
        self._root = np.arange(own.size)
        self._edges: list[Indices] = []
        self._edges_kept = 0
        self._pairs: list[Indices] = []
        self._pairs_kept = 0
        self._farthest = near_bits
        self._count = 0
        self._hits = 0
        self._compared = 0
        self._unseen = np.zeros(own.size, bool)
        self._counted_all = True

    def run(self) -> None:
        """Look at everything."""
        self._equal_hashes()
        # What is in one place needs no connecting.
        row, place = np.divmod(self._rows.entry, self._rows.places)
        self._add_edges(*row[equal_codes(place)].T)
        nothing = np.zeros((0, _WORDS), np.uint64)
        self._search(np.arange(self._root.size), nothing, 0)
        self._connect()

    def result(self) -> NearDuplicates:
        """What was found."""
        rows = self._rows
        head = rows.smallest[np.repeat(self._root, self._weight)]
        linked = head != rows.pictures
        return NearDuplicates(
            links=np.column_stack((rows.pictures[linked], head[linked])),
            pairs=self._list(),
            count=self._count,
            counted_all=self._counted_all,
            joined_unseen=int(self._weight[self._unseen].sum()),
        )

    # What is found

    def _equal_hashes(self) -> None:
        """Count the pairs that share a row: those of one place among them are none."""
        rows = self._rows
        if not self._root.size:
            return
        squares = np.add.reduceat(rows.entry_weight**2, rows.first_entry[:-1])
        count = (self._weight**2 - squares) // 2
        self._count += int(count.sum())
        shared = np.flatnonzero(count)
        self._keep(np.zeros(shared.size, np.int64), shared, shared)

    def _found(self, one: Indices, other: Indices, masks: Words) -> Indices:
        """Take in pairs of rows that may be near each other; those that are and were not declared different.

        Args:
            one: the one rows.
            other: the other rows.
            masks: pairs equal in any of these bits are found elsewhere.

        Returns:
            Positions of those pairs that connect: also of those found elsewhere, but of none within one place.
        """
        place = self._place[one]
        given = np.flatnonzero((place != self._place[other]) | (place >= self._rows.places))
        if given.size < one.size:
            one, other = one[given], other[given]
        apart = self._words[one] ^ self._words[other]
        distance = np.bitwise_count(apart).sum(axis=1, dtype=np.int64)
        near = distance <= self._near
        both = near & self._rows.alone[one] & self._rows.alone[other]
        if both.any():
            at = np.flatnonzero(both)
            near[at[self._declared_different(one[at], other[at])]] = False
        held = np.flatnonzero(near)
        fresh = held
        for mask in masks:
            fresh = fresh[((apart[fresh] & mask) != 0).any(axis=1)]
        one, other, distance = one[fresh], other[fresh], distance[fresh]
        if self._exhausted():
            useful = self._root[one] != self._root[other]
            one, other, distance = one[useful], other[useful], distance[useful]
        self._hits += one.size
        self._add_edges(one, other)
        self._tally(one, other, distance)
        return given[held]

    def _declared_different(self, one: Indices, other: Indices) -> NDArray[np.bool_]:
        a, b = self._rows.smallest[one], self._rows.smallest[other]
        key = np.minimum(a, b) * self._rows.n + np.maximum(a, b)
        at = np.minimum(np.searchsorted(self._rows.different, key), self._rows.different.size - 1)
        return np.asarray(self._rows.different[at] == key)

    def _tally(self, one: Indices, other: Indices, distance: Indices) -> None:
        count = self._weight[one] * self._weight[other]
        single = (self._place[one] < self._rows.places) & (self._place[other] < self._rows.places)
        count[single & (self._place[one] == self._place[other])] = 0
        several = np.flatnonzero(~single)
        for at in np.array_split(several, several.size // 4_096 + 1):
            count[at] -= self._in_same_place(one[at], other[at])
        self._count += int(count.sum())
        kept = np.flatnonzero(count)
        self._keep(distance[kept], one[kept], other[kept])

    def _in_same_place(self, one: Indices, other: Indices) -> Indices:
        """For each pair of rows, how many of its pairs of pictures are in the same place."""
        rows = self._rows
        fewer, more = np.where(self._entries[one] <= self._entries[other], (one, other), (other, one))
        length = self._entries[fewer]
        pair = np.repeat(np.arange(one.size), length)
        step = np.arange(pair.size) - np.repeat(np.cumsum(length) - length, length)
        at = rows.first_entry[fewer][pair] + step
        wanted = more[pair] * rows.places + rows.entry[at] % rows.places
        there = np.minimum(np.searchsorted(rows.entry, wanted), rows.entry.size - 1)
        pictures = np.where(rows.entry[there] == wanted, rows.entry_weight[at] * rows.entry_weight[there], 0)
        result = np.zeros(one.size, np.int64)
        np.add.at(result, pair, pictures)
        return result

    def _keep(self, distance: Indices, one: Indices, other: Indices) -> None:
        """Keep the closest pairs for the list."""
        close = distance <= self._farthest
        distance, one, other = distance[close], one[close], other[close]
        self._pairs.append(np.column_stack((distance, one, other)))
        self._pairs_kept += distance.size
        if self._pairs_kept > 8 * self._listed + 1_000:
            self._closest()

    def _closest(self) -> Indices:
        pairs = np.concatenate(self._pairs) if self._pairs else np.zeros((0, 3), np.int64)
        a, b = self._rows.smallest[pairs[:, 1]], self._rows.smallest[pairs[:, 2]]
        order = np.lexsort((np.maximum(a, b), np.minimum(a, b), pairs[:, 0]))[: self._listed]
        self._pairs = [pairs[order]]
        self._pairs_kept = order.size
        if order.size == self._listed:
            self._farthest = int(pairs[order[-1], 0]) if order.size else -1
        return self._pairs[0]

    def _list(self) -> Indices:
        """The pairs of pictures behind the kept pairs of rows."""
        rows, listed, room = self._rows, [], self._listed
        kept = self._closest()
        plain = (self._weight[kept[:, 1]] == 1) & (self._weight[kept[:, 2]] == 1)
        smallest = rows.smallest[kept[:, 1:]]
        for place in np.flatnonzero(~plain):
            distance, one, other = (int(value) for value in kept[place])
            for at in range(rows.first[one], rows.first[one + 1]):
                start = at + 1 if one == other else rows.first[other]
                others = slice(start, rows.first[other + 1])
                partners = rows.pictures[others][rows.place[others] != rows.place[at]][:room]
                listed.append(np.column_stack((np.full_like(partners, rows.pictures[at]), partners)))
                listed[-1] = np.column_stack((np.sort(listed[-1], axis=1), np.full_like(partners, distance)))
                room -= partners.size
                if room <= 0:
                    break
            if room <= 0:
                break
        listed.append(np.column_stack((np.sort(smallest[plain], axis=1), kept[plain, 0])))
        pairs = np.concatenate(listed)
        return pairs[np.lexsort((pairs[:, 1], pairs[:, 0], pairs[:, 2]))][: self._listed]

    # What is connected

    def _add_edges(self, one: Indices, other: Indices) -> None:
        self._edges.append(np.column_stack((one, other)))
        self._edges_kept += one.size
        if self._edges_kept > _EDGES_KEPT:
            self._connect()

    def _connect(self) -> None:
        """Take what was found into the roots."""
        edges, self._edges, self._edges_kept = self._edges, [], 0
        if edges:
            unite(self._root, np.concatenate(edges))

    # Where it is looked for

    def _search(self, rows: Indices, masks: Words, depth: int) -> None:
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
        if not self._exhausted():
            return False
        root = self._root[rows]
        return bool((root == root[0]).all())

    def _exhausted(self) -> bool:
        """Whether no more pairs are looked at than connect something."""
        if self._hits <= _COUNTED:
            return False
        self._counted_all = False
        return True

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
            near = place[self._distances(row, place) <= self._near]
            self._found(np.full_like(near, row), near, masks)

    def _compare(self, rows: Indices, masks: Words) -> None:
        """Compare each with each."""
        self._compared += rows.size**2 // 2 + _LOOKED_AT
        words = self._words[rows]
        word = np.ascontiguousarray(words[:, self._telling(words)])
        step = max(1, _TILE // rows.size)
        for start in range(0, rows.size, step):
            tile = word[start : start + step]
            alike = np.bitwise_count(tile[:, None] ^ word[None, start:]) <= self._near
            if np.count_nonzero(alike) * _RARE > alike.size:
                # One word does not tell them apart.
                apart = np.zeros(alike.shape, np.uint16)
                for column in range(_WORDS):
                    apart += np.bitwise_count(words[start : start + step, None, column] ^ words[None, start:, column])
                alike = apart <= self._near
            # Most often nothing is found but each row itself.
            one, other = np.divmod(np.flatnonzero(alike), word.size - start)
            later = other > one
            if later.any() and self._exhausted():
                later &= self._root[rows[start + one]] != self._root[rows[start + other]]
            if later.any():
                self._found(rows[start + one[later]], rows[start + other[later]], masks)

    @staticmethod
    def _telling(words: Words) -> int:
        """The word in which rows differ most."""
        sample = words[:: max(1, words.shape[0] // 256)]
        return int(np.bitwise_count(sample[1:] ^ sample[:-1]).sum(axis=0, dtype=np.int64).argmax())

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
        distance = self._distances(pivot, rows)
        # One in their midst has more of them near.
        ball = rows[distance <= self._near]
        sample = self._words[ball[:: max(1, ball.size // 4_096)]]
        usual = _bit_counts(sample) * 2 > sample.shape[0]
        middle = np.packbits(usual, bitorder="little").view("<u8").astype(np.uint64)
        free_ball = ball[~self._rows.alone[ball]]
        centre = int(free_ball[np.bitwise_count(self._words[free_ball] ^ middle).sum(axis=1, dtype=np.int64).argmin()])
        closer = self._distances(centre, rows)
        if (closer <= self._near).sum() > ball.size:
            pivot, distance = centre, closer
        return (pivot, distance) if (distance <= self._near).sum() >= _DENSE else None

    def _distances(self, row: int, rows: Indices) -> NDArray[np.uint8]:
        distance = np.zeros(rows.size, np.uint16)
        for word in range(_WORDS):
            distance += np.bitwise_count(self._words[rows, word] ^ self._words[row, word])
        return np.minimum(distance, 255).astype(np.uint8)

    def _take_out(self, rows: Indices, pivot: int, distance: NDArray[np.uint8], masks: Words) -> Indices:
        """Connect those near one row, and what is near any of them; the rows that remain."""
        inside = distance <= self._near
        ball, rest = rows[inside], rows[~inside]
        others = ball[ball != pivot]
        self._found(np.full_like(others, pivot), others, masks)
        # None that is farther from the one is near any that is near it.
        shell = rest[distance[~inside] <= int(distance[inside].max()) + self._near]
        place = self._place[ball]
        if (place == place[0]).all() and place[0] < self._rows.places:
            shell = shell[self._place[shell] != place[0]]
        else:
            self._counted_all = False
        self._across(ball, shell, masks)
        return rest

    def _across(self, ball: Indices, shell: Indices, masks: Words) -> None:
        """Find which rows of a shell are near any of the connected ones of a ball."""
        if ball.size * shell.size + self._compared > _AFFORDED:
            self._join_unseen(np.append(ball[:1], shell))
            return
        words = self._words[ball]
        telling = self._telling(words)
        start = 0
        while start < ball.size and shell.size:
            step = max(1, _TILE // shell.size)
            tile = words[start : start + step, telling]
            self._compared += tile.size * shell.size
            word = self._words[shell, telling]
            alike = np.bitwise_count(tile[:, None] ^ word[None]) <= self._near
            one, other = np.divmod(np.flatnonzero(alike), shell.size)
            if one.size:
                held = self._found(ball[start + one], shell[other], masks)
                self._counted_all &= not held.size
                left = np.ones(shell.size, bool)
                left[other[held]] = False
                shell = shell[left]
            start += step

    def _join_unseen(self, rows: Indices) -> None:
        self._unseen[rows] = True
        self._counted_all = False
        self._add_edges(np.full(rows.size - 1, rows[0]), rows[1:])

    def _part(self, rows: Indices, masks: Words, depth: int) -> None:
        """Compare those that are equal in one of the parts of their bits."""
        if depth and self._compared > _AFFORDED:
            self._join_unseen(rows)
            return
        words = self._words[rows]
        parts = _parts(words, self._near + 1)
        part_masks = np.array([_mask(part) for part in parts], np.uint64)
        for place, part in enumerate(parts):
            order, starts, sizes = _buckets(words, part)
            self._compared += _SORTED * rows.size + _LOOKED_AT
            if place == 0 and _cost(sizes, rows.size, len(parts)) > rows.size**2 / 2:
                # They agree in so much that parting them saves nothing.
                if rows.size**2 // 2 + self._compared <= _AFFORDED:
                    self._compare(rows, masks)
                    return
                if depth:
                    self._join_unseen(rows)
                    return
            elsewhere = np.concatenate((masks, part_masks[:place]))
            self._compare_buckets(rows[order], starts, sizes, elsewhere, depth)

    def _compare_buckets(self, rows: Indices, starts: Indices, sizes: Indices, masks: Words, depth: int) -> None:
        starts, sizes = self._of_several_places(rows, starts, sizes)
        starred = self._exhausted()
        if starred:
            starts, sizes = self._undone(rows, starts, sizes)
        few = sizes <= _FEW
        self._compare_few(rows, starts[few], sizes[few], masks)
        starts, sizes = starts[~few], sizes[~few]
        for place, (start, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
            if not starred and self._exhausted():
                self._compare_buckets(rows, starts[place:], sizes[place:], masks, depth)
                return
            self._search(rows[start : start + size], masks, depth + 1)

    def _compare_few(self, rows: Indices, starts: Indices, sizes: Indices, masks: Words) -> None:
        """Compare each with each in every one of many small buckets, all buckets at once."""
        positions = _spread(starts, sizes)
        word = self._words[rows[positions], self._telling(self._words[rows[positions[:: positions.size // 256 + 1]]])]
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
            if found.size and self._exhausted():
                if root is None:
                    self._undone(rows, starts, sizes)
                    root = self._root[rows[positions]]
                found = found[root[found] != root[found + step]]
            if found.size:
                self._found(rows[positions[found]], rows[positions[found + step]], masks)

    def _of_several_places(self, rows: Indices, starts: Indices, sizes: Indices) -> tuple[Indices, Indices]:
        """The buckets that are not wholly in one place; a row in several places has a number of its own."""
        if not starts.size:
            return starts, sizes
        place = self._place[rows[_spread(starts, sizes)]]
        at = np.cumsum(sizes) - sizes
        several = np.minimum.reduceat(place, at) != np.maximum.reduceat(place, at)
        return starts[several], sizes[several]

    def _undone(self, rows: Indices, starts: Indices, sizes: Indices) -> tuple[Indices, Indices]:
        """Connect what is near some rows of each bucket; the buckets that are then not wholly connected."""
        if not starts.size:
            return starts, sizes
        inside = rows[_spread(starts, sizes)]
        for share in range(4):
            one = np.repeat(rows[starts + sizes * share // 4], sizes)
            self._connect()
            apart = np.flatnonzero(self._root[one] != self._root[inside])
            for at in np.array_split(apart, apart.size // _TILE + 1):
                self._found(one[at], inside[at], np.zeros((0, _WORDS), np.uint64))
        self._connect()
        root = self._root[inside]
        at = np.cumsum(sizes) - sizes
        split = np.minimum.reduceat(root, at) != np.maximum.reduceat(root, at)
        return starts[split], sizes[split]


def unite(root: Indices, edges: Indices) -> None:
    """Join components, in place.

    Args:
        root: (n,) for each member the smallest of its component; afterwards those of the joined components.
        edges: (m, 2) pairs of members to join.
    """
    one, other = root[edges[:, 0]], root[edges[:, 1]]
    while True:
        apart = one != other
        one, other = one[apart], other[apart]
        if not one.size:
            return
        # Each root that has a smaller neighbour follows the smallest: of every joined component at least half go.
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while True:
            further = root[root]
            if np.array_equal(further, root):
                break
            root[:] = further
        one, other = root[one], root[other]


def equal_codes(codes: Indices) -> Indices:
    """(m, 2) pairs that connect all members with an equal code; a code below 0 is equal to none."""
    known = np.flatnonzero(codes >= 0)
    order = known[np.argsort(codes[known], kind="stable")]
    equal = codes[order[1:]] == codes[order[:-1]]
    return np.column_stack((order[:-1][equal], order[1:][equal]))


def _bit_counts(words: Words) -> Indices:
    """In how many rows each of the 256 bits is set."""
    octets = np.ascontiguousarray(words).astype("<u8").view(np.uint8)
    return np.asarray(np.unpackbits(octets, axis=1, bitorder="little").sum(axis=0, dtype=np.int64))


def _parts(words: Words, number: int) -> list[list[int]]:
    """The bits in so many parts that differ about equally often, those that differ most first in each."""
    sample = words[:: max(1, words.shape[0] // 16_384)]
    counts = _bit_counts(sample)
    even = np.minimum(counts, sample.shape[0] - counts)
    order = np.argsort(-even, kind="stable").tolist()
    parts: list[list[int]] = [[] for _ in range(number)]
    for place, bit in enumerate(order):
        turn, seat = divmod(place, number)
        # Back and forth, so that no part has the better bit each time.
        parts[seat if turn % 2 == 0 else number - 1 - seat].append(bit)
    return [part[:_PART_BITS] for part in parts]


def _mask(part: list[int]) -> list[int]:
    mask = [0] * _WORDS
    for bit in part:
        mask[bit // _WORD_BITS] |= 1 << bit % _WORD_BITS
    return mask


def _buckets(words: Words, part: list[int]) -> tuple[Indices, Indices, Indices]:
    """Order rows by a part of their bits: the order, and start and size of each run of at least two equal ones."""
    key = np.zeros(words.shape[0], np.uint64)
    for bit in part:
        key <<= np.uint64(1)
        key |= (words[:, bit // _WORD_BITS] >> np.uint64(bit % _WORD_BITS)) & np.uint64(1)
    key <<= np.uint64(32)
    key |= np.arange(words.shape[0], dtype=np.uint64)
    key.sort()
    order = (key & np.uint64(0xFFFFFFFF)).astype(np.int64)
    key >>= np.uint64(32)
    new = np.ones(key.size, bool)
    new[1:] = key[1:] != key[:-1]
    starts = np.flatnonzero(new)
    sizes = np.diff(np.append(starts, key.size))
    several = sizes > 1
    return order, starts[several], sizes[several]


def _cost(sizes: Indices, rows: int, parts: int) -> float:
    """What parting will cost, in comparisons, if all parts are like one with buckets of these sizes."""
    pairs = float((sizes.astype(np.float64) ** 2).sum()) / 2
    several, many = int((sizes > _FEW).sum()), int((sizes > _COMPARED).sum())
    return parts * (pairs + _SORTED * rows + _LOOKED_AT * (several + parts * many))


def _spread(starts: Indices, sizes: Indices) -> Indices:
    """All positions of some runs, run after run."""
    return np.repeat(starts - (np.cumsum(sizes) - sizes), sizes) + np.arange(int(sizes.sum()))
