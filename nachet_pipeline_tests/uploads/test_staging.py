import hashlib
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from nachet_pipeline.contract.marks import COMPLETE_MARKER, STAGING
from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.files import FileChangedError, LocalFolder
from nachet_pipeline.uploads.staged_folder import StagedFolder
from nachet_pipeline.uploads.staging import Staged, StagingError, mark_complete, stage_folder
from nachet_pipeline_tests.workbench import Workbench, edit, files_of


def stage(workbench: Workbench, folder: Path, *, blobs: BlobStorage | None = None, **settings: Any) -> Staged:
    name = settings.pop("name", folder.name)
    return stage_folder(
        blobs or workbench.blobs, LocalFolder(folder), workbench.user.upload_container, name, **settings
    )


def staged(workbench: Workbench, name: str = "project") -> dict[str, bytes]:
    folder = StagedFolder(workbench.blobs, workbench.user.upload_container, name)
    return {file.path: folder.read(file) for file in folder.files()}


def sent(workbench: Workbench) -> dict[str, bytes]:
    """What is staged, without the marker."""
    return {path: content for path, content in staged(workbench).items() if path != COMPLETE_MARKER}


def versions(workbench: Workbench, name: str = "project") -> dict[str, str]:
    return {file.path: file.version for file in workbench.blobs.files(workbench.user.upload_container, name)}


class Interrupted(BlobStorage):
    """The real storage, which goes away after some files were sent."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.left = 3
        self._counting = Lock()

    def upload(self, *arguments: Any, **settings: Any) -> Any:
        with self._counting:
            if self.left == 0:
                raise StorageError("Blob storage at 127.0.0.1: it went away")
            self.left -= 1
        return super().upload(*arguments, **settings)


def test_a_staged_folder_reads_back_byte_for_byte(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2, pictures=2)
    done = stage(workbench, folder)
    local = files_of(folder)
    assert staged(workbench) == local
    assert done == Staged(sent=len(local), unchanged=0, removed=0, size=sum(map(len, local.values())))


def test_the_first_bytes_of_a_staged_file_are_read_without_the_rest(workbench: Workbench) -> None:
    sample = workbench.sample()
    local, container = files_of(sample), workbench.user.upload_container
    stage(workbench, sample)
    folder = StagedFolder(workbench.blobs, container, "project")
    listed = list(folder.files())

    assert {file.path: folder.start(file, 20) for file in listed} == {path: data[:20] for path, data in local.items()}
    first = listed[0]
    assert folder.start(first, 10_000_000) == local[first.path]
    workbench.blobs.upload(container, f"project/{first.path}", b"other", content_type="text/plain", overwrite=True)
    with pytest.raises(FileChangedError, match=first.path):
        folder.start(first, 20)


def test_staging_the_same_folder_again_sends_nothing(workbench: Workbench) -> None:
    folder = workbench.sample()
    first = stage(workbench, folder)
    mark_complete(workbench.blobs, workbench.user.upload_container, "project")
    before = versions(workbench)
    again = stage(workbench, folder)
    assert again == Staged(sent=0, unchanged=first.sent, removed=0, size=first.size)
    assert versions(workbench) == before
    assert COMPLETE_MARKER in before


def test_staging_that_was_interrupted_sends_only_what_is_missing(workbench: Workbench) -> None:
    folder = workbench.sample(sessions=2, pictures=3)
    with (
        Interrupted.connect(workbench.blobs.account_url, workbench.blob_key) as broken,
        pytest.raises(StorageError, match="went away"),
    ):
        stage(workbench, folder, blobs=broken)
    before = versions(workbench)
    assert len(before) == 3
    done = stage(workbench, folder)
    assert (done.sent, done.unchanged) == (len(files_of(folder)) - 3, 3)
    assert before.items() <= versions(workbench).items()
    assert sent(workbench) == files_of(folder)


def test_a_corrected_yaml_file_replaces_the_staged_one(workbench: Workbench) -> None:
    folder = workbench.sample()
    stage(workbench, folder)
    before = versions(workbench)
    edit(folder / "pictures" / "session1" / "index.yaml", "userData", zoom=15)
    done = stage(workbench, folder)
    assert done.sent == 1
    after = versions(workbench)
    assert {path for path in before if after[path] != before[path]} == {"pictures/session1/index.yaml"}
    assert sent(workbench) == files_of(folder)


def test_a_differing_picture_replaces_the_staged_one_only_when_asked(workbench: Workbench) -> None:
    folder = workbench.sample()
    stage(workbench, folder)
    before = staged(workbench)
    (folder / "pictures/session1/1.png").write_bytes(sample_picture(9, width=64, height=48, picture_format="png"))
    with pytest.raises(StagingError, match=r"pictures/session1/1\.png \(differs\).*--replace"):
        stage(workbench, folder)
    assert staged(workbench) == before
    assert stage(workbench, folder, replace=True).sent == 1
    assert sent(workbench) == files_of(folder)


def test_a_picture_of_the_same_size_but_other_bytes_differs(workbench: Workbench) -> None:
    folder = workbench.place / "project"
    folder.mkdir()
    (folder / "1.png").write_bytes(b"one")
    stage(workbench, folder)
    (folder / "1.png").write_bytes(b"two")
    with pytest.raises(StagingError, match="differs"):
        stage(workbench, folder)


def test_staged_files_that_the_folder_no_longer_has_are_removed_only_when_asked(workbench: Workbench) -> None:
    folder = workbench.sample(pictures=3)
    stage(workbench, folder)
    before = staged(workbench)
    (folder / "pictures/session1/3.png").unlink()
    with pytest.raises(StagingError, match=r"pictures/session1/3\.png \(only there\)"):
        stage(workbench, folder)
    assert staged(workbench) == before
    assert stage(workbench, folder, replace=True).removed == 1
    assert sent(workbench) == files_of(folder)


def test_an_error_names_some_of_many_differing_files(workbench: Workbench) -> None:
    folder = workbench.place / "project"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.png").write_bytes(b"one")
    stage(workbench, folder)
    for number in range(8):
        (folder / f"{number}.png").write_bytes(b"two")
    with pytest.raises(StagingError, match="and 3 more"):
        stage(workbench, folder)


def test_a_folder_marked_as_complete_is_not_complete_while_it_is_corrected(workbench: Workbench) -> None:
    folder = workbench.sample()
    container = workbench.user.upload_container
    stage(workbench, folder)
    mark_complete(workbench.blobs, container, "project")
    marked: dict[str, bytes] = {}

    class Watched(BlobStorage):
        """The real storage, which notes what the marker says when a file is sent."""

        def upload(self, container: str, blob: str, *arguments: Any, **settings: Any) -> Any:
            marked[blob] = self.read(container, f"project/{COMPLETE_MARKER}")
            return super().upload(container, blob, *arguments, **settings)

    edit(folder / "index.yaml", "userData", zoom=15)
    with Watched.connect(workbench.blobs.account_url, workbench.blob_key) as watched:
        done = stage(workbench, folder, blobs=watched)
    assert marked["project/index.yaml"] == STAGING
    assert staged(workbench)[COMPLETE_MARKER] == STAGING
    assert not workbench.due()

    mark_complete(workbench.blobs, container, "project", done.marker)
    assert len(workbench.due()) == 1


def test_a_marker_on_this_machine_is_not_sent(workbench: Workbench) -> None:
    folder = workbench.sample()
    (folder / COMPLETE_MARKER).write_text("complete")
    stage(workbench, folder)
    assert COMPLETE_MARKER not in staged(workbench)


@pytest.mark.parametrize("name", ["..", "a/../b", "", "tab\there", "nul", "back\\slash", "/absolute"])
def test_a_folder_is_not_staged_under_an_unsafe_name(workbench: Workbench, name: str) -> None:
    folder = workbench.sample()
    with pytest.raises(StagingError, match="cannot be staged under a name"):
        stage(workbench, folder, name=name)
    assert workbench.versions(workbench.user.upload_container) == {}


@pytest.mark.parametrize("name", ["line\nbreak.png", "aux.png", "right-to-left\u202e.png", "back\\slash.png"])
def test_a_file_with_an_unsafe_name_keeps_the_whole_folder_from_being_staged(workbench: Workbench, name: str) -> None:
    folder = workbench.sample()
    (folder / "pictures/session1" / name).write_bytes(b"x")
    with pytest.raises(StagingError, match="cannot be staged"):
        stage(workbench, folder)
    assert staged(workbench) == {}


def test_a_link_is_not_followed_to_files_outside_of_the_folder(workbench: Workbench) -> None:
    folder = workbench.sample()
    secret = workbench.place / "secret.png"
    secret.write_bytes(b"secret")
    (folder / "pictures/session1/3.png").symlink_to(secret)
    with pytest.raises(StagingError, match="a link or special file"):
        stage(workbench, folder)
    assert staged(workbench) == {}


def test_what_the_operating_system_left_behind_is_not_sent(workbench: Workbench) -> None:
    folder = workbench.sample()
    wanted = files_of(folder)
    for name in (".DS_Store", "pictures/Thumbs.db", "pictures/session1/._1.png", "pictures/session1/desktop.ini"):
        (folder / name).write_bytes(b"litter")
    assert stage(workbench, folder).sent == len(wanted)
    assert staged(workbench) == wanted


def test_names_with_spaces_accents_and_percent_signs_survive(workbench: Workbench) -> None:
    folder = workbench.place / "Récolte d'été 100%"
    folder.mkdir()
    for name in ("graine n° 1.png", "50%20.png", "a+b&c.png"):
        (folder / name).write_bytes(name.encode())
    stage(workbench, folder)
    assert staged(workbench, folder.name) == files_of(folder)


def test_bytes_are_told_as_they_are_sent(workbench: Workbench) -> None:
    folder = workbench.sample()
    told: list[tuple[int, int]] = []
    done = stage(workbench, folder, progress=lambda *numbers: told.append(numbers))
    assert told[0] == (0, done.size)
    assert told[-1] == (done.size, done.size)
    assert told == sorted(told)


def test_the_service_keeps_the_checksum_of_what_was_sent(workbench: Workbench) -> None:
    folder = workbench.sample()
    stage(workbench, folder)
    kept = {file.path: md5 for file, md5 in workbench.blobs.md5s(workbench.user.upload_container, "project")}
    local = files_of(folder).items()
    assert kept == {path: hashlib.md5(content, usedforsecurity=False).digest() for path, content in local}
