"""Errors that a person can put right, by what the command answers for them; everything else is a defect of ours."""

from typing import ClassVar, NoReturn


class ActionableError(Exception):
    """Something to be put right by a person; the message is one line that says what.

    Attributes:
        exit_code: what the command answers.
    """

    exit_code: ClassVar[int]


class RefusedError(ActionableError):
    """The request is against a rule, or in somebody's way."""

    exit_code = 1


class UsageError(ActionableError):
    """The request, a setting or a file of settings is wrong."""

    exit_code = 2


class UnavailableError(ActionableError):
    """A service does not answer."""

    exit_code = 3


def raise_alone(error: Exception, instead_of: BaseException) -> NoReturn:
    """Raise an error without what it comes from, but with the lines that led there.

    The errors of a service's client hold the request, with keys and passwords in it, and whoever stores an error stores
    its causes and contexts too.
    """
    try:
        raise error.with_traceback(instead_of.__traceback__)
    finally:
        error.__cause__ = error.__context__ = None  # `from None` would only keep the context from being shown
        del error, instead_of  # or this frame, which the error holds, would hold both
