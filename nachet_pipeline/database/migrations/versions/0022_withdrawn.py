"""An upload whose user withdrew its folder.

Revision: 0022, after 0021.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_CHANGES = """
alter table upload drop constraint upload_state_check;
alter table upload add constraint upload_state_check check (
    state in ('staged', 'queued', 'importing', 'imported', 'partly_imported', 'refused', 'failed', 'withdrawn')
);
"""


def upgrade() -> None:
    """Let an upload be withdrawn."""
    op.execute(_CHANGES)
