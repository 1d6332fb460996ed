"""The storage account: how it is opened, how access to it is signed, and where the errors of its clients end."""

import base64
import hmac
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode, urlsplit

from pydantic import SecretStr
from urllib3.exceptions import HTTPError

from nachet_pipeline.errors import UnavailableError, raise_alone
from nachet_pipeline.storage.scrubbing import reason_of, scrubbed
from nachet_pipeline.support.lazy_import import LazyModule

if TYPE_CHECKING:
    from nachet_pipeline.storage import clients
    from nachet_pipeline.storage import quick_clients as quick
else:
    clients = LazyModule("nachet_pipeline.storage.clients")
    quick = LazyModule("nachet_pipeline.storage.quick_clients")

API_VERSION = "2026-02-06"
"""Of the Blob service, in every request; Azurite 3.37 and azure-storage-blob 12.31 both speak it.

A SAS that the SDK signs names another one, the newest that it knows: it offers no choice.
"""

CLIENT_OPTIONS: dict[str, Any] = {
    # A service that is down is reported within seconds: the SDK's defaults would retry for a minute and a half.
    "api_version": API_VERSION,
    "connection_timeout": 2,
    "read_timeout": 60,
    # Numbers and no policy made of them: a policy is a link of one client's chain, and two clients that shared it would
    # send their requests with each other's credentials.
    "initial_backoff": 1,
    "increment_base": 1,
    "retry_total": 2,
    "random_jitter_range": 0,
}

_SAS_LIFETIME = timedelta(hours=2)
_CLOCK_SKEW = timedelta(minutes=5)


def _without_signature(record: logging.LogRecord) -> bool:
    """Take keys out of the addresses that the HTTP library logs when it is asked to log everything."""
    if isinstance(record.args, tuple):
        record.args = tuple(scrubbed(one) if isinstance(one, str) else one for one in record.args)
    return True


logging.getLogger("urllib3.connectionpool").addFilter(_without_signature)


class StorageError(UnavailableError):
    """Blob storage cannot be reached, or refuses; the message is one line that names it.

    Attributes:
        status: HTTP status of the answer, if there was one and the client passes it on.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class TooLargeError(StorageError):
    """A blob has more bytes than its reader accepts."""


class RequestError(Exception):
    """A request that was sent without the SDK failed; the message holds no address, and so no key.

    Attributes:
        status: HTTP status of the answer, if there was one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def quoted(etag: str | None) -> str:
    """An ETag as conditions want it; listings give it without its quotes."""
    bare = (etag or "").strip('"')
    return f'"{bare}"'


def container_sas(
    account: str,
    container: str,
    key: SecretStr,
    permission: str,
    start: datetime,
    expiry: datetime,
    version: str = API_VERSION,
) -> str:
    """Sign a permission for a container, as the SDK does, which takes a quarter of a second to import.

    Args:
        account: its name.
        container: its name.
        key: the account's.
        permission: what is allowed, such as `r`.
        start: from when, UTC.
        expiry: until when, UTC.
        version: of the protocol, 2020-12-06 or later.

    Raises:
        RequestError: the key is none.
    """
    try:
        secret = base64.b64decode(key.get_secret_value())
    except ValueError:
        raise RequestError("the account's key is no Base64") from None
    since, until = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (start, expiry))
    # In the service's order; what is empty limits nothing: a stored policy, addresses, protocols, snapshot, encryption
    # scope, and five headers of answers.
    limits = (permission, since, until, f"/blob/{account}/{container}", "", "", "", version, "c", *[""] * 7)
    signature = base64.b64encode(hmac.digest(secret, "\n".join(limits).encode(), "sha256")).decode()
    return urlencode({"st": since, "se": until, "sp": permission, "sv": version, "sr": "c", "sig": signature})


class Account:
    """A storage account, and what opens it. A context manager; safe to use from several threads."""

    def __init__(
        self,
        connect: "Callable[[], clients.BlobServiceClient]",
        account_url: str,
        key: SecretStr | None,
        sas: SecretStr | None = None,
    ) -> None:
        """Use an account.

        Args:
            connect: opens the SDK's client of the account, which is slow to import: called when it is first needed.
            account_url: address of the account.
            key: the account's key; None: the identity of this machine or person, by DefaultAzureCredential.
            sas: a shared access signature, instead of both: only what it allows can be done.
        """
        self.account_url = account_url
        self._connect = connect
        self._key = key
        self._shared = sas
        self._lock, self._opening = Lock(), Lock()
        self._opened: clients.BlobServiceClient | None = None
        self._sas: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._delegation: tuple[clients.UserDelegationKey, datetime, datetime] | None = None
        self._closing = ExitStack()

    @classmethod
    def connect(cls, account_url: str, key: SecretStr | None) -> Self:
        """Use an account; nothing is sent until the first request."""

        def connect() -> "clients.BlobServiceClient":
            credential: Any
            if key is None:
                from azure.identity import DefaultAzureCredential  # noqa: PLC0415 (slow to import, and seldom needed)

                credential = DefaultAzureCredential()
            else:
                credential = key.get_secret_value()
            return clients.BlobServiceClient(account_url, credential, **CLIENT_OPTIONS)

        return cls(connect, account_url, key)

    @classmethod
    def connect_by_sas(cls, account_url: str, sas: SecretStr) -> Self:
        """Use what a shared access signature opens, and nothing else; nothing is sent until the first request."""

        def connect() -> "clients.BlobServiceClient":
            credential = clients.AzureSasCredential(sas.get_secret_value())
            return clients.BlobServiceClient(account_url, credential, **CLIENT_OPTIONS)

        return cls(connect, account_url, None, sas)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @property
    def _service(self) -> "clients.BlobServiceClient":
        """The SDK's client, the same for all threads."""
        with self._opening:
            if self._opened is None:
                self._opened = self._connect()
                self._closing.callback(self._opened.close)
            return self._opened

    @property
    def _name(self) -> str:
        """The account's name: of its host, or of its path where the host is an emulator's."""
        parts = urlsplit(self.account_url)
        name, known, _ = parts.netloc.partition(".blob.core.")
        # The SDK knows some other forms.
        return name if known and "-" not in name else parts.path.strip("/") or str(self._service.account_name)

    @contextmanager
    def _speaking(self, what: str) -> Iterator[None]:
        """Turn whatever the clients raise into a StorageError of one line without keys."""
        try:
            yield
        except (clients.AzureError, quick.BaseError, HTTPError, RequestError) as error:
            host = urlsplit(self.account_url).netloc
            status = error.status_code if isinstance(error, clients.HttpResponseError) else None
            status = error.status if isinstance(error, RequestError) else status
            failed = StorageError(f"Blob storage at {host}: {what} failed: {reason_of(error)}", status=status)
            raise_alone(failed, error)
        except Exception as error:  # noqa: BLE001 (ours, whose cause may be one of theirs)
            raise_alone(error, error)

    def _short_sas(self, container: str, permission: str) -> str:
        """A permission for one container that lasts two hours: to read (`r`), write (`w`) or list (`l`)."""
        if self._shared is not None:
            return self._shared.get_secret_value()
        with self._lock:
            sas, expiry = self._sas.get((container, permission), ("", datetime.min.replace(tzinfo=UTC)))
            now = datetime.now(UTC)
            if expiry - now > _SAS_LIFETIME / 2:
                return sas
            if self._key is None:
                key, start, expiry = self._delegation_key(now)
                sas = self._sign_by_delegation(container, key, permission, start, expiry)
            else:
                start, expiry = now - _CLOCK_SKEW, now + _SAS_LIFETIME
                sas = container_sas(self._name, container, self._key, permission, start, expiry)
            self._sas[container, permission] = (sas, expiry)
            return sas

    def _sign_by_key(self, container: str, **limits: Any) -> str:
        if self._key is None:
            raise ValueError("a SAS under a stored access policy is signed with the account's key")
        return clients.generate_container_sas(
            str(self._service.account_name),
            container,
            account_key=self._key.get_secret_value(),
            **limits,
        )

    def _sign_by_delegation(
        self,
        container: str,
        key: "clients.UserDelegationKey",
        permission: str,
        start: datetime,
        expiry: datetime,
        **limits: Any,
    ) -> str:
        return clients.generate_container_sas(
            str(self._service.account_name),
            container,
            user_delegation_key=key,
            permission=permission,
            start=start,
            expiry=expiry,
            **limits,
        )

    def _delegation_key(self, now: datetime) -> "tuple[clients.UserDelegationKey, datetime, datetime]":
        """A user delegation key, and from when until when it works. One an hour serves all containers."""
        if self._delegation is None or self._delegation[2] - now <= _SAS_LIFETIME / 2:
            start, expiry = now - _CLOCK_SKEW, now + _SAS_LIFETIME
            self._delegation = self._service.get_user_delegation_key(start, expiry), start, expiry
        return self._delegation
