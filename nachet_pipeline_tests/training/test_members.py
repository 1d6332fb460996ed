"""Members of training sets are pictures that are there, whoever writes or deletes what, and when."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.errors import FeatureNotSupported, ForeignKeyViolation

from nachet_pipeline.local.processes import wait_until
from nachet_pipeline_tests.training.test_building import Generated, known_pictures
from nachet_pipeline_tests.workbench import Workbench

_MEMBER = 'training_set_member (training_set_id, picture_id, split, class_index, "group")'
_ADD = f"insert into {_MEMBER} values (%s, %s, 0, 0, %s)"
_WAITING = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


@pytest.fixture
def version(workbench: Workbench) -> UUID:
    """A version without members, beside two pictures that nothing else refers to."""
    Generated(workbench, workbench.database, workbench.user.id).fill(range(2), each=1)
    workbench.query("delete from picture_seed")
    version = uuid4()
    workbench.query(
        "insert into training_set (id, name, digest, container, blob, pictures) values (%s, 'all', %s, 'c', 'b', 1)",
        version,
        version.hex,
    )
    return version


@contextmanager
def _session(workbench: Workbench) -> Iterator[psycopg.Connection]:
    with psycopg.connect(workbench.database_url.get_secret_value()) as connection:
        yield connection
        connection.rollback()


def _copy(session: psycopg.Connection, version: UUID, *pictures: UUID) -> None:
    with session.cursor() as cursor, cursor.copy(f"copy {_MEMBER} from stdin") as copy:
        for picture in pictures:
            copy.write_row((version, picture, 0, 0, picture))


def _members(workbench: Workbench) -> list[UUID]:
    return [row["picture_id"] for row in workbench.query("select picture_id from training_set_member")]


def test_nothing_but_a_picture_becomes_a_member_by_any_statement(workbench: Workbench, version: UUID) -> None:
    picture, nothing = known_pictures(workbench)[0], uuid4()
    with _session(workbench) as session, pytest.raises(ForeignKeyViolation, match=str(nothing)):
        session.execute(_ADD, (version, nothing, nothing))
    with _session(workbench) as session, pytest.raises(ForeignKeyViolation):
        _copy(session, version, picture, nothing)
    workbench.query(_ADD, version, picture, picture)
    with _session(workbench) as session, pytest.raises(ForeignKeyViolation):
        session.execute("update training_set_member set picture_id = %s", (nothing,))
    assert _members(workbench) == [picture]


@pytest.mark.parametrize(
    "statement",
    ["delete from pictures", "update pictures set id = gen_random_uuid()", "truncate pictures, picture_seed cascade"],
)
def test_a_picture_that_is_a_member_stays(workbench: Workbench, version: UUID, statement: str) -> None:
    free, member = known_pictures(workbench)
    workbench.query(_ADD, version, member, member)
    with _session(workbench) as session, pytest.raises(ForeignKeyViolation, match=str(member)):
        session.execute(statement)
    workbench.query("delete from pictures where id = %s", free)
    assert [row["id"] for row in workbench.query("select id from pictures")] == [member]


def _second(
    workbench: Workbench, statement: str, *arguments: object, after: psycopg.Connection
) -> BaseException | None:
    """What becomes of a statement that begins before another session commits."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            with _session(workbench) as session:
                session.execute(statement, arguments)
                session.commit()
        except psycopg.Error as error:
            raised.append(error)

    other = threading.Thread(target=run)
    other.start()
    assert wait_until(lambda: workbench.query(_WAITING)[0]["count"] > 0, 20)
    after.commit()
    other.join(20)
    return raised[0] if raised else None


def test_a_picture_that_becomes_a_member_while_it_is_deleted_stays(workbench: Workbench, version: UUID) -> None:
    picture = known_pictures(workbench)[0]
    with _session(workbench) as building:
        building.execute(_ADD, (version, picture, picture))
        raised = _second(workbench, "delete from pictures where id = %s", picture, after=building)
    assert isinstance(raised, ForeignKeyViolation)
    assert _members(workbench) == [picture]


def test_a_picture_that_is_deleted_while_it_becomes_a_member_does_not(workbench: Workbench, version: UUID) -> None:
    picture = known_pictures(workbench)[0]
    with _session(workbench) as deleting:
        deleting.execute("delete from pictures where id = %s", (picture,))
        raised = _second(workbench, _ADD, version, picture, picture, after=deleting)
    assert isinstance(raised, ForeignKeyViolation)
    assert _members(workbench) == []


@pytest.mark.parametrize("deleting", [False, True])
def test_who_reads_of_an_earlier_moment_cannot_write_members_nor_delete_pictures(
    workbench: Workbench, version: UUID, deleting: bool
) -> None:
    picture = known_pictures(workbench)[0]
    with _session(workbench) as session, pytest.raises(FeatureNotSupported, match="READ COMMITTED"):  # noqa: PT012
        session.execute("set transaction isolation level repeatable read")
        if deleting:
            session.execute("delete from pictures")
        else:
            session.execute(_ADD, (version, picture, picture))
