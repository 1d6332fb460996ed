"""Logins of PostgreSQL: members of the groups that a migration made, each with the right to connect to one database."""

import secrets
from enum import StrEnum
from urllib.parse import quote, urlsplit

from psycopg import sql
from pydantic import SecretStr

from nachet_pipeline.database.audit import record
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.errors import RefusedError

_LOCK = 7209138
_DAGSTER_TABLES = (
    "alembic_version",
    "asset_check_executions",
    "asset_daemon_asset_evaluations",
    "asset_event_tags",
    "asset_keys",
    "backfill_tags",
    "bulk_actions",
    "concurrency_limits",
    "concurrency_slots",
    "daemon_heartbeats",
    "dynamic_partitions",
    "event_logs",
    "instance_info",
    "instigators",
    "job_ticks",
    "jobs",
    "kvs",
    "pending_steps",
    "run_tags",
    "runs",
    "secondary_indexes",
    "snapshots",
)


class LoginError(RefusedError):
    """A login cannot be made; the message says why."""


class Role(StrEnum):
    """The purpose of a login."""

    IMPORTER = "importer"
    READER = "reader"

    @property
    def group(self) -> str:
        """The group of PostgreSQL that has its rights."""
        return f"nachet_{self.value}"


def new_password() -> str:
    """A password that nobody can guess, of letters, digits, - and _."""
    return secrets.token_urlsafe(24)


def address_of(url: SecretStr, login: str, password: str) -> SecretStr:
    """The address of the same database, with its options, for a login."""
    parts = urlsplit(url.get_secret_value())
    place = parts.netloc.rpartition("@")[2]
    return SecretStr(parts._replace(netloc=f"{quote(login, safe='')}:{quote(password, safe='')}@{place}").geturl())


def make_login(connection: Connection, name: str, role: Role, password: str, *, by: str, renew: bool = True) -> bool:
    """Make a login that may do what its role may, in this database alone.

    Tables that its sessions create belong to the group, so that another login of the same role can take its place. The
    password goes to the server as a SCRAM verifier, so that no log of statements shows it.

    Args:
        connection: of a login that may make roles; its transaction makes all of it or nothing.
        name: of the login.
        role: what it is for.
        password: what it identifies itself with.
        by: who wants it, for the audit trail.
        renew: whether a login that is there already gets this password.

    Returns:
        Whether it is new.

    Raises:
        LoginError: there is a login of this name with other rights, or the database has no roles yet.
    """
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
    found = connection.execute(
        "select rolcanlogin and not (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)"
        " and not exists (select from pg_auth_members m join pg_roles g on g.oid = m.roleid"
        "  where m.member = r.oid and g.rolname <> %s) as ours from pg_roles r where rolname = %s",
        (role.group, name),
    ).fetchone()
    if found and not found["ours"]:
        raise LoginError(f"{name}: there is a role of this name with other rights; choose another name")
    if connection.execute("select from pg_roles where rolname = %s", (role.group,)).fetchone() is None:
        raise LoginError(f"{role.group}: the database has no such role yet; run `nachet db upgrade` first")
    login, group = sql.Identifier(name), sql.Identifier(role.group)
    database = sql.Identifier(connection.info.dbname)
    if not found:
        connection.execute(sql.SQL("create role {} login").format(login))
        connection.execute(sql.SQL("grant {} to {}").format(group, login))
    if renew or not found:
        action = "renewed" if found else "added"
        record(connection, actor=by, action=action, subject="login", after={"login": name, "role": role.value})
        verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
        connection.execute(sql.SQL("alter role {} password {}").format(login, sql.Literal(verifier.decode())))
    connection.execute(sql.SQL("grant connect on database {} to {}").format(database, login))
    connection.execute(sql.SQL("alter role {} in database {} set role = {}").format(login, database, group))
    if role is Role.IMPORTER:
        path = sql.SQL("dagster, public")
        connection.execute(sql.SQL("alter role {} in database {} set search_path = {}").format(login, database, path))
    return not found


def hand_over_dagster(connection: Connection) -> int:
    """Move Dagster's tables from where a login that owns everything made them to where the importer looks for them.

    Dagster must not run meanwhile. Without this its history would begin anew.

    Returns:
        How many tables were moved; 0 if there are none, or there are some in the new place already.
    """
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
    row = connection.execute(
        "select to_regclass('public.event_logs') is null or to_regclass('dagster.event_logs') is not null as done"
    ).fetchone()
    if row is None or row["done"]:
        return 0
    present = connection.execute(
        "select tablename from pg_tables where schemaname = 'public' and tablename = any(%s) order by tablename",
        (list(_DAGSTER_TABLES),),
    ).fetchall()
    for found in present:
        table = sql.Identifier(str(found["tablename"]))
        connection.execute(sql.SQL("alter table public.{} set schema dagster").format(table))
        connection.execute(
            sql.SQL("alter table dagster.{} owner to {}").format(table, sql.Identifier(Role.IMPORTER.group))
        )
    return len(present)
