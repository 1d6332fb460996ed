"""An upload of which some sessions are imported and others refused.

Revision: 0002, after 0001.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

_CHANGES = """
alter table upload add column accept_valid boolean not null default false;
alter table upload drop constraint upload_state_check;
alter table upload add constraint upload_state_check check (
    state in ('staged', 'queued', 'importing', 'imported', 'partly_imported', 'refused', 'failed')
);
"""


def upgrade() -> None:
    """Let an upload be imported in part."""
    op.execute(_CHANGES)
