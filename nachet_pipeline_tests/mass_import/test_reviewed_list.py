"""The reviewed list of containers, and the sensor that follows it."""

from pathlib import Path

import pytest
from dagster import DagsterRunStatus, SensorResult, SkipReason, build_sensor_context
from dagster._core.test_utils import create_run_for_test

from nachet_pipeline.mass_import.reviewed_list import ListError, read_list
from nachet_pipeline.settings import MassImportSettings
from nachet_pipeline_tests.deployment import Deployment

ENTRY = "  - container: old-pictures\n    owner: ada@example.org\n"


@pytest.fixture
def written(tmp_path: Path):
    """Writes a list, and a mapping beside it."""
    (tmp_path / "map.csv").write_text("folder,species\nd1,Brassica napus\n")

    def write(text: str) -> Path:
        file = tmp_path / "containers.yaml"
        file.write_text(text)
        return file

    return write


def test_an_entry_says_what_the_command_would_be_told(written) -> None:
    (entry,) = read_list(
        written(
            f"containers:\n{ENTRY}    seed: Brassica napus\n    zoom: 30\n    seeds-per-picture: 2\n"
            "    map: map.csv\n    prefix: 2021/\n    adopt: yes\n"
        )
    )

    assert (entry.container, entry.owner, entry.seed) == ("old-pictures", "ada@example.org", "Brassica napus")
    assert (entry.zoom, entry.seeds_per_picture, entry.prefix, entry.adopt) == ("30", "2", "2021", True)
    assert (entry.mapping, entry.mapping_name) == ("folder,species\nd1,Brassica napus\n", "map.csv")


def test_a_changed_mapping_changes_the_entry(written, tmp_path: Path) -> None:
    file = written(f"containers:\n{ENTRY}    map: map.csv\n")
    (before,) = read_list(file)
    (tmp_path / "map.csv").write_text("folder,species\nd1,Brassica juncea\n")

    (after,) = read_list(file)

    assert before.digest != after.digest
    assert read_list(file)[0].digest == after.digest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("containers: 3\n", "containers.yaml:1: expected the one key containers"),
        ("containers:\n  - a\n", "containers.yaml:2: expected keys and values"),
        (f"containers:\n{ENTRY}    zom: 3\n", "containers.yaml:2: expected keys of container, owner"),
        ("containers:\n  - container: old-pictures\n", "containers.yaml:2: expected owner"),
        (f"containers:\n{ENTRY}    zoom: far\n", "containers.yaml:2: option zoom"),
        (f"containers:\n{ENTRY}    adopt: perhaps\n", "adopt: expected yes or no"),
        (f"containers:\n{ENTRY}    map: absent.csv\n", "absent.csv cannot be read"),
        (f"containers:\n{ENTRY}{ENTRY}", "expected each container once"),
        (f"containers:\n{ENTRY.replace('old-pictures', 'upload-1')}", "never mass-imported"),
        ("containers: [\n", "containers.yaml:"),
    ],
)
def test_a_mistake_in_the_list_is_one_line_with_its_place(written, text: str, says: str) -> None:
    with pytest.raises(ListError) as caught:
        read_list(written(text))

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def tick(deployment: Deployment):
    """Evaluates the sensor once with a list, and adds the partitions it asks for as the daemon would."""
    sensor = deployment.definitions.get_repository_def().get_sensor_def("start_mass_imports")

    def evaluate(file: Path | None) -> SensorResult | SkipReason:
        settings = MassImportSettings(mass_import_list=file)
        with build_sensor_context(
            instance=deployment.instance, resources={"mass_import_settings": settings}
        ) as context:
            result = sensor(context)
        if isinstance(result, SensorResult):
            for request in result.dynamic_partitions_requests or []:
                deployment.instance.add_dynamic_partitions("container", request.partition_keys)
        return result

    return evaluate


def test_the_sensor_asks_for_each_entry_once_for_what_it_says(tick, written) -> None:
    entry = f"containers:\n{ENTRY}    seed: Brassica napus\n"

    first, again = tick(written(entry)), tick(written(entry))
    changed = tick(written(f"{entry}    zoom: 30\n"))

    keys = [[request.run_key for request in result.run_requests] for result in (first, again, changed)]
    assert keys[0] == keys[1] != keys[2]
    assert [request.partition_key for request in first.run_requests] == ["old-pictures"]
    config = changed.run_requests[0].run_config["ops"]["import_container"]["config"]
    assert config == {
        "owner": "ada@example.org",
        "seed": "Brassica napus",
        "zoom": "30",
        "mapping_name": "mapping.yaml",
        "prefix": "",
        "adopt": False,
    }


def test_an_entry_that_had_its_run_is_not_asked_for_by_the_sensor_under_another_name(
    tick, written, deployment: Deployment
) -> None:
    entry = f"containers:\n{ENTRY}    seed: Brassica juncea\n"
    (request,) = tick(written(entry)).run_requests
    assert (request.tags["nachet/owner"], request.tags["nachet/folder"]) == ("ada@example.org", "old-pictures")
    before = {"dagster/run_key": request.run_key, "dagster/sensor_name": "listed_containers"}
    create_run_for_test(deployment.instance, job_name="mass_import", status=DagsterRunStatus.SUCCESS, tags=before)

    result = tick(written(entry))

    assert isinstance(result, SkipReason)
    assert result.skip_message == "Each of the 1 entries had its run."


def test_without_a_list_the_sensor_says_which_setting_names_one(tick) -> None:
    result = tick(None)

    assert isinstance(result, SkipReason)
    assert "NACHET_MASS_IMPORT_LIST" in str(result.skip_message)
