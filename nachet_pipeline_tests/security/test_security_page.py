"""docs/security.md says what the tests of this folder try, and what it tells to do works."""

import re
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr
from typer.testing import CliRunner

from nachet_pipeline.cli.commands import app
from nachet_pipeline.database.connection import migrate
from nachet_pipeline.settings import MailSettings, Settings
from nachet_pipeline_tests.deployment import PROJECT
from nachet_pipeline_tests.security.matrix import DELEGATED, ELSEWHERE, STORAGE, TABLES
from nachet_pipeline_tests.security.places import OPERATIONS

PAGE = (PROJECT / "docs" / "security.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", [STORAGE, DELEGATED, TABLES, ELSEWHERE])
def test_the_page_shows_the_tables_that_are_tried(table: str) -> None:
    assert f"\n\n{table}\n" in PAGE


def test_the_page_names_every_operation_that_is_tried() -> None:
    assert f"Tried are: {', '.join(OPERATIONS)}." in re.sub(r"\s+", " ", PAGE)


def test_every_setting_that_is_a_secret_is_on_the_page() -> None:
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert secret == {"database_url", "database_reader_url", "database_owner_url", "blob_key", "secret_keys"}
    secret |= {name for name, field in MailSettings.model_fields.items() if "SecretStr" in str(field.annotation)}
    for name in secret:
        assert f"`NACHET_{name.upper()}`" in PAGE


@pytest.fixture
def environment_of_the_owner(database_url: str, blob_account, monkeypatch: pytest.MonkeyPatch) -> str:
    migrate(SecretStr(database_url))
    for name, value in {
        # The machine that imports knows another login; only the owner's can do this.
        "NACHET_DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/nowhere",
        "NACHET_DATABASE_OWNER_URL": f"{database_url}?application_name=upgrading",
        "NACHET_BLOB_ACCOUNT_URL": blob_account.url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NACHET_HOME", raising=False)
    return database_url


def _login(name: str, role: str) -> str:
    done = CliRunner().invoke(app, ["db", "login", name, "--role", role, "--by", "jane@example.org"])
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


@pytest.mark.parametrize("role", ["importer", "reader"])
def test_a_login_is_made_by_command_and_ended_as_the_page_says(role: str, environment_of_the_owner: str) -> None:
    name = f"test-{uuid4().hex[:12]} ü"
    first = _login(name, role)
    with psycopg.connect(first) as connection:
        found = connection.execute("select session_user, current_user, current_setting('application_name')").fetchone()
        assert found == (name, f"nachet_{role}", "upgrading")
    second = _login(name, role)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(first)

    with psycopg.connect(second) as in_use, psycopg.connect(environment_of_the_owner) as owner:
        if role == "importer":
            in_use.execute("create table kept (id integer)")
            in_use.commit()
        sql = re.search(r"```sql\n(.*?)```", PAGE, re.DOTALL)[1].replace("pipeline-2026", name)
        owner.execute(sql)
        owner.commit()
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            in_use.execute("select 1")
        assert owner.execute("select to_regclass('dagster.kept') is not null").fetchone() == (role == "importer",)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(second)


def test_who_made_a_login_is_noted_and_its_password_is_not(environment_of_the_owner: str) -> None:
    name = f"test-{uuid4().hex[:12]}"
    password = _login(name, "reader").partition("@")[0].rpartition(":")[2]
    _login(name, "reader")
    with psycopg.connect(environment_of_the_owner, row_factory=dict_row) as connection:
        rows = connection.execute(
            "select actor, action, after, t::text as whole from audit_trail t where subject = 'login' order by id"
        ).fetchall()
        connection.execute(f'drop owned by "{name}"; drop role "{name}"')
    assert [(row["actor"], row["action"]) for row in rows] == [
        ("jane@example.org", "added"),
        ("jane@example.org", "renewed"),
    ]
    assert rows[0]["after"] == {"login": name, "role": "reader"}
    assert not any(password in row["whole"] for row in rows)
