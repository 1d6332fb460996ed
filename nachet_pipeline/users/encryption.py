"""Secrets at rest: encrypted with the Fernet keys of `NACHET_SECRET_KEYS`, the first of which encrypts."""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from nachet_pipeline.settings import SettingsError


class UndecipherableError(SettingsError):
    """Something was encrypted with a key that the settings do not name, or was damaged."""


class SecretBox:
    """Encrypts and decrypts secrets; it shows neither them nor its keys."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        """Use keys.

        Args:
            keys: Fernet keys; the first encrypts, all decrypt.

        Raises:
            SettingsError: there is none.
        """
        if not keys:
            raise SettingsError(
                "NACHET_SECRET_KEYS: is not set, and upload keys are only kept encrypted;"
                " `nachet secrets generate` prints a key for it"
            )
        self._fernet = MultiFernet([Fernet(key.get_secret_value()) for key in keys])

    def encrypt(self, secret: SecretStr) -> str:
        """Encrypt a secret with the first key; the result differs each time."""
        return self._fernet.encrypt(secret.get_secret_value().encode()).decode()

    def decrypt(self, stored: str) -> SecretStr:
        """Decrypt a secret with whichever of the keys fits.

        Raises:
            UndecipherableError: with none of them.
        """
        try:
            return SecretStr(self._fernet.decrypt(stored.encode()).decode())
        except InvalidToken:
            raise _undecipherable() from None

    def encrypt_anew(self, stored: str) -> str:
        """Encrypt a stored secret with the first of the keys, whichever encrypted it before.

        Raises:
            UndecipherableError: it is encrypted with none of them.
        """
        try:
            return self._fernet.rotate(stored.encode()).decode()
        except InvalidToken:
            raise _undecipherable() from None


def _undecipherable() -> UndecipherableError:
    return UndecipherableError(
        "NACHET_SECRET_KEYS: none of its keys decrypts what is stored; add the one that encrypted it,"
        " or give users new upload keys with `nachet user key rotate`"
    )


def new_secret_key() -> SecretStr:
    """A Fernet key that nobody else has."""
    return SecretStr(Fernet.generate_key().decode())
