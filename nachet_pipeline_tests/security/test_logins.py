"""Roles and logins of PostgreSQL: made by whoever may, once, and each the way it is documented."""

import importlib
import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from dagster import DagsterInstance
from psycopg.rows import dict_row
from pydantic import SecretStr

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.database.audit import changing, record
from nachet_pipeline.database.connection import Database, DatabaseError, migrate
from nachet_pipeline.database.logins import LoginError, Role, hand_over_dagster, make_login
from nachet_pipeline.defs.instance import dagster_home
from nachet_pipeline.local.services import Services
from nachet_pipeline.registry.queries import load_seeds
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.training.building import build
from nachet_pipeline.training.recipe import Recipe
from nachet_pipeline.users.registering import register_user
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.deployment import PROJECT
from nachet_pipeline_tests.models.test_evaluating import Laboratory, content
from nachet_pipeline_tests.workbench import Workbench

ROLES = importlib.import_module("nachet_pipeline.database.migrations.versions.0012_roles")


@pytest.fixture
def login(services: Services) -> Iterator[str]:
    """A name that no other test uses for a login; removed after the test's database, with those named after it."""
    name = f"test_{uuid4().hex[:16]}"
    yield name
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        for (made,) in connection.execute("select rolname from pg_roles where starts_with(rolname, %s)", (name,)):
            connection.execute(f'drop role "{made}"')


@pytest.fixture
def migrated(login: str, database_url: str) -> str:
    migrate(SecretStr(database_url))
    return database_url


@pytest.fixture
def of_an_earlier_version(login: str, database_url: str) -> str:
    migrate(SecretStr(database_url), "0016")
    return database_url


def _make(url: str, name: str, role: Role, *, renew: bool = True) -> str:
    password = secrets.token_urlsafe(16)
    with psycopg.connect(url, row_factory=dict_row) as connection:
        make_login(connection, name, role, password, by="a test", renew=renew)
    return f"postgresql://{name}:{password}@{url.rpartition('@')[2]}"


def test_a_login_that_may_not_make_roles_is_told_who_should(login: str, database_url: str) -> None:
    groups = ROLES._GROUPS.replace("nachet_", f"{login}_")
    with psycopg.connect(database_url) as connection:
        connection.execute(f'create role "{login}" nologin')
        connection.execute(f'set role "{login}"')
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match='let one that may run "create role'):
            connection.execute(groups)


def test_two_databases_of_a_server_that_migrate_at_once_both_get_the_groups(login: str, database_url: str) -> None:
    groups = ROLES._GROUPS.replace("nachet_", f"{login}_")
    with psycopg.connect(database_url) as first, ThreadPoolExecutor(1) as pool:
        first.execute(groups)
        with psycopg.connect(database_url, autocommit=True) as second:
            waiting = pool.submit(second.execute, groups)
            waits = "select from pg_locks where pid = %s and not granted"
            while first.execute(waits, (second.info.backend_pid,)).fetchone() is None:
                assert not waiting.done()
            first.commit()
            waiting.result(60)
        made = first.execute("select rolname from pg_roles where starts_with(rolname, %s)", (login,)).fetchall()
    assert sorted(made) == [(f"{login}_importer",), (f"{login}_reader",)]


def test_a_role_of_that_name_that_is_no_group_stops_the_migration(login: str, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(f'create role "{login}" login')
        with pytest.raises(psycopg.errors.RaiseException, match=f"the role {login} of this server is no group"):
            connection.execute(ROLES._GROUPS.replace("'nachet_importer'", f"'{login}'"))


def test_where_the_groups_exist_a_login_without_special_rights_migrates(services: Services, login: str) -> None:
    migrate_first = f"test_{uuid4().hex}"
    place = services.database_url.rpartition("@")[2].rpartition("/")[0]
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        if connection.execute("select from pg_roles where rolname = 'nachet_reader'").fetchone() is None:
            connection.execute("create role nachet_importer; create role nachet_reader")
        connection.execute(f"""create role "{login}" login password 'plain'""")
        connection.execute(f'create database "{migrate_first}" owner "{login}"')
        try:
            url = f"postgresql://{login}:plain@{place}/{migrate_first}"
            migrate(SecretStr(url))
            with psycopg.connect(url) as owned:
                rights = "select has_table_privilege('nachet_reader', 'users', 'select'), current_user"
                assert owned.execute(rights).fetchone() == (True, login)
        finally:
            connection.execute(f'drop database "{migrate_first}" with (force)')


def test_who_had_rights_in_a_database_keeps_the_way_in_and_others_lose_it(login: str, database_url: str) -> None:
    stranger = f"{login}_stranger"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create table given (id integer)")
        for name in (login, stranger):
            connection.execute(f"""create role "{name}" login password 'plain'""")
        connection.execute(f'grant select on given to "{login}"')
    place = database_url.rpartition("@")[2]
    psycopg.connect(f"postgresql://{stranger}:plain@{place}").close()

    migrate(SecretStr(database_url))

    with psycopg.connect(f"postgresql://{login}:plain@{place}") as known:
        assert known.execute("select from given").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            known.execute("select from users")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(f"postgresql://{stranger}:plain@{place}")


def test_a_login_is_made_once_and_renewed_by_a_new_password(migrated: str, login: str) -> None:
    first = _make(migrated, login, Role.READER)
    kept = _make(migrated, login, Role.READER, renew=False)
    psycopg.connect(first).close()
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(kept)

    second = _make(migrated, login, Role.READER)

    psycopg.connect(second).close()
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(first)


def test_a_password_never_reaches_the_servers_log(migrated: str, login: str, services: Services) -> None:
    with psycopg.connect(migrated, row_factory=dict_row) as connection:
        connection.execute("set log_statement = 'all'")
        told: list[str] = []
        connection.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))
        connection.execute("set client_min_messages = log")
        make_login(connection, login, Role.READER, "a-password-to-look-for", by="a test")

    assert any("alter role" in line for line in told)
    assert not any("a-password-to-look-for" in line for line in told)


@pytest.mark.parametrize("right", ["superuser", "createrole", "nologin", "login in role nachet_importer"])
def test_a_role_with_other_rights_is_never_made_a_login(right: str, migrated: str, login: str) -> None:
    with psycopg.connect(migrated) as connection:
        connection.execute(f'create role "{login}" {right}')

    with pytest.raises(LoginError, match="with other rights"):
        _make(migrated, login, Role.READER)


def test_a_login_before_the_roles_says_what_to_run(database_url: str, login: str, monkeypatch) -> None:
    monkeypatch.setattr(Role, "group", property(lambda self: f"no_such_{self.value}"))
    with pytest.raises(LoginError, match="run `nachet db upgrade` first"):
        _make(database_url, login, Role.IMPORTER)


def test_what_one_login_made_for_dagster_another_of_its_role_can_change(migrated: str, login: str) -> None:
    with psycopg.connect(_make(migrated, login, Role.IMPORTER)) as connection:
        connection.execute("create table runs (id serial primary key)")

    with psycopg.connect(_make(migrated, f"{login}_2", Role.IMPORTER)) as connection:
        connection.execute("insert into runs default values")
        connection.execute("alter table runs add column more integer")
        found = connection.execute("select schemaname, tableowner from pg_tables where tablename = 'runs'").fetchall()
    assert found == [("dagster", "nachet_importer")]


def test_dagsters_history_moves_to_where_the_importer_finds_it(
    migrated: str, login: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = "select tablename from pg_tables where schemaname = 'public'"
    home = str(dagster_home(tmp_path, PROJECT))
    with psycopg.connect(migrated) as connection:
        connection.execute("create table of_others (id integer)")
        ours = set(connection.execute(tables))
    monkeypatch.setenv("NACHET_BLOB_ACCOUNT_URL", "https://nobody.blob.core.windows.net")
    monkeypatch.setenv("NACHET_DATABASE_URL", migrated)
    with DagsterInstance.from_config(home) as instance:
        instance.add_dynamic_partitions("upload", ["before"])

    with psycopg.connect(migrated, row_factory=dict_row) as connection:
        moved = hand_over_dagster(connection)
        assert hand_over_dagster(connection) == 0

    monkeypatch.setenv("NACHET_DATABASE_URL", _make(migrated, login, Role.IMPORTER))
    with DagsterInstance.from_config(home) as instance:
        instance.add_dynamic_partitions("upload", ["after"])
        instance.upgrade()
        assert instance.get_dynamic_partitions("upload") == ["before", "after"]
    with psycopg.connect(migrated) as connection:
        assert set(connection.execute(tables)) == ours
        theirs = "select count(*) from pg_tables where schemaname = 'dagster' and tableowner = 'nachet_importer'"
        assert connection.execute(theirs).fetchone() == (moved,)


def test_tables_are_upgraded_by_their_owner_alone(of_an_earlier_version: str, login: str) -> None:
    importer = SecretStr(_make(of_an_earlier_version, login, Role.IMPORTER))
    migrate(importer, "0016")  # nothing to do

    with pytest.raises(
        DatabaseError,
        match=r"(permission denied|must be owner).*; tables are changed by the login of NACHET_DATABASE_OW",
    ):
        migrate(importer)

    migrate(SecretStr(of_an_earlier_version))


@pytest.fixture
def least(login: str, workbench: Workbench) -> Iterator[tuple[Workbench, str]]:
    """The workbench as the importer, and the address for its reader."""
    owner = workbench.database_url.get_secret_value()
    importer_url, reader_url = _make(owner, login, Role.IMPORTER), _make(owner, f"{login}_r", Role.READER)
    with Database(SecretStr(importer_url), reader_url=SecretStr(reader_url), connections=6) as database:
        yield replace(workbench, database=database, database_url=SecretStr(importer_url)), reader_url


def test_the_importer_can_do_all_that_the_pipeline_does(least: tuple[Workbench, str]) -> None:
    workbench, _ = least
    upload = workbench.stage(workbench.sample(sessions=2))

    assert workbench.import_as_the_sensor_does(upload).receipt.state is State.IMPORTED
    assert build(Recipe(name="all-pictures"), workbench.database, workbench.blobs).pictures == 4
    register_user(workbench.database, workbench.blobs, f"{uuid4().hex}@example.org")
    with workbench.database.connection() as connection:
        load_seeds(connection, packaged_seeds())
    assert [row["user"] for row in workbench.query("select current_user as user")] == ["nachet_importer"]


def test_the_importer_records_what_models_and_people_say_and_changes_none_of_it(
    least: tuple[Workbench, str], nachet: Nachet, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench, reader_url = least
    monkeypatch.setenv("NACHET_DATABASE_URL", workbench.database_url.get_secret_value())
    laboratory = Laboratory.of(workbench, nachet)
    version = laboratory.register("1.0")
    file = workbench.place / "predictions.jsonl"
    file.write_text("".join(
        json.dumps({"sha256": content(number).hex(), "candidates": [{"index": index, "score": 0.9}]}) + "\n"
        for number, index in laboratory.truth().items()
    ))  # fmt: skip
    said = ("--by", "ann@example.org")
    for command in (
        ("predictions", "import", file, "--model", version),
        ("judge", "experts", "add", "ann@example.org", *said, "--why", "grows them"),
        ("judge", laboratory.picture["id"], "taxon", "--taxon", "Brassica juncea", *said),
        ("judge", "apply", *said),
        ("model", "evaluate", version),
        ("model", "promote", version, *said, "--why", "the first"),
    ):
        assert nachet(*command).code == 0, command
    noted = {(row["subject"], row["action"]) for row in workbench.query("select subject, action from audit_trail")}
    assert noted >= {
        ("model", "registered"), ("model version", "registered"), ("model version", "promoted"), ("expert", "named"),
        ("judgement", "recorded"), ("label of a photograph", "decided"), ("picture", "judged"),
    }  # fmt: skip

    kept = {
        "prediction": "at",
        "judgement": "verdict",
        "model_version": "task",
        "model_class": "label",
        "model_champion": "why",
    }
    for table, column in kept.items():
        with pytest.raises(DatabaseError, match=f"permission denied for table {table}"):
            workbench.query(f"update {table} set {column} = {column}")
    for table in ("judgement", "model_version", "model_champion", "prediction_file", "model_evaluation"):
        with pytest.raises(DatabaseError, match=f"permission denied for table {table}"):
            workbench.query(f"delete from {table}")
    monkeypatch.setenv("NACHET_DATABASE_URL", reader_url)
    for command in (
        ("model", "show", version),
        ("predictions", "list"),
        ("judge", "list"),
        ("judge", "experts", "list"),
    ):
        assert nachet(*command).code == 0, command


@pytest.mark.parametrize(
    "statement",
    [
        "insert into audit_trail (actor, action, subject) values ('somebody@example.org', 'removed', 'picture')",
        "insert into audit_trail (at, actor, action, subject) values ('2020-01-01', 'x', 'removed', 'picture')",
    ],
)
def test_the_importer_cannot_write_the_trail_itself(statement: str, least: tuple[Workbench, str]) -> None:
    workbench, _ = least
    with pytest.raises(DatabaseError, match="permission denied for table audit_trail"):
        workbench.query(statement)


def test_beside_whom_the_importer_names_stand_its_login_and_the_time(least: tuple[Workbench, str], login: str) -> None:
    workbench, _ = least
    workbench.import_as_the_sensor_does(workbench.stage(workbench.sample()))
    with workbench.database.connection() as connection:
        record(connection, actor="somebody@example.org", action="seen", subject="test")
        with changing(connection, actor="somebody@example.org", action="labelled"):
            connection.execute("update pictures set verified = true")

    noted = "select actor, login, action, at - now() as since from audit_trail where action in ('seen', 'labelled')"
    rows = workbench.query(noted)
    assert [row["action"] for row in rows] == ["seen", "labelled", "labelled"]
    assert {(row["actor"], row["login"]) for row in rows} == {("somebody@example.org", login)}
    assert all(timedelta(minutes=-5) < row["since"] <= timedelta(0) for row in rows)
    imported = workbench.query("select distinct login from audit_trail where subject in ('picture set', 'picture')")
    assert imported == [{"login": login}]


def test_what_the_importer_says_beside_a_change_does_not_hide_it(least: tuple[Workbench, str]) -> None:
    workbench, _ = least
    workbench.import_as_the_sensor_does(workbench.stage(workbench.sample(pictures=1)))
    (before,) = workbench.query("select seed_id from picture_seed")
    (other,) = workbench.query("select id from seeds where id <> %s limit 1", before["seed_id"])
    for note in ({"seed_id": str(before["seed_id"]), "why": "a wish"}, ["no", "object"]):
        with workbench.database.connection() as connection:
            connection.execute("select set_config('nachet.note', %s, true)", (json.dumps(note),))
            connection.execute("update picture_seed set seed_id = %s", (other["id"],))
            connection.execute("update picture_seed set seed_id = %s", (before["seed_id"],))

    rows = workbench.query(
        "select after from audit_trail where subject = 'picture seed' and action = 'changed' order by id"
    )
    there, back = {"seed_id": str(other["id"])}, {"seed_id": str(before["seed_id"])}
    why = {"why": "a wish"}
    assert [row["after"] for row in rows] == [there | why, back | why, there, back]


def test_a_transaction_that_the_importer_holds_open_does_not_choose_the_time(least: tuple[Workbench, str]) -> None:
    workbench, _ = least
    with workbench.database.connection() as connection:
        connection.execute("select")
        (later,) = workbench.query("select clock_timestamp() as at")
        record(connection, actor="somebody@example.org", action="seen", subject="test")
    (noted,) = workbench.query("select at from audit_trail where subject = 'test'")
    assert noted["at"] > later["at"]


def test_the_importer_changes_no_label_without_a_row_in_the_trail(least: tuple[Workbench, str], login: str) -> None:
    workbench, _ = least
    workbench.import_as_the_sensor_does(workbench.stage(workbench.sample(pictures=1)))
    (before,) = workbench.query("select id, picture_id, seed_id from picture_seed")
    (other,) = workbench.query("select id from seeds where id <> %s limit 1", before["seed_id"])

    workbench.query("update picture_seed set seed_id = %s", other["id"])
    workbench.query("delete from picture_seed")

    noted = (
        "select action, login, subject_id, before, after from audit_trail where subject = 'picture seed' order by id"
    )
    rows = workbench.query(noted)
    assert {(row["subject_id"], row["login"]) for row in rows} == {(before["id"], login)}
    ids = {"picture_id": str(before["picture_id"]), "seed_id": str(before["seed_id"])}
    assert [(row["action"], row["before"], row["after"]) for row in rows] == [
        ("added", None, ids),
        ("changed", {"seed_id": ids["seed_id"]}, {"seed_id": str(other["id"])}),
        ("removed", {**ids, "seed_id": str(other["id"])}, None),
    ]


def test_a_database_with_importers_and_a_trail_is_brought_to_the_new_rights(login: str, database_url: str) -> None:
    migrate(SecretStr(database_url), "0013")
    importer = _make_before_0014(database_url, login)
    old = "insert into audit_trail (actor, action, subject) values ('ann', 'added', 'user')"
    with psycopg.connect(importer) as connection:
        connection.execute(old)

    migrate(SecretStr(database_url))

    with psycopg.connect(importer, row_factory=dict_row) as connection:
        record(connection, actor="bob", action="added", subject="user")
        rows = connection.execute("select actor, login from audit_trail order by id").fetchall()
        assert rows == [{"actor": "ann", "login": None}, {"actor": "bob", "login": login}]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(old)


def _make_before_0014(url: str, name: str) -> str:
    """An importer's login as it was made before 0014, whose trail the function of today does not write."""
    with psycopg.connect(url) as connection:
        connection.execute(f"""create role "{name}" login password 'plain' in role nachet_importer""")
        connection.execute(f'grant connect on database "{connection.info.dbname}" to "{name}"')
        connection.execute(f'alter role "{name}" in database "{connection.info.dbname}" set role = nachet_importer')
    return f"postgresql://{name}:plain@{url.rpartition('@')[2]}"


def test_training_reads_by_the_reader(least: tuple[Workbench, str]) -> None:
    workbench, reader_url = least
    workbench.import_as_the_sensor_does(workbench.stage(workbench.sample()))
    assert build(Recipe(name="all-pictures"), workbench.database, workbench.blobs).pictures == 2
    shut = SecretStr(reader_url.replace("_r:", "_r:not"))
    with (
        Database(workbench.database_url, reader_url=shut) as database,
        pytest.raises(DatabaseError, match="authentication failed"),
    ):
        build(Recipe(name="all-pictures"), database, workbench.blobs)


def test_reports_need_the_reader_alone(
    least: tuple[Workbench, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from typer.testing import CliRunner  # noqa: PLC0415

    from nachet_pipeline.cli.commands import app  # noqa: PLC0415

    workbench, reader_url = least
    upload = workbench.stage(workbench.sample("reported"))
    workbench.import_as_the_sensor_does(upload)
    for name, value in {
        "NACHET_DATABASE_URL": reader_url,
        "NACHET_BLOB_ACCOUNT_URL": workbench.blobs.account_url,
        "NACHET_BLOB_KEY": workbench.blob_key.get_secret_value(),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NACHET_HOME", raising=False)
    for command in (["status", "reported"], ["duplicates"], ["reprocess", "--dry-run"]):
        found = CliRunner().invoke(app, command, catch_exceptions=False)
        assert found.exit_code == 0, found.output
    refused = CliRunner().invoke(app, ["stage", str(workbench.sample("new")), "--user", workbench.user.email])
    assert "permission denied for table upload" in str(refused.exception)
    assert capsys.readouterr().err == ""
