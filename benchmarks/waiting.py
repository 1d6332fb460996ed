"""How long a folder that is completed in an idle system waits until it is imported, and what for.

    .venv/bin/python -m benchmarks.waiting --uploads 15

Starts everything that `nachet up` starts, with the settings as they are. First nothing happens for two minutes, and the
processor time of Dagster's processes is read. Then small folders are staged one after the other, each at a random
moment after the last was imported, as `nachet stage` does. The clock starts when the marker that completes a folder is
written.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import cast

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

import benchmarks.own_services  # noqa: F401 (for the environment of what it starts)
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.database.connection import Database
from nachet_pipeline.defs.instance import dagster_home, project_folder
from nachet_pipeline.local import dagster_processes
from nachet_pipeline.local.embedded import running
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.local.supervisor import down, up
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.uploads.queries import find_upload, see_upload
from nachet_pipeline.uploads.staging import mark_complete, stage_folder
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.registering import register_user
from nachet_pipeline.users.user import User

_PICTURES = 5
_POLL_SECONDS = 0.2
_MOST_SECONDS = 120
_SETTLE_SECONDS = 30
_APART_SECONDS = 10
"""Folders are completed at any moment of it, however often the sensor looks."""
_PROCESSES = {"daemon": "dagster-daemon", "code server": "grpc", "web server": "dagster_webserver"}


@dataclass
class _Waited:
    """Seconds that one folder waited, from its marker to its receipt.

    Attributes:
        for_tick: until the sensor had asked for a run.
        for_launch: until the daemon launched that run: it submits it, and takes it from its queue.
        for_start: until the run's process had started and imported the package.
        for_import: until the receipt.
        altogether: the sum.
    """

    for_tick: float
    for_launch: float
    for_start: float
    for_import: float
    altogether: float


def _processor_seconds(home: Path) -> dict[str, float]:
    """Seconds of the processor that each of Dagster's processes has used."""
    used = dict.fromkeys((*_PROCESSES, "others"), 0.0)
    for process in filter(None, (identity.find() for identity in dagster_processes.running(home))):
        command = " ".join(process.cmdline())
        times = process.cpu_times()
        name = next((name for name, word in _PROCESSES.items() if word in command), "others")
        used[name] += times.user + times.system
    return used


def _idle(home: Path, seconds: int) -> dict[str, float]:
    """The share of a core that each of Dagster's processes uses while nothing happens."""
    time.sleep(_SETTLE_SECONDS)
    before, begin = _processor_seconds(home), time.monotonic()
    time.sleep(seconds)
    after, passed = _processor_seconds(home), time.monotonic() - begin
    return {name: (after[name] - before[name]) / passed for name in _PROCESSES}


def _stage(database: Database, blobs: BlobStorage, user: User, folder: Path) -> tuple[Upload, datetime]:
    stage_folder(blobs, LocalFolder(folder), user.upload_container, folder.name)
    with database.connection() as connection:
        upload = see_upload(connection, Owner(user.id, user.email), folder.name)
    mark_complete(blobs, user.upload_container, folder.name)
    return upload, datetime.now(UTC)


def _imported(database: Database, upload: Upload) -> tuple[Upload, Receipt]:
    deadline = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < deadline:
        with database.connection() as connection:
            now = find_upload(connection, upload.id)
        if now and now.receipt and now.state is State.IMPORTED:
            return now, now.receipt
        time.sleep(_POLL_SECONDS)
    raise SystemExit(f"{upload.folder} was not imported within {_MOST_SECONDS} s")


def _moments_of(database: Database, run_id: str) -> tuple[float, float]:
    """When a run was launched and when its process began with it: events may be written a while after they happened."""
    deadline = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < deadline:
        with database.connection() as connection:
            rows = connection.execute(
                "select dagster_event_type as kind, extract(epoch from timestamp)::float8 as at from event_logs"
                " where run_id = %s and dagster_event_type in ('PIPELINE_STARTING', 'PIPELINE_START')",
                (run_id,),
            )
            at = {str(row["kind"]): cast(float, row["at"]) for row in rows}
        if len(at) == 2:  # noqa: PLR2004 (launched and started)
            return at["PIPELINE_STARTING"], at["PIPELINE_START"]
        time.sleep(_POLL_SECONDS)
    raise SystemExit(f"run {run_id} did not say when it started within {_MOST_SECONDS} s: {at}")


def _waited(database: Database, upload: Upload, receipt: Receipt, completed: datetime) -> _Waited:
    launched, started = _moments_of(database, upload.run_id or "")
    if upload.queued_at is None or receipt.finished_at is None:
        raise SystemExit(f"{upload.folder} does not say when it was queued and imported")
    moments = (completed.timestamp(), upload.queued_at.timestamp(), launched, started, receipt.finished_at.timestamp())
    for_tick, for_launch, for_start, for_import = (after - before for before, after in pairwise(moments))
    return _Waited(for_tick, for_launch, for_start, for_import, altogether=moments[-1] - moments[0])


def _measure(home: Path, uploads: int, console: Console, idle_seconds: int) -> list[_Waited]:
    services = running(home)
    if services is None:
        raise SystemExit("the services ended right after they started; see the log of the supervisor")
    if idle_seconds:
        shares = _idle(home, idle_seconds)
        said = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        console.print(f"of a core, idle for {idle_seconds} s: {said}")
    with (
        Database(SecretStr(services.importer_url)) as database,
        BlobStorage.connect(services.blob_account_url, SecretStr(services.blob_key)) as blobs,
    ):
        user = register_user(database, blobs, "waiting@example.org")
        found = []
        for number in range(uploads + 1):
            time.sleep(random.uniform(0, _APART_SECONDS))  # noqa: S311 (no secret)
            folder = write_sample(
                home / f"waiting{number}", pictures=_PICTURES, sessions=1, seed=number, email=user.email
            )
            upload, completed = _stage(database, blobs, user, folder)
            found.append(_waited(database, *_imported(database, upload), completed))
    return found[1:]  # the first met daemons that were still starting


def _most_of_them(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=15)
    parser.add_argument("--idle-seconds", type=int, default=120, help="0: the processor time is not measured")
    arguments = parser.parse_args()
    console = Console(width=110)
    tools = Path(os.environ.pop("NACHET_HOME", ".nachet")).resolve()
    for name in ("NACHET_DATABASE_URL", "NACHET_BLOB_ACCOUNT_URL", "NACHET_BLOB_KEY", "DAGSTER_HOME"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="nachet-benchmark-") as scratch:
        home = Path(scratch) / "home"
        os.environ["NACHET_HOME"] = str(home)
        instance = dagster_home(home, project_folder())
        try:
            up(home, instance=instance, tools=tools)
            found = _measure(home, arguments.uploads, console, arguments.idle_seconds)
        finally:
            down(home)
    table = Table(title=f"{arguments.uploads} folders of {_PICTURES} pictures, one after the other; seconds")
    for column in ("", "for the tick", "for the launch", "for the start", "for the import", "altogether"):
        table.add_column(column, justify="right")
    columns = list(zip(*map(astuple, found), strict=True))
    summaries: dict[str, Callable[[Sequence[float]], float]] = {
        "median": statistics.median,
        "95th percentile": _most_of_them,
        "shortest": min,
        "longest": max,
    }
    for name, summary in summaries.items():
        table.add_row(name, *(f"{summary(column):.1f}" for column in columns))
    console.print(table)
    console.print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
