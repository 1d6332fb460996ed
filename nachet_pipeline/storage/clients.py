"""The names that are used of the SDK and of obstore, in one module: no other import takes as long, so it is lazy."""

import obstore
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
from obstore.exceptions import BaseError, NotFoundError, PreconditionError
from obstore.store import AzureStore

__all__ = [
    "AccessPolicy",
    "AzureError",
    "AzureSasCredential",
    "AzureStore",
    "BaseError",
    "BlobClient",
    "BlobServiceClient",
    "ContentSettings",
    "HttpResponseError",
    "MatchConditions",
    "NotFoundError",
    "PreconditionError",
    "ResourceExistsError",
    "ResourceModifiedError",
    "ResourceNotFoundError",
    "UserDelegationKey",
    "generate_container_sas",
    "obstore",
]
