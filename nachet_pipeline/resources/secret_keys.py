"""The keys that secrets are encrypted with, as a Dagster resource."""

from dagster import ConfigurableResource
from pydantic import Field, SecretStr

from nachet_pipeline.database.connection import Database
from nachet_pipeline.onboarding.lifecycle import Onboarding
from nachet_pipeline.onboarding.upload_keys import UploadKeys
from nachet_pipeline.settings import KeySettings
from nachet_pipeline.storage.blobs import BlobStorage


class SecretKeysResource(ConfigurableResource["SecretKeysResource"]):
    """Fernet keys for secrets at rest; without them nobody gets an upload key."""

    fernet_keys: str | None = Field(
        None, description="separated by commas, from NACHET_SECRET_KEYS; the first encrypts"
    )

    def upload_keys(self, database: Database, blobs: BlobStorage, settings: KeySettings) -> UploadKeys:
        """The upload keys of all users."""
        secrets = [SecretStr(key.strip()) for key in (self.fernet_keys or "").split(",") if key.strip()]
        return UploadKeys(database, blobs, secrets, settings)

    def onboarding(self, database: Database, blobs: BlobStorage, settings: KeySettings) -> Onboarding:
        """Users from their registration to their end."""
        return Onboarding(database, blobs, self.upload_keys(database, blobs, settings))
