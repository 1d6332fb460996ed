import os
import socket
from pathlib import Path

import pytest

from nachet_pipeline.support.files import EntryKind, FileChangedError, LocalFolder, StagedFile
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


def _given_a_second_name(file: Path) -> None:
    os.link(file, file.with_name("second"))


def _made_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    "change",
    [_rewritten, _touched, _replaced, Path.unlink, _linked, _made_a_pipe, _given_a_second_name, _made_a_folder],
)
def test_a_file_that_is_no_longer_what_was_listed_is_not_read(change: object, tmp_path: Path) -> None:
    root = write(tmp_path / "upload", {"a": b"one"})
    folder = LocalFolder(root)
    (file,) = folder.files()
    assert callable(change)
    change(root / "a")

    with pytest.raises(FileChangedError, match=r"^a changed or vanished") as caught:
        folder.read(file)
    assert caught.value.path == "a"


def test_an_entry_that_is_no_file_of_its_own_is_listed_as_what_it_is(tmp_path: Path) -> None:
    root = write(tmp_path / "upload", {"file": b"1", "folder/inner": b"2", "once": b"3"})
    (root / "link").symlink_to("file")
    (root / "to-nowhere").symlink_to("nothing")
    (root / "to-folder").symlink_to("folder", target_is_directory=True)
    os.link(root / "once", root / "twice")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))

        kinds = {file.path: file.kind for file in LocalFolder(root).files()}

    assert kinds == {
        "file": EntryKind.FILE,
        "folder/inner": EntryKind.FILE,
        "link": EntryKind.SYMBOLIC_LINK,
        "once": EntryKind.HARD_LINK,
        "pipe": EntryKind.PIPE,
        "socket": EntryKind.SOCKET,
        "to-folder": EntryKind.SYMBOLIC_LINK,
        "to-nowhere": EntryKind.SYMBOLIC_LINK,
        "twice": EntryKind.HARD_LINK,
    }


def test_a_folder_exchanged_for_a_link_does_not_lead_out_of_the_upload(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"a": b"secret"})
    root = write(tmp_path / "upload", {"pictures/a": b"public"})
    folder = LocalFolder(root)
    (file,) = folder.files()
    os.utime(outside / "a", ns=(int(file.modified.timestamp()),) * 2)

    (root / "pictures").rename(root / "old")
    (root / "pictures").symlink_to(outside, target_is_directory=True)

    with pytest.raises(FileChangedError, match=r"^pictures/a changed"):
        folder.read(file)


def test_the_folder_itself_may_be_reached_through_a_link(tmp_path: Path) -> None:
    write(tmp_path / "upload", {"a": b"1"})
    (tmp_path / "latest").symlink_to("upload", target_is_directory=True)
    folder = LocalFolder(tmp_path / "latest")

    assert [folder.read(file) for file in folder.files()] == [b"1"]
    assert folder.name == "upload"


def test_a_hundred_folders_in_each_other_are_listed_to_a_depth_that_is_enough(tmp_path: Path) -> None:
    root = write(tmp_path / "upload", {"a": b"1"})
    descriptor = os.open(root, os.O_RDONLY)
    for _ in range(100):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)

    shallow, deep = LocalFolder(root).files()

    assert (shallow.path, shallow.regular) == ("a", True)
    assert (deep.kind, deep.regular) == (EntryKind.DEEP_FOLDER, False)
    assert 10 < deep.path.count("/") < 50


def test_a_file_that_grows_while_it_is_read_is_not_taken_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "upload", {"a": b"one"})
    folder = LocalFolder(root)
    (file,) = folder.files()
    real = os.fdopen

    def late(*arguments: object, **options: object) -> object:
        (root / "a").write_bytes(b"one and more")
        return real(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "fdopen", late)
    with pytest.raises(FileChangedError):
        folder.read(file)


def test_the_first_bytes_of_a_file_are_read_without_the_rest(tmp_path: Path) -> None:
    folder = LocalFolder(write(tmp_path / "upload", {"a": b"one and more"}))
    (file,) = folder.files()

    assert (folder.start(file, 3), folder.start(file, 12), folder.start(file, 99)) == (b"one", *[b"one and more"] * 2)
    (tmp_path / "upload/a").write_bytes(b"one and less")
    with pytest.raises(FileChangedError):
        folder.start(file, 3)


def test_a_folder_that_this_account_may_not_look_into_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = LocalFolder(write(tmp_path / "upload", {"a": b"1", "closed/b": b"2"}))
    real = os.open

    def guarded(path: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
        # The tests may run as root, whom no permission stops.
        if path in {"closed", "a"}:
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", guarded)
    with pytest.raises(PermissionError, match=r"Permission denied: 'closed'"):
        list(folder.files())
    with pytest.raises(PermissionError, match=r"Permission denied: 'a'"):
        folder.read(next(folder.files()))


def test_an_entry_that_vanishes_while_its_folder_is_listed_is_named(tmp_path: Path) -> None:
    root = write(tmp_path / "upload", {"a": b"1", "b/c": b"2"})
    files = LocalFolder(root).files()
    first: StagedFile = next(files)
    (root / "b/c").unlink()
    (root / "b").rmdir()

    assert first.path == "a"
    with pytest.raises(FileChangedError, match=r"^b changed"):
        next(files)


_OPEN = Path("/proc/self/fd")


@pytest.mark.skipif(not _OPEN.exists(), reason="only Linux lists the descriptors of a process here")
def test_no_descriptor_stays_open_after_listing_and_reading(tmp_path: Path) -> None:
    folder = LocalFolder(write(tmp_path / "upload", {"a/b/c": b"1", "a/d": b"2", "e": b"3"}))
    before = list(_OPEN.iterdir())

    for _ in range(5):
        next(folder.files())
        assert [folder.read(file) for file in folder.files()] == [b"1", b"2", b"3"]

    assert len(list(_OPEN.iterdir())) == len(before)
