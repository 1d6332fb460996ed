"""Something else happens to a folder while it is put away or brought back: no row loses its bytes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from uuid import UUID

import pytest

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.folders import keeper as module
from nachet_pipeline.folders.moving import FolderBusyError
from nachet_pipeline.folders.queries import FolderStateError
from nachet_pipeline.picture_sets.holding import hold_imports
from nachet_pipeline_tests.folders.kept import archive_of, assert_every_row_has_its_bytes, folder_id, keeper, names
from nachet_pipeline_tests.reconciliation.drifted import imported, kinds
from nachet_pipeline_tests.workbench import Workbench

SAID = {"by": "ann@example.org", "why": "she left"}

Before = Callable[[int, Callable[[], None]], None]


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Before:
    """Let something happen just before a keeper holds imports: 1 is before rows are moved, 2 before it cleans up."""
    happenings: dict[int, Callable[[], None]] = {}
    lock, times = Lock(), 0

    def hold(connection: Connection, owner: UUID) -> bool:
        nonlocal times
        with lock:
            times += 1
            happening = happenings.get(times)
        if happening:
            happening()
        return hold_imports(connection, owner)

    monkeypatch.setattr(module, "hold_imports", hold)
    return happenings.__setitem__


def test_a_folder_sent_again_while_it_is_copied_to_the_archive_is_not_archived(
    workbench: Workbench, before: Before
) -> None:
    upload = imported(workbench)
    before(1, lambda: workbench.run(upload) and None)

    with pytest.raises(FolderStateError, match="imported again meanwhile"):
        keeper(workbench).archive(folder_id(workbench), **SAID)

    assert workbench.query("select id from picture_set where archived_at is not null") == []
    assert len(workbench.stored_pictures()) == 2
    assert_every_row_has_its_bytes(workbench)


def test_a_folder_sent_again_after_it_moved_to_the_archive_keeps_its_blobs(
    workbench: Workbench, before: Before
) -> None:
    upload = imported(workbench)
    before(2, lambda: workbench.run(upload) and None)

    keeper(workbench).archive(folder_id(workbench), **SAID)

    assert len(workbench.stored_pictures()) == 2
    assert_every_row_has_its_bytes(workbench)
    keeper(workbench).purge()
    assert_every_row_has_its_bytes(workbench)
    assert names(workbench, archive_of(workbench)) == set()
    assert kinds(workbench) == {}


def test_a_folder_archived_anew_while_its_archive_is_emptied_keeps_what_was_copied(
    workbench: Workbench, before: Before
) -> None:
    imported(workbench)
    folder = folder_id(workbench)
    keeper(workbench).archive(folder, **SAID)
    copied, emptied = Event(), Event()

    with ThreadPoolExecutor(1) as executor:

        def archive_anew() -> None:
            again.append(executor.submit(keeper(workbench).archive, folder, **SAID))
            assert copied.wait(120)

        def point_later() -> None:
            copied.set()
            assert emptied.wait(120)

        again: list = []
        before(4, archive_anew)  # the undoing cleans up
        before(5, point_later)  # the archiving lets rows point at what it copied
        keeper(workbench).undo(folder, **SAID)
        emptied.set()
        again[0].result()

    assert_every_row_has_its_bytes(workbench)
    assert len(names(workbench, archive_of(workbench))) > 2
    assert kinds(workbench) == {}


def test_two_processes_do_not_move_one_folder_at_a_time(workbench: Workbench) -> None:
    imported(workbench)
    folder = folder_id(workbench)
    refused: list[str] = []

    def another_process(_done: int, _total: int) -> None:
        with pytest.raises(FolderBusyError) as error:
            keeper(workbench).archive(folder, **SAID)
        refused.append(str(error.value))

    keeper(workbench, progress=another_process).archive(folder, **SAID)

    assert refused
    assert all("another process moves" in said for said in refused)
    assert_every_row_has_its_bytes(workbench)
