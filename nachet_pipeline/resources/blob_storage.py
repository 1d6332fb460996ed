"""Blob storage as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import ConfigurableResource
from pydantic import Field, SecretStr

from nachet_pipeline.storage.blobs import BlobStorage


class BlobStorageResource(ConfigurableResource[BlobStorage]):
    """The storage account of staged folders, pictures and training sets."""

    account_url: str = Field(description="https://ACCOUNT.blob.core.windows.net, from NACHET_BLOB_ACCOUNT_URL")
    key: str | None = Field(None, description="the account's key, from NACHET_BLOB_KEY; absent: managed identity")

    @contextmanager
    def open(self) -> Iterator[BlobStorage]:
        """Storage, with credentials and administration by dagster-azure's resource."""
        from nachet_pipeline.resources.azure_account import azure_account  # noqa: PLC0415 (slow to import)

        with azure_account(self.account_url, self.key).get_client() as client:
            yield BlobStorage(client, self.account_url, SecretStr(self.key) if self.key else None)
