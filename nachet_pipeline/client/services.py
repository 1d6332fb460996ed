"""What a client has open, and what that allows."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID

from nachet_pipeline.client.errors import NeedsServicesError
from nachet_pipeline.client.place import Place
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.errors import UsageError
from nachet_pipeline.settings import Settings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.users.errors import DisabledUserError
from nachet_pipeline.users.registering import known_user
from nachet_pipeline.users.upload_address import UploadAddress

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Services:
    """Storage, with the database or with an upload key.

    Attributes:
        settings: of this machine.
        blobs: the account, or what a key opens.
        stored: the database; None with an upload key.
        address: that of the upload key; None with the services.
        process: that of the connections. Two processes that used them would read each other's answers.
    """

    settings: Settings
    blobs: BlobStorage
    stored: Database | None = None
    address: UploadAddress | None = None
    process: int = field(default_factory=os.getpid)

    @property
    def database(self) -> Database:
        """The database.

        Raises:
            NeedsServicesError: there is an upload key alone.
            UsageError: another process made the client.
        """
        self._check_process()
        if self.stored is None:
            raise NeedsServicesError(
                "an upload key opens its own container alone; use Client.from_environment() for everything else"
            )
        return self.stored

    def reading(
        self, work: Callable[Concatenate[Connection, _Given], _Result], *given: _Given.args, **named: _Given.kwargs
    ) -> _Result:
        """Call a function that reads the database.

        Raises:
            NeedsServicesError: there is an upload key alone.
            DatabaseError: the database does not answer.
        """
        with self.database.reading() as connection:
            return work(connection, *given, **named)

    def owner_id(self, email: str | None) -> UUID | None:
        """The identifier of a user, if one is named.

        Raises:
            RefusedError: there is no such user.
        """
        return self.reading(known_user, email).id if email is not None else None

    def place(self, owner: str | None, *, active: bool = True) -> Place:
        """Where a user's folders are staged.

        Args:
            owner: e-mail address of the user; None with an upload key, which has an owner.
            active: whether the user must not be disabled.

        Raises:
            UsageError: the owner is missing, or one too many; or another process made the client.
            RefusedError: there is no such user, or a disabled one.
        """
        self._check_process()
        if self.address:
            if owner is not None:
                raise UsageError("owner: an upload key has an owner already")
            address = self.address
            return Place(self.blobs, address.container, address.owner, self.settings, None, address.explaining)
        database = self.database
        if owner is None:
            raise UsageError("owner: expected the e-mail address of a registered user")
        user = self.reading(known_user, owner)
        if active and user.disabled_at is not None:
            raise DisabledUserError(f"{user.email} is disabled since {user.disabled_at:%Y-%m-%d}")
        return Place(self.blobs, user.upload_container, user.id, self.settings, database, nullcontext)

    def _check_process(self) -> None:
        if os.getpid() != self.process:
            raise UsageError("this client was made before the process was forked; make one in each process")
