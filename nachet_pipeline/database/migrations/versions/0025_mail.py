"""Who wants to be told what by e-mail, and the mails that are made of the outbox.

Revision: 0025, after 0024.
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

# notify: null of who never said anything; the setting of the deployment counts then.
_USERS = """
alter table users add column language text not null default 'en' check (language in ('en', 'fr'));
alter table users add column notify text[] check (notify <@ array['refused', 'imported', 'failed', 'key']);
"""

# A mail tells what happened to its user, of its kind, from one number of the outbox to another; user_id null: the
# operators. It takes up what happens until it is tried first. outcome: what became of it in the end.
_MAILS = """
create table mail (
    id uuid primary key,
    user_id uuid references users,
    addressee uuid not null generated always as (coalesce(user_id, '00000000-0000-0000-0000-000000000000')) stored,
    kind text not null check (kind in ('refused', 'imported', 'failed', 'key', 'health')),
    first bigint not null,
    last bigint not null check (last >= first),
    created_at timestamptz not null,
    due_at timestamptz not null,
    attempts integer not null default 0,
    tried_at timestamptz,
    failure text,
    outcome text check (outcome in ('sent', 'failed', 'unneeded')),
    ended_at timestamptz,
    check ((outcome is null) = (ended_at is null)),
    check ((user_id is null) = (kind = 'health'))
);
create unique index mail_open on mail (addressee, kind) where attempts = 0 and outcome is null;
create index mail_due on mail (due_at) where outcome is null;
create index mail_of_addressee on mail (addressee, kind, first);
create index mail_ended on mail (ended_at) where outcome is not null;

-- How far the outbox was read, and when that was. The one row is also the lock of who reads.
create table mail_cursor (
    one boolean primary key default true check (one),
    number bigint not null default 0,
    read_at timestamptz
);
insert into mail_cursor default values;

revoke all on mail, mail_cursor from public, nachet_importer, nachet_reader;
grant select, insert, update, delete on mail to nachet_importer;
grant select, update on mail_cursor to nachet_importer;
grant select on mail, mail_cursor to nachet_reader;
"""


def upgrade() -> None:
    """Let users say what they want to be told, and keep what is sent to them."""
    op.execute(_USERS)
    op.execute(_MAILS)
