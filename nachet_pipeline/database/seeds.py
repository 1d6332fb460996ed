"""Registered seeds."""

from collections.abc import Iterable

from psycopg.types.json import Jsonb

from nachet_pipeline.database.connection import Connection
from nachet_pipeline.registry.seeds import Seed, SeedRegistry


def load_seeds(connection: Connection, seeds: Iterable[Seed]) -> int:
    """Bring the table up to the reviewed registry; a seed that the registry no longer names stays.

    Returns:
        How many rows were new or changed.
    """
    changed = 0
    for seed in seeds:
        cursor = connection.execute(
            "insert into seeds (id, name, information) values (%s, %s, %s)"
            " on conflict (id) do update set name = excluded.name, information = excluded.information"
            " where (seeds.name, seeds.information) is distinct from (excluded.name, excluded.information)",
            (seed.id, seed.scientific_name, Jsonb(seed.model_dump(mode="json"))),
        )
        changed += cursor.rowcount
    return changed


def registered_seeds(connection: Connection) -> SeedRegistry:
    """All seeds of the table."""
    rows = connection.execute("select information from seeds order by name")
    return SeedRegistry.of(Seed.model_validate(row["information"]) for row in rows)
