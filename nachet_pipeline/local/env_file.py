"""The file `.env` that names the services of this machine, for Dagster's own commands and for programs."""

from pathlib import Path

from nachet_pipeline.errors import RefusedError
from nachet_pipeline.local.embedded import running, variables
from nachet_pipeline.local.errors import LocalServiceError
from nachet_pipeline.local.files import write_private

FIRST_LINE = "# Written by `nachet up --env`; it holds secrets. Do not commit it."


def require_no_other(file: Path) -> None:
    """Do nothing if the file is not there, or was written by `write_env_file`.

    Raises:
        RefusedError: it is somebody else's.
    """
    if not file.exists():
        return
    if not file.is_file() or not file.read_bytes().startswith(FIRST_LINE.encode()):
        raise RefusedError(f"{file} was not written by `nachet up --env`; move it away, or remove it")


def write_env_file(file: Path, home: Path, instance: Path) -> None:
    """Write where the services and the Dagster instance of a home are, for its owner's eyes only.

    Args:
        file: the file, which is replaced.
        home: folder of everything that is kept on this machine.
        instance: folder of the Dagster instance.

    Raises:
        LocalServiceError: the services do not run.
    """
    found = running(home)
    if found is None:
        raise LocalServiceError("the services ended right after they started; see the log of the supervisor")
    values = {**variables(home, found), "DAGSTER_HOME": str(instance.resolve())}
    write_private(file, "\n".join([FIRST_LINE, *(f"{name}={value}" for name, value in values.items()), ""]))
