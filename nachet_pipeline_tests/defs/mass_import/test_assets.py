"""The asset on a Dagster instance: what a run shows of a container."""

import itertools
import uuid
from typing import Any

import pytest
from dagster import AssetKey, AssetRecordsFilter, ExecuteInProcessResult

from nachet_pipeline_tests.deployment import Deployment
from nachet_pipeline_tests.mass_import.containers import OPTIONS, picture

ASSET = AssetKey("mass_imported_container")
_NUMBERS = itertools.count(9_100)
"""Each container has its own picture: one picture under two species would turn `labels_agree` amber for other tests."""


@pytest.fixture
def container(deployment: Deployment) -> str:
    """A container with a picture, in an early layout, and one that is none."""
    name = f"old-{uuid.uuid4().hex[:16]}"
    deployment.blobs.ensure_container(name)
    for blob, content in {
        "b/2-seed/train/0 Brassica napus/1.png": picture(next(_NUMBERS)),
        "b/2-seed/train/0 Brassica napus/notes.txt": b"x",
    }.items():
        deployment.blobs.upload(name, blob, content, content_type="image/png")
    return name


@pytest.fixture
def imported(deployment: Deployment):
    """Runs the job on a container."""

    def run(name: str, **config: Any) -> ExecuteInProcessResult:
        deployment.instance.add_dynamic_partitions("container", [name])
        return deployment.definitions.resolve_job_def("mass_import").execute_in_process(
            instance=deployment.instance,
            raise_on_error=False,
            partition_key=name,
            run_config={"ops": {"import_container": {"config": {"owner": deployment.user.email, **config}}}},
        )

    return run


def test_a_container_is_imported_and_the_check_is_amber_for_what_was_not_taken(
    deployment: Deployment, imported, container: str
) -> None:
    result = imported(container, zoom="30")

    assert result.success
    assert deployment.count("pictures") == 1
    (event,) = result.asset_materializations_for_node("import_container")
    assert event.partition == container
    assert event.metadata["taken"].value == 1
    assert event.metadata["not_taken"].value == 1
    (row,) = event.metadata["folders"].records
    assert row.data["scientificName"] == "Brassica napus"
    assert [record.data["code"] for record in event.metadata["findings"].records] == ["not-a-picture"]
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.severity.value) == ("mass_import_complete", False, "WARN")


def test_a_container_that_was_taken_whole_passes_its_check(deployment: Deployment, imported, container: str) -> None:
    deployment.blobs.delete(container, "b/2-seed/train/0 Brassica napus/notes.txt")

    result = imported(container, zoom="30")

    (check,) = result.get_asset_check_evaluations()
    assert check.passed


def test_a_mapping_can_be_typed_into_the_launchpad(deployment: Deployment, imported, container: str) -> None:
    mapping = "folders:\n  - pattern: '**'\n    species: Solanum nigrum\n    zoom: 40\n"

    result = imported(container, mapping=mapping)

    assert result.success
    with deployment.database.connection() as connection:
        rows = connection.execute(
            "select seeds.name from picture_seed l join seeds on seeds.id = l.seed_id join pictures p"
            " on p.id = l.picture_id join picture_set s on s.id = p.picture_set_id where s.owner_id = %s",
            (deployment.user.id,),
        ).fetchall()
    assert [row["name"] for row in rows] == ["Solanum nigrum"]


def test_a_dry_run_is_observed_and_not_materialized(deployment: Deployment, imported, container: str) -> None:
    result = imported(container, zoom="30", dry_run=True)

    assert result.success
    assert result.asset_materializations_for_node("import_container") == []
    found = deployment.instance.fetch_observations(
        AssetRecordsFilter(asset_key=ASSET, asset_partitions=[container]), limit=10
    )
    (record,) = found.records
    observation = record.asset_observation
    assert observation is not None
    assert observation.metadata["taken"].value == 1
    assert deployment.count("pictures") == 0


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"owner": "nobody@example.org"}, "nobody@example.org is not registered"),
        ({"zoom": "far"}, "expected a number above 0"),
        ({"mapping": "folders: 3\n"}, "mapping.yaml:1"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(imported, container: str, config: dict[str, str], says: str) -> None:
    result = imported(container, **config)

    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.user_failure_data
    assert error is not None
    assert says in (error.description or "")


@pytest.mark.parametrize("config", [{"owner": ""}, {"owner": "<e-mail address>", "zoom": "30"}])
def test_a_form_without_an_owner_does_nothing_and_is_no_failure(
    imported, deployment: Deployment, container: str, config: dict[str, str]
) -> None:
    result = imported(container, **config)

    assert result.success
    assert result.asset_materializations_for_node("import_container") == []
    said = [entry.user_message for entry in deployment.instance.all_logs(result.run_id)]
    assert any("owner: expected e-mail address of the user whose pictures they are" in one for one in said), said


def test_the_partition_of_a_container_that_does_not_exist_is_removed(deployment: Deployment, imported) -> None:
    name = f"mistyped-{uuid.uuid4().hex[:8]}"

    assert not imported(name).success
    assert name not in deployment.instance.get_dynamic_partitions("container")


def test_options_of_the_launchpad_are_those_of_the_command(imported, deployment: Deployment, container: str) -> None:
    deployment.blobs.upload(container, "day1/1.png", picture(3), content_type="image/png")

    result = imported(
        container, seed=OPTIONS["species"], zoom=OPTIONS["zoom"], seeds_per_picture="3", prefix="day1", adopt=True
    )

    assert result.success
    assert deployment.count("pictures") == 1
    assert any(blob.endswith(".png") for blob in deployment.stored())
