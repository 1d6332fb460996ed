"""Exports of sets whose pictures have several labels: every format says all of them, or is refused."""

import re
from typing import Any

import duckdb
import mlcroissant
import pytest
import webdataset
from datasets import load_dataset

from nachet_pipeline.training.exports.errors import ChoiceError
from nachet_pipeline.training.manifest import LABEL_COLUMNS
from nachet_pipeline_tests.training.exports.sets import SPECIES, CountedStorage, Sets, visible

CLASSES = [f"{index:03} {name}" for index, name in enumerate(SPECIES[:3])]
KINDS = ("parquet", "webdataset", "croissant")


@pytest.fixture
def several(sets: Sets) -> Sets:
    sets.several()
    return sets


def labels_of(sets: Sets, split: str) -> dict[str, list[int]]:
    return {row["picture_id"]: row["class_indices"] for row in sets.rows if row["split"] == split}


@pytest.mark.parametrize("layout", ["seeds", "flat"])
def test_folders_are_refused_before_a_picture_is_fetched_with_the_formats_that_can_say_it(
    several: Sets, layout: str
) -> None:
    storage = CountedStorage(several.blobs)
    with pytest.raises(ChoiceError) as told:
        several.export("out", "imagefolder", storage=storage, layout=layout)
    assert str(told.value) == (
        "seeds has pictures of several labels, which imagefolder cannot say, as a picture is in one folder: expected a"
        " format of parquet, webdataset, croissant"
    )
    assert (storage.reads, (several.place / "out").exists()) == ([], False)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_set_makes_the_same_bytes_and_is_whole(several: Sets, kind: str) -> None:
    first, second = several.export("first", kind), several.export("second", kind)
    assert visible(first.folder) == visible(second.folder)
    assert (first.pictures, first.failed, first.empty) == (12, 0, ())


def test_parquet_loads_by_datasets_with_lists_of_class_labels(several: Sets) -> None:
    done = several.export("out", "parquet")
    loaded = load_dataset("parquet", data_dir=str(done.folder / "data"))
    by_id = {row["picture_id"]: row for row in several.rows}
    for split in ("train", "test"):
        assert loaded[split].features["labels"].feature.names == CLASSES
        assert not set(LABEL_COLUMNS) & set(loaded[split].features)
        assert {one["picture_id"]: one["labels"] for one in loaded[split]} == labels_of(several, split)
        for one in loaded[split]:
            row = by_id[one["picture_id"]]
            assert one["class_folders"] == row["labels"]
            for name in ("class_indices", "scientific_names", "taxon_ids", "seeds_of_class", "number_of_seeds"):
                assert one[name] == row[name]


# webdataset leaves the shards open that it has read.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_says_all_labels_in_the_json_and_has_no_single_class(several: Sets) -> None:
    folder = several.export("out", "webdataset").folder
    urls = [str(file) for file in sorted((folder / "data").glob("train-*.tar"))]
    read = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).decode("pil"))
    assert {one["__key__"]: one["json"]["class_indices"] for one in read} == labels_of(several, "train")
    for one in read:
        assert "cls" not in one
        assert not set(LABEL_COLUMNS) & set(one["json"])


def test_croissant_says_that_labels_are_repeated(several: Sets) -> None:
    folder = several.export("out", "croissant").folder
    dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    read = list(dataset.records("pictures", filters={"pictures/split": "train"}))
    found = {one["pictures/picture_id"].decode(): one["pictures/labels"] for one in read}
    assert found == labels_of(several, "train")
    assert read[0]["pictures/image"].size == (24, 16)
    assert [name.decode() for name in read[0]["pictures/class_folders"]] == [
        CLASSES[index] for index in read[0]["pictures/labels"]
    ]


# webdataset leaves the shards open that it has read.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_export_says_to_type_works(several: Sets, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = several.export("out", kind).folder
    monkeypatch.chdir(folder)
    text = (folder / "README.md").read_text()
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code, names)  # noqa: S102 (our own words)
    column = "class_indices" if kind == "webdataset" else "labels"
    assert names["multi_hot"]({column: [0, 2]}) == [1.0, 0.0, 1.0]
    if kind == "webdataset":
        assert sum(len(described["class_indices"]) for _, described in names["pictures"]) == sum(
            map(len, labels_of(several, "train").values())
        )
        return
    assert len(names["pictures"]["train"]) == 10
    (query,) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    assert dict(duckdb.sql(query).fetchall()) == {
        name: sum(index in shown for shown in labels_of(several, "train").values())
        for index, name in enumerate(CLASSES)
    }
