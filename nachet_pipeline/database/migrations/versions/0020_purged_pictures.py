"""A picture knows itself that its file was purged: another of its folder may be sent again, and the folder is back.

Revision: 0020.

What trainings were made of keeps its row when a deleted folder is purged. Once one picture of such a folder was sent
again, the others' files were missed for ever.
"""

from alembic import op

revision = "0020"
down_revision = "0019"

_COLUMN = """
alter table pictures add column purged_at timestamptz;
alter table pictures add constraint pictures_purged_are_superseded
    check (purged_at is null or superseded_at is not null);
"""

# Whatever folder is back: what purging left of a whole picture is emptied, and crops of it went with it.
_PURGED = """
with recursive gone as (
    select p.id, coalesce(s.purged_at, p.superseded_at) as purged_at
        from pictures p join picture_set s on s.id = p.picture_set_id
        where p.superseded_at is not null and (s.purged_at is not null or (p.parent is null and p.picture = '{}'))
    union
    select c.id, gone.purged_at from gone join pictures c on c.parent = gone.id
        where c.superseded_at is not null and c.picture = '{}'
)
update pictures p set purged_at = gone.purged_at from gone where gone.id = p.id;
"""


def upgrade() -> None:
    """Say of every picture whose file was purged that it was."""
    op.execute(_COLUMN)
    op.execute(_PURGED)
