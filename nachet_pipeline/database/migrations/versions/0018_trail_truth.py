"""The audit trail shows what was changed, whatever is said beside it, and when, however long a transaction was open.

Revision: 0018, after 0017.
"""

from alembic import op

revision = "0018"
down_revision = "0017"

# As in 0010, but that the changes stand over the note of whoever makes them: it could show other values in their place.
_WRITING = """
create or replace function audit_write() returns trigger language plpgsql security definer as $$
declare
    actor text := coalesce(nullif(current_setting('nachet.actor', true), ''), session_user::text);
    action text := nullif(current_setting('nachet.action', true), '');
    said jsonb := nullif(current_setting('nachet.note', true), '')::jsonb;
    note jsonb := case when jsonb_typeof(said) = 'object' then said end;
    subject text := tg_argv[0];
    shown text := tg_argv[1];
    hidden text[] := tg_argv[2];
begin
    if tg_op = 'INSERT' then
        execute format('insert into audit_trail (actor, action, subject, subject_id, after)'
            ' select $1, $2, $3, id, coalesce($4, ''{}'') || jsonb_strip_nulls(jsonb_build_object(%1$s)) from new_rows',
            shown) using actor, coalesce(action, 'added'), subject, note;
    elsif tg_op = 'DELETE' then
        execute format('insert into audit_trail (actor, action, subject, subject_id, before, after)'
            ' select $1, $2, $3, id, jsonb_strip_nulls(jsonb_build_object(%1$s)), $4 from old_rows', shown)
            using actor, coalesce(action, 'removed'), subject, note;
    elsif tg_op = 'UPDATE' then
        insert into audit_trail (actor, action, subject, subject_id, before, after)
        select actor, coalesce(action, 'changed'), subject, id, audit_changes(one, other),
            coalesce(note, '{}') || coalesce(audit_changes(other, one), '{}')
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
"""

# The time of a transaction is when it began, which whoever holds one open chooses.
_TIME = "alter table audit_trail alter at set default clock_timestamp()"


def upgrade() -> None:
    """Let neither notes nor open transactions stand in the way of what happened."""
    op.execute(_WRITING)
    op.execute(_TIME)
