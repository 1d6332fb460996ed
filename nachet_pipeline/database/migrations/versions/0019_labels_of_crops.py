"""A crop that is sent as a picture is the photograph it was cut from: in a conflict, and in what was decided.

Revision: 0019.

The views keep their names and columns. `label_conflict` still has whole pictures only: a crop's content counts for the
picture that it was cut from. The two indexes now hold crops as well.
"""

from alembic import op

revision = "0019"
down_revision = "0018"

# Of a crop it is the picture that it was cut from, at the top, that must be there: a later detection takes its place.
_KEPT = "(superseded_at is null or parent is not null) and withdrawn_at is null"

_INDEXES = f"""
drop index pictures_live_file;
drop index pictures_live_pixels;
create index pictures_live_file on pictures (sha256) where {_KEPT};
create index pictures_live_pixels on pictures (pixel_sha256) where {_KEPT};
"""

# A decision of the picture's own content comes before one of what its content was cut from.
_DECIDED = """
create or replace view label_decided as
with recursive reached (id, parent, sha256, pixel_sha256, decision) as (
    (select p.id, p.parent, p.sha256, p.pixel_sha256, d.sha256 from label_decision d
        join pictures p on p.sha256 = d.sha256
    union
    select p.id, p.parent, p.sha256, p.pixel_sha256, d.sha256 from label_decision d
        join pictures p on p.pixel_sha256 = d.pixel_sha256)
    union
    select found.*, reached.decision from reached cross join lateral (
        select id, parent, sha256, pixel_sha256 from pictures p where p.parent = reached.id
        union all select id, parent, sha256, pixel_sha256 from pictures p where p.sha256 = reached.sha256
        union all select id, parent, sha256, pixel_sha256 from pictures p where p.pixel_sha256 = reached.pixel_sha256
    ) found
)
select distinct on (reached.id) reached.id as picture_id, coalesce(seeds.merged_into, seeds.id) as seed_id
from reached join label_decision d on d.sha256 = reached.decision join seeds on seeds.id = d.seed_id
where reached.parent is null
order by reached.id, (reached.sha256 = d.sha256 or coalesce(reached.pixel_sha256 = d.pixel_sha256, false)) desc,
    d.decided_at desc, d.sha256;
comment on view label_decided is 'Whole pictures whose photograph, or what it was cut from, somebody decided the'
    ' species of, with that species.';
"""

# Of an array PostgreSQL expects a few elements, of a grouped query a third of all pictures: that is why it then finds
# the pictures by index. Of a picture that shows several species all of them count. Crops of several pictures
# that equal each other alone prove nothing: a piece of white ground equals any other; training sets leave those out.
# PostgreSQL has no maximum of bytea before version 18.
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
    select content, id, first_value(content) over (partition by id order by content desc nulls last) as photograph
    from torn
), by_content as materialized (
    select id, first_value(photograph) over (partition by content order by photograph desc nulls last) as photograph
    from by_picture
)
select labelled.id as picture_id,
    (array_agg(by_content.photograph order by by_content.photograph desc nulls last))[1] as photograph,
    labelled.sha256, labelled.pixel_sha256, labelled.species
from by_content join labelled using (id)
group by labelled.id, labelled.sha256, labelled.pixel_sha256, labelled.species;
comment on view label_conflict is 'Whole, live pictures whose photograph (equal file or equal pixels, of the picture or'
    ' of what was cut from it) is stored under another species as well; `photograph` is the same for all of one.';
"""


def upgrade() -> None:
    """Let crops count for what they were cut from."""
    op.execute(_INDEXES)
    op.execute(_DECIDED)
    op.execute(_CONFLICTS)
