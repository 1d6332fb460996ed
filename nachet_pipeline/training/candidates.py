"""The pictures that a recipe chooses, streamed from PostgreSQL by COPY: nothing is done for each row in Python."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from difflib import get_close_matches
from itertools import islice
from typing import Any
from uuid import UUID

import pyarrow as pa
from psycopg.rows import tuple_row
from pyarrow import csv

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_column
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.registry.seeds import Rank, Seed, SeedRegistry, plain
from nachet_pipeline.training.ranks import labels_at, named_at, taxon_at, with_narrower
from nachet_pipeline.training.recipe import Recipe, RecipeError

_ROWS = 32_768
_RANKS: tuple[Rank, ...] = ("species", "genus", "family")

CANDIDATE_COLUMNS: dict[str, pa.DataType] = {
    "picture_id": pa.string(),
    "session": pa.int64(),
    "picture_set_id": pa.string(),
    "owner_id": pa.string(),
    "parent_id": pa.string(),
    "taxon_id": pa.string(),
    "seeds_of_taxon": pa.int32(),
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
    "partly_named": pa.bool_(),
}
"""Of `candidates`: `taxon_id` is null for seeds that nobody has named, `seeds_of_taxon` where a picture shows nothing
else. `session` is a number of the picture set, `captured_at` in microseconds since 1970, UTC; hashes are
hexadecimal, `photograph_…` those of a crop's topmost parent and null for others, as is `root_id`, its identifier.
`in_conflict`: the photograph is under several species, and nobody decided which counts. `partly_named`: in some row of
it there are seeds that nobody has named beside a species, so that no row says for sure all that it shows."""

# Found from those few rows, by index.
_PARTLY_NAMED = (
    "select same.id from unnamed_picture u join pictures f on f.id = u.picture_id cross join lateral ("
    "select w.id from pictures w where w.sha256 = f.sha256"
    " union all select w.id from pictures w where w.pixel_sha256 = f.pixel_sha256) same"
    " where exists (select from picture_seed k where k.picture_id = u.picture_id and k.seed_id is not null)"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A recipe's names as the database knows them.

    Attributes:
        recipe: the recipe.
        species: identifiers of the species that are chosen; all, if empty.
        classes: the taxa that are classes even without pictures, in the recipe's order.
        linked: identifiers that pictures of those can be linked to: their own and those of seeds merged into them.
        owners: identifiers of the users whose pictures are chosen; all, if empty.
        label_map: class indices by the taxa that are classes.
        registry: the registered seeds.
    """

    recipe: Recipe
    species: frozenset[UUID]
    classes: tuple[Seed, ...]
    linked: tuple[UUID, ...]
    owners: tuple[UUID, ...]
    label_map: dict[UUID, int]
    registry: SeedRegistry


def resolve(connection: Connection, recipe: Recipe) -> Choice:
    """Look up what a recipe names.

    Raises:
        RecipeError: a species, a list or a user is not registered, or two names mean one species.
    """
    registry = registered_seeds(connection)
    wanted = [_taxon(registry, recipe, name, "species") for name in recipe.species]
    indexed = [_label(registry, recipe, name) for name in recipe.label_map]
    for field, found in (("species", wanted), ("label_map", indexed)):
        if len({seed.id for seed in found}) < len(found):
            raise RecipeError(f"recipe {recipe.name}: {field}: expected each species once, found one by two names")
    chosen = _with_narrower(registry, recipe, wanted)
    if recipe.listed_in:
        listed = _with_narrower(registry, recipe, _listed(registry, recipe))
        chosen = chosen & listed if wanted else listed
        if not chosen:
            raise RecipeError(f"recipe {recipe.name}: listed_in: expected species on these lists, found none")
    linked = fetch_column(
        connection, "select id from seeds where coalesce(merged_into, id) = any(%s) order by id", (list(chosen),)
    )
    labels = labels_at(registry, {seed.id: seed for seed in wanted if seed.id in chosen}, recipe.label_rank)
    indices = dict(zip((seed.id for seed in indexed), recipe.label_map.values(), strict=True))
    classes = list(labels.values()) or sorted(indexed, key=lambda seed: indices[seed.id])
    once = {seed.id: seed for seed in classes}
    return Choice(
        recipe, frozenset(chosen), tuple(once.values()), tuple(linked), _owners(connection, recipe), indices, registry
    )


def _taxon(registry: SeedRegistry, recipe: Recipe, name: str, field: str) -> Seed:
    """The taxon that a recipe names; one of whose species alone are registered, if labels may be of its rank."""
    found = registry.with_id(name) or registry.named(name)
    # A genus of which species are registered is no plant that people call so.
    if recipe.label_rank and (found is None or registry.usage(name) == "vernacular"):
        found = next(filter(None, (named_at(registry, name, rank) for rank in _RANKS)), found)
    if found is None:
        near = registry.nearest(name)
        hint = f"; did you mean {near}?" if near else ""
        raise RecipeError(f"recipe {recipe.name}: {field}: expected a registered species, found {name[:80]!r}{hint}")
    return found


def _label(registry: SeedRegistry, recipe: Recipe, name: str) -> Seed:
    """The class that a recipe's label map names."""
    named = _taxon(registry, recipe, name, "label_map")
    label = taxon_at(registry, named, recipe.label_rank) if recipe.label_rank else named
    if label is None:
        raise RecipeError(
            f"recipe {recipe.name}: label_map: expected a {recipe.label_rank}, as label_rank says, found {name[:80]!r}"
        )
    return label


def _with_narrower(registry: SeedRegistry, recipe: Recipe, seeds: Sequence[Seed]) -> set[UUID]:
    """The taxa that are chosen by these: with labels at a rank, those within them too."""
    return with_narrower(registry, seeds) if recipe.label_rank else {seed.id for seed in seeds}


def _listed(registry: SeedRegistry, recipe: Recipe) -> list[Seed]:
    known = {plain(name): name for seed in registry.by_id.values() for name in seed.listed_in}
    for name in recipe.listed_in:
        if plain(name) not in known:
            near = get_close_matches(plain(name), known, n=1)
            hint = f"; did you mean {known[near[0]]}?" if near else ""
            raise RecipeError(
                f"recipe {recipe.name}: listed_in: expected a list that a registered species is on, found"
                f" {name[:80]!r}{hint}"
            )
    wanted = {plain(name) for name in recipe.listed_in}
    return [seed for seed in registry.by_id.values() if wanted.intersection(map(plain, seed.listed_in))]


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
    """The pictures that a recipe chooses, in the order of their identifiers, a row for each kind of seeds one shows.

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
        " coalesce(decided.seed_id, linked.merged_into, linked.id),"
        f" case when decided.seed_id is null then l.number_of_seeds end, p.nb_object, {zoom}, c.name, p.blob,"
        " encode(p.sha256, 'hex'), p.size, p.format, p.width, p.height, encode(p.pixel_sha256, 'hex'),"
        " encode(p.perceptual_hash, 'hex'),"
        f" p.sharpness, p.quality_score, (extract(epoch from {captured}) * 1000000)::bigint,"
        f" {', '.join([*box, *photograph])}, {root}, ({whole} in (select picture_id from label_conflict))::integer,"
        f" ({whole} in ({_PARTLY_NAMED}))::integer"
        " from pictures p"
        " join picture_set s on s.id = p.picture_set_id"
        " join (select id, row_number() over () as number from picture_set) numbered on numbered.id = s.id"
        " join container c on c.id = s.container_id"
        # A seed can be merged while pictures of it still wait to be linked to the other.
        f" join picture_seed l on l.picture_id = p.id left join seeds linked on linked.id = l.seed_id{joins}"
        f" left join label_decided decided on decided.picture_id = {whole}"
        f" where {' and '.join([*conditions, *more])} order by p.id"
    )
    return query, arguments


def _conditions(choice: Choice, zoom: str, captured: str) -> tuple[list[str], dict[str, Any]]:
    recipe = choice.recipe
    found: list[tuple[str, str, Any]] = []
    if choice.species:
        # Of such a picture every seed is read: one that shows another species too, or an unknown one, is left out.
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
