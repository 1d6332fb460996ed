"""What is withdrawn, and what is decided about pairs, goes by a photograph's content and no longer by rows.

Revision: 0016, after 0013.

Rows that the purge of a deleted folder marked as withdrawn, because trainings were made of them, were withdrawn by
nobody: they become superseded.
"""

from alembic import op

revision = "0016"
down_revision = "0015"

# A row's own withdrawn_at stays what queries read; whoever writes rows lets it follow this table.
_WITHDRAWN = """
create table withdrawn_content (
    sha256 bytea primary key check (length(sha256) = 32),
    pixel_sha256 bytea check (length(pixel_sha256) = 32),
    withdrawn_by text not null,
    why text not null,
    withdrawn_at timestamptz not null default now()
);
create index withdrawn_content_pixel_sha256 on withdrawn_content (pixel_sha256);
"""

# A whole picture can be superseded, as a crop can.
_WHOLE = """
alter table pictures
    drop constraint if exists pictures_crops_are_whole,
    add constraint pictures_crops_are_whole check (
        num_nulls(bounding_box, detector) in (0, 2) and (parent is not null or bounding_box is null)
    );
"""

# The trail knows what somebody withdrew, before its folder was purged too.
_PURGED = """
update pictures p set superseded_at = coalesce(superseded_at, withdrawn_at), withdrawn_at = null
    where withdrawn_at is not null and picture = '{}' and not exists (select from audit_trail a
        where a.subject = 'picture' and a.subject_id = p.id and a.action = 'withdrawn');
"""

# Whatever has equal bytes or equal pixels, or was cut from what has, over any number of steps.
_MARKED = """
create temp table same on commit drop as
with recursive same (id, sha256, pixel_sha256) as (
    select id, sha256, pixel_sha256 from pictures where withdrawn_at is not null
    union
    select found.* from same cross join lateral (
        select id, sha256, pixel_sha256 from pictures p where p.parent = same.id
        union all select id, sha256, pixel_sha256 from pictures p where p.sha256 = same.sha256
        union all select id, sha256, pixel_sha256 from pictures p where p.pixel_sha256 = same.pixel_sha256
    ) found
)
select * from same;

insert into withdrawn_content (sha256, pixel_sha256, withdrawn_by, why, withdrawn_at)
select distinct on (same.sha256) same.sha256, same.pixel_sha256, coalesce(said.actor, 'unknown'),
    coalesce(said.after ->> 'why', 'withdrawn before content was'), coalesce(p.withdrawn_at, now())
from same join pictures p on p.id = same.id
    left join lateral (select actor, after from audit_trail a where a.subject = 'picture' and a.subject_id = p.id
        and a.action = 'withdrawn' order by a.id limit 1) said on true
order by same.sha256, p.withdrawn_at nulls last, same.pixel_sha256;

update pictures p set withdrawn_at = now() from same where same.id = p.id and p.withdrawn_at is null;
drop table same;
"""

# Of decisions about rows of the same two files the newest holds; that a file is its own duplicate needs none.
_DECISIONS = """
alter table duplicate_decision rename to duplicate_decision_of_rows;
create table duplicate_decision (
    file_a bytea not null check (length(file_a) = 32),
    file_b bytea not null check (length(file_b) = 32),
    decision text not null check (decision in ('duplicate', 'different')),
    decided_by text not null,
    decided_at timestamptz not null default now(),
    note text,
    primary key (file_a, file_b),
    check (file_a < file_b)
);
create index duplicate_decision_file_b on duplicate_decision (file_b);
insert into duplicate_decision
select distinct on (1, 2) least(a.sha256, b.sha256), greatest(a.sha256, b.sha256), decision, decided_by, decided_at,
    note
from duplicate_decision_of_rows join pictures a on a.id = picture_a join pictures b on b.id = picture_b
where a.sha256 <> b.sha256 order by 1, 2, decided_at desc, a.id, b.id;
drop table duplicate_decision_of_rows;
"""

_RIGHTS = """
revoke all on withdrawn_content, duplicate_decision from public;
revoke all on withdrawn_content from nachet_importer;
grant select, insert, update on withdrawn_content to nachet_importer;
grant select, insert, update, delete on duplicate_decision to nachet_importer;
grant select on withdrawn_content, duplicate_decision to nachet_reader;
"""


def upgrade() -> None:
    """Withdraw what has the content of what is withdrawn, and decide about files."""
    for step in (_WITHDRAWN, _WHOLE, _PURGED, _MARKED, _DECISIONS, _RIGHTS):
        op.execute(step)
