"""The sensors on a real instance: what is due, asked for once, and owed after a run died."""

import json

import pytest
from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterRunStatus,
    RunRequest,
    SensorResult,
    build_run_status_sensor_context,
    build_sensor_context,
)
from dagster._core.events import JobFailureData

from nachet_pipeline import sensors
from nachet_pipeline.database.uploads import mark_importing, mark_queued, search_uploads
from nachet_pipeline.storage.naming import receipt_blob
from nachet_pipeline_tests.deployment import Deployment

START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@pytest.fixture
def tick(deployment: Deployment):
    """Evaluates the sensor on staged folders once."""
    sensor = deployment.definitions.get_repository_def().get_sensor_def("staged_folders")

    def evaluate() -> SensorResult:
        with build_sensor_context(instance=deployment.instance, resources=deployment.resources) as context:
            return sensor(context)

    return evaluate


def _asked(request: RunRequest, deployment: Deployment) -> set[str]:
    """The partitions that a run request takes."""
    keys = deployment.instance.get_dynamic_partitions("upload")
    return set(keys[keys.index(request.tags[START]) : keys.index(request.tags[END]) + 1])


def _requests(result: SensorResult, deployment: Deployment) -> list[RunRequest]:
    """The run requests that take an upload of this test's user; other tests' folders lie in the same account."""
    with deployment.database.connection() as connection:
        own = {
            upload.partition
            for upload in search_uploads(connection, None, limit=1000)
            if upload.owner == deployment.owner
        }
    return [request for request in result.run_requests or [] if own & _asked(request, deployment)]


def test_a_complete_folder_is_asked_for_once(deployment: Deployment, tick) -> None:
    upload = deployment.stage(deployment.sample("arrived"))

    first, second = _requests(tick(), deployment), _requests(tick(), deployment)

    assert len(first) == 1
    assert deployment.instance.has_dynamic_partition("upload", upload.partition)
    assert second == []
    assert deployment.now(upload).state == "queued"


def test_folders_that_arrive_together_share_one_run(deployment: Deployment, tick) -> None:
    uploads = [deployment.stage(deployment.sample(f"together{n}", seed=n)) for n in range(3)]

    requests = _requests(tick(), deployment)

    assert len(requests) == 1
    assert {upload.partition for upload in uploads} <= _asked(requests[0], deployment)


def test_what_the_sensor_saw_is_on_the_page_of_the_upload(deployment: Deployment, tick) -> None:
    upload = deployment.stage(deployment.sample("seen"))

    result = tick()

    events = [event for event in result.asset_events if event.partition == upload.partition]
    assert [event.asset_key.to_user_string() for event in events] == ["staged_upload"]
    assert events[0].metadata["owner"].value == deployment.user.email
    assert upload.partition in events[0].metadata["manifest"].value.replace("%7E", "~")


def test_an_imported_folder_is_not_asked_for_again(deployment: Deployment, tick) -> None:
    upload = deployment.stage(deployment.sample("done"))
    deployment.run_import(upload)

    assert _requests(tick(), deployment) == []


def test_a_corrected_folder_is_asked_for_again_in_a_run_of_its_own(deployment: Deployment, tick) -> None:
    folder = deployment.sample("wrong")
    index = folder / "index.yaml"
    right = index.read_text()
    index.write_text(right.replace("zoom", "zum"))
    upload = deployment.stage(folder)
    deployment.run_import(upload)
    assert deployment.now(upload).state == "refused"
    assert _requests(tick(), deployment) == []
    index.write_text(right)
    deployment.stage(folder)

    requests = _requests(tick(), deployment)

    assert [(r.tags[START], r.tags[END]) for r in requests] == [(upload.partition, upload.partition)]


def test_corrected_folders_that_are_neighbours_in_the_order_of_partitions_share_a_run_and_others_do_not(
    deployment: Deployment, tick
) -> None:
    first, second, between, last = uploads = [
        deployment.stage(deployment.sample(f"neighbour{number}", seed=number)) for number in range(4)
    ]
    deployment.instance.add_dynamic_partitions("upload", [upload.partition for upload in uploads])
    with deployment.database.connection() as connection:
        connection.execute("update upload set state = 'importing', run_id = 'x' where id = %s", (between.id,))

    requests = _requests(tick(), deployment)

    assert [(request.tags[START], request.tags[END]) for request in requests] == [
        (first.partition, second.partition),
        (last.partition, last.partition),
    ]


def test_of_many_folders_that_arrive_together_none_is_told_by_itself(
    deployment: Deployment, tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "_MOST_TOLD_ONE_BY_ONE", 1)
    uploads = [deployment.stage(deployment.sample(f"many{number}", seed=number)) for number in range(2)]

    result = tick()

    assert list(result.asset_events) == []
    assert [request.tags["nachet/uploads"] for request in _requests(result, deployment)] == ["2"]
    assert {deployment.now(upload).state for upload in uploads} == {"queued"}


def test_a_run_that_died_leaves_a_receipt(deployment: Deployment) -> None:
    upload = deployment.stage(deployment.sample("died"))
    waiting = deployment.stage(deployment.sample("waiting", seed=1))
    job = deployment.definitions.resolve_job_def("import_uploads")
    run = deployment.instance.create_run_for_job(job, tags={"nachet/batch": "abc"}, status=DagsterRunStatus.FAILURE)
    with deployment.database.connection() as connection:
        mark_queued(connection, "abc", {waiting.id: "digest"})
        mark_importing(connection, upload.id, run.run_id)
    sensor = deployment.definitions.get_repository_def().get_sensor_def("failed_imports")
    event = DagsterEvent(
        event_type_value=DagsterEventType.RUN_FAILURE.value,
        job_name=job.name,
        event_specific_data=JobFailureData(error=None),
    )

    with build_run_status_sensor_context(
        sensor_name="failed_imports",
        dagster_event=event,
        dagster_instance=deployment.instance,
        dagster_run=run,
        resources={key: deployment.resources[key] for key in ("database", "blob_storage")},
    ) as context:
        sensor(context.for_run_failure())

    for owed in (upload, waiting):
        now = deployment.now(owed)
        assert now.state == "failed"
        assert run.run_id in now.receipt.failure
        beside = json.loads(deployment.blobs.read(owed.staging_container, receipt_blob(owed.folder)))
        assert beside["state"] == "failed"


def test_a_request_that_never_became_a_run_is_made_again(deployment: Deployment, tick) -> None:
    upload = deployment.stage(deployment.sample("lost"))
    first = _requests(tick(), deployment)
    with deployment.database.connection() as connection:
        connection.execute("update upload set queued_at = now() - interval '1 hour' where id = %s", (upload.id,))

    second = _requests(tick(), deployment)

    assert len(first) == len(second) == 1
    assert upload.partition in _asked(second[0], deployment)


def test_a_folder_without_marker_waits_until_it_is_complete(deployment: Deployment, tick) -> None:
    folder = deployment.sample("growing")
    missing = folder / "pictures" / "session1" / "2.tiff"
    content = missing.read_bytes()
    missing.unlink()
    upload = deployment.stage(folder)
    deployment.blobs.delete(upload.staging_container, f"{upload.folder}/_COMPLETE")
    before = _requests(tick(), deployment)
    missing.write_bytes(content)
    deployment.stage(folder)

    after = _requests(tick(), deployment)

    assert before == []
    assert len(after) == 1
