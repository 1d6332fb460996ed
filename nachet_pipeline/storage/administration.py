"""Containers, their access policies, and keys that open them.

Microsoft's SDK does this: it is asked for seldom, and it knows the forms of policies and signatures.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import SecretStr

from nachet_pipeline.storage.account import Account, StorageError
from nachet_pipeline.support.lazy_import import LazyModule

if TYPE_CHECKING:
    from nachet_pipeline.storage import clients
else:
    clients = LazyModule("nachet_pipeline.storage.clients")


@dataclass(frozen=True, slots=True)
class ContainerPolicy:
    """A stored access policy of a container: what keys that name it may do, and from when until when.

    Attributes:
        id: its name.
        permissions: in Azure's letters and order.
        starts_at: from when; the service keeps whole seconds.
        expires_at: until when; likewise.
    """

    id: str
    permissions: str
    starts_at: datetime
    expires_at: datetime


def _moment(value: datetime | str) -> datetime:
    """A time from the service, which gives seven digits after the second: with six at most."""
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*", r"\1", value))


class Administration(Account):
    """Creates containers, sets their policies, and signs keys to them."""

    def ensure_container(self, container: str) -> None:
        """Create a container if it does not exist."""
        with self._speaking(f"creating container {container}"):
            try:
                self._service.create_container(container)
            except clients.ResourceExistsError:
                return

    def container_exists(self, container: str) -> bool:
        """Whether there is a container of this name."""
        with self._speaking(f"looking for container {container}"):
            return bool(self._service.get_container_client(container).exists())

    @property
    def signs_with_account_key(self) -> bool:
        """Whether keys to containers can be signed with the account's key; else by a user delegation key."""
        return self._key is not None

    def policies(self, container: str) -> list[ContainerPolicy]:
        """The stored access policies of a container, by name; those that are not complete are left out."""
        with self._speaking(f"reading the policies of {container}"):
            found = self._service.get_container_client(container).get_container_access_policy()["signed_identifiers"]
        policies = []
        for identifier in found or ():
            policy = identifier.access_policy
            if policy and policy.permission and policy.start and policy.expiry:
                starts, expires = _moment(policy.start), _moment(policy.expiry)
                policies.append(ContainerPolicy(str(identifier.id), str(policy.permission), starts, expires))
        return sorted(policies, key=lambda one: one.id)

    def set_policies(self, container: str, policies: Sequence[ContainerPolicy]) -> None:
        """Replace a container's stored access policies, and take public access away.

        On Azure it takes up to 30 seconds until a new one is known everywhere.

        Raises:
            StorageError: there are more than five, or the service does not answer.
        """
        identifiers = {
            one.id: clients.AccessPolicy(permission=one.permissions, expiry=one.expires_at, start=one.starts_at)
            for one in policies
        }
        with self._speaking(f"setting the policies of {container}"):
            try:
                self._service.get_container_client(container).set_container_access_policy(identifiers)
            except ValueError as error:
                raise StorageError(f"{container}: {error}") from error

    def sign_under_policy(self, container: str, policy: str) -> SecretStr:
        """A SAS of a container that allows what its stored access policy says at the time.

        Raises:
            ValueError: there is no account key to sign it with.
        """
        return SecretStr(self._sign_by_key(container, policy_id=policy, protocol=self._protocol))

    def sign_delegated(self, container: str, permissions: str, starts: datetime, expires: datetime) -> SecretStr:
        """A SAS of a container that is signed with a user delegation key of the identity of this machine or person.

        Raises:
            StorageError: the identity may not ask for such a key, or the times are more than seven days apart.
        """
        with self._speaking(f"asking for a key to {container}"):
            key = self._service.get_user_delegation_key(starts, expires)
        return SecretStr(
            self._sign_by_delegation(container, key, permissions, starts, expires, protocol=self._protocol)
        )

    @property
    def _protocol(self) -> str | None:
        """The protocol that a SAS is limited to: https, unless an emulator is reached without."""
        return "https" if self.account_url.startswith("https://") else None
