"""What a run's log says: progress of long work every ten seconds, and nothing that is wrong only to Dagster."""

import time
from collections.abc import Callable

from dagster import AssetExecutionContext

_SECONDS = 10
_NO_NEWS = "did not yield or return expected outputs"


def drop_missing_outputs(context: AssetExecutionContext) -> None:
    """Keep a note out of the log that Dagster writes at the end of each good run of a step with optional checks.

    It names checks that were not yielded as outputs of the step. Those were evaluated for each upload, by events, or
    a part of split work has no verdict.
    """
    context.log.addFilter(lambda record: _NO_NEWS not in record.getMessage())


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
