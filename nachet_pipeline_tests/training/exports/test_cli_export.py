"""`nachet training-set export`, as data scientists type it."""

import json
import uuid
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.training.building import Built, build
from nachet_pipeline.training.recipe import packaged_recipes, recipe_named
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.training.exports.sets import visible
from nachet_pipeline_tests.workbench import Workbench


@pytest.fixture
def export(nachet: Nachet) -> Nachet:
    """Runs the command on the workbench's services."""
    return partial(nachet, "training-set", "export")


@pytest.fixture
def built(workbench: Workbench) -> Built:
    """A version of ten imported pictures of five species."""
    outcome = workbench.run(workbench.stage(workbench.sample(sessions=5)))
    assert outcome.receipt.state is State.IMPORTED
    return build(recipe_named("all-pictures", packaged_recipes()), workbench.database, workbench.blobs)


def test_a_version_is_exported_by_its_name_and_its_pictures_are_the_stored_ones(
    workbench: Workbench, export: Nachet, built: Built, tmp_path: Path
) -> None:
    done = export("all-pictures", tmp_path / "out", "--format", "imagefolder", "--layout", "flat", "--json")

    assert done.code == 0, done.err
    assert json.loads(done.out)["pictures"] == built.pictures == 10
    labels = [one.label for one in built.classes]
    stored = workbench.query(
        "select p.id::text, p.blob, seeds.id::text as taxon from pictures p"
        " join picture_seed l on l.picture_id = p.id join seeds on seeds.id = l.seed_id"
    )
    label_of = {str(one.taxon_id): one.label for one in built.classes}
    files = {file.stem: file for file in (tmp_path / "out" / "pictures").rglob("*.tiff")}
    assert files.keys() == {row["id"] for row in stored}
    for row in stored:
        file = files[row["id"]]
        assert file.parent.name == label_of[row["taxon"]]
        original = Image.open(next(iter(_opened(workbench, row["blob"]))))
        assert np.array_equal(np.asarray(Image.open(file)), np.asarray(original.convert("RGB")))
    for split in (tmp_path / "out" / "pictures").iterdir():
        assert sorted(folder.name for folder in split.iterdir()) == labels


def _opened(workbench: Workbench, blob: str) -> list[Path]:
    file = workbench.place / "stored"
    file.write_bytes(workbench.blobs.read(workbench.user.user_container, blob))
    return [file]


def test_name_digest_and_manifest_file_mean_the_same(export: Nachet, built: Built, tmp_path: Path) -> None:
    named = export(f"{built.name}@{built.digest[:10]}", tmp_path / "named", "--format", "parquet")
    by_digest = export(built.digest, tmp_path / "digest", "--format", "parquet")
    by_file = export(tmp_path / "named" / "manifest.parquet", tmp_path / "file", "--format", "parquet")

    assert (named.code, by_digest.code, by_file.code) == (0, 0, 0), by_file.err
    assert visible(tmp_path / "named") == visible(tmp_path / "digest") == visible(tmp_path / "file")
    loaded = load_dataset("parquet", data_dir=str(tmp_path / "named" / "data"))
    assert sum(len(rows) for rows in loaded.values()) == 10


def test_a_missing_picture_is_named_and_the_others_are_exported(
    workbench: Workbench, export: Nachet, built: Built, tmp_path: Path
) -> None:
    (gone,) = workbench.query("select id::text, blob from pictures order by id limit 1")
    content = workbench.blobs.read(workbench.user.user_container, gone["blob"])
    workbench.blobs.delete(workbench.user.user_container, gone["blob"])

    lacking = export(built.name, tmp_path / "out", "--format", "webdataset")
    workbench.blobs.upload(workbench.user.user_container, gone["blob"], content, content_type="image/png")
    whole = export(built.name, tmp_path / "out", "--format", "webdataset")

    assert lacking.code == 1
    assert f"not exported: {gone['id']}" in lacking.err
    assert "it is not in storage" in lacking.err
    assert "9 pictures" in lacking.out
    assert (whole.code, whole.err) == (0, "")
    assert "10 pictures" in whole.out


def test_an_unknown_training_set_split_or_folder_is_one_line(export: Nachet, built: Built, tmp_path: Path) -> None:
    unknown = export("no-such-set", tmp_path / "out", "--format", "parquet")
    split = export(built.name, tmp_path / "out", "--format", "parquet", "--split", "dev")
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "notes.txt").write_text("mine")
    refused = export(built.name, occupied, "--format", "parquet")

    assert unknown.code in {1, 2}
    assert "no-such-set" in unknown.err
    assert split.code == 2
    assert "found 'dev'" in split.err
    assert refused.code == 1
    assert "neither an export nor a new or empty folder" in refused.err
    for answer in (unknown, split, refused):
        assert len(answer.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_version_is_exported_though_its_rows_are_gone_from_where_they_were_and_another_row_has_the_file(
    workbench: Workbench, export: Nachet, built: Built, tmp_path: Path
) -> None:
    other = workbench.another_user(f"{uuid.uuid4().hex}@example.org")
    assert other.run(other.stage(other.sample("theirs", sessions=5))).receipt.state is State.IMPORTED
    first = export("all-pictures", tmp_path / "before", "--format", "imagefolder")
    for blob in list(workbench.stored_pictures()):
        workbench.blobs.delete(workbench.user.user_container, blob)

    done = export("all-pictures", tmp_path / "after", "--format", "imagefolder", "--json")

    assert (first.code, done.code) == (0, 0), done.err
    assert json.loads(done.out)["failed"] == 0
    trees = [
        {str(file.relative_to(place)): file.read_bytes() for file in place.rglob("*.tiff")}
        for place in (tmp_path / "before", tmp_path / "after")
    ]
    assert len(trees[0]) == 10
    assert trees[0] == trees[1]
