"""Runs whose process is gone are ended, living ones are not, and nobody waits for a run that was cancelled."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from dagster import DagsterRun, DagsterRunStatus, SensorResult, build_sensor_context
from pydantic import SecretStr

from nachet_pipeline.database.run_locks import living_runs, sign_of_life
from nachet_pipeline.defs.maintenance.sensors import SECONDS_WITHOUT_SIGN, end_silent_runs
from nachet_pipeline.defs.resources import ImportProgress
from nachet_pipeline.defs.runs import REPOSITORY, REPOSITORY_TAG
from nachet_pipeline.local.processes import wait_until
from nachet_pipeline.uploads.queries import mark_queued
from nachet_pipeline_tests.deployment import Deployment

_LIVE = """
import sys, time
from pydantic import SecretStr
from nachet_pipeline.database.run_locks import sign_of_life
with sign_of_life(SecretStr(sys.argv[1]), sys.argv[2]):
    print("lives", flush=True)
    time.sleep(1000)
"""


def _run(
    deployment: Deployment,
    status: DagsterRunStatus = DagsterRunStatus.STARTED,
    tags: dict[str, str] | None = None,
    job: str = "import_uploads",
) -> DagsterRun:
    job_def = deployment.definitions.resolve_job_def(job)
    return deployment.instance.create_run_for_job(
        job_def, status=status, tags={REPOSITORY_TAG: REPOSITORY, **(tags or {})}
    )


@contextmanager
def _process_of(deployment: Deployment, run: DagsterRun) -> Iterator[subprocess.Popen[str]]:
    """A process that works on a run, as far as can be seen from outside."""
    command = [sys.executable, "-c", _LIVE, deployment.services.importer_url, run.run_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "lives\n"
            yield process
        finally:
            process.kill()


def _lives(deployment: Deployment, run: DagsterRun) -> bool:
    with deployment.database.connection() as connection:
        return living_runs(connection, [run.run_id]) == {run.run_id}


def _status(deployment: Deployment, run: DagsterRun) -> DagsterRunStatus:
    now = deployment.instance.get_run_by_id(run.run_id)
    assert now is not None
    return now.status


def _look(deployment: Deployment, missed: dict[str, float], now: float) -> dict[str, float]:
    return end_silent_runs(deployment.instance, deployment.database, missed, now)[0]


def _tick(deployment: Deployment, cursor: str | None = None) -> SensorResult:
    sensor = deployment.definitions.get_repository_def().get_sensor_def("end_dead_runs")
    resources = {"database": deployment.resources["database"]}
    with build_sensor_context(instance=deployment.instance, resources=resources, cursor=cursor) as context:
        return sensor(context)


@pytest.fixture(autouse=True)
def _no_run_of_other_tests(deployment: Deployment) -> None:
    for record in deployment.instance.get_run_records():
        deployment.instance.delete_run(record.dagster_run.run_id)


@pytest.mark.parametrize("job", ["import_uploads", "crop_pictures"])
def test_a_run_whose_process_was_killed_is_ended_once_its_sign_was_missing_for_a_while(
    deployment: Deployment, job: str
) -> None:
    run = _run(deployment, job=job)
    with _process_of(deployment, run) as process:
        missed = _look(deployment, {}, 0)
        assert missed == {}
        process.kill()
        assert wait_until(lambda: not _lives(deployment, run), 20)

        missed = _look(deployment, missed, 100)
        assert _status(deployment, run) is DagsterRunStatus.STARTED
        missed = _look(deployment, missed, 100 + SECONDS_WITHOUT_SIGN)

    assert missed == {}
    assert _status(deployment, run) is DagsterRunStatus.FAILURE


def test_the_sensor_remembers_from_look_to_look_since_when_a_sign_is_missing(deployment: Deployment) -> None:
    run = _run(deployment)

    first = _tick(deployment)
    assert first.cursor is not None
    assert set(json.loads(first.cursor)) == {run.run_id}
    second = _tick(deployment, json.dumps({run.run_id: 0}))

    assert second.cursor == "{}"
    assert _status(deployment, run) is DagsterRunStatus.FAILURE


def test_a_run_that_was_being_cancelled_when_it_died_is_cancelled(deployment: Deployment) -> None:
    run = _run(deployment, DagsterRunStatus.CANCELING)

    _look(deployment, _look(deployment, {}, 0), SECONDS_WITHOUT_SIGN)

    assert _status(deployment, run) is DagsterRunStatus.CANCELED


def test_a_run_that_dagster_tells_to_be_dead_is_tried_again_by_dagster(deployment: Deployment) -> None:
    run = _run(deployment)

    _look(deployment, _look(deployment, {}, 0), SECONDS_WITHOUT_SIGN)

    now = deployment.instance.get_run_by_id(run.run_id)
    assert now is not None
    assert now.tags["dagster/will_retry"] == "true"


def test_a_living_run_whose_connection_was_cut_gives_its_sign_again_and_is_left_alone(deployment: Deployment) -> None:
    run = _run(deployment)
    with sign_of_life(SecretStr(deployment.services.importer_url), run.run_id):
        assert wait_until(lambda: _lives(deployment, run), 20)
        with psycopg.connect(deployment.services.database_url, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'nachet run'"
            )
        missed = _look(deployment, {}, 0)
        assert wait_until(lambda: _lives(deployment, run), 20)

        assert set(missed) <= {run.run_id}
        assert _look(deployment, missed, SECONDS_WITHOUT_SIGN) == {}

    assert _status(deployment, run) is DagsterRunStatus.STARTED
    assert wait_until(lambda: not _lives(deployment, run), 20)


def test_runs_that_have_not_begun_or_are_others_are_none_of_its_business(deployment: Deployment) -> None:
    waiting = _run(deployment, DagsterRunStatus.NOT_STARTED)
    starting = _run(deployment, DagsterRunStatus.STARTING)
    other = _run(deployment, tags={REPOSITORY_TAG: "__repository__@elsewhere"})

    _look(deployment, _look(deployment, {}, 0), SECONDS_WITHOUT_SIGN)

    assert _status(deployment, waiting) is DagsterRunStatus.NOT_STARTED
    assert _status(deployment, starting) is DagsterRunStatus.STARTING
    assert _status(deployment, other) is DagsterRunStatus.STARTED


def test_an_import_gives_a_sign_of_life_while_it_works_and_none_afterwards(deployment: Deployment) -> None:
    from nachet_pipeline.definitions import definitions  # noqa: PLC0415 (reads the environment)

    upload = deployment.stage(deployment.sample("signs"))
    signs: list[bool] = []

    def look(*_: object) -> None:
        (record,) = deployment.instance.get_run_records()
        signs.append(_lives(deployment, record.dagster_run))

    deployment.definitions = definitions(deployment.settings, ImportProgress(look))
    result = deployment.run_import(upload)

    assert result.success
    assert signs
    assert all(signs)
    assert wait_until(lambda: not _lives(deployment, result.dagster_run), 20)


def test_what_a_cancelled_run_never_began_with_is_asked_for_at_the_next_look(deployment: Deployment) -> None:
    cancelled, going_on, again = (deployment.stage(deployment.sample(name, seed=i)) for i, name in enumerate("abc"))
    with deployment.database.connection() as connection:
        for batch, upload in (("batch-a", cancelled), ("batch-b", going_on), ("batch-c", again)):
            mark_queued(connection, batch, {upload.id: "digest"})
    _run(deployment, DagsterRunStatus.CANCELED, {"nachet/batch": "batch-a"})
    _run(deployment, DagsterRunStatus.STARTED, {"nachet/batch": "batch-b"})
    _run(deployment, DagsterRunStatus.CANCELED, {"nachet/batch": "batch-c"})
    _run(deployment, DagsterRunStatus.STARTED, {"nachet/batch": "batch-c"})

    _tick(deployment)

    assert deployment.now(cancelled).state == "staged"
    assert deployment.now(going_on).state == "queued"
    assert deployment.now(again).state == "queued"
