"""The Dagster instance of this machine: its folder, the project's one dagster.yaml in it, and how events reach it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nachet_pipeline.errors import UsageError
from nachet_pipeline.support.machine import full_disk

if TYPE_CHECKING:
    from dagster import AssetKey, DagsterInstance, EventLogRecord

_FILES = ("dagster.yaml", "workspace.yaml")


class InstanceError(UsageError):
    """The folder of the Dagster instance cannot be used."""


def project_folder() -> Path:
    """The folder with dagster.yaml and workspace.yaml: this one, one above it, or what the package carries of them."""
    here = Path.cwd()
    packaged = Path(__file__).resolve().parents[1] / "project"
    for folder in (here, *here.parents):
        if all((folder / name).is_file() for name in _FILES):
            return folder
    # In a source tree these are links to the project's.
    return (packaged / _FILES[0]).resolve().parent


def dagster_home(home: Path, project: Path | None = None) -> Path:
    """The folder of the Dagster instance: DAGSTER_HOME if it is set, else one within the home.

    The one within the home links to the project's dagster.yaml, so that there is one configuration. What runs write
    lies there too, with everything else that is kept on this machine.

    Args:
        home: folder of everything that is kept on this machine.
        project: folder of dagster.yaml, whatever DAGSTER_HOME says; looked for if not given.

    Raises:
        InstanceError: DAGSTER_HOME names no folder with a dagster.yaml, or the home cannot be written to.
    """
    folder = home.resolve() / "dagster"
    if project is None:
        given = Path(os.environ.get("DAGSTER_HOME") or folder)
        if given != folder:
            return _checked(given)
        project = project_folder()
    link, target = folder / "dagster.yaml", project.resolve() / "dagster.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink() or link.readlink() != target:
            fresh = folder / f".dagster.yaml.{os.getpid()}"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(target)
            fresh.replace(link)
    except OSError as error:
        if full_disk(error):
            raise
        raise InstanceError(f"NACHET_HOME: {home} cannot be used: {error.strerror}") from error
    return folder


def _checked(instance: Path) -> Path:
    if not instance.is_absolute() or not (instance / "dagster.yaml").is_file():
        raise InstanceError(
            f"DAGSTER_HOME: expected the absolute path of a folder with the project's dagster.yaml, found {instance};"
            " unset it to use the one that comes with the package"
        )
    return instance


@contextmanager
def dagster_instance() -> Iterator["DagsterInstance"]:
    """The instance that DAGSTER_HOME names."""
    from dagster import DagsterInstance  # noqa: PLC0415 (slow to import)

    with DagsterInstance.get() as instance:
        yield instance


def written_together(
    instance: "DagsterInstance",
) -> AbstractContextManager["Mapping[tuple[AssetKey, str | None], EventLogRecord]"]:
    """Let what a step yields within the context reach the event log together, when it ends.

    Afterwards it holds the materializations, by asset and partition. An instance that keeps its events elsewhere than
    the project's dagster.yaml says gets them one by one, and it holds none.
    """
    together = getattr(instance.event_log_storage, "together", partial(nullcontext, {}))
    return cast("AbstractContextManager[Mapping[tuple[AssetKey, str | None], EventLogRecord]]", together())
