"""The same photograph under two species: which are, and what was decided of them.

Revision: 0017.

`label_conflict` is a view, so that it is right whatever adds, removes, relabels or merges. It costs two walks over the
two indexes made here, which hold a whole, live picture once; what follows concerns the few that share their content.
"""

from alembic import op

revision = "0017"
down_revision = "0016"

_LIVE = "parent is null and superseded_at is null and withdrawn_at is null"

_INDEXES = f"""
create index pictures_live_file on pictures (sha256) where {_LIVE};
create index pictures_live_pixels on pictures (pixel_sha256) where {_LIVE};
"""

_DECISIONS = """
create table label_decision (
    sha256 bytea primary key check (length(sha256) = 32),
    pixel_sha256 bytea check (length(pixel_sha256) = 32),
    seed_id uuid not null references seeds,
    decided_by text not null,
    why text not null,
    decided_at timestamptz not null default now()
);
create index label_decision_pixels on label_decision (pixel_sha256);

create view label_decided as
select distinct on (picture_id) picture_id, coalesce(seeds.merged_into, seeds.id) as seed_id
from (
    select p.id as picture_id, d.seed_id, d.decided_at, d.sha256 from label_decision d
        join pictures p on p.sha256 = d.sha256 where p.parent is null
    union all
    select p.id, d.seed_id, d.decided_at, d.sha256 from label_decision d
        join pictures p on p.pixel_sha256 = d.pixel_sha256 where p.parent is null
) found join seeds on seeds.id = found.seed_id
order by picture_id, decided_at desc, sha256;
comment on view label_decided is 'Whole pictures whose photograph somebody decided the species of, with that species.';
"""

# Of an array PostgreSQL expects a few elements, of a grouped query a third of all pictures: that is why it then finds
# the pictures by index. Of a picture that shows several species all of them count.
_CONFLICTS = f"""
create view label_conflict as
with shared as materialized (
    select id, sha256, pixel_sha256, picture_set_id from pictures where {_LIVE}
        and sha256 = any(array(select sha256 from pictures where {_LIVE} group by sha256 having count(*) > 1))
    union
    select id, sha256, pixel_sha256, picture_set_id from pictures where {_LIVE}
        and pixel_sha256 = any(array(
            select pixel_sha256 from pictures where {_LIVE} and pixel_sha256 is not null
            group by pixel_sha256 having count(*) > 1
        ))
), labelled as materialized (
    select shared.id, shared.sha256, shared.pixel_sha256, (
        select array_agg(distinct coalesce(seeds.merged_into, seeds.id)) from picture_seed l
        join seeds on seeds.id = l.seed_id where l.picture_id = shared.id
    ) as species
    from shared join picture_set s on s.id = shared.picture_set_id and s.deleted_at is null
)
select id as picture_id, coalesce(
        first_value(pixel_sha256) over (partition by sha256 order by pixel_sha256 desc nulls last), sha256
    ) as photograph, sha256, pixel_sha256, species
from labelled
where species is not null
    and (
        sha256 in (select sha256 from labelled group by sha256 having min(species) <> max(species))
        or pixel_sha256 in (
            select pixel_sha256 from labelled where pixel_sha256 is not null
            group by pixel_sha256 having min(species) <> max(species)
        )
    )
    and id not in (select picture_id from label_decided);
comment on view label_conflict is 'Whole, live pictures whose photograph (equal file or equal pixels) is stored under'
    ' another species as well, and of which nobody decided; `photograph` is the same for all of one.';
"""

_RIGHTS = """
revoke all on label_decision, label_conflict, label_decided from public, nachet_importer, nachet_reader;
grant select, insert, update, delete on label_decision to nachet_importer;
grant select on label_conflict, label_decided to nachet_importer;
grant select on label_decision, label_conflict, label_decided to nachet_reader;
"""


def upgrade() -> None:
    """Make the decisions, and the views that say which pictures they and open conflicts concern."""
    op.execute(_INDEXES)
    op.execute(_DECISIONS)
    op.execute(_CONFLICTS)
    op.execute(_RIGHTS)
