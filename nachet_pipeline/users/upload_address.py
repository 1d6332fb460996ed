"""The address that an uploader is given: an upload container with a key in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from pydantic import SecretStr

from nachet_pipeline.errors import RefusedError, UsageError
from nachet_pipeline.identifiers import owner_of_container
from nachet_pipeline.settings import LOOPBACK
from nachet_pipeline.storage.blobs import BlobStorage, StorageError

_NOT_ALLOWED = {401, 403, 404}


class AddressError(UsageError):
    """This is no address of an upload container with a key; the message never repeats it."""


class KeyRefusedError(RefusedError):
    """Storage does not accept the key."""


@dataclass(frozen=True, slots=True)
class UploadAddress:
    """A container where folders may be staged, with the key to it; its representation shows no key.

    Attributes:
        account_url: the storage account.
        container: the upload container.
        owner: whose container it is: what is staged there is theirs, whoever stages it.
        sas: the key.
    """

    account_url: str
    container: str
    owner: UUID
    sas: SecretStr

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the address that `nachet user key show` prints.

        Raises:
            AddressError: it is none, or would send the key in the clear over a network.
        """
        expected = "upload key: expected the address https://ACCOUNT.blob.core.windows.net/upload-…?…sig=… that"
        expected = f"{expected} `nachet user key show` prints, as a whole and in quotes"
        try:
            parts = urlsplit(text.strip().strip("'\""))
            host, query = parts.hostname, parse_qs(parts.query)
        except ValueError:
            raise AddressError(expected) from None
        path, _, container = parts.path.strip("/").rpartition("/")
        owner = owner_of_container(container)
        if parts.scheme not in {"http", "https"} or not host or owner is None or "sig" not in query or parts.username:
            raise AddressError(expected)
        if parts.scheme == "http" and host not in LOOPBACK:
            raise AddressError("upload key: it would travel unprotected; use the https:// address")
        account = f"{parts.scheme}://{parts.netloc}{f'/{path}' if path else ''}"
        return cls(account, container, owner, SecretStr(parts.query))

    def connect(self) -> BlobStorage:
        """Storage, for what the key allows; nothing is sent until the first request."""
        return BlobStorage.connect_by_sas(self.account_url, self.sas)

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turn what storage answers to a key that does not open the container into the error that says so.

        Raises:
            KeyRefusedError: the key expired, was revoked, or does not allow what is asked for.
            StorageError: storage does not answer.
        """
        try:
            yield
        except StorageError as error:
            if error.status in _NOT_ALLOWED:
                raise KeyRefusedError(
                    f"the key does not open {self.container}: it has expired, was revoked, or was not copied as a"
                    " whole; ask for a new one"
                ) from error
            raise
