"""Subscribing: who is told of which events, as operators decide it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pydantic import SecretStr

from nachet_pipeline.database import audit
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.users.encryption import SecretBox
from nachet_pipeline.webhooks.address import Address
from nachet_pipeline.webhooks.delivering import open_target
from nachet_pipeline.webhooks.queries import (
    add_webhook,
    encrypted_webhooks,
    pause_webhook,
    remove_webhook,
    replace_encrypted,
    replace_secret,
    resume_webhook,
    retry_dead,
    target_of,
    webhook_states,
)
from nachet_pipeline.webhooks.sending import Answer, Sender
from nachet_pipeline.webhooks.webhook import Webhook, WebhookError, new_secret

OVERLAP = timedelta(hours=24)
"""How long the former secret signs as well."""


@dataclass(frozen=True)
class Webhooks:
    """All webhooks.

    Attributes:
        database: where they are.
        secret_keys: Fernet keys, which encrypt addresses and secrets.
        sender: sends pings, and says whether private addresses are allowed.
        source: names this pipeline in what is sent.
    """

    database: Database
    secret_keys: Sequence[SecretStr]
    sender: Sender
    source: str

    @property
    def box(self) -> SecretBox:
        """Encrypts and decrypts.

        Raises:
            SettingsError: NACHET_SECRET_KEYS is not set.
        """
        return SecretBox(self.secret_keys)

    def add(
        self,
        url: SecretStr,
        types: Sequence[str],
        secret: SecretStr | None = None,
        *,
        by: str,
        from_beginning: bool = False,
    ) -> tuple[Webhook, SecretStr]:
        """Add a webhook.

        Args:
            url: its address, checked now and before each message.
            types: of events.
            secret: what signs; a new one if not given.
            by: who wants it.
            from_beginning: whether it is told all events that are kept, not those from now on alone.

        Returns:
            The webhook and its secret.

        Raises:
            WebhookError: it may not lead there.
            SettingsError: NACHET_SECRET_KEYS is not set.
        """
        address, box, secret = Address.of(url, private=self.sender.private), self.box, secret or new_secret()
        address.resolve(private=self.sender.private, seconds=self.sender.seconds)
        with self.database.connection() as connection:
            identifier, kept = uuid4(), {"url": box.encrypt(url), "secret": box.encrypt(secret)}
            add_webhook(connection, identifier, address.place, types, **kept, by=by, from_beginning=from_beginning)
            webhook = _one(connection, str(identifier))
            _record(connection, webhook, "added", by, types=list(types))
        return webhook, secret

    def all(self) -> list[Webhook]:
        """All of them, the oldest first."""
        with self.database.reading() as connection:
            return webhook_states(connection)

    def pause(self, webhook: str, *, by: str) -> tuple[Webhook, bool]:
        """Tell a webhook nothing, and whether that is new; as all that follow, of one, named by how its id begins.

        Raises:
            WebhookError: there is no such webhook, or there are several.
        """
        with self.database.connection() as connection:
            found = _one(connection, webhook)
            changed = pause_webhook(connection, found.id, f"{by} wants it")
            if changed:
                _record(connection, found, "paused", by)
            return found, changed

    def resume(self, webhook: str, *, by: str) -> tuple[Webhook, bool]:
        """Tell a webhook again what it was not told since, and whether it was paused."""
        with self.database.connection() as connection:
            found = _one(connection, webhook)
            changed = resume_webhook(connection, found.id, datetime.now(UTC))
            if changed:
                _record(connection, found, "resumed", by)
            return found, changed

    def remove(self, webhook: str, *, by: str) -> Webhook:
        """Remove a webhook, and what it was still to be told."""
        with self.database.connection() as connection:
            found = _one(connection, webhook)
            remove_webhook(connection, found.id)
            _record(connection, found, "removed", by)
            return found

    def retry(self, webhook: str, *, by: str) -> tuple[Webhook, int]:
        """Try again what was given up, and how many events that are."""
        with self.database.connection() as connection:
            found = _one(connection, webhook)
            number = retry_dead(connection, found.id, datetime.now(UTC))
            if number:
                _record(connection, found, "retried", by, events=number)
            return found, number

    def rotate_secret(
        self, webhook: str, secret: SecretStr | None = None, *, by: str, at_once: bool = False
    ) -> tuple[Webhook, SecretStr]:
        """Sign with another secret; with the former one as well for a day, unless it is to be at once.

        Raises:
            SettingsError: NACHET_SECRET_KEYS is not set.
        """
        secret = secret or new_secret()
        until = None if at_once else datetime.now(UTC) + OVERLAP
        with self.database.connection() as connection:
            found = _one(connection, webhook)
            replace_secret(connection, found.id, self.box.encrypt(secret), until)
            _record(connection, found, "secret rotated", by)
            return found, secret

    def ping(self, webhook: str) -> tuple[Webhook, Answer]:
        """Send a test event `nachet.ping` now, whether the webhook is paused or not; nothing is recorded.

        Raises:
            SettingsError: NACHET_SECRET_KEYS is not set, or decrypts nothing.
        """
        now, identifier = datetime.now(UTC), str(uuid4())
        with self.database.connection() as connection:
            found = _one(connection, webhook)
            url, secrets = open_target(self.box, target_of(connection, found.id, now))
        event = {
            "specversion": "1.0",
            "id": identifier,
            "source": self.source,
            "type": "nachet.ping",
            "subject": str(found.id),
            "time": now.isoformat(),
            "datacontenttype": "application/json",
            "data": {},
        }
        return found, self.sender.send(url, secrets, identifier, json.dumps(event).encode())


def encrypt_anew(connection: Connection, box: SecretBox) -> int:
    """Encrypt all addresses and secrets with the first of the box's keys; of how many webhooks.

    Raises:
        UndecipherableError: something is encrypted with none of them.
    """
    stored = encrypted_webhooks(connection)
    for identifier, *encrypted in stored:
        replace_encrypted(connection, identifier, [one and box.encrypt_anew(one) for one in encrypted])
    return len(stored)


def _one(connection: Connection, webhook: str) -> Webhook:
    found = webhook_states(connection, webhook.strip().lower()) if webhook.strip() else []
    if len(found) != 1:
        which = "several webhooks whose id begins so" if found else "no such webhook"
        raise WebhookError(
            f"{webhook.strip()[:80]}: there {'are' if found else 'is'} {which}; see `nachet webhook list`"
        )
    return found[0]


def _record(connection: Connection, webhook: Webhook, action: str, by: str, **more: object) -> None:
    audit.record(
        connection,
        actor=by,
        action=action,
        subject="webhook",
        subject_id=webhook.id,
        after={"place": webhook.place, **more},
    )
