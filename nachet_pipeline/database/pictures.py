"""Picture sets, pictures and their seeds: the step that the UI calls `picture_metadata`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from nachet_pipeline.contract.inventory import Inventory, PictureRecord
from nachet_pipeline.contract.manifest import ManifestSession, picture_name
from nachet_pipeline.database.audit import PROGRAM, changing
from nachet_pipeline.database.connection import Connection, DatabaseError
from nachet_pipeline.database.crop_parents import follow_parents
from nachet_pipeline.database.records import PictureSetRecord, picture_record
from nachet_pipeline.database.seeds import surviving_seeds
from nachet_pipeline.database.tombstones import bring_back
from nachet_pipeline.database.users import container_id
from nachet_pipeline.database.withdrawn_content import hold_withdrawn, wait_for_withdrawing
from nachet_pipeline.pictures.enrichment import Enrichment
from nachet_pipeline.pictures.perceptual_hash import hash_bands
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.storage.naming import picture_blob, picture_id, picture_seed_id

_FIXED_COLUMNS = "id, picture_set_id, name, blob, sha256, size, format, width, height"
# What importing the same picture again may change.
_ENRICHMENT_COLUMNS = (
    "enrichment_version",
    "pixel_sha256",
    "perceptual_hash",
    "hash_bands",
    "quality_score",
    "sharpness",
    "captured_at",
)
_OPEN_COLUMNS = ", ".join(("picture", "nb_object", "rule_set_version", *_ENRICHMENT_COLUMNS))
_PICTURE_COLUMNS = f"{_FIXED_COLUMNS}, {_OPEN_COLUMNS}"
_OPEN_VALUES = ", ".join(f"{{table}}.{name}" for name in _OPEN_COLUMNS.split(", "))


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
    upload: UUID | None = None,
    mass_import: UUID | None = None,
    owner: UUID,
    container: str,
    in_place: bool = False,
) -> RowsWritten:
    """Write an upload's rows, or bring those of an earlier import up to date; the caller's transaction decides.

    Args:
        connection: in whose transaction all is written.
        sets: the picture sets of the upload.
        inventory: holds the pictures.
        registry: the registered seeds.
        upload: the upload they come from, None if they come from a mass import.
        mass_import: the mass import they come from, None if they come from an upload.
        owner: the user they belong to.
        container: where the pictures are stored.
        in_place: whether their blobs are where they were found, under the pictures' paths.

    Raises:
        DatabaseError: a seed was retired since the upload was validated.
    """
    with changing(connection, actor=PROGRAM):
        written = _record(
            connection,
            sets,
            inventory,
            registry,
            upload=upload,
            mass_import=mass_import,
            owner=owner,
            container=container,
            in_place=in_place,
        )
        if upload is not None:
            bring_back(
                connection, [item.session.picture_set_id for item in sets if item.session.picture_set_id], container
            )
    return written


def _record(
    connection: Connection,
    sets: list[RecordedSet],
    inventory: Inventory,
    registry: SeedRegistry,
    *,
    upload: UUID | None,
    mass_import: UUID | None,
    owner: UUID,
    container: str,
    in_place: bool,
) -> RowsWritten:
    wait_for_withdrawing(connection)
    # First of all: the registry may have changed since the upload was validated, and must not change any more.
    survivors = surviving_seeds(connection)
    sets_changed = 0
    for item in sets:
        cursor = connection.execute(
            "insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, mass_import_id, digest)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s)"
            " on conflict (id) do update set picture_set = excluded.picture_set, digest = excluded.digest"
            " where (picture_set.picture_set, picture_set.digest)"
            " is distinct from (excluded.picture_set, excluded.digest)",
            (
                item.session.picture_set_id,
                Jsonb(item.record.model_dump(mode="json")),
                owner,
                item.session.name or item.record.audit_trail.folder,
                container_id(container),
                upload,
                mass_import,
                item.session.digest,
            ),
        )
        sets_changed += cursor.rowcount
    connection.execute("create temp table incoming (like pictures including defaults) on commit drop")
    connection.execute("alter table incoming add column link_id uuid, add column seed_id uuid")
    with (
        connection.cursor() as cursor,
        cursor.copy(f"copy incoming (link_id, seed_id, {_PICTURE_COLUMNS}) from stdin") as copy,
    ):
        for row in _rows(sets, inventory, registry, survivors, in_place=in_place):
            copy.write_row(row)
    pictures = connection.execute(
        # In order, as reprocessing takes them: the two then wait for each other, and never in a circle.
        f"insert into pictures ({_PICTURE_COLUMNS}) select {_PICTURE_COLUMNS} from incoming order by id"
        f" on conflict (id) do update set ({_OPEN_COLUMNS}) = ({_OPEN_VALUES.format(table='excluded')})"
        f" where ({_OPEN_VALUES.format(table='pictures')})"
        f" is distinct from ({_OPEN_VALUES.format(table='excluded')})"
    ).rowcount
    # A corrected species replaces the link to the wrong one.
    removed = connection.execute(
        "delete from picture_seed using incoming where picture_seed.picture_id = incoming.id"
        " and picture_seed.id <> incoming.link_id"
    ).rowcount
    added = connection.execute(
        "insert into picture_seed (id, picture_id, seed_id) select link_id, id, seed_id from incoming order by id"
        " on conflict do nothing"
    ).rowcount
    follow_parents(connection, [item.session.picture_set_id for item in sets if item.session.picture_set_id])
    hold_withdrawn(
        connection, "p.picture_set_id = any(%(sets)s)", {"sets": [item.session.picture_set_id for item in sets]}
    )
    return RowsWritten(sets_changed, pictures, removed + added)


def _rows(
    sets: list[RecordedSet],
    inventory: Inventory,
    registry: SeedRegistry,
    survivors: Mapping[UUID, UUID],
    *,
    in_place: bool,
) -> Iterator[tuple[Any, ...]]:
    """Of each picture its link to its seed, that seed, and its own columns."""
    for picture, picture_set, seed_id in _identified(sets, inventory):
        seed = survivors.get(seed_id)
        if seed is None:
            raise DatabaseError(
                f"{picture.path} names the seed {seed_id}, which was retired from the registry meanwhile"
            )
        identifier = picture_id(picture_set, picture_name(picture), picture.sha256)
        record = picture_record(picture, registry.by_id[seed_id])
        yield (
            picture_seed_id(identifier, seed),
            seed,
            identifier,
            picture_set,
            picture_name(picture),
            picture.path if in_place else picture_blob(picture_set, identifier, picture.picture_format),
            bytes.fromhex(picture.sha256),
            picture.size,
            picture.picture_format,
            picture.width,
            picture.height,
            record.model_dump_json(),
            record.user_data.number_of_seeds,
            inventory.rule_set.stamp,
            *enrichment_columns(picture.enrichment).values(),
        )


def enrichment_columns(enrichment: Enrichment | None) -> dict[str, Any]:
    """What is stored of an enrichment beside the JSON, by column; all None of a picture that was not measured."""
    if enrichment is None:
        return dict.fromkeys(_ENRICHMENT_COLUMNS)
    looks = bytes.fromhex(enrichment.perceptual_hash) if enrichment.perceptual_hash else None
    return {
        "enrichment_version": enrichment.code_version,
        "pixel_sha256": bytes.fromhex(enrichment.pixel_sha256),
        "perceptual_hash": looks,
        "hash_bands": hash_bands(looks) if looks else None,
        "quality_score": enrichment.quality_score,
        "sharpness": enrichment.sharpness,
        "captured_at": enrichment.captured.instant if enrichment.captured else None,
    }


def _identified(sets: list[RecordedSet], inventory: Inventory) -> Iterator[tuple[PictureRecord, UUID, UUID]]:
    for item in sets:
        if item.session.picture_set_id is None:
            raise ValueError(f"session {item.session.path!r} has no owner, so it cannot be stored")
        for picture in inventory.pictures(item.session.path):
            if picture.seed_id is None:
                raise ValueError(f"{picture.path} names no registered seed, so it cannot be stored")
            yield picture, item.session.picture_set_id, picture.seed_id
