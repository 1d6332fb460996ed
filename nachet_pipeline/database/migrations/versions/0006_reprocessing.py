"""What today's rules and code say of pictures that are stored already.

Revision: 0006, after 0005.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

_VERDICTS = """
create table picture_verdict (
    picture_id uuid primary key references pictures on delete cascade,
    state text not null check (state in ('accepted', 'refused', 'missing', 'changed', 'unreadable')),
    codes text[] not null,
    findings jsonb not null,
    rule_set_version text not null,
    enrichment_version text not null,
    checked_at timestamptz not null default now(),
    previous jsonb
);
create index picture_verdict_codes on picture_verdict using gin (codes);
-- What an operator looks at: few, however many pictures there are.
create index picture_verdict_of_concern on picture_verdict (state, picture_id) where state <> 'accepted';
"""

# Pictures of other versions than today's are found from one version to the next, and then in order of their ids.
_STALE = """
drop index if exists pictures_versions;
create index pictures_by_version on pictures (coalesce(rule_set_version, ''), coalesce(enrichment_version, ''), id);
"""


def upgrade() -> None:
    """Keep verdicts on stored pictures, and find those that are stale."""
    op.execute(_VERDICTS)
    op.execute(_STALE)
