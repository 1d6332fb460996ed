"""A picture may show seeds that nobody has named yet, and seeds of several species, each with their number.

Revision: 0028, after 0027.

A link without a seed stands for seeds of an unknown species. So every picture still has a link for everything that it
shows, and what joins seeds, as other programs do, reads no species that nobody stated.

Somebody may name a picture set of a hundred thousand such pictures, each of them a decision. So the decisions are no
longer followed from each of them to all that it reaches, but from the few pictures that reach one by a detour.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_LINKS = """
alter table picture_seed alter column seed_id drop not null;
alter table picture_seed add column number_of_seeds integer check (number_of_seeds > 0);
comment on column picture_seed.seed_id is 'null: the species is unknown';
comment on column picture_seed.number_of_seeds is 'seeds of this species; null: all that the picture shows';
create unique index picture_seed_unknown on picture_seed (picture_id) where seed_id is null;

drop trigger audit_insert on picture_seed;
drop trigger audit_update on picture_seed;
drop trigger audit_delete on picture_seed;
drop trigger audit_truncate on picture_seed;
call audit_watch('picture_seed', 'picture seed', array['picture_id', 'seed_id', 'number_of_seeds']);

alter table label_decision add column named_with uuid;
comment on column label_decision.named_with is 'the picture set whose unknown seeds were named at once; null: the'
    ' photograph was decided of by itself';
create index label_decision_named_with on label_decision (named_with) where named_with is not null;
"""

# From a picture to what equals it and what that was cut from: what a decision of any of those reaches. Its body is read
# when it is made, so that nobody's temporary table stands in for ours. It gives rows, because PostgreSQL plans such a
# function anew with each query; of another, a session keeps the plan from when there were few decisions.
_DECISION_OF = """
create function label_decision_of(whole uuid) returns table (seed_id uuid) language sql stable parallel safe
begin atomic
    with recursive reaching (id, parent, sha256, pixel_sha256, own) as (
        select p.id, p.parent, p.sha256, p.pixel_sha256, true from pictures p where p.id = whole
        union
        select found.id, found.parent, found.sha256, found.pixel_sha256, false from reaching cross join lateral (
            select p.id, p.parent, p.sha256, p.pixel_sha256 from pictures p where p.id = reaching.parent
            union all select p.id, p.parent, p.sha256, p.pixel_sha256 from pictures p where p.sha256 = reaching.sha256
            union all select p.id, p.parent, p.sha256, p.pixel_sha256 from pictures p
                where p.pixel_sha256 = reaching.pixel_sha256
        ) found
    )
    select coalesce(seeds.merged_into, seeds.id) from (
        select d.*, own from reaching join label_decision d on d.sha256 = reaching.sha256
        union all select d.*, own from reaching join label_decision d on d.pixel_sha256 = reaching.pixel_sha256
    ) decided join seeds on seeds.id = decided.seed_id
    order by own desc, decided_at desc, sha256 limit 1;
end;
comment on function label_decision_of is 'The species that somebody decided for the photograph of a whole picture, or'
    ' for what it was cut from; no row if nobody did.';
"""

# A decision of the picture's own content comes before one of what its content was cut from. Pictures that equal no crop
# and no other file reach nothing by a detour. If nothing was decided, nothing is read.
_DECIDED = """
create or replace view label_decided as
with direct as materialized (
    select distinct on (picture_id) picture_id, seed_id from (
        select p.id as picture_id, d.seed_id, d.decided_at, d.sha256
            from label_decision d join pictures p on p.sha256 = d.sha256 and p.parent is null
        union all
        select p.id, d.seed_id, d.decided_at, d.sha256
            from label_decision d join pictures p on p.pixel_sha256 = d.pixel_sha256 and p.parent is null
    ) found order by picture_id, decided_at desc, sha256
), shared as materialized (
    select id, parent, sha256, pixel_sha256 from pictures where sha256 = any(array(
        select sha256 from pictures where exists (select from label_decision) group by sha256 having count(*) > 1
    ))
    union
    select id, parent, sha256, pixel_sha256 from pictures where pixel_sha256 = any(array(
        select pixel_sha256 from pictures where exists (select from label_decision) and pixel_sha256 is not null
            group by pixel_sha256 having count(*) > 1
    ))
), by_a_detour as materialized (
    select id from shared where parent is null and (
        sha256 in (select sha256 from shared group by sha256
            having bool_or(parent is not null) or count(distinct coalesce(pixel_sha256, '')) > 1)
        or pixel_sha256 in (select pixel_sha256 from shared where pixel_sha256 is not null group by pixel_sha256
            having bool_or(parent is not null) or count(distinct sha256) > 1)
    )
)
select picture_id, coalesce(seeds.merged_into, seeds.id) as seed_id from direct join seeds on seeds.id = direct.seed_id
union all
select id, d.seed_id from by_a_detour cross join lateral label_decision_of(id) d
where id not in (select picture_id from direct);
"""

# The case keeps the cheap questions before the dear one.
_UNNAMED = """
create view unnamed_picture as
select p.id as picture_id, p.picture_set_id, l.number_of_seeds
from picture_seed l join pictures p on p.id = l.picture_id
    join picture_set s on s.id = p.picture_set_id and s.deleted_at is null
where l.seed_id is null and p.parent is null and p.superseded_at is null and p.withdrawn_at is null
    and case
        when not exists (select from label_decision) then true
        when exists (select from label_decision d where d.sha256 = p.sha256) then false
        when exists (select from label_decision d where d.pixel_sha256 = p.pixel_sha256) then false
        else not exists (select from label_decision_of(p.id))
    end;
comment on view unnamed_picture is 'Whole, live pictures that show seeds of an unknown species, and of which nobody'
    ' decided what they show; number_of_seeds as in picture_seed.';

revoke all on unnamed_picture from public, nachet_importer, nachet_reader;
grant select on unnamed_picture to nachet_importer, nachet_reader;
revoke all on function label_decision_of(uuid) from public;
grant execute on function label_decision_of(uuid) to nachet_importer, nachet_reader;
"""


def upgrade() -> None:
    """Let links stand for unknown seeds, and count them; let many decisions cost little."""
    op.execute(_LINKS)
    op.execute(_DECISION_OF)
    op.execute(_DECIDED)
    op.execute(_UNNAMED)
