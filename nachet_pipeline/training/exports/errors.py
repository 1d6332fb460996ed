"""What an export says when a person has to put something right."""

from nachet_pipeline.errors import RefusedError, UsageError


class ExportRefusedError(RefusedError):
    """The folder belongs to something else, or another export is under way in it."""


class ChoiceError(UsageError):
    """There is no such training set, version or split."""
