"""Refusals that concern users and their keys."""

from nachet_pipeline.errors import RefusedError, UsageError


class UnknownUserError(RefusedError):
    """There is no user of this e-mail address."""


class DisabledUserError(RefusedError):
    """The user is disabled, so they get no key."""


class NoKeyError(RefusedError):
    """There is no upload key to show or revoke; the message says how to get one."""


class UsersFileError(UsageError, ValueError):
    """A file of users that cannot be used; the message is one line with file, line, and what is wrong."""
