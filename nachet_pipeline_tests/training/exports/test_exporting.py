"""An export is whole or says what it lacks, however often it was interrupted."""

import hashlib
import json
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.identifiers import archive_container, training_container, training_picture_blob
from nachet_pipeline.storage.blobs import StorageError
from nachet_pipeline.training.exports.choices import ExportLayout
from nachet_pipeline.training.exports.errors import ChoiceError, ExportRefusedError
from nachet_pipeline.training.exports.exporting import export
from nachet_pipeline.training.exports.fetching import Fetcher
from nachet_pipeline.training.exports.shards import Assignment
from nachet_pipeline.training.exports.source import Picture, portable_folder
from nachet_pipeline.training.manifest import ManifestError
from nachet_pipeline_tests.conftest import BlobAccount
from nachet_pipeline_tests.training.exports.sets import CountedStorage, Sets, visible

KINDS = ("imagefolder", "parquet", "webdataset", "croissant")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_set_makes_the_same_bytes(sets: Sets, kind: str) -> None:
    sets.usual()
    first, second = sets.export("first", kind, shard_mib=1), sets.export("second", kind, shard_mib=1)
    assert visible(first.folder) == visible(second.folder)


@pytest.mark.parametrize("kind", KINDS)
def test_called_again_it_fetches_nothing(sets: Sets, kind: str) -> None:
    sets.usual()
    first = sets.export("out", kind)
    before = visible(first.folder)
    storage = CountedStorage(sets.blobs)
    again = sets.export("out", kind, storage=storage)
    assert (again.pictures, again.made, storage.reads) == (24, 0, [])
    assert visible(again.folder) == before


@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_it_goes_on_and_ends_in_the_same_bytes(sets: Sets, kind: str) -> None:
    sets.usual()
    whole = visible(sets.export("whole", kind).folder)
    with pytest.raises(StorageError, match="it went away"):
        sets.export("out", kind, storage=CountedStorage(sets.blobs, leave_after=15))
    folder = sets.place / "out"
    unfinished = visible(folder)
    assert unfinished.items() < whole.items()

    storage = CountedStorage(sets.blobs)
    done = sets.export("out", kind, storage=storage)

    assert 9 <= len(storage.reads) < 24
    assert (done.pictures, done.made) == (24, len(storage.reads))
    assert visible(folder) == whole


@pytest.mark.parametrize("kind", ["imagefolder", "webdataset"])
def test_killed_it_goes_on_and_ends_in_the_same_bytes(sets: Sets, kind: str, blob_account: BlobAccount) -> None:
    sets.usual(160)
    whole = visible(sets.export("whole", kind).folder)
    folder = sets.place / "out"
    program = """
import os, signal, sys
from pathlib import Path
from pydantic import SecretStr
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.training.exports.converting import ConvertingPool
from nachet_pipeline.training.exports.choices import ExportFormat
from nachet_pipeline.training.exports.exporting import ExportRequest, export
from nachet_pipeline.training.exports.fetching import Fetcher
url, key, manifest, folder, kind = sys.argv[1:]
def killed(done, _total):
    if done == 100:
        os.killpg(0, signal.SIGKILL)
if __name__ == "__main__":
    with BlobStorage.connect(url, SecretStr(key)) as blobs, ConvertingPool(DecodingSettings(workers=1)) as pool:
        fetcher = Fetcher(blobs, pool, readers=2, memory_bytes=2**26)
        export(ExportRequest(Path(manifest), Path(folder), ExportFormat(kind)), fetcher, progress=killed)
"""
    script = sets.place / "export.py"
    script.write_text(program)
    request = sets.request("out", kind)
    process = subprocess.Popen(
        [sys.executable, script, blob_account.url, blob_account.key, request.manifest, folder, kind],
        start_new_session=True,
    )
    assert process.wait() == -signal.SIGKILL
    assert visible(folder).items() < whole.items()

    storage = CountedStorage(sets.blobs)
    done = sets.export("out", kind, storage=storage)

    assert done.pictures == 160
    assert 0 < len(storage.reads) < 160 - 30
    assert visible(folder) == whole


def test_a_finished_picture_that_was_changed_is_made_again(sets: Sets) -> None:
    sets.usual()
    whole = visible(sets.export("out", "imagefolder").folder)
    damaged, removed = sorted((sets.place / "out").rglob("*.tiff"))[:2]
    damaged.write_bytes(bytes(damaged.stat().st_size))
    removed.unlink()
    storage = CountedStorage(sets.blobs)
    assert sets.export("out", "imagefolder", storage=storage).made == len(storage.reads) == 2
    assert visible(sets.place / "out") == whole


@pytest.mark.parametrize("kind", KINDS)
def test_missing_and_changed_pictures_are_told_and_all_others_exported(sets: Sets, kind: str) -> None:
    sets.usual()
    missing, other, longer, broken = sets.rows[0], sets.rows[1], sets.rows[2], sets.rows[3]
    original = sets.blobs.read(sets.container, "0")
    sets.blobs.delete(sets.container, missing["blob"])
    for row, content in ((other, b"x" * other["size"]), (longer, b"longer than it was" * 99)):
        sets.blobs.upload(sets.container, row["blob"], content, content_type="image/png", overwrite=True)
    sets.rows.remove(broken)
    sets.store(3, b"no picture", split=broken["split"], class_index=broken["class_index"], number_of_seeds=2)

    done = sets.export("out", kind)

    assert (done.pictures, done.failed, len(done.failures)) == (20, 4, 4)
    told = {failure.picture: failure.why for failure in done.failures}
    assert told[missing["picture_id"]] == "it is not in storage"
    assert "SHA-256" in told[other["picture_id"]]
    assert "size" in told[longer["picture_id"]]
    assert "cannot be decoded" in told[broken["picture_id"]]
    lines = [json.loads(line) for line in (done.folder / "failures.jsonl").read_text().splitlines()]
    assert {line["picture"]: line["why"] for line in lines} == told
    assert json.loads((done.folder / "export.json").read_text())["missing"] == 4
    assert picture_names(done.folder, kind) == {row["picture_id"] for row in sets.rows} - told.keys()

    # What comes back is put in by the same command; the others stay told.
    sets.blobs.upload(sets.container, missing["blob"], original, content_type="image/png")
    again = sets.export("out", kind)
    assert (again.pictures, again.failed) == (21, 3)
    assert missing["picture_id"] in picture_names(done.folder, kind)


@pytest.mark.parametrize("place", ["training set", "archive"])
def test_where_a_picture_is_gone_its_copy_is_used(sets: Sets, blob_account: BlobAccount, place: str) -> None:
    sets.usual(8)
    sets.name = f"{blob_account.prefix}set"
    whole = visible(sets.export("whole", "imagefolder").folder)
    gone = sets.rows[0]
    content = sets.blobs.read(sets.container, gone["blob"])
    container, copy = training_container(sets.name), training_picture_blob(gone["sha256"], "PNG")
    if place == "archive":
        container, copy = archive_container(UUID(gone["owner_id"])), gone["blob"]
    sets.blobs.ensure_container(container)
    sets.blobs.upload(container, copy, content, content_type="image/png")
    sets.blobs.delete(sets.container, gone["blob"])
    done = sets.export("out", "imagefolder")
    assert done.failed == 0
    assert visible(done.folder) == whole


def picture_names(folder: Path, kind: str) -> set[str]:
    """The identifiers of the pictures in an export."""
    if kind == "imagefolder":
        return {file.stem for file in folder.rglob("*.tiff")}
    if kind == "webdataset":
        tars = [tarfile.open(file) for file in (folder / "data").glob("*.tar")]  # noqa: SIM115
        names = {name.partition(".")[0] for tar in tars for name in tar.getnames()}
        for tar in tars:
            tar.close()
        return names
    shards = (folder / "data").glob("*.parquet")
    return {name for file in shards for name in pq.read_table(file)["picture_id"].to_pylist()}


def test_one_split_can_be_exported_alone(sets: Sets) -> None:
    sets.usual()
    done = sets.export("out", "parquet", splits=("test",))
    assert [file.name for file in (done.folder / "data").iterdir()] == ["test-00000-of-00001.parquet"]
    assert done.pictures == 3
    with pytest.raises(ChoiceError, match="one of its splits \\(train, validation, test\\), found 'dev'"):
        sets.export("other", "parquet", splits=("dev",))


def test_a_folder_with_something_else_in_it_is_refused(sets: Sets) -> None:
    sets.usual(8)
    (sets.place / "thesis").mkdir()
    (sets.place / "thesis" / "chapter1.txt").write_text("precious")
    with pytest.raises(ExportRefusedError, match="neither an export nor a new or empty folder"):
        sets.export("thesis", "parquet")
    assert [file.name for file in (sets.place / "thesis").iterdir()] == ["chapter1.txt"]


@pytest.mark.parametrize(
    "other", [{"layout": ExportLayout.FLAT}, {"splits": ("test",)}, {"kind": "parquet"}, {"shard_mib": 7}]
)
def test_another_export_in_the_same_folder_is_refused(sets: Sets, other: dict[str, Any]) -> None:
    sets.usual(8)
    before = visible(sets.export("out", "imagefolder").folder)
    with pytest.raises(ExportRefusedError, match="holds another export"):
        sets.export("out", **{"kind": "imagefolder", **other})
    assert visible(sets.place / "out") == before


def test_two_exports_into_one_folder_do_not_mix(sets: Sets) -> None:
    sets.usual(8)
    refused: list[str] = []

    class Meddling(CountedStorage):
        def read(self, container: str, blob: str, **settings: Any) -> bytes:
            if not refused:
                refused.append("asked")
                with pytest.raises(ExportRefusedError, match="another export is under way"):
                    sets.export("out", "parquet")
            return super().read(container, blob, **settings)

    assert sets.export("out", "parquet", storage=Meddling(sets.blobs)).pictures == 8
    assert refused


def test_a_damaged_manifest_is_refused(sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    sets.usual(8)
    request = sets.request("out", "parquet")
    request.manifest.write_bytes(b"not parquet")
    monkeypatch.setattr(Sets, "manifest", lambda _self: request.manifest)
    with pytest.raises(ManifestError, match="expected a Parquet file"):
        sets.export("out", "parquet")
    assert not (sets.place / "out").exists()


def test_shards_are_bounded_and_nothing_in_a_tar_says_when_or_by_whom(sets: Sets) -> None:
    for number in range(12):
        sets.store(number, width=500, height=400)
    done = sets.export("out", "webdataset", shard_mib=1)
    shards = sorted((done.folder / "data").iterdir())
    assert [shard.name for shard in shards] == [f"train-{number:05}-of-00012.tar" for number in range(12)]
    with tarfile.open(shards[0]) as tar:
        members = tar.getmembers()
    assert [Path(member.name).suffix for member in members] == [".tiff", ".cls", ".json"]
    assert {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in members} == {
        (0, 0, 0, "", 0o644)
    }


def test_progress_counts_to_the_end(sets: Sets) -> None:
    sets.usual(8)
    told: list[tuple[int, int]] = []
    fetcher = Fetcher(sets.blobs, sets.pool, readers=2, memory_bytes=2**26)
    export(sets.request("out", "imagefolder"), fetcher, progress=lambda done, total: told.append((done, total)))
    assert told == [(number, 8) for number in range(1, 9)]


def test_croissant_names_the_checksum_of_every_shard(sets: Sets) -> None:
    sets.usual()
    done = sets.export("out", "croissant")
    described = json.loads((done.folder / "croissant.json").read_text())
    files = {one["@id"]: one["sha256"] for one in described["distribution"] if one["@type"] == "cr:FileObject"}
    assert files == {
        f"data/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest() for file in (done.folder / "data").iterdir()
    }


@given(st.lists(st.tuples(st.sampled_from(["train", "test"]), st.integers(1, 900)), max_size=60), st.integers(1, 2000))
def test_no_shard_is_too_full_or_empty_and_every_picture_has_one(pictures: list[tuple[str, int]], most: int) -> None:
    assignment = Assignment(most)
    held: dict[tuple[str, int], list[int]] = {}
    for split, pixels in pictures:
        picture = Picture("", split, (0,), 1, ("", ""), ("", ""), "", 1, "PNG", pixels, {})
        held.setdefault((split, assignment.shard_of(picture)), []).append(3 * pixels)
    assert {(split, place) for split, sizes in assignment.sizes.items() for place in range(len(sizes))} == held.keys()
    for (split, place), sizes in held.items():
        assert len(sizes) == assignment.sizes[split][place]
        assert sum(sizes) <= most or len(sizes) == 1


@given(st.text(max_size=80), st.integers(0, 9999))
def test_any_name_makes_one_safe_folder(name: str, index: int) -> None:
    folder = portable_folder(index, name, 4)
    assert folder.startswith(f"{index:04} ")
    assert Path(folder).name == folder
    assert len(folder.encode()) < 200
    assert not set(folder) & set('/\\:*?"<>|\0\n')
    assert folder == folder.rstrip(" .")


@pytest.mark.parametrize("name", ["Avena test", "train-ii", "sativa var. dev", "Validation val.x"])
def test_no_class_folder_reads_as_a_split(name: str) -> None:
    words = set(portable_folder(1, name).replace("-", " ").replace(".", " ").split())
    assert not words & {"train", "test", "dev", "val", "validation"}
