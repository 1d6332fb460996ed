"""Each format, read by what it is made for."""

import hashlib
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import mlcroissant
import numpy as np
import pandas as pd
import pytest
import webdataset
from datasets import ClassLabel, Features, load_dataset
from datasets import Image as ImageFeature
from PIL import Image

from nachet_pipeline.training.exports.choices import ExportLayout
from nachet_pipeline_tests.training.exports.sets import SPECIES, Sets

CLASSES = [f"{index:03} {name}" for index, name in enumerate(SPECIES[:3])]


def find_classes(folder: Path) -> dict[str, int]:
    """torchvision's rule (`datasets.folder.find_classes`): the folders in alphabetical order are the classes."""
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    assert classes
    return {name: index for index, name in enumerate(classes)}


def make_dataset(folder: Path, *, allow_empty: bool = False) -> list[tuple[str, int]]:
    """torchvision's rule (`datasets.folder.make_dataset`): the pictures below each class's folder, and its index.

    A class without any raises, unless that is allowed.
    """
    extensions = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
    classes = find_classes(folder)
    instances, seen = [], set()
    for name in sorted(classes):
        for root, _, files in sorted(os.walk(folder / name, followlinks=True)):
            for file in sorted(files):
                if file.lower().endswith(extensions):
                    instances.append((str(Path(root) / file), classes[name]))
                    seen.add(name)
    if set(classes) - seen and not allow_empty:
        raise FileNotFoundError(f"Found no valid file for the classes {sorted(set(classes) - seen)}")
    return instances


def expected(sets: Sets, split: str, **values: Any) -> dict[str, int]:
    """Class by picture."""
    return {
        row["picture_id"]: row["class_index"]
        for row in sets.rows
        if row["split"] == split and all(row[name] == value for name, value in values.items())
    }


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_trainers_folders_load_by_datasets_with_the_classes_of_the_manifest(sets: Sets, seeds: int) -> None:
    sets.usual(48)
    done = sets.export("out", "imagefolder")
    assert (done.pictures, done.made, done.failed) == (48, 48, 0)

    tree = done.folder / f"{seeds}-seed"
    loaded = load_dataset("imagefolder", data_dir=str(tree))

    present = {row["split"] for row in sets.rows if row["number_of_seeds"] == seeds}
    assert set(loaded) == present
    assert {"train"} < present
    for split in present:
        assert loaded[split].features["label"].names == CLASSES
        found = {Path(one["image"].filename).stem: one["label"] for one in loaded[split]}
        assert found == expected(sets, split, number_of_seeds=seeds)
        assert {one["image"].mode for one in loaded[split]} == {"RGB"}


def test_torchvision_finds_the_same_classes_in_every_split(sets: Sets) -> None:
    sets.usual()
    done = sets.export("out", "imagefolder", layout=ExportLayout.FLAT)
    for split in ("train", "validation", "test"):
        folder = done.folder / "pictures" / split
        assert find_classes(folder) == {name: index for index, name in enumerate(CLASSES)}
        assert {Path(file).stem: index for file, index in make_dataset(folder)} == expected(sets, split)
    files = [file for file in (done.folder / "pictures").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".tiff"}
    assert len(files) == 24


def test_a_class_without_pictures_keeps_its_place_and_is_told(sets: Sets) -> None:
    sets.store(0, class_index=0)
    sets.store(1, class_index=3)
    sets.store(2, class_index=0, split="test")
    sets.store(3, class_index=3, split="test", number_of_seeds=2)
    done = sets.export("out", "imagefolder")

    assert "1-seed/train/001 no pictures" in done.empty
    assert "1-seed/test/003 Lolium temulentum" in done.empty
    assert "1-seed/train/003 Lolium temulentum" not in done.empty
    folder = done.folder / "1-seed" / "test"
    assert find_classes(folder)["003 Lolium temulentum"] == 3
    with pytest.raises(FileNotFoundError, match="no valid file"):
        make_dataset(folder)
    assert [index for _, index in make_dataset(folder, allow_empty=True)] == [0]
    names = list(find_classes(folder))
    features = Features({"image": ImageFeature(), "label": ClassLabel(names=names)})
    loaded = load_dataset("imagefolder", data_dir=str(done.folder / "1-seed"), features=features)
    assert sorted(loaded["train"]["label"]) == [0, 3]


def pixels_of(row: dict[str, Any], sets: Sets) -> "np.ndarray[Any, Any]":
    stored = sets.blobs.read(row["container"], row["blob"])
    return np.asarray(Image.open(BytesIO(stored)).convert("RGB"))


def test_parquet_loads_by_datasets_with_every_column(sets: Sets) -> None:
    sets.usual()
    done = sets.export("out", "parquet", shard_mib=1)
    loaded = load_dataset("parquet", data_dir=str(done.folder / "data"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 18, "validation": 3, "test": 3}
    by_id = {row["picture_id"]: row for row in sets.rows}
    for split, rows in loaded.items():
        assert rows.features["label"].names == CLASSES
        for one in rows:
            row = by_id[one["picture_id"]]
            assert (one["label"], one["class_folder"], split) == (row["class_index"], row["label"], row["split"])
            assert np.array_equal(np.asarray(one["image"]), pixels_of(row, sets))
            kept = {name: value for name, value in row.items() if name not in {"label", "url"}}
            assert {name: one[name] for name in kept} == kept


def test_a_whole_export_loads_by_its_folder(sets: Sets) -> None:
    sets.usual()
    sets.export("out", "parquet")
    loaded = load_dataset(str(sets.place / "out"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 18, "validation": 3, "test": 3}


def test_parquet_is_read_by_duckdb_and_by_pandas(sets: Sets) -> None:
    sets.usual()
    folder = sets.export("out", "parquet").folder
    query = f"select class_folder, label, count(*) from '{folder}/data/train-*.parquet' group by all order by all"
    assert duckdb.sql(query).fetchall() == [(name, index, 6) for index, name in enumerate(CLASSES)]
    (content,) = duckdb.sql(f"select image.bytes from '{folder}/data/test-*.parquet' limit 1").fetchall()[0]
    assert Image.open(BytesIO(content)).size == (24, 16)

    frame = pd.read_parquet(folder / "data" / "validation-00000-of-00001.parquet")
    assert dict(zip(frame["picture_id"], frame["label"], strict=True)) == expected(sets, "validation")
    assert frame["image"][0]["path"] == f"{frame['picture_id'][0]}.tiff"


# webdataset leaves the shards open that it has read.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_pictures_classes_and_metadata(sets: Sets) -> None:
    sets.usual()
    folder = sets.export("out", "webdataset").folder
    by_id = {row["picture_id"]: row for row in sets.rows}
    for split in ("train", "validation", "test"):
        urls = [str(file) for file in sorted((folder / "data").glob(f"{split}-*.tar"))]
        read = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).decode("pil"))
        assert {one["__key__"]: one["cls"] for one in read} == expected(sets, split)
        for one in read:
            assert one["json"]["sha256"] == by_id[one["__key__"]]["sha256"]
            assert one["json"]["captured_at"] == "2026-05-01T12:00:00+00:00"
            assert np.array_equal(np.asarray(one["tiff"]), pixels_of(by_id[one["__key__"]], sets))


def test_webdataset_shards_load_by_datasets_too(sets: Sets) -> None:
    sets.usual(8)
    folder = sets.export("out", "webdataset").folder
    loaded = load_dataset("webdataset", data_dir=str(folder / "data"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 6, "validation": 1, "test": 1}
    assert loaded["train"][0]["tiff"].size == (24, 16)


def test_croissant_is_valid_and_its_records_are_the_pictures(sets: Sets) -> None:
    sets.usual()
    done = sets.export("out", "croissant")
    described = mlcroissant.Dataset(done.folder / "croissant.json")

    assert not described.metadata.ctx.issues.errors
    by_id = {row["picture_id"]: row for row in sets.rows}
    records = list(described.records("pictures"))
    found = {record["pictures/picture_id"].decode(): record for record in records}
    assert found.keys() == by_id.keys()
    for identifier, record in found.items():
        row = by_id[identifier]
        assert record["pictures/label"] == row["class_index"]
        assert record["pictures/split"].decode() == row["split"]
        assert record["pictures/class_folder"].decode() == row["label"]
        assert np.array_equal(np.asarray(record["pictures/image"]), pixels_of(row, sets))
    test = described.records("pictures", filters={"pictures/split": "test"})
    assert {one["pictures/picture_id"].decode() for one in test} == set(expected(sets, "test"))
    assert [one["splits/name"] for one in described.records("splits")] == ["train", "validation", "test"]
    assert [one["classes/name"] for one in described.records("classes")] == CLASSES
    files = [each for each in described.metadata.distribution if hasattr(each, "sha256") and each.sha256]
    assert len(files) == 3
    for each in files:
        assert hashlib.sha256((done.folder / each.content_url).read_bytes()).hexdigest() == each.sha256
