"""A webhook: who is told of which events, and the secret that signs what it is told."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import SecretStr

from nachet_pipeline.errors import UsageError
from nachet_pipeline.events.event import EventType

GONE = "its receiver answered 410 Gone"
"""Why a webhook is paused that nobody paused."""
_PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64


class WebhookError(UsageError):
    """A webhook that cannot be; the message is one line that says why, without its secret and its address."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told of events.

    Attributes:
        id: its identifier.
        place: its address without path and query.
        types: types of events, families of them such as `upload.*`, or `*`.
        created_at: since when.
        created_by: who wanted it.
        paused_at: since when it is told nothing; None: it is told.
        paused_because: why it is paused.
        failing_since: since when it does not answer; None: it does.
        last_error: why the last attempt failed, if it did.
        waiting: events that it is still to be told.
        dead: events that it could not be told.
        oldest: since when the first of those that wait does, or of those that nobody looked at yet, whether it is to be
            told them or not; None: there are none.
    """

    id: UUID
    place: str
    types: list[str]
    created_at: datetime
    created_by: str
    paused_at: datetime | None
    paused_because: str | None
    failing_since: datetime | None
    last_error: str | None
    waiting: int
    dead: int
    oldest: datetime | None

    @property
    def state(self) -> str:
        """`paused`, `failing` or `active`."""
        return "paused" if self.paused_at else "failing" if self.failing_since else "active"

    @property
    def name(self) -> str:
        """Host and beginning of the identifier, for messages."""
        return f"{urlsplit(self.place).netloc} ({str(self.id)[:8]})"

    @property
    def gone(self) -> bool:
        """Whether its receiver wants nothing any more, so that nobody else may know."""
        return self.paused_because == GONE


def event_types(text: str) -> list[str]:
    """The types of events that a list separated by commas names; families such as `upload.*`, and `*`, are types.

    Raises:
        WebhookError: there is no such type; the message lists them.
    """
    families = {f"{kind.partition('.')[0]}.*" for kind in EventType}
    known = {"*", *families, *EventType}
    found = list(dict.fromkeys(one.strip().removeprefix("nachet.") for one in text.split(",") if one.strip()))
    wrong = [one for one in found if one not in known]
    if wrong or not found:
        listed = ", ".join([*(kind.value for kind in EventType), *sorted(families), "*"])
        raise WebhookError(f"--events: expected some of {listed}; found {wrong[0] if wrong else 'none'!r}")
    return found


def new_secret() -> SecretStr:
    """A secret that nobody else has."""
    return SecretStr(_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode())


def given_secret(text: str) -> SecretStr:
    """A secret that somebody else made.

    Raises:
        WebhookError: it is not in the form of Standard Webhooks.
    """
    secret = SecretStr(text.strip())
    try:
        key = _key_of(secret)
    except (ValueError, binascii.Error):
        key = b""
    if not (text.strip().startswith(_PREFIX) and _LEAST_BYTES <= len(key) <= _MOST_BYTES):
        raise WebhookError(
            f"the secret: expected {_PREFIX} and {_LEAST_BYTES} to {_MOST_BYTES} bytes in base64; found something else"
        ) from None
    return secret


def signatures(secrets_: Sequence[SecretStr], identifier: str, timestamp: int, content: bytes) -> str:
    """The header `webhook-signature`: a signature by each secret, so that a receiver that knows one can verify it."""
    signed = b"%s.%d.%s" % (identifier.encode(), timestamp, content)
    made = (hmac.new(_key_of(secret), signed, hashlib.sha256).digest() for secret in secrets_)
    return " ".join(f"v1,{base64.b64encode(one).decode()}" for one in made)


def _key_of(secret: SecretStr) -> bytes:
    return base64.b64decode(secret.get_secret_value().removeprefix(_PREFIX), validate=True)
