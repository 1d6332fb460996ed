"""Errors of exports that a person can act on."""

from nachet_pipeline.errors import RefusedError, UsageError


class ExportRefusedError(RefusedError):
    """The folder belongs to something else, or another export is under way in it."""


class ChoiceError(UsageError):
    """There is no such training set, version or split."""
