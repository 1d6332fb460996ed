"""Mails that do not leave."""

from nachet_pipeline.errors import RefusedError, UnavailableError


class MailRefusedError(RefusedError):
    """This mail is not taken; the message is one line that says why.

    Attributes:
        permanent: whether it never will be.
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class TransportError(UnavailableError):
    """No mail can be sent now; the message is one line that says why."""
