"""Picture sets that were found in a container, and what was made of each folder of it.

Revision: 0005, after 0004.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

_TABLES = """
create table mass_import (
    id uuid primary key,
    container_id uuid not null unique references container,
    started_at timestamptz not null default now(),
    finished_at timestamptz
);

create table mass_import_folder (
    mass_import_id uuid not null references mass_import,
    folder text not null,
    listing_digest text not null,
    description_digest text not null,
    adopted boolean not null,
    picture_set_id uuid references picture_set,
    pictures bigint not null check (pictures >= 0),
    not_taken bigint not null check (not_taken >= 0),
    updated_at timestamptz not null default now(),
    primary key (mass_import_id, folder)
);
create index mass_import_folder_picture_set on mass_import_folder (picture_set_id);

create table mass_import_finding (
    mass_import_id uuid not null,
    folder text not null,
    number bigint generated always as identity,
    finding jsonb not null,
    primary key (mass_import_id, folder, number),
    foreign key (mass_import_id, folder) references mass_import_folder on delete cascade
);
"""

_PICTURE_SETS = """
alter table picture_set add column mass_import_id uuid references mass_import;
alter table picture_set alter column upload_id drop not null;
alter table picture_set add constraint picture_set_has_one_origin check (num_nonnulls(upload_id, mass_import_id) = 1);
create index picture_set_mass_import on picture_set (mass_import_id) where mass_import_id is not null;
"""


def upgrade() -> None:
    """Let a picture set come from a mass import instead of an upload."""
    op.execute(_TABLES)
    op.execute(_PICTURE_SETS)
