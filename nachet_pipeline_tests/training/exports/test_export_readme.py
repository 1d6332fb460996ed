"""What an export's README.md says to type works, where it says to."""

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nachet_pipeline_tests.training.exports.sets import Sets


def typed(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def loaded(sets: Sets, monkeypatch: pytest.MonkeyPatch):
    """Exports, and does what README.md says; gives the names that it made."""

    def load(kind: str) -> tuple[Path, list[dict[str, Any]]]:
        sets.usual()
        folder = sets.export("out", kind).folder
        monkeypatch.chdir(folder)
        found = []
        for code in typed((folder / "README.md").read_text(), "python"):
            if "torchvision" not in code:  # not installed; test_readers states its rules
                names: dict[str, Any] = {}
                exec(code, names)  # noqa: S102 (our own words)
                found.append(names)
        return folder, found

    return load


def test_an_imagefolder_loads_as_it_says(loaded) -> None:
    _, (names,) = loaded("imagefolder")
    assert len(names["pictures"]["train"]) == 9
    assert names["pictures"]["train"].features["label"].names == names["classes"]


def test_parquet_loads_as_it_says(loaded) -> None:
    folder, (names,) = loaded("parquet")
    assert len(names["pictures"]["train"]) == 18
    (query,) = typed((folder / "README.md").read_text(), "sql")
    assert sum(count for _, count in duckdb.sql(query).fetchall()) == 18


def test_croissant_loads_as_it_says(loaded) -> None:
    _, (described, as_parquet) = loaded("croissant")
    assert described["record"]["pictures/image"].size == (24, 16)
    assert len(as_parquet["pictures"]["test"]) == 3


# webdataset leaves the shards open that it has read.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_loads_as_it_says(loaded) -> None:
    _, (names,) = loaded("webdataset")
    read = list(names["pictures"])
    assert len(read) == 18
    assert {picture.size for picture, _, _ in read} == {(24, 16)}
