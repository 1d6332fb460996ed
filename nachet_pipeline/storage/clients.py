"""The names that are used of the SDK, in one module: no other import takes as long, so it is lazy."""

from azure.core import MatchConditions
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    AccessPolicy,
    BlobClient,
    BlobServiceClient,
    ContentSettings,
    UserDelegationKey,
    generate_container_sas,
)

__all__ = [
    "AccessPolicy",
    "AzureError",
    "AzureSasCredential",
    "BlobClient",
    "BlobServiceClient",
    "ContentSettings",
    "HttpResponseError",
    "MatchConditions",
    "ResourceExistsError",
    "ResourceModifiedError",
    "ResourceNotFoundError",
    "UserDelegationKey",
    "generate_container_sas",
]
