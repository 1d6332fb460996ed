"""What keeps a mass import from being done as it was asked for."""

from nachet_pipeline.errors import UsageError


class MassImportError(UsageError, ValueError):
    """A mass import that cannot be done as it was asked for; the message is one line that says why."""


class MappingError(UsageError, ValueError):
    """A mapping that cannot be used; the message is one line with file, line, and what was expected and found."""
