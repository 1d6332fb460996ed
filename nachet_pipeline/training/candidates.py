"""The pictures that a recipe chooses, streamed from PostgreSQL by COPY: nothing is done for each row in Python."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import pyarrow as pa
from psycopg.rows import tuple_row
from pyarrow import csv

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_column
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.training.recipe import Recipe, RecipeError

_ROWS = 32_768

CANDIDATE_COLUMNS: dict[str, pa.DataType] = {
    "picture_id": pa.string(),
    "session": pa.int64(),
    "picture_set_id": pa.string(),
    "owner_id": pa.string(),
    "parent_id": pa.string(),
    "taxon_id": pa.string(),
    "number_of_seeds": pa.int32(),
    "zoom": pa.float64(),
    "container": pa.string(),
    "blob": pa.string(),
    "sha256": pa.string(),
    "size": pa.int64(),
    "format": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
    "pixel_sha256": pa.string(),
    "perceptual_hash": pa.string(),
    "sharpness": pa.float32(),
    "quality_score": pa.float32(),
    "captured_at": pa.int64(),
    "box_left": pa.int32(),
    "box_top": pa.int32(),
    "box_right": pa.int32(),
    "box_bottom": pa.int32(),
    "photograph_sha256": pa.string(),
    "photograph_pixel_sha256": pa.string(),
    "root_id": pa.string(),
    "in_conflict": pa.bool_(),
}
"""Of `candidates`: `session` is a number of the picture set, `captured_at` in microseconds since 1970, UTC; hashes are
hexadecimal, `photograph_…` those of a crop's topmost parent and null for others, as is `root_id`, its identifier.
`in_conflict`: the photograph is under several species, and nobody decided which counts."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A recipe's names as the database knows them.

    Attributes:
        recipe: the recipe.
        species: identifiers of the species that are chosen, in the recipe's order; all, if empty.
        linked: identifiers that pictures of those can be linked to: their own and those of seeds merged into them.
        owners: identifiers of the users whose pictures are chosen; all, if empty.
        label_map: class indices by species.
    """

    recipe: Recipe
    species: tuple[UUID, ...]
    linked: tuple[UUID, ...]
    owners: tuple[UUID, ...]
    label_map: dict[UUID, int]


def resolve(connection: Connection, recipe: Recipe) -> Choice:
    """Look up what a recipe names.

    Raises:
        RecipeError: a species or a user is not registered, or two names mean one species.
    """
    registry = registered_seeds(connection)

    def species(name: str, field: str) -> UUID:
        found = registry.with_id(name) or registry.named(name)
        if found is None:
            near = registry.nearest(name)
            hint = f"; did you mean {near}?" if near else ""
            raise RecipeError(
                f"recipe {recipe.name}: {field}: expected a registered species, found {name[:80]!r}{hint}"
            )
        return found.id

    chosen = tuple(species(name, "species") for name in recipe.species)
    indices = {species(name, "label_map"): index for name, index in recipe.label_map.items()}
    for field, names, found in (
        ("species", recipe.species, chosen),
        ("label_map", tuple(recipe.label_map), tuple(indices)),
    ):
        if len(set(found)) < len(names):
            raise RecipeError(f"recipe {recipe.name}: {field}: expected each species once, found one by two names")
    linked = fetch_column(
        connection, "select id from seeds where coalesce(merged_into, id) = any(%s) order by id", (list(chosen),)
    )
    return Choice(recipe, chosen, tuple(linked), _owners(connection, recipe), indices)


def _owners(connection: Connection, recipe: Recipe) -> tuple[UUID, ...]:
    wanted = {email.strip().casefold(): email for email in recipe.users}
    rows = fetch(
        connection, tuple_row, "select lower(email), id from users where lower(email) = any(%s)", (list(wanted),)
    )
    found: dict[str, UUID] = dict(rows)
    for email in wanted.keys() - found.keys():
        raise RecipeError(f"recipe {recipe.name}: users: expected a registered user, found {wanted[email][:254]!r}")
    return tuple(found.values())


def candidates(connection: Connection, choice: Choice) -> Iterator[pa.RecordBatch]:
    """The pictures that a recipe chooses, in the order of their identifiers, one row for each seed a picture shows.

    Pictures that are withdrawn, crops of those, and crops that a later detection took the place of are not among them.
    A decision about a photograph's species overrides what its uploaders stated.

    Args:
        connection: in whose transaction they are read; it can be used for nothing else meanwhile.
        choice: what is chosen.
    """
    return copied(connection, *candidates_query(choice), CANDIDATE_COLUMNS)


def candidates_query(choice: Choice) -> tuple[str, dict[str, Any]]:
    """The query of `candidates`, and its arguments."""
    crops = choice.recipe.pictures == "crops"
    joins, root, zoom, captured, box = "", "null::uuid", "p.zoom", "p.captured_at", ["null::integer"] * 4
    photograph, whole = ["null::text"] * 2, "p.id"
    conditions = ["p.withdrawn_at is null", "p.superseded_at is null", "s.deleted_at is null"]
    if crops:
        # A crop may be cut from a crop, and has its zoom and its time from what it was cut from.
        joins = " join pictures q on q.id = p.parent left join pictures g on g.id = q.parent"
        photograph = [
            f"encode(case when g.id is null then q.{name} else g.{name} end, 'hex')"
            for name in ("sha256", "pixel_sha256")
        ]
        root = whole = "coalesce(g.id, q.id)"
        zoom = "coalesce(p.zoom, q.zoom, g.zoom)"
        captured = "coalesce(p.captured_at, q.captured_at, g.captured_at)"
        box = [f"p.bounding_box[{place}]" for place in (1, 2, 3, 4)]
        conditions += ["q.withdrawn_at is null", "g.withdrawn_at is null"]
    else:
        conditions += ["p.parent is null"]
    more, arguments = _conditions(choice, zoom, captured)
    query = (
        f"select p.id, numbered.number, p.picture_set_id, s.owner_id, p.parent,"
        f" coalesce(decided.seed_id, linked.merged_into, linked.id), p.nb_object, {zoom}, c.name, p.blob,"
        " encode(p.sha256, 'hex'), p.size, p.format, p.width, p.height, encode(p.pixel_sha256, 'hex'),"
        " encode(p.perceptual_hash, 'hex'),"
        f" p.sharpness, p.quality_score, (extract(epoch from {captured}) * 1000000)::bigint,"
        f" {', '.join([*box, *photograph])}, {root}, ({whole} in (select picture_id from label_conflict))::integer"
        " from pictures p"
        " join picture_set s on s.id = p.picture_set_id"
        " join (select id, row_number() over () as number from picture_set) numbered on numbered.id = s.id"
        " join container c on c.id = s.container_id"
        # A seed can be merged while pictures of it still wait to be linked to the other.
        f" join picture_seed l on l.picture_id = p.id join seeds linked on linked.id = l.seed_id{joins}"
        f" left join label_decided decided on decided.picture_id = {whole}"
        f" where {' and '.join([*conditions, *more])} order by p.id"
    )
    return query, arguments


def _conditions(choice: Choice, zoom: str, captured: str) -> tuple[list[str], dict[str, Any]]:
    recipe = choice.recipe
    found: list[tuple[str, str, Any]] = []
    if choice.species:
        # Of such a picture every seed is wanted: one that shows another species too is left out.
        found.append(
            (
                "(decided.seed_id = any(%(linked)s)"  # noqa: ISC004 (one condition)
                " or p.id in (select picture_id from picture_seed where seed_id = any(%(linked)s)))",
                "linked",
                list(choice.linked),
            )
        )
    if choice.owners:
        found.append(("s.owner_id = any(%(owners)s)", "owners", list(choice.owners)))
    if recipe.seeds_per_picture:
        found.append(("p.nb_object = any(%(seeds)s)", "seeds", list(recipe.seeds_per_picture)))
    for condition, name, value in (
        (f"{zoom} >= %(zoom_min)s", "zoom_min", recipe.zoom.min),
        (f"{zoom} <= %(zoom_max)s", "zoom_max", recipe.zoom.max),
        ("p.sharpness >= %(sharpness)s", "sharpness", recipe.minimum_sharpness),
        ("p.quality_score >= %(quality)s", "quality", recipe.minimum_quality),
    ):
        if value is not None:
            found.append((condition, name, value))
    for column, name, days in (("p.upload_date", "imported", recipe.imported), (captured, "captured", recipe.captured)):
        if days.first:
            found.append((f"{column} >= %({name}_first)s", f"{name}_first", _midnight(days.first)))
        if days.last:
            found.append((f"{column} < %({name}_after)s", f"{name}_after", _midnight(days.last) + timedelta(days=1)))
    conditions = [condition for condition, _name, _value in found]
    if recipe.verified_only:
        conditions.append("p.verified")
    return conditions, {name: value for _condition, name, value in found}


def _midnight(day: Any) -> datetime:
    return datetime.combine(day, time(), UTC)


def copied(
    connection: Connection, query: str, arguments: Mapping[str, Any], columns: Mapping[str, pa.DataType]
) -> Iterator[pa.RecordBatch]:
    """The rows of a query, in batches.

    Args:
        connection: in whose transaction they are read.
        query: a select.
        arguments: of the query.
        columns: names and types of its columns.
    """
    # What is quoted is a text, even if it is empty; what is not there at all is null.
    options: dict[str, Any] = {
        "read_options": csv.ReadOptions(column_names=list(columns), use_threads=False),
        "parse_options": csv.ParseOptions(newlines_in_values=True),
        "convert_options": csv.ConvertOptions(
            column_types=dict(columns), null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    }
    with connection.cursor() as cursor, cursor.copy(f"copy ({query}) to stdout (format csv)", arguments) as copy:
        rows = iter(copy)
        while part := b"".join(islice(rows, _ROWS)):
            # One block: the rows come in whole.
            options["read_options"].block_size = len(part) + 1
            yield from csv.read_csv(pa.BufferReader(part), **options).to_batches()
