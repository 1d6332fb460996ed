"""Every operation with every credential on every kind of container: only what the table allows succeeds."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient, ContainerClient, generate_container_sas

from nachet_pipeline.local.services import Services
from nachet_pipeline.storage.blobs import CLIENT_OPTIONS, BlobStorage, ContainerPolicy
from nachet_pipeline.users.key_issuers import UPLOAD_PERMISSIONS
from nachet_pipeline_tests.security.matrix import STORAGE, rows_of
from nachet_pipeline_tests.security.places import (
    BLOB,
    CONTENT,
    OPERATIONS,
    REFUSED,
    changed,
    client,
    found_in,
    may,
    new_places,
)

EXPECTED = {row.pop("who asks with"): row for row in rows_of(STORAGE)}


@dataclass(frozen=True)
class Account:
    """A storage account with the containers of two users, an archive and a training set."""

    url: str
    key: str
    blobs: BlobStorage
    service: BlobServiceClient
    places: dict[str, str]

    @property
    def ada(self) -> str:
        return self.places["Ada's upload container"]

    def restore(self, container: str) -> None:
        """Let a container be as it was: one blob, and the policies of its keys."""
        now = datetime.now(UTC).replace(microsecond=0)
        day = timedelta(days=1)
        self.blobs.ensure_container(container)
        self.blobs.upload(container, BLOB, CONTENT, content_type="image/tiff", overwrite=True)
        known = {
            "current": (UPLOAD_PERMISSIONS, now - day, now + 60 * day),
            "early": (UPLOAD_PERMISSIONS, now + day, now + 60 * day),
            "late": (UPLOAD_PERMISSIONS, now - 60 * day, now - day),
            "broad": ("racwdl", now - day, now + day),
        }
        uploads = container.startswith("upload-")
        policies = [ContainerPolicy(name, *policy) for name, policy in known.items()] if uploads else []
        self.blobs.set_policies(container, policies)

    def state(self, container: str) -> object:
        """All that an operation could have changed."""
        looked = self.service.get_container_client(container)
        public = looked.get_container_properties().public_access
        return public, [(blob.name, blob.etag) for blob in looked.list_blobs()], self.blobs.policies(container)

    def _sas(self, container: str, policy: str, **options: Any) -> str:
        return generate_container_sas("devstoreaccount1", container, account_key=self.key, policy_id=policy, **options)

    def asking_with(self, credential: str) -> BlobServiceClient:
        """A client of somebody who shows this."""
        key = self.blobs.sign_under_policy(self.ada, "current").get_secret_value()
        signed = {
            "Ada's key": key,
            "Bo's key": self._sas(self.places["Bo's upload container"], "current"),
            "Ada's key before its first day": self._sas(self.ada, "early"),
            "Ada's key after its last day": self._sas(self.ada, "late"),
            "Ada's key once revoked": self._sas(self.ada, "a policy that was removed"),
            "Ada's key with a changed signature": changed(key, sig=dict(parse_qsl(key))["sig"].swapcase()),
            "Ada's key with permissions added to it": changed(key, sp="racwdl"),
            "Ada's key for another policy": changed(key, si="broad"),
            "an https key by http": self._sas(self.ada, "current", protocol="https"),
        }
        if credential in signed:
            return client(self.url, AzureSasCredential(signed[credential]))
        if credential == "a made-up token":
            return client(self.url, None, headers={"Authorization": "Bearer made.up.token"})
        keys = {"a wrong account key": self.key[::-1].lstrip("=") + "==", "nothing": None, "the pipeline": self.key}
        return client(self.url, keys[credential])


@pytest.fixture(scope="module")
def account(services: Services, blobs: BlobStorage) -> Iterator[Account]:
    places = new_places(next(iter(EXPECTED.values())))
    with client(services.blob_account_url, services.blob_key) as service:
        account = Account(services.blob_account_url, services.blob_key, blobs, service, places)
        for container in places.values():
            account.restore(container)
        yield account
        for container in places.values():
            service.delete_container(container)


@pytest.mark.parametrize("credential", EXPECTED)
def test_a_credential_opens_what_the_table_says_and_nothing_else(credential: str, account: Account) -> None:
    with account.asking_with(credential) as service:
        found = found_in(service, account.places, state=account.state, restore=account.restore)

    assert found == EXPECTED[credential]


@pytest.mark.parametrize("credential", [name for name in EXPECTED if name != "the pipeline"])
def test_only_the_pipeline_lists_and_makes_containers(credential: str, account: Account) -> None:
    fresh = f"upload-{uuid4()}"
    with account.asking_with(credential) as service:
        for attempt in (lambda: list(service.list_containers()), lambda: service.create_container(fresh)):
            with pytest.raises(HttpResponseError) as caught:
                attempt()
            assert caught.value.status_code in REFUSED

    assert not account.blobs.container_exists(fresh)


def test_a_key_stops_at_once_when_its_policy_is_removed_and_the_others_go_on(account: Account) -> None:
    with account.asking_with("Ada's key") as service:
        container = service.get_container_client(account.ada)
        assert may(OPERATIONS["read"], container)
        other = [policy for policy in account.blobs.policies(account.ada) if policy.id == "broad"]
        account.blobs.set_policies(account.ada, other)
        assert not may(OPERATIONS["read"], container)
        still = AzureSasCredential(account.blobs.sign_under_policy(account.ada, "broad").get_secret_value())
        with ContainerClient(account.url, account.ada, still, **CLIENT_OPTIONS) as another:
            assert may(OPERATIONS["read"], another)
    account.restore(account.ada)
