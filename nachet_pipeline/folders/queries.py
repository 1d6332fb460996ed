"""Folders as users know them, which are picture sets: what is in them, and putting them away."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from psycopg.rows import kwargs_row, tuple_row

from nachet_pipeline.database.audit import changing
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_column, fetch_value
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.folders.folder import Folder, FolderState
from nachet_pipeline.identifiers import archive_container, picture_blob, user_container
from nachet_pipeline.picture_sets.tombstones import (
    PutAway,
    Tombstone,
    create_tombstone,
    open_tombstone,
    record_step,
)
from nachet_pipeline.picture_sets.withdrawn_content import models_taught_by, record_tainted, withdrawing
from nachet_pipeline.users.queries import container_id, register_container
from nachet_pipeline.users.user import User

_PAGE = 1000
_OF_FOLDER = "p.picture_set_id = %(picture_set)s"


class UnknownFolderError(RefusedError, LookupError):
    """There is no such folder, or several are meant."""


class FolderStateError(RefusedError):
    """The state of a folder does not allow what was asked for."""


_FOLDERS = """
select s.id, s.name, s.owner_id, lower(u.email) as owner, coalesce(up.folder, found.name, '') as source,
    num_nonnulls(s.upload_id, s.mass_import_id) > 0 as imported, s.upload_date as uploaded_at, c.name as container,
    case when s.purged_at is not null then 'purged' when s.deleted_at is not null then 'deleted'
        when s.archived_at is not null then 'archived' else 'there' end as state,
    n.pictures, n.crops, n.bytes, n.verified
from picture_set s join users u on u.id = s.owner_id join container c on c.id = s.container_id
    left join upload up on up.id = s.upload_id
    left join mass_import m on m.id = s.mass_import_id left join container found on found.id = m.container_id
    cross join lateral (select count(*) filter (where p.parent is null) as pictures,
        count(*) filter (where p.parent is not null) as crops, coalesce(sum(p.size), 0)::bigint as bytes,
        count(*) filter (where p.parent is null and p.verified) as verified
        from pictures p where p.picture_set_id = s.id and p.superseded_at is null) n
"""


def _folder(state: str, **found: Any) -> Folder:
    return Folder(state=FolderState(state), **found)


def folders_of(connection: Connection, owner: UUID, *, put_away: bool = False) -> Iterator[Folder]:
    """A user's folders, the latest first, read as they are needed; those that are put away only if they are wanted."""
    condition = "" if put_away else " and s.deleted_at is null and s.archived_at is null"
    condition += " and s.superseded_at is null"
    with connection.cursor("folders", row_factory=kwargs_row(_folder)) as cursor:
        cursor.itersize = _PAGE
        cursor.execute(f"{_FOLDERS} where s.owner_id = %s{condition} order by s.upload_date desc, s.id", (owner,))
        yield from cursor


def folders_page(
    connection: Connection, owner: UUID | None, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Folder]:
    """Folders that are there, the latest first: those of a user, or everybody's.

    Args:
        connection: to the database.
        owner: whose; None: everybody's.
        after: when the last one of the page before was uploaded, and its identifier.
        limit: how many, at most.
    """
    where = ["s.deleted_at is null", "s.archived_at is null", "s.superseded_at is null"]
    where += ["s.owner_id = %s"] if owner else []
    where += ["(s.upload_date, s.id) < (%s, %s)"] if after else []
    query = f"{_FOLDERS} where {' and '.join(where)} order by s.upload_date desc, s.id desc limit %s"
    return fetch(connection, kwargs_row(_folder), query, (*([owner] if owner else []), *(after or ()), limit))


def find_folder(connection: Connection, wanted: str, user: User | None = None) -> Folder:
    """The folder that somebody names, by its identifier, or by its name or that of its upload among a user's.

    Raises:
        UnknownFolderError: there is none, or there are several.
    """
    try:
        identifier = UUID(wanted)
    except ValueError:
        identifier = None
    if identifier is None and user is None:
        raise UnknownFolderError(
            f"{wanted[:80]} is no identifier; give that of `nachet folder list`, or --user as well"
        )
    found = fetch(
        connection,
        kwargs_row(_folder),
        f"{_FOLDERS} where (%(id)s::uuid is null or s.id = %(id)s)"
        " and (%(owner)s::uuid is null or s.owner_id = %(owner)s)"
        " and (%(id)s::uuid is not null or (s.name = %(name)s or up.folder = %(name)s) and s.superseded_at is null)"
        " order by s.upload_date, s.id",
        {"id": identifier, "owner": user.id if user else None, "name": wanted},
    )
    if not found:
        raise UnknownFolderError(f"there is no folder {wanted[:80]}; `nachet folder list` names all of a user's")
    if len(found) > 1:
        which = ", ".join(str(folder.id) for folder in found[:5])
        raise UnknownFolderError(f"{wanted[:80]} means {len(found)} folders; name one by its identifier: {which}")
    return found[0]


def training_sets_of(connection: Connection, picture_set: UUID) -> list[str]:
    """The versions of training sets that have a picture of a folder, as `name@digest`."""
    return fetch_column(
        connection,
        "select distinct t.name || '@' || t.digest as version from pictures p"
        " join training_set_member m on m.picture_id = p.id join training_set t on t.id = m.training_set_id"
        " where p.picture_set_id = %s order by 1",
        (picture_set,),
    )


def models_of(connection: Connection, picture_set: UUID) -> list[str]:
    """The versions of models that a picture of a folder taught, as `NAME@VERSION`, champions first."""
    return [one.name for one in models_taught_by(connection, _OF_FOLDER, {"picture_set": picture_set})]


def _lock(connection: Connection, picture_set: UUID) -> Folder:
    """A folder, whose row nobody else changes until the transaction ends, and no training set takes up meanwhile.

    Raises:
        UnknownFolderError: it is not there any more.
    """
    withdrawing(connection)
    connection.execute("select from picture_set where id = %s for no key update", (picture_set,))
    return find_folder(connection, str(picture_set))


# Deleting


def delete_folder(connection: Connection, picture_set: UUID, *, by: str, why: str, undo_days: int) -> Tombstone:
    """Delete a folder: rows and blobs stay until that cannot be undone any more, and nothing shows or uses them.

    A folder that is deleted already keeps its first tombstone.

    Raises:
        UnknownFolderError: there is no such folder.
        FolderStateError: it is archived.
        ValueError: nobody deletes it, or for no reason.
    """
    _named(by, why)
    folder = _lock(connection, picture_set)
    known = open_tombstone(connection, picture_set)
    if known and known.action is PutAway.DELETED:
        return known
    if known or folder.state is not FolderState.THERE:
        raise FolderStateError(f"the folder {folder.name} is {known.action if known else folder.state}")
    # Picture sets of the same session, from earlier versions of the database, go with it.
    for earlier in _predecessors(connection, picture_set):
        delete_folder(connection, earlier, by=by, why=why, undo_days=undo_days)
    training_sets, models = training_sets_of(connection, picture_set), models_of(connection, picture_set)
    tombstone = create_tombstone(
        connection,
        picture_set=picture_set,
        action=PutAway.DELETED,
        by=by,
        why=why,
        undo_days=undo_days,
        archive=None,
        training_sets=training_sets,
        models=models,
    )
    note = {
        "why": why,
        "undo_until": tombstone.undo_until.isoformat(),
        "training_sets": training_sets,
        "models": models,
    }
    with changing(connection, actor=by, action="deleted", note=note):
        connection.execute("update picture_set set deleted_at = now() where id = %s", (picture_set,))
    if training_sets:
        record_tainted(connection, _OF_FOLDER, {"picture_set": picture_set}, why="deleted")
    return tombstone


def _predecessors(connection: Connection, picture_set: UUID) -> list[UUID]:
    """The superseded picture sets of a folder's session that are not deleted or archived."""
    return fetch_column(
        connection,
        "select s.id from picture_set s join picture_set live using (upload_id, session)"
        " where live.id = %s and live.superseded_at is null and s.superseded_at is not null"
        " and s.deleted_at is null and s.archived_at is null order by s.id",
        (picture_set,),
    )


def undo_deleting(connection: Connection, tombstone: Tombstone, *, by: str, why: str) -> None:
    """Restore a deleted folder.

    Raises:
        FolderStateError: that is not possible any more.
    """
    _named(by, why)
    _lock(connection, tombstone.picture_set_id)
    known = undoable(connection, tombstone)
    connection.execute(
        "update folder_tombstone set undone_by = %s, undone_why = %s, undone_at = now() where id = %s",
        (by, why, known.id),
    )
    with changing(connection, actor=by, action="restored", note={"why": why}):
        connection.execute("update picture_set set deleted_at = null where id = %s", (known.picture_set_id,))
    for earlier in _deleted_with(connection, known):
        undo_deleting(connection, earlier, by=by, why=why)


def _deleted_with(connection: Connection, tombstone: Tombstone) -> list[Tombstone]:
    """The open tombstones of superseded picture sets that were deleted together with a folder."""
    rows = fetch_column(
        connection,
        "select s.id from picture_set s join picture_set live using (upload_id, session)"
        " join folder_tombstone t on t.picture_set_id = s.id and t.at = %s"
        " where live.id = %s and live.superseded_at is null and s.superseded_at is not null"
        " and s.deleted_at is not null order by s.id",
        (tombstone.at, tombstone.picture_set_id),
    )
    found = (open_tombstone(connection, picture_set) for picture_set in rows)
    return [one for one in found if one]


def undoable(connection: Connection, tombstone: Tombstone) -> Tombstone:
    """The open tombstone of a folder, as it is now, if putting it away can be undone.

    Raises:
        FolderStateError: it cannot be undone, or it was.
    """
    now = cast(datetime, fetch_value(connection, "select now()"))
    known = open_tombstone(connection, tombstone.picture_set_id)
    if known is None or known.id != tombstone.id:
        raise FolderStateError(f"the folder {tombstone.name} is not put away any more")
    if known.undone_by is None and (known.purging_at or known.undo_until <= now):
        raise FolderStateError(
            f"the folder {known.name} was {known.action} on {known.at:%Y-%m-%d}; that could be undone until"
            f" {known.undo_until:%Y-%m-%d}"
        )
    return known


def _named(by: str, why: str) -> None:
    if not (by.strip() and why.strip()):
        raise ValueError("somebody puts a folder away, or brings it back, for a reason")


def remove_rows(connection: Connection, tombstone: Tombstone) -> int:
    """Remove the rows of a deleted folder whose blobs are removed.

    A picture that trainings used keeps a row, superseded and without its user's statements, so that a person can see
    what was trained on it; a mass-imported folder keeps its own, so that it is not found anew.

    Returns:
        How many pictures keep a row.
    """
    arguments = {"set": tombstone.picture_set_id}
    withdrawing(connection)
    connection.execute("create temp table kept (id uuid primary key) on commit drop")
    connection.execute(
        "with recursive used as (select p.id, p.parent from pictures p where p.picture_set_id = %(set)s"
        "  and exists (select from training_set_member m where m.picture_id = p.id)"
        " union select q.id, q.parent from pictures q join used on used.parent = q.id)"
        " insert into kept select distinct id from used",
        arguments,
    )
    going = (
        "select p.id from pictures p where p.picture_set_id = %(set)s"
        " and not exists (select from kept where kept.id = p.id)"
    )
    note = {"why": tombstone.why, "deleted_by": tombstone.by}
    with changing(connection, actor=tombstone.by, action="purged", note=note):
        connection.execute(f"delete from picture_seed where picture_id in ({going})", arguments)
        connection.execute(f"delete from pictures where id in ({going})", arguments)
        connection.execute(
            "delete from detection where picture_id in (select id from pictures where picture_set_id = %(set)s)",
            arguments,
        )
        # Not withdrawn, which would hold for its content for ever: who sends it again wants it used.
        connection.execute(
            "update pictures set picture = '{}', superseded_at = coalesce(superseded_at, now()), purged_at = now()"
            " where picture_set_id = %(set)s",
            arguments,
        )
        left = fetch_value(connection, "select count(*) from pictures where picture_set_id = %(set)s", arguments)
        kept = cast(int, left)
        gone = connection.execute(
            "delete from picture_set s where id = %(set)s and mass_import_id is null"
            " and not exists (select from pictures p where p.picture_set_id = s.id)",
            arguments,
        ).rowcount
        if not gone:
            connection.execute(
                "update picture_set set picture_set = '{}' where id = %(set)s and picture_set <> '{}'", arguments
            )
    record_step(connection, tombstone.id, "purged_at")
    return kept


def hide_blobs(connection: Connection, tombstone: Tombstone) -> None:
    """Record in a deleted folder's row that its blobs are being removed, so that no comparison misses them."""
    with changing(connection, actor=tombstone.by, action="purging", note={"why": tombstone.why}):
        connection.execute(
            "update picture_set set purged_at = now() where id = %s and purged_at is null and deleted_at is not null",
            (tombstone.picture_set_id,),
        )


# Archiving


def begin_archiving(connection: Connection, picture_set: UUID, *, by: str, why: str, undo_days: int) -> Tombstone:
    """Record that a folder goes to its owner's archive; one that is on its way already keeps its tombstone.

    Raises:
        UnknownFolderError: there is no such folder.
        FolderStateError: it is deleted, or its archiving is being undone.
        ValueError: nobody archives it, or for no reason.
    """
    _named(by, why)
    folder = _lock(connection, picture_set)
    known = open_tombstone(connection, picture_set)
    if known and known.action is PutAway.ARCHIVED and known.undone_by is None:
        return known
    if known or folder.state is not FolderState.THERE:
        raise FolderStateError(
            f"the folder {folder.name} is {'being brought back' if known and known.undone_by else folder.state}"
        )
    archive = archive_container(folder.owner_id)
    register_container(connection, archive, folder.owner_id)
    return create_tombstone(
        connection,
        picture_set=picture_set,
        action=PutAway.ARCHIVED,
        by=by,
        why=why,
        undo_days=undo_days,
        archive=archive,
        training_sets=training_sets_of(connection, picture_set),
        models=models_of(connection, picture_set),
    )


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A picture whose blob is brought elsewhere.

    Attributes:
        id: its identifier.
        blob: its blob now.
        usual: the name that the pipeline gives its blob.
        source: the path that it was found under.
        size: in bytes.
        sha256: in hexadecimal.
    """

    id: UUID
    blob: str
    usual: str
    source: str
    size: int
    sha256: str


def pictures_of(connection: Connection, picture_set: UUID) -> Iterator[KeptPicture]:
    """The pictures of a folder whose files there are, with what was cut from them, read as they are needed."""

    def kept(picture_format: str, **found: Any) -> KeptPicture:
        return KeptPicture(usual=picture_blob(picture_set, found["id"], picture_format), **found)

    with connection.cursor("pictures_of_folder", row_factory=kwargs_row(kept)) as cursor:
        cursor.itersize = _PAGE
        cursor.execute(
            "select id, blob, format as picture_format, size,"
            " coalesce(picture #>> '{image_data,source}', blob) as source,"
            " encode(sha256, 'hex') as sha256 from pictures"
            " where picture_set_id = %s and purged_at is null order by id",
            (picture_set,),
        )
        yield from cursor


def fingerprint(connection: Connection, picture_set: UUID) -> tuple[int, int]:
    """Number of a folder's pictures, and a number that changes with them: whether it is still what was copied."""
    (found,) = fetch(
        connection,
        tuple_row,
        "select count(*), coalesce(bit_xor(hashtextextended(id::text || blob, 0)), 0) from pictures"
        " where picture_set_id = %s",
        (picture_set,),
    )
    return found


_SUFFIX = "case format when 'TIFF' then '.tiff' when 'PNG' then '.png' else '.jpg' end"


def point_at_archive(connection: Connection, tombstone: Tombstone) -> None:
    """Point the rows of a folder at the archive, where all of it was verified."""
    note = {"why": tombstone.why, "undo_until": tombstone.undo_until.isoformat(), "container": tombstone.archive}
    with changing(connection, actor=tombstone.by, action="archived", note=note):
        _point(connection, tombstone, tombstone.archive or "", f"picture_set_id || '/' || id || {_SUFFIX}", "now()")
    record_step(connection, tombstone.id, "moved_at")


def point_back(connection: Connection, tombstone: Tombstone) -> None:
    """Point the rows of an archived folder back at its former place, where its pictures were verified again."""
    found = tombstone.container != user_container(tombstone.owner_id)
    blob = "coalesce(picture #>> '{image_data,source}', blob)" if found else "blob"
    note = {"why": tombstone.undone_why, "container": tombstone.container}
    with changing(connection, actor=tombstone.undone_by or "", action="restored", note=note):
        _point(connection, tombstone, tombstone.container, blob, "null")
    record_step(connection, tombstone.id, "undone_at")


def _point(connection: Connection, tombstone: Tombstone, container: str, blob: str, archived_at: str) -> None:
    connection.execute(
        f"update pictures set blob = {blob} where picture_set_id = %s and blob <> {blob}", (tombstone.picture_set_id,)
    )
    connection.execute(
        f"update picture_set set container_id = %s, archived_at = {archived_at} where id = %s",
        (container_id(container), tombstone.picture_set_id),
    )


def container_of(connection: Connection, picture_set: UUID) -> str | None:
    """The container that the rows of a folder point at, None if it has no rows, or no blobs any more."""
    name = fetch_value(
        connection,
        "select c.name from picture_set s join container c on c.id = s.container_id"
        " where s.id = %s and s.purged_at is null",
        (picture_set,),
    )
    return cast("str | None", name)


def sets_elsewhere(connection: Connection, picture_sets: list[UUID], container: str) -> list[tuple[UUID, str]]:
    """Those of some folders whose rows point at another container, each with it; the purged ones have none any more."""
    return fetch(
        connection,
        tuple_row,
        "select s.id, c.name from picture_set s join container c on c.id = s.container_id"
        " where s.id = any(%s) and c.name <> %s and s.purged_at is null order by s.id",
        (picture_sets, container),
    )


def put_away_sets(connection: Connection, picture_sets: list[UUID]) -> set[UUID]:
    """Those of some folders that are deleted or archived."""
    rows = fetch_column(
        connection,
        "select id from picture_set where id = any(%s) and (deleted_at is not null or archived_at is not null)",
        (picture_sets,),
    )
    return set(rows)
