"""Picture sets, pictures and their seeds: the step that the UI calls `picture_metadata`."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from nachet_pipeline.contract.inventory import Inventory, PictureRecord
from nachet_pipeline.contract.manifest import picture_identifier, picture_name
from nachet_pipeline.contract.shown import Shown, shown_together
from nachet_pipeline.database.audit import PROGRAM, changing
from nachet_pipeline.database.connection import Connection, DatabaseError
from nachet_pipeline.identifiers import picture_blob, picture_seed_id
from nachet_pipeline.picture_sets.crop_parents import follow_parents
from nachet_pipeline.picture_sets.judged_content import follow_judgements
from nachet_pipeline.picture_sets.records import Origin, RecordedSet, picture_record
from nachet_pipeline.picture_sets.tombstones import bring_back
from nachet_pipeline.picture_sets.withdrawn_content import hold_withdrawn, wait_for_withdrawing
from nachet_pipeline.pictures.enrichment import Enrichment
from nachet_pipeline.pictures.perceptual_hash import hash_bands
from nachet_pipeline.registry.queries import surviving_seeds
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.users.queries import container_id

_FIXED_COLUMNS = "id, picture_set_id, sha256, size, format, width, height"
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
_OPEN_COLUMNS = ", ".join(
    ("name", "blob", "picture", "nb_object", "rule_set_version", *_ENRICHMENT_COLUMNS, "sent_earlier")
)
_PICTURE_COLUMNS = f"{_FIXED_COLUMNS}, {_OPEN_COLUMNS}"
_OPEN_VALUES = ", ".join(f"{{table}}.{name}" for name in _OPEN_COLUMNS.split(", "))


@dataclass(frozen=True, slots=True)
class RowsWritten:
    """How many rows an import changed; all zero when everything was there already."""

    picture_sets: int = 0
    pictures: int = 0
    picture_seeds: int = 0

    def __add__(self, other: "RowsWritten") -> "RowsWritten":
        """Both together."""
        return RowsWritten(
            self.picture_sets + other.picture_sets,
            self.pictures + other.pictures,
            self.picture_seeds + other.picture_seeds,
        )


def record_picture_sets(
    connection: Connection,
    sets: list[RecordedSet],
    inventory: Inventory,
    registry: SeedRegistry,
    origin: Origin,
    *,
    removed: Collection[UUID] = (),
) -> RowsWritten:
    """Write the rows of picture sets, or bring those of an earlier import up to date; the caller's transaction decides.

    A picture that a correction took out is superseded with all that was cut from it, never removed: training sets may
    hold it, and it comes back when it is sent again.

    Args:
        connection: in whose transaction all is written.
        sets: the picture sets.
        inventory: holds the pictures, and what becomes of those of earlier imports.
        registry: the registered seeds.
        origin: where they come from.
        removed: picture sets of sessions that the uploader wants removed.

    Raises:
        DatabaseError: a seed was retired since the upload was validated.
    """
    wait_for_withdrawing(connection)
    # First of all: the registry may have changed since the upload was validated, and must not change any more.
    survivors = surviving_seeds(connection)
    identifiers = [item.session.picture_set_id for item in sets if item.session.picture_set_id]
    _take_in(connection, _rows(sets, inventory, registry, survivors, in_place=origin.in_place))
    superseded = 0
    if _take_in_absent(connection, sets, inventory, identifiers, removed) or removed:
        with changing(connection, actor=PROGRAM, action="superseded"):
            superseded = _supersede(connection, removed)
    with changing(connection, actor=PROGRAM, action="brought back"):
        brought_back = connection.execute(_BRING_BACK).rowcount
    with changing(connection, actor=PROGRAM):
        sets_changed = sum(_write_set(connection, item, inventory, origin) for item in sets)
        pictures, links = _write_pictures(connection)
        follow_parents(connection, identifiers)
        hold_withdrawn(connection, "p.picture_set_id = any(%(sets)s)", {"sets": identifiers})
        follow_judgements(connection, "p.picture_set_id = any(%(sets)s)", {"sets": identifiers})
        if origin.upload is not None:
            bring_back(connection, identifiers, origin.final_container)
    return RowsWritten(sets_changed, superseded + brought_back + pictures, links)


def _take_in(connection: Connection, rows: Iterator[tuple[Any, ...]]) -> None:
    """Bring what is to be written to the database, into the table `incoming`, whose rows this transaction has alone."""
    # The connection keeps the table: making one for each upload cost as much as writing the upload's pictures.
    # A picture has several links if it shows several kinds of seeds.
    connection.execute(
        "create temp table if not exists incoming (like pictures including defaults,"
        " link_ids uuid[], link_seeds uuid[], link_numbers integer[]) on commit delete rows"
    )
    with (
        connection.cursor() as cursor,
        cursor.copy(f"copy incoming (link_ids, link_seeds, link_numbers, {_PICTURE_COLUMNS}) from stdin") as copy,
    ):
        for row in rows:
            copy.write_row(row)


def _take_in_absent(
    connection: Connection,
    sets: list[RecordedSet],
    inventory: Inventory,
    identifiers: list[UUID],
    removed: Collection[UUID],
) -> bool:
    """Bring what earlier imports stored and this one does not hold into the table `absent`, likewise.

    Returns:
        Whether there is any.
    """
    connection.execute(
        "create temp table if not exists absent (id uuid primary key, taken_out boolean) on commit delete rows"
    )
    absent = (
        (identifier, taken_out)
        for item in sets
        for taken_out in (True, False)
        for identifier in inventory.identifiers_of_absent(item.session.path, taken_out=taken_out)
    )
    if first := next(absent, None):
        with connection.cursor() as cursor, cursor.copy("copy absent from stdin") as copy:
            for row in chain((first,), absent):
                copy.write_row(row)
    # What was deleted comes back as far as it is sent again.
    deleted = connection.execute(
        "insert into absent select p.id, true from pictures p join picture_set s on s.id = p.picture_set_id"
        " where p.parent is null and p.superseded_at is null"
        " and (s.id = any(%s) and s.deleted_at is not null or s.id = any(%s))"
        " and not exists (select from incoming i where i.id = p.id) on conflict (id) do update set taken_out = true",
        (identifiers, list(removed)),
    )
    return first is not None or deleted.rowcount > 0


# In order, as reprocessing takes them: the two then wait for each other, and never in a circle.
_SUPERSEDE = (
    "with recursive family as (select id from absent where taken_out"
    " union select c.id from pictures c join family on c.parent = family.id),"
    " held as (select p.id from pictures p join family using (id) where p.superseded_at is null"
    "  order by p.id for no key update of p)"
    " update pictures p set superseded_at = now() from held where held.id = p.id"
)
# What was cut from a picture was superseded with it, and comes back with it, but for what was purged.
_BRING_BACK = (
    "with recursive family as (select p.id, p.superseded_at from pictures p join incoming using (id)"
    "  where p.superseded_at is not null"
    " union select c.id, c.superseded_at from pictures c join family on c.parent = family.id"
    "  and c.superseded_at = family.superseded_at and c.purged_at is null),"
    " held as (select p.id from pictures p join family using (id) order by p.id for no key update of p)"
    " update pictures p set superseded_at = null, purged_at = null from held where held.id = p.id"
)


def _supersede(connection: Connection, removed: Collection[UUID]) -> int:
    connection.execute(
        "update picture_set set superseded_at = now() where id = any(%s) and superseded_at is null", (list(removed),)
    )
    connection.execute(
        "update pictures p set sent_earlier = true from absent where absent.id = p.id and not absent.taken_out"
        " and not p.sent_earlier"
    )
    return connection.execute(_SUPERSEDE).rowcount


def _write_set(connection: Connection, item: RecordedSet, inventory: Inventory, origin: Origin) -> int:
    return connection.execute(
        "insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, mass_import_id, digest,"
        " session, staged_until) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " on conflict (id) do update set picture_set = excluded.picture_set, digest = excluded.digest,"
        " staged_until = excluded.staged_until, superseded_at = null"
        " where (picture_set.picture_set, picture_set.digest, picture_set.staged_until, picture_set.superseded_at)"
        " is distinct from (excluded.picture_set, excluded.digest, excluded.staged_until, null::timestamptz)",
        (
            item.session.picture_set_id,
            Jsonb(item.record.model_dump(mode="json")),
            origin.owner.id,
            item.session.name or item.record.audit_trail.folder,
            container_id(origin.final_container),
            origin.upload,
            origin.mass_import,
            item.session.digest,
            item.session.path if origin.upload else None,
            inventory.latest_picture(item.session.path) if origin.upload else None,
        ),
    ).rowcount


def _write_pictures(connection: Connection) -> tuple[int, int]:
    """Write the pictures and their links.

    Returns:
        Numbers of rows changed.
    """
    pictures = connection.execute(
        # In order, as above.
        f"insert into pictures ({_PICTURE_COLUMNS}) select {_PICTURE_COLUMNS} from incoming order by id"
        f" on conflict (id) do update set ({_OPEN_COLUMNS}) = ({_OPEN_VALUES.format(table='excluded')})"
        f" where ({_OPEN_VALUES.format(table='pictures')})"
        f" is distinct from ({_OPEN_VALUES.format(table='excluded')})"
    ).rowcount
    # A corrected species replaces the link to the wrong one.
    removed = connection.execute(
        "delete from picture_seed using incoming where picture_seed.picture_id = incoming.id"
        " and picture_seed.id <> all(incoming.link_ids)"
    ).rowcount
    added = connection.execute(
        "insert into picture_seed (id, picture_id, seed_id, number_of_seeds)"
        " select link.id, incoming.id, link.seed_id, link.number_of_seeds from incoming"
        " cross join lateral unnest(link_ids, link_seeds, link_numbers) as link (id, seed_id, number_of_seeds)"
        " order by incoming.id on conflict (id) do update set number_of_seeds = excluded.number_of_seeds"
        " where picture_seed.number_of_seeds is distinct from excluded.number_of_seeds"
    ).rowcount
    return pictures, removed + added


def _rows(
    sets: list[RecordedSet],
    inventory: Inventory,
    registry: SeedRegistry,
    survivors: Mapping[UUID, UUID],
    *,
    in_place: bool,
) -> Iterator[tuple[Any, ...]]:
    """Of each picture the identifiers of its links, their seeds and numbers, and its own columns."""
    stated: tuple[Shown, ...] = ()
    shows: tuple[Shown, ...] = ()
    for picture, picture_set in _identified(sets, inventory):
        if picture.shows is not stated:  # neighbours mostly show the same
            stated, shows = picture.shows, _surviving(picture, survivors)
        identifier = picture_identifier(picture_set, picture)
        record = picture_record(picture, registry.by_id)
        yield (
            _array(picture_seed_id(identifier, kind.seed) for kind in shows),
            _array(kind.seed for kind in shows),
            _array(kind.number for kind in shows),
            identifier,
            picture_set,
            bytes.fromhex(picture.sha256),
            picture.size,
            picture.picture_format,
            picture.width,
            picture.height,
            picture_name(picture),
            picture.path if in_place else picture_blob(picture_set, identifier, picture.picture_format),
            record.model_dump_json(),
            record.user_data.number_of_seeds,
            inventory.rule_set.stamp,
            *enrichment_columns(picture.enrichment).values(),
            False,
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


def _array(items: Iterable[UUID | int | None]) -> str:
    """An array as PostgreSQL reads it from COPY, which is faster than adapting a list."""
    return f"{{{','.join('null' if item is None else str(item) for item in items)}}}"


def _surviving(picture: PictureRecord, survivors: Mapping[UUID, UUID]) -> tuple[Shown, ...]:
    """What a picture shows by the registry as it is now."""
    for kind in picture.shows:
        if kind.seed and kind.seed not in survivors:
            raise DatabaseError(
                f"{picture.path} names the seed {kind.seed}, which was retired from the registry meanwhile"
            )
    return shown_together(Shown(survivors[kind.seed] if kind.seed else None, kind.number) for kind in picture.shows)


def _identified(sets: list[RecordedSet], inventory: Inventory) -> Iterator[tuple[PictureRecord, UUID]]:
    for item in sets:
        if item.session.picture_set_id is None:
            raise ValueError(f"session {item.session.path!r} has no owner, so it cannot be stored")
        for picture in inventory.pictures(item.session.path):
            if not picture.shows:
                raise ValueError(f"nobody knows what {picture.path} shows, so it cannot be stored")
            yield picture, item.session.picture_set_id
