"""Try what this machine has, and name what it lacks: `python -m nachet_pipeline_tests.compatibility [python|…]`."""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nachet_pipeline.local.embedded import services
from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.compatibility import trials
from nachet_pipeline_tests.compatibility.image import try_image
from nachet_pipeline_tests.compatibility.trials import PROJECT, LackingError

TRIALS: dict[str, tuple[list[str], Callable[[str, Path, Services], str]]] = {
    "python": (trials.pythons(), trials.try_python),
    "postgresql": (trials.postgresqls(), trials.try_postgresql),
    "azcopy": ([""], trials.try_azcopy),
    "image": ([""], try_image),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the trials, one after the other; the exit code is 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m nachet_pipeline_tests.compatibility", description=__doc__)
    parser.add_argument("trials", nargs="*", help=f"some of {', '.join(TRIALS)}; all if none is named")
    wanted = parser.parse_args(arguments).trials or list(TRIALS)
    if unknown := set(wanted) - set(TRIALS):
        parser.error(f"{', '.join(sorted(unknown))}: no such trial; choose from {', '.join(TRIALS)}")
    console, table, failures = Console(stderr=True), Table("what", "version", "outcome", "s"), 0
    with (
        tempfile.TemporaryDirectory(prefix="nachet-") as folder,
        services(Path(folder), tools=PROJECT / ".nachet") as own,
    ):
        for name in wanted:
            versions, attempt = TRIALS[name]
            for version in versions:
                console.print(f"{name} {version}")
                begun, tried = time.monotonic(), version
                with tempfile.TemporaryDirectory(prefix=f"nachet-{name}-") as scratch:
                    try:
                        tried, outcome = attempt(version, Path(scratch), own), "works"
                    except LackingError as error:
                        outcome = f"not tried: {error}"
                    except Exception as error:  # one trial must not end the others
                        logging.debug("%s", name, exc_info=True)
                        outcome, failures = f"fails: {error}", failures + 1
                table.add_row(name, tried, outcome, f"{time.monotonic() - begun:.0f}")
    Console(file=sys.stdout, width=160).print(table)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
