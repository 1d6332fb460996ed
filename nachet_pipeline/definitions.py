"""The one place where everything is put together."""

from dagster import Definitions, EnvVar, in_process_executor

from nachet_pipeline.assets.cleared_imports import cleared_imports
from nachet_pipeline.assets.imported_upload import ImportProgress, import_upload
from nachet_pipeline.assets.mass_imported_container import mass_imported_container
from nachet_pipeline.assets.picture_crops import crop_upload
from nachet_pipeline.assets.reconciled_storage import reconciled_storage
from nachet_pipeline.assets.registered_seeds import registered_seeds
from nachet_pipeline.assets.registered_users import onboard_user, registered_users, rotate_upload_keys
from nachet_pipeline.assets.reprocessed_pictures import reprocessed_pictures
from nachet_pipeline.assets.staged_upload import staged_upload
from nachet_pipeline.assets.training_set import training_set
from nachet_pipeline.checks.labels import labels_agree
from nachet_pipeline.dead_runs import dead_runs_sensor
from nachet_pipeline.folder_jobs import archive_folder, delete_folder, purge_folders
from nachet_pipeline.jobs import (
    build_training_set,
    clear_old_imports,
    crop_pictures,
    import_uploads,
    load_seeds,
    load_users,
    mass_import,
    reconcile_storage,
    reprocess_pictures,
)
from nachet_pipeline.resources.blob_storage import BlobStorageResource
from nachet_pipeline.resources.database import DatabaseResource
from nachet_pipeline.resources.secret_keys import SecretKeysResource
from nachet_pipeline.resources.settings import of_settings
from nachet_pipeline.schedules import (
    daily_purge,
    daily_reconciliation,
    daily_retention,
    nightly_key_rotation,
    nightly_reprocessing,
    nightly_training_set,
)
from nachet_pipeline.sensors import (
    cut_runs_sensor,
    failed_imports_sensor,
    label_conflicts_sensor,
    listed_containers_sensor,
    recipes_sensor,
    registry_automation,
    staged_folders_sensor,
    uncropped_uploads_sensor,
    users_file_sensor,
)
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
