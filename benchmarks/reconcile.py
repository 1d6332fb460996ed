"""What comparing listings with rows costs in the database, and that memory does not grow with them.

    .venv/bin/python -m benchmarks.reconcile --blobs 10000 100000

Listings are made up and hold one blob without row; the time of the service that lists is not part of it.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.own_services import own_services
from nachet_pipeline.database.connection import Database
from nachet_pipeline.reconciliation.queries import (
    begin_comparison,
    count_drift,
    find_bad_blobs,
    find_orphans,
    keep_found,
    record_known,
    record_listing,
)
from nachet_pipeline.storage.blobs import ListedBlob
from nachet_pipeline.users.queries import add_user
from nachet_pipeline.users.user import User


def _write_rows(database: Database, user: User, blobs: int) -> None:
    """One picture set with so many pictures, from an upload of the user's."""
    upload, picture_set = uuid4(), uuid4()
    with database.connection() as connection:
        connection.execute(
            "insert into upload (id, owner_id, folder, state) values (%s, %s, %s, 'imported')",
            (upload, user.id, str(upload)),
        )
        connection.execute(
            "insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, digest)"
            " select %s, '{}', %s, 'benchmark', id, %s, '' from container where name = %s",
            (picture_set, user.id, upload, user.user_container),
        )
        connection.execute(
            "insert into pictures (id, picture, picture_set_id, nb_object, name, blob, sha256, size, format, width,"
            " height) select gen_random_uuid(), '{}', %s, 1, n::text, 'set/' || n, sha256(n::text::bytea), 9, 'PNG',"
            " 1, 1"
            " from generate_series(1, %s) as n",
            (picture_set, blobs),
        )


def _listing(blobs: int) -> Iterator[ListedBlob]:
    old = datetime.now(UTC) - timedelta(days=1)
    for number in range(blobs + 1):  # the first has no row
        yield ListedBlob(f"set/{number}", 9, '"1"', old, {"sha256": sha256(b"%d" % number).hexdigest()})


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blobs", type=int, nargs="+", default=[10_000, 100_000])
    arguments = parser.parse_args()
    table = Table(title="one container")
    for name in ("blobs", "seconds", "found", "peak MiB"):
        table.add_column(name, justify="right")
    with own_services() as (_home, found), Database(SecretStr(found.database_url)) as database:
        for blobs in arguments.blobs:
            with database.connection() as connection:
                user = add_user(connection, f"benchmark{blobs}@example.org")
            _write_rows(database, user, blobs)
            begin = time.perf_counter()
            with database.connection() as connection:
                begin_comparison(connection)
                record_listing(connection, _listing(blobs))
                record_known(connection, user.id, user.user_container, own=True)
                find_bad_blobs(connection, user.id, user.user_container)
                find_orphans(connection, user.id, user.user_container, settled_before=datetime.now(UTC))
                counts = count_drift(connection)
                keep_found(connection, uuid4())
            seconds = time.perf_counter() - begin
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            table.add_row(str(blobs), f"{seconds:.1f}", str({k.value: n for k, n in counts.items()}), f"{peak:.0f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
