"""Progress of long work in a run's log, now and then."""

import time
from collections.abc import Callable

from dagster import AssetExecutionContext

_SECONDS = 10


def now_and_then(context: AssetExecutionContext) -> Callable[[str], None]:
    """Gives what writes a line to the run's log, unless it wrote one a moment ago."""
    last = time.monotonic()

    def tell(line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS:
            last = time.monotonic()
            context.log.info("%s", line)

    return tell


def logged_pictures(context: AssetExecutionContext, what: str = "") -> Callable[[int, int], None]:
    """Gives what is told how many pictures are done, and how many there are.

    Args:
        context: whose log it is written to.
        what: what the pictures are of, in front of the numbers.
    """
    tell = now_and_then(context)
    prefix = f"{what}: " if what else ""
    return lambda done, total: tell(f"{prefix}{done} of {total} pictures")
