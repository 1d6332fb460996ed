"""What building a training set of a million pictures costs beside a bare COPY of its rows, and its peak of memory.

    .venv/bin/python -m benchmarks.training_set --pictures 1000000

The rows are generated in the database: sets of 20 pictures of 15 species, hashes like chance, and three in a hundred
pictures with a near duplicate in another set. The build runs in a process of its own, so that its peak of memory is
its own, between two bare copies. No picture is in storage; building reads none.
"""

import argparse
import json
import logging
import os
import sys
import time

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.own_services import in_own_process, memory_mib, own_services
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.local.services import Services
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.training import candidates
from nachet_pipeline.training.queries import begin_snapshot
from nachet_pipeline.training.recipe import Recipe

TARGET_SECONDS, TARGET_MIB = 60, 1024
_STEPS = ("reading", "grouping", "splitting", "writing")

# 20 pictures a set, 100 sets a user; identifiers and hashes from MD5, which the server has.
_FILL = """
create temp table species as select id, row_number() over (order by name) - 1 as number
    from (select id, name from seeds where active order by name limit 15) few;
insert into users (id, email) select md5('user' || n)::uuid, 'user' || n || '@example.org'
    from generate_series(0, %(pictures)s / 2000) n;
insert into container (id, owner_id, name) select id, id, 'user-' || id from users;
insert into upload (id, owner_id, folder, state)
    select md5('upload' || n)::uuid, md5('user' || n)::uuid, 'folder', 'imported'
    from generate_series(0, %(pictures)s / 2000) n;
insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, digest)
    select md5('set' || n)::uuid, '{}', md5('user' || n / 100)::uuid, 'session', md5('user' || n / 100)::uuid,
        md5('upload' || n / 100)::uuid, md5('set' || n) from generate_series(0, (%(pictures)s - 1) / 20) n;
insert into pictures (id, picture, picture_set_id, nb_object, name, blob, sha256, size, format, width, height,
        rule_set_version, enrichment_version, pixel_sha256, perceptual_hash, quality_score, sharpness, captured_at)
    select md5('picture' || n)::uuid,
        jsonb_build_object('model_version', '2', 'user_data', jsonb_build_object(
            'description', 'Samples of the harvest', 'number_of_seeds', 1 + n %% 6, 'zoom', 10 + n %% 30),
            'metadata', jsonb_build_object('sources', jsonb_build_object(
            'userData.zoom', 'index.yaml:7', 'userData.numberOfSeeds', 'index.yaml:8')), 'terms', jsonb_build_object(
            'ac:hashFunction', 'SHA-256', 'exif:PixelXDimension', 1600, 'exif:PixelYDimension', 1200)),
        md5('set' || n / 20)::uuid, 1 + n %% 6, n || '.tiff',
        md5('set' || n / 20)::uuid || '/' || md5('picture' || n)::uuid || '.tiff', sha256(('file' || n)::bytea),
        100000 + n %% 5000, 'TIFF', 1600, 1200, '1', '1', sha256(('pixels' || n)::bytea),
        -- One in 33 looks like a picture of the set before.
        case when n %% 33 = 0 then set_byte(looks, 0, get_byte(looks, 0) # 5) else looks end,
        (n %% 1000) / 1000.0, n %% 700, timestamptz '2026-01-01' + n * interval '1 second'
    from (select n, sha256(('looks' || case when n %% 33 = 0 then n - 21 else n end)::bytea) as looks
        from generate_series(0, %(pictures)s - 1) n) numbered;
insert into picture_seed (id, picture_id, seed_id)
    select md5('seed' || n)::uuid, md5('picture' || n)::uuid, species.id
    from generate_series(0, %(pictures)s - 1) n join species on species.number = n / 20 %% 15;
analyze;
"""


def _fill(connection: Connection, pictures: int) -> None:
    for statement in _FILL.split(";\n"):
        if statement.strip():
            connection.execute(statement, {"pictures": pictures})


def _bare(database: Database, recipe: Recipe) -> float:
    """Seconds of a COPY of the rows that the build reads, of which nothing is made."""
    with database.connection() as connection:
        begin_snapshot(connection)
        choice = candidates.resolve(connection, recipe)
        begin = time.perf_counter()
        query, arguments = candidates.candidates_query(choice)
        with connection.cursor() as cursor, cursor.copy(f"copy ({query}) to stdout (format csv)", arguments) as copy:
            for _row in copy:
                pass
        return time.perf_counter() - begin


def _build(pictures: int) -> dict[str, float]:
    """Build in this process: seconds by step, and the peak of memory before and after."""
    from nachet_pipeline.training.building import build  # noqa: PLC0415 (the bare process does without)

    begins: dict[str, float] = {}
    before = memory_mib()
    with (
        Database(SecretStr(os.environ["NACHET_DATABASE_URL"])) as database,
        BlobStorage.connect(os.environ["NACHET_BLOB_ACCOUNT_URL"], SecretStr(os.environ["NACHET_BLOB_KEY"])) as blobs,
    ):
        begin = time.perf_counter()
        last: dict[str, float] = {}

        def tell(step: str, _done: int, _total: int) -> None:
            begins.setdefault(step, time.perf_counter())
            last[step] = time.perf_counter()

        built = build(Recipe(name="benchmark"), database, blobs, progress=tell)
        end = time.perf_counter()
    if built.pictures != pictures:
        raise SystemExit(f"expected {pictures} pictures, found {built.pictures}")
    return {
        "reading": begins["grouping"] - begin,
        "grouping": begins["splitting"] - begins["grouping"],
        "splitting": begins["writing"] - begins["splitting"],
        "writing": last["writing"] - begins["writing"],
        "publishing": begins["recording"] - last["writing"],
        "recording": end - begins["recording"],
        "groups": built.groups,
        "near pairs": built.near_pairs.count,
        "before": before,
        "peak": memory_mib(),
    }


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.build:
        sys.stdout.write(json.dumps(_build(arguments.pictures)))
        return
    with own_services() as (_home, service):
        _measure(service, arguments.pictures)


def _measure(service: Services, pictures: int) -> None:
    console = Console()
    recipe = Recipe(name="benchmark")
    with Database(SecretStr(service.database_url)) as database:
        with database.connection() as connection:
            begin = time.perf_counter()
            _fill(connection, pictures)
        console.print(f"{pictures:,} pictures generated in {time.perf_counter() - begin:.0f} s")
        bare = [_bare(database, recipe)]
        found = in_own_process("benchmarks.training_set", "--pictures", str(pictures), "--build")
        bare.append(_bare(database, recipe))
    copying = sum(bare) / 2
    table = Table(title=f"{pictures:,} pictures, {found['groups']:,.0f} groups, {found['near pairs']:,.0f} near pairs")
    for column in ("", "s", "÷ bare COPY"):
        table.add_column(column, justify="left" if not column else "right")
    wanted = sum(found[step] for step in _STEPS)
    rows = [("bare COPY, before", bare[0]), ("bare COPY, after", bare[1])]
    rows += [(step, found[step]) for step in _STEPS]
    rows += [
        ("selection, split and manifest", wanted),
        ("upload", found["publishing"]),
        ("members", found["recording"]),
    ]
    for name, seconds in rows:
        table.add_row(name, f"{seconds:.1f}", f"{seconds / copying:.2f}")
    console.print(table)
    console.print(f"peak memory of the building process: {found['peak']:.0f} MiB ({found['before']:.0f} at its start)")
    console.print(f"at most {TARGET_SECONDS} s and {TARGET_MIB} MiB: ", end="")
    console.print("yes" if wanted <= TARGET_SECONDS and found["peak"] <= TARGET_MIB else "no")
    console.print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
