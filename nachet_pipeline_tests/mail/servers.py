"""Real servers that mails are sent to in the tests: SMTP with TLS and passwords, and a service that speaks ACS."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

USER, PASSWORD = "nachet", "s3cret-of-the-mail-server"
TOKEN = "token of the machine"


@dataclass
class Mailbox:
    """What a server got, and what it answers.

    Attributes:
        mails: what it took, each with its recipients.
        rcpt: its answers to recipients, the next first; then it takes all.
        data: its answers to contents, likewise.
        encrypted: whether the last mail came encrypted.
        slow: seconds that it takes to answer to a content.
        hangs_up: whether it ends the connection after each mail.
    """

    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    rcpt: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    encrypted: bool = False
    slow: float = 0.0
    hangs_up: bool = False
    url: str = ""

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for _, mail in self.mails]

    async def handle_RCPT(  # noqa: N802 (its name there)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt:
            answer = self.rcpt.pop(0)
            if not answer.startswith("250"):
                return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.data.pop(0) if self.data else "250 taken"
        if answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            message = message_from_bytes(envelope.content, policy=default)
            assert isinstance(message, EmailMessage)
            self.mails.append((list(envelope.rcpt_tos), message))
            self.encrypted = session.ssl is not None
        await asyncio.sleep(self.slow)
        if self.hangs_up:
            asyncio.get_running_loop().call_later(0.05, server.transport.close)
        return answer


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
    return AuthResult(success=(given.login, given.password) == (USER.encode(), PASSWORD.encode()), handled=False)


@contextmanager
def smtp_server(tls: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """A server; with a certificate, it takes mails by STARTTLS and password alone."""
    box = Mailbox()
    options: dict[str, Any] = {}
    if tls:
        options = {"tls_context": tls, "require_starttls": True, "auth_required": True}
        options["authenticator"] = _authenticate
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port, **options)
    controller.start()
    box.url = f"smtp://{f'{USER}:{PASSWORD}@' if tls else ''}localhost:{port}"
    try:
        yield box
    finally:
        controller.stop()


@contextmanager
def silent_server(greeting: bytes = b"") -> Iterator[str]:
    """A server that accepts connections, says one thing at most, and then a byte now and then."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=trickle, args=(connection,), daemon=True).start()

        def trickle(connection: socket.socket) -> None:
            with connection:
                try:
                    connection.sendall(greeting)
                    while not ended.wait(0.2):
                        connection.sendall(b"2")
                except OSError:
                    pass

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"smtp://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            ended.set()
            listening.shutdown(socket.SHUT_RDWR)


@dataclass
class Service:
    """Azure Communication Services, as its client sees it.

    Attributes:
        sent: the mails that it took, by the identifier of the operation.
        answers: statuses of HTTP that it answers, the next first; then it takes all.
        outcome: what becomes of a mail.
        key: the access key.
        url: its address.
    """

    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)
    outcome: str = "Succeeded"
    key: bytes = b"the access key of the resource"
    url: str = ""

    @property
    def connection_string(self) -> str:
        return f"endpoint={self.url}/;accesskey={base64.b64encode(self.key).decode()}"

    def signed(self, handler: BaseHTTPRequestHandler, body: bytes) -> bool:
        """Whether a request is signed with the key, or by the identity of the machine."""
        if handler.headers["Authorization"] == f"Bearer {TOKEN}":
            return True
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        said = f"{handler.command}\n{handler.path}\n{handler.headers['x-ms-date']};{handler.headers['host']};{digest}"
        signature = base64.b64encode(hmac.new(self.key, said.encode(), hashlib.sha256).digest()).decode()
        return handler.headers["Authorization"].endswith(f"&Signature={signature}")


@contextmanager
def communication_services(tls: ssl.SSLContext) -> Iterator[Service]:
    """A server that speaks the protocol of Azure Communication Services."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, content: dict[str, Any], **headers: str) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path.startswith("/emails:send?api-version=")
            status = 401 if not service.signed(self, body) else service.answers.pop(0) if service.answers else 202
            if status != 202:
                self.answer(status, {"error": {"code": "Wrong", "message": "no such recipient"}})
                return
            operation = self.headers["Operation-Id"]
            service.sent[operation] = json.loads(body)
            place = f"{service.url}/emails/operations/{operation}?api-version=2025-09-01"
            self.answer(202, {"id": operation, "status": "Running"}, Operation_Location=place)

        def do_GET(self) -> None:
            operation = self.path.partition("?")[0].rpartition("/")[2]
            failed = {"error": {"code": "EmailDropped", "message": "suppressed"}} if service.outcome == "Failed" else {}
            self.answer(200, {"id": operation, "status": service.outcome, **failed})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    service.url = f"https://localhost:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
