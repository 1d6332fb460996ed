"""Bulk work in several runs on a Dagster instance: cut, done at the same time, ended and told as a whole."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from dagster import (
    AssetKey,
    AssetRecordsFilter,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    ExecuteInProcessResult,
    RunRequest,
    RunsFilter,
    SensorResult,
    build_sensor_context,
)
from dagster._core.test_utils import create_run_for_test

from nachet_pipeline.defs.fan_out import FAN_OUT_OF_TAG, SHARD_TAG, due_runs
from nachet_pipeline.defs.forms import FormError
from nachet_pipeline.defs.maintenance import assets as module
from nachet_pipeline_tests.deployment import PROJECT, Deployment
from nachet_pipeline_tests.mass_import.containers import picture
from nachet_pipeline_tests.workbench import settings_with

FOLDERS = 8
OPS = {"mass_import": "import_container", "reprocess_pictures": "reprocessed_pictures"}


class Site:
    """A deployment whose bulk work is cut early, and the launcher of its runs."""

    def __init__(self, deployment: Deployment, **settings: Any) -> None:
        from nachet_pipeline.definitions import definitions  # noqa: PLC0415 (reads the environment)

        self.deployment = deployment
        self.definitions: Definitions = definitions(settings_with(deployment.settings, decode_workers=1, **settings))

    def start(
        self, job: str, config: dict[str, Any] | None = None, partition: str | None = None, **tags: str
    ) -> ExecuteInProcessResult:
        run_config = {"ops": {OPS[job]: {"config": config}}} if config else None
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.deployment.instance,
            raise_on_error=False,
            partition_key=partition,
            run_config=run_config,
            tags=tags,
        )

    def tick(self, cut_by: str) -> list[RunRequest]:
        """What the sensor asks for, of the work that a run cut."""
        sensor = self.definitions.get_repository_def().get_sensor_def("start_shards")
        with build_sensor_context(instance=self.deployment.instance) as context:
            result = sensor(context)
        requests = (result.run_requests or []) if isinstance(result, SensorResult) else []
        return [request for request in requests if request.tags[FAN_OUT_OF_TAG] == cut_by]

    def launch(self, requests: list[RunRequest]) -> list[ExecuteInProcessResult]:
        """Run them, one after the other."""
        return [
            self.definitions.resolve_job_def(request.job_name).execute_in_process(
                instance=self.deployment.instance,
                raise_on_error=False,
                partition_key=request.partition_key,
                run_config=request.run_config,
                tags=request.tags,
            )
            for request in requests
        ]

    def launch_at_once(self, requests: list[RunRequest]) -> list[int]:
        """Run all of them at the same time, as a launcher does, each in a process of its own; gives the exit codes."""
        asked = [
            json.dumps([one.job_name, one.partition_key, dict(one.run_config), dict(one.tags)]) for one in requests
        ]
        processes = [subprocess.Popen([sys.executable, "-c", _LAUNCHED, one], cwd=PROJECT) for one in asked]
        return [process.wait(120) for process in processes]


_LAUNCHED = """
import json, sys
from dagster import DagsterInstance
from nachet_pipeline.definitions import defs

if __name__ == "__main__":
    job, partition, config, tags = json.loads(sys.argv[1])
    with DagsterInstance.get() as instance:
        result = defs.resolve_job_def(job).execute_in_process(
            instance=instance, raise_on_error=False, partition_key=partition, run_config=config, tags=tags
        )
    sys.exit(not result.success)
"""


@pytest.fixture
def container(deployment: Deployment) -> str:
    """A container of folders with two pictures each."""
    name = f"large-{uuid.uuid4().hex[:16]}"
    deployment.blobs.ensure_container(name)
    for folder in range(FOLDERS):
        for number in range(2):
            content = picture(7000 + 10 * folder + number)
            deployment.blobs.upload(name, f"day{folder}/{number}.png", content, content_type="image/png")
    deployment.instance.add_dynamic_partitions("container", [name])
    return name


def config_of(deployment: Deployment) -> dict[str, Any]:
    return {"owner": deployment.user.email, "seed": "Brassica napus", "zoom": "30", "seeds_per_picture": "2"}


def observed(deployment: Deployment, partition: str) -> list[str | None]:
    """What was said of a container beside its materializations."""
    asked = AssetRecordsFilter(asset_key=AssetKey("mass_imported_container"), asset_partitions=[partition])
    found = deployment.instance.fetch_observations(asked, limit=100).records
    return sorted(str(record.asset_observation.description) for record in found if record.asset_observation)


def test_a_large_container_is_cut_imported_by_several_runs_and_told_as_a_whole(
    deployment: Deployment, container: str
) -> None:
    site = Site(deployment, mass_import_pictures_per_run=8)
    first = site.start("mass_import", config_of(deployment), container)
    assert first.success
    assert deployment.count("pictures") == 0

    requests = site.tick(first.run_id)
    assert len(requests) == 2
    assert {request.partition_key for request in requests} == {container}
    ended = site.launch_at_once(requests)

    assert ended == [0, 0]
    assert deployment.count("pictures") == 2 * FOLDERS
    assert observed(deployment, container) == sorted(
        ["cut into 2 parts", *(f"part {request.tags[SHARD_TAG]}" for request in requests)]
    )
    (last,) = site.tick(first.run_id)
    (whole,) = site.launch([last])
    (event,) = whole.asset_materializations_for_node("import_container")
    assert (event.partition, event.metadata["taken"].value) == (container, 2 * FOLDERS)
    assert event.metadata["rows_changed"].value == 0
    (check,) = whole.get_asset_check_evaluations()
    assert check.passed
    assert site.tick(first.run_id) == site.tick(first.run_id) == []


def test_a_part_that_fails_is_made_up_for_by_the_last_run(deployment: Deployment, container: str) -> None:
    site = Site(deployment, mass_import_pictures_per_run=8)
    first = site.start("mass_import", config_of(deployment), container)
    good, bad = site.tick(first.run_id)
    bad.run_config["ops"]["import_container"]["config"]["owner"] = "nobody@example.org"
    assert [result.success for result in site.launch([good, bad])] == [True, False]
    assert deployment.count("pictures") < 2 * FOLDERS

    (last,) = site.tick(first.run_id)
    (whole,) = site.launch([last])

    (check,) = whole.get_asset_check_evaluations()
    assert check.passed
    assert deployment.count("pictures") == 2 * FOLDERS


def test_work_that_is_to_stay_in_one_run_does(deployment: Deployment, container: str) -> None:
    site = Site(deployment, mass_import_pictures_per_run=8)

    result = site.start("mass_import", {**config_of(deployment), "whole": True}, container)

    assert len(result.asset_materializations_for_node("import_container")) == 1
    assert site.tick(result.run_id) == []


def test_the_name_of_no_part_is_refused_in_one_line(deployment: Deployment, container: str) -> None:
    with pytest.raises(FormError, match=r"^part: expected .* 0-255, found 9-300$"):
        Site(deployment).start("reprocess_pictures", {"part": "9-300"})

    result = Site(deployment).start("mass_import", {**config_of(deployment), "part": "9-300"}, container)

    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "0-255, found 9-300" in str(failure.step_failure_data.user_failure_data.description)


def test_a_night_is_cut_into_runs_and_its_numbers_are_those_of_the_whole(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WORTH_A_RUN", 2)
    upload = deployment.stage(deployment.sample("by-night", pictures=9, seed=7100))
    assert deployment.run_import(upload).success
    site = Site(deployment, reprocess_runs=3)
    assert site.start("reprocess_pictures", {"whole": True}).success
    with deployment.database.connection() as connection:
        connection.execute(
            "update pictures set enrichment_version = '0' where picture_set_id in"
            " (select id from picture_set where owner_id = %s)",
            (deployment.user.id,),
        )
    first = site.start("reprocess_pictures")
    assert first.asset_materializations_for_node("reprocessed_pictures") == []

    requests = site.tick(first.run_id)
    results = site.launch(requests)
    (last,) = site.tick(first.run_id)
    (whole,) = site.launch([last])

    assert len(requests) == 3
    assert all(result.success for result in results)
    assert all(not result.get_asset_check_evaluations() for result in results)
    (event,) = whole.asset_materializations_for_node("reprocessed_pictures")
    assert (event.metadata["looked_at"].value, event.metadata["changed"].value) == (9, 9)
    assert event.metadata["left_stale"].value == 0
    checks = {check.check_name: check.passed for check in whole.get_asset_check_evaluations()}
    assert checks["nothing_stale"]
    assert len(checks) == 3


def test_a_night_without_much_to_do_is_one_run(deployment: Deployment) -> None:
    site = Site(deployment, reprocess_runs=3)

    result = site.start("reprocess_pictures")

    assert len(result.asset_materializations_for_node("reprocessed_pictures")) == 1


@pytest.mark.parametrize("job", list(OPS))
def test_runs_of_bulk_work_can_be_told_from_imports(deployment: Deployment, job: str) -> None:
    tags = deployment.definitions.resolve_job_def(job).run_tags

    assert tags["nachet/kind"] == "bulk"
    assert int(tags["dagster/priority"]) < 0
    assert "nachet/kind" not in deployment.definitions.resolve_job_def("import_uploads").run_tags


# Which runs are asked for when


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


def cut_run(instance: DagsterInstance, **tags: str) -> str:
    run = create_run_for_test(
        instance,
        job_name="reprocess_pictures",
        status=DagsterRunStatus.SUCCESS,
        tags={"nachet/cut": "open", "nachet/cut-parts": "0-99 100-255", **tags},
        run_config={"ops": {"reprocessed_pictures": {"config": {"limit": 7}}}},
    )
    return run.run_id


def part_run(instance: DagsterInstance, cut_by: str, part: str, status: DagsterRunStatus, **tags: str) -> None:
    create_run_for_test(
        instance, job_name="reprocess_pictures", status=status, tags={FAN_OUT_OF_TAG: cut_by, SHARD_TAG: part, **tags}
    )


def asked(instance: DagsterInstance) -> list[tuple[str, dict[str, Any]]]:
    """Names and configurations of the runs that are due."""
    return [
        (request.tags[SHARD_TAG], request.run_config["ops"]["reprocessed_pictures"]["config"])
        for request in due_runs(instance, OPS)
    ]


def test_every_part_is_asked_for_with_what_was_asked_of_the_whole(instance: DagsterInstance) -> None:
    cut_run(instance)

    assert asked(instance) == [("0-99", {"limit": 7, "part": "0-99"}), ("100-255", {"limit": 7, "part": "100-255"})]
    assert len({request.run_key for request in due_runs(instance, OPS)}) == 2


def test_a_part_whose_run_was_not_made_is_asked_for_again_and_no_other(instance: DagsterInstance) -> None:
    cut_by = cut_run(instance)
    part_run(instance, cut_by, "0-99", DagsterRunStatus.STARTING)

    assert [part for part, _ in asked(instance)] == ["100-255"]


@pytest.mark.parametrize(
    ("status", "tags", "ends"),
    [
        (DagsterRunStatus.SUCCESS, {}, True),
        (DagsterRunStatus.FAILURE, {}, True),
        (DagsterRunStatus.CANCELED, {}, True),
        (DagsterRunStatus.STARTED, {}, False),
        (DagsterRunStatus.NOT_STARTED, {}, False),
        (DagsterRunStatus.CANCELING, {}, False),
        (DagsterRunStatus.FAILURE, {"dagster/will_retry": "true"}, False),
        (DagsterRunStatus.FAILURE, {"dagster/will_retry": "false"}, True),
        (DagsterRunStatus.FAILURE, {"dagster/will_retry": "true", "dagster/auto_retry_run_id": "x"}, True),
    ],
)
def test_the_whole_is_ended_when_every_part_has(
    instance: DagsterInstance, status: DagsterRunStatus, tags: dict[str, str], *, ends: bool
) -> None:
    cut_by = cut_run(instance)
    part_run(instance, cut_by, "0-99", DagsterRunStatus.SUCCESS)
    part_run(instance, cut_by, "100-255", status, **tags)

    assert asked(instance) == ([("rest", {"limit": 7, "whole": True})] if ends else [])


def test_work_that_has_all_its_runs_is_looked_at_no_more(instance: DagsterInstance) -> None:
    cut_by = cut_run(instance)
    for part in ("0-99", "100-255", "rest"):
        part_run(instance, cut_by, part, DagsterRunStatus.SUCCESS)

    assert asked(instance) == []
    assert instance.get_runs(RunsFilter(tags={"nachet/cut": "open"})) == []


def test_a_run_that_failed_after_it_cut_is_left_alone(instance: DagsterInstance) -> None:
    run_id = cut_run(instance)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.run_storage.delete_run(run_id)
    instance.run_storage.add_run(run.with_status(DagsterRunStatus.FAILURE))

    assert asked(instance) == []
