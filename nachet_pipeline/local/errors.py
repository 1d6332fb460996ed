"""What goes wrong with the services of this machine."""


class LocalServiceError(RuntimeError):
    """A local service could not be installed, started or stopped; one line says why and where to look."""
