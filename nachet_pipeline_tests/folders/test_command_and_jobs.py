"""Folders as operators meet them: at the terminal, and as jobs with a form."""

import json
from typing import Any

import pytest
from dagster import JobDefinition

from nachet_pipeline.defs.forms import FormError
from nachet_pipeline.defs.maintenance.jobs import archive_folder, delete_folder, purge_folders
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource, of_settings
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.folders.kept import archive_of, folder_id, let_undo_end, names
from nachet_pipeline_tests.reconciliation.drifted import imported
from nachet_pipeline_tests.workbench import Workbench

SAID = ("--by", "ann@example.org", "--why", "asked")


@pytest.fixture
def nachet(nachet: Nachet, workbench: Workbench) -> Nachet:
    """Runs the command on the workbench's services, where a folder is imported."""
    imported(workbench)
    return nachet


def test_without_a_decision_nothing_happens_and_both_are_named(workbench: Workbench, nachet: Nachet) -> None:
    code, text, error = nachet("folder", "delete", "session1", "--user", workbench.user.email, *SAID)
    assert code == 1
    assert "2 pictures" in text
    for option in ("--keep-for-training", "--delete-all"):
        assert option in text
        assert option in error
    assert workbench.query("select id from folder_tombstone") == []


def test_both_decisions_at_once_are_wrong(workbench: Workbench, nachet: Nachet) -> None:
    both = ("--delete-all", "--keep-for-training")
    assert nachet("folder", "delete", str(folder_id(workbench)), *both, *SAID)[0] == 2
    assert workbench.query("select id from folder_tombstone") == []


def test_a_folder_is_listed_deleted_and_brought_back(workbench: Workbench, nachet: Nachet) -> None:
    folder, user = str(folder_id(workbench)), ("--user", workbench.user.email)
    assert folder in nachet("folder", "list", *user)[1]

    code, text, _ = nachet("folder", "delete", folder, "--delete-all", *SAID)
    assert code == 0
    assert f"nachet folder undo {folder}" in text
    assert nachet("folder", "list", *user)[1] == ""
    assert nachet("folder", "list", *user, "--all")[1].rstrip().endswith("session1 of project  deleted")
    (line,) = nachet("folder", "list", *user, "--all", "--json")[1].splitlines()
    assert (json.loads(line)["state"], json.loads(line)["pictures"]) == ("deleted", 2)

    assert nachet("folder", "undo", folder, *SAID)[0] == 0
    assert folder in nachet("folder", "list", *user)[1]


def test_keeping_for_training_archives(workbench: Workbench, nachet: Nachet) -> None:
    code, text, _ = nachet("folder", "delete", str(folder_id(workbench)), "--keep-for-training", "--json", *SAID)
    assert code == 0
    assert json.loads(text)["action"] == "archived"
    assert len(names(workbench, archive_of(workbench))) == 4


def test_archiving_has_a_command_of_its_own(workbench: Workbench, nachet: Nachet) -> None:
    assert nachet("folder", "archive", str(folder_id(workbench)), *SAID)[0] == 0
    assert names(workbench, workbench.user.user_container) == set()


@pytest.mark.parametrize("arguments", [("delete", "nothing"), ("undo", "00000000-0000-0000-0000-000000000000")])
def test_an_unknown_folder_is_refused(nachet: Nachet, arguments: tuple[str, ...]) -> None:
    code, _, error = nachet("folder", *arguments, *SAID)
    assert code == 1
    assert len(error.strip().splitlines()) == 1


def test_what_is_not_put_away_is_not_brought_back(workbench: Workbench, nachet: Nachet) -> None:
    code, _, error = nachet("folder", "undo", str(folder_id(workbench)), *SAID)
    assert code == 1
    assert "is not put away" in error


def run(bench: Workbench, job: JobDefinition, **config: Any) -> Any:
    return job.execute_in_process(
        run_config=config or None,
        resources={
            "database": DatabaseResource(url=bench.database_url.get_secret_value()),
            "blob_storage": BlobStorageResource(
                account_url=bench.blobs.account_url, key=bench.blob_key.get_secret_value()
            ),
            **of_settings(bench.settings),
        },
        raise_on_error=False,
    )


def test_the_jobs_delete_archive_and_purge(workbench: Workbench) -> None:
    imported(workbench)
    form = {"folder": str(folder_id(workbench)), "by": "ann", "why": "asked"}

    assert not run(workbench, delete_folder, **form).success
    with pytest.raises(FormError, match="keep_for_training, delete_all: expected true for one of them"):
        run(workbench, delete_folder, **form, keep_for_training=True, delete_all=True)
    assert workbench.query("select id from folder_tombstone") == []
    assert run(workbench, delete_folder, **form, delete_all=True).success
    let_undo_end(workbench)
    assert run(workbench, purge_folders).success
    assert workbench.query("select id from picture_set") == []

    imported(workbench, "other", seed=5)
    assert run(workbench, archive_folder, **form | {"folder": str(folder_id(workbench))}).success
    assert len(names(workbench, archive_of(workbench))) == 4


def test_the_form_asks_for_all_that_the_trail_names(workbench: Workbench) -> None:
    with pytest.raises(FormError, match="why: expected the reason, for the audit trail"):
        run(workbench, delete_folder, folder=str(workbench.user.id), by="ann")
    with pytest.raises(FormError, match=r"folder: expected identifier of the folder .* found 'session1'"):
        run(workbench, archive_folder, folder="session1", by="ann", why="asked")
