"""dagster-azure's resource, which finds the identity that storage is opened by, with the options that we need.

It has a module of its own because importing dagster-azure with azure.identity takes as long as half of Dagster. A step
imports it when it first needs storage; loading the definitions does not, nor does a step whose storage has a key.
"""

from collections.abc import Generator
from contextlib import contextmanager

from azure.storage.blob import BlobServiceClient
from dagster_azure.blob import (
    AzureBlobStorageDefaultCredential,
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


def azure_account(account_url: str) -> AzureAccountResource:
    """The account with the identity of the machine."""
    return AzureAccountResource(account_url=account_url, credential=AzureBlobStorageDefaultCredential())
