"""The same where the account forbids shared keys: the pipeline is an identity, and keys are signed by delegation."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from azure.core.credentials import AzureSasCredential
from azure.storage.blob import BlobServiceClient, generate_container_sas

from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.users.key_issuers import UPLOAD_PERMISSIONS
from nachet_pipeline_tests.security.matrix import DELEGATED, rows_of
from nachet_pipeline_tests.security.places import BLOB, CONTENT, changed, client, found_in, new_places
from nachet_pipeline_tests.users.oauth_storage import Identity, storage_of_an_identity

EXPECTED = {row.pop("who asks with"): row for row in rows_of(DELEGATED)}
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Account:
    """A storage account that is spoken to by https, with tokens."""

    blobs: BlobStorage
    certificate: Path
    service: BlobServiceClient
    places: dict[str, str]

    @property
    def ada(self) -> str:
        return self.places["Ada's upload container"]

    def _client(self, credential: object, **options: Any) -> BlobServiceClient:
        return client(self.blobs.account_url, credential, connection_verify=str(self.certificate), **options)

    def restore(self, container: str) -> None:
        """Let a container be as it was: one blob."""
        self.blobs.ensure_container(container)
        self.blobs.upload(container, BLOB, CONTENT, content_type="image/tiff", overwrite=True)

    def state(self, container: str) -> object:
        """All that an operation could have changed."""
        looked = self.service.get_container_client(container)
        public = looked.get_container_properties().public_access
        return public, [(blob.name, blob.etag) for blob in looked.list_blobs()]

    def _signed(self, starts: datetime, expires: datetime) -> str:
        """A key of Ada's container; the key that signs it is valid today, whatever is said of this one."""
        now = datetime.now(UTC)
        signing = self.service.get_user_delegation_key(now - DAY, now + DAY)
        return generate_container_sas(
            "devstoreaccount1",
            self.ada,
            user_delegation_key=signing,
            permission=UPLOAD_PERMISSIONS,
            start=starts,
            expiry=expires,
            protocol="https",
        )

    def asking_with(self, credential: str) -> BlobServiceClient:
        """A client of somebody who shows this."""
        now = datetime.now(UTC)
        tokens = {
            "the pipeline": Identity(),
            "a token after its last minute": Identity(exp=int(now.timestamp()) - 60),
            "a token for another service": Identity(aud="https://database.windows.net"),
            "nothing": None,
        }
        if credential in tokens:
            return self._client(tokens[credential])
        key = self.blobs.sign_delegated(self.ada, UPLOAD_PERMISSIONS, now - DAY, now + DAY).get_secret_value()
        signed = {
            "Ada's key": key,
            "Ada's key before its first day": self._signed(now + DAY / 2, now + DAY),
            "Ada's key after its last day": self._signed(now - DAY, now - DAY / 2),
            "Ada's key with a changed signature": changed(key, sig=dict(parse_qsl(key))["sig"].swapcase()),
            "Ada's key with permissions added to it": changed(key, sp="racwdl"),
            "Ada's key with a later last day": changed(key, se=f"{now + 5 * DAY:%Y-%m-%dT%H:%M:%SZ}"),
        }
        return self._client(AzureSasCredential(signed[credential]))


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory, tools: Path) -> Iterator[Account]:
    with (
        storage_of_an_identity(tmp_path_factory.mktemp("oauth"), tools) as (blobs, certificate),
        client(blobs.account_url, Identity(), connection_verify=str(certificate)) as service,
        pytest.MonkeyPatch.context() as patch,
    ):
        for setting in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            patch.setenv(setting, str(certificate))
        account = Account(blobs, certificate, service, new_places(next(iter(EXPECTED.values()))))
        for container in account.places.values():
            account.restore(container)
        yield account


@pytest.mark.parametrize("credential", EXPECTED)
def test_a_credential_opens_what_the_table_says_and_nothing_else(credential: str, account: Account) -> None:
    with account.asking_with(credential) as service:
        found = found_in(service, account.places, state=account.state, restore=account.restore)

    assert found == EXPECTED[credential]
