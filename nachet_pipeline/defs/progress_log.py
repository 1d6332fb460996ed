"""Progress of long work in a run's log, every ten seconds."""

import time
from collections.abc import Callable

from dagster import AssetExecutionContext

_SECONDS = 10


def now_and_then(context: AssetExecutionContext) -> Callable[[str], None]:
    """Return what writes a line to the run's log, unless it wrote one within the last seconds."""
    last = time.monotonic()

    def log(line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS:
            last = time.monotonic()
            context.log.info("%s", line)

    return log


def logged_pictures(context: AssetExecutionContext, what: str = "") -> Callable[[int, int], None]:
    """Return what logs how many pictures are done, and how many there are.

    Args:
        context: whose log it writes to.
        what: what the pictures are of; it stands before the numbers.
    """
    log = now_and_then(context)
    prefix = f"{what}: " if what else ""
    return lambda done, total: log(f"{prefix}{done} of {total} pictures")
