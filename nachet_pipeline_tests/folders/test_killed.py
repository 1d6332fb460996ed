"""Putting folders away is killed at every step, called again, and ends as if it had not been."""

from collections.abc import Callable

import pytest

from nachet_pipeline.folders.keeper import FolderKeeper
from nachet_pipeline_tests.folders.kept import (
    KilledError,
    assert_every_row_has_its_bytes,
    folder_id,
    keeper,
    killed_at,
    let_undo_end,
    state,
)
from nachet_pipeline_tests.reconciliation.drifted import imported
from nachet_pipeline_tests.workbench import Workbench

MOST = 200


def test_archiving_and_undoing_it_survive_being_killed_at_every_step(workbench: Workbench) -> None:
    imported(workbench, pictures=1)
    folder = folder_id(workbench)
    said = {"by": "ann", "why": "asked"}
    keeper(workbench).archive(folder, **said)
    archived = state(workbench)
    keeper(workbench).undo(folder, **said)
    back = state(workbench)

    # One kill on the way there, one on the way back, at the next step each time.
    for step in range(1, MOST):
        there = _killed(workbench, step, lambda keeper: keeper.archive(folder, **said))
        keeper(workbench).archive(folder, **said)
        assert state(workbench) == archived, step
        again = _killed(workbench, step, lambda keeper: keeper.undo(folder, **said))
        if again:
            _go_on(workbench)
        assert state(workbench) == back, step
        if not there and not again:
            break
    else:
        pytest.fail("it never came to its end")
    assert step > 20


def _killed(bench: Workbench, step: int, act: Callable[[FolderKeeper], object]) -> bool:
    with killed_at(bench, step) as dying:
        try:
            act(dying)
        except KilledError:
            assert_every_row_has_its_bytes(bench)
            return True
    return False


def _go_on(bench: Workbench) -> None:
    """Call again: by the person, if it had not begun, else as the daily job does."""
    if bench.query("select id from folder_tombstone where undone_by is null and undone_at is null"):
        keeper(bench).undo(folder_id(bench), by="ann", why="asked")
    assert keeper(bench).purge().left == ()


def test_purging_survives_being_killed_at_every_step(workbench: Workbench) -> None:
    upload = imported(workbench, pictures=1)
    folder = folder_id(workbench)
    for step in range(1, MOST):
        keeper(workbench).delete(folder, by="ann", why="asked")
        let_undo_end(workbench)
        dead = False
        with killed_at(workbench, step) as dying:
            try:
                dying.purge()
            except KilledError:
                dead = True
        keeper(workbench).purge()
        assert workbench.query("select id from pictures") == []
        assert workbench.query("select id from picture_set") == []
        assert workbench.stored_pictures() == {}
        if not dead:
            break
        # The folder is still staged: who sends it again has it again.
        workbench.run(upload)
        assert_every_row_has_its_bytes(workbench)
    else:
        pytest.fail("it never came to its end")
    assert step > 10
