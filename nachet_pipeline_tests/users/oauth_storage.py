"""An Azurite that is spoken to by https and with tokens of an identity, as an account that forbids its own keys."""

import base64
import ipaddress
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nachet_pipeline.local import azurite
from nachet_pipeline.storage.blobs import CLIENT_OPTIONS, BlobStorage


class Identity:
    """A token of a managed identity, as the emulator looks at it: its form, audience, issuer and times."""

    def __init__(self, **claims: object) -> None:
        self._claims = claims

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com",
            "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
            "iat": now - 60,
            "nbf": now - 60,
            "exp": now + 3600,
            "oid": "23657296-5cd5-45b0-a809-d972a7f4dfe1",
            "tid": "dd0d0df1-06c3-436c-8034-4b9a153097ce",
        } | self._claims
        parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
        token = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, b"unsigned"))
        return AccessToken(token, now + 3600)


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@contextmanager
def storage_of_an_identity(folder: Path, tools: Path) -> Iterator[tuple[BlobStorage, Path]]:
    """Storage without an account key, and the file of the certificate to trust."""
    certificate, key = write_certificate(folder)
    log = folder / "azurite.log"
    command = [azurite.node_root() / "bin" / "node", azurite.install(tools) / azurite._MAIN]
    options = ["--oauth", "basic", "--cert", certificate, "--key", key, "--blobHost", "127.0.0.1", "--blobPort", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in (*command, *options, "--location", folder / "data", "--disableTelemetry")],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=azurite._environment(),
        )
    try:
        deadline = time.monotonic() + 60
        while "successfully listen" not in log.read_text() and time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        port = log.read_text().partition("https://127.0.0.1:")[2].split()[0].strip("/")
        url = f"https://127.0.0.1:{port}/{azurite.ACCOUNT}"
        options = {**CLIENT_OPTIONS, "connection_verify": str(certificate)}
        with BlobServiceClient(url, Identity(), **options) as service:
            yield BlobStorage(service, url, None), certificate
    finally:
        process.terminate()
        process.wait(30)
