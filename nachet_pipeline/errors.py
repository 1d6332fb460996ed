"""Errors that a person can put right, by what the command answers for them; everything else is a defect of ours."""

from typing import ClassVar


class ActionableError(Exception):
    """Something to be put right by a person; the message is one line that says what.

    Attributes:
        exit_code: what the command answers.
    """

    exit_code: ClassVar[int]


class RefusedError(ActionableError):
    """What was asked for is against a rule, or in somebody's way."""

    exit_code = 1


class UsageError(ActionableError):
    """It was asked for wrongly, or a setting or a file of settings is wrong."""

    exit_code = 2


class UnavailableError(ActionableError):
    """A service does not answer."""

    exit_code = 3
