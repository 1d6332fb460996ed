"""What mails are sent by: a server that speaks SMTP, or Azure Communication Services."""

import smtplib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from email.message import EmailMessage
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from uuid import UUID

from nachet_pipeline.contract.names import printable
from nachet_pipeline.errors import raise_alone
from nachet_pipeline.mail.errors import MailRefusedError, TransportError
from nachet_pipeline.settings import MailSettings, SettingsError
from nachet_pipeline.support.cutting_off import cut_off_after

CONNECT_SECONDS = 5.0
SEND_SECONDS = 20.0
"""How long connecting and logging in may take, each, and handing over one mail. What takes longer is cut off.

A server that looks for viruses before it answers takes seconds; to cut it off is to have it send the mail again and
again. All of it, and the mails before, must be less than the minute that a tick of a sensor may take."""
_SERVICE_SECONDS = 10.0
_SAID = 300
_OK = 250
_PERMANENT = 500
_NEVER = {200, 400}
"""What Azure answers where no retry helps: an operation that ended as failed, or a wrong request."""
_SERVICE = "Azure Communication Services"
_PASSED_ON = ("Auto-Submitted", "X-Auto-Response-Suppress", "List-Unsubscribe")


class Transport(Protocol):
    """Something that mails are sent by."""

    def send(self, message: EmailMessage, identifier: UUID) -> str:
        """Hand over a mail.

        Args:
            message: the mail.
            identifier: of the mail; the same if it is sent again.

        Returns:
            What was answered, in one line.

        Raises:
            MailRefusedError: this mail is not taken.
            TransportError: none is, for now.
        """


@contextmanager
def open_transport(settings: MailSettings) -> Iterator[Transport]:
    """What the settings name to send mails by; it connects when the first is sent.

    Raises:
        SettingsError: they name nothing.
    """
    if not settings.on:
        raise SettingsError("NACHET_SMTP_URL: is not set, so there is nothing to send mails by")
    with closing(SmtpServer(settings) if settings.smtp_url else CommunicationServices(settings)) as opened:
        yield opened


def _one_line(text: object) -> str:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return printable(" ".join(said.split()))[:_SAID]


class _Smtp(smtplib.SMTP):
    """A client that connects within its time, whatever the server does."""

    def connect(self, host: str = "localhost", port: int = 0, source_address: Any = None) -> tuple[int, bytes]:
        """Connect, and read the greeting."""
        try:
            with _bounded(self, CONNECT_SECONDS):
                return super().connect(host, port, source_address)
        except BaseException:
            self.close()
            raise


class _SmtpTls(_Smtp, smtplib.SMTP_SSL):
    """The same, with TLS from the start."""


class SmtpServer:
    """A server that speaks SMTP, by one connection for all mails."""

    def __init__(self, settings: MailSettings) -> None:
        """Use the server that the settings name."""
        assert settings.smtp_url is not None  # noqa: S101 (whoever opens it has looked)
        self._url = settings.smtp_url
        parts = urlsplit(self._url.get_secret_value())
        self._host, self._tls = parts.hostname or "", parts.scheme == "smtps"
        self._port = parts.port or (465 if self._tls else 587)
        self._starttls = not self._tls and settings.starttls
        self._smtp: smtplib.SMTP | None = None

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"the mail server {self._host}:{self._port}"

    def send(self, message: EmailMessage, identifier: UUID) -> str:
        """Hand over a mail; see `Transport`."""
        try:
            smtp = self._smtp = self._still_open() or self._connect()
            with _bounded(smtp, SEND_SECONDS):
                refused = smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            permanent = all(code >= _PERMANENT for code, _ in error.recipients.values())
            raise_alone(MailRefusedError(_refusals(error.recipients), permanent=permanent), error)
        except smtplib.SMTPDataError as error:
            said = f"{error.smtp_code} {_one_line(error.smtp_error)}"
            raise_alone(MailRefusedError(said, permanent=error.smtp_code >= _PERMANENT), error)
        except smtplib.SMTPNotSupportedError as error:
            if self._smtp is None:  # it has no STARTTLS, or no way to log in
                raise_alone(TransportError(f"{self.place}: {_one_line(error)}"), error)
            raise_alone(MailRefusedError(_one_line(error), permanent=True), error)
        except smtplib.SMTPResponseException as error:  # of the sender, of the password: not of this mail
            self.close()
            said = f"{self.place} answers {error.smtp_code} {_one_line(error.smtp_error)}"
            raise_alone(TransportError(said), error)
        except (smtplib.SMTPException, OSError) as error:
            self.close()
            raise_alone(TransportError(f"{self.place}: {_one_line(error) or type(error).__name__}"), error)
        return f"{self.place} took it, but not for {_refusals(refused)}" if refused else f"{self.place} took it"

    def _still_open(self) -> smtplib.SMTP | None:
        """The connection of the mail before; None if the server has ended it, as some do after each."""
        if self._smtp is not None:
            with suppress(smtplib.SMTPException, OSError), _bounded(self._smtp, 1.0):
                if self._smtp.noop()[0] == _OK:
                    return self._smtp
            self.close()
        return None

    def _connect(self) -> smtplib.SMTP:
        """A connection that is encrypted as it must be, with the password given."""
        context = ssl.create_default_context()
        parts = urlsplit(self._url.get_secret_value())
        smtp: smtplib.SMTP = (
            _SmtpTls(self._host, self._port, timeout=CONNECT_SECONDS, context=context)
            if self._tls
            else _Smtp(self._host, self._port, timeout=CONNECT_SECONDS)
        )
        try:
            with _bounded(smtp, CONNECT_SECONDS):
                if self._starttls:
                    smtp.starttls(context=context)
                if parts.username is not None and parts.password is not None:
                    smtp.login(unquote(parts.username), unquote(parts.password))
                if smtp.sock is not None:
                    smtp.sock.settimeout(SEND_SECONDS)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def close(self) -> None:
        """End the connection."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            with suppress(smtplib.SMTPException, OSError), _bounded(smtp, 1.0):
                smtp.quit()
            smtp.close()


def _refusals(recipients: Mapping[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{address}: {code} {_one_line(said)}" for address, (code, said) in recipients.items())


@contextmanager
def _bounded(smtp: smtplib.SMTP, seconds: float) -> Iterator[None]:
    """Cut the connection off when the time is over.

    Raises:
        TimeoutError: it was.
    """
    with cut_off_after(seconds, lambda: smtp.sock) as over:
        try:
            yield
        except (smtplib.SMTPException, OSError):
            if not over.is_set():
                raise
    if over.is_set():
        raise TimeoutError(f"no answer within {seconds:g} s")


class CommunicationServices:
    """Azure Communication Services."""

    def __init__(self, settings: MailSettings) -> None:
        """Use the resource that the settings name."""
        from azure.communication.email import EmailClient  # noqa: PLC0415 (an extra, and slow to import)

        bounds = {"retry_total": 0, "connection_timeout": CONNECT_SECONDS, "read_timeout": _SERVICE_SECONDS}
        if settings.acs_connection_string is not None:
            given = settings.acs_connection_string.get_secret_value()
            self._client = EmailClient.from_connection_string(given, **bounds)
        else:
            from azure.identity import DefaultAzureCredential  # noqa: PLC0415

            self._client = EmailClient(settings.acs_endpoint or "", DefaultAzureCredential(), **bounds)

    def send(self, message: EmailMessage, identifier: UUID) -> str:
        """Hand over a mail, and wait a little for what becomes of it; see `Transport`."""
        from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError  # noqa: PLC0415

        try:
            poller = self._client.begin_send(_record(message), operation_id=str(identifier), polling_interval=1)
            poller.wait(_SERVICE_SECONDS)
            status = poller.result() if poller.done() else {"status": "Running"}
        except ResourceExistsError:
            return f"{_SERVICE} took it before"
        except HttpResponseError as error:
            said = _one_line(f"{error.status_code} {error.message}")
            if error.status_code in _NEVER:
                raise_alone(MailRefusedError(said, permanent=True), error)
            raise_alone(TransportError(f"{_SERVICE} answers {said}"), error)
        except AzureError as error:
            raise_alone(TransportError(f"{_SERVICE}: {_one_line(error.message)}"), error)
        return f"{_SERVICE} took it: {_one_line(status['status'])}"

    def close(self) -> None:
        """End the connection."""
        self._client.close()


def _record(message: EmailMessage) -> dict[str, Any]:
    """A mail as the service wants it. It takes no name of a sender and makes the Message-ID itself."""

    def addresses(header: str) -> list[dict[str, str]]:
        return [{"address": one.addr_spec} for one in message[header].addresses]

    def content(kind: str) -> str:
        part = message.get_body((kind,))
        return str(part.get_content()) if part is not None else ""

    record = {
        "senderAddress": addresses("From")[0]["address"],
        "recipients": {"to": addresses("To")},
        "content": {"subject": str(message["Subject"]), "plainText": content("plain"), "html": content("html")},
        "headers": {name: str(message[name]) for name in _PASSED_ON if name in message},
        "userEngagementTrackingDisabled": True,
    }
    return {**record, "replyTo": addresses("Reply-To")} if "Reply-To" in message else record
