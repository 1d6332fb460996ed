"""Blob storage: the one place that speaks to Azure Blob, or to an emulator of it.

Two clients share the work, each where measurements favour it: obstore reads and lists (a third of the SDK's time and
a seventh of its processor time per picture), Microsoft's SDK administers, uploads with checksums and copies on the
server's side, with the conditions that make a write safe to repeat.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from nachet_pipeline.errors import UnavailableError, raise_alone
from nachet_pipeline.storage.container_top import TopListing, TopPage, UnlistableError
from nachet_pipeline.storage.scrubbing import reason_of, scrubbed
from nachet_pipeline.storage.server_copy import CopyRefusedError, CopyRequest, ServerCopies, SourceChangedError
from nachet_pipeline.support.files import FileChangedError, StagedFile
from nachet_pipeline.support.lazy_import import LazyModule

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

    from nachet_pipeline.storage import clients
else:
    clients = LazyModule("nachet_pipeline.storage.clients")

API_VERSION = "2026-02-06"
"""Of the Blob service; the newest that Azurite 3.37 and azure-storage-blob 12.31 both speak."""

DELEGATED_SAS_VERSION = "2026-06-06"
"""Of a SAS that is signed with a user delegation key: the SDK knows no form of it older than 2026-04-06."""

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

_PART_BYTES = 1024 * 1024


def _without_signature(record: logging.LogRecord) -> bool:
    """Takes keys out of the addresses that the HTTP library logs when it is asked to log everything."""
    if isinstance(record.args, tuple):
        record.args = tuple(scrubbed(one) if isinstance(one, str) else one for one in record.args)
    return True


logging.getLogger("urllib3.connectionpool").addFilter(_without_signature)

_SAS_LIFETIME = timedelta(hours=2)
_CLOCK_SKEW = timedelta(minutes=5)


class StorageError(UnavailableError):
    """Blob storage cannot be reached, or refuses; the message is one line that names it.

    Attributes:
        status: what the service answered, if it did and its client says so.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class TooLargeError(StorageError):
    """A blob has more bytes than whoever reads it takes."""


@dataclass(frozen=True, slots=True)
class StagedBlob:
    """A blob at the top of a container: its name, version and time of last change."""

    name: str
    version: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class ListedBlob:
    """A blob of a listing: its name, size in bytes, version, time of last change, and what was noted with it."""

    name: str
    size: int
    version: str
    modified: datetime
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class BlobProperties:
    """What the service says of a blob: size in bytes, MD5 in hexadecimal if it has one, metadata, version."""

    size: int
    md5: str | None
    metadata: dict[str, str]
    version: str


@dataclass(frozen=True, slots=True)
class BlobChecksum:
    """What a blob is, by reading it: size in bytes, SHA-256 in hexadecimal, and the version that was read."""

    size: int
    sha256: str
    version: str


@dataclass(frozen=True, slots=True)
class TopLevel:
    """What lies at the top of a container: folders by name, and blobs outside of folders."""

    folders: list[str]
    blobs: list[StagedBlob]


@dataclass(frozen=True, slots=True)
class ContainerPolicy:
    """A stored access policy of a container: what keys that name it may do, and from when until when.

    Attributes:
        id: its name.
        permissions: in Azure's letters and order.
        starts_at: from when; the service keeps whole seconds.
        expires_at: until when; likewise.
    """

    id: str
    permissions: str
    starts_at: datetime
    expires_at: datetime


def _moment(value: datetime | str) -> datetime:
    """A time as the service says it, in seven digits after the second: with six at most."""
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*", r"\1", value))


def _quoted(etag: str | None) -> str:
    """An ETag as conditions want it; listings give it without its quotes."""
    bare = (etag or "").strip('"')
    return f'"{bare}"'


def _check_size(blob: str, found: int, size: int | None, limit: int | None) -> None:
    if size is not None and found != size:
        raise FileChangedError(blob)
    if limit is not None and found > limit:
        raise TooLargeError(f"{blob} has {found} bytes; more than {limit} are not read")


def _md5(content: bytes | IO[bytes]) -> bytes:
    if isinstance(content, bytes):
        return hashlib.md5(content, usedforsecurity=False).digest()
    content.seek(0)
    digest = hashlib.md5(usedforsecurity=False)
    while part := content.read(1024 * 1024):
        digest.update(part)
    content.seek(0)
    return digest.digest()


class BlobStorage:
    """Containers and blobs of one storage account. A context manager; safe to use from several threads."""

    def __init__(
        self,
        service: "clients.BlobServiceClient",
        account_url: str,
        key: SecretStr | None,
        sas: SecretStr | None = None,
    ) -> None:
        """Use an account.

        Args:
            service: the SDK's client of the account.
            account_url: address of the account.
            key: the account's key; None: the identity of this machine or person, by DefaultAzureCredential.
            sas: a shared access signature, instead of both: only what it allows can be done.
        """
        self.account_url = account_url
        self._service = service
        self._key = key
        self._shared = sas
        self._stores: dict[str, clients.AzureStore] = {}
        self._sas: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._copies = ServerCopies(
            account_url,
            API_VERSION,
            connect_seconds=CLIENT_OPTIONS["connection_timeout"],
            read_seconds=CLIENT_OPTIONS["read_timeout"],
            retries=CLIENT_OPTIONS["retry_total"],
        )
        self._lock = Lock()
        self._top: TopListing | None = None

    @classmethod
    def connect(cls, account_url: str, key: SecretStr | None) -> Self:
        """Use an account; nothing is sent until the first request."""
        if key is None:
            from azure.identity import DefaultAzureCredential  # noqa: PLC0415 (slow to import, and not always needed)

            credential: Any = DefaultAzureCredential()
        else:
            credential = key.get_secret_value()
        return cls(clients.BlobServiceClient(account_url, credential, **CLIENT_OPTIONS), account_url, key)

    @classmethod
    def connect_by_sas(cls, account_url: str, sas: SecretStr) -> Self:
        """Use what a shared access signature opens, and nothing else; nothing is sent until the first request."""
        credential = clients.AzureSasCredential(sas.get_secret_value())
        return cls(clients.BlobServiceClient(account_url, credential, **CLIENT_OPTIONS), account_url, None, sas)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._copies.close()
        self._service.close()
        if self._top:
            self._top.close()

    @contextmanager
    def _speaking(self, what: str) -> Iterator[None]:
        """Where all that the clients raise ends: nothing of theirs goes further but a line without keys."""
        try:
            yield
        except (clients.AzureError, clients.BaseError, CopyRefusedError, UnlistableError) as error:
            host = urlsplit(self.account_url).netloc
            status = error.status_code if isinstance(error, clients.HttpResponseError) else None
            failed = StorageError(f"Blob storage at {host}: {what} failed: {reason_of(error)}", status=status)
            raise_alone(failed, error)
        except Exception as error:  # noqa: BLE001 (ours, which may come of one of theirs)
            raise_alone(error, error)

    def _store(self, container: str) -> "clients.AzureStore":
        with self._lock:
            store = self._stores.get(container)
            if store is None:
                store = self._stores[container] = self._open(container)
            return store

    def _open(self, container: str) -> "clients.AzureStore":
        options: ClientConfig = {
            "allow_http": self.account_url.startswith("http://"),
            "connect_timeout": timedelta(seconds=2),
            "timeout": timedelta(seconds=300),
        }
        retry: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=8)}
        place: dict[str, Any] = {"account_name": self._service.account_name, "endpoint": self.account_url}
        if self._key is not None:
            return clients.AzureStore(
                container,
                account_key=self._key.get_secret_value(),
                client_options=options,
                retry_config=retry,
                **place,
            )
        if self._shared is not None:
            return clients.AzureStore(
                container,
                sas_key=self._shared.get_secret_value(),
                client_options=options,
                retry_config=retry,
                **place,
            )
        from obstore.auth.azure import AzureCredentialProvider  # noqa: PLC0415 (imports azure.identity)

        return clients.AzureStore(
            container,
            credential_provider=AzureCredentialProvider(),
            client_options=options,
            retry_config=retry,
            **place,
        )

    # Containers

    def ensure_container(self, container: str) -> None:
        """Create a container if it does not exist."""
        with self._speaking(f"creating container {container}"):
            try:
                self._service.create_container(container)
            except clients.ResourceExistsError:
                return

    def container_exists(self, container: str) -> bool:
        """Whether there is a container of this name."""
        with self._speaking(f"looking for container {container}"):
            return bool(self._service.get_container_client(container).exists())

    # Keys to containers

    @property
    def signs_with_account_key(self) -> bool:
        """Whether keys to containers can be signed with the account's key; else by a user delegation key."""
        return self._key is not None

    def policies(self, container: str) -> list[ContainerPolicy]:
        """The stored access policies of a container, by name; those that are not complete are left out."""
        with self._speaking(f"reading the policies of {container}"):
            found = self._service.get_container_client(container).get_container_access_policy()["signed_identifiers"]
        policies = []
        for identifier in found or ():
            policy = identifier.access_policy
            if policy and policy.permission and policy.start and policy.expiry:
                starts, expires = _moment(policy.start), _moment(policy.expiry)
                policies.append(ContainerPolicy(str(identifier.id), str(policy.permission), starts, expires))
        return sorted(policies, key=lambda one: one.id)

    def set_policies(self, container: str, policies: Sequence[ContainerPolicy]) -> None:
        """Let a container have these stored access policies and no others, and no public access.

        On Azure it takes up to 30 seconds until a new one is known everywhere.

        Raises:
            StorageError: there are more than five, or the service does not answer.
        """
        identifiers = {
            one.id: clients.AccessPolicy(permission=one.permissions, expiry=one.expires_at, start=one.starts_at)
            for one in policies
        }
        with self._speaking(f"setting the policies of {container}"):
            try:
                self._service.get_container_client(container).set_container_access_policy(identifiers)
            except ValueError as error:
                raise StorageError(f"{container}: {error}") from error

    def sign_under_policy(self, container: str, policy: str) -> SecretStr:
        """A SAS of a container that is worth what its stored access policy says at the time.

        Raises:
            ValueError: there is no account key to sign it with.
        """
        if self._key is None:
            raise ValueError("a SAS under a stored access policy is signed with the account's key")
        return SecretStr(
            clients.generate_container_sas(
                str(self._service.account_name),
                container,
                account_key=self._key.get_secret_value(),
                policy_id=policy,
                protocol=self._protocol,
                version=API_VERSION,
            )
        )

    def sign_delegated(self, container: str, permissions: str, starts: datetime, expires: datetime) -> SecretStr:
        """A SAS of a container that is signed with a user delegation key of the identity of this machine or person.

        Raises:
            StorageError: the identity may not ask for such a key, or the times are more than seven days apart.
        """
        return SecretStr(self._delegated(container, permissions, starts, expires, self._protocol))

    @property
    def _protocol(self) -> str | None:
        """What a SAS is limited to: https, but for an emulator without."""
        return "https" if self.account_url.startswith("https://") else None

    def _delegated(
        self, container: str, permissions: str, starts: datetime, expires: datetime, protocol: str | None = None
    ) -> str:
        with self._speaking(f"asking for a key to {container}"):
            key: clients.UserDelegationKey = self._service.get_user_delegation_key(starts, expires)
        return clients.generate_container_sas(
            str(self._service.account_name),
            container,
            user_delegation_key=key,
            permission=permissions,
            start=starts,
            expiry=expires,
            protocol=protocol,
            version=DELEGATED_SAS_VERSION,
        )

    # Reading

    def top_level(self, container: str) -> TopLevel:
        """Folders and blobs at the top of a container, without what is in the folders.

        Raises:
            StorageError: the container does not exist, or the service does not answer.
        """
        top, after = TopLevel([], []), ""
        while True:
            with self._speaking(f"listing {container}"):
                page = self._top_listing().detailed_page(container, after)
            top.folders.extend(page.folders)
            top.blobs.extend(StagedBlob(one.name, _quoted(one.etag), one.modified) for one in page.blobs)
            after = page.next
            if not after:
                return top

    def top_page(self, container: str, after: str = "") -> TopPage:
        """A page of the names at the top of a container, the first or the one that another says is the next.

        Raises:
            StorageError: the container does not exist, or the service does not answer.
        """
        with self._speaking(f"listing {container}"):
            return self._top_listing().page(container, after)

    def _top_listing(self) -> TopListing:
        with self._lock:
            if self._top is None:
                self._top = TopListing(self._service, self.account_url, api_version=API_VERSION)
            return self._top

    def answers(self, container: str) -> bool:
        """Whether a container can be listed at all: if so, trouble with what lies in it is that one's own."""
        return self._top_listing().answers(container)

    def files(self, container: str, folder: str) -> Iterator[StagedFile]:
        """The blobs of a folder, with paths relative to it; of the whole container, if the folder is empty."""
        after = ""
        while True:
            files, after = self.files_page(container, folder, after)
            yield from files
            if not after:
                return

    def files_page(self, container: str, folder: str, after: str = "") -> tuple[list[StagedFile], str]:
        """A page of the blobs of a folder, the first or the one that another says is the next, and which is the next.

        Raises:
            StorageError: the container does not exist, the service does not answer, or it cannot list a name in the
                folder; then it still `answers` otherwise.
        """
        prefix = f"{folder}/" if folder else ""
        with self._speaking(f"listing {container}/{folder}"):
            page = self._top_listing().blobs_page(container, prefix, after)
        files = [
            StagedFile(one.name.removeprefix(prefix), one.size, _quoted(one.etag), one.modified)
            for one in page.blobs
            if one.name != prefix  # some programs put a blob there that stands for the folder
        ]
        return files, page.next

    def listing(self, container: str, prefix: str = "") -> Iterator[ListedBlob]:
        """The blobs whose names begin with a prefix, with their metadata, in no order that can be relied upon.

        The service sorts names by its own rules: the emulator by units of UTF-16, others by bytes.
        """
        with self._speaking(f"listing {container}/{prefix}"):
            listed = self._service.get_container_client(container).list_blobs(
                name_starts_with=prefix or None, include=["metadata"]
            )
            for found in listed:
                yield ListedBlob(
                    str(found.name),
                    int(found.size),
                    _quoted(found.etag),
                    found.last_modified,
                    dict(found.metadata or {}),
                )

    def read(
        self,
        container: str,
        blob: str,
        version: str | None = None,
        *,
        size: int | None = None,
        limit: int | None = None,
    ) -> bytes:
        """The bytes of a blob, of one version if it is given; one of another size is not even read.

        Args:
            container: the container.
            blob: the blob's name.
            version: its ETag.
            size: its bytes.
            limit: bytes that it may have; where others can write, nothing says what a blob holds by now.

        Raises:
            FileChangedError: the blob does not exist, or is no longer of that version or size.
            TooLargeError: it has more bytes than the limit; they are not read.
        """
        with self._speaking(f"reading {container}/{blob}"):
            try:
                if blob != blob.strip("/"):  # obstore would read another one
                    return self._read_any_name(container, blob, version, size, limit)
                options: Any = {"if_match": version} if version else None
                found = clients.obstore.get(self._store(container), blob, options=options)
                _check_size(blob, found.meta["size"], size, limit)
                return bytes(found.bytes())
            except ValueError:  # a name that obstore has no form for
                return self._read_any_name(container, blob, version, size, limit)
            except (clients.NotFoundError, clients.PreconditionError, FileNotFoundError) as error:
                raise FileChangedError(blob) from error

    def download(self, container: str, blob: str, stream: IO[bytes]) -> None:
        """Write a blob's bytes to a file, a few MiB at a time.

        Raises:
            FileChangedError: the blob does not exist, or changed meanwhile.
        """
        with self._speaking(f"reading {container}/{blob}"):
            try:
                self._blob(container, blob).download_blob(max_concurrency=2).readinto(stream)
            except (clients.ResourceModifiedError, clients.ResourceNotFoundError) as error:
                raise FileChangedError(blob) from error

    def _read_any_name(
        self, container: str, blob: str, version: str | None, size: int | None, limit: int | None
    ) -> bytes:
        pinned: dict[str, Any] = (
            {"etag": version, "match_condition": clients.MatchConditions.IfNotModified} if version else {}
        )
        try:
            found = self._blob(container, blob).download_blob(**pinned)
            _check_size(blob, int(found.size), size, limit)
            return bytes(found.readall())
        except (clients.ResourceModifiedError, clients.ResourceNotFoundError) as error:
            raise FileChangedError(blob) from error

    def md5s(self, container: str, folder: str) -> Iterator[tuple[str, int, bytes | None]]:
        """Path within a folder, size and MD5 (where the uploader gave one) of each of its blobs."""
        prefix = f"{folder}/"
        with self._speaking(f"listing {container}/{folder}"):
            for found in self._service.get_container_client(container).list_blobs(name_starts_with=prefix):
                md5 = found.content_settings.content_md5
                yield str(found.name).removeprefix(prefix), int(found.size), bytes(md5) if md5 else None

    # Writing

    def _blob(self, container: str, blob: str) -> "clients.BlobClient":
        return self._service.get_blob_client(container, blob)

    def upload(
        self,
        container: str,
        blob: str,
        content: bytes | IO[bytes],
        *,
        content_type: str,
        overwrite: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> bool:
        """Write a blob; the service verifies the checksum of what arrives and keeps it.

        Args:
            container: the container.
            blob: the blob's name.
            content: its bytes, or a file that is read from its start.
            content_type: its media type.
            overwrite: whether it may replace a blob of that name.
            metadata: kept with the blob.

        Returns:
            False if the blob existed and was not to be overwritten.
        """
        settings = clients.ContentSettings(content_type=content_type, content_md5=bytearray(_md5(content)))
        with self._speaking(f"writing {container}/{blob}"):
            try:
                self._blob(container, blob).upload_blob(
                    content,
                    overwrite=overwrite,
                    content_settings=settings,
                    validate_content=True,
                    metadata=dict(metadata) if metadata else None,
                )
            except clients.ResourceExistsError:
                return False
        return True

    def copy(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        *,
        version: str,
        md5: str,
        metadata: Mapping[str, str],
    ) -> bool:
        """Copy a blob on the server's side, exactly the version that was validated, never over another blob.

        Args:
            source: container and blob to copy.
            target: container and blob to create.
            version: ETag of the source; the service refuses to copy any other.
            md5: of the source's bytes, in hexadecimal; the service compares it with what it copies.
            metadata: kept with the new blob.

        Returns:
            False if the target existed already; the caller says what that means.

        Raises:
            FileChangedError: the source is no longer of that version.
        """
        with self._speaking(f"copying {source[1]} to {target[0]}"):
            try:
                return self._copies.copy(
                    CopyRequest(
                        self._signed_url(*source, "r"),
                        self._signed_url(*target, "w"),
                        version=version,
                        md5=bytes.fromhex(md5),
                        metadata=metadata,
                    )
                )
            except SourceChangedError as error:
                raise FileChangedError(source[1]) from error

    def _signed_url(self, container: str, blob: str, permission: str) -> str:
        return f"{self.account_url}/{container}/{quote(blob)}?{self._short_sas(container, permission)}"

    def _short_sas(self, container: str, permission: str) -> str:
        """A short-lived permission for one container, to read (`r`) or to write (`w`)."""
        with self._lock:
            sas, expiry = self._sas.get((container, permission), ("", datetime.min.replace(tzinfo=UTC)))
            now = datetime.now(UTC)
            if expiry - now > _SAS_LIFETIME / 2:
                return sas
            expiry = now + _SAS_LIFETIME
            if self._key is None:
                sas = self._delegated(container, permission, now - _CLOCK_SKEW, expiry)
            else:
                sas = clients.generate_container_sas(
                    str(self._service.account_name),
                    container,
                    account_key=self._key.get_secret_value(),
                    permission=permission,
                    start=now - _CLOCK_SKEW,
                    expiry=expiry,
                    version=API_VERSION,
                )
            self._sas[container, permission] = (sas, expiry)
            return sas

    def properties_of(self, container: str, blob: str) -> BlobProperties | None:
        """What the service says of a blob, None if it does not exist."""
        with self._speaking(f"looking at {container}/{blob}"):
            try:
                found = self._blob(container, blob).get_blob_properties()
            except clients.ResourceNotFoundError:
                return None
        md5 = found.content_settings.content_md5
        return BlobProperties(
            int(found.size), bytes(md5).hex() if md5 else None, dict(found.metadata or {}), _quoted(found.etag)
        )

    def checksum_of(self, container: str, blob: str) -> BlobChecksum | None:
        """Read a blob to its end and hash it, a part at a time; None if it does not exist."""
        digest, size = hashlib.sha256(), 0
        with self._speaking(f"reading {container}/{blob}"):
            try:
                found = clients.obstore.get(self._store(container), blob)
                for part in found.stream(min_chunk_size=_PART_BYTES):
                    digest.update(part)
                    size += len(part)
            except (clients.NotFoundError, FileNotFoundError):
                return None
        return BlobChecksum(size, digest.hexdigest(), _quoted(found.meta["e_tag"]))

    def metadata_of(self, container: str, blob: str) -> tuple[int, dict[str, str]] | None:
        """Size and metadata of a blob, None if it does not exist."""
        found = self.properties_of(container, blob)
        return (found.size, found.metadata) if found else None

    def delete(self, container: str, blob: str, version: str | None = None) -> bool:
        """Delete a blob if it exists; if a version is given, only if it still is of that version.

        Returns:
            False if there was no such blob.
        """
        pinned: dict[str, Any] = (
            {"etag": version, "match_condition": clients.MatchConditions.IfNotModified} if version else {}
        )
        with self._speaking(f"deleting {container}/{blob}"):
            try:
                self._blob(container, blob).delete_blob(**pinned)
            except (clients.ResourceNotFoundError, clients.ResourceModifiedError):
                return False
        return True
