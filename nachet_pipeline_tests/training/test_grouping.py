from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nachet_pipeline.pictures.perceptual_hash import distance
from nachet_pipeline.training import components, near_pairs
from nachet_pipeline.training import near_duplicates as near_duplicates_module
from nachet_pipeline.training.grouping import Candidates, groups
from nachet_pipeline.training.near_duplicates import near_duplicates

Pairs = Iterable[tuple[int, int]]


def candidates(n: int, **given_: NDArray) -> Candidates:
    """Pictures that share nothing, but for what is given."""
    own = np.arange(n)
    columns = {
        "picture": np.arange(16 * n, dtype=np.uint32).astype(np.uint8).reshape(n, 16),
        "session": own,
        "root": own,
        "root_pixels": np.full(n, -1),
        "file": own,
        "pixels": np.full(n, -1),
        "looks": np.zeros((n, 4), np.uint64),
        "has_looks": np.full(n, "looks" in given_),
    }
    return Candidates(**columns | given_)


def hashes(*values: int) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(value.to_bytes(32, "little") for value in values), np.uint64).reshape(-1, 4)


def indices(pairs: Pairs) -> NDArray[np.int64]:
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def connected(n: int, pairs: Pairs) -> list[int]:
    """The smallest member of each one's component, found plainly."""
    smallest = list(range(n))
    pairs = list(pairs)
    for _ in range(n):
        for one, other in pairs:
            smallest[one] = smallest[other] = min(smallest[one], smallest[other])
    return smallest


def near(looks: NDArray[np.uint64], bits: int) -> dict[tuple[int, int], int]:
    """All near pairs, found plainly."""
    values = [row.tobytes() for row in looks]
    apart = {(i, j): distance(values[i], values[j]) for i, j in combinations(range(len(values)), 2)}
    return {pair: bits_apart for pair, bits_apart in apart.items() if bits_apart <= bits}


@pytest.mark.parametrize("column", ["session", "root", "root_pixels", "file", "pixels"])
def test_pictures_that_share_one_thing_are_one_group(column: str) -> None:
    shared = np.array([7, 8, 7, 9, 9])

    assert groups(candidates(5, **{column: shared}), near_bits=None).group.tolist() == [0, 1, 0, 3, 3]


def test_groups_reach_as_far_as_anything_connects() -> None:
    session, parent, pixels = np.array([0, 0, 1, 2, 3]), np.array([0, 1, 1, 3, 4]), np.array([-1, -1, 5, 5, -1])

    found = groups(candidates(5, session=session, root=parent, pixels=pixels), near_bits=None)

    assert found.group.tolist() == [0, 0, 0, 0, 4]


def test_pixels_that_are_not_known_connect_nothing() -> None:
    assert groups(candidates(3, pixels=np.array([-1, -1, -1])), near_bits=None).group.tolist() == [0, 1, 2]


def test_pictures_without_looks_do_not_look_alike() -> None:
    pictures = candidates(3, looks=hashes(0, 0, 0), has_looks=np.array([True, False, False]))

    found = groups(pictures, near_bits=15)

    assert found.group.tolist() == [0, 1, 2]
    assert found.near_pair_count == 0


@pytest.mark.parametrize(("bits", "expected"), [(12, [0, 0, 2]), (11, [0, 1, 2]), (None, [0, 1, 2])])
def test_near_duplicates_are_one_group_up_to_the_bits_asked_for(bits: int | None, expected: list[int]) -> None:
    looks = hashes(0, (1 << 12) - 1, ((1 << 14) - 1) << 100)

    assert groups(candidates(3, looks=looks), near_bits=bits).group.tolist() == expected


@pytest.mark.parametrize("bits", [-1, 16])
def test_bits_that_say_nothing_of_looks_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="from 0 to 15"):
        groups(candidates(1), near_bits=bits)


def test_a_pair_declared_different_is_parted_and_others_with_the_same_looks_are_not() -> None:
    pictures = candidates(3, looks=hashes(5, 5, 1 << 200))

    apart = groups(pictures, near_bits=2, different=indices([(0, 1)]))
    third = groups(pictures, near_bits=4, different=indices([(0, 1)]))

    assert apart.group.tolist() == [0, 1, 2]
    assert third.group.tolist() == [0, 0, 0]  # the third looks like both
    assert {(one, other) for one, other, _ in third.near_pairs.tolist()} == {(0, 2), (1, 2)}


def test_a_pair_declared_different_stays_together_by_what_else_it_shares() -> None:
    pictures = candidates(2, looks=hashes(5, 5), file=np.array([3, 3]))

    assert groups(pictures, near_bits=12, different=indices([(0, 1)])).group.tolist() == [0, 0]


def test_a_pair_declared_duplicate_is_one_group_whatever_it_looks_like() -> None:
    pictures = candidates(3, looks=hashes(0, (1 << 256) - 1, 1 << 99 | (1 << 50) - 1))

    assert groups(pictures, near_bits=12, joined=indices([(2, 1)])).group.tolist() == [0, 1, 1]


def test_pairs_within_a_session_are_not_told() -> None:
    pictures = candidates(4, looks=hashes(1, 1, 3, 3), session=np.array([0, 0, 1, 2]))

    found = groups(pictures, near_bits=12)

    assert found.near_pairs.tolist() == [[2, 3, 0], [0, 2, 1], [0, 3, 1], [1, 2, 1], [1, 3, 1]]
    assert (found.near_pair_count, found.near_pairs_counted_all) == (5, True)


def test_all_pairs_are_counted_and_the_closest_are_listed() -> None:
    looks = hashes(*(1 << place for place in range(40)), 0)

    found = groups(candidates(41, looks=looks), near_bits=12, listed=45)

    assert found.near_pair_count == 41 * 40 / 2
    assert found.near_pairs[:, 2].tolist() == [1] * 40 + [2] * 5


def test_no_pictures_make_no_groups() -> None:
    found = groups(candidates(0, looks=np.zeros((0, 4), np.uint64)), near_bits=12)

    assert found.group.size == found.near_pair_count == 0


@st.composite
def pictures(draw: st.DrawFn) -> tuple[NDArray[np.uint64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Pictures around a few centres, sessions, and pairs declared different."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(1, 90))
    centres = random.integers(0, 2**64, (draw(st.integers(1, 6)), 4), dtype=np.uint64)
    looks = centres[random.integers(0, len(centres), n)]
    spread = draw(st.sampled_from([0, 1, 4, 8, 12, 20]))
    for _ in range(spread):
        bit, some = random.integers(0, 256, n), random.random(n) < 0.7
        looks[np.arange(n), bit // 64] ^= np.where(some, np.uint64(1) << (bit % 64).astype(np.uint64), np.uint64(0))
    session = random.integers(0, draw(st.sampled_from([1, 3, 2 * n])), n)
    pairs = random.integers(0, n, (draw(st.integers(0, 12)), 2))
    return looks, random.random(n) < 0.9, session, pairs[pairs[:, 0] != pairs[:, 1]]


def narrow(patch: pytest.MonkeyPatch, counted: int) -> None:
    """Let few pictures go all the ways that only very many go otherwise."""
    for name, value in {
        "_FEW": 3,
        "_COMPARED": 6,
        "_DENSE": 5,
        "_TILE": 7,
        "_FOREIGN": 2,
        "_LOOKED_AT": 0,
        "_SORTED": 0,
    }.items():
        patch.setattr(near_duplicates_module, name, value)
    patch.setattr(components, "_EDGES_KEPT", 10)
    patch.setattr(near_pairs, "_COUNTED", counted)


@settings(max_examples=150, deadline=None)
@given(pictures(), st.integers(0, 15), st.sampled_from([None, 10**9, 20, 0]))
def test_what_looks_alike_is_found_as_by_comparing_each_with_each(
    drawn: tuple[NDArray[np.uint64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]],
    bits: int,
    counted: int | None,
) -> None:
    looks, has_looks, session, different = drawn
    n = len(session)
    declared = {tuple(sorted(pair)) for pair in different.tolist()}
    expected = {
        pair: apart
        for pair, apart in near(looks, bits).items()
        if has_looks[list(pair)].all() and pair not in declared and session[pair[0]] != session[pair[1]]
    }
    same_session = {pair for pair in combinations(range(n), 2) if session[pair[0]] == session[pair[1]]}

    with pytest.MonkeyPatch.context() as patch:
        if counted is not None:
            narrow(patch, counted)
        found = groups(
            candidates(n, looks=looks, has_looks=has_looks, session=session), near_bits=bits, different=different
        )

    assert found.group.tolist() == connected(n, same_session | expected.keys())
    listed = {(one, other): apart for one, other, apart in found.near_pairs.tolist()}
    assert len(listed) == len(found.near_pairs)
    assert found.joined_unseen == 0
    if found.near_pairs_counted_all:
        assert found.near_pair_count == len(expected)
        assert listed == expected
    else:
        assert listed.items() <= expected.items()
        assert bool(listed) == bool(expected)
        assert len(listed) == found.near_pair_count <= len(expected)


def test_too_much_to_compare_joins_too_many_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(monkeypatch, 0)
    monkeypatch.setattr(near_duplicates_module, "_AFFORDED", 0)
    random = np.random.default_rng(4)
    looks = np.packbits(random.random((200, 256)) < 0.06, axis=1).view(np.uint64)
    exact = connected(200, near(looks, 12))

    found = groups(candidates(200, looks=looks), near_bits=12)

    assert found.joined_unseen > 0
    assert not found.near_pairs_counted_all
    assert all(found.group[one] == found.group[exact[one]] for one in range(200))


def far_apart(n: int) -> NDArray[np.uint64]:
    return np.random.default_rng(2026).integers(0, 2**64, (n, 4), dtype=np.uint64)


def test_a_chain_of_thousands_is_one_group() -> None:
    looks = far_apart(20_000)
    bits = np.random.default_rng(1).integers(0, 256, 5_000)
    looks[1:5_000] = 0
    looks[np.arange(1, 5_000), bits[1:] // 64] = np.uint64(1) << (bits[1:] % 64).astype(np.uint64)
    looks[:5_000] = np.bitwise_xor.accumulate(looks[:5_000])

    found = groups(candidates(20_000, looks=looks), near_bits=1)

    assert (found.group == 0).sum() == 5_000
    assert np.unique(found.group).size == 15_001


def test_thousands_that_are_equal_in_a_part_of_their_hashes_are_only_together_if_they_look_alike() -> None:
    looks = far_apart(10_000)
    looks[:, 0] = 7
    looks[9_999] = looks[5] ^ np.array([0, 0, 3, 0], np.uint64)

    found = groups(candidates(10_000, looks=looks), near_bits=12)

    assert found.near_pairs.tolist() == [[5, 9_999, 2]]
    assert np.unique(found.group).size == 9_999


def test_thousands_around_one_picture_are_one_group() -> None:
    looks = far_apart(12_000)
    bit = np.random.default_rng(3).integers(0, 256, (2, 10_000))
    looks[:10_000] = looks[0]
    for one in bit:
        looks[np.arange(10_000), one // 64] ^= np.uint64(1) << (one % 64).astype(np.uint64)

    found = groups(candidates(12_000, looks=looks), near_bits=12)

    assert (found.group == 0).sum() == 10_000
    assert np.unique(found.group).size == 2_001
    assert not found.near_pairs_counted_all
    assert len(found.near_pairs) == 10_000


def test_equal_hashes_are_counted_without_looking_at_each_pair() -> None:
    looks = np.zeros((30_000, 4), np.uint64)

    found = groups(candidates(30_000, looks=looks, session=np.arange(30_000) // 2), near_bits=12)

    assert found.near_pair_count == 30_000 * 29_999 // 2 - 15_000
    assert found.near_pairs_counted_all
    assert len(found.near_pairs) == 10_000


@settings(max_examples=40, deadline=None)
@given(pictures(), st.sampled_from([10**9, 0]))
def test_near_duplicates_on_two_sides_are_never_overlooked(
    drawn: tuple[NDArray[np.uint64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]], counted: int
) -> None:
    looks, has_looks, _, different = drawn
    side = np.arange(len(looks)) % 3
    declared = {tuple(sorted(pair)) for pair in different.tolist()}
    expected = {
        pair
        for pair in near(looks, 12)
        if has_looks[list(pair)].all() and pair not in declared and side[pair[0]] != side[pair[1]]
    }

    with pytest.MonkeyPatch.context() as patch:
        narrow(patch, counted)
        found = near_duplicates(looks, has_looks, side, near_bits=12, different=different)

    assert (found.count > 0) == bool(expected)
