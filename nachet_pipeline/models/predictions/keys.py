"""Keys to the containers of predictions: like upload keys, but shown when they are issued and kept nowhere.

The container's stored access policies are all there is of them. So nothing is encrypted, and nothing can leak but what
somebody was shown.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pydantic import SecretStr

from nachet_pipeline.database import audit
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.database.locks import session_lock
from nachet_pipeline.identifiers import model_id, predictions_container
from nachet_pipeline.models.queries import model_versions
from nachet_pipeline.settings import KeySettings
from nachet_pipeline.storage.blobs import BlobStorage, ContainerPolicy
from nachet_pipeline.users.key_issuers import POLICIES_PER_CONTAINER, UPLOAD_PERMISSIONS, DelegatedKeys

_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key to a model's container of predictions, in the open.

    Attributes:
        model: the model.
        container: the one container that it opens.
        url: its address with the key in it.
        expires_at: until when it works.
        former_until: until when those before it work; None: there are none, or none works any more.
    """

    model: str
    container: str
    url: SecretStr
    expires_at: datetime
    former_until: datetime | None


@dataclass(frozen=True, slots=True)
class PredictionKeys:
    """The keys to the containers of predictions.

    Attributes:
        database: where models are, and the trail.
        blobs: the account.
        settings: how long keys live, and how long the former ones live on.
    """

    database: Database
    blobs: BlobStorage
    settings: KeySettings

    def issue(self, model: str, *, actor: str, at_once: bool = False) -> IssuedKey:
        """Issue a key; those before it work on for the overlap, or no longer if it is to be at once.

        Raises:
            UnknownModelError: there is no such model.
            StorageError: storage does not answer.
        """
        container, now = predictions_container(model), datetime.now(UTC).replace(microsecond=0)
        with self.database.connection() as connection:
            model_versions(connection, model)
            with session_lock(connection, container, seed=22):
                self.blobs.ensure_container(container)
                issued = self._issue(model, container, now, at_once=at_once)
                self._audit(connection, model, "issued", actor, issued.expires_at)
                connection.commit()
        return issued

    def revoke(self, model: str, *, actor: str) -> int:
        """Let no key to a model's container work any more. Delegated ones work until they expire.

        Returns:
            How many worked.

        Raises:
            UnknownModelError: there is no such model.
            StorageError: storage does not answer.
        """
        container = predictions_container(model)
        with self.database.connection() as connection:
            model_versions(connection, model)
            with session_lock(connection, container, seed=22):
                found = len(self.blobs.policies(container)) if self.blobs.container_exists(container) else 0
                if found:
                    self.blobs.set_policies(container, [])
                    self._audit(connection, model, "revoked", actor, None)
                    connection.commit()
        return found

    def _issue(self, model: str, container: str, now: datetime, *, at_once: bool) -> IssuedKey:
        starts, expires = now - _CLOCK_SKEW, now + timedelta(days=self.settings.key_days)
        if not self.blobs.signs_with_account_key:
            expires = min(expires, starts + DelegatedKeys.longest)
            sas = self.blobs.sign_delegated(container, UPLOAD_PERMISSIONS, starts, expires)
            return IssuedKey(model, container, self._address(container, sas), expires, None)
        end = now + timedelta(days=self.settings.key_overlap_days)
        former = [one for one in self.blobs.policies(container) if one.expires_at > now and not at_once]
        kept = [replace(one, expires_at=min(one.expires_at, end)) for one in former]
        kept = sorted(kept, key=lambda one: one.starts_at)[1 - POLICIES_PER_CONTAINER :]
        new = ContainerPolicy(str(uuid4()), UPLOAD_PERMISSIONS, starts, expires)
        self.blobs.set_policies(container, [*kept, new])
        sas = self.blobs.sign_under_policy(container, new.id)
        until = max((one.expires_at for one in kept), default=None)
        return IssuedKey(model, container, self._address(container, sas), expires, until)

    def _address(self, container: str, sas: SecretStr) -> SecretStr:
        return SecretStr(f"{self.blobs.account_url}/{container}?{sas.get_secret_value()}")

    def _audit(self, connection: Connection, model: str, action: str, actor: str, expires_at: datetime | None) -> None:
        audit.record(
            connection,
            actor=actor,
            action=action,
            subject="model key",
            subject_id=model_id(model),
            after={"model": model, "expires_at": expires_at.isoformat() if expires_at else None},
        )
