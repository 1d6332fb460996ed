"""On which side of a training set each group of pictures is.

Every group has a number that a hash draws from the seed and the contents of its photographs. In the order of these
numbers a class's groups fill one split after the other, each as far as its fraction asks. So the sides depend on
nothing else, and when pictures come or go only the groups near the borders change sides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nachet_pipeline.training.components import Indices
from nachet_pipeline.training.hash_parts import spread
from nachet_pipeline.training.identifiers import mixed, scrambled

_MILLION = 1_000_000
_FAR = 100_000
"""A split that is off by more of a class's pictures, in millionths, is noted."""


@dataclass(frozen=True, slots=True)
class SplitNote:
    """What a reader of the split must know.

    Attributes:
        code: `too_few_groups` (the class cannot be on every side), `uneven` (its groups are so large or so few that a
            split's share is more than ten percentage points off what was asked), `held_out_moved` (groups that joined
            pictures held out with others that were not: all of them are held out now) or `held_out_twice` (groups with
            pictures held out in two splits: all are in the last of these).
        label: the class, None if it is not about one.
        groups: number of groups it is about.
        pictures: number of pictures it is about.
        message: what was done, in words; the class is not named.
    """

    code: str
    label: int | None
    groups: int
    pictures: int
    message: str


@dataclass(frozen=True, slots=True)
class Splitting:
    """A split.

    Attributes:
        split: (n,) for each picture the index of its split in the order of the fractions.
        notes: what must be known of it.
    """

    split: NDArray[np.int8]
    notes: tuple[SplitNote, ...]


def split(
    group: Indices,
    label: Indices,
    *,
    fractions: Mapping[str, float],
    seed: int,
    key: NDArray[np.uint8],
    held_out: NDArray[np.int8] | None = None,
    picture: Indices | None = None,
) -> Splitting:
    """Split whole groups, each class as near to the fractions as its groups allow.

    A class whose groups are fewer than the splits is first in the first split (train), then in the last (test), then in
    those between. One with more is on every side, even if fractions suffer.

    Args:
        group: (n,) codes of the groups.
        label: (n,) codes of the classes, (m,) if pictures have several; a group can hold several too.
        fractions: the splits' names and shares, which sum up to 1; the first is the one that is trained on.
        seed: which of the many splits.
        key: (n, 16) what stays of each picture, wherever it lies: the beginning of its photograph's SHA-256.
        held_out: (n,) index of the split in which a picture was held out before, -1 for none. Its whole group goes
            there. 0, the first split, is not held out.
        picture: (m,) which picture each of the classes is of; None if each has one.

    Raises:
        ValueError: the fractions are not as they must be.
    """
    shares = _millionths(fractions)
    if not group.size:
        return Splitting(np.zeros(0, np.int8), ())
    groups = _Groups.of(group, label, key, seed, picture)
    splitter = _Splitter(groups, shares)
    notes = splitter.hold_out(held_out) if held_out is not None else []
    splitter.fill()
    names = list(fractions)
    notes += splitter.notes(names)
    return Splitting(splitter.side[groups.of_picture].astype(np.int8), tuple(notes))


def _millionths(fractions: Mapping[str, float]) -> Indices:
    shares = np.array([round(share * _MILLION) for share in fractions.values()], np.int64)
    if not shares.size or (shares < 0).any() or shares[0] == 0 or abs(int(shares.sum()) - _MILLION) > shares.size:
        raise ValueError(f"fractions must not be negative, the first not be 0, and their sum must be 1: {fractions}")
    # What is lost by rounding is trained on.
    shares[0] += _MILLION - shares.sum()
    return shares


@dataclass(frozen=True, slots=True)
class _Groups:
    """The groups in the order of their numbers, and how many pictures of each class they hold."""

    of_picture: Indices
    count: int
    labels: Indices  # the classes' codes
    group: Indices  # of each entry (group, class), ascending
    label: Indices
    weight: Indices  # pictures
    first: Indices  # entry of each group; one more for the end

    @classmethod
    def of(
        cls, group: Indices, label: Indices, key: NDArray[np.uint8], seed: int, picture: Indices | None
    ) -> "_Groups":
        codes, inverse = np.unique(group, return_inverse=True)
        number, second = _numbers(key, seed)
        # A group's number is its pictures' smallest: it stays, most often, when a picture is added.
        by_number = np.lexsort((second, number))
        place = np.empty(group.size, np.int64)
        place[by_number] = np.arange(group.size)
        smallest = np.full(codes.size, group.size)
        np.minimum.at(smallest, inverse, place)
        rank = np.empty(codes.size, np.int64)
        rank[np.argsort(smallest)] = np.arange(codes.size)
        of_picture = rank[inverse]
        labels, of_label = np.unique(label, return_inverse=True)
        of_class = of_picture if picture is None else of_picture[picture]
        entry, weight = np.unique(of_class * labels.size + of_label, return_counts=True)
        groups, entry_label = np.divmod(entry, labels.size)
        first = np.searchsorted(groups, np.arange(codes.size + 1))
        return cls(of_picture, codes.size, labels, groups, entry_label, weight.astype(np.int64), first)

    def entries(self, groups: Indices) -> Indices:
        """The entries of some groups."""
        sizes = self.first[groups + 1] - self.first[groups]
        return spread(self.first[groups], sizes)


def _numbers(key: NDArray[np.uint8], seed: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Two numbers of 64 bits for each picture, drawn from its key and the seed: the same on every machine."""
    number = mixed(key, seed)
    return number, scrambled(number ^ np.ascontiguousarray(key[:, :8]).view(">u8").ravel().astype(np.uint64))


@dataclass(slots=True)
class _Splitter:
    """A split in the making: each group's side, -1 as long as it has none."""

    groups: _Groups
    shares: Indices
    side: Indices = field(init=False)
    fixed: NDArray[np.bool_] = field(init=False)
    filled: Indices = field(init=False)  # (classes, splits) pictures
    standing: Indices = field(init=False)  # (classes, splits) groups

    def __post_init__(self) -> None:
        self.side = np.full(self.groups.count, -1, np.int64)
        self.fixed = np.zeros(self.groups.count, bool)
        self.filled = np.zeros((self.groups.labels.size, self.shares.size), np.int64)
        self.standing = np.zeros_like(self.filled)

    def hold_out(self, held_out: NDArray[np.int8]) -> list[SplitNote]:
        """Put the groups of pictures that were held out where these were."""
        of_picture = self.groups.of_picture
        held = held_out > 0
        if held_out.max(initial=-1) >= self.shares.size:
            raise ValueError(f"a picture was held out in split {held_out.max()}, there are {self.shares.size}")
        last = np.full(self.groups.count, -1, np.int64)
        np.maximum.at(last, of_picture[held], held_out[held])
        groups = np.flatnonzero(last > 0)
        self._put(groups, last[groups])
        self.fixed[groups] = True
        notes = []
        moved = np.flatnonzero((last[of_picture] > 0) & ~held)
        if moved.size:
            what = "share a group with pictures held out before, and are held out with them"
            notes.append(_note("held_out_moved", of_picture[moved], what))
        twice = np.flatnonzero(held & (held_out != last[of_picture]))
        if twice.size:
            what = "were held out in one split and share a group with pictures held out in a later one: they are there"
            notes.append(_note("held_out_twice", of_picture[twice], what))
        return notes

    def fill(self) -> None:
        """Put every group somewhere."""
        groups = self.groups
        among = np.bincount(groups.label, minlength=groups.labels.size)
        total = np.bincount(groups.label, groups.weight, groups.labels.size).astype(np.int64)
        # A group counts for its rarest class: the others have more groups to make up for it.
        rarest = np.lexsort((np.arange(among.size), total, among))
        rarity = np.empty(among.size, np.int64)
        rarity[rarest] = np.arange(among.size)
        home = np.minimum.reduceat(rarity[groups.label], groups.first[:-1])
        own = np.flatnonzero(home[groups.group] == rarity[groups.label])
        own = own[np.argsort(groups.label[own], kind="stable")]
        starts = np.searchsorted(groups.label[own], np.arange(among.size + 1))
        for label in rarest.tolist():
            entries = own[starts[label] : starts[label + 1]]
            entries = entries[self.side[groups.group[entries]] < 0]
            self._fill_class(label, int(total[label]), groups.group[entries], groups.weight[entries])
        for label in rarest.tolist():
            self._be_everywhere(label)

    def _put(self, groups: Indices, side: Indices) -> None:
        entries = self.groups.entries(groups)
        sides = np.repeat(side, self.groups.first[groups + 1] - self.groups.first[groups])
        for before in np.flatnonzero(self.side[self.groups.group[entries]] >= 0):
            entry = entries[before]
            old = self.side[self.groups.group[entry]]
            self.filled[self.groups.label[entry], old] -= self.groups.weight[entry]
            self.standing[self.groups.label[entry], old] -= 1
        np.add.at(self.filled, (self.groups.label[entries], sides), self.groups.weight[entries])
        np.add.at(self.standing, (self.groups.label[entries], sides), 1)
        self.side[groups] = side

    def _needs(self, label: int, total: int) -> Indices:
        """Pictures that the splits still lack of a class, in millionths."""
        return np.asarray(np.maximum(0, self.shares * total - self.filled[label] * _MILLION))

    def _fill_class(self, label: int, total: int, groups: Indices, weight: Indices) -> None:
        """Put a class's groups, which come in the order of their numbers."""
        # A group larger than the smallest split goes where most is lacking, before all others.
        smallest = int(self.shares[self.shares > 0].min()) * total
        large = weight * _MILLION > smallest
        for at in np.flatnonzero(large)[np.argsort(-weight[large], kind="stable")]:
            self._put(groups[at : at + 1], np.array([self._needs(label, total).argmax()]))
        groups, weight = groups[~large], weight[~large]
        if not groups.size:
            return
        needs = [int(need) for need in self._needs(label, total)]
        whole = int(weight.sum())
        # Twice the pictures up to a border, and up to the middle of each group.
        borders = [2 * whole * sum(needs[: place + 1]) // sum(needs) for place in range(len(needs))]
        middle = 2 * np.cumsum(weight) - weight
        self._put(groups, np.searchsorted(np.array(borders, np.int64), middle, side="right"))

    def _be_everywhere(self, label: int) -> None:
        """Bring a class to every side that has none of it, while it has groups to spare."""
        wanted = np.flatnonzero(self.shares > 0)
        for lacking in [0, *wanted[:0:-1].tolist()]:
            if self.standing[label, lacking]:
                continue
            found = self._to_spare(label, first=lacking == 0)
            if found is not None:
                self._put(np.array([found]), np.array([lacking]))

    def _to_spare(self, label: int, *, first: bool) -> int | None:
        """The smallest group of a class that can change sides without any class missing where it was."""
        groups = self.groups
        entries = np.flatnonzero(groups.label == label)
        entries = entries[~self.fixed[groups.group[entries]]]
        side = self.side[groups.group[entries]]
        # Training needs a class before all others do; and it goes to test before it does to validation.
        enough = self.standing[label][side] > 1
        if first:
            enough[:] = True
        elif not enough.any():
            between = (side > 0) & (side < self.shares.size - 1)
            enough = between & (self.standing[label, -1] == 0)
        entries = entries[enough]
        side = side[enough]
        for at in np.lexsort((groups.group[entries], groups.weight[entries], -self.filled[label][side])).tolist():
            group = int(groups.group[entries[at]])
            others = groups.label[groups.first[group] : groups.first[group + 1]]
            others = others[others != label]
            if (self.standing[others, side[at]] > 1).all():
                return group
        return None

    def notes(self, names: Sequence[str]) -> list[SplitNote]:
        """The notes about single classes."""
        notes = []
        wanted = np.flatnonzero(self.shares > 0)
        for place, label in enumerate(self.groups.labels.tolist()):
            pictures, groups = int(self.filled[place].sum()), int(self.standing[place].sum())
            has = ", ".join(
                f"{names[side]} {self.filled[place, side]}" for side in range(len(names)) if self.filled[place, side]
            )
            off = np.abs(self.filled[place] * _MILLION - self.shares * pictures).max()
            missing = [names[side] for side in wanted.tolist() if not self.standing[place, side]]
            if missing:
                what = f"{groups} group{'s' * (groups != 1)}: none in {' and '.join(missing)}; pictures: {has}"
                notes.append(SplitNote("too_few_groups", label, groups, pictures, what))
            elif off > _FAR * pictures:
                what = f"{groups} groups are too large or too few to be split as asked; pictures: {has}"
                notes.append(SplitNote("uneven", label, groups, pictures, what))
        return notes


def _note(code: str, groups: Indices, what: str) -> SplitNote:
    return SplitNote(code, None, int(np.unique(groups).size), int(groups.size), f"{groups.size} pictures {what}")
