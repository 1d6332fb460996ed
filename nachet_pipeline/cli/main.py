"""The command `nachet`: the same functions that Dagster calls, for a terminal."""

import os
import sqlite3
import sys
from contextlib import ExitStack

from nachet_pipeline.defs.uploads.reporting import ReportedRun
from nachet_pipeline.errors import ActionableError
from nachet_pipeline.support.machine import full_disk
from nachet_pipeline.support.quick_process import collect_seldom

_ERROR_NUMBER, _INTERRUPTED = 2, 130


def main() -> None:
    """Run the command; what a person can put right is said in one line, and the exit code says what kind it is."""
    collect_seldom()
    _open_closed_streams()
    try:
        with ExitStack() as stack:
            # Before anything slow is imported here, because it takes longer.
            run = stack.enter_context(ReportedRun()) if _imports(sys.argv[1:]) else None
            _run(run)
    except KeyboardInterrupt:  # while modules are imported; typer says the same of a command that began
        sys.exit(_INTERRUPTED)


def _open_closed_streams() -> None:
    """Open what was closed of input, output and error, or the next socket gets its number, and what is written."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= _ERROR_NUMBER:
        pass
    os.close(opened)
    sys.stderr = sys.stderr or os.fdopen(_ERROR_NUMBER, "w")


def _imports(arguments: list[str]) -> bool:
    """Whether the command is `nachet import`, and not to explain it."""
    return arguments[:1] == ["import"] and len(arguments) > 1 and "--help" not in arguments


def _run(run: ReportedRun | None) -> None:
    from nachet_pipeline.cli.commands import app  # noqa: PLC0415 (see above)
    from nachet_pipeline.cli.terminal import UNAVAILABLE, note  # noqa: PLC0415
    from nachet_pipeline.settings import read_env_file  # noqa: PLC0415

    try:
        if unread := read_env_file():
            note(f"nachet: {unread}")
        app(obj=run)
    except ActionableError as error:
        note(f"nachet: {error}")
        sys.exit(error.exit_code)
    except (OSError, sqlite3.Error) as error:
        if (failure := full_disk(error)) is None:
            raise
        note(f"nachet: {failure}")
        sys.exit(UNAVAILABLE)


if __name__ == "__main__":
    main()
