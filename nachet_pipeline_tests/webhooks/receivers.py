"""A program that is told of events, on a real server; it verifies and reads each message with independent packages."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from standardwebhooks import Webhook

from nachet_pipeline.webhooks.webhook import new_secret


@dataclass(frozen=True)
class Message:
    """A message that arrived: verified, and read as a CloudEvent."""

    id: str
    event: BaseCloudEvent
    headers: dict[str, str]
    path: str

    @property
    def type(self) -> str:
        return self.event.get_type().removeprefix("nachet.")

    @property
    def subject(self) -> str:
        return self.event.get_subject() or ""

    @property
    def number(self) -> int:
        return int(str(self.event.get_extension("sequence")))


Reply = int | tuple[int, dict[str, str], bytes]


@dataclass
class Receiver:
    """What a server receives, and how it answers.

    Attributes:
        url: its address.
        secrets: those that it knows; a message that none of them verifies is answered 401.
        answer: what is answered to a message.
        held: while it is cleared, no answer comes.
        messages: what arrived, whatever was answered.
        accepted: what was answered by a success.
    """

    url: str
    secrets: list[str]
    answer: Callable[[Message], Reply] = lambda _: 204
    held: threading.Event = field(default_factory=threading.Event)
    messages: list[Message] = field(default_factory=list)
    accepted: list[Message] = field(default_factory=list)

    def told(self) -> list[str]:
        """Types of the events that were accepted, in their order."""
        return [one.type for one in self.accepted]


@contextmanager
def receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A server on this machine for as long as the context lasts, by https if it is given a certificate."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if not any(_verifies(one, content, headers) for one in found.secrets):
                self._reply((401, {}, b"wrong signature"))
                return
            event = from_structured_event(HTTPMessage(headers=headers, body=content))
            message = Message(headers["webhook-id"], event, headers, self.path)
            with lock:
                found.messages.append(message)
            found.held.wait(60)
            reply = found.answer(message)
            status, more, body = reply if isinstance(reply, tuple) else (reply, {}, b"")
            if 200 <= status < 300:
                with lock:
                    found.accepted.append(message)
            self._reply((status, more, body))

        def _reply(self, reply: tuple[int, dict[str, str], bytes]) -> None:
            status, more, body = reply
            try:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # the pipeline did not wait
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """Say nothing: a client hung up, or would not have this certificate."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "https" if tls else "http"
    found = Receiver(f"{scheme}://localhost:{server.server_port}/hook", [new_secret().get_secret_value()])
    found.held.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.held.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _verifies(secret: str, content: bytes, headers: dict[str, str]) -> bool:
    try:
        Webhook(secret).verify(content, headers)
    except Exception:  # noqa: BLE001 (whatever a receiver's package does not accept)
        return False
    return True
