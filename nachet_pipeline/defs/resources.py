"""Dagster's resources: PostgreSQL, Blob storage, the keys of secrets, and the settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster import ConfigurableResource, EnvVar, InitResourceContext
from pydantic import Field, SecretStr

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.database.connection import Database
from nachet_pipeline.database.run_locks import sign_of_life
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.settings import KeySettings, Settings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.progress import StepProgress
from nachet_pipeline.users.lifecycle import Onboarding
from nachet_pipeline.users.upload_keys import UploadKeys

if TYPE_CHECKING:
    from collections.abc import Callable

    from nachet_pipeline.training.publishing import Published
    from nachet_pipeline.uploads.importing import ImportOutcome


class DatabaseResource(ConfigurableResource[Database]):
    """The database of pictures. A run that uses it holds a lock there as its sign of life."""

    url: str = Field(description="postgresql://…, from NACHET_DATABASE_URL")
    reader_url: str | None = Field(
        None, description="for what only reads, from NACHET_DATABASE_READER_URL; absent: the same as url"
    )

    def open(self) -> Database:
        """Pools of connections; a context manager."""
        return Database(SecretStr(self.url), reader_url=SecretStr(self.reader_url) if self.reader_url else None)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[Any]:
        """The resource; while a run has it, the sensor `end_dead_runs` sees that the run's process lives."""
        if context.run is None:  # a sensor's
            yield self
            return
        with sign_of_life(SecretStr(self.url), context.run.run_id):
            yield self


class BlobStorageResource(ConfigurableResource[BlobStorage]):
    """The storage account of staged folders, pictures and training sets."""

    account_url: str = Field(description="https://ACCOUNT.blob.core.windows.net, from NACHET_BLOB_ACCOUNT_URL")
    key: str | None = Field(None, description="the account's key, from NACHET_BLOB_KEY; absent: managed identity")

    @contextmanager
    def open(self) -> Iterator[BlobStorage]:
        """Storage, opened by its key, or else by an identity as dagster-azure's resource finds it."""
        if self.key:
            with BlobStorage.connect(self.account_url, SecretStr(self.key)) as blobs:
                yield blobs
            return
        from nachet_pipeline.defs.azure_account import azure_account  # noqa: PLC0415 (slow to import)

        with (
            azure_account(self.account_url).get_client() as client,
            BlobStorage(lambda: client, self.account_url, None) as blobs,
        ):
            yield blobs


class SecretKeysResource(ConfigurableResource["SecretKeysResource"]):
    """Fernet keys for secrets at rest; without them nobody gets an upload key."""

    fernet_keys: str | None = Field(
        None, description="separated by commas, from NACHET_SECRET_KEYS; the first encrypts"
    )

    @property
    def secrets(self) -> list[SecretStr]:
        """The keys; the first encrypts."""
        return [SecretStr(key.strip()) for key in (self.fernet_keys or "").split(",") if key.strip()]

    def upload_keys(self, database: Database, blobs: BlobStorage, settings: KeySettings) -> UploadKeys:
        """The upload keys of all users."""
        return UploadKeys(database, blobs, self.secrets, settings)

    def onboarding(self, database: Database, blobs: BlobStorage, settings: KeySettings) -> Onboarding:
        """Users from their registration to their end."""
        return Onboarding(database, blobs, self.upload_keys(database, blobs, settings))


@dataclass(frozen=True)
class ImportProgress:
    """Who follows a long import, besides the log.

    Attributes:
        tell: called with the step, how many pictures are done, and how many there are.
    """

    tell: StepProgress | None = None


@dataclass(frozen=True)
class CommandImport:
    """An import that a command does, for the run that reports it.

    Attributes:
        outcome: waits for how it ended, and passes its progress on; None: the run imports.
    """

    outcome: "Callable[[StepProgress], ImportOutcome] | None" = None


@dataclass(frozen=True)
class CommandBuild:
    """A version of a training set that a command published, for the run that reports it.

    Attributes:
        published: the version; None: the run builds one.
    """

    published: "Published | None" = None


def of_environment(settings: Settings) -> dict[str, object]:
    """The services as resources, which name the environment variables that hold addresses and secrets.

    Args:
        settings: say which of the variables are set.
    """
    return {
        "database": DatabaseResource(
            url=EnvVar("NACHET_DATABASE_URL"),
            reader_url=EnvVar("NACHET_DATABASE_READER_URL") if settings.database_reader_url else None,
        ),
        "blob_storage": BlobStorageResource(
            account_url=EnvVar("NACHET_BLOB_ACCOUNT_URL"),
            key=EnvVar("NACHET_BLOB_KEY") if settings.blob_key else None,
        ),
        "secret_keys": SecretKeysResource(fernet_keys=EnvVar("NACHET_SECRET_KEYS") if settings.secret_keys else None),
    }


def of_settings(settings: Settings) -> dict[str, object]:
    """The settings as resources: one for each concern, and what follows from several.

    Addresses of services and secrets are not among them.

    Raises:
        SettingsError: the file of severities cannot be used.
    """
    return {
        **{f"{name}_settings": getattr(settings, name) for name in settings.concerns()},
        "rule_set": RuleSet.of(settings.contract),
        "contract_limits": ContractLimits.of(settings.contract, settings.transfer),
        "decoding": DecodingSettings.of(settings.decoder, settings.picture),
    }
