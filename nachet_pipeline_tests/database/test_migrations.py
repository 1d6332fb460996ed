import hashlib
import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from nachet_pipeline.database.connection import DatabaseError, is_newest, migrate
from nachet_pipeline.pictures.perceptual_hash import hash_bands
from nachet_pipeline.users.queries import add_user, find_user
from nachet_pipeline_tests.workbench import Workbench

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


def test_only_tables_of_this_version_need_no_migration(database_url: str, connection: psycopg.Connection) -> None:
    assert not is_newest(connection)
    migrate(SecretStr(database_url), "0026")
    assert not is_newest(connection)
    migrate(SecretStr(database_url))
    assert is_newest(connection)


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


def test_pictures_stored_before_are_found_by_the_bands_of_today(
    database_url: str, connection: psycopg.Connection
) -> None:
    migrate(SecretStr(database_url), "0012")
    chance = np.random.default_rng(3)
    one_bit = [(1 << bit).to_bytes(32, "big") for bit in range(256)]
    hashes = [None, bytes(32), b"\xff" * 32, *one_bit, *(chance.bytes(32) for _ in range(50))]
    connection.execute("set session_replication_role = replica")  # without their picture set
    folder = uuid.uuid4()
    insert = (
        "insert into pictures (id, picture, picture_set_id, parent, nb_object, name, blob, sha256, size, format, width,"
        " height, perceptual_hash, hash_bands)"
        " values (%s, '{}', %s, %s, 1, 'x', %s, %s, 1, 'PNG', 1, 1, %s, %s)"
    )
    before = [
        looks and [band << 16 | looks[2 * band] << 8 | looks[2 * band + 1] for band in range(16)] for looks in hashes
    ]
    parent = None
    for looks, bands in zip(hashes, before, strict=True):
        identifier = uuid.uuid4()
        connection.execute(insert, (identifier, folder, parent, str(identifier), chance.bytes(32), looks, bands))
        parent = parent or identifier
    others = "select to_jsonb(pictures) - 'hash_bands' as row from pictures order by id"
    trail = "select to_jsonb(audit_trail) - 'login' as row from audit_trail order by id"
    kept, noted = connection.execute(others).fetchall(), connection.execute(trail).fetchall()

    migrate(SecretStr(database_url), "0013")

    rows = connection.execute("select perceptual_hash, hash_bands from pictures").fetchall()
    assert sorted(row["perceptual_hash"] or b"" for row in rows) == sorted(looks or b"" for looks in hashes)
    for row in rows:
        assert row["hash_bands"] == (row["perceptual_hash"] and hash_bands(row["perceptual_hash"]))
    assert connection.execute(others).fetchall() == kept
    assert connection.execute(trail).fetchall() == noted
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("update pictures set hash_bands = %s", (list(range(16)),))


def test_what_was_withdrawn_and_decided_by_rows_goes_by_content_from_then_on(
    database_url: str, connection: psycopg.Connection
) -> None:
    migrate(SecretStr(database_url), "0013")
    connection.execute("set session_replication_role = replica")  # without their picture set

    def picture(
        file: str, *, pixels: str | None = None, parent: uuid.UUID | None = None, said: str = '{"a": 1}'
    ) -> Any:
        identifier = uuid.uuid4()
        connection.execute(
            "insert into pictures (id, picture, picture_set_id, parent, nb_object, name, blob, sha256, size, format,"
            " width, height, pixel_sha256) values (%s, %s, %s, %s, 1, 'x', %s, sha256(%s), 1, 'PNG', 1, 1, sha256(%s))",
            (identifier, said, uuid.uuid4(), parent, str(identifier), file.encode(), (pixels or file).encode()),
        )
        return identifier

    def withdrawn(identifier: uuid.UUID) -> None:
        connection.execute("select set_config('nachet.actor', 'ada', false), set_config('nachet.action', 'withdrawn',"
            " false), set_config('nachet.note', '{\"why\": \"asked for\"}', false)")  # fmt: skip
        connection.execute("update pictures set withdrawn_at = '2026-05-01' where id = %s", (identifier,))
        connection.execute("select set_config('nachet.actor', '', false), set_config('nachet.action', '', false),"
            " set_config('nachet.note', '', false)")  # fmt: skip

    one, same_file, same_pixels = picture("one"), picture("one"), picture("saved anew", pixels="one")
    crop, untouched = picture("crop", parent=same_pixels), picture("untouched")
    withdrawn(one)
    purged, purged_and_withdrawn = picture("purged", said="{}"), picture("both", said="{}")
    again = picture("both")
    withdrawn(purged_and_withdrawn)
    connection.execute("update pictures set withdrawn_at = '2026-06-01' where id = %s", (purged,))
    decide = "insert into duplicate_decision values (%s, %s, %s, %s, %s, %s)"
    for pair, decision, by, at in (
        ((one, untouched), "different", "ada", "2026-05-01"),
        ((same_file, untouched), "duplicate", "bo", "2026-05-02"),
        ((one, same_file), "duplicate", "bo", "2026-05-02"),
    ):
        connection.execute(decide, (*sorted(pair), decision, by, at, "looked"))

    migrate(SecretStr(database_url))

    rows = connection.execute("select id, withdrawn_at, superseded_at from pictures").fetchall()
    held = {one, same_file, same_pixels, crop, purged_and_withdrawn, again}
    assert {row["id"] for row in rows if row["withdrawn_at"]} == held
    (gone,) = [row for row in rows if row["superseded_at"]]
    assert (gone["id"], str(gone["superseded_at"].date())) == (purged, "2026-06-01")
    contents = connection.execute(
        "select withdrawn_by, why, withdrawn_at::date::text as day from withdrawn_content"
        " where sha256 in (sha256('one'), sha256('both'), sha256('crop'), sha256('saved anew')) order by withdrawn_at"
    ).fetchall()
    assert contents[0] == {"withdrawn_by": "ada", "why": "asked for", "day": "2026-05-01"}
    assert len(contents) == 4 == connection.execute("select from withdrawn_content").rowcount
    (decided,) = connection.execute("select * from duplicate_decision").fetchall()
    files = sorted(hashlib.sha256(file).digest() for file in (b"one", b"untouched"))
    assert [decided["file_a"], decided["file_b"], decided["decision"], decided["decided_by"], decided["note"]] == [
        *files,
        "duplicate",
        "bo",
        "looked",
    ]


def test_a_session_whose_newest_set_was_deleted_keeps_the_one_that_is_there(
    database_url: str, connection: psycopg.Connection
) -> None:
    migrate(SecretStr(database_url), "0013")
    owner, container, upload, older, deleted = (uuid.uuid4() for _ in range(5))
    connection.execute("insert into users (id, email) values (%s, 'ada@example.org')", (owner,))
    connection.execute("insert into container (id, owner_id, name) values (%s, %s, 'user-ada')", (container, owner))
    receipt = json.dumps({"picture_sets": [{"id": str(deleted)}]})
    connection.execute(
        "insert into upload (id, owner_id, folder, state, receipt) values (%s, %s, 'thistles', 'imported', %s)",
        (upload, owner, receipt),
    )
    for identifier, day, deleted_at in ((older, "2026-05-01", None), (deleted, "2026-06-01", "2026-06-02")):
        connection.execute(
            "insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, digest, upload_date,"
            " deleted_at) values (%s, %s, %s, 'thistles', %s, %s, 'x', %s, %s)",
            (identifier, '{"audit_trail": {"session": ""}}', owner, container, upload, day, deleted_at),
        )
        connection.execute(
            "insert into pictures (id, picture, picture_set_id, nb_object, name, blob, sha256, size, format, width,"
            " height) values (%s, '{}', %s, 1, 'x', %s, sha256('one'), 1, 'PNG', 1, 1)",
            (uuid.uuid4(), identifier, str(identifier)),
        )

    migrate(SecretStr(database_url))

    rows = connection.execute("select picture_set_id from pictures where superseded_at is null").fetchall()
    assert [row["picture_set_id"] for row in rows] == [older]


def test_what_was_stored_last_waits_in_no_list_that_a_search_would_read(
    database_url: str, connection: psycopg.Connection
) -> None:
    migrate(SecretStr(database_url))
    (index,) = connection.execute(
        "select reloptions, pg_get_expr(indpred, indrelid) as of from pg_class join pg_index on indexrelid = oid"
        " where relname = 'pictures_hash_bands'"
    )
    assert index == {"reloptions": ["fastupdate=off"], "of": "(parent IS NULL)"}


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
