"""Every operation with every login on every table: only what the tables say succeeds."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from nachet_pipeline.database.audit import record
from nachet_pipeline.database.connection import Database, DatabaseError, migrate
from nachet_pipeline.database.logins import Role, make_login
from nachet_pipeline.local.services import Services
from nachet_pipeline_tests.databases import own_database
from nachet_pipeline_tests.security.matrix import ELSEWHERE, TABLES, rows_of, words_of

LATER = "a table of a later migration, unless it says otherwise"
EXPECTED = {
    table: {role: words_of(row[role.value]) for role in Role}
    for row in rows_of(TABLES)
    for table in (["later"] if row["tables"] == LATER else sorted(words_of(row["tables"])))
}
ELSEWHERE_EXPECTED = {row["what"]: {role: row[role.value] == "yes" for role in Role} for row in rows_of(ELSEWHERE)}


@dataclass(frozen=True)
class Server:
    """A migrated database with a login of each role, and another database on the same server."""

    owner_url: str
    other_url: str
    urls: dict[Role, str]

    def connect(self, role: Role) -> psycopg.Connection:
        return psycopg.connect(self.urls[role])


def _login(url: str, role: Role) -> tuple[str, str]:
    """A login of a role: its name and the address with it."""
    name, password = f"test_{role.value}_{uuid4().hex[:12]}", secrets.token_urlsafe(16)
    with psycopg.connect(url, row_factory=dict_row) as connection:
        assert make_login(connection, name, role, password, by="a test")
    return name, f"postgresql://{name}:{password}@{url.rpartition('@')[2]}"


def _drop(url: str, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for name in names:
            connection.execute(f'drop owned by "{name}"')
            connection.execute(f'drop role "{name}"')


@pytest.fixture(scope="module")
def server(services: Services) -> Iterator[Server]:
    with own_database(services) as one, own_database(services) as another:
        owner, other = one.database_url, another.database_url
        for url in (owner, other):
            migrate(SecretStr(url))
        with psycopg.connect(owner) as connection:
            connection.execute("create table later (id integer)")
        logins = {role: _login(owner, role) for role in Role}
        yield Server(owner, other, {role: url for role, (_, url) in logins.items()})
        _drop(owner, *(name for name, _ in logins.values()))


def _column(connection: psycopg.Connection, table: str) -> str:
    row = connection.execute("select attname from pg_attribute where attrelid = %s::regclass and attnum = 1", (table,))
    return str(row.fetchone()[0])


def _attempts(column: str, table: str) -> dict[str, tuple[str, ...]]:
    """By operation the statements that it is, each of which must be refused where the operation is."""
    return {
        "select": (f"select from {table}", f"copy {table} to stdout"),
        "insert": (f"insert into {table} default values",),
        "update": (f'update {table} set "{column}" = default where false',),
        # PostgreSQL lets whoever may update or delete lock.
        "lock": (f"lock table {table} in exclusive mode",),
        "delete": (f"delete from {table} where false",),
        "truncate": (f"truncate {table}",),
        "change": (
            f"alter table {table} add column surplus integer",
            f"alter table {table} disable trigger all",
            f"alter table {table} owner to current_user",
            f"create index on {table} ({column})",
            f"create trigger t before insert on {table} for each row execute function audit_trail_refuse()",
            f"create rule r as on insert to {table} do instead nothing",
            f"create policy p on {table}",
        ),
        "drop": (f"drop table {table} cascade",),
    }


def _refused(connection: psycopg.Connection, statement: str) -> bool:
    """Whether PostgreSQL refuses a statement for want of rights; it may have others against it, and is not kept."""
    try:
        with connection.transaction(force_rollback=True):
            if statement.startswith("copy"):
                with connection.cursor().copy(statement) as copying:
                    list(copying)
            else:
                connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    except psycopg.Error:
        return False
    return False


def test_every_table_is_in_the_matrix(server: Server) -> None:
    with psycopg.connect(server.owner_url) as connection:
        found = connection.execute("select tablename from pg_tables where schemaname = current_schema()").fetchall()

    assert {name for (name,) in found} == EXPECTED.keys()


@pytest.mark.parametrize("table", EXPECTED)
@pytest.mark.parametrize("role", Role)
def test_a_login_may_do_with_a_table_what_the_matrix_says_and_nothing_else(
    role: Role, table: str, server: Server
) -> None:
    with server.connect(role) as connection:
        column = _column(connection, table)
        outcome = {
            operation: {_refused(connection, statement) for statement in statements}
            for operation, statements in _attempts(column, table).items()
        }
        more = "select has_table_privilege(%s, 'references') or has_table_privilege(%s, 'trigger')"
        assert connection.execute(more, (table, table)).fetchone() == (False,)

    may = EXPECTED[table][role] | ({"lock"} if EXPECTED[table][role] & {"update", "delete"} else set())
    assert outcome == {operation: {operation not in may} for operation in outcome}


@pytest.mark.parametrize("table", [table for table in EXPECTED if table != "audit_trail"])
def test_the_owner_may_do_all_of_it(table: str, server: Server) -> None:
    """So that a refusal above is for want of rights, and not because the statement is wrong."""
    with psycopg.connect(server.owner_url) as connection:
        statements = [one for some in _attempts(_column(connection, table), table).values() for one in some]
        assert [one for one in statements if _refused(connection, one)] == []


def test_what_was_noted_stays_even_for_the_owner(server: Server) -> None:
    with psycopg.connect(server.owner_url, row_factory=dict_row) as connection:
        record(connection, actor="x", action="added", subject="user")
        for statement in (
            "update audit_trail set actor = 'y'",
            "delete from audit_trail",
            "truncate audit_trail",
        ):
            with (
                pytest.raises(psycopg.errors.InsufficientPrivilege, match="can only be added to"),
                connection.transaction(),
            ):
                connection.execute(statement)
        assert connection.execute("select actor from audit_trail where subject = 'user'").fetchall() == [{"actor": "x"}]
        connection.rollback()


def _elsewhere(server: Server, role: Role) -> dict[str, tuple[str, ...]]:
    other = Role.READER if role is Role.IMPORTER else Role.IMPORTER
    owner = psycopg.conninfo.conninfo_to_dict(server.owner_url)["user"]
    return {
        "change what was noted in `audit_trail`": (
            "update audit_trail set actor = 'y'",
            "delete from audit_trail",
            "truncate audit_trail",
        ),
        "choose the time or the login of what is noted in `audit_trail`": (
            "insert into audit_trail (actor, action, subject, at) values ('y', 'x', 'x', '2020-01-01')",
            "insert into audit_trail (actor, action, subject, login) values ('y', 'x', 'x', 'y')",
            "alter table audit_trail alter column login set default 'y'",
            "alter function public.audit_note(text, text, text, uuid, jsonb, jsonb) security invoker",
            "alter function public.audit_write() owner to current_user",
        ),
        "note something in `audit_trail` through its function, under its own login": (
            "select public.audit_note('y', 'x', 'x', null, null, null)",
        ),
        "make a table among ours": ("create table public.mine (id integer)", "create view public.mine as select 1"),
        "change or remove a table, its triggers or its rights": (
            "drop trigger audit_trail_append_only on audit_trail",
            "alter table audit_trail disable trigger audit_trail_append_only",
            "create or replace function public.audit_trail_refuse() returns trigger language plpgsql as 'begin end'",
            "drop schema public cascade",
        ),
        "make a schema": ("create schema mine",),
        "make a temporary table": ("create temporary table passing (id integer)",),
        "read, make and change Dagster's tables": (
            "do $$ begin create table dagster.mine (id integer); insert into dagster.mine values (1);"  # noqa: ISC004
            " alter table dagster.mine add column more integer; drop table dagster.mine; end $$",
        ),
        "switch triggers off for its session": ("set session_replication_role = replica",),
        "make a login, or give rights to one": (
            "create role another login",
            f"grant {other.group} to current_user",
            "alter role current_user superuser",
            "alter role current_user createrole",
        ),
        "become the owner of the tables": (f'set role "{owner}"', f'set session authorization "{owner}"'),
        "become the other of the two": (f"set role {other.group}",),
        "read how passwords are stored": ("select rolpassword from pg_authid", "select passwd from pg_shadow"),
        "read files of the server": ("select pg_read_file('PG_VERSION')", "copy pg_class to program 'cat'"),
    }


@pytest.mark.parametrize("what", [what for what in ELSEWHERE_EXPECTED if "connect" not in what])
@pytest.mark.parametrize("role", Role)
def test_a_login_may_do_elsewhere_what_the_matrix_says(role: Role, what: str, server: Server) -> None:
    with server.connect(role) as connection:
        for as_itself in (False, True):
            if as_itself:  # a login acts as its group, and can stop that
                connection.execute("set role none")
            outcome = {_refused(connection, statement) for statement in _elsewhere(server, role)[what]}
            assert outcome == {not ELSEWHERE_EXPECTED[what][role]}, as_itself


@pytest.mark.parametrize("role", Role)
def test_a_login_opens_its_own_database_alone(role: Role, server: Server) -> None:
    elsewhere = server.urls[role].rpartition("/")[0] + "/" + server.other_url.rpartition("/")[2]

    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(elsewhere)
    assert ELSEWHERE_EXPECTED["connect to another database of the server"][role] is False
    server.connect(role).close()


@pytest.mark.parametrize("wrong", ["password", "login", "nobody"])
def test_who_cannot_say_who_they_are_gets_in_nowhere(wrong: str, server: Server) -> None:
    place = server.owner_url.rpartition("@")[2]
    name, _, password = server.urls[Role.READER].removeprefix("postgresql://").rpartition("@")[0].partition(":")
    shown = {"password": f"{name}:guessed", "login": f"nachet_reader:{password}", "nobody": f"{name}:"}

    with pytest.raises(psycopg.OperationalError, match=r"authentication failed|no password supplied"):
        psycopg.connect(f"postgresql://{shown[wrong]}@{place}")


def test_what_only_reads_can_change_nothing_whatever_its_login_may(server: Server) -> None:
    with Database(SecretStr(server.owner_url)) as database:
        with database.reading() as connection:
            assert connection.execute("select current_setting('transaction_read_only') as it").fetchone() == {
                "it": "on"
            }
        with pytest.raises(DatabaseError, match="read-only transaction"), database.reading() as connection:
            connection.execute("insert into users (id, email) values (gen_random_uuid(), 'x@example.org')")
        with database.connection() as connection:
            assert connection.execute("select from users").fetchall() == []
