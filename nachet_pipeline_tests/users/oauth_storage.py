"""An Azurite that is spoken to by https and with tokens of an identity, as an account that forbids its own keys."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient

from nachet_pipeline.local import azurite
from nachet_pipeline.storage.blobs import CLIENT_OPTIONS, BlobStorage
from nachet_pipeline_tests.certificates import write_certificate


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


@contextmanager
def storage_of_an_identity(folder: Path, tools: Path) -> Iterator[tuple[BlobStorage, Path]]:
    """Storage without an account key, and the file of the certificate to trust."""
    certificate, key = write_certificate(folder, "127.0.0.1")
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
            yield BlobStorage(lambda: service, url, None), certificate
    finally:
        process.terminate()
        process.wait(30)
