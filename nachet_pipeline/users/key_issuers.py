"""How upload keys are bound to the storage account: under stored access policies, or by user delegation."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from pydantic import SecretStr

from nachet_pipeline.storage.blobs import BlobStorage, ContainerPolicy
from nachet_pipeline.users.key import KeyKind, UploadKey

UPLOAD_PERMISSIONS = "rcwl"
"""Read, create, write, list: what Storage Explorer, azcopy and `nachet stage` need to put a folder and to read the
receipt beside it. No delete, append, tags or anything else, which putting a folder does not need."""

POLICIES_PER_CONTAINER = 5
"""Stored access policies that Azure keeps of a container, at most."""


class KeyIssuer(Protocol):
    """Signs keys to containers, and lets keys open them or not.

    Attributes:
        kind: how its keys are bound to the account.
        longest: how long a key can be valid at most.
        at_a_time: how many keys of a container can be valid at the same time; None: any number.
    """

    kind: KeyKind
    longest: timedelta
    at_a_time: int | None

    def sign(self, key: UploadKey) -> SecretStr:
        """The SAS of a key: what follows the `?` in its address."""

    def apply(self, container: str, live: Sequence[UploadKey]) -> bool:
        """Make exactly these keys of a container work, as far as that is possible.

        Returns:
            Whether something had to be changed.
        """


class PolicyKeys:
    """Keys under stored access policies: what a key may do, and until when, can be changed after it was issued."""

    kind: KeyKind = KeyKind.POLICY
    longest = timedelta(days=90)
    at_a_time: int | None = POLICIES_PER_CONTAINER

    def __init__(self, blobs: BlobStorage) -> None:
        self._blobs = blobs

    def sign(self, key: UploadKey) -> SecretStr:
        """See `KeyIssuer.sign`."""
        return self._blobs.sign_under_policy(key.container, str(key.id))

    def apply(self, container: str, live: Sequence[UploadKey]) -> bool:
        """Replace the container's policies, if they are not those of the keys; whatever else was there goes.

        Raises:
            StorageError: the container does not exist, or storage does not answer.
        """
        wanted = sorted(
            (ContainerPolicy(str(key.id), key.permissions, key.starts_at, key.expires_at) for key in live),
            key=lambda policy: policy.id,
        )
        if self._blobs.policies(container) == wanted:
            return False
        self._blobs.set_policies(container, wanted)
        return True


class DelegatedKeys:
    """Keys signed with a user delegation key, where the account forbids its own: they work until they expire.

    Azure gives such keys seven days at most and knows no policies for them. Before that, only revoking all of the
    account's user delegation keys ends one (`az storage account revoke-delegation-keys`), and all others with it.
    """

    kind: KeyKind = KeyKind.DELEGATION
    longest = timedelta(days=7)
    at_a_time: int | None = None

    def __init__(self, blobs: BlobStorage) -> None:
        self._blobs = blobs

    def sign(self, key: UploadKey) -> SecretStr:
        """See `KeyIssuer.sign`.

        Raises:
            StorageError: the identity may not sign, or storage does not answer.
        """
        return self._blobs.sign_delegated(key.container, key.permissions, key.starts_at, key.expires_at)

    def apply(self, container: str, live: Sequence[UploadKey]) -> bool:
        """Nothing can be changed about a key that is signed."""
        return False


def key_issuer(blobs: BlobStorage) -> KeyIssuer:
    """Keys under stored access policies, or delegated ones where the account's key is not given."""
    return PolicyKeys(blobs) if blobs.signs_with_account_key else DelegatedKeys(blobs)
