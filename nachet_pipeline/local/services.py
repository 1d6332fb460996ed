"""The embedded services of a home: where they are and who logs in."""

import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

IMPORTER, READER = "nachet_import", "nachet_read"
"""The logins that the pipeline works with, which `prepare` makes."""


@dataclass(frozen=True)
class Services:
    """Where the services are. A repr shows neither password nor key.

    Attributes:
        database_url: address of the database, `postgresql://…`, with the password of the login that owns everything.
        blob_account_url: address of the storage account.
        blob_key: the account's key.
    """

    database_url: str = field(repr=False)
    blob_account_url: str
    blob_key: str = field(repr=False)

    @property
    def importer_url(self) -> str:
        """Address of the database for the login that imports; `prepare` makes it."""
        return self._url_of(IMPORTER)

    @property
    def reader_url(self) -> str:
        """Address of the database for the login that only reads; `prepare` makes it."""
        return self._url_of(READER)

    def password_of(self, login: str) -> str:
        """Password of a login: follows from the owner's, which does not follow from it, so that none is kept."""
        return password_of(login, unquote(urlsplit(self.database_url).password or ""))

    def _url_of(self, login: str) -> str:
        place = self.database_url.rpartition("@")[2]
        return f"postgresql://{login}:{self.password_of(login)}@{place}"


def password_of(login: str, owner: str) -> str:
    """Password of a login where the owner of the database has this password."""
    return hmac.new(owner.encode(), login.encode(), hashlib.sha256).hexdigest()
