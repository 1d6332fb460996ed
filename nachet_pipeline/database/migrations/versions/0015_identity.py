"""A session of a folder is one picture set, whatever is corrected in it; what a correction takes out is superseded.

Revision: 0015, after 0014.

Rows that are there keep their identifiers, so that frozen training sets stay as they are; a later import finds them by
session and by file. Where a session has several picture sets, because earlier versions made another one of every
correction, the one that was imported last is its own and the others are superseded.
"""

from alembic import op

revision = "0015"
down_revision = "0014"

# session: path of the session within its upload. staged_until: when the latest of its staged pictures was written, by
# the storage service's clock, of those that were imported last; unknown of what earlier versions imported.
# superseded_at: since when a correction, or another set of the same session, has taken its place.
_PICTURE_SETS = """
alter table picture_set
    add column session text,
    add column staged_until timestamptz,
    add column superseded_at timestamptz;
select set_config('nachet.actor', 'migration 0015', true), set_config('nachet.action', 'placed', true);
update picture_set set session = picture_set #>> '{audit_trail,session}'
    where upload_id is not null and picture_set #>> '{audit_trail,session}' is not null;
"""

# sent_earlier: it stayed although it was not staged any more at its session's last import.
_PICTURES = """
alter table pictures
    drop constraint pictures_crops_are_whole,
    add constraint pictures_crops_are_whole check (
        num_nulls(bounding_box, detector) in (0, 2) and (parent is not null or bounding_box is null)
    ),
    add column sent_earlier boolean not null default false;
alter table upload add column replace_wanted boolean not null default false;
"""

# What the last receipt names is a session's newest set; without one, what was made last.
_SUPERSEDED = """
select set_config('nachet.action', 'superseded', true);
create temp table newest on commit drop as
    select distinct on (s.upload_id, s.session) s.id
    from picture_set s join upload u on u.id = s.upload_id
    left join lateral jsonb_to_recordset(
        case when jsonb_typeof(u.receipt -> 'picture_sets') = 'array' then u.receipt -> 'picture_sets' end
    ) as named (id uuid) on named.id = s.id
    where s.session is not null
    order by s.upload_id, s.session, s.deleted_at is not null, named.id is null, s.purged_at is not null,
        s.upload_date desc, s.id;
update picture_set set superseded_at = now()
    where session is not null and id not in (select id from newest);

create temp table gone on commit drop as
    with recursive whole as (
        select p.id from pictures p join picture_set s on s.id = p.picture_set_id
            where s.superseded_at is not null and p.parent is null
        -- One file twice in a set was two pictures.
        union
        select p.id from pictures p where p.parent is null and exists (
            select from pictures o where o.picture_set_id = p.picture_set_id and o.parent is null
            and o.sha256 = p.sha256 and (o.name, o.id) < (p.name, p.id)
        )
    ), family as (
        select id from whole
        union
        select c.id from pictures c join family on c.parent = family.id
    )
    select id from family;
update pictures set superseded_at = now() from gone where gone.id = pictures.id and superseded_at is null;
select set_config('nachet.actor', '', true), set_config('nachet.action', '', true);

create unique index picture_set_session on picture_set (upload_id, session)
    where superseded_at is null and session is not null;
create unique index pictures_file on pictures (picture_set_id, sha256)
    where parent is null and superseded_at is null;
"""


def upgrade() -> None:
    """Give each session the one picture set that it keeps."""
    op.execute(_PICTURE_SETS)
    op.execute(_PICTURES)
    op.execute(_SUPERSEDED)
