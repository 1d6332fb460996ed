"""What pictures tell about themselves, and what was decided about pairs of pictures that look alike.

Revision: 0004, after 0003.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

_PICTURES = """
alter table pictures
    add column enrichment_version text,
    add column rule_set_version text,
    add column pixel_sha256 bytea check (length(pixel_sha256) = 32),
    add column perceptual_hash bytea check (length(perceptual_hash) = 32),
    add column hash_bands integer[] check (cardinality(hash_bands) = 16),
    add column quality_score real check (quality_score between 0 and 1),
    add column sharpness real check (sharpness >= 0),
    add column captured_at timestamptz;

-- The version of the rules that accepted a picture stood with its picture set only.
update pictures set rule_set_version = picture_set.picture_set -> 'audit_trail' ->> 'rule_set_version'
    from picture_set where picture_set.id = pictures.picture_set_id;

create index pictures_pixel_sha256 on pictures (pixel_sha256);
create index pictures_hash_bands on pictures using gin (hash_bands);
"""

_DECISIONS = """
create table duplicate_decision (
    picture_a uuid not null references pictures,
    picture_b uuid not null references pictures,
    decision text not null check (decision in ('duplicate', 'different')),
    decided_by text not null,
    decided_at timestamptz not null default now(),
    note text,
    primary key (picture_a, picture_b),
    check (picture_a < picture_b)
);
create index duplicate_decision_b on duplicate_decision (picture_b);
"""


def upgrade() -> None:
    """Add what is measured of pictures, what finds those alike, and what is decided about them."""
    op.execute(_PICTURES)
    op.execute(_DECISIONS)
