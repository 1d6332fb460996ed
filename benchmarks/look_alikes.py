"""What it costs PostgreSQL to insert a picture and to look for its look-alikes, with ever more pictures stored.

    .venv/bin/python -m benchmarks.look_alikes --pictures 100000 300000

Rows are generated in the database, with hashes by chance, so that no two pictures look alike; those of a laboratory
share more bands of their hashes. Nothing is vacuumed before it is searched, as in a long import. Told is the processor
time of PostgreSQL's process, second of two rounds, and what the index of the hashes takes on disk.
"""

import argparse
import importlib
import os
import uuid
from typing import Any

import psutil
import psycopg
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.own_services import own_services
from nachet_pipeline.contract.stored import Candidate
from nachet_pipeline.database.connection import Database
from nachet_pipeline.picture_sets.duplicates import find_duplicates

_ASKED = 1_000
_BANDS = importlib.import_module("nachet_pipeline.database.migrations.versions.0013_look_alikes").BANDS
_INSERT = f"""
insert into pictures (id, picture, picture_set_id, nb_object, name, blob, size, format, width, height,
    sha256, pixel_sha256, perceptual_hash, hash_bands)
select id, '{{}}', %(set)s, 1, 'x', 'x/' || id, 125000, 'JPEG', 1600, 1200,
    sha256(uuid_send(id)), sha256(uuid_send(gen_random_uuid())), perceptual_hash, {_BANDS}
from (select gen_random_uuid() as id, sha256(uuid_send(gen_random_uuid())) as perceptual_hash
    from generate_series(1, %(more)s)) as generated
"""  # noqa: S608 (the bands are text of our own)


def _seconds(connection: psycopg.Connection[Any]) -> float:
    """Processor time that the server's process of this connection has used so far."""
    used = psutil.Process(connection.info.backend_pid).cpu_times()
    return float(used.user + used.system)


def _insert(connection: psycopg.Connection[Any], more: int) -> float:
    """Insert so many pictures; the milliseconds that each took."""
    before = _seconds(connection)
    connection.execute(_INSERT, {"set": uuid.uuid4(), "more": more})
    spent = _seconds(connection) - before
    connection.execute("analyze pictures")
    connection.execute("checkpoint")  # a search that finds no room in memory would have to write what inserts left
    return spent / more * 1000


def _index_bytes(connection: psycopg.Connection[Any], stored: int) -> float:
    """What the index takes on disk for each picture."""
    row = connection.execute("select pg_relation_size('pictures_hash_bands')").fetchone()
    return float(row[0]) / stored if row else 0.0


def _look(database: Database) -> float:
    """Look for the look-alikes of pictures that have none; the milliseconds that each took."""
    asked = [
        Candidate(
            path=str(number), id=uuid.uuid4(), sha256=os.urandom(32), pixel_sha256=os.urandom(32), looks=os.urandom(32)
        )
        for number in range(_ASKED)
    ]
    with database.connection() as connection:
        before = _seconds(connection)
        find_duplicates(connection, asked)
        return (_seconds(connection) - before) / _ASKED * 1000


def main() -> None:
    """Measure with each of the numbers of stored pictures, in ascending order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, nargs="+", default=[100_000, 300_000])
    numbers = sorted(parser.parse_args().pictures)
    table = Table("pictures stored", "insert one, ms", "look for its look-alikes, ms", "index, bytes each")
    with (
        own_services() as (_home, found),
        psycopg.connect(found.database_url, autocommit=True) as connection,
        Database(SecretStr(found.database_url)) as database,
    ):
        connection.execute("set session_replication_role = replica")  # without their picture set
        stored = 0
        for number in numbers:
            inserted = _insert(connection, number - stored)
            stored = number
            _look(database)
            looked, size = _look(database), _index_bytes(connection, stored)
            table.add_row(f"{number:,}", f"{inserted:.3f}", f"{looked:.2f}", f"{size:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
