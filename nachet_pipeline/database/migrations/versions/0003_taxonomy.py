"""Seeds that can be renamed, merged and retired, and an audit trail that nobody can change.

Revision: 0003, after 0002.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

_SEEDS = """
alter table seeds add column merged_into uuid references seeds;
alter table seeds add column active boolean not null default true;
alter table seeds add constraint seeds_merged_are_inactive check (merged_into is null or not active);
alter table seeds add constraint seeds_not_merged_into_itself check (merged_into <> id);
create index seeds_merged_into on seeds (merged_into) where merged_into is not null;

-- A merged or retired seed keeps its name, which another may then take.
drop index seeds_name;
create unique index seeds_name on seeds (lower(name)) where active;
"""

_AUDIT_TRAIL = """
create table audit_trail (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    actor text not null,
    action text not null,
    subject text not null,
    subject_id uuid,
    before jsonb,
    after jsonb
);
create index audit_trail_subject on audit_trail (subject_id) where subject_id is not null;

create function audit_trail_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'the audit trail can only be added to, % is refused', lower(tg_op)
        using errcode = 'insufficient_privilege';
end
$$;
create trigger audit_trail_append_only before update or delete or truncate on audit_trail
    for each statement execute function audit_trail_refuse();
-- Otherwise a session could switch the trigger off for itself (session_replication_role).
alter table audit_trail enable always trigger audit_trail_append_only;
"""


def upgrade() -> None:
    """Add what renaming, merging and retiring seeds needs."""
    op.execute(_SEEDS)
    op.execute(_AUDIT_TRAIL)
