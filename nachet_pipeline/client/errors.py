"""The two errors of a client that are nobody else's; the package says which others there are."""

from nachet_pipeline.errors import UnavailableError, UsageError


class NeedsServicesError(UsageError):
    """An upload key alone does not open what is asked for."""


class NoReceiptYetError(UnavailableError, TimeoutError):
    """There was no receipt of the submission in time; the folder stays staged, and asking again is right."""
