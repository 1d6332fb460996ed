"""Pairs of pictures that look alike, as they are found: the different hashes, what connects them, and the closest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.training.components import Components, Indices, equal_codes
from nachet_pipeline.training.hash_parts import Words, spread

# Pairs that are counted and listed one by one: 2 seconds' work. Then only what still connects something is looked for.
_COUNTED = 5_000_000


@dataclass(frozen=True, slots=True)
class HashRows:
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
    weight: Indices  # pictures of each row
    entries: Indices  # different places of each row
    only_place: Indices  # of each row the place that all its pictures are in, or a number of its own that is no place

    @classmethod
    def of(cls, looks: Words, has_looks: NDArray[np.bool_], place: Indices, different: Indices) -> "HashRows":
        """Sort the pictures by their hashes; the arguments are those of `near_duplicates`."""
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
        first, first_entry = np.append(first, seen.size), np.append(np.searchsorted(at, first), at.size)
        entry, entries = entry[at], np.diff(first_entry)
        own = np.arange(entries.size) + places
        only = entry[first_entry[:-1]] % places if own.size else own
        low, high = different.min(axis=1, initial=n), different.max(axis=1, initial=0)
        return cls(
            words=hashes[first[:-1]],
            pictures=pictures,
            first=first,
            smallest=np.minimum.reduceat(pictures, first[:-1]) if own.size else pictures,
            alone=tag[first[:-1]] >= 0,
            place=place,
            places=places,
            entry=entry,
            entry_weight=np.diff(np.append(at, seen.size)),
            first_entry=first_entry,
            different=np.unique(low * n + high),
            n=n,
            weight=np.diff(first),
            entries=entries,
            only_place=np.where(entries == 1, only, own),
        )

    def declared_different(self, one: Indices, other: Indices) -> NDArray[np.bool_]:
        """Which pairs of rows were declared different; each of them has one picture."""
        a, b = self.smallest[one], self.smallest[other]
        key = np.minimum(a, b) * self.n + np.maximum(a, b)
        at = np.minimum(np.searchsorted(self.different, key), self.different.size - 1)
        return np.asarray(self.different[at] == key)

    def in_same_place(self, one: Indices, other: Indices) -> Indices:
        """For each pair of rows, how many of its pairs of pictures are in the same place."""
        fewer, more = np.where(self.entries[one] <= self.entries[other], (one, other), (other, one))
        length = self.entries[fewer]
        pair = np.repeat(np.arange(one.size), length)
        at = spread(self.first_entry[fewer], length)
        wanted = more[pair] * self.places + self.entry[at] % self.places
        there = np.minimum(np.searchsorted(self.entry, wanted), self.entry.size - 1)
        pictures = np.where(self.entry[there] == wanted, self.entry_weight[at] * self.entry_weight[there], 0)
        result = np.zeros(one.size, np.int64)
        np.add.at(result, pair, pictures)
        return result


class ClosestPairs:
    """The closest pairs of rows, as many as are to be listed."""

    def __init__(self, rows: HashRows, most: int, farthest: int) -> None:
        self._rows = rows
        self.most = most
        self._kept: list[Indices] = []
        self._number = 0
        self._farthest = farthest

    def keep(self, distance: Indices, one: Indices, other: Indices) -> None:
        """Take in pairs, of which some may be among the closest."""
        close = distance <= self._farthest
        distance, one, other = distance[close], one[close], other[close]
        self._kept.append(np.column_stack((distance, one, other)))
        self._number += distance.size
        if self._number > 8 * self.most + 1_000:
            self._closest()

    def _closest(self) -> Indices:
        pairs = np.concatenate(self._kept) if self._kept else np.zeros((0, 3), np.int64)
        a, b = self._rows.smallest[pairs[:, 1]], self._rows.smallest[pairs[:, 2]]
        pairs = pairs[np.lexsort((np.maximum(a, b), np.minimum(a, b), pairs[:, 0]))[: self.most]]
        self._kept, self._number = [pairs], len(pairs)
        if len(pairs) == self.most:
            self._farthest = int(pairs[-1, 0]) if len(pairs) else -1
        return pairs

    def pictures(self) -> Indices:
        """The pairs of pictures behind the kept pairs of rows."""
        rows, listed, room = self._rows, [], self.most
        kept = self._closest()
        plain = (rows.weight[kept[:, 1]] == 1) & (rows.weight[kept[:, 2]] == 1)
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
        return pairs[np.lexsort((pairs[:, 1], pairs[:, 0], pairs[:, 2]))][: self.most]


class FoundPairs:
    """The pairs that were found so far: counted, the closest of them listed, and all of them connected."""

    def __init__(self, rows: HashRows, near_bits: int, listed: int) -> None:
        self.rows = rows
        self.near = near_bits
        self.components = Components(rows.weight.size)
        self.closest = ClosestPairs(rows, listed, near_bits)
        self.count = 0
        self.counted_all = True
        self._hits = 0
        self._unseen = np.zeros(rows.weight.size, bool)

    def take_equal(self) -> None:
        """Take in the pairs that share a row, and connect what is in one place: that needs no comparing."""
        rows = self.rows
        row, place = np.divmod(rows.entry, rows.places)
        self.components.add(*row[equal_codes(place)].T)
        if not rows.weight.size:
            return
        squares = np.add.reduceat(rows.entry_weight**2, rows.first_entry[:-1])
        count = (rows.weight**2 - squares) // 2
        self.count += int(count.sum())
        shared = np.flatnonzero(count)
        self.closest.keep(np.zeros(shared.size, np.int64), shared, shared)

    def exhausted(self) -> bool:
        """Whether so many were found that only pairs that connect something are still looked for."""
        if self._hits <= _COUNTED:
            return False
        self.counted_all = False
        return True

    def take(self, one: Indices, other: Indices, masks: Words) -> Indices:
        """Take in pairs of rows that may be near each other; those that are and were not declared different.

        Args:
            one: the one rows.
            other: the other rows.
            masks: pairs equal in any of these bits are found elsewhere.

        Returns:
            Positions of those pairs that connect: also of those found elsewhere, but of none within one place.
        """
        place = self.rows.only_place[one]
        given = np.flatnonzero((place != self.rows.only_place[other]) | (place >= self.rows.places))
        if given.size < one.size:
            one, other = one[given], other[given]
        apart = self.rows.words[one] ^ self.rows.words[other]
        distance = np.bitwise_count(apart).sum(axis=1, dtype=np.int64)
        near = distance <= self.near
        both = near & self.rows.alone[one] & self.rows.alone[other]
        if both.any():
            at = np.flatnonzero(both)
            near[at[self.rows.declared_different(one[at], other[at])]] = False
        held = np.flatnonzero(near)
        fresh = held
        for mask in masks:
            fresh = fresh[((apart[fresh] & mask) != 0).any(axis=1)]
        one, other, distance = one[fresh], other[fresh], distance[fresh]
        if self.exhausted():
            useful = self.components.apart(one, other)
            one, other, distance = one[useful], other[useful], distance[useful]
        self._hits += one.size
        self.components.add(one, other)
        self._tally(one, other, distance)
        return given[held]

    def _tally(self, one: Indices, other: Indices, distance: Indices) -> None:
        count = self.rows.weight[one] * self.rows.weight[other]
        single = (self.rows.only_place[one] < self.rows.places) & (self.rows.only_place[other] < self.rows.places)
        count[single & (self.rows.only_place[one] == self.rows.only_place[other])] = 0
        several = np.flatnonzero(~single)
        for at in np.array_split(several, several.size // 4_096 + 1):
            count[at] -= self.rows.in_same_place(one[at], other[at])
        self.count += int(count.sum())
        kept = np.flatnonzero(count)
        self.closest.keep(distance[kept], one[kept], other[kept])

    def join_unseen(self, rows: Indices) -> None:
        """Connect rows without comparing them, and count them."""
        self._unseen[rows] = True
        self.counted_all = False
        self.components.add(np.full(rows.size - 1, rows[0]), rows[1:])

    def joined_unseen(self) -> int:
        """How many pictures were connected without comparing them."""
        return int(self.rows.weight[self._unseen].sum())

    def links(self) -> Indices:
        """(m, 2) pairs of pictures that connect all that is connected."""
        rows = self.rows
        head = rows.smallest[np.repeat(self.components.root, rows.weight)]
        linked = head != rows.pictures
        return np.column_stack((rows.pictures[linked], head[linked]))
