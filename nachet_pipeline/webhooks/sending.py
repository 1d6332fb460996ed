"""Sending one message to a webhook: by one connection to a checked address, within a bounded time."""

import http.client
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property

from pydantic import SecretStr

from nachet_pipeline import __version__
from nachet_pipeline.events.event import CONTENT_TYPE
from nachet_pipeline.support.cutting_off import cut_off_after
from nachet_pipeline.webhooks.address import Address
from nachet_pipeline.webhooks.webhook import WebhookError, signatures

SECONDS = 10.0
"""How long a receiver may take, from its name to its answer."""
_GONE = 410
_UNAVAILABLE = {429, 502, 503, 504}
_SHOWN_BYTES = 200
_LONGEST_PAUSE = 86_400.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a message.

    Attributes:
        status: of the answer; None: there was none.
        error: what went wrong; None: it was accepted.
        retry_after: seconds that the receiver asks to wait.
        seconds: how long it took.
    """

    status: int | None
    error: str | None
    retry_after: float = 0.0
    seconds: float = 0.0

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no further message."""
        return self.status == _GONE

    @property
    def unavailable(self) -> bool:
        """Whether it failed whatever the message was, so that another one would fail too."""
        return self.status is None or self.status in _UNAVAILABLE


@dataclass(frozen=True)
class Sender:
    """Sends messages; safe to use from several threads. No proxy of the environment is used.

    Attributes:
        private: whether the deployment allows private addresses.
        seconds: how long a receiver may take.
        tls: what its certificate is verified by; what this machine trusts if not given.
    """

    private: bool = False
    seconds: float = SECONDS
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # It takes 20 ms to read what a machine trusts, which most ticks, with nothing to tell, need not.
        return self.tls or ssl.create_default_context()

    def send(self, url: SecretStr, secrets: Sequence[SecretStr], identifier: str, content: bytes) -> Answer:
        """Send a message.

        Args:
            url: the receiver's address.
            secrets: what signs it.
            identifier: of the message; the same at each attempt.
            content: a CloudEvent.
        """
        began = time.monotonic()
        timestamp = int(time.time())
        headers = {
            "Content-Type": CONTENT_TYPE,
            "User-Agent": f"nachet_pipeline/{__version__}",
            "Connection": "close",
            "webhook-id": identifier,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signatures(secrets, identifier, timestamp, content),
        }
        try:
            address = Address.of(url, private=self.private)
            resolved = address.resolve(private=self.private, seconds=self.seconds)
            status, error, pause = self._post(address, resolved, began + self.seconds, headers, content)
        except WebhookError as refused:
            status, error, pause = None, str(refused), 0.0
        if error and any(secret.get_secret_value() in error for secret in secrets):
            error = f"it answers {status}"
        return Answer(status, error, pause, time.monotonic() - began)

    def _post(
        self, address: Address, resolved: Sequence[str], until: float, headers: dict[str, str], content: bytes
    ) -> tuple[int | None, str | None, float]:
        """Status, what went wrong, and how long to wait."""
        connection = _Connection(address, resolved, until, self._tls if address.scheme == "https" else None)
        with cut_off_after(until - time.monotonic(), lambda: connection.connected) as late, closing(connection):
            try:
                connection.request("POST", address.target, content, headers)
                answer = connection.getresponse()
                return answer.status, _failure(address, answer), _seconds(answer.getheader("Retry-After"))
            except ssl.SSLCertVerificationError as error:
                return None, f"its certificate is not accepted: {error.verify_message}", 0.0
            except (OSError, http.client.HTTPException, ValueError) as error:
                if late.is_set() or isinstance(error, TimeoutError):
                    return None, f"no answer within {self.seconds:g} s", 0.0
                return None, f"no answer: {getattr(error, 'strerror', None) or type(error).__name__}", 0.0


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was checked, for the name that it was checked for.

    Attributes:
        connected: its socket, which `sock` is not any more while an answer is read that ends the connection.
    """

    def __init__(self, address: Address, resolved: Sequence[str], until: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(address.host, address.port)
        self.default_port = 443 if tls else 80  # which the header Host leaves out
        self.connected: socket.socket | None = None
        self._resolved, self._until, self._tls = resolved, until, tls

    def connect(self) -> None:
        """Connect to the first of the IP addresses that answers."""
        for place, ip in enumerate(self._resolved, start=1):
            left = max(0.01, self._until - time.monotonic())
            try:
                self.sock = socket.create_connection((ip, self.port), left / (len(self._resolved) - place + 1))
                break
            except OSError:
                if place == len(self._resolved):
                    raise
        self.sock.settimeout(max(0.01, self._until - time.monotonic()))
        self.connected = self.sock
        if self._tls:
            tls = self._tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock = self.connected = tls
            tls.do_handshake()


def _failure(address: Address, answer: http.client.HTTPResponse) -> str | None:
    """What is wrong with an answer; None: nothing."""
    if 200 <= answer.status < 300:  # noqa: PLR2004 (what HTTP calls a success)
        return None
    if 300 <= answer.status < 400:  # noqa: PLR2004
        return f"it answers {answer.status}, a redirect, which is not followed; correct the address"
    content = b""
    # Read as it comes, so that what came before the connection ended is shown.
    with suppress(OSError, http.client.HTTPException, ValueError):
        while part := answer.read1(_SHOWN_BYTES - len(content)):
            content += part
    said = content.decode("ascii", "replace")
    if "?" in address.target or (address.target != "/" and address.target in said):
        said = ""  # an error page may repeat an address, and a token in it
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())
    return f"it answers {answer.status}{': ' if shown else ''}{shown}"


def _seconds(retry_after: str | None) -> float:
    """The seconds that a header Retry-After asks for, a day at most; 0 if it asks for none."""
    try:
        wanted = float(retry_after or 0)
    except ValueError:
        try:
            moment = parsedate_to_datetime(retry_after or "")
        except (ValueError, OverflowError):  # the second of a number that no year has
            return 0.0
        wanted = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(wanted, 0.0), _LONGEST_PAUSE) if wanted == wanted else 0.0  # noqa: PLR0124 (not a number)
