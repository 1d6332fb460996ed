import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from nachet_pipeline.database.connection import DatabaseError, migrate
from nachet_pipeline.database.users import add_user, find_user
from nachet_pipeline_tests.uploads import Workbench

GIVEN = {
    "users": {
        "id": "uuid",
        "email": "text",
        "registration_date": "timestamp with time zone",
        "updated_at": "timestamp with time zone",
    },
    "picture_set": {
        "id": "uuid",
        "picture_set": "jsonb",
        "owner_id": "uuid",
        "upload_date": "timestamp with time zone",
        "name": "text",
    },
    "pictures": {
        "id": "uuid",
        "picture": "jsonb",
        "picture_set_id": "uuid",
        "parent": "uuid",
        "nb_object": "integer",
        "verified": "boolean",
        "upload_date": "timestamp with time zone",
    },
    "picture_seed": {
        "id": "uuid",
        "picture_id": "uuid",
        "seed_id": "uuid",
        "upload_date": "timestamp with time zone",
    },
    "seeds": {"id": "uuid", "name": "text", "information": "jsonb", "upload_date": "timestamp with time zone"},
    "container": {
        "id": "uuid",
        "owner_id": "uuid",
        "public": "boolean",
        "creation_date": "timestamp with time zone",
        "updated_at": "timestamp with time zone",
    },
}
REFERENCES = {
    ("picture_set", "owner_id", "users"),
    ("pictures", "picture_set_id", "picture_set"),
    ("pictures", "parent", "pictures"),
    ("picture_seed", "picture_id", "pictures"),
    ("picture_seed", "seed_id", "seeds"),
    ("container", "owner_id", "users"),
}


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as opened:
        yield opened


def columns(connection: psycopg.Connection) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for row in connection.execute(
        "select table_name, column_name, data_type from information_schema.columns"
        " where table_schema = 'public' order by table_name, ordinal_position"
    ):
        found.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
    return found


def test_the_given_tables_have_the_given_columns(database_url: str, connection: psycopg.Connection) -> None:
    migrate(SecretStr(database_url))
    found = columns(connection)
    for table, given in GIVEN.items():
        assert given.items() <= found[table].items(), table
    keys = connection.execute(
        "select conrelid::regclass::text as of, attname as name, contype, confrelid::regclass::text as to"
        " from pg_constraint join pg_attribute on attrelid = conrelid and attnum = any(conkey)"
        " where contype in ('p', 'f')"
    ).fetchall()
    assert {(key["of"], key["name"], key["to"]) for key in keys if key["contype"] == "f"} >= REFERENCES
    assert {(key["of"], key["name"]) for key in keys if key["contype"] == "p"} >= {(table, "id") for table in GIVEN}


def test_migrating_twice_changes_nothing(database_url: str, connection: psycopg.Connection) -> None:
    migrate(SecretStr(database_url))
    with psycopg.connect(database_url, row_factory=dict_row) as writing:
        add_user(writing, "anna@example.org")
    before = columns(connection)
    migrate(SecretStr(database_url))
    assert columns(connection) == before
    assert connection.execute("select email from users").fetchall() == [{"email": "anna@example.org"}]


def test_two_migrations_at_once_both_succeed(database_url: str, connection: psycopg.Connection) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            migrate(SecretStr(database_url))
        except DatabaseError as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert GIVEN.keys() <= columns(connection).keys()


def test_dagsters_own_migrations_in_the_same_schema_are_left_alone(
    database_url: str, connection: psycopg.Connection
) -> None:
    connection.execute("create table alembic_version (version_num varchar(32) primary key)")
    connection.execute("insert into alembic_version values ('7e2f3204cf8e')")
    migrate(SecretStr(database_url))
    assert connection.execute("select * from alembic_version").fetchall() == [{"version_num": "7e2f3204cf8e"}]
    assert GIVEN.keys() <= columns(connection).keys()


def test_an_address_in_another_case_is_the_same_user(workbench: Workbench) -> None:
    with workbench.database.connection() as connection:
        first = add_user(connection, "Anna.Tremblay@Example.org")
        again = add_user(connection, " anna.tremblay@example.ORG ")
        assert again == first
        assert find_user(connection, "ANNA.TREMBLAY@EXAMPLE.ORG") == first
    found = workbench.query("select email from users where lower(email) = 'anna.tremblay@example.org'")
    assert found == [{"email": "anna.tremblay@example.org"}]


def test_the_database_itself_refuses_an_address_that_differs_only_in_case(workbench: Workbench) -> None:
    with pytest.raises(DatabaseError, match="users_email"):
        workbench.query("insert into users (id, email) values (gen_random_uuid(), %s)", workbench.user.email.swapcase())
    assert [row["email"] for row in workbench.query("select email from users")] == [workbench.user.email]


def test_a_user_whom_another_program_registered_in_mixed_case_is_found(workbench: Workbench) -> None:
    workbench.query("insert into users (id, email) values (gen_random_uuid(), 'Bo@Example.org')")
    known = workbench.query("select id from users where email = 'Bo@Example.org'")[0]["id"]
    with workbench.database.connection() as connection:
        assert add_user(connection, "bo@example.org").id == known
