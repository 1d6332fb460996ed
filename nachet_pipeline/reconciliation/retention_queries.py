"""Which uploads are old enough for their staged folder or their partition to be cleared, and what was cleared."""

from datetime import datetime
from typing import cast
from uuid import UUID

from psycopg.rows import tuple_row

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_column, fetch_value
from nachet_pipeline.events.event import VERDICTS
from nachet_pipeline.uploads.queries import find_upload
from nachet_pipeline.uploads.upload import Upload

_FINISHED = "(receipt ->> 'finished_at')::timestamptz"
# Its folder is gone, and nothing was staged under its name since.
_CLEARED = "state in ('imported', 'withdrawn') and clearing_at is null and cleared_at >= updated_at"


def folders_to_clear(connection: Connection, before: datetime, *, after: UUID, most: int) -> list[UUID]:
    """The next uploads, by identifier, imported as a whole or withdrawn before a moment, that may be staged still.

    Args:
        connection: where to look.
        before: the moment.
        after: behind this upload.
        most: how many at most.
    """
    return fetch_column(
        connection,
        "select id from upload where state in ('imported', 'withdrawn') and receipt ->> 'state' = state"
        f" and {_FINISHED} < %(before)s and (cleared_at is null or cleared_at < updated_at or clearing_at is not null)"
        " and id > %(after)s order by id limit %(most)s",
        {"before": before, "after": after, "most": most},
    )


def clearing_since(connection: Connection, upload: UUID) -> datetime | None:
    """When the clearing of an upload's folder began, None if it did not."""
    begun = fetch_value(connection, "select clearing_at from upload where id = %s", (upload,))
    return cast("datetime | None", begun)


def places_of_sets(connection: Connection, picture_sets: list[UUID]) -> list[tuple[UUID, str]]:
    """These picture sets, each with the container of its pictures."""
    return fetch(
        connection,
        tuple_row,
        "select s.id, c.name from picture_set s join container c on c.id = s.container_id where s.id = any(%s)"
        " order by s.id",
        (picture_sets,),
    )


def begin_clearing(connection: Connection, upload: UUID) -> bool:
    """Record that an upload's folder is about to be cleared: the sensor then leaves it alone.

    Returns:
        False if it is not an imported or withdrawn one any more.
    """
    return bool(
        connection.execute(
            "update upload set clearing_at = now() where id = %s and state in ('imported', 'withdrawn')", (upload,)
        ).rowcount
    )


def end_clearing(connection: Connection, upload: UUID) -> None:
    """Record that an upload's folder is cleared; what is staged under its name from now on is something new."""
    connection.execute(
        "update upload set clearing_at = null, cleared_at = now(), staged_digest = null where id = %s", (upload,)
    )


def partitions_to_clear(connection: Connection, before: datetime, *, after: UUID, most: int) -> list[Upload]:
    """The next uploads, by identifier, imported or withdrawn before a moment, with a partition and no folder."""
    due = fetch_column(
        connection,
        f"select id from upload where {_CLEARED} and {_FINISHED} < %(before)s"
        " and (partition_cleared_at is null or partition_cleared_at < cleared_at)"
        " and id > %(after)s order by id limit %(most)s",
        {"before": before, "after": after, "most": most},
    )
    found = (find_upload(connection, identifier) for identifier in due)
    return [upload for upload in found if upload]


def record_partition_cleared(connection: Connection, upload: UUID) -> bool:
    """Record that an upload's partition is cleared; False if something was staged under its name meanwhile."""
    return bool(
        connection.execute(
            f"update upload set partition_cleared_at = now() where id = %s and {_CLEARED}", (upload,)
        ).rowcount
    )


# In the order of their numbers, which is about that of their times: only what is to be cleared is read.
_OLD_EVENTS = """
select number from event
where number < coalesce((select number from event where at >= %(before)s order by number limit 1), number + 1)
    and number <= coalesce((select min(cursor) from webhook where paused_at is null), number)
    and number < coalesce((
        select min(first) from mail where outcome is null and created_at >= %(before)s - interval '30 days'
    ), number + 1)
    and not exists (select from webhook_delivery as one where one.number = event.number and one.dead_at is null)
    and (type <> all(%(checks)s) or exists (
        select from event as later
        where later.subject = event.subject and later.number > event.number and later.type = any(%(checks)s)
    ))
order by number limit %(most)s
"""


def delete_old_events(connection: Connection, before: datetime, most: int) -> int:
    """Delete events from before a moment, so many at most.

    An event stays that a webhook or a mail is still to tell, and the last verdict of each check of the page on health.
    A mail that waits for a month longer than events are kept, because mail was switched off, keeps none.

    Returns:
        How many were deleted.
    """
    parameters = {"before": before, "checks": list(VERDICTS), "most": most}
    return connection.execute(f"delete from event where number in ({_OLD_EVENTS})", parameters).rowcount
