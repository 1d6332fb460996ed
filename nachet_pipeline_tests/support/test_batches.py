"""Items in batches, and pages of a query as one sequence."""

import pytest

from nachet_pipeline.support.batches import batched, pages


@pytest.mark.parametrize(("number", "sizes"), [(0, []), (2, [2]), (3, [3]), (7, [3, 3, 1])])
def test_batches_are_full_but_for_the_last(number: int, sizes: list[int]) -> None:
    batches = list(batched(range(number), 3))
    assert [len(batch) for batch in batches] == sizes
    assert [item for batch in batches for item in batch] == list(range(number))


def test_pages_are_read_one_after_the_other_from_the_last_key_until_one_is_empty() -> None:
    keys = []

    def read(after: str) -> list[str]:
        keys.append(after)
        return [letter for letter in "abcde" if letter > after][:2]

    read_pages = pages(read, first="", key=lambda letter: letter)
    assert next(read_pages) == "a"
    assert keys == [""]
    assert list(read_pages) == list("bcde")
    assert keys == ["", "b", "d", "e"]
