"""What run launchers talk to, as a server on this machine: Kubernetes, or Azure's resource manager and identities."""

import datetime
import ipaddress
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

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nachet_pipeline.local.ports import LOOPBACK


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
        _write_certificate(certificate, key)
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


def _write_certificate(certificate: Path, key: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, LOOPBACK)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
