"""The outbox: what happens that somebody may wait for, written by the transaction that lets it happen.

Revision: 0023, after 0022.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# subject: an upload, a user, a training set or a check; of one subject, numbers are in the order of what happened.
_EVENTS = """
create table event (
    number bigint generated always as identity primary key,
    id uuid not null unique default gen_random_uuid(),
    type text not null check (type ~ '^[a-z_]+\\.[a-z_]+$'),
    subject text not null check (subject <> ''),
    owner_id uuid references users,
    at timestamptz not null default clock_timestamp(),
    data jsonb not null check (jsonb_typeof(data) = 'object')
);
create index event_subject on event (subject, number desc);
create index event_owner on event (owner_id, number desc) where owner_id is not null;

revoke all on event from public, nachet_importer, nachet_reader;
grant select, insert, delete on event to nachet_importer;
grant select on event to nachet_reader;
grant select on sequence event_number_seq to nachet_importer, nachet_reader;
"""

# Numbers are taken before they are committed, so a reader could pass one that is still to come. Whoever writes events
# holds a lock, until its transaction ends, that is named by a number before its own; see events/queries.py.
_NUMBERS = """
create function event_number() returns trigger language plpgsql as $$
declare
    mine text := pg_current_xact_id()::text;
begin
    if current_setting('nachet.events', true) is distinct from mine then
        perform pg_advisory_xact_lock_shared((7209138::bigint << 32)
            | (select case when is_called then last_value else 0 end from event_number_seq));
        perform set_config('nachet.events', mine, true);
    end if;
    return null;
end
$$;
create trigger event_number before insert on event for each statement execute function event_number();
"""

_UPLOADS = """
create function event_of_upload() returns trigger language plpgsql as $$
declare
    ended boolean := new.state not in ('staged', 'queued', 'importing');
begin
    insert into event (type, subject, owner_id, data)
    select 'upload.' || new.state, new.id::text, new.owner_id, jsonb_strip_nulls(jsonb_build_object(
        'upload', new.id, 'folder', new.folder, 'owner', lower(users.email), 'state', new.state,
        'before', case when tg_op = 'UPDATE' then old.state end,
        'run_id', case when new.state <> 'staged' then new.run_id end,
        'attempts', case when new.state = 'failed' then new.attempts end
    )) || case when ended and new.receipt ->> 'state' = new.state then jsonb_strip_nulls(jsonb_build_object(
        'submission', new.receipt -> 'submission',
        'pictures', new.receipt -> 'pictures',
        'size', new.receipt -> 'size',
        'findings', new.receipt -> 'report' -> 'counts',
        'codes', new.receipt -> 'report' -> 'codes',
        'failure', new.receipt -> 'failure'
    )) else '{}' end
    from users where users.id = new.owner_id;
    return null;
end
$$;
create trigger event_of_new_upload after insert on upload for each row execute function event_of_upload();
create trigger event_of_upload after update of state on upload
    for each row when (old.state is distinct from new.state) execute function event_of_upload();
"""

_CROPS = """
create function event_of_crops() returns trigger language plpgsql as $$
begin
    insert into event (type, subject, owner_id, data)
    select 'crops.done', upload.id::text, upload.owner_id, jsonb_build_object(
        'upload', upload.id, 'folder', upload.folder, 'owner', lower(users.email),
        'differing', coalesce((upload.receipt #>> '{report,codes,seed-count-differs}')::bigint, 0)
    ) from upload join users on users.id = upload.owner_id where upload.id = new.upload_id;
    return null;
end
$$;
create trigger event_of_crops after update of finished_at on upload_crops
    for each row when (old.finished_at is null and new.finished_at is not null) execute function event_of_crops();
"""

_TRAINING_SETS = """
create function event_of_training_set() returns trigger language plpgsql as $$
begin
    insert into event (type, subject, data) values (
        'training_set.' || case when tg_op = 'INSERT' then 'made' else 'current' end, new.name,
        jsonb_build_object('training_set', new.id, 'name', new.name, 'digest', new.digest, 'container', new.container,
            'manifest', new.blob, 'pictures', new.pictures)
    );
    return null;
end
$$;
create trigger event_of_new_training_set after insert on training_set
    for each row execute function event_of_training_set();
create trigger event_of_training_set after update of current_since on training_set
    for each row when (old.current_since is distinct from new.current_since) execute function event_of_training_set();
"""


def upgrade() -> None:
    """Write an event wherever an upload, its crops or a training set changes, whichever program changes it."""
    for statements in (_EVENTS, _NUMBERS, _UPLOADS, _CROPS, _TRAINING_SETS):
        op.execute(statements)
