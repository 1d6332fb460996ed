"""The rows of uploads: what is staged, queued, importing and settled."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import kwargs_row, tuple_row
from psycopg.types.json import Jsonb

from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.locks import session_lock
from nachet_pipeline.database.reading import fetch, fetch_column
from nachet_pipeline.identifiers import partition_key, upload_id, uploads_of_partition
from nachet_pipeline.uploads.upload import SeenUpload, Upload

MAX_ATTEMPTS = 3
"""An upload whose runs failed this often in a row is left until its folder changes."""


_COLUMNS = (
    "upload.id, upload.owner_id, lower(users.email) as email, upload.folder, upload.state, upload.staged_digest,"
    " upload.batch, upload.run_id, upload.attempts, upload.accept_valid, upload.replace_wanted, upload.queued_at,"
    " upload.receipt,"
    " users.disabled_at is not null as owner_disabled"
)
_FROM = "from upload join users on users.id = upload.owner_id"


def _upload(*, owner_id: UUID, email: str, state: str, receipt: Mapping[str, object] | None, **row: Any) -> Upload:
    return Upload(
        owner=Owner(owner_id, email),
        state=State(state),
        receipt=Receipt.model_validate(receipt) if receipt else None,
        **row,
    )


def _select(connection: Connection, which: str, *parameters: object) -> list[Upload]:
    return fetch(connection, kwargs_row(_upload), f"select {_COLUMNS} {_FROM} where {which}", parameters)


def find_upload(connection: Connection, upload: UUID) -> Upload | None:
    """The upload with an identifier."""
    return next(iter(_select(connection, "upload.id = %s", upload)), None)


def upload_of_partition(connection: Connection, key: str) -> Upload | None:
    """The upload of a Dagster partition; None if no upload has it, as one that somebody added by hand."""
    try:
        first, last = uploads_of_partition(key)
    except ValueError:
        return None
    found = _select(connection, "upload.id between %s and %s", first, last)
    return next((upload for upload in found if upload.partition == key), None)


def unknown_partitions(connection: Connection, keys: Iterable[str]) -> list[str]:
    """Those of Dagster's partitions that no upload has, as somebody added them by hand."""
    ranges: dict[str, tuple[UUID, UUID] | None] = {}
    for key in keys:
        try:
            ranges[key] = uploads_of_partition(key)
        except ValueError:
            ranges[key] = None
    named = [both for both in ranges.values() if both]
    # The name counts too: a run finds no upload by an identifier under another name.
    known = fetch(
        connection,
        tuple_row,
        "select id, folder from upload join unnest(%s::uuid[], %s::uuid[]) as named (first, last)"
        " on id between first and last",
        [list(column) for column in zip(*named, strict=True)] or [[], []],
    )
    return sorted(ranges.keys() - {partition_key(upload, folder) for upload, folder in known})


def uploads_of_run(connection: Connection, run_id: str) -> list[Upload]:
    """The uploads that a run began to import and did not finish."""
    return _select(connection, "run_id = %s and state = 'importing' order by upload.id", run_id)


def uploads_settled_by(connection: Connection, run_id: str) -> list[Upload]:
    """The uploads that a run imported or refused.

    Without those that are due again anyway, and without those of which a session was deleted since: importing them
    once more would bring it back.
    """
    return _select(
        connection,
        "run_id = %s and state in ('imported', 'partly_imported', 'refused')"
        " and staged_digest is not null and not exists (select from picture_set s where s.upload_id = upload.id"
        " and s.deleted_at is not null) order by upload.id",
        run_id,
    )


def uploads_of_batch(connection: Connection, batch: str) -> list[Upload]:
    """The uploads of a run request whose import has not begun."""
    return _select(connection, "batch = %s and state = 'queued' order by upload.id", batch)


@dataclass(frozen=True, slots=True)
class FolderName:
    """A folder at the top of a user's upload container."""

    owner: UUID
    folder: str


@dataclass(frozen=True, slots=True)
class PendingFolder:
    """A staged folder that may be waiting for a run.

    Attributes:
        name: its owner and its name.
        known: its upload, None if it was never seen.
        checked_at: when it was last looked at, None if it was never seen.
    """

    name: FolderName
    known: Upload | None
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class SettledUpload:
    """A staged folder whose import has ended.

    Attributes:
        upload: its upload.
        overdue: time since the last look, divided by the time since the last change; the higher, the sooner it should
            be looked at again.
    """

    upload: Upload
    overdue: float


_STAGED = "unnest(%s::uuid[], %s::text[]) as staged (owner_id, folder)"
_MINUTES = "interval '1 minute' * %s"
_ANY_STATE = ", ".join(f"'{state}'" for state in State)
_ENDED = "upload.state in ({})".format(", ".join(f"'{state}'" for state in State if state.has_ended))


def _columns(names: Sequence[FolderName]) -> tuple[list[UUID], list[str]]:
    return [name.owner for name in names], [name.folder for name in names]


def pending_folders(connection: Connection, names: Sequence[FolderName], *, limit: int) -> list[PendingFolder]:
    """The staged folders that may be waiting for a run: never seen, staged, or failed and due for a retry.

    A folder that was never seen has no upload yet. At most `limit` of each user, never seen ones first, then those
    whose last look is longest ago.
    """
    return fetch(
        connection,
        kwargs_row(_pending_folder),
        f"select * from (select staged.owner_id as staged_owner, staged.folder as staged_folder, {_COLUMNS},"
        " upload.checked_at, row_number() over"
        " (partition by staged.owner_id order by upload.checked_at nulls first, staged.folder) as place"
        f" from {_STAGED} left join upload on upload.owner_id = staged.owner_id and upload.folder = staged.folder"
        " left join users on users.id = upload.owner_id"
        " where upload.id is null or upload.state = 'staged' or (upload.state = 'failed'"
        # Most first failures are a service that was away for a moment: retry soon, and then after minutes.
        " and upload.attempts < %s"
        " and upload.updated_at < now() - interval '10 seconds' * power(24, upload.attempts - 1))"
        ") as pending where place <= %s order by place",
        (*_columns(names), MAX_ATTEMPTS, limit),
    )


def _pending_folder(
    *, staged_owner: UUID, staged_folder: str, checked_at: datetime | None, place: int, **row: Any
) -> PendingFolder:
    return PendingFolder(FolderName(staged_owner, staged_folder), _upload(**row) if row["id"] else None, checked_at)


def settled_uploads(connection: Connection, names: Sequence[FolderName], *, limit: int) -> list[SettledUpload]:
    """The staged folders whose import has ended, the most overdue for another look first.

    The longer a folder has not changed, the longer it may wait for the next look: a folder that was settled an hour ago
    is more likely to be corrected than one of last year. At most `limit` imported folders, and as many others, so that
    neither crowd out the other.
    """
    return fetch(
        connection,
        kwargs_row(_settled_upload),
        "select * from"
        " (select *, row_number() over (partition by state = 'imported' order by overdue desc, id) as place"
        f" from (select {_COLUMNS}, extract(epoch from now() - upload.checked_at)::float8"
        # Ten minutes more, or what was settled a moment ago would come before everything else.
        " / extract(epoch from now() - upload.updated_at + interval '10 minutes')::float8 as overdue"
        f" {_FROM} join {_STAGED} on staged.owner_id = upload.owner_id and staged.folder = upload.folder"
        f" where {_ENDED} and (upload.state <> 'failed' or upload.attempts >= %s) and upload.clearing_at is null"
        " and users.disabled_at is null) as settled) as placed where place <= %s order by overdue desc",
        (*_columns(names), MAX_ATTEMPTS, limit),
    )


def _settled_upload(*, overdue: float, place: int, **row: Any) -> SettledUpload:
    return SettledUpload(_upload(**row), overdue)


def active_owners(connection: Connection, *, minutes: int) -> set[UUID]:
    """The users of whom something moves.

    They have a folder whose state changed within these minutes, or an unfinished one that was looked at within them. It
    is looked at as long as it is staged.
    """
    found = fetch_column(
        connection,
        f"select distinct owner_id from upload where state in ({_ANY_STATE}) and updated_at > now() - {_MINUTES}"
        f" or state = 'staged' and checked_at > now() - {_MINUTES}",
        (minutes, minutes),
    )
    return set(found)


def uploads_with_receipt(connection: Connection, names: Sequence[FolderName], *, limit: int) -> list[Upload]:
    """The staged folders that the database has a receipt for; at most `limit` of each user, chosen at random."""
    return _select(
        connection,
        "upload.id in (select id from"
        " (select upload.id, row_number() over (partition by upload.owner_id order by random()) as place"
        f" from upload join {_STAGED} on staged.owner_id = upload.owner_id and staged.folder = upload.folder"
        f" where upload.receipt is not null and {_ENDED}) as bare where place <= %s)",
        *_columns(names),
        limit,
    )


def waiting_batches(connection: Connection, *, minutes: int) -> list[str]:
    """The run requests that an upload has waited for longer than these minutes."""
    return fetch_column(
        connection,
        "select distinct batch from upload where state = 'queued' and queued_at < now() - interval '1 minute' * %s",
        (minutes,),
    )


def abandoned_uploads(connection: Connection) -> list[Upload]:
    """The uploads that a run began to import and that no process works on any more.

    A run holds a lock on its upload for as long as its process lives, so this does not depend on a timeout.
    """
    return _select(
        connection,
        "state = 'importing' and upload.updated_at < now() - interval '1 minute'"
        " and not exists (select from pg_locks where locktype = 'advisory' and granted"
        " and database = (select oid from pg_database where datname = current_database())"
        " and (classid::bigint << 32 | objid::bigint) = hashtextextended(upload.id::text, 0))",
    )


def see_upload(connection: Connection, owner: Owner, folder: str) -> Upload:
    """Record that a folder is staged, or find its upload."""
    (upload,) = see_uploads(connection, [FolderName(owner.id, folder)])
    return upload


def see_uploads(connection: Connection, names: Sequence[FolderName]) -> list[Upload]:
    """Record that folders are staged, or find their uploads; in the same order."""
    identifiers = [upload_id(name.owner, name.folder) for name in names]
    connection.execute(
        "insert into upload (id, owner_id, folder, state)"
        " select id, owner_id, folder, 'staged' from unnest(%s::uuid[], %s::uuid[], %s::text[])"
        " as staged (id, owner_id, folder) on conflict (id) do nothing",
        (identifiers, *_columns(names)),
    )
    found = {upload.id: upload for upload in _select(connection, "upload.id = any(%s)", identifiers)}
    if missing := next((one for one in identifiers if one not in found), None):
        raise LookupError(f"the upload {missing} was not found right after being noted")
    return [found[one] for one in identifiers]


def record_wishes(connection: Connection, upload: UUID, *, accept_valid: bool, replace: bool) -> bool:
    """Record how the uploader wants an upload to be treated.

    A changed wish makes the folder due again, even if nothing else changed.

    Args:
        connection: to the database.
        upload: the upload.
        accept_valid: whether to import sessions without errors although others are refused.
        replace: whether the next import removes stored pictures that the sessions do not hold any more.

    Returns:
        Whether the wish is another one than before.
    """
    changed = connection.execute(
        "update upload set accept_valid = %(valid)s, replace_wanted = %(replace)s, staged_digest = null"
        " where id = %(upload)s and (accept_valid, replace_wanted) <> (%(valid)s, %(replace)s)",
        {"upload": upload, "valid": accept_valid, "replace": replace},
    )
    return bool(changed.rowcount)


def unchanged_since_read(connection: Connection, uploads: Sequence[Upload]) -> set[UUID]:
    """The uploads that did not change since they were read, and whose folders are not being cleared."""
    unchanged = fetch_column(
        connection,
        "select upload.id from upload join unnest(%s::uuid[], %s::text[]) as was (id, digest) on was.id = upload.id"
        " where upload.staged_digest is not distinct from was.digest and upload.clearing_at is null",
        ([upload.id for upload in uploads], [upload.staged_digest for upload in uploads]),
    )
    return set(unchanged)


def mark_checked(connection: Connection, uploads: Sequence[UUID]) -> None:
    """Record that folders were looked at and nothing was due."""
    connection.execute("update upload set checked_at = now() where id = any(%s)", (list(uploads),))


def mark_queued(connection: Connection, batch: str, staged_digests: Mapping[UUID, str]) -> None:
    """Record that a run is requested for uploads; a folder that changed gets all its attempts again."""
    connection.execute(
        "update upload set state = 'queued', batch = %s, queued_at = now(), updated_at = now(), checked_at = now(),"
        " attempts = case when staged_digest is distinct from digest then 0 else attempts end, staged_digest = digest"
        " from unnest(%s::uuid[], %s::text[]) as seen (id, digest) where upload.id = seen.id",
        (batch, list(staged_digests), list(staged_digests.values())),
    )


def requeue_batch(connection: Connection, batch: str) -> None:
    """Let the uploads of a request that never became a run be requested again."""
    connection.execute(
        "update upload set state = 'staged', batch = null, updated_at = now() where state = 'queued' and batch = %s",
        (batch,),
    )


def split_batch(connection: Connection, batch: str, order: Mapping[str, int]) -> list[list[Upload]]:
    """Let the uploads that a dead run had not begun to import be requested again, in two halves.

    They use up no attempt. After some halvings, the upload that the run died of is in a batch of its own.

    Args:
        connection: to the database.
        batch: the run request.
        order: the positions of partitions in Dagster's order; a run takes a range of them.

    Returns:
        The halves.
    """
    waiting = sorted(uploads_of_batch(connection, batch), key=lambda one: order.get(one.partition, len(order)))
    half = (len(waiting) + 1) // 2
    halves = [uploads for uploads in (waiting[:half], waiting[half:]) if uploads]
    for number, uploads in enumerate(halves, start=1):
        connection.execute(
            "update upload set state = 'staged', batch = %s, updated_at = now()"
            " where state = 'queued' and batch = %s and id = any(%s)",
            (f"{batch}/{number}", batch, [upload.id for upload in uploads]),
        )
    return halves


def mark_importing(connection: Connection, upload: UUID, run_id: str) -> None:
    """Record that a run begins to import an upload."""
    connection.execute(
        "update upload set state = 'importing', run_id = %s, updated_at = now() where id = %s", (run_id, upload)
    )


def keep_upload(connection: Connection, upload: UUID, run_id: str) -> bool:
    """Lock an upload's row until the transaction ends; returns whether the upload is still this run's.

    A run whose connection was cut has lost its lock, and another run may have begun.
    """
    row = connection.execute("select run_id from upload where id = %s for update", (upload,)).fetchone()
    return row is not None and row["run_id"] == run_id


def keep_unless_changed(connection: Connection, upload: Upload) -> bool:
    """Lock an upload's row until the transaction ends; returns whether state and run are as they were read."""
    row = connection.execute("select state, run_id from upload where id = %s for update", (upload.id,)).fetchone()
    return row is not None and (row["state"], row["run_id"]) == (upload.state, upload.run_id)


def ask_for_it_alone(connection: Connection, upload: UUID) -> None:
    """Let the next run of an upload take no other upload, because its last run died."""
    connection.execute(
        "update upload set batch = coalesce(split_part(batch, '/', 1), '') || '/0' where id = %s", (upload,)
    )


def record_receipt(connection: Connection, receipt: Receipt) -> None:
    """Record a receipt of an upload whose state stays as it is."""
    connection.execute(
        "update upload set receipt = %s where id = %s", (Jsonb(receipt.model_dump(mode="json")), receipt.upload)
    )


def lock_receipt(connection: Connection, upload: UUID) -> Receipt | None:
    """The receipt of an imported upload, whose row is locked until the transaction ends; None if it is not imported."""
    row = connection.execute(
        "select receipt from upload where id = %s and state in ('imported', 'partly_imported')"
        " and receipt ->> 'state' = state for update",
        (upload,),
    ).fetchone()
    return Receipt.model_validate(row["receipt"]) if row else None


def close_upload(connection: Connection, receipt: Receipt, *, away: bool = False) -> None:
    """Record how an import ended, with its receipt. An import that failed before it began uses up no attempt.

    Args:
        connection: to the database.
        receipt: how it ended.
        away: whether it failed because a service was unavailable; that never uses up the last attempt.
    """
    connection.execute(
        "update upload set state = %s, receipt = %s, content_digest = %s, updated_at = now(), checked_at = now(),"
        " attempts = case when %s <> 'failed' then 0 when %s then least(attempts + (state = 'importing')::int, %s)"
        " else attempts + (state = 'importing')::int end,"
        # The wish was for this import; what is staged later may be an addition.
        " replace_wanted = replace_wanted and %s not in ('imported', 'partly_imported') where id = %s",
        (
            receipt.state,
            Jsonb(receipt.model_dump(mode="json")),
            receipt.content_digest,
            receipt.state,
            away,
            MAX_ATTEMPTS - 1,
            receipt.state,
            receipt.upload,
        ),
    )


def record_staged_digest(connection: Connection, upload: UUID, digest: str) -> None:
    """Record what the folder of an upload is now; it is due again when it is something else."""
    connection.execute("update upload set staged_digest = %s where id = %s", (digest, upload))


def look_again(connection: Connection, upload: UUID) -> None:
    """Make a folder due again, although nothing in it changed."""
    connection.execute("update upload set staged_digest = null where id = %s", (upload,))


def look_again_at_unknown_species(connection: Connection) -> int:
    """Make those folders due again that named a species which was not registered before others were loaded.

    Whoever loaded them: `nachet db upgrade` does, and commands of this machine.

    Returns:
        How many there are.
    """
    return connection.execute(
        "update upload set staged_digest = null where state in ('refused', 'partly_imported')"
        " and staged_digest is not null and (receipt #> '{report,codes}')::jsonb ? 'unregistered-seed'"
        " and updated_at <= (select loaded_at from registry_source)"
    ).rowcount


@contextmanager
def upload_lock(connection: Connection, upload: UUID) -> Iterator[None]:
    """Lock an upload against other runs, at most for as long as the connection lives.

    It waits for a run that holds the lock: two runs of one upload run one after the other.
    """
    with session_lock(connection, str(upload)):
        yield


def search_uploads(connection: Connection, text: str | None, *, limit: int = 20) -> list[Upload]:
    """Uploads with this identifier, partition or folder; without a text, those that changed last."""
    if text and "~" in text:
        try:
            found = upload_of_partition(connection, text)
        except ValueError:
            found = None
        if found:
            return [found]
    where = "upload.id::text = %s or folder = %s" if text else "true"
    parameters = (text, text, limit) if text else (limit,)
    return _select(connection, f"{where} order by upload.updated_at desc limit %s", *parameters)


def uploads_page(
    connection: Connection,
    *,
    owner: UUID | None = None,
    state: State | None = None,
    since: datetime | None = None,
    named: str | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[SeenUpload]:
    """Uploads, those that were seen first last; when one was first seen does not change, so no page misses one.

    Args:
        connection: to the database.
        owner: whose; None: everybody's.
        state: in which state; None: in any.
        since: those alone that changed then or later.
        named: those alone with this identifier, partition or folder.
        after: when the last one of the page before was first seen, and its identifier.
        limit: how many, at most.
    """
    where, given = _chosen(owner=owner, state=state, since=since)
    if named is not None:
        partition = upload_of_partition(connection, named) if "~" in named else None
        where += " and (upload.id::text = %s or upload.folder = %s)"
        given += [str(partition.id) if partition else named, named]
    if after is not None:
        where += " and (upload.first_seen, upload.id) < (%s, %s)"
        given += after
    return fetch(
        connection,
        kwargs_row(_seen),
        "select upload.id, lower(users.email) as owner, upload.folder, upload.state, upload.first_seen,"
        f" upload.queued_at, upload.updated_at {_FROM} where {where}"
        " order by upload.first_seen desc, upload.id desc limit %s",
        (*given, limit),
    )


def _seen(*, state: str, **row: Any) -> SeenUpload:
    return SeenUpload(state=State(state), **row)


def uploads_by_state(
    connection: Connection, *, owner: UUID | None = None, since: datetime | None = None
) -> dict[State, int]:
    """How many uploads are in each state that one is in, in the order of the states; see `uploads_page`."""
    where, given = _chosen(owner=owner, since=since)
    rows = fetch(
        connection, tuple_row, f"select upload.state, count(*) from upload where {where} group by upload.state", given
    )
    found = {State(state): int(number) for state, number in rows}
    return {state: found[state] for state in State if state in found}


def _chosen(
    *, owner: UUID | None = None, state: State | None = None, since: datetime | None = None
) -> tuple[str, list[object]]:
    """The condition that chooses uploads, and its parameters."""
    conditions = {"upload.owner_id = %s": owner, "upload.state = %s": state, "upload.updated_at >= %s": since}
    chosen = {condition: value for condition, value in conditions.items() if value is not None}
    return " and ".join(("true", *chosen)), list(chosen.values())
