"""Parts of bulk work: everything is in exactly one of them, and they are about as much work each."""

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.support.shards import SECTIONS, WHOLE, Shard, ShardError, section_of, shards

weights = st.lists(st.integers(0, 50_000), min_size=SECTIONS, max_size=SECTIONS)
sparse = st.dictionaries(st.integers(0, SECTIONS - 1), st.integers(0, 9), max_size=5).map(
    lambda work: [work.get(section, 0) for section in range(SECTIONS)]
)


@given(st.integers(1, 400), weights, st.uuids())
def test_everything_is_in_exactly_one_part(number: int, work: list[int], identifier: UUID) -> None:
    cut = shards(number, work)

    assert sum(identifier in part for part in cut) == 1
    assert len(cut) <= number
    assert (cut[0].first, cut[-1].last) == (0, SECTIONS - 1)
    assert all(before.last + 1 == after.first for before, after in pairwise(cut))


@given(st.integers(1, 400), weights | sparse)
def test_every_part_has_work_and_none_more_than_its_share_and_one_section(number: int, work: list[int]) -> None:
    share = sum(work) / number

    for part in shards(number, work):
        in_part = sum(work[part.first : part.last + 1])
        assert in_part <= share + max(work)
        assert in_part or not any(work)


@given(st.integers(1, SECTIONS))
def test_equal_sections_give_as_many_parts_as_asked_for(number: int) -> None:
    sizes = {part.last - part.first for part in shards(number)}

    assert len(shards(number)) == number
    assert max(sizes) - min(sizes) <= 1


def test_where_there_is_nothing_to_do_there_is_nothing_to_cut() -> None:
    assert shards(7, [0] * SECTIONS) == [WHOLE]


@given(st.integers(1, SECTIONS), st.integers(0, 10**9))
def test_the_shares_of_a_budget_add_up_to_it(number: int, budget: int) -> None:
    assert sum(part.share(budget) for part in shards(number)) == budget


@given(st.integers(0, SECTIONS - 1), st.integers(0, SECTIONS - 1), st.uuids())
def test_a_part_holds_what_lies_between_its_lowest_and_its_highest(one: int, other: int, identifier: UUID) -> None:
    part = Shard(min(one, other), max(one, other))

    assert (identifier in part) == (part.lowest <= identifier <= part.highest)
    assert (section_of(part.lowest), section_of(part.highest)) == (part.first, part.last)
    assert Shard.of(str(part)) == part


@pytest.mark.parametrize("text", ["", "3", "a-b", "-1-3", "9-3", "0-256", "0-63 ", "1-2-3"])
def test_the_name_of_no_part_is_refused_and_shown(text: str) -> None:
    with pytest.raises(ShardError, match="expected"):
        Shard.of(text)
