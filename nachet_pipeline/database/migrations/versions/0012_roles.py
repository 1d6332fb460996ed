"""Roles of PostgreSQL: who may import, and who may only read.

Revision: 0012, after 0011.

The two roles are groups, which nobody logs in as; logins are their members (`nachet db login`). They belong to the
whole server, not to one database: several databases on it have the same two, and what opens one of them to a login is
its right to connect, which is given to logins and never to the groups.
"""

from alembic import op

revision = "0012"
down_revision = "0011"

_GROUPS = """
do $$
declare
    role_name text;
begin
    foreach role_name in array array['nachet_importer', 'nachet_reader'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception
                when duplicate_object or unique_violation then
                    null; -- a migration of another database on this server made it at the same moment
                when insufficient_privilege then
                    raise exception 'this login may not make roles; let one that may run'
                        ' "create role nachet_importer; create role nachet_reader;" once, then upgrade again'
                        using errcode = 'insufficient_privilege';
            end;
        end if;
        if exists (select from pg_roles where rolname = role_name and (rolcanlogin or rolsuper or rolbypassrls)) then
            raise exception 'the role % of this server is no group; rename it, then upgrade again', role_name;
        end if;
    end loop;
end
$$;
"""

# Nobody gets what they were not given. Whoever has rights in this database already keeps the way in.
_PUBLIC = """
do $$
declare
    known name;
begin
    execute format('revoke create on schema %I from public', current_schema());
    execute format('grant usage on schema %I to nachet_importer, nachet_reader', current_schema());
    if pg_has_role((select datdba from pg_database where datname = current_database()), 'usage') then
        for known in
            select distinct rolname from pg_shdepend join pg_roles on pg_roles.oid = refobjid
            where refclassid = 'pg_authid'::regclass and rolname not in ('nachet_importer', 'nachet_reader')
                and dbid = (select oid from pg_database where datname = current_database())
        loop
            execute format('grant connect, temporary on database %I to %I', current_database(), known);
        end loop;
        execute format('revoke connect, temporary on database %I from public', current_database());
        execute format('grant temporary on database %I to nachet_importer', current_database());
    end if;
end
$$;
"""

_IMPORTER = {
    "select": ("nachet_alembic_version",),
    # What happened, and what was trained on, stays as it was said.
    "select, insert": ("audit_trail", "training_label", "training_set_member"),
    # Of these no row is ever deleted: a user is disabled, a seed retired, a key revoked.
    "select, insert, update": (
        "container",
        "folder_tombstone",
        "mass_import",
        "seeds",
        "training_set",
        "upload",
        "upload_crops",
        "upload_key",
        "users",
    ),
    "select, insert, update, delete": (
        "detection",
        "drift",
        "duplicate_decision",
        "mass_import_finding",
        "mass_import_folder",
        "picture_seed",
        "picture_set",
        "picture_verdict",
        "pictures",
    ),
}
_NOT_FOR_READERS = ("upload_key",)

_LATER = """
do $$
begin
    execute format('alter default privileges in schema %I grant select, insert, update, delete on tables'
        ' to nachet_importer', current_schema());
    execute format('alter default privileges in schema %I grant select on tables to nachet_reader', current_schema());
end
$$;
"""

# Dagster makes and changes its tables itself, as the importer: in a schema of their own, so that the importer needs to
# make nothing among ours, and the reader sees nothing of runs.
_DAGSTER = """
create schema if not exists dagster;
grant usage, create on schema dagster to nachet_importer;
"""


def _grant(table: str, privileges: str) -> str:
    readers = "" if table in _NOT_FOR_READERS else f" grant select on {table} to nachet_reader;"
    return f"revoke all on {table} from public; grant {privileges} on {table} to nachet_importer;{readers}"


def upgrade() -> None:
    """Make the roles, and say what they may."""
    op.execute(_GROUPS)
    op.execute(_PUBLIC)
    for privileges, tables in _IMPORTER.items():
        for table in tables:
            op.execute(_grant(table, privileges))
    op.execute(_LATER)
    op.execute(_DAGSTER)
