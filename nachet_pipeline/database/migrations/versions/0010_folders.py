"""Folders that are deleted or archived, with a way back; and changes that PostgreSQL itself writes to the audit trail.

Revision: 0010, after 0009.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

# A deleted folder keeps its rows and blobs until it is purged. purged_at: only what trainings were made of has rows
# still, and no blobs. archived_at: its pictures are in the owner's archive, and stay there for training.
_PICTURE_SETS = """
alter table picture_set
    add column deleted_at timestamptz,
    add column archived_at timestamptz,
    add column purged_at timestamptz,
    add constraint picture_set_purged_is_deleted check (purged_at is null or deleted_at is not null);
create index picture_set_deleted on picture_set (id) where deleted_at is not null;
"""

# No foreign key on the picture set: a tombstone outlives what it stands for. moved_at: the rows point at the archive;
# cleaned_at: nothing is left where the pictures were before (after an undo: nothing is left in the archive).
_TOMBSTONES = """
create table folder_tombstone (
    id bigint generated always as identity primary key,
    picture_set_id uuid not null,
    owner_id uuid not null references users,
    owner text not null,
    name text not null,
    action text not null check (action in ('deleted', 'archived')),
    by text not null check (by <> ''),
    why text not null check (why <> ''),
    at timestamptz not null default now(),
    undo_until timestamptz not null,
    container text not null,
    archive text,
    pictures bigint not null check (pictures >= 0),
    bytes bigint not null check (bytes >= 0),
    training_sets text[] not null default '{}',
    moved_at timestamptz,
    purging_at timestamptz,
    purged_at timestamptz,
    undone_at timestamptz,
    undone_by text,
    undone_why text,
    cleaned_at timestamptz,
    check ((action = 'archived') = (archive is not null))
);
-- A folder is put away once at a time.
create unique index folder_tombstone_open on folder_tombstone (picture_set_id)
    where undone_at is null and purged_at is null;
create index folder_tombstone_picture_set on folder_tombstone (picture_set_id);
create index folder_tombstone_due on folder_tombstone (undo_until)
    where action = 'deleted' and undone_at is null and purged_at is null;
create index folder_tombstone_unclean on folder_tombstone (id) where action = 'archived' and cleaned_at is null;
"""

# Who changes something, and why, is said by settings of the transaction (see database/audit.py); without them the
# trail names the account. A long value stands in it as its MD5.
_WRITING = """
create function audit_leaves(document jsonb) returns table (path text[], value jsonb)
language sql immutable as $$
    with recursive leaf (path, value) as (
        select array[key], each.value from jsonb_each(document) each
        union all
        select leaf.path || each.key, each.value from leaf
            cross join lateral jsonb_each(case when jsonb_typeof(leaf.value) = 'object' then leaf.value end) each
    )
    select path, value from leaf where jsonb_typeof(value) <> 'object'
$$;

create function audit_short(value jsonb) returns jsonb language sql immutable as $$
    select case when length(value::text) > 300 then to_jsonb('md5 ' || md5(value::text)) else value end
$$;

create function audit_changes(one jsonb, other jsonb) returns jsonb language sql immutable as $$
    select jsonb_object_agg(array_to_string(path, '.'), audit_short(value)) from audit_leaves((
        select jsonb_object_agg(key, value) from jsonb_each(one) where other -> key is distinct from value
    )) where other #> path is distinct from value
$$;

-- As its owner, so that whoever may change a table needs no right on the trail, and with a path on which nobody's
-- temporary table can stand in for the trail.
create function audit_write() returns trigger language plpgsql security definer as $$
declare
    actor text := coalesce(nullif(current_setting('nachet.actor', true), ''), session_user::text);
    action text := nullif(current_setting('nachet.action', true), '');
    note jsonb := nullif(current_setting('nachet.note', true), '')::jsonb;
    subject text := tg_argv[0];
    shown text := tg_argv[1];
    hidden text[] := tg_argv[2];
begin
    if tg_op = 'INSERT' then
        execute format('insert into audit_trail (actor, action, subject, subject_id, after)'
            ' select $1, $2, $3, id, jsonb_strip_nulls(jsonb_build_object(%1$s)) || coalesce($4, ''{}'') from new_rows',
            shown) using actor, coalesce(action, 'added'), subject, note;
    elsif tg_op = 'DELETE' then
        execute format('insert into audit_trail (actor, action, subject, subject_id, before, after)'
            ' select $1, $2, $3, id, jsonb_strip_nulls(jsonb_build_object(%1$s)), $4 from old_rows', shown)
            using actor, coalesce(action, 'removed'), subject, note;
    elsif tg_op = 'UPDATE' then
        insert into audit_trail (actor, action, subject, subject_id, before, after)
        select actor, coalesce(action, 'changed'), subject, id, audit_changes(one, other),
            coalesce(audit_changes(other, one), '{}') || coalesce(note, '{}')
        from (
            select coalesce(n.id, o.id) as id,
                coalesce(to_jsonb(o), '{}') - hidden as one, coalesce(to_jsonb(n), '{}') - hidden as other
            from old_rows o full join new_rows n on n.id = o.id
        ) rows where one <> other;
    else
        insert into audit_trail (actor, action, subject, after)
            values (actor, coalesce(action, 'truncated'), subject, note);
    end if;
    return null;
end
$$;

do $$ begin
    execute format('alter function audit_write() set search_path = %I, pg_temp', current_schema());
end $$;
revoke all on function audit_write() from public;

-- shown: columns that stand in the trail when a row comes or goes. hidden: those that never do, such as secrets;
-- nothing is noted if only these change.
create procedure audit_watch(watched regclass, subject text, shown text[], hidden text[] default '{updated_at}')
language plpgsql as $$
declare
    pairs text := (select string_agg(format('%1$L, %1$I', name), ', ') from unnest(shown) name);
begin
    execute format('create trigger audit_insert after insert on %s referencing new table as new_rows'
        ' for each statement execute function audit_write(%L, %L, %L)', watched, subject, pairs, hidden);
    execute format('create trigger audit_update after update on %s referencing old table as old_rows'
        ' new table as new_rows for each statement execute function audit_write(%L, %L, %L)',
        watched, subject, pairs, hidden);
    execute format('create trigger audit_delete after delete on %s referencing old table as old_rows'
        ' for each statement execute function audit_write(%L, %L, %L)', watched, subject, pairs, hidden);
    execute format('create trigger audit_truncate after truncate on %s'
        ' for each statement execute function audit_write(%L, %L, %L)', watched, subject, pairs, hidden);
    -- Otherwise a session could switch them off for itself (session_replication_role).
    execute format('alter table %s enable always trigger audit_insert, enable always trigger audit_update,'
        ' enable always trigger audit_delete, enable always trigger audit_truncate', watched);
end
$$;
"""

_WATCHED = """
call audit_watch('users', 'user', array['email']);
call audit_watch('picture_set', 'picture set', array['name', 'owner_id', 'upload_id', 'mass_import_id', 'digest']);
call audit_watch('pictures', 'picture', array['picture_set_id', 'name', 'sha256']);
call audit_watch('training_set', 'training set', array['name', 'digest', 'pictures']);
create index audit_trail_at on audit_trail (at);
"""


def upgrade() -> None:
    """Add what deleting and archiving folders needs, and let changes be noted by the database."""
    op.execute(_PICTURE_SETS)
    op.execute(_TOMBSTONES)
    op.execute(_WRITING)
    op.execute(_WATCHED)
