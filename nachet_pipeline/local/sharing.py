"""How the users of a home share its services.

Every user holds a shared lock on `run/users.lock`; the system drops it when a user ends, however that
happens. Starting and stopping is done under `run/services.lock`. Whoever leaves and finds nobody else stops
the services. So a user that was killed leaves no count behind that is wrong for ever, and the next user
attaches to what it left running.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nachet_pipeline.local import azurite, postgres
from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.files import FileLock, held, private_folder
from nachet_pipeline.local.processes import signals_as_exit
from nachet_pipeline.local.services import Services

_CLOSED = ("azurite", "blobs", "dagster", "run")
"""Folders of a home that nobody but its owner may pass through, though PostgreSQL's user may pass through the home."""


@contextmanager
def shared_services(
    home: Path, *, tools: Path | None = None, progress: Callable[[str], None] = lambda _: None
) -> Iterator[Services]:
    """The services of a home, started or attached to, for as long as the context lasts; the last user stops them.

    Args:
        home: folder of everything that is kept on this machine.
        tools: folder under which Azurite is installed once; the home if not given.
        progress: called with what is being done, a few words at a time.

    Raises:
        LocalServiceError: a service does not start.
    """
    home = home.resolve()
    with signals_as_exit(), ExitStack() as stack:
        try:
            private_folder(home)
            for name in _CLOSED:
                private_folder(home / name, passable=False)
            users = FileLock(_users_file(home))
            stack.callback(_leave, home, users)
            with held(_services_file(home)):
                users.share()
                found = _start_both(home, tools, progress)
        except OSError as error:
            raise LocalServiceError(f"the services of {home} cannot be used: {error}") from error
        yield found


def revive_services(home: Path, *, tools: Path | None = None) -> Services:
    """Start again what ended of the services of a home, for whoever uses them.

    Raises:
        LocalServiceError: a service does not start.
    """
    try:
        with held(_services_file(home)):
            return _start_both(home.resolve(), tools, lambda _: None)
    except OSError as error:
        raise LocalServiceError(f"the services of {home} cannot be used: {error}") from error


def stop_services(home: Path) -> bool:
    """Stop the services of a home whoever uses them.

    Returns:
        Whether one was running.

    Raises:
        LocalServiceError: a service had to be killed.
    """
    if not home.exists():
        return False
    with held(_services_file(home)):
        return _stop_both(home)


def running_services(home: Path) -> Services | None:
    """The services of a home if both run now, else None."""
    database_folder, blob_folder = _folders(home)
    database = postgres.running(database_folder)
    blobs = azurite.running(blob_folder)
    return _joined(database, blobs) if database is not None and blobs is not None else None


def missing_services(home: Path) -> list[str]:
    """The names of the services of a home that do not run now."""
    database_folder, blob_folder = _folders(home)
    found = {"PostgreSQL": postgres.running(database_folder), "Azurite": azurite.running(blob_folder)}
    return [name for name, server in found.items() if server is None]


def _leave(home: Path, users: FileLock) -> None:
    with held(_services_file(home)):
        try:
            if users.try_take():
                _stop_both(home)
        finally:
            users.close()


def _start_both(home: Path, tools: Path | None, report: Callable[[str], None]) -> Services:
    database_folder, blob_folder = _folders(home)
    report("starting PostgreSQL")
    database = postgres.start(database_folder)
    installation = azurite.install(tools or home, report)
    report("starting Azurite")
    return _joined(database, azurite.start(blob_folder, installation))


def _stop_both(home: Path) -> bool:
    database_folder, blob_folder = _folders(home)
    try:
        blobs = azurite.stop(blob_folder)
    finally:
        database = postgres.stop(database_folder)
    return blobs or database


def _joined(database: postgres.Server, blobs: azurite.Server) -> Services:
    return Services(database_url=database.url, blob_account_url=blobs.url, blob_key=azurite.KEY)


def _folders(home: Path) -> tuple[Path, Path]:
    return home.resolve() / "postgres", home.resolve() / "blobs"


def _users_file(home: Path) -> Path:
    return home / "run" / "users.lock"


def _services_file(home: Path) -> Path:
    return home / "run" / "services.lock"
