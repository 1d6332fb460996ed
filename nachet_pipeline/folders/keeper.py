"""Putting folders away and bringing them back: what the commands and the jobs call.

A deleted folder is hidden at once; its rows and blobs are removed only when nobody can undo it any more. An archived
one is copied to its owner's archive, where each copy is read and compared. Then its rows point there, and only then is
it removed from where it was. A tombstone is written first: if the process is killed anywhere, the same call or the
daily job goes on and ends in the same state.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.database.locks import session_lock
from nachet_pipeline.database.reading import pages_by_key
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.folders.moving import FolderBusyError, Move, copy_verified, descriptions, remove_all, verify
from nachet_pipeline.folders.queries import (
    FolderStateError,
    KeptPicture,
    begin_archiving,
    container_of,
    delete_folder,
    fingerprint,
    hide_blobs,
    pictures_of,
    point_at_archive,
    point_back,
    remove_rows,
    undo_deleting,
    undoable,
)
from nachet_pipeline.identifiers import user_container
from nachet_pipeline.picture_sets.holding import hold_imports
from nachet_pipeline.picture_sets.tombstones import (
    PutAway,
    Tombstone,
    begin_purging,
    due_tombstones,
    last_tombstone,
    open_tombstone,
    record_step,
    record_undoing,
    tombstone_of,
    unfinished_tombstones,
)
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.progress import Progress, silent

log = logging.getLogger(__name__)

_PAGE = 100
_ATTEMPTS = 3
_FOLDER_LOCK = "folder {}"


@dataclass(frozen=True, slots=True)
class Purged:
    """The result of the daily job.

    Attributes:
        purged: folders that are gone for good.
        kept_rows: pictures of those that keep a row because trainings were made of them.
        finished: archivings, or undoings of them, that had been interrupted and are done now.
        left: folders that could not be dealt with, each with the reason.
    """

    purged: int
    kept_rows: int
    finished: int
    left: tuple[tuple[Tombstone, str], ...]


@dataclass(frozen=True, slots=True)
class FolderKeeper:
    """Puts folders away and brings them back.

    Attributes:
        database: has the rows.
        blobs: the storage account.
        undo_days: how long both can be undone.
        progress: called with how many pictures are copied, and how many there are.
    """

    database: Database
    blobs: BlobStorage
    undo_days: int = 30
    progress: Progress = silent

    def delete(self, folder: UUID, *, by: str, why: str) -> Tombstone:
        """Delete a folder with all that is in it; until it is purged, it can be undone.

        Raises:
            UnknownFolderError: there is no such folder.
            FolderStateError: it is archived.
            DatabaseError: the database does not answer.
        """
        return self.database.transact(delete_folder, folder, by=by, why=why, undo_days=self.undo_days)

    def archive(self, folder: UUID, *, by: str, why: str) -> Tombstone:
        """Bring a folder to its owner's archive, where its pictures stay for training.

        Raises:
            UnknownFolderError: there is no such folder.
            FolderStateError: it is deleted.
            FolderBusyError: something is imported for the user right now; another call goes on.
            FolderDamagedError: a picture is not what its row says; nothing was removed.
            StorageError: storage does not answer; another call goes on.
            DatabaseError: the database does not answer.
        """
        tombstone = self.database.transact(begin_archiving, folder, by=by, why=why, undo_days=self.undo_days)
        return self._archive(tombstone)

    def undo(self, folder: UUID, *, by: str, why: str) -> Tombstone:
        """Bring a folder back that was deleted or archived.

        Raises:
            FolderStateError: it is not put away, or not since lately.
            FolderBusyError, FolderDamagedError, StorageError, DatabaseError: as for `archive`.
        """
        with self.database.connection() as connection:
            tombstone = open_tombstone(connection, folder)
            if tombstone is None:
                last = last_tombstone(connection, folder)
                gone = (
                    f"was deleted on {last.at:%Y-%m-%d} and is gone" if last and last.purged_at else "is not put away"
                )
                raise FolderStateError(f"the folder {last.name if last else folder} {gone}")
            if tombstone.action is PutAway.DELETED:
                undo_deleting(connection, tombstone, by=by, why=why)
            else:
                if not (by.strip() and why.strip()):
                    raise ValueError("somebody brings a folder back for a reason")
                undoable(connection, tombstone)
                record_undoing(connection, tombstone.id, by=by, why=why)
            tombstone = tombstone_of(connection, tombstone.id)
        return tombstone if tombstone.action is PutAway.DELETED else self._bring_back(tombstone)

    # Archiving

    def _archive(self, tombstone: Tombstone) -> Tombstone:
        archive = tombstone.archive or ""
        self.blobs.ensure_container(archive)
        with self._alone(tombstone) as now:
            if now.moved_at is None and now.undone_by is None:
                self._move(now, lambda: self._copy_to_archive(now), point_at_archive)
        return self._cleaned(tombstone.id)

    def _copy_to_archive(self, tombstone: Tombstone) -> None:
        archive, source = tombstone.archive or "", tombstone.container

        def target(picture: KeptPicture) -> Move:
            return Move((source, picture.blob), (archive, picture.usual), picture.size, picture.sha256)

        with self.database.connection() as connection:
            pictures = (target(picture) for picture in pictures_of(connection, tombstone.picture_set_id))
            copy_verified(self.blobs, pictures, self._reporter(tombstone))
        self._copy_descriptions(tombstone, user_container(tombstone.owner_id), archive)

    def _copy_descriptions(self, tombstone: Tombstone, source: str, target: str) -> None:
        copy_verified(self.blobs, descriptions(self.blobs, tombstone.picture_set_id, source, target))

    def _bring_back(self, tombstone: Tombstone) -> Tombstone:
        with self._alone(tombstone) as now:
            if now.undone_at is None and now.moved_at is None:
                self.database.call(record_step, now.id, "undone_at")
            elif now.undone_at is None:
                self._move(now, lambda: self._copy_back(now), point_back)
        return self._cleaned(tombstone.id)

    def _copy_back(self, tombstone: Tombstone) -> None:
        archive, own = tombstone.archive or "", user_container(tombstone.owner_id)
        in_place = tombstone.container != own

        def move(picture: KeptPicture) -> Move:
            name = picture.source if in_place else picture.usual
            return Move((archive, picture.usual), (tombstone.container, name), picture.size, picture.sha256)

        with self.database.connection() as connection:
            moves = (move(picture) for picture in pictures_of(connection, tombstone.picture_set_id))
            if in_place:
                # The pipeline writes nothing into a container that was there before it: the pictures never left it.
                verify(self.blobs, moves)
            else:
                copy_verified(self.blobs, moves, self._reporter(tombstone))
        self._copy_descriptions(tombstone, archive, own)

    def _move(
        self, tombstone: Tombstone, copy: Callable[[], None], point: Callable[[Connection, Tombstone], None]
    ) -> None:
        """Copy a folder's blobs, and let its rows point there, if they are still those that were copied."""
        for _ in range(_ATTEMPTS):
            before = self.database.call(fingerprint, tombstone.picture_set_id)
            copy()
            with self._no_import(tombstone), self.database.connection() as connection:
                if tombstone_of(connection, tombstone.id).undone_at:
                    raise FolderStateError(f"the folder {tombstone.name} was imported again meanwhile")
                if fingerprint(connection, tombstone.picture_set_id) == before:
                    point(connection, tombstone)
                    return
        raise FolderBusyError(f"pictures keep coming into the folder {tombstone.name}; try again later")

    def _cleaned(self, number: int) -> Tombstone:
        """Remove what is left where the rows pointed before."""
        tombstone = self.database.call(tombstone_of, number)
        moved = tombstone.moved_at is not None and tombstone.undone_by is None
        if tombstone.cleaned_at is None and (moved or tombstone.undone_at is not None):
            left = user_container(tombstone.owner_id) if moved else (tombstone.archive or "")
            with self._no_import(tombstone):
                with self.database.connection() as connection:
                    known = open_tombstone(connection, tombstone.picture_set_id)
                    again = known is not None and known.id != number
                    points = container_of(connection, tombstone.picture_set_id)
                # Archived once more since: what lies in the archive is that.
                if points != left and not (again and not moved):
                    if points and not moved:
                        self._complete(tombstone.picture_set_id, left, points)
                    remove_all(self.blobs, left, tombstone.picture_set_id)
                with self.database.connection() as connection:
                    # Undone since it was read, by an import: then the archive is what is left, for the daily job.
                    if tombstone_of(connection, number).undone_at == tombstone.undone_at:
                        record_step(connection, number, "cleaned_at")
        return self.database.call(tombstone_of, number)

    def _complete(self, picture_set: UUID, source: str, target: str) -> None:
        """Copy what rows point at and is only where it was before: removing that would lose it."""
        with self.database.connection() as connection:
            moves = (
                Move((source, picture.usual), (target, picture.blob), picture.size, picture.sha256)
                for picture in pictures_of(connection, picture_set)
            )
            copy_verified(self.blobs, moves)

    # Purging

    def purge(self) -> Purged:
        """Remove deleted folders that nobody can bring back any more, and end what was interrupted.

        Raises:
            StorageError: storage does not answer; another call goes on.
            DatabaseError: the database does not answer.
        """
        purged = kept = finished = 0
        left: list[tuple[Tombstone, str]] = []
        for tombstone in self._pages(unfinished_tombstones):
            try:
                done = self._archive(tombstone) if tombstone.undone_by is None else self._bring_back(tombstone)
                finished += done.cleaned_at is not None
            except RefusedError as error:
                left.append((tombstone, str(error)))
        for tombstone in self._pages(due_tombstones):
            try:
                rows = self._purge(tombstone)
            except RefusedError as error:
                left.append((tombstone, str(error)))
            else:
                purged, kept = purged + (rows is not None), kept + (rows or 0)
        for tombstone, reason in left:
            log.warning("the folder %s of %s is left as it is: %s", tombstone.name, tombstone.owner, reason)
        return Purged(purged, kept, finished, tuple(left))

    def _pages(self, read: Callable[..., list[Tombstone]]) -> Iterator[Tombstone]:
        return pages_by_key(
            self.database,
            lambda connection, after: read(connection, after=after, most=_PAGE),
            first=0,
            key=lambda tombstone: tombstone.id,
        )

    def _purge(self, tombstone: Tombstone) -> int | None:
        """Remove a deleted folder's blobs, then its rows; None if it is wanted again."""
        with self._no_import(tombstone):
            with self.database.connection() as connection:
                if not begin_purging(connection, tombstone.id):
                    return None
                hide_blobs(connection, tombstone)
            # Pictures that lie where they were found are not the pipeline's to remove.
            remove_all(self.blobs, user_container(tombstone.owner_id), tombstone.picture_set_id)
            return self.database.call(remove_rows, tombstone)

    # One at a time

    @contextmanager
    def _alone(self, tombstone: Tombstone) -> Iterator[Tombstone]:
        """Hold a folder against other processes that move it, and read again how far it came."""
        busy = FolderBusyError(f"another process moves the folder {tombstone.name} right now")
        key = _FOLDER_LOCK.format(tombstone.picture_set_id)
        with self.database.connection() as held, session_lock(held, key, busy=busy):
            now = tombstone_of(held, tombstone.id)
            held.commit()
            yield now

    @contextmanager
    def _no_import(self, tombstone: Tombstone) -> Iterator[None]:
        """Keep imports of the user from beginning: one that finds a blob stored already lets its row point there."""
        with self.database.connection() as held:
            if not hold_imports(held, tombstone.owner_id):
                raise FolderBusyError(f"an import of {tombstone.owner}'s is under way; try again when it is done")
            yield

    def _reporter(self, tombstone: Tombstone) -> Callable[[int], None]:
        return lambda done: self.progress(done, tombstone.pictures)
