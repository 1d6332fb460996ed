"""What the page on the pipeline's health asks every hour costs the same however many uploads there are.

Revision: 0021, after 0020.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_INDEXES = """
create index upload_changed on upload (state, updated_at);
create index picture_set_upload_date on picture_set (upload_date);
"""

# The reader may not read keys, not even encrypted; when they end is no secret.
_ENDS = """
create view upload_key_end as
select user_id, number, starts_at, expires_at from upload_key where revoked_at is null;
comment on view upload_key_end is 'When each upload key ends that is not revoked.';
revoke all on upload_key_end from public, nachet_importer, nachet_reader;
grant select on upload_key_end to nachet_importer, nachet_reader;
"""


def upgrade() -> None:
    """Find what changed lately, and when keys end, without reading the rest."""
    op.execute(_INDEXES)
    op.execute(_ENDS)
