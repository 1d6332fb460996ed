"""A crop that a later detection took the place of still shows what its picture shows, and counts for its label.

Revision: 0020.

The view keeps its name and columns: it takes in superseded crops of live pictures, and so do the two indexes.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# Of a crop it is the picture that it was cut from, at the top, that must be there.
_KEPT = "(superseded_at is null or parent is not null) and withdrawn_at is null"

_INDEXES = f"""
drop index pictures_live_file;
drop index pictures_live_pixels;
create index pictures_live_file on pictures (sha256) where {_KEPT};
create index pictures_live_pixels on pictures (pixel_sha256) where {_KEPT};
"""

# Of an array PostgreSQL expects a few elements, of a grouped query a third of all pictures: that is why it then finds
# the pictures by index. Of a picture that shows several species all of them count. Crops of several pictures
# that equal each other alone prove nothing: a piece of white ground equals any other; training sets leave those out.
_CONFLICTS = f"""
create or replace view label_conflict as
with shared as materialized (
    select id, parent, sha256, pixel_sha256 from pictures where {_KEPT}
        and sha256 = any(array(select sha256 from pictures where {_KEPT} group by sha256 having count(*) > 1))
    union
    select id, parent, sha256, pixel_sha256 from pictures where {_KEPT}
        and pixel_sha256 = any(array(
            select pixel_sha256 from pictures where {_KEPT} and pixel_sha256 is not null
            group by pixel_sha256 having count(*) > 1
        ))
), cut_from as materialized (
    select shared.sha256, shared.pixel_sha256, coalesce(g.id, q.id, shared.id) as root, q.id is null as whole
    from shared left join pictures q on q.id = shared.parent left join pictures g on g.id = q.parent
), labelled as materialized (
    select p.id, p.sha256, p.pixel_sha256, case when d.seed_id is not null then array[d.seed_id] else (
        select array_agg(distinct coalesce(seeds.merged_into, seeds.id)) from picture_seed l
        join seeds on seeds.id = l.seed_id where l.picture_id = p.id
    ) end as species
    from (select distinct root from cut_from) roots
        join pictures p on p.id = roots.root and p.superseded_at is null and p.withdrawn_at is null
        join picture_set s on s.id = p.picture_set_id and s.deleted_at is null
        left join label_decided d on d.picture_id = p.id
), content as materialized (
    select cut_from.sha256 as content, labelled.id, species, whole from cut_from join labelled on labelled.id = root
    union
    select cut_from.pixel_sha256, labelled.id, species, whole from cut_from join labelled on labelled.id = root
), torn as materialized (
    select distinct content, id from content where species is not null and content in (
        select content from content where species is not null
            group by content having min(species) <> max(species) and bool_or(whole)
    )
), by_picture as materialized (
    select content, id, max(content) over (partition by id) as photograph from torn
), by_content as materialized (
    select id, max(photograph) over (partition by content) as photograph from by_picture
)
select labelled.id as picture_id, max(by_content.photograph) as photograph, labelled.sha256, labelled.pixel_sha256,
    labelled.species
from by_content join labelled using (id)
group by labelled.id, labelled.sha256, labelled.pixel_sha256, labelled.species;
"""


def upgrade() -> None:
    """Let crops count for what they were cut from, however it is cut today."""
    op.execute(_INDEXES)
    op.execute(_CONFLICTS)
