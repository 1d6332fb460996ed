"""An upload key, and how it is bound to the storage account."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class KeyKind(StrEnum):
    """How a key is bound to the storage account, and so how it can be revoked.

    POLICY: signed with the account's key, under a stored access policy; without the policy it opens nothing.
    DELEGATION: signed with a user delegation key; it works until it expires, seven days at most.
    """

    POLICY = "policy"
    DELEGATION = "delegation"


@dataclass(frozen=True, slots=True)
class UploadKey:
    """A key to one user's upload container.

    Attributes:
        id: identifier, and name of its stored access policy.
        user: whose it is.
        number: the user's first, second, … key.
        container: the one container that it opens.
        kind: how it is bound to the account.
        permissions: what it allows, in Azure's letters.
        starts_at: from when it works.
        expires_at: until when it works.
        created_at: when it was issued.
        created_by: who had it issued.
        encrypted_sas: the key, encrypted; None: it is not kept any more.
        shown_at: when it was shown, None if it was not.
        shown_to: whom.
        revoked_at: when it was revoked, None if it was not.
    """

    id: UUID
    user: UUID
    number: int
    container: str
    kind: KeyKind
    permissions: str
    starts_at: datetime
    expires_at: datetime
    created_at: datetime
    created_by: str
    encrypted_sas: str | None = field(default=None, repr=False)
    shown_at: datetime | None = None
    shown_to: str | None = None
    revoked_at: datetime | None = None

    def live(self, now: datetime) -> bool:
        """Whether it opens the container."""
        return self.revoked_at is None and self.expires_at > now
