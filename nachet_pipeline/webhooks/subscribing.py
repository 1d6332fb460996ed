"""Subscribing: who is told of which events, as operators decide it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from pydantic import SecretStr

from nachet_pipeline.database import audit
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.users.encryption import SecretBox
from nachet_pipeline.webhooks.address import Address
from nachet_pipeline.webhooks.delivering import open_target
from nachet_pipeline.webhooks.queries import (
    add_webhook,
    pause_webhook,
    remove_webhook,
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
            _record(connection, webhook, "added", by)
        return webhook, secret

    def all(self) -> list[Webhook]:
        """All of them, the oldest first."""
        with self.database.reading() as connection:
            return webhook_states(connection)

    def pause(self, webhook: str, *, by: str) -> tuple[Webhook, int]:
        """Tell a webhook nothing.

        Args:
            webhook: its identifier, or how that begins.
            by: who wants it.

        Returns:
            The webhook as it was, and 0 if nothing changed; as all that follow.

        Raises:
            WebhookError: there is no such webhook, or there are several.
        """
        return self._change(webhook, "paused", by, lambda held, one: pause_webhook(held, one, f"{by} wants it"))

    def resume(self, webhook: str, *, by: str) -> tuple[Webhook, int]:
        """Tell a webhook again, beginning with what it was not told."""
        return self._change(webhook, "resumed", by, lambda held, one: resume_webhook(held, one, datetime.now(UTC)))

    def remove(self, webhook: str, *, by: str) -> tuple[Webhook, int]:
        """Remove a webhook, and what it was still to be told."""
        return self._change(webhook, "removed", by, remove_webhook)

    def retry(self, webhook: str, *, by: str) -> tuple[Webhook, int]:
        """Try again what was given up, and how many events that are."""
        return self._change(webhook, "retried", by, lambda held, one: retry_dead(held, one, datetime.now(UTC)))

    def rotate_secret(
        self, webhook: str, secret: SecretStr | None = None, *, by: str, at_once: bool = False
    ) -> tuple[Webhook, SecretStr]:
        """Sign with another secret; with the former one as well for a day, unless it is to be at once.

        Raises:
            SettingsError: NACHET_SECRET_KEYS is not set.
        """
        secret = secret or new_secret()
        encrypted, until = self.box.encrypt(secret), None if at_once else datetime.now(UTC) + OVERLAP
        change = self._change(
            webhook, "secret rotated", by, lambda held, one: replace_secret(held, one, encrypted, until)
        )
        return change[0], secret

    def _change(
        self, webhook: str, action: str, by: str, change: Callable[[Connection, UUID], int]
    ) -> tuple[Webhook, int]:
        with self.database.connection() as connection:
            found = _one(connection, webhook)
            if changed := change(connection, found.id):
                _record(connection, found, action, by)
            return found, changed

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


def _one(connection: Connection, webhook: str) -> Webhook:
    found = webhook_states(connection, webhook.strip().lower()) if webhook.strip() else []
    if len(found) != 1:
        which = "several webhooks whose id begins so" if found else "no such webhook"
        raise WebhookError(
            f"{webhook.strip()[:80]}: there {'are' if found else 'is'} {which}; see `nachet webhook list`"
        )
    return found[0]


def _record(connection: Connection, webhook: Webhook, action: str, by: str) -> None:
    after = {"place": webhook.place, "types": webhook.types}
    audit.record(connection, actor=by, action=action, subject="webhook", subject_id=webhook.id, after=after)
