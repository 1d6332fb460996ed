"""`nachet mass-import` on real services, as its users type it."""

import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest
from dagster import AssetKey, AssetRecordsFilter

from nachet_pipeline_tests.deployment import Deployment
from nachet_pipeline_tests.mass_import.containers import EARLY_LAYOUT
from nachet_pipeline_tests.warm import WarmNachet


@pytest.fixture
def container(deployment: Deployment) -> str:
    name = f"old-{uuid.uuid4().hex[:16]}"
    deployment.blobs.ensure_container(name)
    for blob, content in {**EARLY_LAYOUT, "batch1/notes.txt": b"x"}.items():
        deployment.blobs.upload(name, blob, content, content_type="image/tiff")
    return name


@pytest.fixture
def nachet(environment: dict[str, str], tmp_path: Path, warm: WarmNachet):
    """Runs `nachet mass-import` in a process of its own."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        own = {**os.environ, **environment, "COLUMNS": "160"}
        return warm.run("mass-import", *arguments, environment=own, folder=tmp_path)

    return run


def test_a_container_is_planned_imported_and_found_unchanged(nachet, deployment: Deployment, container: str) -> None:
    owner = ("--owner", deployment.user.email, "--zoom", "30")

    plan = nachet(container, *owner, "--dry-run")
    planned_rows = deployment.count("pictures")
    done = nachet(container, *owner, "--json")
    again = nachet(container, *owner, "--json")

    assert plan.returncode == 0, plan.stderr
    assert "what would be done" in plan.stdout
    assert "Solanum nigrum" in plan.stdout
    assert "4 of 4 pictures would be taken; 1 files not taken" in plan.stdout
    assert "not-a-picture" in plan.stdout
    assert planned_rows == 0
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["taken"], record["not_taken"], record["rows_changed"]["pictures"]) == (4, 1, 4)
    assert deployment.count("pictures") == 4
    assert again.returncode == 0, again.stderr
    repeated = json.loads(again.stdout)
    assert repeated["folders_by_result"]["taken"] == 0
    assert set(repeated["rows_changed"].values()) == {0}
    shown = AssetRecordsFilter(asset_key=AssetKey("mass_imported_container"), asset_partitions=[container])
    events = [
        record.asset_materialization for record in deployment.instance.fetch_materializations(shown, limit=9).records
    ]
    assert [event.metadata["taken"].value for event in events if event] == [4, 4]  # the UI has both


def test_a_folder_that_nothing_describes_is_a_refusal_that_names_it(
    nachet, deployment: Deployment, container: str
) -> None:
    result = nachet(container, "--owner", deployment.user.email)

    assert result.returncode == 1
    assert "undescribed-folder" in result.stdout
    assert "batch1/6-seed/train/12 Solanum nigrum/" in result.stdout
    assert f"mass-import-{container}.report.jsonl" in result.stderr


def test_a_mistake_in_the_mapping_is_one_line_that_names_it(
    nachet, deployment: Deployment, container: str, tmp_path: Path
) -> None:
    (tmp_path / "map.csv").write_text("folder,zoom\nbatch1/**,far\n")

    result = nachet(container, "--owner", deployment.user.email, "--map", "map.csv")

    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("nachet: map.csv:2: zoom: expected a number above 0")


@pytest.mark.parametrize("name", ["upload-abc", "absent-container"])
def test_a_container_that_cannot_be_imported_is_one_line(nachet, deployment: Deployment, name: str) -> None:
    result = nachet(name, "--owner", deployment.user.email, "--zoom", "30")

    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert name in line


def test_an_owner_who_is_not_registered_is_a_finding(nachet, deployment: Deployment, container: str) -> None:
    result = nachet(container, "--owner", "nobody@example.org")

    assert result.returncode == 1
    assert "unregistered-uploader" in result.stdout
    assert "--owner" in result.stdout
