"""What Dagster is given: no asset, check, job, sensor or schedule disappears unnoticed."""

import re
from pathlib import Path

import pytest
from dagster import AssetKey

import nachet_pipeline
from nachet_pipeline.contract.catalogue import Check
from nachet_pipeline.health.report import HealthCheck
from nachet_pipeline.settings import Settings, SettingsError
from nachet_pipeline.training.manifest import MULTI_SCHEMA
from nachet_pipeline_tests.deployment import Deployment

DEFS = Path(nachet_pipeline.__file__).parent / "defs"
ASSETS = {
    "registered_seeds": set(),
    "registered_users": set(),
    "staged_upload": {"registered_seeds"},
    "mass_imported_container": {"registered_seeds", "picture_metadata"},
    "validated_manifest": {"staged_upload"},
    "stored_pictures": {"validated_manifest"},
    "picture_metadata": {"stored_pictures"},
    "picture_crops": {"picture_metadata"},
    "reprocessed_pictures": {"picture_metadata"},
    "training_set": {"picture_metadata", "picture_crops", "mass_imported_container"},
    "reconciled_storage": {"picture_metadata", "mass_imported_container"},
    "cleared_imports": {"picture_metadata"},
    "pipeline_health": set(),
    "recorded_predictions": {"picture_metadata", "picture_crops"},
    "model_evaluation": {"recorded_predictions", "training_set"},
    "judged_pictures": {"picture_metadata", "picture_crops"},
    "model_health": {"recorded_predictions"},
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
    "pipeline_health:automation_alive",
    "pipeline_health:disk_free",
    "pipeline_health:event_log_bounded",
    "pipeline_health:events_delivered",
    "pipeline_health:jobs_succeed",
    "pipeline_health:keys_valid",
    "pipeline_health:mail_sent",
    "pipeline_health:champions_clean",
    "pipeline_health:no_drift",
    "pipeline_health:no_failures",
    "pipeline_health:queue_moves",
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
    "recorded_predictions:files_valid",
    "model_evaluation:enough_pictures",
    "model_evaluation:no_train_on_test",
    "model_evaluation:worst_class_above",
    "model_evaluation:no_slice_far_below",
    "model_evaluation:calibrated",
    "model_evaluation:not_worse_than_champion",
    "model_health:no_drift",
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
        "check_health",
        "clear_old_runs",
        "build_training_set",
        "record_predictions",
        "evaluate_models",
        "apply_judgements",
        "look_for_drift",
    }
    # A run is one process, or its sign of life would have gaps; also a run that no job defines.
    assert repository.get_job("__ASSET_JOB").executor_def.name == "in_process"
    assert {job.executor_def.name for job in repository.get_all_jobs()} == {"in_process"}
    assert {job.name: job.partitions_def.name for job in repository.get_all_jobs() if job.partitions_def} == {
        "import_uploads": "upload",
        "crop_pictures": "upload",
        "mass_import": "container",
        "build_training_set": "recipe",
        "record_predictions": "model_version",
        "evaluate_models": "model_version",
        "look_for_drift": "model_version",
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "start_imports",
        "settle_failed_imports",
        "end_dead_runs",
        "deliver_events",
        "start_crops",
        "send_mail",
        "report_label_conflicts",
        "start_mass_imports",
        "start_shards",
        "sync_recipes",
        "sync_users",
        "sync_registry",
        "start_predictions",
        "start_evaluations",
        "sync_models",
    }
    assert {schedule.name: schedule.cron_schedule for schedule in repository.schedule_defs} == {
        "hourly_health": "0 * * * *",
        "nightly_key_rotation": "0 1 * * *",
        "daily_reconciliation": "0 4 * * *",
        "daily_retention": "0 5 * * *",
        "daily_purge": "30 5 * * *",
        "daily_run_clearing": "0 6 * * *",
        "nightly_reprocessing": "0 3 * * *",
        "nightly_training_set": "0 2 * * *",
        "nightly_judgements": "30 1 * * *",
        "nightly_drift": "30 4 * * *",
    }


def test_every_asset_says_what_it_is_and_whose(deployment: Deployment) -> None:
    graph = deployment.definitions.resolve_asset_graph()
    for name in ASSETS:
        node = graph.get(AssetKey(name))
        assert node.description, name
        assert node.owners, name
        assert node.kinds, name


def test_everything_that_can_be_pressed_or_switched_says_what_it_does(deployment: Deployment) -> None:
    repository = deployment.definitions.get_repository_def()
    graph = deployment.definitions.resolve_asset_graph()
    shown = [
        *(job for job in repository.get_all_jobs() if not job.name.startswith("__")),
        *repository.sensor_defs,
        *repository.schedule_defs,
    ]
    assert not [one.name for one in shown if not one.description]
    assert not [key for key in graph.asset_check_keys if not graph.get_check_spec(key).description]


def test_every_asset_leads_to_its_code(deployment: Deployment) -> None:
    graph = deployment.definitions.resolve_asset_graph()
    for name in ASSETS.keys() - {"staged_upload"}:
        node = graph.get(AssetKey(name))
        (place,) = node.metadata["dagster/code_references"].code_references
        assert Path(place.file_path).parent == DEFS / node.group_name, name


@pytest.mark.parametrize(
    ("asset", "table"), [("registered_seeds", "seeds"), ("registered_users", "users"), ("picture_metadata", "pictures")]
)
def test_the_columns_that_the_ui_shows_are_those_of_the_database(
    deployment: Deployment, asset: str, table: str
) -> None:
    with deployment.database.connection() as connection:
        columns = connection.execute(
            "select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute"
            " where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum",
            (f"public.{table}",),
        ).fetchall()

    shown = deployment.definitions.resolve_asset_graph().get(AssetKey(asset)).metadata

    assert shown["dagster/table_name"] == f"public.{table}"
    assert [(one.name, one.type) for one in shown["dagster/column_schema"].columns] == [
        (one["name"], one["type"]) for one in columns
    ]


def test_the_columns_of_a_training_set_that_the_ui_shows_are_those_of_its_manifest(deployment: Deployment) -> None:
    shown = deployment.definitions.resolve_asset_graph().get(AssetKey("training_set")).metadata
    assert [(one.name, one.type) for one in shown["dagster/column_schema"].columns] == [
        (field.name, str(field.type)) for field in MULTI_SCHEMA
    ]


def test_a_group_in_the_ui_is_a_folder_that_has_what_the_group_shows(deployment: Deployment) -> None:
    graph = deployment.definitions.resolve_asset_graph()
    repository = deployment.definitions.get_repository_def()
    groups = {name: graph.get(AssetKey(name)).group_name for name in ASSETS}
    assert set(groups.values()) == {folder.parent.name for folder in DEFS.glob("*/definitions.py")}
    for name, group in groups.items():
        assert re.search(rf"\b{name}\b", _text(group, "assets") + _text(group, "health")), name
    for key in graph.asset_check_keys:
        group = groups[key.asset_key.to_user_string()]
        assert key.name in {*Check, *HealthCheck} or re.search(rf"\b{key.name}\b", _text(group, "checks")), key
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


def test_definitions_without_services_name_the_setting_that_is_missing(environment: dict[str, str]) -> None:
    from nachet_pipeline.definitions import definitions  # noqa: PLC0415 (reads the environment)

    with pytest.raises(SettingsError, match="NACHET_DATABASE_URL"):
        definitions(Settings())
