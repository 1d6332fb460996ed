"""Which files the registered species come from.

Revision: 0027, after 0026.
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

# At most one row. A database without it has the package's own species, or none.
_SOURCE = """
create table registry_source (
    one boolean primary key default true check (one),
    source text not null check (source <> ''),
    version text not null check (version <> ''),
    packaged boolean not null,
    loaded_at timestamptz not null default now()
);

revoke all on registry_source from public, nachet_importer, nachet_reader;
grant select, insert, update on registry_source to nachet_importer;
grant select on registry_source to nachet_reader;
"""


def upgrade() -> None:
    """Remember where the species come from."""
    op.execute(_SOURCE)
