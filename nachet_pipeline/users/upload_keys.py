"""Upload keys: issued, shown once, rotated with an overlap, revoked, and kept in step with storage.

A decision is written to the database first. Then the container's stored access policies are made to follow its rows as
a whole, so that the next call or the next night completes a revocation that did not reach storage; none is ever undone.
Whoever changes a user's keys holds that user's lock meanwhile.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from nachet_pipeline.database import audit
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.events.event import EventType, KeyEnding
from nachet_pipeline.events.queries import record_event
from nachet_pipeline.identifiers import key_ending_id, upload_key_id
from nachet_pipeline.settings import KeySettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.users.encryption import SecretBox
from nachet_pipeline.users.errors import DisabledUserError, NoKeyError
from nachet_pipeline.users.key import KeyKind, UploadKey
from nachet_pipeline.users.key_issuers import UPLOAD_PERMISSIONS, KeyIssuer, key_issuer
from nachet_pipeline.users.key_queries import (
    add_key,
    encrypted_keys,
    end_key_at,
    forget_expired,
    mark_shown,
    replace_encrypted,
    revoke_keys,
    upload_keys_of,
    user_lock,
)
from nachet_pipeline.users.queries import all_users
from nachet_pipeline.users.registering import known_user
from nachet_pipeline.users.user import User

log = logging.getLogger(__name__)

_CLOCK_SKEW = timedelta(minutes=5)
_SOON = timedelta(days=7)
"""A key that ends in this time, or in the last quarter of its life if that is shorter, is about to end."""


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key in the open.

    Attributes:
        user: whose it is.
        key: what is known of it.
        url: address of the upload container with the key in it.
    """

    user: User
    key: UploadKey
    url: SecretStr


@dataclass(frozen=True, slots=True)
class Rotation:
    """A key in the place of others.

    Attributes:
        new: the new key.
        former: the keys that worked before, with the times until which they do.
    """

    new: UploadKey
    former: list[UploadKey]


@dataclass(frozen=True, slots=True)
class Revocation:
    """Keys that were revoked.

    Attributes:
        keys: those keys.
        open_until: until when one of them still opens its container, because it is a delegated one; None: none does.
    """

    keys: list[UploadKey]
    open_until: datetime | None


@dataclass(slots=True)
class Maintenance:
    """The result of maintaining all keys.

    Attributes:
        rotated: e-mail addresses of users who got a new key.
        revoked: of disabled users whose keys were revoked.
        repaired: of users whose container had other policies than its keys say.
        forgotten: expired keys that are not kept any more.
        failed: why a user's keys could not be kept, by e-mail address.
    """

    rotated: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    forgotten: int = 0
    failed: dict[str, str] = field(default_factory=dict)


class UploadKeys:
    """The upload keys of all users."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStorage,
        secret_keys: Sequence[SecretStr],
        settings: KeySettings,
        now: datetime | None = None,
    ) -> None:
        """Use a database and an account.

        Args:
            database: where keys are kept, encrypted.
            blobs: the account whose containers they open; it decides of what kind they are.
            secret_keys: Fernet keys; without one, keys can only be revoked.
            settings: lifetime, overlap, and how long before its end a key is rotated.
            now: the time, if it is not to be the present.
        """
        self._database = database
        self._blobs = blobs
        self._issuer: KeyIssuer = key_issuer(blobs)
        self._secret_keys = tuple(secret_keys)
        self._settings = settings
        self._fixed_now = now

    @property
    def box(self) -> SecretBox:
        """Encrypts and decrypts keys.

        Raises:
            SettingsError: NACHET_SECRET_KEYS is not set.
        """
        return SecretBox(self._secret_keys)

    def of(self, email: str) -> list[UploadKey]:
        """All keys that a user ever had, the newest first.

        Raises:
            UnknownUserError: there is no such user.
        """
        with self._database.connection() as connection:
            return upload_keys_of(connection, known_user(connection, email).id)

    def ensure(self, email: str, *, actor: str) -> UploadKey | None:
        """Give a user their first key; who ever had one keeps what they have, and what was revoked stays so.

        Returns:
            The key if it is new.

        Raises:
            UnknownUserError: there is no such user.
            DisabledUserError: the user is disabled.
            SettingsError: NACHET_SECRET_KEYS is not set.
            StorageError: storage does not answer; another call completes it.
        """
        with self._held(email) as (connection, user):
            _require_enabled(user)
            known = upload_keys_of(connection, user.id)
            issued = None if known else self._issue(connection, user, known, actor)
            connection.commit()
            self._apply(connection, user)
            return issued

    def show(self, email: str, *, to: str) -> ShownKey:
        """The user's newest key, once.

        Args:
            email: whose key.
            to: who asks, for the audit trail.

        Raises:
            UnknownUserError: there is no such user.
            DisabledUserError: the user is disabled.
            NoKeyError: there is none, or it was shown already.
            SettingsError: NACHET_SECRET_KEYS is not set, or decrypts nothing.
            StorageError: storage does not answer.
        """
        with self._held(email) as (connection, user):
            _require_enabled(user)
            key = next((key for key in upload_keys_of(connection, user.id) if key.live(self._now())), None)
            if key is None or key.encrypted_sas is None:
                raise NoKeyError(f"{user.email} has no upload key; `nachet user key rotate {user.email}` issues one")
            if key.shown_at is not None:
                raise NoKeyError(
                    f"the upload key of {user.email} was shown on {key.shown_at:%Y-%m-%d %H:%M} UTC to {key.shown_to},"
                    f" and is shown once; `nachet user key rotate {user.email}` issues a new one"
                )
            sas = self.box.decrypt(key.encrypted_sas)
            self._apply(connection, user)
            mark_shown(connection, key.id, to)
            self._audit(connection, user, key, "shown", to)
            connection.commit()
            url = SecretStr(f"{self._blobs.account_url}/{key.container}?{sas.get_secret_value()}")
            return ShownKey(user, key, url)

    def rotate(self, email: str, *, actor: str, at_once: bool = False) -> Rotation:
        """Issue a new key; those before it work on for the overlap, or not at all if it is to be at once.

        Raises:
            UnknownUserError: there is no such user.
            DisabledUserError: the user is disabled.
            SettingsError: NACHET_SECRET_KEYS is not set.
            StorageError: storage does not answer; another call completes it.
        """
        with self._held(email) as (connection, user):
            _require_enabled(user)
            return self._rotate(connection, user, actor, at_once=at_once)

    def revoke(self, email: str, *, actor: str) -> Revocation:
        """Revoke all keys of a user, and forget them.

        Raises:
            UnknownUserError: there is no such user.
            StorageError: storage does not answer; another call completes it.
        """
        with self._held(email) as (connection, user):
            return self._revoke_all(connection, user, actor)

    def maintain(self, *, actor: str) -> Maintenance:
        """Rotate what is about to expire, revoke what disabled users have, and let storage follow the database.

        Raises:
            SettingsError: NACHET_SECRET_KEYS is not set.
            DatabaseError: the database does not answer.
        """
        self.box  # noqa: B018 (refused before anything is done, not at the first user who needs it)
        done = Maintenance()
        with self._database.connection() as connection:
            done.forgotten = forget_expired(connection, self._now())
            users = all_users(connection)
        for user in users:
            try:
                self._maintain(user.email, actor, done)
            except StorageError as error:
                log.warning("the keys of %s could not be kept: %s", user.email, error)
                done.failed[user.email] = str(error)
        return done

    def encrypt_anew(self) -> int:
        """Encrypt all that is stored with the first of the secret keys, in one transaction.

        Returns:
            How many keys were encrypted anew.

        Raises:
            SettingsError: NACHET_SECRET_KEYS is not set, or something is encrypted with none of them.
        """
        box = self.box
        with self._database.connection() as connection:
            stored = encrypted_keys(connection)
            for identifier, encrypted in stored:
                replace_encrypted(connection, identifier, box.encrypt_anew(encrypted))
        return len(stored)

    def _now(self) -> datetime:
        # Whole seconds, which is what stored access policies keep.
        return (self._fixed_now or datetime.now(UTC)).replace(microsecond=0)

    @property
    def _lifetime(self) -> timedelta:
        return min(timedelta(days=self._settings.key_days), self._issuer.longest)

    @contextmanager
    def _held(self, email: str) -> Iterator[tuple[Connection, User]]:
        """A user whose keys nobody else changes meanwhile."""
        with self._database.connection() as connection:
            identifier = known_user(connection, email).id
            with user_lock(connection, identifier):
                yield connection, known_user(connection, email)

    def _maintain(self, email: str, actor: str, done: Maintenance) -> None:
        with self._held(email) as (connection, user):
            keys, now = upload_keys_of(connection, user.id), self._now()
            if not keys:
                return
            if user.disabled_at is not None:
                if any(key.live(now) for key in keys):
                    self._revoke_all(connection, user, actor)
                    done.revoked.append(user.email)
            elif self._is_due(keys[0], now):
                self._rotate(connection, user, actor, at_once=False)
                done.rotated.append(user.email)
            if self._apply(connection, user):
                done.repaired.append(user.email)
            self._record_ending(connection, user)

    def _record_ending(self, connection: Connection, user: User) -> None:
        """Record events for the keys that a user was shown and that end soon, each key once."""
        now = self._now()
        live = [key for key in upload_keys_of(connection, user.id) if key.live(now)]
        for key in live:
            soon = min(_SOON, (key.expires_at - key.starts_at) / 4)
            if user.disabled_at is None and key.shown_at is not None and key.expires_at - now <= soon:
                newer = live[0].number if live[0].number > key.number else None
                record_event(
                    connection,
                    EventType.KEY_ENDING,
                    str(user.id),
                    KeyEnding(user=user.email, key=key.number, ends=key.expires_at, replaced_by=newer),
                    owner=user.id,
                    identifier=key_ending_id(key.id, key.expires_at.isoformat()),
                )
        connection.commit()

    def _is_due(self, newest: UploadKey, now: datetime) -> bool:
        """Whether a user needs another key; who has none because it was revoked gets none unasked."""
        before = min(timedelta(days=self._settings.key_rotate_before_days), self._lifetime / 2)
        return newest.revoked_at is None and newest.expires_at <= now + before

    def _rotate(self, connection: Connection, user: User, actor: str, *, at_once: bool) -> Rotation:
        known, now = upload_keys_of(connection, user.id), self._now()
        former = [key for key in known if key.live(now)]
        new = self._issue(connection, user, known, actor)
        room = (self._issuer.at_a_time or len(former) + 1) - 1
        dropped = former if at_once else former[room:]
        self._revoke(connection, user, dropped, actor)
        kept = [self._shorten(connection, user, key, new, actor) for key in former if key not in dropped]
        connection.commit()
        self._apply(connection, user)
        return Rotation(new, kept)

    def _issue(self, connection: Connection, user: User, known: list[UploadKey], actor: str) -> UploadKey:
        box, now = self.box, self._now()
        number = known[0].number + 1 if known else 1
        starts = now - _CLOCK_SKEW
        key = UploadKey(
            id=upload_key_id(user.id, number),
            user=user.id,
            number=number,
            container=user.upload_container,
            kind=self._issuer.kind,
            permissions=UPLOAD_PERMISSIONS,
            starts_at=starts,
            expires_at=starts + self._lifetime,
            created_at=now,
            created_by=actor,
        )
        key = replace(key, encrypted_sas=box.encrypt(self._issuer.sign(key)))
        add_key(connection, key)
        self._audit(connection, user, key, "issued", actor)
        return key

    def _shorten(self, connection: Connection, user: User, key: UploadKey, new: UploadKey, actor: str) -> UploadKey:
        """Make a replaced key expire after the overlap; a delegated one keeps its end."""
        end = min(key.expires_at, self._now() + timedelta(days=self._settings.key_overlap_days))
        shortened = key if key.kind is KeyKind.DELEGATION else replace(key, expires_at=end)
        end_key_at(connection, key.id, shortened.expires_at)
        self._audit(connection, user, shortened, "rotated", actor, before=_audited(user, key), replaced_by=str(new.id))
        return shortened

    def _revoke_all(self, connection: Connection, user: User, actor: str) -> Revocation:
        now = self._now()
        live = [key for key in upload_keys_of(connection, user.id) if key.live(now)]
        self._revoke(connection, user, live, actor)
        connection.commit()
        self._apply(connection, user)
        delegated = [key.expires_at for key in live if key.kind is KeyKind.DELEGATION]
        return Revocation(live, max(delegated, default=None))

    def _revoke(self, connection: Connection, user: User, keys: list[UploadKey], actor: str) -> None:
        revoke_keys(connection, [key.id for key in keys])
        for key in keys:
            self._audit(connection, user, key, "revoked", actor)

    def _apply(self, connection: Connection, user: User) -> bool:
        """Make those keys work that are live by the database, and no others."""
        now, known = self._now(), upload_keys_of(connection, user.id)
        if not known:
            return False
        live = [key for key in known if key.live(now) and key.kind is self._issuer.kind]
        return self._issuer.apply(user.upload_container, live)

    def _audit(
        self,
        connection: Connection,
        user: User,
        key: UploadKey,
        action: str,
        actor: str,
        before: dict[str, Any] | None = None,
        **more: str,
    ) -> None:
        audit.record(
            connection,
            actor=actor,
            action=action,
            subject="upload key",
            subject_id=key.id,
            before=before,
            after={**_audited(user, key), **more},
        )


def _audited(user: User, key: UploadKey) -> dict[str, Any]:
    """A key as the audit trail records it; nothing that opens anything."""
    return {
        "user": user.email,
        "number": key.number,
        "container": key.container,
        "kind": key.kind.value,
        "permissions": key.permissions,
        "expires_at": key.expires_at.isoformat(),
    }


def _require_enabled(user: User) -> None:
    if user.disabled_at is not None:
        raise DisabledUserError(
            f"{user.email} is disabled since {user.disabled_at:%Y-%m-%d}; `nachet user enable {user.email}`"
        )
