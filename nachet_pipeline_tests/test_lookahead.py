"""Tasks under way are bounded and taken in order."""

from collections.abc import Iterator

import pytest

from nachet_pipeline.lookahead import ahead


@pytest.mark.parametrize("number", [0, 1, 4, 5, 50])
def test_results_come_in_order_and_no_more_than_the_window_is_under_way(number: int) -> None:
    started: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(number):
            started.append(task)
            yield task

    taken = []
    for task in ahead(tasks(), 4):
        assert len(started) - len(taken) <= 4
        taken.append(task)

    assert taken == list(range(number))
