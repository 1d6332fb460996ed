"""dagster-azure's resource with the options that both Azure and its emulator need.

It has a module of its own because importing dagster-azure takes more than a second. A step imports it when it first
needs storage; loading the definitions does not.
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
    """A storage account, with short time-outs, and the version of the protocol that Azurite knows too."""

    @contextmanager
    def get_client(self) -> Generator[BlobServiceClient, None, None]:
        """The SDK's client; closed at the end."""
        with BlobServiceClient(self.account_url, self._raw_credential(), **CLIENT_OPTIONS) as client:
            yield client


def azure_account(account_url: str, key: str | None) -> AzureAccountResource:
    """The account with its key, or with the identity of the machine."""
    credential = AzureBlobStorageKeyCredential(key=key) if key else AzureBlobStorageDefaultCredential()
    return AzureAccountResource(account_url=account_url, credential=credential)
