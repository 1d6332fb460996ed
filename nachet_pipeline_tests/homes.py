"""Where the services of the tests keep their data: of each process that runs tests, when there are several.

The process that has no other above it makes the folder, and at the end stops what runs there: pytest-xdist ends the
processes that it started without letting them clean up when somebody presses Ctrl-C.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nachet_pipeline.local import postgres
from nachet_pipeline.local.files import held
from nachet_pipeline.local.sharing import stop_services

_FOLDER = pytest.StashKey[Path]()
_SHARED = "nachet_homes"


def pytest_configure(config: pytest.Config) -> None:
    given = getattr(config, "workerinput", None)
    config.stash[_FOLDER] = Path(given[_SHARED] if given else tempfile.mkdtemp(prefix="nachet-tests-"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process that pytest-xdist starts where the folder is."""
    node.workerinput[_SHARED] = str(node.config.stash[_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(_FOLDER, None)
    if folder is None or hasattr(config, "workerinput"):
        return
    for home in folder.glob("home-*"):
        stop_services(home)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Path:
    """The data of a PostgreSQL that never ran: made once, to be copied, because making it takes longer than most tests.

    It hands everything to the system and does not wait for the disk. What was committed outlives the server's being
    killed all the same, only not the machine's crash; and to drop a test's database, for which a checkpoint is made,
    takes a twentieth of the time.
    """
    folder = pytestconfig.stash[_FOLDER]
    made = folder / "cluster" / "postgres"
    with held(folder / "cluster.lock"):
        if not made.exists():
            fresh = folder / "cluster.new" / "postgres"
            shutil.rmtree(fresh.parent, ignore_errors=True)
            fresh.parent.mkdir()
            server = postgres.start(fresh)
            try:
                with psycopg.connect(server.url, autocommit=True) as connection:
                    connection.execute("ALTER SYSTEM SET fsync = off")
                    connection.execute("ALTER SYSTEM SET full_page_writes = off")
            finally:
                postgres.stop(fresh)
            (fresh / "port").unlink()  # each copy takes one of its own
            fresh.parent.rename(made.parent)
    return made


def furnish(home: Path, cluster: Path) -> Path:
    """Put a copy of a PostgreSQL's data into a home, so that the services start at once; returns the home."""
    home.mkdir(parents=True, exist_ok=True)
    # Not shutil's: the files belong to a user of PostgreSQL's own where root runs the tests.
    subprocess.run(["cp", "-Rp", str(cluster), str(home / "postgres")], check=True)
    return home


@pytest.fixture(scope="session")
def session_home(pytestconfig: pytest.Config, cluster: Path) -> Path:
    """The home of the services that the tests of this process share."""
    return furnish(Path(tempfile.mkdtemp(prefix="home-", dir=pytestconfig.stash[_FOLDER])), cluster)
