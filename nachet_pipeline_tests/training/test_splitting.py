from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nachet_pipeline.training.splitting import Splitting, split

FRACTIONS = {"train": 0.7, "validation": 0.15, "test": 0.15}
SHARES = np.array(list(FRACTIONS.values()))


def keys(n: int, seed: int = 2026) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, 16), dtype=np.uint8)


def split_groups(sizes: list[int], labels: list[int] | None = None, **given_: object) -> Splitting:
    """Split groups of so many pictures, each of one class."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    label = np.zeros_like(group) if labels is None else np.array(labels)[group]
    return split(group, label, **{"fractions": FRACTIONS, "seed": 1, "key": keys(group.size)} | given_)


def counted(split_: NDArray[np.int8]) -> list[int]:
    return np.bincount(split_, minlength=3).tolist()


@dataclass(frozen=True)
class Drawn:
    group: NDArray[np.int64]
    label: NDArray[np.int64]
    key: NDArray[np.uint8]
    held_out: NDArray[np.int8]
    fractions: dict[str, float]
    seed: int

    def split(self, order: NDArray[np.int64] | None = None) -> Splitting:
        at = np.arange(self.group.size) if order is None else order
        return split(
            self.group[at],
            self.label[at],
            fractions=self.fractions,
            seed=self.seed,
            key=self.key[at],
            held_out=self.held_out[at],
        )


@st.composite
def drawn_sets(draw: st.DrawFn) -> Drawn:
    """Groups of one or several classes, of even or very uneven sizes, some held out before."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, groups, labels = draw(st.integers(1, 300)), draw(st.integers(1, 80)), draw(st.integers(1, 6))
    group = random.integers(0, groups, n)
    if draw(st.booleans()):
        group[: n // 2] = 0
    of_group = random.integers(0, labels, groups)
    label = random.integers(0, labels, n) if draw(st.booleans()) else of_group[group]
    held_out = random.choice(
        np.array([-1, 0, 1, 2], np.int8), n, p=draw(st.sampled_from([(1, 0, 0, 0), (0.9, 0.06, 0.02, 0.02)]))
    )
    fractions = draw(
        st.sampled_from(
            [FRACTIONS, {"train": 0.9, "validation": 0.0, "test": 0.1}, {"train": 1.0, "validation": 0.0, "test": 0.0}]
        )
    )
    return Drawn(group, label, keys(n, draw(st.integers(0, 99))), held_out, fractions, draw(st.integers(-9, 2**70)))


@settings(max_examples=150, deadline=None)
@given(drawn_sets())
def test_no_group_is_ever_on_two_sides(drawn: Drawn) -> None:
    result = drawn.split()

    sides = defaultdict(set)
    for one, side in zip(drawn.group.tolist(), result.split.tolist(), strict=True):
        sides[one].add(side)
    assert all(len(found) == 1 for found in sides.values())
    assert len(set(zip(drawn.group.tolist(), result.split.tolist(), strict=True))) == len(set(drawn.group.tolist()))
    assert set(result.split.tolist()) <= {0, 1, 2}


@settings(max_examples=100, deadline=None)
@given(drawn_sets(), st.integers(0, 2**32))
def test_the_order_of_the_pictures_and_the_numbers_of_the_groups_do_not_matter(drawn: Drawn, seed: int) -> None:
    random = np.random.default_rng(seed)
    order = random.permutation(drawn.group.size)
    renamed = Drawn(
        random.permutation(int(drawn.group.max()) + 1)[drawn.group] * 7,
        drawn.label,
        drawn.key,
        drawn.held_out,
        drawn.fractions,
        drawn.seed,
    )

    one, other = drawn.split(), renamed.split(order)

    assert np.array_equal(one.split[order], other.split)
    assert one.notes == other.notes


@settings(max_examples=100, deadline=None)
@given(drawn_sets())
def test_what_was_held_out_stays_held_out(drawn: Drawn) -> None:
    result = drawn.split()

    held = drawn.held_out > 0
    assert (result.split[held] >= drawn.held_out[held]).all()
    for one in np.unique(drawn.group[held]):
        members = drawn.group == one
        assert (result.split[members] == drawn.held_out[members].max()).all()


@settings(max_examples=100, deadline=None)
@given(drawn_sets())
def test_a_class_is_on_every_side_or_it_is_said(drawn: Drawn) -> None:
    result = drawn.split()

    said = {note.label for note in result.notes if note.code == "too_few_groups"}
    wanted = [side for side, share in enumerate(drawn.fractions.values()) if share]
    for label in np.unique(drawn.label).tolist():
        sides = set(result.split[drawn.label == label].tolist())
        assert (label in said) == (not sides.issuperset(wanted))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(20, 120), st.integers(1, 9))
def test_each_class_has_the_fractions_asked_for_within_a_group(seed: int, labels: int, groups: int, size: int) -> None:
    of_group = np.arange(groups * labels) % labels

    result = split_groups([size] * (groups * labels), of_group.tolist(), seed=seed)

    label = np.repeat(of_group, size)
    for one in range(labels):
        wanted = SHARES * groups * size
        assert np.abs(counted(result.split[label == one]) - wanted).max() <= size
    assert result.notes == ()


def greedy(group: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Iterative stratification as Sechidis and others describe it (2011), for groups: slow, and dependent on order."""
    contents = {one: Counter(label[group == one].tolist()) for one in np.unique(group).tolist()}
    total = Counter(label.tolist())
    lacking = [{one: share * count for one, count in total.items()} for share in SHARES]
    left, side = dict(contents), {}
    while left:
        among = Counter(one for content in left.values() for one in content)
        rarest = min(among, key=lambda one: (among[one], one))
        for one in sorted((one for one in left if rarest in left[one]), key=lambda one: -left[one][rarest]):
            best = max(range(3), key=lambda place: lacking[place][rarest])
            side[one] = best
            for kind, count in left.pop(one).items():
                lacking[best][kind] -= count
    return np.array([side[one] for one in group.tolist()])


def off(label: NDArray[np.int64], split_: NDArray[np.int64]) -> float:
    """How far, on average, the classes' shares are from those asked for."""
    classes = int(label.max()) + 1
    counts = np.bincount(label * 3 + split_, minlength=classes * 3).reshape(classes, 3)
    return float(np.abs(counts / counts.sum(axis=1, keepdims=True) - SHARES).mean())


@pytest.mark.parametrize("mixed", [False, True])
def test_stratification_is_about_as_good_as_the_greedy_one(mixed: bool) -> None:
    ours, reference = [], []
    for seed in range(8):
        random = np.random.default_rng(seed)
        group = np.repeat(np.arange(300), random.geometric(0.08, 300))
        kinds = random.choice(8, (300, 2), p=np.array([30, 25, 15, 10, 8, 6, 4, 2]) / 100)
        label = kinds[group, random.integers(0, 2, group.size) if mixed else np.zeros(group.size, int)]
        ours.append(off(label, split(group, label, fractions=FRACTIONS, seed=seed, key=keys(group.size, seed)).split))
        reference.append(off(label, greedy(group, label)))

    assert np.mean(ours) < np.mean(reference) + 0.03
    assert np.mean(ours) < 0.05


def test_another_seed_is_another_split() -> None:
    assert not np.array_equal(split_groups([3] * 50, seed=1).split, split_groups([3] * 50, seed=2).split)


def mixed(value: int) -> int:
    """SplitMix64 in whole numbers."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
    return value ^ value >> 31


def test_a_split_is_the_same_on_every_machine() -> None:
    key = keys(20)
    halves = [(int.from_bytes(one[:8].tobytes(), "big"), int.from_bytes(one[8:].tobytes(), "big")) for one in key]
    numbers = [mixed(mixed(mixed(2026) ^ high) ^ low) for high, low in halves]
    expected = [0] * 20
    for label in (0, 1):
        in_order = sorted(range(label, 20, 2), key=lambda place: numbers[place])
        for place, side in zip(in_order, [0] * 7 + [1] + [2] * 2, strict=True):
            expected[place] = side

    found = split(np.arange(20), np.arange(20) % 2, fractions=FRACTIONS, seed=2026, key=key)

    assert mixed(0) == 0xE220A8397B1DCDAF  # as published
    assert found.split.tolist() == expected


def test_a_group_of_half_of_all_is_trained_on_and_the_others_fill_the_rest() -> None:
    result = split_groups([500] + [5] * 100)

    assert result.split[0] == 0
    assert counted(result.split) == [700, 150, 150]


@pytest.mark.parametrize(
    ("sizes", "sides", "missing"),
    [([9], {0}, "validation and test"), ([9, 5], {0, 2}, "validation"), ([9, 5, 5], {0, 1, 2}, "")],
)
def test_a_class_of_few_groups_is_trained_on_first_then_tested(sizes: list[int], sides: set[int], missing: str) -> None:
    result = split_groups(sizes + [2] * 60, [0] * len(sizes) + [1] * 60)

    assert set(result.split[: sum(sizes)].tolist()) == sides
    (note,) = result.notes
    assert (note.label, note.groups, note.pictures) == (0, len(sizes), sum(sizes))
    assert note.code == ("too_few_groups" if missing else "uneven")
    assert missing in note.message


def test_a_split_of_which_nothing_is_wanted_is_empty() -> None:
    result = split_groups([1] * 40, fractions={"train": 0.75, "validation": 0.0, "test": 0.25})

    assert counted(result.split) == [30, 0, 10]
    assert result.notes == ()


def test_what_was_held_out_counts_for_its_split() -> None:
    held_out = np.full(200, -1, np.int8)
    held_out[:20] = 2

    result = split_groups([1] * 200, held_out=held_out)

    assert (result.split[:20] == 2).all()
    assert counted(result.split) == [140, 30, 30]


def test_pictures_that_join_held_out_ones_are_held_out_and_it_is_said() -> None:
    held_out = np.array([2, -1, -1] + [-1] * 57, np.int8)

    result = split_groups([3] + [1] * 57, held_out=held_out)

    assert result.split[:3].tolist() == [2, 2, 2]
    (note,) = result.notes
    assert (note.code, note.label, note.groups, note.pictures) == ("held_out_moved", None, 1, 2)


def test_a_group_held_out_twice_is_tested_with_and_it_is_said() -> None:
    held_out = np.array([1, 2] + [-1] * 58, np.int8)

    result = split_groups([2] + [1] * 58, held_out=held_out)

    assert result.split[:2].tolist() == [2, 2]
    assert "held_out_twice" in [note.code for note in result.notes]


def test_most_groups_keep_their_side_when_some_are_added() -> None:
    group = np.repeat(np.arange(1_100), 10)
    label, key = group % 5, keys(group.size)
    before = group < 1_000

    old = split(group[before], label[before], fractions=FRACTIONS, seed=1, key=key[before]).split
    new = split(group, label, fractions=FRACTIONS, seed=1, key=key).split[before]

    assert (old != new).mean() < 0.05


@pytest.mark.parametrize(
    "fractions",
    [{}, {"train": 0.5, "test": 0.4}, {"train": 0.0, "test": 1.0}, {"train": 1.2, "test": -0.2}],
)
def test_fractions_that_are_no_split_are_refused(fractions: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="sum must be 1"):
        split_groups([1], fractions=fractions)


def test_a_picture_held_out_where_there_is_no_split_is_refused() -> None:
    with pytest.raises(ValueError, match="held out in split 2"):
        split_groups([1], fractions={"train": 1.0}, held_out=np.array([2], np.int8))


def test_no_pictures_are_split_into_nothing() -> None:
    result = split_groups([])

    assert (result.split.size, result.notes) == (0, ())
