from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Thread

import psycopg
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient
from pydantic import SecretStr

from nachet_pipeline.events.event import KeyEnding
from nachet_pipeline.settings import SettingsError
from nachet_pipeline.storage.blobs import CLIENT_OPTIONS, BlobStorage, ContainerPolicy, StorageError
from nachet_pipeline.users.encryption import UndecipherableError, new_secret_key
from nachet_pipeline.users.errors import DisabledUserError, NoKeyError, UnknownUserError
from nachet_pipeline.users.key import KeyKind
from nachet_pipeline_tests.outbox import told
from nachet_pipeline_tests.users.keys import ACTOR, SECRET_KEY, audited, onboarding, opens, shown_url, upload_keys
from nachet_pipeline_tests.workbench import Workbench

DAY = timedelta(days=1)


def policies(workbench: Workbench) -> list[ContainerPolicy]:
    return workbench.blobs.policies(workbench.user.upload_container)


@pytest.fixture
def keyed(workbench: Workbench) -> Workbench:
    """A workbench whose user has a key."""
    assert upload_keys(workbench).ensure(workbench.user.email, actor=ACTOR)
    return workbench


def test_a_key_opens_its_users_upload_container_and_no_other(keyed: Workbench) -> None:
    other = keyed.another_user(f"other.{keyed.user.email}")
    url = shown_url(keyed)

    assert opens(url)
    assert keyed.contents(keyed.user.upload_container) == {"tried/1.txt": b"1"}
    for container in (keyed.user.user_container, other.user.upload_container, other.user.user_container):
        assert not opens(url.replace(keyed.user.upload_container, container))
        assert keyed.contents(container) == {}


def test_a_key_is_under_a_policy_that_holds_its_permissions_and_its_end(keyed: Workbench) -> None:
    (key,) = upload_keys(keyed).of(keyed.user.email)

    assert policies(keyed) == [ContainerPolicy(str(key.id), "rcwl", key.starts_at, key.expires_at)]
    assert key.kind is KeyKind.POLICY
    assert key.expires_at - key.starts_at == 60 * DAY
    url = shown_url(keyed)
    assert f"si={key.id}" in url
    assert "&sp=" not in url
    assert "&se=" not in url


@pytest.mark.parametrize("days", [30, 90])
def test_a_key_lives_as_long_as_the_settings_say(workbench: Workbench, days: int) -> None:
    key = upload_keys(workbench, key_days=days).ensure(workbench.user.email, actor=ACTOR)
    assert key
    assert key.expires_at - key.starts_at == days * DAY


def test_a_key_can_neither_delete_nor_change_its_own_policy_nor_append(keyed: Workbench) -> None:
    url = shown_url(keyed)
    assert opens(url)
    with ContainerClient.from_container_url(url, **CLIENT_OPTIONS) as container:
        for refused in (
            lambda: container.delete_blob("tried/1.txt"),
            container.delete_container,
            container.get_container_access_policy,
            lambda: container.set_container_access_policy({}),
            lambda: container.set_container_metadata({"a": "b"}),
            lambda: container.get_blob_client("tried/1.txt").set_blob_tags({"a": "b"}),
        ):
            with pytest.raises(HttpResponseError) as error:
                refused()
            assert error.value.status_code == 403
    assert keyed.contents(keyed.user.upload_container) == {"tried/1.txt": b"1"}


def test_a_key_is_shown_once_and_then_never_again(keyed: Workbench) -> None:
    shown_url(keyed)
    with pytest.raises(NoKeyError, match=r"was shown on .* to operator@example.org.*nachet user key rotate"):
        shown_url(keyed)
    (key,) = upload_keys(keyed).of(keyed.user.email)
    assert key.shown_to == ACTOR
    assert audited(keyed) == [("added", "user"), ("issued", "key 1"), ("shown", "key 1")]


def test_a_user_gets_their_first_key_once_however_often_it_is_asked_for(keyed: Workbench) -> None:
    before = policies(keyed)
    assert upload_keys(keyed).ensure(keyed.user.email.upper(), actor=ACTOR) is None
    assert policies(keyed) == before
    assert len(upload_keys(keyed).of(keyed.user.email)) == 1


def test_the_new_key_works_before_the_old_one_stops(keyed: Workbench) -> None:
    first = shown_url(keyed)
    rotation = upload_keys(keyed).rotate(keyed.user.email, actor=ACTOR)
    second = shown_url(keyed)

    assert opens(first)
    assert opens(second)
    (former,) = rotation.former
    assert timedelta(0) < former.expires_at - datetime.now(UTC) <= 14 * DAY
    assert {policy.id: policy.expires_at for policy in policies(keyed)} == {
        str(former.id): former.expires_at,
        str(rotation.new.id): rotation.new.expires_at,
    }
    assert audited(keyed)[-3:] == [("issued", "key 2"), ("rotated", "key 1"), ("shown", "key 2")]


def test_the_old_key_stops_when_the_overlap_is_over(workbench: Workbench) -> None:
    then = upload_keys(workbench, after=-20 * DAY, key_overlap_days=14)
    then.ensure(workbench.user.email, actor=ACTOR)
    first = shown_url(workbench, after=-20 * DAY)
    assert opens(first)
    then.rotate(workbench.user.email, actor=ACTOR)
    second = shown_url(workbench)

    assert not opens(first)
    assert opens(second)


def test_a_key_that_leaked_is_replaced_at_once(keyed: Workbench) -> None:
    leaked = shown_url(keyed)
    rotation = upload_keys(keyed).rotate(keyed.user.email, actor=ACTOR, at_once=True)

    assert rotation.former == []
    assert not opens(leaked)
    assert opens(shown_url(keyed))


def test_a_revoked_key_opens_nothing_and_is_forgotten(keyed: Workbench) -> None:
    url = shown_url(keyed)
    revocation = upload_keys(keyed).revoke(keyed.user.email, actor=ACTOR)

    assert [key.number for key in revocation.keys] == [1]
    assert revocation.open_until is None
    assert not opens(url)
    assert policies(keyed) == []
    assert keyed.query("select encrypted_sas, revoked_at is null as live from upload_key") == [
        {"encrypted_sas": None, "live": False}
    ]
    assert audited(keyed)[-1] == ("revoked", "key 1")
    with pytest.raises(NoKeyError, match="has no upload key"):
        shown_url(keyed)


def test_what_was_revoked_is_given_back_by_nothing_but_a_rotation(keyed: Workbench) -> None:
    url = shown_url(keyed)
    upload_keys(keyed).revoke(keyed.user.email, actor=ACTOR)

    assert upload_keys(keyed).ensure(keyed.user.email, actor=ACTOR) is None
    assert upload_keys(keyed, after=100 * DAY).maintain(actor=ACTOR).rotated == []
    assert policies(keyed) == []
    upload_keys(keyed).rotate(keyed.user.email, actor=ACTOR)
    assert not opens(url)
    assert opens(shown_url(keyed))


def test_a_sixth_key_ends_the_oldest_because_a_container_has_five_policies(keyed: Workbench) -> None:
    urls = [shown_url(keyed)]
    for _ in range(5):
        upload_keys(keyed).rotate(keyed.user.email, actor=ACTOR)
        urls.append(shown_url(keyed))

    assert len(policies(keyed)) == 5
    assert [opens(url) for url in urls] == [False, True, True, True, True, True]
    assert ("revoked", "key 1") in audited(keyed)


def test_who_is_nobody_or_disabled_gets_no_key(keyed: Workbench) -> None:
    for ask in ("ensure", "rotate", "revoke"):
        with pytest.raises(UnknownUserError, match=r"nobody@example\.org is not registered"):
            getattr(upload_keys(keyed), ask)("nobody@example.org", actor=ACTOR)
    onboarding(keyed).disable(keyed.user.email, actor=ACTOR)
    for ask in ("ensure", "rotate"):
        with pytest.raises(DisabledUserError, match=f"nachet user enable {keyed.user.email}"):
            getattr(upload_keys(keyed), ask)(keyed.user.email, actor=ACTOR)
    with pytest.raises(DisabledUserError):
        shown_url(keyed)


def test_two_rotations_at_the_same_time_are_one_after_the_other(keyed: Workbench) -> None:
    errors: list[Exception] = []

    def rotate() -> None:
        try:
            upload_keys(keyed).rotate(keyed.user.email, actor=ACTOR)
        except Exception as error:  # noqa: BLE001 (told below)
            errors.append(error)

    threads = [Thread(target=rotate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    keys = upload_keys(keyed).of(keyed.user.email)
    assert [key.number for key in keys] == [4, 3, 2, 1]
    assert {policy.id for policy in policies(keyed)} == {str(key.id) for key in keys}


class _Overtaken(BlobStorage):
    """The real storage, where somebody revokes the user's keys when a rotation is about to set its policies."""

    revoking: Thread
    waits: Callable[[], bool]

    def set_policies(self, container: str, policies: Sequence[ContainerPolicy]) -> None:
        self.revoking.start()
        while self.revoking.is_alive() and not self.waits():
            pass
        super().set_policies(container, policies)


def test_a_revocation_that_comes_within_a_rotation_leaves_no_key(keyed: Workbench) -> None:
    first = shown_url(keyed)
    storage = _Overtaken(lambda: keyed.blobs._service, keyed.blobs.account_url, keyed.blob_key)
    storage.revoking = Thread(target=lambda: upload_keys(keyed).revoke(keyed.user.email, actor=ACTOR))
    storage.waits = lambda: bool(keyed.query("select pid from pg_locks where locktype = 'advisory' and not granted"))

    rotation = upload_keys(replace(keyed, blobs=storage)).rotate(keyed.user.email, actor=ACTOR)
    storage.revoking.join()

    assert policies(keyed) == []
    assert not opens(first)
    assert [key.revoked_at is None for key in upload_keys(keyed).of(keyed.user.email)] == [False, False]
    assert audited(keyed)[-2:] == [("revoked", f"key {rotation.new.number}"), ("revoked", "key 1")]


def test_a_delegated_key_is_under_no_policy_and_ends_when_it_was_to_end(keyed: Workbench) -> None:
    keyed.query("update upload_key set kind = 'delegation', expires_at = expires_at - interval '20 days'")
    (delegated,) = upload_keys(keyed).of(keyed.user.email)

    rotation = upload_keys(keyed, key_overlap_days=1).rotate(keyed.user.email, actor=ACTOR)

    assert [policy.id for policy in policies(keyed)] == [str(rotation.new.id)]
    assert [key.expires_at for key in rotation.former] == [delegated.expires_at]
    assert upload_keys(keyed).of(keyed.user.email)[1].expires_at == delegated.expires_at

    revocation = upload_keys(keyed).revoke(keyed.user.email, actor=ACTOR)

    assert policies(keyed) == []
    assert revocation.open_until == delegated.expires_at != rotation.new.expires_at


# Storage and database


class _Deaf(BlobStorage):
    """The real storage, which does not hear of policies."""

    def set_policies(self, container: str, policies: object) -> None:
        raise StorageError("Blob storage at 127.0.0.1: it went away")


def test_a_revocation_that_storage_did_not_hear_of_is_made_good_by_the_schedule(keyed: Workbench) -> None:
    url = shown_url(keyed)
    deaf = _Deaf(lambda: keyed.blobs._service, keyed.blobs.account_url, keyed.blob_key)
    with pytest.raises(StorageError):
        upload_keys(replace(keyed, blobs=deaf)).revoke(keyed.user.email, actor=ACTOR)
    assert opens(url)

    assert upload_keys(keyed).maintain(actor=ACTOR).repaired == [keyed.user.email]
    assert not opens(url)


def test_policies_that_somebody_changed_by_hand_are_those_of_the_database_again(keyed: Workbench) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    before = policies(keyed)
    keyed.blobs.set_policies(
        keyed.user.upload_container, [ContainerPolicy("by-hand", "racwdl", now - DAY, now + 1000 * DAY)]
    )
    assert upload_keys(keyed).maintain(actor=ACTOR).repaired == [keyed.user.email]
    assert policies(keyed) == before
    assert upload_keys(keyed).maintain(actor=ACTOR).repaired == []


def test_one_users_trouble_keeps_the_keys_of_others_from_nothing(keyed: Workbench) -> None:
    other = keyed.another_user(f"a.{keyed.user.email}")
    upload_keys(keyed).ensure(other.user.email, actor=ACTOR)
    keyed.blobs._service.delete_container(other.user.upload_container)

    done = upload_keys(keyed, after=50 * DAY).maintain(actor=ACTOR)

    assert list(done.failed) == [other.user.email]
    assert other.user.upload_container in done.failed[other.user.email]
    assert keyed.user.email in done.rotated


# The schedule


def endings(workbench: Workbench) -> list[tuple[int, int | None]]:
    found = [event.data for event in told(workbench.database, "key.ending")]
    return [(one.key, one.replaced_by) for one in found if isinstance(one, KeyEnding)]


def test_that_a_key_in_use_is_about_to_end_is_told_once_and_what_took_its_place(keyed: Workbench) -> None:
    shown_url(keyed)
    for days in (47, 52):  # it is replaced, and works for another 13 days
        upload_keys(keyed, after=days * DAY).maintain(actor=ACTOR)
    assert endings(keyed) == []

    for days in (54, 55):
        upload_keys(keyed, after=days * DAY).maintain(actor=ACTOR)
    assert endings(keyed) == [(1, 2)]


def test_of_a_key_that_nobody_was_shown_nothing_is_told(keyed: Workbench) -> None:
    upload_keys(keyed, after=47 * DAY).maintain(actor=ACTOR)
    upload_keys(keyed, after=55 * DAY).maintain(actor=ACTOR)
    assert endings(keyed) == []


def test_a_key_that_is_about_to_expire_is_rotated_once_and_overlaps(keyed: Workbench) -> None:
    assert upload_keys(keyed, after=45 * DAY).maintain(actor=ACTOR).rotated == []
    assert upload_keys(keyed, after=47 * DAY).maintain(actor=ACTOR).rotated == [keyed.user.email]
    assert upload_keys(keyed, after=47 * DAY).maintain(actor=ACTOR).rotated == []

    second, first = upload_keys(keyed).of(keyed.user.email)
    assert first.expires_at == first.starts_at + 60 * DAY
    assert second.starts_at < first.expires_at < second.expires_at


def test_a_user_whose_key_expired_while_nothing_ran_gets_another(keyed: Workbench) -> None:
    done = upload_keys(keyed, after=200 * DAY).maintain(actor=ACTOR)
    assert (done.rotated, done.forgotten) == ([keyed.user.email], 1)
    assert len(policies(keyed)) == 1
    assert keyed.query("select number from upload_key where encrypted_sas is not null") == [{"number": 2}]


def test_a_disabled_user_whose_keys_are_left_loses_them_at_night(keyed: Workbench) -> None:
    url = shown_url(keyed)
    keyed.query("update users set disabled_at = now() where id = %s", keyed.user.id)
    assert opens(url)

    assert upload_keys(keyed).maintain(actor=ACTOR).revoked == [keyed.user.email]
    assert not opens(url)
    assert upload_keys(keyed).maintain(actor=ACTOR).revoked == []


# At rest


def test_what_is_stored_is_encrypted_and_differs_each_time(keyed: Workbench) -> None:
    upload_keys(keyed).rotate(keyed.user.email, actor=ACTOR)
    stored = [row["encrypted_sas"] for row in keyed.query("select encrypted_sas from upload_key")]
    assert len(set(stored)) == 2
    assert not any("sig=" in text for text in stored)
    assert all(upload_keys(keyed).box.decrypt(text).get_secret_value().count("sig=") == 1 for text in stored)


def test_new_secret_keys_take_over_without_anybody_noticing(keyed: Workbench) -> None:
    fresh = new_secret_key()
    before = keyed.query("select encrypted_sas from upload_key")

    assert upload_keys(keyed, secret_keys=[fresh, SECRET_KEY]).encrypt_anew() == 1

    assert keyed.query("select encrypted_sas from upload_key") != before
    with pytest.raises(UndecipherableError, match="NACHET_SECRET_KEYS"):
        shown_url(keyed, secret_keys=[SECRET_KEY])
    assert opens(shown_url(keyed, secret_keys=[fresh]))


def test_encrypting_anew_without_the_old_key_changes_nothing(keyed: Workbench) -> None:
    upload_keys(keyed, secret_keys=[new_secret_key(), SECRET_KEY]).rotate(keyed.user.email, actor=ACTOR)
    before = keyed.query("select encrypted_sas from upload_key order by number")
    with pytest.raises(UndecipherableError):
        upload_keys(keyed).encrypt_anew()
    assert keyed.query("select encrypted_sas from upload_key order by number") == before


def test_without_secret_keys_no_key_is_issued_but_all_can_be_revoked(keyed: Workbench) -> None:
    url = shown_url(keyed)
    without = upload_keys(keyed, secret_keys=[])
    for ask in (lambda: without.rotate(keyed.user.email, actor=ACTOR), lambda: without.maintain(actor=ACTOR)):
        with pytest.raises(SettingsError, match="NACHET_SECRET_KEYS: is not set"):
            ask()
    assert opens(url)
    without.revoke(keyed.user.email, actor=ACTOR)
    assert not opens(url)


def test_the_database_refuses_to_keep_a_revoked_key(keyed: Workbench) -> None:
    with (
        psycopg.connect(keyed.database_url.get_secret_value()) as connection,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute("update upload_key set revoked_at = now()")


def test_no_representation_shows_a_key(keyed: Workbench) -> None:
    keys = upload_keys(keyed)
    stored = keys.of(keyed.user.email)
    shown = keys.show(keyed.user.email, to=ACTOR)
    signature = shown.url.get_secret_value().partition("sig=")[2]
    text = f"{shown!r} {shown} {stored!r} {keys!r} {keys.box!r}"
    for secret in (signature, SECRET_KEY.get_secret_value(), stored[0].encrypted_sas or "?"):
        assert secret not in text


def test_an_error_of_a_connection_repeats_no_key(keyed: Workbench) -> None:
    url = shown_url(keyed)
    sas = url.partition("?")[2]
    with (
        BlobStorage.connect_by_sas("http://127.0.0.1:1/devstoreaccount1", SecretStr(sas)) as blobs,
        pytest.raises(StorageError) as error,
    ):
        blobs.upload("upload", "1", b"1", content_type="text/plain")
    assert sas.partition("sig=")[2] not in str(error.value)
