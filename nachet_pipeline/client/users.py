"""Users and their upload keys, as a client changes them."""

from collections.abc import Sequence

from nachet_pipeline.client.services import Services
from nachet_pipeline.errors import ActionableError, UsageError
from nachet_pipeline.settings import Notice
from nachet_pipeline.support.i18n import Language
from nachet_pipeline.users.key import UploadKey
from nachet_pipeline.users.lifecycle import Onboarded, Onboarding, UserState
from nachet_pipeline.users.queries import set_notices
from nachet_pipeline.users.registering import known_user
from nachet_pipeline.users.upload_keys import Revocation, Rotation, ShownKey, UploadKeys
from nachet_pipeline.users.user import User


class Users:
    """Users, their containers and their upload keys; every call can be repeated.

    What each raises is said once: `RefusedError` where there is no such user, or a disabled one; `UsageError` where an
    address is none, or NACHET_SECRET_KEYS is not set; `UnavailableError` where a service does not answer.
    """

    def __init__(self, services: Services, by: str) -> None:
        """Use services; `by` is whom the audit trail names."""
        self._services = services
        self._by = by

    def add(self, email: str) -> Onboarded:
        """Register a user, with containers, a first folder and a first key; who is registered stays as they are."""
        try:
            return self._onboarding().onboard(email, actor=self._by)
        except ValueError as error:
            if isinstance(error, ActionableError):
                raise
            raise UsageError(f"{email[:254]}: {error}") from None

    def notify(
        self, email: str, *, language: Language | None = None, notices: Sequence[Notice] | None = None
    ) -> tuple[User, bool]:
        """Set what a user is told by e-mail, and in which language; None leaves it as it is.

        Returns:
            The user, and whether that was a change.
        """
        with self._services.database.connection() as connection:
            user = known_user(connection, email)
            changed = set_notices(connection, user, actor=self._by, language=language, notify=notices)
            return known_user(connection, email), changed

    def disable(self, email: str) -> UserState:
        """Let nothing that a user stages be imported, and revoke their keys; nothing of theirs is removed."""
        return self._onboarding().disable(email, actor=self._by)

    def enable(self, email: str) -> UserState:
        """Let a user who was disabled upload again, with a new key."""
        return self._onboarding().enable(email, actor=self._by)

    def keys(self, email: str) -> list[UploadKey]:
        """What is known of a user's keys, the newest first; none of them is shown."""
        return self._keys().of(email)

    def show_key(self, email: str) -> ShownKey:
        """A user's newest key, once; its `url` is for `Client.from_upload_key`."""
        return self._keys().show(email, to=self._by)

    def rotate_key(self, email: str, *, at_once: bool = False) -> Rotation:
        """Issue a new key; those before it work on for a while, or with `at_once` no longer."""
        return self._keys().rotate(email, actor=self._by, at_once=at_once)

    def revoke_keys(self, email: str) -> Revocation:
        """Let no key of a user's work any more."""
        return self._keys().revoke(email, actor=self._by)

    def _keys(self) -> UploadKeys:
        services = self._services
        return UploadKeys(services.database, services.blobs, services.settings.secret_keys, services.settings.key)

    def _onboarding(self) -> Onboarding:
        return Onboarding(self._services.database, self._services.blobs, self._keys())
