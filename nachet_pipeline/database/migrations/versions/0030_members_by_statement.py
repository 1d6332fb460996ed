"""Members of training sets are compared with the pictures that are there once a statement, not one by one.

Revision: 0030, after 0029.

A foreign key looks each member's picture up and locks its row, which writes that row again: two thirds of the time that
members took. A join finds the same in one statement. What those locks kept apart, the advisory lock `LOCK_WITHDRAWING`
keeps apart: shared for whoever adds members, exclusive for whoever deletes pictures. The pipeline takes it anyway, for
its reasons. Each must see what the other committed meanwhile, so neither may have a snapshot from before.
"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_MEMBERS = """
create function training_set_member_lock() returns trigger language plpgsql as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise feature_not_supported using
            message = format('%s %s needs the isolation level READ COMMITTED', lower(tg_op), tg_table_name);
    end if;
    if tg_table_name = 'pictures' then
        perform pg_advisory_xact_lock(7209139, 0);
    else
        perform pg_advisory_xact_lock_shared(7209139, 0);
    end if;
    return null;
end $$;
create function training_set_member_has_picture() returns trigger language plpgsql as $$
declare
    missing uuid;
begin
    select m.picture_id into missing from new_rows m
        where not exists (select from pictures p where p.id = m.picture_id) limit 1;
    if found then
        raise foreign_key_violation using message = format('there is no picture %s', missing),
            table = 'training_set_member', column = 'picture_id';
    end if;
    return null;
end $$;
create function picture_is_no_member() returns trigger language plpgsql as $$
declare
    used uuid;
begin
    if tg_op = 'DELETE' then
        select p.id into used from old_rows p
            where exists (select from training_set_member m where m.picture_id = p.id) limit 1;
    elsif tg_op = 'UPDATE' then
        select m.picture_id into used from training_set_member m where m.picture_id = old.id limit 1;
    else
        select m.picture_id into used from training_set_member m limit 1;
    end if;
    if found then
        raise foreign_key_violation using message = format('a training set has the picture %s', used),
            table = 'pictures', column = 'id';
    end if;
    return null;
end $$;
do $$
declare
    name text;
begin
    -- Nobody's temporary table stands in for ours.
    foreach name in array array['training_set_member_has_picture', 'picture_is_no_member'] loop
        execute format('alter function %I() set search_path = %I, pg_temp', name, current_schema());
    end loop;
end $$;

create trigger training_set_member_lock before insert or update on training_set_member
    for each statement execute function training_set_member_lock();
create trigger training_set_member_inserted after insert on training_set_member referencing new table as new_rows
    for each statement execute function training_set_member_has_picture();
create trigger training_set_member_updated after update on training_set_member referencing new table as new_rows
    for each statement execute function training_set_member_has_picture();
create trigger training_set_member_lock before delete or truncate or update of id on pictures
    for each statement execute function training_set_member_lock();
create trigger training_set_member_deleted after delete on pictures referencing old table as old_rows
    for each statement execute function picture_is_no_member();
create trigger training_set_member_truncated after truncate on pictures
    for each statement execute function picture_is_no_member();
create trigger training_set_member_renamed after update of id on pictures
    for each row when (old.id <> new.id) execute function picture_is_no_member();
-- As those of a foreign key, they are not to be switched off by a session for itself.
alter table training_set_member enable always trigger training_set_member_lock,
    enable always trigger training_set_member_inserted, enable always trigger training_set_member_updated;
alter table pictures enable always trigger training_set_member_lock, enable always trigger training_set_member_deleted,
    enable always trigger training_set_member_truncated, enable always trigger training_set_member_renamed;
alter table training_set_member drop constraint training_set_member_picture_id_fkey;
"""


def upgrade() -> None:
    """Compare members with pictures by the statement."""
    op.execute(_MEMBERS)
