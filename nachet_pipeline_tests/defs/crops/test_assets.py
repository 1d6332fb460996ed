"""The job that crops on a real Dagster instance: what an operator sees of each upload, and what starts it."""

from typing import Any

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetKey,
    AssetRecordsFilter,
    DagsterRunStatus,
    ExecuteInProcessResult,
    SkipReason,
    build_sensor_context,
)
from dagster._core.definitions.asset_checks.asset_check_spec import AssetCheckKey
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from nachet_pipeline.crops.cropping import crop_method
from nachet_pipeline.crops.queries import begin_cropping, end_cropping
from nachet_pipeline.defs.crops.sensors import start_crops_sensor
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline_tests.deployment import Deployment

CROPS = AssetKey("picture_crops")
CHECK = AssetCheckKey(CROPS, "declared_seeds_found")
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def sample(deployment: Deployment, name: str, *, seed: int, declared: int | None = None) -> Upload:
    """A staged upload of pictures large enough to show their six seeds; it may declare another number."""
    folder = write_sample(
        deployment.scratch / name, pictures=2, seed=seed, email=deployment.user.email, width=320, height=240
    )
    if declared is not None:
        for file in (folder / "index.yaml", folder / "pictures" / "session1" / "1.yaml"):
            file.write_text(file.read_text().replace("numberOfSeeds: 6", f"numberOfSeeds: {declared}"))
    return deployment.stage(folder)


def crop(deployment: Deployment, *over: Upload) -> ExecuteInProcessResult:
    keys = [upload.partition for upload in over]
    return deployment.definitions.resolve_job_def("crop_pictures").execute_in_process(
        instance=deployment.instance,
        raise_on_error=False,
        tags=dict(zip(_RANGE, (keys[0], keys[-1]), strict=True)),
    )


def status(deployment: Deployment) -> tuple[set[str], set[str]]:
    """Materialized and failed partitions, as the UI counts them."""
    cached = get_and_update_asset_status_cache_value(
        deployment.instance, CROPS, uploads, dynamic_partitions_loader=deployment.instance
    )
    failed = set(cached.deserialize_failed_partition_subsets(uploads).get_partition_keys())
    return set(cached.deserialize_materialized_partition_subsets(uploads).get_partition_keys()) - failed, failed


def metadata(deployment: Deployment, upload: Upload, *, observed: bool = False) -> dict[str, Any]:
    fetch = deployment.instance.fetch_observations if observed else deployment.instance.fetch_materializations
    (record,) = fetch(AssetRecordsFilter(CROPS, asset_partitions=[upload.partition]), limit=1).records
    event = record.asset_observation or record.asset_materialization
    assert event is not None
    return dict(event.metadata)


def evaluation(deployment: Deployment, upload: Upload) -> Any:
    records = deployment.instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=20)
    found = [record.event.dagster_event.event_specific_data for record in records if record.event]
    return next(one for one in found if isinstance(one, AssetCheckEvaluation) and one.partition == upload.partition)


def test_each_upload_shows_its_crops_and_what_differs(deployment: Deployment) -> None:
    right = sample(deployment, "crops-right", seed=301)
    refused = deployment.stage(_spoiled(deployment))
    wrong = sample(deployment, "crops-wrong", seed=302, declared=4)
    deployment.run_import(right, refused, wrong)

    result = crop(deployment, right, wrong)

    assert result.success
    materialized, failed = status(deployment)
    assert {right.partition, wrong.partition} <= materialized
    assert refused.partition not in materialized | failed
    shown = metadata(deployment, right)
    assert [shown[name].value for name in ("pictures", "crops", "differing")] == [2, 12, 0]
    (row,) = [record.data for record in shown["sessions"].records]
    assert (row["session"], row["seeds declared"], row["seeds found"]) == ("pictures/session1", 12, 12)
    assert "data:image/jpeg;base64," in shown["boxes"].value
    assert evaluation(deployment, right).passed

    shown = metadata(deployment, wrong)
    assert [shown[name].value for name in ("pictures", "crops", "differing")] == [2, 12, 2]
    found = evaluation(deployment, wrong)
    assert (found.passed, found.severity, found.blocking) == (False, AssetCheckSeverity.WARN, False)
    assert found.description == "seed-count-differs (2)"
    rows = [record.data for record in found.metadata["findings"].records]
    assert [(row["where"], row["declared"], row["found"]) for row in rows] == [
        ("pictures/session1/1.tiff", 4, 6),
        ("pictures/session1/2.tiff", 4, 6),
    ]
    assert "data:image/jpeg;base64," in found.metadata["boxes"].value
    assert found.target_materialization_data is not None


def _spoiled(deployment: Deployment):
    folder = deployment.sample("crops-refused", seed=303)
    (folder / "pictures" / "session1" / "2.tiff").write_text("not a picture")
    return folder


def test_an_upload_that_could_not_be_cropped_is_red_and_its_neighbour_green(deployment: Deployment) -> None:
    broken, whole = (sample(deployment, f"crops-{name}", seed=seed) for name, seed in (("broken", 304), ("whole", 305)))
    deployment.run_import(broken, whole)
    with deployment.database.connection() as connection:
        (row,) = connection.execute(
            "select p.blob from pictures p join picture_set s on s.id = p.picture_set_id"
            " where s.upload_id = %s and p.name = '2.tiff'",
            (broken.id,),
        ).fetchall()
    content = deployment.blobs.read(deployment.user.user_container, row["blob"])
    deployment.blobs.delete(deployment.user.user_container, row["blob"])

    result = crop(deployment, broken, whole)

    assert not result.success
    materialized, failed = status(deployment)
    assert whole.partition in materialized
    assert (broken.partition in materialized, broken.partition in failed) == (False, True)
    (named,) = [record.data for record in metadata(deployment, broken, observed=True)["not_cropped"].records]
    assert named == {
        "where": "pictures/session1/2.tiff",
        "why": "its file is missing, or not the one that was stored",
    }

    deployment.blobs.upload(deployment.user.user_container, row["blob"], content, content_type="image/tiff")
    assert crop(deployment, broken).success
    assert broken.partition in status(deployment)[0]


@pytest.fixture
def settled(deployment: Deployment) -> None:
    """No upload of another test waits for its crops."""
    with deployment.database.connection() as connection:
        for row in connection.execute("select id from upload").fetchall():
            if begin_cropping(connection, row["id"], crop_method(deployment.settings.crop)):
                end_cropping(connection, row["id"])


def tick(deployment: Deployment) -> Any:
    with build_sensor_context(
        instance=deployment.instance, definitions=deployment.definitions, resources=deployment.resources
    ) as context:
        return start_crops_sensor(deployment.settings.sensor)(context)


def test_the_sensor_starts_one_run_for_all_that_was_imported_and_then_rests(
    deployment: Deployment, settled: None
) -> None:
    assert isinstance(tick(deployment), SkipReason)
    first, second = (sample(deployment, f"crops-{name}", seed=seed) for name, seed in (("one", 307), ("two", 308)))
    deployment.run_import(first, second)

    assert not {first.partition, second.partition} & set.union(*status(deployment)), "an import crops nothing itself"
    run = deployment.instance.create_run_for_job(
        deployment.definitions.resolve_job_def("crop_pictures"), status=DagsterRunStatus.STARTED
    )
    assert tick(deployment).skip_message == "A run that crops pictures is under way."
    deployment.instance.report_run_failed(run)

    run = deployment.instance.create_run_for_job(
        deployment.definitions.resolve_job_def("import_uploads"), status=DagsterRunStatus.STARTED
    )
    assert tick(deployment).skip_message == "Imports are under way, for which people wait; crops follow."
    with deployment.database.connection() as connection:
        connection.execute("update upload set updated_at = now() - interval '11 minutes' where id = %s", [first.id])
    (request,) = tick(deployment).run_requests
    assert request.tags["nachet/uploads"] == "2", "what waits for long waits for no import"
    deployment.instance.report_run_failed(run)

    (request,) = tick(deployment).run_requests

    assert [request.tags[name] for name in _RANGE] == [first.partition, second.partition]
    assert request.tags["nachet/uploads"] == "2"
    assert request.tags["nachet/owner"] == deployment.user.email
    assert request.tags["nachet/folder"] == f"{first.folder}, +1 more"
    assert crop(deployment, first, second).success
    assert tick(deployment).skip_message == "No imported upload waits for its crops."
