"""The one place where everything is put together."""

from dagster import Definitions, EnvVar, in_process_executor

from nachet_pipeline.defs.crops.assets import crop_upload
from nachet_pipeline.defs.crops.jobs import crop_pictures
from nachet_pipeline.defs.crops.sensors import uncropped_uploads_sensor
from nachet_pipeline.defs.maintenance.assets import cleared_imports, reconciled_storage, reprocessed_pictures
from nachet_pipeline.defs.maintenance.jobs import (
    archive_folder,
    clear_old_imports,
    daily_purge,
    daily_reconciliation,
    daily_retention,
    delete_folder,
    nightly_reprocessing,
    purge_folders,
    reconcile_storage,
    reprocess_pictures,
)
from nachet_pipeline.defs.maintenance.sensors import cut_runs_sensor, dead_runs_sensor
from nachet_pipeline.defs.mass_import.assets import mass_imported_container
from nachet_pipeline.defs.mass_import.jobs import mass_import
from nachet_pipeline.defs.mass_import.sensors import listed_containers_sensor
from nachet_pipeline.defs.registry.assets import registered_seeds, registered_users
from nachet_pipeline.defs.registry.jobs import (
    load_seeds,
    load_users,
    nightly_key_rotation,
    onboard_user,
    rotate_upload_keys,
)
from nachet_pipeline.defs.registry.sensors import registry_automation, users_file_sensor
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource, SecretKeysResource, of_settings
from nachet_pipeline.defs.training.assets import training_set
from nachet_pipeline.defs.training.jobs import build_training_set, nightly_training_set
from nachet_pipeline.defs.training.sensors import recipes_sensor
from nachet_pipeline.defs.uploads.assets import ImportProgress, import_upload, staged_upload
from nachet_pipeline.defs.uploads.checks import labels_agree
from nachet_pipeline.defs.uploads.jobs import import_uploads
from nachet_pipeline.defs.uploads.sensors import failed_imports_sensor, label_conflicts_sensor, staged_folders_sensor
from nachet_pipeline.settings import Settings, SettingsError


def definitions(settings: Settings, progress: ImportProgress | None = None) -> Definitions:
    """Everything that Dagster knows of this project.

    Secrets are not part of it: resources name the environment variable that holds them.

    Args:
        settings: checked settings.
        progress: whom to tell about long imports, besides the log.

    Raises:
        SettingsError: the services are not named, or a file that the settings name cannot be used.
    """
    if settings.embedded:
        raise SettingsError(
            "NACHET_DATABASE_URL: is not set; set it and NACHET_BLOB_ACCOUNT_URL, or start with `nachet up`, which"
            " brings services of its own"
        )
    return Definitions(
        assets=[
            registered_seeds,
            registered_users,
            staged_upload,
            import_upload,
            crop_upload,
            mass_imported_container,
            reprocessed_pictures,
            reconciled_storage,
            cleared_imports,
            training_set,
        ],
        asset_checks=[labels_agree],
        jobs=[
            import_uploads,
            crop_pictures,
            mass_import,
            load_seeds,
            load_users,
            onboard_user,
            rotate_upload_keys,
            build_training_set,
            reprocess_pictures,
            reconcile_storage,
            clear_old_imports,
            delete_folder,
            archive_folder,
            purge_folders,
        ],
        sensors=[
            staged_folders_sensor(settings.sensor),
            failed_imports_sensor(),
            dead_runs_sensor(),
            uncropped_uploads_sensor(settings.sensor),
            listed_containers_sensor(),
            cut_runs_sensor(),
            label_conflicts_sensor(),
            recipes_sensor(),
            users_file_sensor(),
            registry_automation,
        ],
        schedules=[
            nightly_key_rotation,
            nightly_reprocessing,
            nightly_training_set,
            daily_reconciliation,
            daily_retention,
            daily_purge,
        ],
        # Of runs that no job defines, such as those of the UI's "Materialize": a run is one process, whose sign of life
        # lasts from the first step to the last.
        executor=in_process_executor,
        resources={
            "database": DatabaseResource(
                url=EnvVar("NACHET_DATABASE_URL"),
                reader_url=EnvVar("NACHET_DATABASE_READER_URL") if settings.database_reader_url else None,
            ),
            "blob_storage": BlobStorageResource(
                account_url=EnvVar("NACHET_BLOB_ACCOUNT_URL"),
                key=EnvVar("NACHET_BLOB_KEY") if settings.blob_key else None,
            ),
            "secret_keys": SecretKeysResource(
                fernet_keys=EnvVar("NACHET_SECRET_KEYS") if settings.secret_keys else None
            ),
            **of_settings(settings),
            "import_progress": progress or ImportProgress(),
        },
    )


defs = definitions(Settings.from_environment())
