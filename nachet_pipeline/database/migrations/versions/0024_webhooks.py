"""Webhooks: addresses that are told of events, and what each is still to be told.

Revision: 0024, after 0023.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# place: the address without path and query, which may hold a token. cursor: up to this event, deliveries were written.
_TABLES = """
create table webhook (
    id uuid primary key,
    place text not null,
    encrypted_url text not null,
    encrypted_secret text not null,
    encrypted_former_secret text,
    former_until timestamptz,
    types text[] not null check (cardinality(types) > 0),
    cursor bigint not null,
    created_at timestamptz not null default now(),
    created_by text not null,
    paused_at timestamptz,
    paused_because text,
    failures integer not null default 0,
    failing_since timestamptz,
    next_at timestamptz,
    last_error text
);

create table webhook_delivery (
    webhook_id uuid not null references webhook on delete cascade,
    number bigint not null references event on delete cascade,
    subject text not null,
    attempts integer not null default 0,
    since timestamptz not null,
    next_at timestamptz not null,
    last_error text,
    dead_at timestamptz,
    primary key (webhook_id, number)
);
create index webhook_delivery_event on webhook_delivery (number);
create index webhook_delivery_next on webhook_delivery (webhook_id, attempts, number) where dead_at is null;
create index webhook_delivery_subject on webhook_delivery (webhook_id, subject, number) where dead_at is null;
"""

# The reader may not read addresses and secrets, not even encrypted.
_RIGHTS = """
create view webhook_state as
select id, place, types, created_at, created_by, paused_at, paused_because, failing_since, last_error, cursor
from webhook;
comment on view webhook_state is 'What each webhook is told, and how it is; without its address and its secret.';

revoke all on webhook, webhook_delivery, webhook_state from public, nachet_importer, nachet_reader;
grant select, insert, update, delete on webhook, webhook_delivery to nachet_importer;
grant select on webhook_delivery, webhook_state to nachet_reader;
grant select on webhook_state to nachet_importer;
"""


def upgrade() -> None:
    """Keep webhooks, and deliver events to them."""
    op.execute(_TABLES)
    op.execute(_RIGHTS)
