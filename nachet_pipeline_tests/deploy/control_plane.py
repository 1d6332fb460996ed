"""What run launchers talk to, as a server on this machine: Kubernetes, or Azure's resource manager and identities."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nachet_pipeline.local.ports import LOOPBACK
from nachet_pipeline_tests.certificates import new_certificate


@dataclass(frozen=True)
class Request:
    """What arrived."""

    method: str
    path: str
    authorization: str | None
    body: dict[str, Any]


Answer = Callable[[Request], tuple[int, object]]
"""What a server says to a request: status and JSON."""


@dataclass
class ControlPlane:
    """A server that remembers what it was asked."""

    host: str
    port: int
    certificate: Path
    requests: list[Request] = field(default_factory=list)

    def bodies(self, method: str, ending: str) -> list[dict[str, Any]]:
        """What was sent by this method to addresses that end like this."""
        return [found.body for found in self.requests if found.method == method and found.path.endswith(ending)]


@contextmanager
def control_plane(answer: Answer, folder: Path, *, tls: bool = True) -> Iterator[ControlPlane]:
    """A server for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(
                self.command,
                urlsplit(self.path).path,
                self.headers.get("Authorization"),
                json.loads(sent) if sent.startswith(b"{") else {},
            )
            plane.requests.append(request)
            status, said = answer(request)
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 (names that http.server looks for)

        def log_message(self, *_: object) -> None:
            """Nobody wants it."""

    certificate, key = folder / "ca.crt", folder / "tls.key"
    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    if tls:
        for file, content in zip((certificate, key), new_certificate(LOOPBACK), strict=True):
            file.write_bytes(content)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    plane = ControlPlane(LOOPBACK, server.server_address[1], certificate)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield plane
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
