"""Disagreements of storage and database: found by comparing in the database, kept in the table `drift`."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from psycopg.rows import class_row, kwargs_row, tuple_row

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.locks import session_lock
from nachet_pipeline.database.reading import fetch, fetch_column, fetch_value
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.identifiers import SUFFIXES
from nachet_pipeline.picture_sets.holding import HELD
from nachet_pipeline.storage.blobs import ListedBlob
from nachet_pipeline.uploads.queries import MAX_ATTEMPTS

_LOCK = "reconciliation of storage and database"
_PAGE = 500


class ReconciliationBusyError(RefusedError):
    """Another process compares or repairs right now."""


class DriftKind(StrEnum):
    """The kinds of disagreement between staging, storage and database."""

    MISSING_CONTAINER = "missing-container"
    """A registered container that is not in the account; in all likelihood it is another account than was meant."""
    MISSING_BLOB = "missing-blob"
    """A row, or a picture set's description, whose blob is not there."""
    ORPHAN_BLOB = "orphan-blob"
    """A stored blob that no row points at."""
    SIZE_MISMATCH = "size-mismatch"
    """A blob of another size than its row says."""
    CHECKSUM_MISMATCH = "checksum-mismatch"
    """A blob with another checksum than its row says, or one that was written over and so has none."""
    STAGED_WITHOUT_RECEIPT = "staged-without-receipt"
    """A staged folder that nobody answered."""
    RECEIPT_WITHOUT_ROWS = "receipt-without-rows"
    """A receipt that lists pictures that have no rows."""
    STALLED_UPLOAD = "stalled-upload"
    """An upload that a run should work on, and none does."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One disagreement.

    Attributes:
        kind: what is wrong.
        owner_id: the user concerned.
        container: where.
        name: the blob, or the staged folder.
        subject: identifier of the row concerned; empty if there is none.
        picture_id: the picture, if it is one.
        picture_set_id: the picture set, if it is known.
        upload_id: the upload, if it is known.
        size: expected, in bytes.
        sha256: expected, in hexadecimal.
        found_size: of the blob, in bytes.
        found_sha256: of the blob, in hexadecimal.
        version: ETag of the blob.
        modified: when the blob or the upload last changed.
        elsewhere: a blob under the name that the pipeline gives this picture.
        detail: what else there is to say.
        first_seen: since when it is known.
        number: orders what is kept.
    """

    kind: DriftKind
    owner_id: UUID
    container: str
    name: str
    subject: str = ""
    picture_id: UUID | None = None
    picture_set_id: UUID | None = None
    upload_id: UUID | None = None
    size: int | None = None
    sha256: str | None = None
    found_size: int | None = None
    found_sha256: str | None = None
    version: str | None = None
    modified: datetime | None = None
    elsewhere: str | None = None
    detail: str = ""
    first_seen: datetime | None = None
    number: int = 0


_NAMES = [field.name for field in fields(Drift)]
_KEPT = [name for name in _NAMES if name not in {"first_seen", "number"}]
_COLUMNS = ", ".join(_KEPT)
_OPEN = [name for name in _KEPT if name not in {"kind", "container", "name", "subject"}]
_SELECTED = ", ".join(f"drift.{name}" for name in _NAMES)
_KEEP = (
    " on conflict (kind, container, name, subject) do update set "
    + ", ".join(f"{name} = excluded.{name}" for name in _OPEN)
    + ", seen_at = excluded.seen_at, seen_by = excluded.seen_by"
)


def _drift(kind: str, **kept: Any) -> Drift:
    return Drift(DriftKind(kind), **kept)


@contextmanager
def reconciliation_lock(connection: Connection) -> Iterator[None]:
    """Keep other processes from comparing and repairing, for as long as the connection lives at most.

    Raises:
        ReconciliationBusyError: one does already.
    """
    busy = ReconciliationBusyError("another process compares storage and database right now; try again later")
    with session_lock(connection, _LOCK, busy=busy):
        yield


# Comparing one container


def containers_of(connection: Connection, owner: UUID) -> list[str]:
    """The containers that the rows of a user's pictures point into."""
    return fetch_column(
        connection,
        "select distinct c.name from picture_set s join container c on c.id = s.container_id"
        " where s.owner_id = %s order by 1",
        (owner,),
    )


def registered_containers(connection: Connection, owner: UUID) -> list[str]:
    """The containers that the database says a user has."""
    return fetch_column(connection, "select name from container where owner_id = %s order by 1", (owner,))


def begin_comparison(connection: Connection) -> datetime:
    """Begin a transaction that sees the rows as they are now, whatever is imported while blobs are listed.

    Blobs are stored before their rows: what has a row now has its blob in a listing that begins later.

    Returns:
        The database's time.
    """
    connection.execute("set transaction isolation level repeatable read")
    now = fetch_value(connection, "select now()")
    columns = "name text not null, size bigint not null, sha256 text, version text, modified timestamptz"
    connection.execute(f"create temp table listed ({columns}) on commit drop")
    connection.execute("create temp table found (like drift including defaults including identity) on commit drop")
    return cast(datetime, now)


def record_listing(connection: Connection, blobs: Iterable[ListedBlob]) -> int:
    """Put a listing beside the rows; in the database, because services sort names differently and it may be long.

    Returns:
        Number of blobs.
    """
    count = 0
    with (
        connection.cursor() as cursor,
        cursor.copy("copy listed (name, size, sha256, version, modified) from stdin") as copy,
    ):
        for blob in blobs:
            copy.write_row((blob.name, blob.size, blob.metadata.get("sha256"), blob.version, blob.modified))
            count += 1
    connection.execute("analyze listed")
    return count


_SUFFIX = "case p.format " + " ".join(f"when '{name}' then '{suffix}'" for name, suffix in SUFFIXES.items()) + " end"
_SETS = (
    "from picture_set s join container c on c.id = s.container_id"
    " where s.owner_id = %(owner)s and s.purged_at is null"
    " and (%(picture_set)s::uuid is null or s.id = %(picture_set)s)"
)

# Every kind of blob that rows account for. Those are `attested` whose checksum was kept in their metadata.
_KNOWN_BLOBS = f"""
select p.blob as name, p.size, encode(p.sha256, 'hex') as sha256, p.parent is null as attested,
    p.id as picture_id, s.id as picture_set_id, s.upload_id, p.id::text as subject,
    s.id || '/' || p.id || {_SUFFIX} as usual
  from pictures p join picture_set s on s.id = p.picture_set_id join container c on c.id = s.container_id
  where s.owner_id = %(owner)s and c.name = %(container)s and s.purged_at is null and p.purged_at is null
    and (%(picture_set)s::uuid is null or s.id = %(picture_set)s)
union all
select s.id || '/' || s.id || '.json', null, null, false, null, s.id, s.upload_id, s.id::text, null
  {_SETS} and c.name = %(container)s and %(own)s
union all
select s.picture_set #>> '{{audit_trail,manifest}}', null, null, false, null, s.id, s.upload_id, s.id::text, null
  {_SETS} and %(own)s and c.name not like 'archive-%%' and s.picture_set #>> '{{audit_trail,manifest}}' is not null
"""

# A corrected index.yaml makes another manifest beside the first: all of a picture set are kept.
_DESCRIBES_A_SET = r"""
exists (select from picture_set s where s.owner_id = %(owner)s and s.id::text = split_part(l.name, '/', 1)
  and split_part(l.name, '/', 2) ~ ('^' || s.id || '(\.[0-9a-f]{16}\.manifest\.jsonl|\.json)$'))
"""


def record_known(
    connection: Connection, owner: UUID, container: str, *, own: bool, picture_set: UUID | None = None
) -> int:
    """Put what rows say of a container beside its listing.

    Args:
        connection: where the listing is.
        owner: the user whose rows they are.
        container: the container.
        own: whether it is the user's own, where the pipeline alone writes.
        picture_set: the one picture set to look at.

    Returns:
        Number of pictures.
    """
    connection.execute(
        f"create temp table known on commit drop as {_KNOWN_BLOBS}",
        {"owner": owner, "container": container, "own": own, "picture_set": picture_set},
    )
    connection.execute("analyze known")
    return cast(int, fetch_value(connection, "select count(picture_id) from known"))


def find_bad_blobs(connection: Connection, owner: UUID, container: str) -> None:
    """Find rows without blob, and blobs of another size than their row says."""
    connection.execute(
        "insert into found (kind, owner_id, container, name, subject, picture_id, picture_set_id, upload_id, size,"
        " sha256, found_size, found_sha256, version, modified, elsewhere, seen_by)"
        f" select case when l.name is null then '{DriftKind.MISSING_BLOB}' else '{DriftKind.SIZE_MISMATCH}' end,"
        " %(owner)s, %(container)s, k.name, k.subject, k.picture_id, k.picture_set_id, k.upload_id, k.size,"
        " k.sha256, l.size, l.sha256, l.version, l.modified,"
        " (select e.name from listed e where l.name is null and e.name = k.usual and e.name <> k.name"
        "   and e.size = k.size limit 1), %(owner)s"
        " from known k left join listed l on l.name = k.name where l.name is null or l.size <> k.size",
        {"owner": owner, "container": container},
    )


def find_orphans(connection: Connection, owner: UUID, container: str, *, settled_before: datetime) -> int:
    """Find stored blobs that no row points at.

    Args:
        connection: where listing and rows are.
        owner: the user whose own container it is.
        container: the container.
        settled_before: younger ones may belong to an import that is under way.

    Returns:
        Number of blobs that are too young to judge.
    """
    parameters = {"owner": owner, "container": container, "settled_before": settled_before}
    orphans = (
        "from listed l where not exists (select from known k where k.name = l.name)"
        " and not exists (select from found f where f.elsewhere = l.name)"
        f" and not {_DESCRIBES_A_SET.strip()} and l.modified"
    )
    connection.execute(
        "insert into found (kind, owner_id, container, name, subject, found_size, found_sha256, version, modified,"
        f" seen_by) select '{DriftKind.ORPHAN_BLOB}', %(owner)s, %(container)s, l.name, '', l.size, l.sha256,"
        f" l.version, l.modified, %(owner)s {orphans} < %(settled_before)s",
        parameters,
    )
    return cast(int, fetch_value(connection, f"select count(*) {orphans} >= %(settled_before)s", parameters))


@dataclass(frozen=True, slots=True)
class ReadablePicture:
    """A picture whose blob is there and of the right size: its bytes are still to be compared."""

    name: str
    version: str
    size: int
    sha256: str
    picture_id: UUID
    picture_set_id: UUID
    upload_id: UUID | None


def readable_pictures(connection: Connection, *, own: bool, all_of_them: bool) -> Iterator[ReadablePicture]:
    """Pictures whose bytes are to be compared with their rows, read from the database as they are needed.

    Args:
        connection: where listing and rows are.
        own: whether the pipeline wrote the blobs itself, with their checksum as metadata.
        all_of_them: every picture; else those whose kept checksum differs, or is gone because a blob was written over.
    """
    with connection.cursor("readable_pictures", row_factory=class_row(ReadablePicture)) as cursor:
        cursor.execute(
            "select k.name, l.version, k.size, k.sha256, k.picture_id, k.picture_set_id, k.upload_id"
            " from known k join listed l on l.name = k.name where k.picture_id is not null and l.size = k.size"
            " and (%(all)s or l.sha256 is distinct from k.sha256 and (l.sha256 is not null or %(own)s and k.attested))",
            {"own": own, "all": all_of_them},
        )
        yield from cursor


def record_found(connection: Connection, drift: Drift) -> None:
    """Add a disagreement that was found otherwise to those of the comparison."""
    connection.execute(
        f"insert into found ({_COLUMNS}, seen_by) values ({', '.join(['%s'] * (len(_KEPT) + 1))})",
        [*_values(drift), drift.owner_id],
    )


def count_drift(connection: Connection) -> dict[DriftKind, int]:
    """How much the comparison found, by kind."""
    rows = fetch(connection, tuple_row, "select kind, count(*) from found group by kind")
    return {DriftKind(kind): number for kind, number in rows}


def keep_found(connection: Connection, run: UUID) -> None:
    """Keep what the comparison found, in its transaction."""
    connection.execute(
        f"insert into drift ({_COLUMNS}, seen_by, seen_at) select {_COLUMNS}, %s, clock_timestamp() from found"
        f" order by kind, name{_KEEP}",
        (run,),
    )


def _values(drift: Drift) -> list[object]:
    return [getattr(drift, name) for name in _KEPT]


def keep(connection: Connection, run: UUID, found: Iterable[Drift]) -> None:
    """Keep disagreements that were found outside of a comparison."""
    places = ", ".join(["%s"] * len(_KEPT))
    for drift in found:
        # One by one: what finds them may use the same connection.
        connection.execute(
            f"insert into drift ({_COLUMNS}, seen_by, seen_at) values ({places}, %s, clock_timestamp()){_KEEP}",
            [*_values(drift), run],
        )


def forget_settled(connection: Connection, owner: UUID, run: UUID) -> None:
    """Forget a user's disagreements that this reconciliation did not find again, or that lost their row meanwhile."""
    connection.execute("delete from drift where owner_id = %s and seen_by <> %s", (owner, run))
    # A folder that was deleted or archived while blobs were listed.
    connection.execute(
        "delete from drift where owner_id = %s and picture_set_id is not null and kind <> %s and not exists"
        " (select from picture_set s join container c on c.id = s.container_id where s.id = drift.picture_set_id"
        "  and (drift.container = c.name or drift.picture_id is null)"
        "  and (drift.picture_id is null or exists (select from pictures p where p.id = drift.picture_id)))",
        (owner, DriftKind.RECEIPT_WITHOUT_ROWS),
    )


# Uploads


def imports_under_way(connection: Connection, owner: UUID) -> bool:
    """Whether something is imported for a user, or will be by itself."""
    busy = fetch_value(
        connection,
        "select exists (select from upload where owner_id = %(owner)s and (state in ('queued', 'importing')"
        "  or state = 'failed' and attempts < %(attempts)s)) or exists (select from mass_import m"
        "  join container c on c.id = m.container_id where c.owner_id = %(owner)s and " + HELD.format("m.id") + ")",
        {"owner": owner, "attempts": MAX_ATTEMPTS},
    )
    return bool(busy)


@dataclass(frozen=True, slots=True)
class KnownFolder:
    """A staged folder as the database knows it: its upload, its state, and since when it is in that state."""

    folder: str
    upload: UUID
    state: str
    since: datetime
    waits: bool


def known_folders(connection: Connection, owner: UUID, patience_hours: int) -> dict[str, KnownFolder]:
    """A user's uploads by folder; `waits` is true of an unfinished one that has waited longer than these hours."""
    rows = fetch(
        connection,
        class_row(KnownFolder),
        "select folder, id as upload, state, greatest(first_seen, updated_at, queued_at) as since,"
        " state in ('staged', 'queued', 'importing')"
        " and greatest(first_seen, updated_at, queued_at) < now() - interval '1 hour' * %s as waits"
        " from upload where owner_id = %s",
        (patience_hours, owner),
    )
    return {known.folder: known for known in rows}


@dataclass(frozen=True, slots=True)
class ShortSet:
    """A picture set of which a receipt says that there are more pictures than have rows."""

    upload: UUID
    folder: str
    picture_set: UUID
    pictures: int
    rows: int


def short_sets(connection: Connection, owner: UUID, upload: UUID | None = None) -> list[ShortSet]:
    """Picture sets that receipts speak of and that have fewer rows than those say; those of one upload, or of all."""
    return fetch(
        connection,
        class_row(ShortSet),
        "select u.id as upload, u.folder, r.id as picture_set, r.pictures, n.rows from upload u,"
        " jsonb_to_recordset(u.receipt -> 'picture_sets') as r (id uuid, pictures bigint),"
        " lateral (select count(*) as rows from pictures p where p.picture_set_id = r.id and p.parent is null) as n"
        " where u.owner_id = %(owner)s and (%(upload)s::uuid is null or u.id = %(upload)s)"
        " and u.receipt ->> 'state' in ('imported', 'partly_imported', 'withdrawn') and n.rows < r.pictures"
        # A folder that was deleted, and is gone for good, misses nothing.
        " and (not exists (select from folder_tombstone t where t.picture_set_id = r.id and t.purged_at is not null)"
        "  or exists (select from picture_set s where s.id = r.id and s.deleted_at is null))"
        " order by u.folder, r.id",
        {"owner": owner, "upload": upload},
    )


def unheld_uploads(connection: Connection, uploads: Sequence[UUID]) -> set[UUID]:
    """Those of the uploads that no process works on right now, for it would hold a lock on them."""
    free = f"select id from upload where id = any(%s) and not {HELD.format('upload.id')}"
    return set(fetch_column(connection, free, (list(uploads),)))


# Kept disagreements


def drift_page(connection: Connection, after: int, *, owner: UUID) -> list[Drift]:
    """A user's next disagreements behind one, in the order in which they were first found."""
    return fetch(
        connection,
        kwargs_row(_drift),
        f"select {_SELECTED} from drift where owner_id = %s and number > %s order by number limit %s",
        (owner, after, _PAGE),
    )


@dataclass(frozen=True, slots=True)
class Tally:
    """Disagreements of one kind and user: how many, their bytes, and since when."""

    kind: DriftKind
    owner: str
    number: int
    size: int
    oldest: datetime


def _tally(kind: str, **counted: Any) -> Tally:
    return Tally(DriftKind(kind), **counted)


def tally(connection: Connection, owners: Sequence[UUID]) -> list[Tally]:
    """The kept disagreements of these users, counted by kind and user."""
    return fetch(
        connection,
        kwargs_row(_tally),
        "select kind, lower(users.email) as owner, count(*) as number,"
        " coalesce(sum(coalesce(found_size, size)), 0)::bigint as size, min(first_seen) as oldest"
        " from drift join users on users.id = owner_id where owner_id = any(%s) group by 1, 2 order by 1, 2",
        (list(owners),),
    )


def forget(connection: Connection, drift: Drift) -> None:
    """Forget a disagreement that was repaired."""
    connection.execute("delete from drift where number = %s", (drift.number,))


# Repairing


def spoken_for(connection: Connection, names: Sequence[tuple[str, UUID, UUID | None]]) -> set[str]:
    """Those of some blobs that a row points at, or whose name is that of a picture or picture set with a row.

    Args:
        connection: where to look.
        names: of each blob its name, and the picture set and picture whose identifiers are in the name.
    """
    rows = fetch_column(
        connection,
        "select b.name from unnest(%(names)s::text[], %(sets)s::uuid[], %(pictures)s::uuid[])"
        " as b (name, picture_set, picture) where exists (select from pictures p where p.id = b.picture)"
        " or exists (select from pictures p where p.picture_set_id = b.picture_set and p.blob = b.name)"
        " or b.picture is null and exists (select from picture_set s where s.id = b.picture_set)",
        {
            "names": [name for name, _, _ in names],
            "sets": [picture_set for _, picture_set, _ in names],
            "pictures": [picture for _, _, picture in names],
        },
    )
    return set(rows)


def relink(connection: Connection, drift: Drift) -> bool:
    """Point a picture's row at the blob of its usual name; False if the row is no longer what it was."""
    return bool(
        connection.execute(
            "update pictures set blob = %s where id = %s and blob = %s", (drift.elsewhere, drift.picture_id, drift.name)
        ).rowcount
    )


def queue_again(connection: Connection, upload: UUID) -> bool:
    """Queue an upload for the sensor once more; False if a run has it already."""
    return bool(
        connection.execute(
            "update upload set state = 'staged', batch = null, attempts = 0, updated_at = now() where id = %s"
            f" and clearing_at is null and state <> 'importing' and not {HELD.format('upload.id')}",
            (upload,),
        ).rowcount
    )


def record_of_set(connection: Connection, picture_set: UUID) -> dict[str, Any] | None:
    """The JSON of a picture set."""
    found = fetch_value(connection, "select picture_set from picture_set where id = %s", (picture_set,))
    return cast("dict[str, Any] | None", found)
