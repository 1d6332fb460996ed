from uuid import UUID

import psycopg
import pytest

from nachet_pipeline.database.audit import record
from nachet_pipeline.database.connection import DatabaseError
from nachet_pipeline_tests.workbench import Workbench

WHO = UUID(int=7)


def note(workbench: Workbench) -> None:
    with workbench.database.connection() as connection:
        record(
            connection,
            actor="a@example.org",
            action="renamed",
            subject="person",
            subject_id=WHO,
            before={"email": "b@example.org"},
            after={"email": "c@example.org"},
        )


def trail(workbench: Workbench) -> list[dict[str, object]]:
    return workbench.query("select * from audit_trail where subject = 'person' order by id")


def test_a_change_is_noted_with_who_when_and_from_what_to_what(workbench: Workbench) -> None:
    note(workbench)
    (row,) = trail(workbench)
    assert row["at"] == workbench.query("select least(now(), %s) as at", row["at"])[0]["at"]
    assert {name: row[name] for name in ("actor", "action", "subject", "subject_id", "before", "after")} == {
        "actor": "a@example.org",
        "action": "renamed",
        "subject": "person",
        "subject_id": WHO,
        "before": {"email": "b@example.org"},
        "after": {"email": "c@example.org"},
    }


def test_rows_are_numbered_in_their_order_and_need_neither_before_nor_after(workbench: Workbench) -> None:
    with workbench.database.connection() as connection:
        for action in ("first", "second"):
            record(connection, actor="x", action=action, subject="person")
    first, second = trail(workbench)
    assert (first["action"], second["action"]) == ("first", "second")
    assert first["id"] < second["id"]
    assert first["before"] is first["after"] is first["subject_id"] is None


@pytest.mark.parametrize("empty", ["actor", "action", "subject"])
def test_a_row_that_names_nobody_or_nothing_is_refused(empty: str, workbench: Workbench) -> None:
    stated = {"actor": "x", "action": "added", "subject": "person", empty: " "}
    with workbench.database.connection() as connection, pytest.raises(ValueError, match="who did what"):
        record(connection, **stated)
    assert trail(workbench) == []


@pytest.mark.parametrize(
    "statement",
    [
        "update audit_trail set actor = 'nobody'",
        "update audit_trail set actor = 'nobody' where false",
        "delete from audit_trail",
        "truncate audit_trail",
        "truncate seeds, audit_trail cascade",
        """insert into audit_trail (id, actor, action, subject) overriding system value
        select id, 'x', 'x', 'x' from audit_trail on conflict (id) do update set actor = 'nobody'""",
        "set session_replication_role = replica; delete from audit_trail",
    ],
)
def test_the_database_refuses_to_change_or_remove_what_is_noted(statement: str, workbench: Workbench) -> None:
    note(workbench)
    before = trail(workbench)
    with pytest.raises(DatabaseError, match="the audit trail can only be added to") as refused:
        workbench.query(statement)
    assert refused.value.sqlstate == psycopg.errors.InsufficientPrivilege.sqlstate
    assert trail(workbench) == before


def test_what_is_rolled_back_is_not_noted(workbench: Workbench) -> None:
    with workbench.database.connection() as connection:
        record(connection, actor="x", action="added", subject="person")
        connection.rollback()
    assert trail(workbench) == []
