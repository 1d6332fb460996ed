"""A user deletes a folder: it is gone at once, comes back if that is undone, and is removed for good after a while."""

import shutil
from uuid import UUID, uuid4

import pytest

from nachet_pipeline.events.event import TrainingSetChanged
from nachet_pipeline.folders.folder import FolderState
from nachet_pipeline.folders.moving import FolderBusyError
from nachet_pipeline.folders.queries import (
    FolderStateError,
    UnknownFolderError,
    find_folder,
    folders_of,
    training_sets_of,
)
from nachet_pipeline.picture_sets.duplicates import duplicate_pairs
from nachet_pipeline.reprocessing.queries import Versions, of_concern, pictures_with, read_standing, stale_groups
from nachet_pipeline.training.building import build
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline_tests.folders.kept import (
    assert_every_row_has_its_bytes,
    folder_id,
    keeper,
    let_undo_end,
    names,
    state,
)
from nachet_pipeline_tests.mass_import.containers import EARLY_LAYOUT, Filled, picture
from nachet_pipeline_tests.outbox import told
from nachet_pipeline_tests.reconciliation.drifted import imported, kinds, pictures
from nachet_pipeline_tests.workbench import Workbench

SAID = {"by": "ann@example.org", "why": "she asked for it"}


def listed(bench: Workbench, *, put_away: bool = False) -> dict[UUID, FolderState]:
    with bench.database.connection() as connection:
        return {one.id: one.state for one in folders_of(connection, bench.user.id, put_away=put_away)}


def delete(bench: Workbench) -> UUID:
    folder = folder_id(bench)
    keeper(bench).delete(folder, **SAID)
    return folder


def purge(bench: Workbench) -> None:
    let_undo_end(bench)
    assert keeper(bench).purge().left == ()


def into_training(bench: Workbench, picture: UUID) -> str:
    """Let a version of a training set have a picture, as building one does."""
    version = uuid4()
    bench.query(
        "insert into training_set (id, name, digest, container, blob, pictures) values (%s, 'all', %s, 'c', 'b', 1)",
        version,
        version.hex,
    )
    columns = '(training_set_id, picture_id, split, class_index, "group")'
    bench.query(f"insert into training_set_member {columns} values (%s, %s, 0, 0, %s)", version, picture, picture)
    return f"all@{version.hex}"


def test_a_deleted_folder_is_hidden_and_all_of_it_is_kept_for_a_while(workbench: Workbench) -> None:
    imported(workbench)
    stored = workbench.contents(workbench.user.user_container)

    folder = delete(workbench)

    assert listed(workbench) == {}
    assert listed(workbench, put_away=True) == {folder: FolderState.DELETED}
    assert keeper(workbench).purge().purged == 0
    assert workbench.contents(workbench.user.user_container) == stored
    assert kinds(workbench) == {}


def test_a_tombstone_and_the_trail_say_who_when_and_why(workbench: Workbench) -> None:
    imported(workbench)
    folder = delete(workbench)
    (tombstone,) = workbench.query("select *, undo_until - at = interval '30 days' as month from folder_tombstone")
    assert (tombstone["by"], tombstone["why"], tombstone["action"]) == (*SAID.values(), "deleted")
    assert (tombstone["pictures"], tombstone["month"], tombstone["owner"]) == (2, True, workbench.user.email)
    (noted,) = workbench.query("select * from audit_trail where action = 'deleted'")
    assert (noted["actor"], noted["subject"], noted["subject_id"]) == (SAID["by"], "picture set", folder)
    assert noted["after"]["why"] == SAID["why"]
    assert noted["after"]["deleted_at"]


def test_undoing_brings_all_of_it_back(workbench: Workbench) -> None:
    imported(workbench)
    before = state(workbench)
    folder = delete(workbench)

    keeper(workbench).undo(folder, by="bob@example.org", why="a mistake")

    assert listed(workbench) == {folder: FolderState.THERE}
    assert {**state(workbench), "tombstone": []} == before
    (noted,) = workbench.query("select actor, after from audit_trail where action = 'restored'")
    assert (noted["actor"], noted["after"]["why"]) == ("bob@example.org", "a mistake")
    let_undo_end(workbench)
    assert keeper(workbench).purge().purged == 0
    assert_every_row_has_its_bytes(workbench)


def test_a_folder_can_be_deleted_again_after_it_was_brought_back(workbench: Workbench) -> None:
    imported(workbench)
    folder = delete(workbench)
    keeper(workbench).undo(folder, **SAID)
    delete(workbench)
    assert listed(workbench) == {}
    assert len(workbench.query("select id from folder_tombstone")) == 2


def test_deleting_twice_is_deleting_once(workbench: Workbench) -> None:
    imported(workbench)
    delete(workbench)
    delete(workbench)
    assert len(workbench.query("select id from folder_tombstone")) == 1
    assert len(workbench.query("select id from audit_trail where action = 'deleted'")) == 1


def test_after_the_time_to_undo_it_all_of_it_is_removed(workbench: Workbench) -> None:
    imported(workbench)
    folder = delete(workbench)
    let_undo_end(workbench)

    with pytest.raises(FolderStateError, match="could be undone until"):
        keeper(workbench).undo(folder, **SAID)
    purge(workbench)

    assert names(workbench, workbench.user.user_container) == set()
    for table in ("picture_set", "pictures", "picture_seed"):
        assert workbench.query(f"select id from {table}") == []
    assert kinds(workbench) == {}
    removed = workbench.query("select actor, subject, before, after from audit_trail where action = 'purged'")
    subjects = ["picture", "picture", "picture seed", "picture seed", "picture set"]
    assert sorted(row["subject"] for row in removed) == subjects
    assert {row["actor"] for row in removed} == {SAID["by"]}
    assert {row["after"]["why"] for row in removed} == {SAID["why"]}
    with pytest.raises(FolderStateError, match="is gone"):
        keeper(workbench).undo(folder, **SAID)


def test_other_folders_are_left_alone(workbench: Workbench) -> None:
    imported(workbench)
    folder = folder_id(workbench)
    imported(workbench, "other", seed=5)
    keeper(workbench).delete(folder, **SAID)
    purge(workbench)
    assert len(listed(workbench)) == 1
    assert len(pictures(workbench)) == 2
    assert_every_row_has_its_bytes(workbench)
    assert kinds(workbench) == {}


def test_who_sends_a_deleted_folder_again_has_it_again(workbench: Workbench) -> None:
    upload = imported(workbench)
    folder = delete(workbench)

    workbench.run(upload)

    assert listed(workbench) == {folder: FolderState.THERE}
    purge(workbench)
    assert listed(workbench) == {folder: FolderState.THERE}
    assert_every_row_has_its_bytes(workbench)


def test_a_deleted_folder_is_used_for_nothing(workbench: Workbench) -> None:
    imported(workbench)
    imported(workbench.another_user("stranger@example.org"), "same")
    today = Versions("rules of today", "code of today")
    row = pictures(workbench)[0]
    workbench.query(
        "insert into picture_verdict (picture_id, state, codes, findings, rule_set_version, enrichment_version)"
        """ values (%s, 'refused', '{x}', '[{"code": "x", "severity": "error"}]', '1', '1')""",
        row["id"],
    )

    def used() -> tuple[object, ...]:
        with workbench.database.connection() as connection:
            found = (
                sum(group.pictures for group in stale_groups(connection, today)),
                len(pictures_with(connection, ["x"], after=UUID(int=0), since=None, most=9)),
                read_standing(connection).refused,
                len(of_concern(connection, most=9)),
            )
            pairs = len(list(duplicate_pairs(connection, near=True)))
        return *found, pairs, build(Recipe(name="all-pictures"), workbench.database, workbench.blobs).pictures

    assert used() == (4, 1, 1, 1, 2, 4)
    keeper(workbench).delete(UUID(str(row["picture_set_id"])), **SAID)
    assert used() == (2, 0, 0, 0, 0, 2)


def test_a_folder_that_trainings_were_made_of_names_them_and_can_be_traced(workbench: Workbench) -> None:
    upload = imported(workbench)
    first, second = [row["id"] for row in pictures(workbench)]
    workbench.query("update pictures set parent = %s where id = %s", first, second)  # as a crop has
    version = into_training(workbench, second)
    folder = folder_id(workbench)
    with workbench.database.connection() as connection:
        assert training_sets_of(connection, folder) == [version]

    assert keeper(workbench).delete(folder, **SAID).training_sets == (version,)
    (event,) = told(workbench.database, "training_set.tainted")
    assert isinstance(event.data, TrainingSetChanged)
    assert (f"{event.subject}@{event.data.digest}", event.data.why) == (version, "deleted")
    purge(workbench)

    kept = workbench.query("select id, picture, superseded_at is not null as taken_out from pictures")
    assert {row["id"] for row in kept} == {first, second}
    assert all(row["picture"] == {} and row["taken_out"] for row in kept)
    assert workbench.stored_pictures() == {}
    assert listed(workbench, put_away=True) == {folder: FolderState.PURGED}
    assert kinds(workbench) == {}

    workbench.run(upload)  # sent again, it is there again
    assert listed(workbench) == {folder: FolderState.THERE}
    assert_every_row_has_its_bytes(workbench)
    assert keeper(workbench).purge().purged == 0


def test_of_a_purged_folder_that_is_sent_again_in_part_nothing_is_missed(workbench: Workbench) -> None:
    upload = imported(workbench)
    gone, _ = workbench.query("select id, name from pictures order by name desc")
    into_training(workbench, gone["id"])
    folder = folder_id(workbench)
    keeper(workbench).delete(folder, **SAID)
    purge(workbench)
    shutil.rmtree(workbench.place / upload.folder)

    workbench.run(workbench.stage(workbench.sample(pictures=1), replace=True))

    assert listed(workbench) == {folder: FolderState.THERE}
    assert workbench.query("select id from pictures where purged_at is not null") == [{"id": gone["id"]}]
    assert_every_row_has_its_bytes(workbench)
    assert kinds(workbench) == {}
    assert keeper(workbench).archive(folder, **SAID)
    assert kinds(workbench) == {}


def test_without_versions_that_know_their_pictures_none_is_named(workbench: Workbench) -> None:
    imported(workbench)
    with workbench.database.connection() as connection:
        assert training_sets_of(connection, folder_id(workbench)) == []


def test_pictures_in_place_are_never_removed_and_not_found_anew(workbench: Workbench) -> None:
    filled = Filled.of(workbench, EARLY_LAYOUT)
    options = {"species": "Brassica napus", "zoom": "30", "seeds": "2"}
    filled.run(options=options)
    versions, folders = filled.versions(), listed(workbench)
    for folder in folders:
        keeper(workbench).delete(folder, **SAID)

    filled.put("batch1/1-seed/train/0 Brassica napus/new.tiff", picture(9, "tiff"))
    filled.run(options=options)
    assert listed(workbench) == {}
    purge(workbench)
    filled.run(options=options)

    assert workbench.query("select id from pictures") == []
    assert listed(workbench) == {}
    assert filled.versions().items() >= versions.items()
    assert kinds(workbench) == {}


def test_nothing_is_removed_while_something_is_imported_for_the_user(workbench: Workbench) -> None:
    upload = imported(workbench)
    delete(workbench)
    let_undo_end(workbench)
    workbench.query("update upload set state = 'importing' where id = %s", upload.id)

    ((_tombstone, reason),) = keeper(workbench).purge().left

    assert "is under way" in reason
    assert_every_row_has_its_bytes(workbench)


def test_an_archived_folder_is_not_deleted(workbench: Workbench) -> None:
    imported(workbench)
    keeper(workbench).archive(folder_id(workbench), **SAID)
    with pytest.raises(FolderStateError, match="archived"):
        delete(workbench)


@pytest.mark.parametrize("said", [{"by": " ", "why": "x"}, {"by": "x", "why": ""}])
def test_nobody_deletes_without_a_name_and_a_reason(workbench: Workbench, said: dict[str, str]) -> None:
    imported(workbench)
    with pytest.raises(ValueError, match="for a reason"):
        keeper(workbench).delete(folder_id(workbench), **said)
    assert len(listed(workbench)) == 1


def test_a_folder_is_found_by_its_identifier_its_name_or_its_upload(workbench: Workbench) -> None:
    imported(workbench)
    folder = folder_id(workbench)
    stranger = workbench.another_user("stranger@example.org")
    with workbench.database.connection() as connection:
        for wanted in (str(folder), "session1", "project"):
            assert find_folder(connection, wanted, workbench.user).id == folder
        for wanted, user in (("session1", None), ("nothing", workbench.user), (str(folder), stranger.user)):
            with pytest.raises(UnknownFolderError):
                find_folder(connection, wanted, user)


def test_a_name_that_means_several_folders_is_refused(workbench: Workbench) -> None:
    imported(workbench)
    imported(workbench, "other", seed=5)
    with workbench.database.connection() as connection, pytest.raises(UnknownFolderError, match="2 folders"):
        find_folder(connection, "session1", workbench.user)


def test_busy_is_a_refusal() -> None:
    assert FolderBusyError("x").exit_code == 1
