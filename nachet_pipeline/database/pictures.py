"""Picture sets, pictures and their seeds: the step that the UI calls `picture_metadata`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from nachet_pipeline.contract.inventory import Inventory, PictureRecord
from nachet_pipeline.contract.manifest import ManifestSession, picture_name
from nachet_pipeline.database.connection import Connection, DatabaseError
from nachet_pipeline.database.records import PictureSetRecord, picture_record
from nachet_pipeline.database.seeds import surviving_seeds
from nachet_pipeline.database.users import container_id
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.storage.naming import picture_blob, picture_id, picture_seed_id

_PICTURE_COLUMNS = "id, picture, picture_set_id, nb_object, name, blob, sha256, size, format, width, height"


@dataclass(frozen=True, slots=True)
class RecordedSet:
    """A picture set to record: the manifest's session with the JSON that is stored for it."""

    session: ManifestSession
    record: PictureSetRecord


@dataclass(frozen=True, slots=True)
class RowsWritten:
    """How many rows an import changed; all zero when everything was there already."""

    picture_sets: int = 0
    pictures: int = 0
    picture_seeds: int = 0


def record_picture_sets(
    connection: Connection,
    sets: list[RecordedSet],
    inventory: Inventory,
    registry: SeedRegistry,
    *,
    upload: UUID,
    owner: UUID,
    container: str,
) -> RowsWritten:
    """Write an upload's rows, or bring those of an earlier import up to date; the caller's transaction decides.

    Args:
        connection: in whose transaction all is written.
        sets: the picture sets of the upload.
        inventory: holds the pictures.
        registry: the registered seeds.
        upload: the upload they come from.
        owner: the user they belong to.
        container: where the pictures are stored.

    Raises:
        DatabaseError: a seed was retired since the upload was validated.
    """
    # First of all: the registry may have changed since the upload was validated, and must not change any more.
    survivors = surviving_seeds(connection)
    sets_changed = 0
    for item in sets:
        cursor = connection.execute(
            "insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, digest)"
            " values (%s, %s, %s, %s, %s, %s, %s)"
            " on conflict (id) do update set picture_set = excluded.picture_set"
            " where picture_set.picture_set is distinct from excluded.picture_set",
            (
                item.session.picture_set_id,
                Jsonb(item.record.model_dump(mode="json")),
                owner,
                item.session.name or item.record.audit_trail.folder,
                container_id(container),
                upload,
                item.session.digest,
            ),
        )
        sets_changed += cursor.rowcount
    connection.execute("create temp table incoming (like pictures including defaults) on commit drop")
    connection.execute("create temp table incoming_seed (like picture_seed including defaults) on commit drop")
    with connection.cursor() as cursor:
        with cursor.copy(f"copy incoming ({_PICTURE_COLUMNS}) from stdin") as copy:
            for row in _picture_rows(sets, inventory, registry):
                copy.write_row(row)
        with cursor.copy("copy incoming_seed (id, picture_id, seed_id) from stdin") as copy:
            for picture, seed in _seed_rows(sets, inventory, survivors):
                copy.write_row((picture_seed_id(picture, seed), picture, seed))
    pictures = connection.execute(
        f"insert into pictures ({_PICTURE_COLUMNS}) select {_PICTURE_COLUMNS} from incoming"
        " on conflict (id) do update set picture = excluded.picture, nb_object = excluded.nb_object"
        " where (pictures.picture, pictures.nb_object) is distinct from (excluded.picture, excluded.nb_object)"
    ).rowcount
    # A corrected species replaces the link to the wrong one.
    removed = connection.execute(
        "delete from picture_seed using incoming where picture_seed.picture_id = incoming.id"
        " and not exists (select from incoming_seed where incoming_seed.id = picture_seed.id)"
    ).rowcount
    added = connection.execute(
        "insert into picture_seed (id, picture_id, seed_id) select id, picture_id, seed_id from incoming_seed"
        " on conflict do nothing"
    ).rowcount
    return RowsWritten(sets_changed, pictures, removed + added)


def _picture_rows(sets: list[RecordedSet], inventory: Inventory, registry: SeedRegistry) -> Iterator[tuple[Any, ...]]:
    for picture, picture_set, seed_id in _identified(sets, inventory):
        identifier = picture_id(picture_set, picture_name(picture), picture.sha256)
        record = picture_record(picture, registry.by_id[seed_id])
        yield (
            identifier,
            Jsonb(record.model_dump(mode="json")),
            picture_set,
            record.user_data.number_of_seeds,
            picture_name(picture),
            picture_blob(picture_set, identifier, picture.picture_format),
            bytes.fromhex(picture.sha256),
            picture.size,
            picture.picture_format,
            picture.width,
            picture.height,
        )


def _seed_rows(
    sets: list[RecordedSet], inventory: Inventory, survivors: Mapping[UUID, UUID]
) -> Iterator[tuple[UUID, UUID]]:
    for picture, picture_set, seed_id in _identified(sets, inventory):
        if seed_id not in survivors:
            raise DatabaseError(
                f"{picture.path} names the seed {seed_id}, which was retired from the registry meanwhile"
            )
        yield picture_id(picture_set, picture_name(picture), picture.sha256), survivors[seed_id]


def _identified(sets: list[RecordedSet], inventory: Inventory) -> Iterator[tuple[PictureRecord, UUID, UUID]]:
    for item in sets:
        if item.session.picture_set_id is None:
            raise ValueError(f"session {item.session.path!r} has no owner, so it cannot be stored")
        for picture in inventory.pictures(item.session.path):
            if picture.seed_id is None:
                raise ValueError(f"{picture.path} names no registered seed, so it cannot be stored")
            yield picture, item.session.picture_set_id, picture.seed_id
