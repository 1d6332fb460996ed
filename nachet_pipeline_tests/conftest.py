"""What the tests share: real services, started once a session."""

import logging
import os
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from pydantic import SecretStr

from nachet_pipeline.database.connection import Database, migrate
from nachet_pipeline.local.embedded import services
from nachet_pipeline.local.services import Services
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.registry.queries import load_seeds
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.storage.blobs import CLIENT_OPTIONS, BlobStorage
from nachet_pipeline.uploads import discovery
from nachet_pipeline_tests.databases import database_name, own_database
from nachet_pipeline_tests.users.keys import ACTOR, upload_keys
from nachet_pipeline_tests.warm import WarmNachet, warm_nachet
from nachet_pipeline_tests.workbench import Workbench, workbench_of

# What a shell runs in the background ignores these. Dagster lets SIGTERM do what SIGINT does, and the processes that
# tests start, and end by them, would ignore all three.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The many processes that tests start would each compile the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

pytest_plugins = [
    "nachet_pipeline_tests.command",
    "nachet_pipeline_tests.deployment",
    "nachet_pipeline_tests.homes",
    "nachet_pipeline_tests.real_pictures",
]

settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("repeatable")

_REPOSITORY = Path(__file__).resolve().parent.parent
# What takes longest is begun first: of several processes none shall be left with it when the others are done. What
# waits for Dagster stands between what computes, so that at any time there is something of both.
_LONGEST = (
    "local/test_demo.py",
    "any_order/test_any_order.py",
    "durability/test_killed.py",
    "ui/test_buttons.py",
    "cli/test_main.py",
    "local/test_supervisor.py",
    "durability/test_services_failing.py",
    "local/test_dagster_commands.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {f"{__package__}/{file}": place for place, file in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores, as tests wait for services and processes; each has services of its own."""
    return min(4, (os.cpu_count() or 1) + 1)


@dataclass(frozen=True)
class BlobAccount:
    """The session's storage account, and a prefix for names of containers that no other test uses."""

    url: str
    key: str
    prefix: str


@pytest.fixture(scope="session", autouse=True)
def _short_pauses() -> Iterator[None]:
    """Storage that fails is asked as often as ever, but sooner again: here no test has to wait for it to recover."""
    with pytest.MonkeyPatch.context() as patch:
        for pause in ("initial_backoff", "increment_base"):
            patch.setitem(CLIENT_OPTIONS, pause, 0.1)
        yield


@pytest.fixture(scope="session", autouse=True)
def _time_for_looks() -> Iterator[None]:
    """A tick lists all containers and looks at as many settled folders as it may, however slow the machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discovery, "LISTING_SECONDS", 20)
        patch.setattr(discovery, "SECOND_LOOKS_UNTIL", 60)
        yield


@pytest.fixture(autouse=True)
def _levels_of_loggers() -> Iterator[None]:
    """A library that a test makes use of may quieten another one's logger for good: not for the tests after it."""
    loggers = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    before = [(one, one.level) for one in loggers]
    yield
    for one, level in before:
        if one.level != level:
            one.setLevel(level)


@pytest.fixture(scope="session")
def tools() -> Path:
    """Where Azurite stays installed between sessions."""
    return Path(os.environ.get("NACHET_HOME") or _REPOSITORY / ".nachet").resolve()


@pytest.fixture(scope="session", name="services")
def _services(tools: Path, session_home: Path) -> Iterator[Services]:
    with services(session_home, tools=tools) as found:
        yield found


@pytest.fixture
def database_url(services: Services) -> Iterator[str]:
    """A database of the test's own, empty."""
    with own_database(services) as own:
        yield own.database_url


@pytest.fixture
def blob_account(services: Services) -> BlobAccount:
    return BlobAccount(services.blob_account_url, services.blob_key, prefix=f"t{uuid.uuid4().hex[:12]}-")


@pytest.fixture(scope="session")
def migrated_database(services: Services) -> Iterator[str]:
    """Name of a migrated database with the registered seeds, which others are copied from."""
    with own_database(services) as own:
        url = SecretStr(own.database_url)
        migrate(url)
        with Database(url) as database, database.connection() as connection:
            load_seeds(connection, packaged_seeds())
        yield database_name(own)


@pytest.fixture(scope="session")
def pool() -> Iterator[DecodingPool]:
    """One pool of decoders for all tests."""
    with DecodingPool(DecodingSettings(workers=2, seconds=60)) as shared:
        yield shared


@pytest.fixture(scope="session")
def blobs(services: Services) -> Iterator[BlobStorage]:
    with BlobStorage.connect(services.blob_account_url, SecretStr(services.blob_key)) as storage:
        yield storage


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmNachet]:
    """The command in processes of its own, which need not import everything first."""
    with warm_nachet() as found:
        yield found


@pytest.fixture(scope="module")
def bench(
    services: Services,
    migrated_database: str,
    pool: DecodingPool,
    blobs: BlobStorage,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Workbench]:
    """A database of the module's own, with one user who has an upload key."""
    with (
        own_database(services, template=migrated_database) as own,
        workbench_of(own, blobs, pool, tmp_path_factory.mktemp("bench")) as found,
    ):
        upload_keys(found).ensure(found.user.email, actor=ACTOR)
        yield found


@pytest.fixture
def workbench(
    services: Services, migrated_database: str, pool: DecodingPool, blobs: BlobStorage, tmp_path: Path
) -> Iterator[Workbench]:
    """A database of the test's own with a user of its own."""
    with own_database(services, template=migrated_database) as own:
        with workbench_of(own, blobs, pool, tmp_path) as bench:
            yield bench
        # Of the same pictures the next test makes the same version, which would be found published, with rows of this
        # one.
        with psycopg.connect(own.database_url) as connection:
            published = "select distinct container from training_set where container like 'training-%'"
            for (container,) in connection.execute(published).fetchall():
                for blob in list(blobs.listing(container)) if blobs.container_exists(container) else ():
                    blobs.delete(container, blob.name)
