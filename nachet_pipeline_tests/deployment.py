"""A deployment for tests: services, a migrated database, a Dagster instance on it, and a registered user."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    Definitions,
    ExecuteInProcessResult,
    RunRequest,
    build_run_status_sensor_context,
)
from dagster._core.events import JobFailureData
from pydantic import SecretStr

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.database.connection import Database
from nachet_pipeline.defs.instance import dagster_home
from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource, SecretKeysResource, of_settings
from nachet_pipeline.local.prepare import prepare
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.local.services import Services
from nachet_pipeline.settings import Settings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.uploads.discovery import Arrival, queue, take_snapshot
from nachet_pipeline.uploads.staged_folder import StagedFolder
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.encryption import new_secret_key
from nachet_pipeline.users.registering import register_user
from nachet_pipeline.users.user import User
from nachet_pipeline_tests.databases import own_database
from nachet_pipeline_tests.workbench import Uploader

PROJECT = Path(__file__).resolve().parent.parent
SECRET_KEY = new_secret_key().get_secret_value()
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dataclass
class Deployment(Uploader):
    """Everything a user of the pipeline touches, on real services."""

    services: Services
    settings: Settings
    database: Database
    blobs: BlobStorage
    instance: DagsterInstance
    definitions: Definitions
    user: User
    scratch: Path

    def sample(self, name: str, *, pictures: int = 2, sessions: int = 1, seed: int = 0) -> Path:
        """A small sample folder of the user's."""
        return write_sample(
            self.scratch / name,
            pictures=pictures,
            sessions=sessions,
            seed=seed,
            email=self.user.email,
            width=96,
            height=64,
        )

    def run_import(self, *uploads: Upload) -> ExecuteInProcessResult:
        """Run the import job over uploads as the sensor would: one run for all of them."""
        limits = ContractLimits.of(self.settings.contract, self.settings.transfer)
        folders = [StagedFolder(self.blobs, upload.staging_container, upload.folder) for upload in uploads]
        arrivals = [
            Arrival(upload, take_snapshot(folder, self.settings.arrival, limits))
            for upload, folder in zip(uploads, folders, strict=True)
        ]
        queue(self.database, arrivals)
        keys = [upload.partition for upload in uploads]
        self.instance.add_dynamic_partitions("upload", keys)
        return self.definitions.resolve_job_def("import_uploads").execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            tags=dict(zip(_RANGE, (keys[0], keys[-1]), strict=True)),
        )

    def failure_is_seen(self, run: DagsterRun) -> list[RunRequest]:
        """Let the sensor on failed imports see that a run failed; the runs that it requests."""
        event = DagsterEvent(
            event_type_value=DagsterEventType.RUN_FAILURE.value,
            job_name=run.job_name,
            event_specific_data=JobFailureData(error=None),
        )
        with build_run_status_sensor_context(
            sensor_name="settle_failed_imports",
            dagster_event=event,
            dagster_instance=self.instance,
            dagster_run=run,
            resources={key: self.resources[key] for key in ("database", "blob_storage")},
        ) as context:
            sensor = self.definitions.get_repository_def().get_sensor_def("settle_failed_imports")
            return list(sensor(context.for_run_failure()))

    @property
    def resources(self) -> dict[str, object]:
        """What the definitions' resources stand for, for contexts that tests build."""
        return {
            "database": DatabaseResource(url=self.services.importer_url, reader_url=self.services.reader_url),
            "blob_storage": BlobStorageResource(account_url=self.services.blob_account_url, key=self.services.blob_key),
            "secret_keys": SecretKeysResource(fernet_keys=SECRET_KEY),
            **of_settings(self.settings),
        }

    def count(self, table: str) -> int:
        """Rows of this user's in one of the picture tables."""
        queries = {
            "picture_set": "select count(*) as n from picture_set where owner_id = %s",
            "pictures": "select count(*) as n from pictures join picture_set s on s.id = picture_set_id"
            " where owner_id = %s",
            "picture_seed": "select count(*) as n from picture_seed join pictures p on p.id = picture_id"
            " join picture_set s on s.id = p.picture_set_id where owner_id = %s",
        }
        with self.database.connection() as connection:
            row = connection.execute(queries[table], (self.user.id,)).fetchone()
        return row["n"]

    def stored(self) -> list[str]:
        """Blobs of the user's final container."""
        container = self.user.user_container
        return sorted(
            f"{folder}/{file.path}"
            for folder in self.blobs.top_level(container).folders
            for file in self.blobs.files(container, folder)
        )


@pytest.fixture(scope="session")
def deployed(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Services, Path]]:
    """A migrated database with the registry, and the folder of a Dagster instance."""
    with own_database(services) as own:
        prepare(own)
        yield own, dagster_home(tmp_path_factory.mktemp("instance"), PROJECT)


@pytest.fixture
def environment(deployed: tuple[Services, Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings of the deployment, set in this process and returned for others."""
    services, home = deployed
    values = {
        "NACHET_DATABASE_URL": services.importer_url,
        "NACHET_DATABASE_READER_URL": services.reader_url,
        "NACHET_BLOB_ACCOUNT_URL": services.blob_account_url,
        "NACHET_BLOB_KEY": services.blob_key,
        "NACHET_SECRET_KEYS": SECRET_KEY,
        "NACHET_HOME": str(home.parent),
        "DAGSTER_HOME": str(home),
    }
    for variable, value in values.items():
        monkeypatch.setenv(variable, value)
    return values


@pytest.fixture
def deployment(deployed: tuple[Services, Path], environment: dict[str, str], tmp_path: Path) -> Iterator[Deployment]:
    """The deployment, with a user of the test's own."""
    from nachet_pipeline.definitions import definitions  # noqa: PLC0415 (reads the environment)

    services, _ = deployed
    settings = Settings.from_environment(environment_of(environment))
    with (
        Database(SecretStr(services.importer_url), reader_url=SecretStr(services.reader_url)) as database,
        BlobStorage.connect(services.blob_account_url, SecretStr(services.blob_key)) as blobs,
        DagsterInstance.get() as instance,
    ):
        user = register_user(database, blobs, f"{uuid.uuid4().hex[:12]}@example.org")
        yield Deployment(services, settings, database, blobs, instance, definitions(settings), user, tmp_path)


def environment_of(values: dict[str, str]) -> dict[str, str]:
    """Only the project's own settings."""
    return {name: value for name, value in values.items() if name.startswith("NACHET_")}
