"""dagster-azure's resource with the options that both Azure and its emulator need.

A module of its own because importing dagster-azure takes more than a second: it is imported when a step first asks
for storage, not when the definitions are loaded.
"""

from collections.abc import Generator
from contextlib import contextmanager

from azure.storage.blob import BlobServiceClient
from dagster_azure.blob import (
    AzureBlobStorageDefaultCredential,
    AzureBlobStorageKeyCredential,
    AzureBlobStorageResource,
)

from nachet_pipeline.storage.blobs import CLIENT_OPTIONS


class AzureAccountResource(AzureBlobStorageResource):
    """A storage account, spoken to in the version of the service that Azurite knows too, and with short time-outs."""

    @contextmanager
    def get_client(self) -> Generator[BlobServiceClient, None, None]:
        """The SDK's client; closed at the end."""
        with BlobServiceClient(self.account_url, self._raw_credential(), **CLIENT_OPTIONS) as client:
            yield client


def azure_account(account_url: str, key: str | None) -> AzureAccountResource:
    """The account with its key, or with the identity of the machine."""
    credential = AzureBlobStorageKeyCredential(key=key) if key else AzureBlobStorageDefaultCredential()
    return AzureAccountResource(account_url=account_url, credential=credential)
