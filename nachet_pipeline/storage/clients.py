"""What is used of the two clients of Blob storage, in one place: together they are the slowest of all to import."""

import obstore
from azure.core import MatchConditions, PipelineClient
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import (
    AzureError,
    DecodeError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.core.pipeline.policies import AzureSasCredentialPolicy, BearerTokenCredentialPolicy, RetryPolicy
from azure.core.rest import HttpRequest
from azure.storage.blob import (
    AccessPolicy,
    BlobClient,
    BlobPrefix,
    BlobServiceClient,
    ContentSettings,
    UserDelegationKey,
    generate_container_sas,
)
from obstore.exceptions import BaseError, InvalidPathError, NotFoundError, PreconditionError
from obstore.store import AzureStore

__all__ = [
    "AccessPolicy",
    "AzureError",
    "AzureSasCredential",
    "AzureSasCredentialPolicy",
    "AzureStore",
    "BaseError",
    "BearerTokenCredentialPolicy",
    "BlobClient",
    "BlobPrefix",
    "BlobServiceClient",
    "ContentSettings",
    "DecodeError",
    "HttpRequest",
    "HttpResponseError",
    "InvalidPathError",
    "MatchConditions",
    "NotFoundError",
    "PipelineClient",
    "PreconditionError",
    "ResourceExistsError",
    "ResourceModifiedError",
    "ResourceNotFoundError",
    "RetryPolicy",
    "UserDelegationKey",
    "generate_container_sas",
    "obstore",
]
