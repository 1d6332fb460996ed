"""The run of an import that a command does: the UI shows it as one that Dagster started."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from dagster import DagsterEventType, DagsterRunStatus, RunsFilter

from nachet_pipeline.defs.resources import CommandImport
from nachet_pipeline.defs.uploads.reporting import NotReportedError, ReportedRun
from nachet_pipeline.defs.uploads.running import command_job
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.deployment import Deployment


@contextmanager
def reported(environment: Mapping[str, str], upload: Upload) -> Iterator[ReportedRun]:
    """The run of an import that ends without an outcome."""
    with ReportedRun() as run:
        run.prepare(environment)
        with run.of(upload):
            yield run


def test_the_run_of_a_command_is_of_the_job_that_the_code_location_has(deployment: Deployment) -> None:
    job = command_job(deployment.settings, CommandImport())
    assert job.get_job_snapshot_id() == deployment.definitions.resolve_job_def("import_uploads").get_job_snapshot_id()


def test_an_import_that_is_interrupted_has_a_failed_run_and_one_that_ends_shows_what_it_did(
    deployment: Deployment, environment: dict[str, str], command: Nachet
) -> None:
    folder = deployment.sample("interrupted")
    upload = deployment.stage(folder)
    with pytest.raises(KeyboardInterrupt), reported(environment, upload) as interrupted:
        raise KeyboardInterrupt

    answer = command("import", folder, "--user", deployment.user.email)

    assert answer.code == 0, answer.err
    run = deployment.instance.get_run_by_id(deployment.now(upload).run_id or "")
    assert run
    assert run.status is DagsterRunStatus.SUCCESS
    assert run.tags["nachet/folder"] == "interrupted"
    made = deployment.instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    assert sorted(event.asset_key.to_user_string() for log in made if (event := log.dagster_event)) == [
        "picture_metadata",
        "staged_upload",
        "stored_pictures",
        "validated_manifest",
    ]
    before = deployment.instance.get_run_by_id(interrupted.id)
    assert before
    assert before.status is DagsterRunStatus.FAILURE


def test_an_import_whose_run_cannot_be_written_says_so(deployment: Deployment, environment: dict[str, str]) -> None:
    upload = deployment.stage(deployment.sample("unreported"))
    nowhere = {**environment, "NACHET_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    with pytest.raises(NotReportedError, match="the database does not answer"), reported(nowhere, upload):
        pass


def test_ctrl_c_ends_no_process_that_writes_a_run_however_early(environment: dict[str, str]) -> None:
    program = """
import os, signal
from nachet_pipeline.defs.uploads.reporting import NotReportedError, ReportedRun
signal.signal(signal.SIGINT, lambda *_: None)
with ReportedRun() as run:
    os.killpg(0, signal.SIGINT)
    run.prepare({})
    try:
        with run.of("what it never gets to"):
            pass
    except NotReportedError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "NACHET_BATCH_SIZE": "none"},
        capture_output=True,
        text=True,
        start_new_session=True,
        check=True,
    )
    assert "NACHET_BATCH_SIZE" in done.stdout
    assert done.stderr == ""


def test_a_command_whose_input_and_output_are_closed_imports_too(
    deployment: Deployment, environment: dict[str, str]
) -> None:
    folder = deployment.sample("closed")
    upload = deployment.stage(folder)
    arguments = [sys.executable, "-m", "nachet_pipeline.cli.main", "import", folder, "--user", deployment.user.email]
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', *arguments], env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0
    run = deployment.instance.get_run_by_id(deployment.now(upload).run_id or "")
    assert run
    assert run.status is DagsterRunStatus.SUCCESS


def test_an_import_waits_for_no_client_that_is_slow_to_import_and_for_nobody_who_copies_what_its_run_prints(
    deployment: Deployment, environment: dict[str, str]
) -> None:
    folder = deployment.sample("quick")
    done = subprocess.run(
        [sys.executable, "-m", "nachet_pipeline.cli.main", "import", folder, "--user", deployment.user.email],
        env={**os.environ, **environment, "PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"dagster", "obstore", "jinja2"} <= imported
    assert imported & {"aiohttp", "azure"} == set()

    (run,) = deployment.instance.get_runs(RunsFilter(tags={"nachet/folder": "quick"}))
    (captured,) = deployment.instance.all_logs(run.run_id, of_type=DagsterEventType.LOGS_CAPTURED)
    event = captured.get_dagster_event()
    shown = deployment.instance.compute_log_manager
    key = shown.build_log_key_for_run(run.run_id, event.logs_captured_data.file_key)
    assert shown.is_capture_complete(key)
    assert shown.get_log_data(key).stdout is None
