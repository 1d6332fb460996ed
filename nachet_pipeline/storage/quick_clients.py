"""The names that are used of obstore, in one module that is imported when it is first needed."""

from obstore import Bytes, get, put
from obstore.exceptions import BaseError, NotFoundError, PreconditionError
from obstore.store import AzureStore

__all__ = ["AzureStore", "BaseError", "Bytes", "NotFoundError", "PreconditionError", "get", "put"]
