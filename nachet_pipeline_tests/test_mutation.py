from pathlib import Path

import pytest

from nachet_pipeline_tests.mutation import AREAS, PACKAGE, REPOSITORY, TESTS, Changer, mutated


@pytest.mark.parametrize("area", AREAS)
def test_what_is_changed_and_the_tests_beside_it_are_there(area: str) -> None:
    missing = [
        place
        for place in (Path(PACKAGE) / area, *(Path(TESTS) / test for test in AREAS[area]))
        if not (REPOSITORY / place).exists()
    ]
    assert missing == []


def test_a_module_is_changed_in_one_place() -> None:
    assert mutated("a = b == 1\n", 0) == "a = b != 1"
    assert mutated("a = b == 1\n", 1) == "a = b == 2"
    assert mutated("a = b == 1\n", 2) == "a = b == 1"
    assert Changer().changes == []
