"""What Dagster is given: no asset, check, job, sensor or schedule disappears unnoticed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from dagster import AssetKey

import nachet_pipeline
from nachet_pipeline.contract.catalogue import Check
from nachet_pipeline.settings import Settings, SettingsError
from nachet_pipeline_tests.deployment import PROJECT, Deployment

DEFS = Path(nachet_pipeline.__file__).parent / "defs"
ASSETS = {
    "registered_seeds": set(),
    "registered_users": set(),
    "staged_upload": set(),
    "mass_imported_container": {"registered_seeds"},
    "validated_manifest": {"staged_upload", "registered_seeds"},
    "stored_pictures": {"validated_manifest"},
    "picture_metadata": {"stored_pictures"},
    "picture_crops": {"picture_metadata"},
    "reprocessed_pictures": {"picture_metadata"},
    "training_set": {"picture_metadata", "picture_crops", "mass_imported_container"},
    "reconciled_storage": {"picture_metadata", "mass_imported_container"},
    "cleared_imports": {"picture_metadata"},
}
CHECKS = {
    "validated_manifest:checksums",
    "validated_manifest:duplicates",
    "validated_manifest:personal_data",
    "validated_manifest:file_count",
    "validated_manifest:folder_structure",
    "validated_manifest:index_content",
    "validated_manifest:index_present",
    "validated_manifest:malicious_content",
    "validated_manifest:picture_content",
    "validated_manifest:picture_metadata_content",
    "validated_manifest:picture_pairs",
    "validated_manifest:seed_registered",
    "validated_manifest:uploader_registered",
    "picture_metadata:imported",
    "picture_metadata:labels_agree",
    "picture_crops:declared_seeds_found",
    "stored_pictures:stored_blobs_verified",
    "mass_imported_container:mass_import_complete",
    "reconciled_storage:no_drift",
    "reprocessed_pictures:nothing_stale",
    "reprocessed_pictures:stored_blobs_intact",
    "reprocessed_pictures:verdicts_unchanged",
    "training_set:classes_large_enough",
    "training_set:classes_on_every_side",
    "training_set:no_conflicting_labels",
    "training_set:no_empty_class",
    "training_set:no_leaks",
    "training_set:pictures_current",
}


def test_the_definitions_are_as_they_were_agreed(deployment: Deployment) -> None:
    definitions = deployment.definitions
    graph = definitions.resolve_asset_graph()
    repository = definitions.get_repository_def()

    assets = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }

    assert assets == ASSETS
    assert {key.to_user_string() for key in graph.asset_check_keys} == CHECKS
    assert {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")} == {
        "import_uploads",
        "crop_pictures",
        "mass_import",
        "load_seeds",
        "load_users",
        "onboard_user",
        "rotate_upload_keys",
        "reprocess_pictures",
        "reconcile_storage",
        "clear_old_imports",
        "delete_folder",
        "archive_folder",
        "purge_folders",
        "build_training_set",
    }
    # A run is one process, or its sign of life would have gaps; also a run that no job defines.
    assert repository.get_job("__ASSET_JOB").executor_def.name == "in_process"
    assert {job.executor_def.name for job in repository.get_all_jobs()} == {"in_process"}
    assert {job.name: job.partitions_def.name for job in repository.get_all_jobs() if job.partitions_def} == {
        "import_uploads": "upload",
        "crop_pictures": "upload",
        "mass_import": "container",
        "build_training_set": "recipe",
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "start_imports",
        "settle_failed_imports",
        "end_dead_runs",
        "start_crops",
        "report_label_conflicts",
        "start_mass_imports",
        "start_shards",
        "sync_recipes",
        "sync_users",
        "sync_registry",
    }
    assert {schedule.name: schedule.cron_schedule for schedule in repository.schedule_defs} == {
        "nightly_key_rotation": "0 1 * * *",
        "daily_reconciliation": "0 4 * * *",
        "daily_retention": "0 5 * * *",
        "daily_purge": "30 5 * * *",
        "nightly_reprocessing": "0 3 * * *",
        "nightly_training_set": "0 2 * * *",
    }


def test_every_asset_says_what_it_is_and_whose(deployment: Deployment) -> None:
    graph = deployment.definitions.resolve_asset_graph()
    for name in ASSETS:
        node = graph.get(AssetKey(name))
        assert node.description, name
        assert node.owners, name
        assert node.kinds, name


def test_a_group_in_the_ui_is_a_folder_that_has_what_the_group_shows(deployment: Deployment) -> None:
    graph = deployment.definitions.resolve_asset_graph()
    repository = deployment.definitions.get_repository_def()
    groups = {name: graph.get(AssetKey(name)).group_name for name in ASSETS}
    assert set(groups.values()) == {folder.parent.name for folder in DEFS.glob("*/definitions.py")}
    for name, group in groups.items():
        assert re.search(rf"\b{name}\b", _text(group, "assets")), name
    for key in graph.asset_check_keys:
        group = groups[key.asset_key.to_user_string()]
        assert key.name in {*Check} or re.search(rf"\b{key.name}\b", _text(group, "checks")), key
    for kind, shown in (
        ("jobs", [job.name for job in repository.get_all_jobs() if not job.name.startswith("__")]),
        ("jobs", [schedule.name for schedule in repository.schedule_defs]),
        ("sensors", [sensor.name for sensor in repository.sensor_defs]),
    ):
        for name in shown:
            defined = re.compile(rf'^def {name}\b|^    def {name}\b|"{name}"', re.MULTILINE)
            assert len([group for group in set(groups.values()) if defined.search(_text(group, kind))]) == 1, name


def _text(group: str, kind: str) -> str:
    file = DEFS / group / f"{kind}.py"
    return file.read_text(encoding="utf-8") if file.exists() else ""


def test_the_definitions_validate(environment: dict[str, str]) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_definitions_without_services_name_the_setting_that_is_missing(environment: dict[str, str]) -> None:
    from nachet_pipeline.definitions import definitions  # noqa: PLC0415 (reads the environment)

    with pytest.raises(SettingsError, match="NACHET_DATABASE_URL"):
        definitions(Settings())
