"""What the tests share: real services, started once a session."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from nachet_pipeline.local.services import Services, services

_REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class BlobAccount:
    """The session's storage account, and a prefix for names of containers that no other test uses."""

    url: str
    key: str
    prefix: str


@pytest.fixture(scope="session")
def tools() -> Path:
    """Where Azurite stays installed between sessions."""
    return Path(os.environ.get("NACHET_HOME") or _REPOSITORY / ".nachet").resolve()


@pytest.fixture(scope="session", name="services")
def _services(tools: Path) -> Iterator[Services]:
    with (
        tempfile.TemporaryDirectory(prefix="nachet-tests-") as folder,
        services(Path(folder), tools=tools) as found,
    ):
        yield found


@pytest.fixture
def database_url(services: Services) -> Iterator[str]:
    """A database of the test's own, empty."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield services.database_url.rpartition("/")[0] + f"/{name}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def blob_account(services: Services) -> BlobAccount:
    return BlobAccount(services.blob_account_url, services.blob_key, prefix=f"t{uuid.uuid4().hex[:12]}-")
