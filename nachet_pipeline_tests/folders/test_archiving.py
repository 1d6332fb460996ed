"""A user's folder goes to the archive and stays for training: copied, verified, pointed at, and only then removed."""

from typing import Any
from uuid import UUID

import pytest

from nachet_pipeline.folders.folder import FolderState
from nachet_pipeline.folders.moving import FolderBusyError, FolderDamagedError
from nachet_pipeline.folders.queries import FolderStateError, folders_of
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.training.building import build
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline_tests.folders.kept import (
    archive_of,
    assert_every_row_has_its_bytes,
    folder_id,
    keeper,
    let_undo_end,
    names,
    state,
)
from nachet_pipeline_tests.mass_import.containers import EARLY_LAYOUT, Filled
from nachet_pipeline_tests.reconciliation.drifted import imported, kinds, pictures, store
from nachet_pipeline_tests.workbench import Workbench

SAID = {"by": "ann@example.org", "why": "she left"}


def archive(bench: Workbench) -> UUID:
    folder = folder_id(bench)
    keeper(bench).archive(folder, **SAID)
    return folder


def test_an_archived_folder_is_in_the_archive_alone_with_the_same_bytes(workbench: Workbench) -> None:
    imported(workbench)
    before = workbench.contents(workbench.user.user_container)

    folder = archive(workbench)

    assert workbench.contents(archive_of(workbench)) == before
    assert names(workbench, workbench.user.user_container) == set()
    assert_every_row_has_its_bytes(workbench)
    assert kinds(workbench) == {}
    with workbench.database.connection() as connection:
        assert list(folders_of(connection, workbench.user.id)) == []
        (found,) = folders_of(connection, workbench.user.id, put_away=True)
    assert (found.id, found.state, found.container) == (folder, FolderState.ARCHIVED, archive_of(workbench))


def test_archived_pictures_stay_for_training(workbench: Workbench) -> None:
    imported(workbench)
    archive(workbench)
    assert build(Recipe(name="all-pictures"), workbench.database, workbench.blobs).pictures == 2


def test_the_trail_and_a_tombstone_say_who_and_why(workbench: Workbench) -> None:
    imported(workbench)
    folder = archive(workbench)
    (tombstone,) = workbench.query("select * from folder_tombstone")
    assert (tombstone["action"], tombstone["by"], tombstone["why"]) == ("archived", *SAID.values())
    (noted,) = workbench.query("select * from audit_trail where action = 'archived'")
    assert (noted["actor"], noted["subject_id"]) == (SAID["by"], folder)
    assert noted["after"].items() >= {"why": SAID["why"], "container": archive_of(workbench)}.items()
    assert noted["before"]["container_id"] != noted["after"]["container_id"]


def test_undoing_it_brings_every_byte_back(workbench: Workbench) -> None:
    imported(workbench)
    before, contents = state(workbench), workbench.contents(workbench.user.user_container)
    folder = archive(workbench)

    keeper(workbench).undo(folder, by="bob", why="a mistake")

    assert {**state(workbench), "tombstone": []} == before
    assert workbench.contents(workbench.user.user_container) == contents
    assert names(workbench, archive_of(workbench)) == set()
    assert kinds(workbench) == {}
    (noted,) = workbench.query("select actor from audit_trail where action = 'restored'")
    assert noted["actor"] == "bob"


def test_after_its_time_it_stays_archived(workbench: Workbench) -> None:
    imported(workbench)
    folder = archive(workbench)
    let_undo_end(workbench)
    with pytest.raises(FolderStateError, match="could be undone until"):
        keeper(workbench).undo(folder, **SAID)
    assert keeper(workbench).purge().purged == 0
    assert_every_row_has_its_bytes(workbench)


@pytest.mark.parametrize("content", [b"x", None])
def test_a_damaged_picture_keeps_the_folder_where_it_is(workbench: Workbench, content: bytes | None) -> None:
    imported(workbench)
    row = pictures(workbench)[0]
    if content is None:
        workbench.blobs.delete(workbench.user.user_container, row["blob"])
    else:
        store(workbench, row["blob"], content * row["size"])
    before = names(workbench, workbench.user.user_container)

    with pytest.raises(FolderDamagedError, match="nothing was removed"):
        archive(workbench)

    assert names(workbench, workbench.user.user_container) == before
    assert workbench.query("select id from picture_set where archived_at is not null") == []


class LyingStorage(BlobStorage):
    """Storage that copies something else than it is asked to, as often as it is told."""

    lies = 0

    def copy(self, source: tuple[str, str], target: tuple[str, str], **settings: Any) -> bool:
        if self.lies:
            self.lies -= 1
            return self.upload(*target, b"something else", content_type="image/png")
        return super().copy(source, target, **settings)


@pytest.mark.parametrize(("lies", "archived"), [(1, True), (99, False)])
def test_a_copy_that_went_wrong_is_made_again_or_nothing_is_removed(
    workbench: Workbench, lies: int, archived: bool
) -> None:
    imported(workbench)
    with LyingStorage.connect(workbench.blobs.account_url, workbench.blob_key) as blobs:
        blobs.lies = lies
        if archived:
            keeper(workbench, blobs=blobs).archive(folder_id(workbench), **SAID)
        else:
            with pytest.raises(FolderDamagedError):
                keeper(workbench, blobs=blobs).archive(folder_id(workbench), **SAID)
    assert_every_row_has_its_bytes(workbench)
    assert bool(names(workbench, workbench.user.user_container)) is not archived


def test_nothing_moves_while_something_is_imported_for_the_user(workbench: Workbench) -> None:
    upload = imported(workbench)
    workbench.query("update upload set state = 'importing' where id = %s", upload.id)
    with pytest.raises(FolderBusyError, match="is under way"):
        archive(workbench)
    assert_every_row_has_its_bytes(workbench)

    workbench.query("update upload set state = 'imported' where id = %s", upload.id)
    assert keeper(workbench).purge().finished == 1
    assert names(workbench, workbench.user.user_container) == set()


def test_a_folder_on_its_way_to_the_archive_is_not_deleted_instead(workbench: Workbench) -> None:
    upload = imported(workbench)
    workbench.query("update upload set state = 'importing' where id = %s", upload.id)
    with pytest.raises(FolderBusyError):
        archive(workbench)
    workbench.query("update upload set state = 'imported' where id = %s", upload.id)

    with pytest.raises(FolderStateError, match="is archived"):
        keeper(workbench).delete(folder_id(workbench), **SAID)

    assert keeper(workbench).purge().finished == 1
    assert_every_row_has_its_bytes(workbench)
    assert workbench.query("select id from picture_set where deleted_at is not null") == []


def test_a_folder_on_its_way_back_is_not_archived_anew(workbench: Workbench) -> None:
    upload = imported(workbench)
    folder = archive(workbench)
    workbench.query("update upload set state = 'importing' where id = %s", upload.id)
    with pytest.raises(FolderBusyError):
        keeper(workbench).undo(folder, **SAID)
    workbench.query("update upload set state = 'imported' where id = %s", upload.id)

    with pytest.raises(FolderStateError, match="is being brought back"):
        archive(workbench)

    assert keeper(workbench).purge().finished == 1
    assert len(workbench.stored_pictures()) == 2
    assert names(workbench, archive_of(workbench)) == set()
    assert_every_row_has_its_bytes(workbench)


def test_who_sends_an_archived_folder_again_has_it_again(workbench: Workbench) -> None:
    upload = imported(workbench)
    archive(workbench)

    workbench.run(upload)
    assert_every_row_has_its_bytes(workbench)
    assert keeper(workbench).purge().finished == 1

    assert len(workbench.stored_pictures()) == 2
    assert names(workbench, archive_of(workbench)) == set()
    assert_every_row_has_its_bytes(workbench)
    assert kinds(workbench) == {}


def test_pictures_in_place_are_copied_and_stay_in_place(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"set/a.tiff": EARLY_LAYOUT["batch1/1-seed/train/0 Brassica napus/a.tiff"]})
    filled.run()
    rows, versions, folder = pictures(workbench), filled.versions(), folder_id(workbench)

    archive(workbench)
    assert filled.versions() == versions
    assert pictures(workbench)[0]["blob"].startswith(f"{folder}/")
    assert_every_row_has_its_bytes(workbench)
    assert kinds(workbench) == {}
    filled.put("set/b.tiff", EARLY_LAYOUT["batch1/1-seed/train/0 Brassica napus/b.tiff"])
    filled.run()
    assert len(pictures(workbench)) == 1

    keeper(workbench).undo(folder, **SAID)
    assert pictures(workbench) == rows
    assert names(workbench, archive_of(workbench)) == set()
    assert kinds(workbench) == {}


def test_it_is_not_undone_to_where_the_pictures_are_not_any_more(workbench: Workbench) -> None:
    filled = Filled.of(workbench, {"set/a.tiff": EARLY_LAYOUT["batch1/1-seed/train/0 Brassica napus/a.tiff"]})
    filled.run()
    folder = archive(workbench)
    filled.put("set/a.tiff", EARLY_LAYOUT["batch1/1-seed/train/0 Brassica napus/b.tiff"])

    with pytest.raises(FolderDamagedError, match="not there any more"):
        keeper(workbench).undo(folder, **SAID)

    assert_every_row_has_its_bytes(workbench)
