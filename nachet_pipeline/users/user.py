"""A registered user."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from nachet_pipeline.identifiers import upload_container, user_container
from nachet_pipeline.settings import Notice
from nachet_pipeline.support.i18n import Language


@dataclass(frozen=True, slots=True)
class User:
    """A registered user.

    Attributes:
        id: identifier, part of the names of both containers.
        email: normalised e-mail address.
        disabled_at: since when the user is disabled; None: they are not.
        language: the language of their mails.
        notify: what they want to be told by e-mail; None: they never said, so the setting NACHET_NOTIFY counts.
    """

    id: UUID
    email: str
    disabled_at: datetime | None = None
    language: Language = "en"
    notify: Sequence[Notice] | None = None

    @property
    def upload_container(self) -> str:
        """The container in which the user stages folders."""
        return upload_container(self.id)

    @property
    def user_container(self) -> str:
        """The container of the user's imported pictures."""
        return user_container(self.id)
