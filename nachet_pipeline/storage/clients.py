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
    "AzureSasCredentialPolicy",
    "AzureStore",
    "BaseError",
    "BearerTokenCredentialPolicy",
    "BlobClient",
    "BlobServiceClient",
    "ContentSettings",
    "DecodeError",
    "HttpRequest",
    "HttpResponseError",
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
