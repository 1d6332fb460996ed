"""Upload keys, encrypted, and users who are disabled.

Revision: 0011, after 0010.
"""

from alembic import op

revision = "0011"
down_revision = "0010"

_KEYS = """
alter table users add column disabled_at timestamptz;

create table upload_key (
    id uuid primary key,
    user_id uuid not null references users,
    number integer not null check (number > 0),
    container text not null,
    kind text not null check (kind in ('policy', 'delegation')),
    permissions text not null,
    encrypted_sas text,
    starts_at timestamptz not null,
    expires_at timestamptz not null,
    created_at timestamptz not null default now(),
    created_by text not null,
    shown_at timestamptz,
    shown_to text,
    revoked_at timestamptz,
    unique (user_id, number),
    check (starts_at < expires_at),
    -- What opens nothing any more is not kept, not even encrypted.
    check (revoked_at is null or encrypted_sas is null)
);
create index upload_key_expiry on upload_key (expires_at) where revoked_at is null;
"""


def upgrade() -> None:
    """Keep upload keys, and know who is disabled."""
    op.execute(_KEYS)
