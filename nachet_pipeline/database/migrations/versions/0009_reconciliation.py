"""What storage and database disagree about, and which staged folders were cleared.

Revision: 0009, after 0008.
"""

from alembic import op

revision = "0009"
down_revision = "0008"

# No foreign keys: it is a note on rows and blobs, some of which are the ones that are missing, and must hinder nothing.
_DRIFT = """
create table drift (
    kind text not null,
    container text not null,
    name text not null,
    subject text not null,
    owner_id uuid not null,
    picture_id uuid,
    picture_set_id uuid,
    upload_id uuid,
    size bigint,
    sha256 text,
    found_size bigint,
    found_sha256 text,
    version text,
    modified timestamptz,
    elsewhere text,
    detail text not null default '',
    first_seen timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    seen_by uuid not null,
    number bigint generated always as identity,
    primary key (kind, container, name, subject)
);
create index drift_in_order on drift (owner_id, number);
create index picture_set_container on picture_set (container_id);
"""

_CLEARED = """
alter table upload add column clearing_at timestamptz;
alter table upload add column cleared_at timestamptz;
alter table upload add column partition_cleared_at timestamptz;
"""


def upgrade() -> None:
    """Keep what reconciliation found, and what retention cleared."""
    op.execute(_DRIFT)
    op.execute(_CLEARED)
