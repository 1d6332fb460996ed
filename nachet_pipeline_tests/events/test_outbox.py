"""What happens is told once, in its order, and nobody who follows the outbox misses any of it."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from psycopg import Rollback
from pydantic import SecretStr

from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.events.event import EventType, UploadChanged
from nachet_pipeline.events.queries import events_after
from nachet_pipeline.local.services import Services
from nachet_pipeline.uploads.queries import close_upload, mark_importing, mark_queued, see_upload
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.queries import add_user
from nachet_pipeline_tests.databases import own_database


@pytest.fixture
def database(services: Services, migrated_database: str) -> Iterator[Database]:
    with (
        own_database(services, template=migrated_database) as own,
        Database(SecretStr(own.database_url)) as database,
    ):
        yield database


@pytest.fixture
def ada(database: Database) -> Owner:
    user = database.call(add_user, "Ada@example.org")
    return Owner(user.id, user.email)


def _told(database: Database, after: int = 0) -> tuple[list[str], int]:
    with database.reading() as connection:
        events, cursor = events_after(connection, after)
    return [f"{event.type} {event.data.folder}" for event in events if isinstance(event.data, UploadChanged)], cursor


def _refused(upload: Upload) -> Receipt:
    return Receipt(
        upload=upload.id,
        partition=upload.partition,
        owner=upload.owner.email,
        folder=upload.folder,
        state=State.REFUSED,
        submission="abc",
        pictures=2,
    )


def _import(connection: Connection, owner: Owner, folder: str) -> Upload:
    upload = see_upload(connection, owner, folder)
    mark_queued(connection, f"batch of {folder}", {upload.id: "digest"})
    mark_importing(connection, upload.id, "run 1")
    close_upload(connection, _refused(upload))
    return upload


def test_every_state_of_an_upload_is_told_in_its_order_with_what_its_receipt_says(
    database: Database, ada: Owner
) -> None:
    upload = database.call(_import, ada, "canola")
    with database.reading() as connection:
        events, _ = events_after(connection, 0, owner=ada.id)
    assert [event.type for event in events] == [
        EventType.UPLOAD_STAGED,
        EventType.UPLOAD_QUEUED,
        EventType.UPLOAD_IMPORTING,
        EventType.UPLOAD_REFUSED,
    ]
    assert {(event.subject, event.owner) for event in events} == {(str(upload.id), ada.id)}
    assert events[-1].data == UploadChanged(
        upload=upload.id,
        partition=upload.partition,
        folder="canola",
        owner="ada@example.org",
        state=State.REFUSED,
        before=State.IMPORTING,
        run_id="run 1",
        submission="abc",
        pictures=2,
        size=0,
    )


def test_what_is_only_looked_at_again_is_not_told(database: Database, ada: Owner) -> None:
    database.call(_import, ada, "canola")
    _, cursor = _told(database)
    with database.connection() as connection:
        connection.execute("update upload set checked_at = now(), state = state")
    assert _told(database, cursor) == ([], cursor)


def test_what_was_rolled_back_is_never_told(database: Database, ada: Owner) -> None:
    with database.connection() as connection:
        _import(connection, ada, "canola")
        connection.rollback()
    assert _told(database)[0] == []


def test_who_follows_misses_nothing_of_a_transaction_that_ends_after_a_later_one(
    database: Database, ada: Owner
) -> None:
    database.call(_import, ada, "before")
    _, cursor = _told(database)
    with database.connection() as slow:
        see_upload(slow, ada, "slow")
        database.call(see_upload, ada, "quick")
        # The number of `slow` is the lower one: it would be passed over.
        assert _told(database, cursor) == ([], cursor)
    told, cursor = _told(database, cursor)
    assert told == ["upload.staged slow", "upload.staged quick"]
    database.call(see_upload, ada, "after")
    assert _told(database, cursor)[0] == ["upload.staged after"]


def test_a_savepoint_that_is_rolled_back_lets_nobody_pass_over_what_follows_it(database: Database, ada: Owner) -> None:
    with database.connection() as slow:
        slow.execute("select")
        with slow.transaction():
            see_upload(slow, ada, "given up")
            raise Rollback
        see_upload(slow, ada, "slow")
        database.call(see_upload, ada, "quick")
        told, cursor = _told(database)
        assert told == []
    assert _told(database, cursor)[0] == ["upload.staged slow", "upload.staged quick"]


def test_pages_end_where_the_next_ones_begin(database: Database, ada: Owner) -> None:
    for name in ("one", "two", "three"):
        database.call(_import, ada, name)
    told, cursor = [], 0
    with database.reading() as connection:
        whole, end = events_after(connection, 0)
        while True:
            page, cursor = events_after(connection, cursor, limit=5)
            told += page
            if len(page) < 5:
                break
    assert told == whole
    assert cursor == end
    assert len({event.id for event in told}) == len(told) == 12


def test_a_user_and_a_type_can_be_followed_alone(database: Database, ada: Owner) -> None:
    bo = database.call(add_user, "bo@example.org")
    database.call(_import, ada, "hers")
    database.call(_import, Owner(bo.id, bo.email), "his")
    with database.reading() as connection:
        events, cursor = events_after(connection, 0, owner=bo.id, types={EventType.UPLOAD_REFUSED})
        assert [event.data.folder for event in events if isinstance(event.data, UploadChanged)] == ["his"]
        assert events_after(connection, cursor) == ([], cursor)
        assert events_after(connection, 0, owner=uuid4())[0] == []
