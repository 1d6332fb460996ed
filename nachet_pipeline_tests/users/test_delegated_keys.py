"""Upload keys where the account forbids shared keys: signed with a user delegation key, on an emulator with OAuth."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient

from nachet_pipeline.storage.blobs import CLIENT_OPTIONS, BlobStorage
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.uploads.staging import stage_folder
from nachet_pipeline.users.key import KeyKind
from nachet_pipeline.users.upload_address import UploadAddress
from nachet_pipeline_tests.users.keys import ACTOR, onboarding, opens, shown_url, upload_keys
from nachet_pipeline_tests.users.oauth_storage import storage_of_an_identity
from nachet_pipeline_tests.workbench import Workbench, files_of

DAY = timedelta(days=1)


@pytest.fixture(scope="module", name="identity")
def _identity(tmp_path_factory: pytest.TempPathFactory, tools: Path) -> Iterator[tuple[BlobStorage, Path]]:
    with storage_of_an_identity(tmp_path_factory.mktemp("oauth"), tools) as found:
        yield found


@pytest.fixture
def keyless(workbench: Workbench, identity: tuple[BlobStorage, Path], monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A workbench on an account without a key, with a user who was onboarded there."""
    blobs, certificate = identity
    for setting in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(setting, str(certificate))
    found = replace(workbench, blobs=blobs).another_user(f"d.{workbench.user.email}")
    assert onboarding(found).onboard(found.user.email, actor=ACTOR).key
    return found


def names(blobs: BlobStorage, container: str) -> set[str]:
    return set(blobs._service.get_container_client(container).list_blob_names())


def test_a_delegated_key_opens_its_container_for_a_week_and_by_https_only(keyless: Workbench) -> None:
    (key,) = upload_keys(keyless).of(keyless.user.email)
    assert key.kind is KeyKind.DELEGATION
    assert key.expires_at - key.starts_at == 7 * DAY

    url = shown_url(keyless)
    assert url.startswith("https://")
    for part in ("spr=https", "sp=rcwl", "skoid="):
        assert part in url
    assert "si=" not in url
    assert opens(url)
    assert not opens(url.replace("sp=rcwl", "sp=rcwdl"))
    assert not opens(url.replace(keyless.user.upload_container, keyless.user.user_container))


def test_a_delegated_key_can_neither_delete_nor_be_asked_for_another(keyless: Workbench) -> None:
    url = shown_url(keyless)
    assert opens(url)
    with ContainerClient.from_container_url(url, **CLIENT_OPTIONS) as container:
        for refused in (lambda: container.delete_blob("tried/1.txt"), lambda: container.set_container_metadata({})):
            with pytest.raises(HttpResponseError) as error:
                refused()
            assert error.value.status_code == 403
    assert "tried/1.txt" in names(keyless.blobs, keyless.user.upload_container)


def test_a_delegated_key_is_rotated_in_the_middle_of_its_week_and_the_former_one_works_on(keyless: Workbench) -> None:
    user = keyless.another_user(f"w.{keyless.user.email}")
    upload_keys(user, after=-4 * DAY).ensure(user.user.email, actor=ACTOR)
    first = shown_url(user, after=-4 * DAY)
    assert upload_keys(user, after=-1 * DAY).maintain(actor=ACTOR).rotated == []

    assert upload_keys(user).maintain(actor=ACTOR).rotated == [user.user.email]
    second = shown_url(user)

    assert first != second
    assert opens(first)
    assert opens(second)
    new, former = upload_keys(user).of(user.user.email)
    assert former.expires_at < new.expires_at <= datetime.now(UTC) + 7 * DAY
    assert former.revoked_at is None  # it opens the container still, and so is said to


def test_who_revokes_a_delegated_key_is_told_until_when_it_works(keyless: Workbench) -> None:
    url = shown_url(keyless)
    (key,) = upload_keys(keyless).of(keyless.user.email)

    revocation = upload_keys(keyless).revoke(keyless.user.email, actor=ACTOR)

    assert revocation.open_until == key.expires_at
    assert opens(url)
    assert keyless.query("select encrypted_sas, revoked_at is null as live from upload_key") == [
        {"encrypted_sas": None, "live": False}
    ]


def test_a_folder_is_staged_with_a_delegated_key_alone(keyless: Workbench) -> None:
    folder = keyless.sample("by-delegation")
    address = UploadAddress.parse(shown_url(keyless))

    with address.connect() as blobs, address.explaining():
        stage_folder(blobs, LocalFolder(folder), address.container, folder.name, may_delete=False)

    staged = {name for name in names(keyless.blobs, keyless.user.upload_container) if name.startswith("by-delegation/")}
    assert staged == {f"by-delegation/{path}" for path in files_of(folder)}


def test_a_server_side_copy_may_read_its_source_by_delegation(keyless: Workbench) -> None:
    assert opens(shown_url(keyless))
    source = keyless.blobs._signed_url(keyless.user.upload_container, "tried/1.txt", "r")
    container, _, sas = source.replace("/tried/1.txt", "").partition("?")
    with ContainerClient.from_container_url(f"{container}?{sas}", **CLIENT_OPTIONS) as reading:
        assert reading.download_blob("tried/1.txt").readall() == b"1"
        with pytest.raises(HttpResponseError):
            reading.upload_blob("tried/2.txt", b"2")


def test_a_key_signed_with_the_account_key_is_not_made_without_one(keyless: Workbench) -> None:
    with pytest.raises(ValueError, match="account's key"):
        keyless.blobs.sign_under_policy(keyless.user.upload_container, "policy")
