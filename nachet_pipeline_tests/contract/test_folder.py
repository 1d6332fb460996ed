import os
from pathlib import Path

import pytest

from nachet_pipeline.contract.folder import FileChangedError, LocalFolder
from nachet_pipeline_tests.contract.folders import write


def test_a_folder_lists_its_files_in_the_same_order_each_time(tmp_path: Path) -> None:
    folder = LocalFolder(write(tmp_path / "upload", {"b/2": b"22", "a": b"1", "b/1": b"", "b/é/x": b"333"}))

    listed = [(file.path, file.size, file.regular) for file in folder.files()]

    assert listed == [("a", 1, True), ("b/1", 0, True), ("b/2", 2, True), ("b/é/x", 3, True)]
    assert list(folder.files()) == list(folder.files())
    assert folder.name == "upload"


def test_a_file_is_read_exactly_as_it_was_listed(tmp_path: Path) -> None:
    folder = LocalFolder(write(tmp_path / "upload", {"a": b"one"}))
    (file,) = folder.files()

    assert folder.read(file) == b"one"


def _rewritten(file: Path) -> None:
    file.write_bytes(b"two!")


def _touched(file: Path) -> None:
    os.utime(file, ns=(1, 1))


def _replaced(file: Path) -> None:
    file.rename(file.with_name("old"))
    file.write_bytes(b"one")


def _linked(file: Path) -> None:
    file.rename(file.with_name("old"))
    file.symlink_to("old")


def _made_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("change", [_rewritten, _touched, _replaced, Path.unlink, _linked, _made_a_pipe])
def test_a_file_that_is_no_longer_what_was_listed_is_not_read(change: object, tmp_path: Path) -> None:
    root = write(tmp_path / "upload", {"a": b"one"})
    folder = LocalFolder(root)
    (file,) = folder.files()
    assert callable(change)
    change(root / "a")

    with pytest.raises(FileChangedError, match=r"^a changed or vanished") as caught:
        folder.read(file)
    assert caught.value.path == "a"
