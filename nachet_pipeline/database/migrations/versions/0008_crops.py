"""Pictures cut from others, what detectors found, and which uploads were looked at for it.

Revision: 0008, after 0007.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

# bounding_box: left, top, right, bottom of the cut in pixels of the parent. superseded_at: since when a later
# detection cuts the parent in another way; such a crop stays, because training sets may hold it.
_PICTURES = """
alter table pictures
    add column bounding_box integer[] check (
        cardinality(bounding_box) = 4
        and bounding_box[1] >= 0 and bounding_box[2] >= 0
        and bounding_box[3] > bounding_box[1] and bounding_box[4] > bounding_box[2]
    ),
    add column detector text,
    add column superseded_at timestamptz,
    add constraint pictures_crops_are_whole check (
        num_nulls(bounding_box, detector) in (0, 2)
        and (parent is not null or num_nonnulls(bounding_box, superseded_at) = 0)
    );
"""

# current: whether the picture's crops are those of this detection. stamp: how an upload was cropped last, and
# upload_changed: what its updated_at was then; another of either makes it due again.
_DETECTIONS = """
create table detection (
    picture_id uuid not null references pictures on delete cascade,
    detector text not null,
    version text not null,
    margin_percent integer not null,
    found integer not null check (found >= 0),
    declared integer not null check (declared >= 0),
    boxes jsonb not null,
    finding jsonb,
    current boolean not null default true,
    detected_at timestamptz not null default now(),
    primary key (picture_id, detector)
);
create index detection_differs on detection (picture_id) where found <> declared;

create table upload_crops (
    upload_id uuid primary key references upload on delete cascade,
    stamp text not null,
    upload_changed timestamptz not null,
    attempts integer not null default 0,
    begun_at timestamptz not null default now(),
    finished_at timestamptz,
    failure text
);
"""


def upgrade() -> None:
    """Let a picture be cut from another, and keep what was found in it."""
    op.execute(_PICTURES)
    op.execute(_DETECTIONS)
