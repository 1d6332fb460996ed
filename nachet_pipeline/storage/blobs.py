"""Blob storage: the one place that speaks to Azure Blob, or to an emulator of it.

Each purpose has its module, which says why it uses the client that it does: `administration`, `transfer`, `listings`,
`server_copies`.
"""

from nachet_pipeline.storage.account import (
    API_VERSION,
    CLIENT_OPTIONS,
    StorageError,
    TooLargeError,
)
from nachet_pipeline.storage.administration import Administration, ContainerPolicy
from nachet_pipeline.storage.listings import ListedBlob, Listings, TopPage
from nachet_pipeline.storage.server_copies import ServerCopies
from nachet_pipeline.storage.transfer import BlobProperties, Transfer

__all__ = [
    "API_VERSION",
    "CLIENT_OPTIONS",
    "BlobProperties",
    "BlobStorage",
    "ContainerPolicy",
    "ListedBlob",
    "StorageError",
    "TooLargeError",
    "TopPage",
]


class BlobStorage(Administration, Listings, Transfer, ServerCopies):
    """Containers and blobs of one storage account. A context manager; safe to use from several threads."""
