"""What goes wrong with the services of this machine."""

from nachet_pipeline.errors import UnavailableError


class LocalServiceError(UnavailableError):
    """A local service could not be installed, started or stopped; one line says why and where to look."""
