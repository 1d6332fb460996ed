"""Tombstones: the record of each folder that was deleted, or archived for training."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.users.queries import container_id


class PutAway(StrEnum):
    """How a folder was put away."""

    DELETED = "deleted"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The record of a folder that was put away, and how far that came.

    Attributes:
        id: its number.
        picture_set_id: the folder.
        owner_id: whose it is.
        owner: their e-mail address then.
        name: the folder's.
        action: what was done.
        by: who did it.
        why: the reason.
        at: when.
        undo_until: until when it can be undone.
        container: where the pictures were.
        archive: where archived ones go; None of a deleted folder.
        pictures: how many whole ones there were.
        bytes: of their files and those cut from them.
        training_sets: versions of training sets that have one of them, as `name@digest`.
        models: versions of models that one of them taught, as `NAME@VERSION`.
        moved_at: when the rows came to point at the archive.
        purging_at: when removing the blobs of a deleted folder began: it cannot be undone any more.
        purged_at: when all was removed.
        undone_at: when it was undone.
        undone_by: who undoes it; known before it is undone.
        undone_why: the reason.
        cleaned_at: when nothing was left any more where the pictures were before.
    """

    id: int
    picture_set_id: UUID
    owner_id: UUID
    owner: str
    name: str
    action: PutAway
    by: str
    why: str
    at: datetime
    undo_until: datetime
    container: str
    archive: str | None
    pictures: int
    bytes: int
    training_sets: tuple[str, ...]
    models: tuple[str, ...]
    moved_at: datetime | None
    purging_at: datetime | None
    purged_at: datetime | None
    undone_at: datetime | None
    undone_by: str | None
    undone_why: str | None
    cleaned_at: datetime | None


_COLUMNS = ", ".join(Tombstone.__dataclass_fields__)


def _tombstone(row: dict[str, Any]) -> Tombstone:
    taught = {name: tuple(row[name]) for name in ("training_sets", "models")}
    return Tombstone(**row | taught | {"action": PutAway(row["action"])})


def _read(connection: Connection, rest: str, *arguments: object) -> list[Tombstone]:
    rows = connection.execute(f"select {_COLUMNS} from folder_tombstone {rest}", arguments)
    return [_tombstone(row) for row in rows]


def open_tombstone(connection: Connection, picture_set: UUID) -> Tombstone | None:
    """The tombstone of a folder that is put away now, None if it is not."""
    found = _read(connection, "where picture_set_id = %s and undone_at is null and purged_at is null", picture_set)
    return found[0] if found else None


def last_tombstone(connection: Connection, picture_set: UUID) -> Tombstone | None:
    """The latest tombstone of a folder, even if it was undone or all of the folder is gone."""
    found = _read(connection, "where picture_set_id = %s order by id desc limit 1", picture_set)
    return found[0] if found else None


def tombstone_of(connection: Connection, number: int) -> Tombstone:
    """The tombstone of a number.

    Raises:
        LookupError: there is none.
    """
    for found in _read(connection, "where id = %s", number):
        return found
    raise LookupError(f"there is no tombstone {number}")


def due_tombstones(connection: Connection, *, after: int, most: int) -> list[Tombstone]:
    """Deleted folders that nobody can bring back any more and that are not removed yet, by number."""
    return _read(
        connection,
        "where action = 'deleted' and undone_at is null and purged_at is null"
        " and (undo_until <= now() or purging_at is not null) and id > %s order by id limit %s",
        after,
        most,
    )


def unfinished_tombstones(connection: Connection, *, after: int, most: int) -> list[Tombstone]:
    """Folders of which archiving, or undoing it, was interrupted, by number."""
    return _read(
        connection, "where action = 'archived' and cleaned_at is null and id > %s order by id limit %s", after, most
    )


def create_tombstone(
    connection: Connection,
    *,
    picture_set: UUID,
    action: PutAway,
    by: str,
    why: str,
    undo_days: int,
    archive: str | None,
    training_sets: Sequence[str],
    models: Sequence[str],
) -> Tombstone:
    """Record that a folder is put away, in the transaction that does it."""
    row = connection.execute(
        "insert into folder_tombstone (picture_set_id, owner_id, owner, name, action, by, why, undo_until, container,"
        " archive, pictures, bytes, training_sets, models)"
        " select s.id, s.owner_id, lower(u.email), s.name, %(action)s, %(by)s, %(why)s,"
        " now() + interval '1 day' * %(days)s, c.name, %(archive)s, n.pictures, n.bytes, %(training_sets)s, %(models)s"
        " from picture_set s join users u on u.id = s.owner_id join container c on c.id = s.container_id,"
        " lateral (select count(*) filter (where p.parent is null) as pictures,"
        "  coalesce(sum(p.size), 0)::bigint as bytes from pictures p where p.picture_set_id = s.id) n"
        f" where s.id = %(picture_set)s returning {_COLUMNS}",
        {
            "picture_set": picture_set,
            "action": action.value,
            "by": by,
            "why": why,
            "days": undo_days,
            "archive": archive,
            "training_sets": list(training_sets),
            "models": list(models),
        },
    ).fetchone()
    if row is None:
        raise LookupError(f"there is no picture set {picture_set}")
    return _tombstone(row)


def record_step(
    connection: Connection, tombstone: int, step: Literal["moved_at", "purged_at", "undone_at", "cleaned_at"]
) -> None:
    """Record that a step is done now; see `Tombstone`."""
    connection.execute(f"update folder_tombstone set {step} = now() where id = %s", (tombstone,))


def record_undoing(connection: Connection, tombstone: int, *, by: str, why: str) -> None:
    """Record who undoes it, before it is done; the first who asks is named."""
    connection.execute(
        "update folder_tombstone set undone_by = %s, undone_why = %s, cleaned_at = null"
        " where id = %s and undone_by is null",
        (by, why, tombstone),
    )


def begin_purging(connection: Connection, tombstone: int) -> bool:
    """Record that the blobs of a deleted folder are about to be removed; False if it is wanted again, or too early."""
    return bool(
        connection.execute(
            "update folder_tombstone set purging_at = coalesce(purging_at, now()) where id = %s and action = 'deleted'"
            " and undone_at is null and purged_at is null and (undo_until <= now() or purging_at is not null)",
            (tombstone,),
        ).rowcount
    )


def bring_back(connection: Connection, picture_sets: Sequence[UUID], container: str) -> None:
    """Let folders that are imported again be there again, if they were put away: who sends pictures wants them kept.

    Args:
        connection: in whose transaction they are imported; `changing` says by whom.
        picture_sets: the folders.
        container: where their pictures were stored now.
    """
    sets = list(picture_sets)
    connection.execute(
        "update picture_set set deleted_at = null, archived_at = null, purged_at = null, container_id = %s"
        " where id = any(%s) and (deleted_at is not null or archived_at is not null)",
        (container_id(container), sets),
    )
    # What an archive has of them is removed as after an undo.
    connection.execute(
        "update folder_tombstone set undone_at = now(), undone_by = coalesce(undone_by, 'import'),"
        " undone_why = coalesce(undone_why, 'it was imported again'), cleaned_at = null"
        " where picture_set_id = any(%s) and undone_at is null and purged_at is null",
        (sets,),
    )
