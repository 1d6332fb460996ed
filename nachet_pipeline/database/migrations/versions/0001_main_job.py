"""Users, seeds, uploads, picture sets, pictures, training sets.

Revision: 0001, the first.

The five tables users, picture_set, pictures, picture_seed and seeds, with the columns named first in each, are
shared with other programs; what is searched or constrained has a column of its own beside the JSON.
"""

from alembic import op

revision = "0001"
down_revision = None

_TABLES = """
create table users (
    id uuid primary key,
    email text not null,
    registration_date timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create unique index users_email on users (lower(email));

create table seeds (
    id uuid primary key,
    name text not null,
    information jsonb not null,
    upload_date timestamptz not null default now()
);
create unique index seeds_name on seeds (lower(name));

create table container (
    id uuid primary key,
    owner_id uuid not null references users,
    name text not null unique,
    public boolean not null default false,
    creation_date timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index container_owner on container (owner_id);

create table upload (
    id uuid primary key,
    owner_id uuid not null references users,
    folder text not null,
    state text not null check (state in ('staged', 'queued', 'importing', 'imported', 'refused', 'failed')),
    staged_digest text,
    content_digest text,
    batch text,
    run_id text,
    attempts integer not null default 0,
    receipt jsonb,
    first_seen timestamptz not null default now(),
    queued_at timestamptz,
    checked_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (owner_id, folder)
);
create index upload_state on upload (state, checked_at);
create index upload_run on upload (run_id);

create table picture_set (
    id uuid primary key,
    picture_set jsonb not null,
    owner_id uuid not null references users,
    upload_date timestamptz not null default now(),
    name text not null,
    container_id uuid not null references container,
    upload_id uuid not null references upload,
    digest text not null
);
create index picture_set_owner on picture_set (owner_id);
create index picture_set_upload on picture_set (upload_id);

create table pictures (
    id uuid primary key,
    picture jsonb not null,
    picture_set_id uuid not null references picture_set,
    parent uuid references pictures,
    nb_object integer not null check (nb_object >= 0),
    verified boolean not null default false,
    upload_date timestamptz not null default now(),
    name text not null,
    blob text not null,
    sha256 bytea not null check (length(sha256) = 32),
    size bigint not null check (size > 0),
    format text not null check (format in ('TIFF', 'PNG', 'JPEG')),
    width integer not null check (width > 0),
    height integer not null check (height > 0)
);
create index pictures_picture_set on pictures (picture_set_id);
create index pictures_parent on pictures (parent) where parent is not null;
create index pictures_sha256 on pictures (sha256);

create table picture_seed (
    id uuid primary key,
    picture_id uuid not null references pictures,
    seed_id uuid not null references seeds,
    upload_date timestamptz not null default now(),
    unique (picture_id, seed_id)
);
create index picture_seed_seed on picture_seed (seed_id);

create table training_set (
    id uuid primary key,
    name text not null,
    digest text not null,
    container text not null,
    blob text not null,
    pictures bigint not null,
    created_at timestamptz not null default now(),
    unique (name, digest)
);
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(_TABLES)
