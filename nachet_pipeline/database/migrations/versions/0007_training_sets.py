"""Versions of training sets with their members, the labels that recipes have given, and pictures that are withdrawn.

Revision: 0007, after 0006.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

# Recipes choose by zoom, and reading it from a million JSON documents takes longer than all the rest.
_PICTURES = """
alter table pictures
    add column withdrawn_at timestamptz,
    add column zoom double precision generated always as (
        case when jsonb_typeof(picture -> 'user_data' -> 'zoom') = 'number'
            then (picture -> 'user_data' ->> 'zoom')::double precision end
    ) stored;
create index pictures_withdrawn on pictures (id) where withdrawn_at is not null;
"""

# A version made before there were recipes has none, and no members. current_since: when it last became its recipe's
# current version; the newest is the current one, and one that failed its checks never was.
_VERSIONS = """
alter table training_set
    add column recipe jsonb,
    add column recipe_digest text,
    add column groups bigint,
    add column classes jsonb,
    add column notes jsonb,
    add column previous_id uuid references training_set,
    add column current_since timestamptz;
create index training_set_current on training_set (name, current_since desc) where current_since is not null;

create table training_set_member (
    training_set_id uuid not null references training_set on delete cascade,
    picture_id uuid not null references pictures,
    split smallint not null check (split between 0 and 2),
    class_index integer not null check (class_index >= 0),
    "group" uuid not null,
    primary key (training_set_id, picture_id)
);
create index training_set_member_picture on training_set_member (picture_id);

create table training_label (
    recipe text not null,
    class_index integer not null check (class_index >= 0),
    taxon_id uuid not null references seeds,
    created_at timestamptz not null default now(),
    primary key (recipe, taxon_id),
    unique (recipe, class_index)
);
"""


def upgrade() -> None:
    """Let a training set be made by a recipe, and know its pictures."""
    op.execute(_PICTURES)
    op.execute(_VERSIONS)
