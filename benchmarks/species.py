"""What a registry of thousands of species costs beside one of 15.

    .venv/bin/python -m benchmarks.species --species 10000

The species are invented: a dozen to a genus, some synonyms each, a vernacular name for every second. The registry is
read from its file, made ready for looking up, asked for misspelt names, and searched; and it is loaded into a database
of its own and read from there. No question is asked twice, because answers are remembered. Milliseconds are
those of the processor, so that others on the machine do not count; with the database, those of the clock.
"""

import argparse
import logging
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.own_services import memory_mib, own_services
from nachet_pipeline.contract.metadata import Value
from nachet_pipeline.contract.rules.seed_registered import seed_findings
from nachet_pipeline.database.connection import Database
from nachet_pipeline.registry.darwin_core import table_of
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.registry.seeds import Seed, SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds, read_species
from nachet_pipeline.registry.upgrade import load_species
from nachet_pipeline_tests.registries import many

TARGET_SEARCH_MS = 20.0
_ASKED = 100

_Result = TypeVar("_Result")


def _timed(work: Callable[[], _Result], clock: Callable[[], float] = time.thread_time) -> tuple[float, _Result]:
    """Milliseconds of the processor, or of another clock, and the result."""
    start = clock()
    result = work()
    return (clock() - start) * 1000, result


def _asked(questions: Iterable[str], ask: Callable[[str], object]) -> tuple[float, float]:
    """Median and most milliseconds of an answer."""
    times = [_timed(lambda question=question: ask(question))[0] for question in questions]  # type: ignore[misc]
    return statistics.median(times), max(times)


def _misspelt(seeds: list[Seed]) -> list[str]:
    chance = random.Random(1)  # noqa: S311 (invented names)
    names = [chance.choice(seeds).scientific_name for _ in range(_ASKED)]
    places = [chance.randrange(1, len(name)) for name in names]
    return [f"{name[:place]}q{name[place + 1 :]}" for name, place in zip(names, places, strict=True)]


def _prefixes(seeds: list[Seed]) -> list[str]:
    chance = random.Random(2)  # noqa: S311
    words = [chance.choice(seeds).scientific_name.split() for _ in range(_ASKED)]
    return [" ".join(word[: chance.randrange(1, 5)] for word in name) for name in words]


def _in_memory(seeds: list[Seed], file: Path) -> dict[str, str]:
    """The figures of a registry of these seeds."""
    file.write_text("".join(table_of(seeds)), encoding="utf-8")
    reading, _ = _timed(lambda: read_species((file,)))
    making, registry = _timed(lambda: SeedRegistry.of(seeds))
    first, _ = _timed(lambda: registry.nearest("Quercus qqq"))

    def found(name: str) -> object:
        values = {"seedData.seedName": Value(name, "index.yaml", 1, 1)}
        return list(seed_findings(values, registry))

    misspelt = _misspelt(seeds)
    indexing, _ = _timed(lambda: registry.search("Quercus"))
    shown = {
        "read the file": f"{reading:.0f} ms",
        "make it ready": f"{making:.0f} ms",
        "look up a name": "{:.3f} ms ({:.2f})".format(*_asked([one.scientific_name for one in seeds], registry.named)),
        "first suggestion": f"{first:.0f} ms",
        "finding of a misspelt name": "{:.1f} ms ({:.1f})".format(*_asked(misspelt, found)),
        "first search": f"{indexing:.0f} ms",
    }
    slowest = 0.0
    for title, questions in (
        ("search beginnings of words", _prefixes(seeds)),
        ("search one letter", [chr(ord("a") + number) for number in range(26)]),
        ("search a misspelt name", misspelt),
    ):
        median, most = _asked(questions, registry.search)
        slowest = max(slowest, most)
        shown[title] = f"{median:.2f} ms ({most:.1f})"
    shown["slowest search"] = f"{slowest:.1f} ms, {'within' if slowest <= TARGET_SEARCH_MS else 'beyond'} 20"
    return shown


def _in_database(seeds: list[Seed], file: Path, database: Database) -> dict[str, str]:
    file.write_text("".join(table_of(seeds)), encoding="utf-8")
    species = read_species((file,))
    with database.connection() as connection:
        loading, _ = _timed(lambda: load_species(connection, species), time.perf_counter)
    with database.connection() as connection:
        again, _ = _timed(lambda: load_species(connection, species), time.perf_counter)
    with database.connection() as connection:
        reading, _ = _timed(lambda: registered_seeds(connection), time.perf_counter)
    return {
        "load all into the database": f"{loading:.0f} ms",
        "load them again": f"{again:.0f} ms",
        "read them from it": f"{reading:.0f} ms",
    }


def main() -> None:
    """Measure both registries, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", type=int, default=10_000, help="how many are registered")
    given = parser.parse_args()
    logging.disable()
    invented = many(given.species)
    with tempfile.TemporaryDirectory(prefix="nachet-benchmark-") as scratch, own_services() as (_, services):
        file = Path(scratch) / "species.csv"
        with Database(SecretStr(services.database_url)) as database:
            columns = [
                {**_in_memory(seeds, file), **_in_database([*packaged_seeds(), *more], file, database)}
                for seeds, more in ((packaged_seeds(), []), (invented, invented))
            ]
    table = Table("", "15 species", f"{given.species:,} species", title="median (most)")
    for title in columns[0]:
        table.add_row(title, *(column[title] for column in columns))
    Console().print(table)
    Console().print(f"peak of memory: {memory_mib():.0f} MiB")


if __name__ == "__main__":
    main()
