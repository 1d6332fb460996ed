"""What becomes of a run when it meets an error that a person can correct."""

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import Failure

from nachet_pipeline.errors import UnavailableError


@contextmanager
def failing_on(*errors: type[Exception]) -> Iterator[None]:
    """Fail the step with the message of such an error; only a service that does not answer is worth a retry."""
    try:
        yield
    except errors as error:
        raise Failure(str(error), allow_retries=isinstance(error, UnavailableError)) from error
