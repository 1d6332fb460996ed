"""Whether Dagster's event log keeps its size: days of uploads, with old runs cleared at the end of each.

    .venv/bin/python -m benchmarks.event_log --days 30 --uploads 200 --keep 7
    .venv/bin/python -m benchmarks.event_log --days 30 --uploads 30 --batch 10 --keep 7 --refused 0
    .venv/bin/python -m benchmarks.event_log --days 6 --uploads 20 --keep 2

A day's uploads go through a job that writes the events of the import job, with the same assets and checks, and imports
nothing. They come in runs of `--batch` uploads; of a hundred, `--refused` are refused and keep their partition for
ever, as in life; the others lose it after `--partitions` days, as retention does it. Then the day's runs and events are
given the times of that day, and `clear_runs` clears what is older than `--keep` days. Sizes are those of all tables of
the log after a VACUUM, which lets PostgreSQL use the space again. They are flat if they stop growing once the first
days are cleared: the last day is compared with the first one on which a whole day was cleared.
"""

import argparse
import base64
import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psycopg
from dagster import (
    AssetCheckEvaluation,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetSpec,
    DagsterInstance,
    Definitions,
    MetadataValue,
    define_asset_job,
    in_process_executor,
    multi_asset,
)
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.own_services import own_services
from nachet_pipeline.database.connection import Database
from nachet_pipeline.defs.instance import dagster_home
from nachet_pipeline.defs.maintenance.old_runs import clear_runs
from nachet_pipeline.defs.partitions import uploads
from nachet_pipeline.defs.runs import RANGE_END, RANGE_START
from nachet_pipeline.defs.uploads.checks import MANIFEST, METADATA, PICTURES, check_specs

_TABLES = ("event_logs", "asset_event_tags", "asset_check_executions", "runs", "run_tags")
_SHEET_BYTES = 15_000
"""A contact sheet in the metadata of a manifest has about this size, and cannot be compressed."""


def _job() -> Definitions:
    staged = AssetKey("staged_upload")

    @multi_asset(
        name="import_upload",
        specs=[AssetSpec(key, partitions_def=uploads, skippable=True) for key in (MANIFEST, PICTURES, METADATA)],
        check_specs=check_specs,
        can_subset=True,
    )
    def import_upload(context: AssetExecutionContext) -> Iterator[AssetMaterialization | AssetCheckEvaluation]:
        for key in context.partition_keys:
            refused = key.startswith("refused")
            yield AssetMaterialization(staged, partition=key, metadata={"state": "refused" if refused else "imported"})
            yield AssetMaterialization(
                MANIFEST,
                partition=key,
                metadata={"sheet": MetadataValue.md(base64.b64encode(os.urandom(_SHEET_BYTES)).decode())},
            )
            for spec in check_specs:
                if spec.asset_key == MANIFEST:
                    yield AssetCheckEvaluation(MANIFEST, spec.name, passed=not refused, partition=key)
            if not refused:
                yield AssetMaterialization(PICTURES, partition=key, metadata={"pictures": 5})
                yield AssetMaterialization(METADATA, partition=key, metadata={"pictures": 5})

    return Definitions(
        assets=[import_upload],
        jobs=[define_asset_job("import_uploads", selection=[import_upload])],
        executor=in_process_executor,
    )


def _day(instance: DagsterInstance, definitions: Definitions, day: int, arguments: argparse.Namespace) -> list[str]:
    """A day's uploads, run by run; returns their partitions."""
    every = round(100 / arguments.refused) if arguments.refused else 0
    keys = [
        f"{'refused' if every and number % every == 0 else 'imported'}-{day:03}-{number:04}"
        for number in range(1, arguments.uploads + 1)
    ]
    instance.add_dynamic_partitions(str(uploads.name), keys)
    job = definitions.resolve_job_def("import_uploads")
    for first in range(0, len(keys), arguments.batch):
        batch = keys[first : first + arguments.batch]
        job.execute_in_process(instance=instance, tags={RANGE_START: batch[0], RANGE_END: batch[-1]})
        instance.report_runless_asset_event(AssetMaterialization("staged_upload", partition=batch[0]))
    return keys


def _date(url: str, moment: datetime) -> None:
    """Give what was written since the last day the times of this one."""
    naive = moment.replace(tzinfo=None)
    fresh = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=1)
    with psycopg.connect(url) as connection:
        for table, column in (
            ("runs", "create_timestamp"),
            ("event_logs", "timestamp"),
            ("asset_check_executions", "create_timestamp"),
        ):
            connection.execute(f"update {table} set {column} = %s where {column} > %s", (naive, fresh))  # noqa: S608


def _size(url: str) -> tuple[float, int, int]:
    """MiB of the event log, and rows of events and verdicts."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in _TABLES:
            connection.execute(f"vacuum analyze {table}")
        size = sum(
            connection.execute("select pg_total_relation_size(%s::regclass)", (table,)).fetchone()[0]
            for table in _TABLES
        )
        events, verdicts = (
            connection.execute(f"select count(*) from {table}").fetchone()[0]  # noqa: S608
            for table in ("event_logs", "asset_check_executions")
        )
    return size / 1024**2, events, verdicts


class _Measured(NamedTuple):
    day: int
    mib: float
    events: int
    verdicts: int
    deleted: int
    kept: int
    seconds: float


def _measure(url: str, home: Path, arguments: argparse.Namespace) -> list[_Measured]:
    rows: list[_Measured] = []
    partitions: list[list[str]] = []
    os.environ["DAGSTER_HOME"] = str(dagster_home(home))
    definitions = _job()
    start = datetime.now(UTC) - timedelta(days=1000)
    with DagsterInstance.get() as instance, Database(SecretStr(url)) as database:
        for day in range(1, arguments.days + 1):
            partitions.append(_day(instance, definitions, day, arguments))
            now = start + timedelta(days=day)
            _date(url, now)
            if day > arguments.partitions:
                for key in partitions[day - arguments.partitions - 1]:
                    if not key.startswith("refused"):
                        instance.delete_dynamic_partition(str(uploads.name), key)
            begin = time.perf_counter()
            cleared = clear_runs(instance, database, now - timedelta(days=arguments.keep - 0.5))
            seconds = time.perf_counter() - begin
            rows.append(_Measured(day, *_size(url), cleared.runs, cleared.kept, seconds))
    return rows


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--uploads", type=int, default=200, help="a day")
    parser.add_argument("--batch", type=int, default=20, help="uploads of a run")
    parser.add_argument("--keep", type=int, default=7, help="days that runs are kept")
    parser.add_argument("--partitions", type=int, default=5, help="days that partitions of imported uploads are kept")
    parser.add_argument("--refused", type=int, default=2, help="uploads of a hundred that nobody ever corrects")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with own_services() as (home, service):
        rows = _measure(service.database_url, home, arguments)
    table = Table("day", "MiB", "events", "verdicts", "runs deleted", "kept", "seconds")
    for row in rows:
        counts = (row.events, row.verdicts, row.deleted, row.kept)
        table.add_row(str(row.day), f"{row.mib:.1f}", *map(str, counts), f"{row.seconds:.1f}")
    console = Console(width=100)
    console.print(table)
    first, last = rows[arguments.keep], rows[-1]
    days = last.day - first.day
    console.print(
        f"day {last.day} ÷ day {first.day}: {last.mib / first.mib:.2f} of size, {last.events / first.events:.2f} of"
        f" events; grown by {last.mib - first.mib:.1f} MiB, without clearing by about"
        f" {(rows[1].mib - rows[0].mib) * days:.0f} MiB"
    )
    console.print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
