"""The Dagster instance of this machine: its folder, and the project's one dagster.yaml in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nachet_pipeline.errors import UsageError

if TYPE_CHECKING:
    from dagster import DagsterInstance

_FILES = ("dagster.yaml", "workspace.yaml")


class ProjectNotFoundError(UsageError):
    """There is no folder with the project's dagster.yaml and workspace.yaml; the message says where it was searched."""


def project_folder() -> Path:
    """The folder with dagster.yaml and workspace.yaml: this one, one above it, or the source tree of the package.

    Raises:
        ProjectNotFoundError: none of them has both.
    """
    here = Path.cwd()
    candidates = (here, *here.parents, Path(__file__).resolve().parents[2])
    for folder in candidates:
        if all((folder / name).is_file() for name in _FILES):
            return folder
    raise ProjectNotFoundError(f"no folder with {' and '.join(_FILES)} at or above {here}; set DAGSTER_HOME")


def dagster_home(home: Path, project: Path | None = None) -> Path:
    """The folder of the Dagster instance: DAGSTER_HOME if it is set, else one within the home.

    The one within the home links to the project's dagster.yaml, so that there is one configuration. What runs write
    lies there too, with everything else that is kept on this machine.

    Args:
        home: folder of everything that is kept on this machine.
        project: folder of dagster.yaml; looked for if not given.

    Raises:
        ProjectNotFoundError: DAGSTER_HOME is not set and dagster.yaml is not found.
    """
    if project is None:
        if given := os.environ.get("DAGSTER_HOME"):
            return Path(given)
        project = project_folder()
    folder = home.resolve() / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    link, target = folder / "dagster.yaml", project.resolve() / "dagster.yaml"
    if not link.is_symlink() or link.readlink() != target:
        fresh = folder / f".dagster.yaml.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(link)
    return folder


@contextmanager
def dagster_instance() -> Iterator["DagsterInstance"]:
    """The instance that DAGSTER_HOME names."""
    from dagster import DagsterInstance  # noqa: PLC0415 (slow to import)

    with DagsterInstance.get() as instance:
        yield instance
