"""Copies pictures of a large new upload while others of it are still being validated.

Storage and network then work beside the decoders, and not after them. A refused upload keeps nothing: what was copied
is removed before it is closed. A picture is copied only while nothing was found that refuses the upload, and only after
so many that most uploads to be refused are known; copying those takes no time worth saving.
"""

import logging
from collections import deque
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Self

from nachet_pipeline.contract.inventory import Inventory, PictureRecord
from nachet_pipeline.contract.stored import StoredPictures
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch_column
from nachet_pipeline.errors import UnavailableError
from nachet_pipeline.identifiers import picture_set_id
from nachet_pipeline.picture_sets.records import Origin
from nachet_pipeline.picture_sets.storing import picture_place, store_picture
from nachet_pipeline.settings import TransferSettings
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.bounded import bounded_map
from nachet_pipeline.support.files import FileChangedError

log = logging.getLogger(__name__)

FIRST = 200
"""Pictures that are validated before one is copied."""

_WAITING = 64
_REFUSED, _BROKEN = 400, 500


class EarlyCopies:
    """Copies the pictures that it is offered; a context manager. One thread at a time uses it.

    The inventory is told of each, whether it was copied or not: a run that was killed may have copied it.
    """

    def __init__(
        self,
        blobs: BlobStorage,
        inventory: Inventory,
        origin: Origin,
        transfer: TransferSettings,
        stored: StoredPictures,
    ) -> None:
        """Prepare to copy.

        Args:
            blobs: the storage account.
            inventory: holds the pictures; it is told what was copied.
            origin: where they come from.
            transfer: how many are copied at a time, and how the copies are verified.
            stored: says whether this is a correction, which may keep its pictures elsewhere; nothing is copied then.
        """
        self._blobs, self._inventory, self._origin, self._transfer = blobs, inventory, origin, transfer
        self._stored = stored
        self._offered = 0
        self._new: bool | None = None
        self._executor = ThreadPoolExecutor(transfer.transfer_concurrency, thread_name_prefix="early")
        self._waiting: deque[tuple[PictureRecord, Future[bool]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    def offer(self, picture: PictureRecord) -> None:
        """Copy a validated picture soon, unless there is too much to copy already."""
        self._offered += 1
        if self._offered <= FIRST or self._inventory.has_errors:
            return
        if self._new is None:
            self._new = not self._stored.sets()
        if not self._new:
            return
        while self._waiting and self._waiting[0][1].done():
            self._note(*self._waiting.popleft())
        picture_set = picture_set_id(self._origin.owner.id, self._origin.folder, picture.session)
        added = self._inventory.add_copied(picture, picture_place(picture_set, picture))
        if added and len(self._waiting) < _WAITING:
            copy = self._executor.submit(
                store_picture, self._blobs, picture, picture_set, self._origin, self._transfer.verify_stored
            )
            self._waiting.append((picture, copy))

    def finish(self) -> None:
        """Wait for what is being copied."""
        while self._waiting:
            self._note(*self._waiting.popleft())

    def _note(self, picture: PictureRecord, copy: "Future[bool]") -> None:
        try:
            created = copy.result()
        except (UnavailableError, FileChangedError) as error:  # storing tries it again, and fails with the reason
            log.info("%s is not copied yet: %s", picture.path, error)
        else:
            self._inventory.set_copied(picture, new=created)

    @property
    def begun(self) -> bool:
        """Whether something was copied, or was to be."""
        return bool(self._new)

    def remove(self, connection: Connection, kept: Collection[str]) -> None:
        """Remove what was copied of sessions that are not imported.

        Args:
            connection: of a transaction that holds the lock of the upload's row, so that no other run has it.
            kept: paths of the sessions that are imported.

        Raises:
            StorageError: storage does not answer.
            DatabaseError: the connection was lost, and with it the lock.
        """
        left = [session for session in self._inventory.copied_sessions() if session not in kept]
        # Where there is a row of the picture set, its blobs are none of this run's.
        sets = {picture_set_id(self._origin.owner.id, self._origin.folder, session): session for session in left}
        known = fetch_column(connection, "select id from picture_set where id = any(%s)", (list(sets),))
        for identifier in known:
            del sets[identifier]
        for session in sets.values():
            for _ in bounded_map(
                partial(self._delete, connection),
                self._inventory.copied(session),
                workers=self._transfer.transfer_concurrency,
                name="remove",
            ):
                pass

    def _delete(self, connection: Connection, blob: str) -> None:
        connection.execute("select")  # without the connection there is no lock, and another run may want the blob
        try:
            self._blobs.delete(self._origin.owner_container, blob)
        except StorageError as error:
            if error.status is None or not _REFUSED <= error.status < _BROKEN:
                raise
            # Asking again does not help, and the upload's user waits for the verdict. The reconciliation finds it.
            log.warning("%s is left without a row: %s", blob, error)
