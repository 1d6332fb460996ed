"""Onboarding and disabling users: what the command, the job and the reviewed file of users all call."""

from dataclasses import dataclass

from nachet_pipeline.database.connection import Database
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.users.errors import DisabledUserError
from nachet_pipeline.users.key import UploadKey
from nachet_pipeline.users.queries import find_user
from nachet_pipeline.users.registering import register_user, set_user_disabled, write_template
from nachet_pipeline.users.upload_keys import Revocation, UploadKeys
from nachet_pipeline.users.user import User


@dataclass(frozen=True, slots=True)
class Onboarded:
    """A user who can upload.

    Attributes:
        user: the user.
        new: whether they were not registered before.
        key: their first upload key, if it was issued now.
    """

    user: User
    new: bool
    key: UploadKey | None


@dataclass(frozen=True, slots=True)
class UserState:
    """A user who was disabled or enabled.

    Attributes:
        user: the user.
        changed: whether they were not so before.
        revoked: the keys that they lost, when disabled.
        key: the key that they got, when enabled.
    """

    user: User
    changed: bool
    revoked: Revocation | None = None
    key: UploadKey | None = None


class Onboarding:
    """Users from their registration to their end; every step can be repeated."""

    def __init__(self, database: Database, blobs: BlobStorage, keys: UploadKeys) -> None:
        """Use a database, an account, and the keys to it."""
        self._database = database
        self._blobs = blobs
        self.keys = keys

    def onboard(self, email: str, *, actor: str) -> Onboarded:
        """Register a user, make their containers and default folder, and issue their first key.

        What exists stays as it is, so that another call completes an onboarding that was interrupted.

        Raises:
            ValueError: this is no e-mail address.
            DisabledUserError: the user is registered and disabled.
            SettingsError: NACHET_SECRET_KEYS is not set.
            DatabaseError: the database does not answer.
            StorageError: storage does not answer.
        """
        self.keys.box  # noqa: B018 (a user who could get no key is not half registered)
        known = self._database.call(find_user, email)
        if known and known.disabled_at is not None:
            raise DisabledUserError(
                f"{known.email} is registered, and disabled since {known.disabled_at:%Y-%m-%d};"
                f" `nachet user enable {known.email}` lets them upload again"
            )
        user = register_user(self._database, self._blobs, email, actor=actor)
        write_template(self._blobs, user)
        return Onboarded(user, known is None, self.keys.ensure(user.email, actor=actor))

    def disable(self, email: str, *, actor: str) -> UserState:
        """Disable a user: nothing they stage is imported, and their keys are revoked; nothing of theirs is removed.

        Raises:
            UnknownUserError: there is no such user.
            StorageError: storage does not answer; another call completes it, or the next night.
        """
        user, changed = set_user_disabled(self._database, email, disabled=True, actor=actor)
        return UserState(user, changed, revoked=self.keys.revoke(user.email, actor=actor))

    def enable(self, email: str, *, actor: str) -> UserState:
        """Enable a user again, with a new key; one who is enabled already stays as they are.

        Raises:
            UnknownUserError: there is no such user.
            SettingsError: NACHET_SECRET_KEYS is not set.
            StorageError: storage does not answer.
        """
        self.keys.box  # noqa: B018 (as above)
        user, changed = set_user_disabled(self._database, email, disabled=False, actor=actor)
        key = self.keys.rotate(user.email, actor=actor).new if changed else None
        return UserState(user, changed, key=key)
