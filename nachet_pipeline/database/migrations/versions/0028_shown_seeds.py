"""A picture may show seeds that nobody has named yet, and seeds of several species, each with their number.

Revision: 0028, after 0027.

A link without a seed stands for seeds of an unknown species. So every picture still has a link for everything that it
shows, and what joins seeds, as other programs do, reads no species that nobody stated.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_LINKS = """
alter table picture_seed alter column seed_id drop not null;
alter table picture_seed add column nb_object integer check (nb_object > 0);
comment on column picture_seed.seed_id is 'null: the species is unknown';
comment on column picture_seed.nb_object is 'seeds of this species; null: all that the picture shows';
create unique index picture_seed_unknown on picture_seed (picture_id) where seed_id is null;
"""

_UNNAMED = """
create view unnamed_picture as
select p.id as picture_id, p.picture_set_id
from picture_seed l join pictures p on p.id = l.picture_id
    join picture_set s on s.id = p.picture_set_id and s.deleted_at is null
where l.seed_id is null and p.parent is null and p.superseded_at is null and p.withdrawn_at is null
    and not exists (select from label_decided d where d.picture_id = p.id);
comment on view unnamed_picture is 'Whole, live pictures that show seeds of an unknown species, and of which nobody'
    ' decided what they show.';

revoke all on unnamed_picture from public, nachet_importer, nachet_reader;
grant select on unnamed_picture to nachet_importer, nachet_reader;
"""


def upgrade() -> None:
    """Let links stand for unknown seeds, and count them."""
    op.execute(_LINKS)
    op.execute(_UNNAMED)
