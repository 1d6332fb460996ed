"""How long a backlog of small uploads takes, through the sensor and the daemon of a real instance.

    .venv/bin/python -m benchmarks.backlog --uploads 1000

Uploads of five JPEGs wait in the staging containers of several users; one in a hundred lacks its index and must be
refused. Then Dagster's daemon starts, with runs and events in PostgreSQL as ever, and the clock runs until the last
upload is done with. What the UI would show is compared with what became of each upload.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from dagster import AssetKey, DagsterInstance
from dagster._core.storage.dagster_run import RunsFilter
from pydantic import SecretStr
from rich.console import Console

from benchmarks.own_services import own_services
from benchmarks.pictures import INDEX, write_folder
from nachet_pipeline.database.connection import Database
from nachet_pipeline.defs.instance import dagster_home, project_folder
from nachet_pipeline.identifiers import partition_key, upload_id
from nachet_pipeline.local import dagster_processes, processes
from nachet_pipeline.local.embedded import HELD_FOR
from nachet_pipeline.local.services import Services
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.users.registering import register_user

_PICTURES = 5
_BAD_EVERY = 100
_GIVE_UP_SECONDS = 3600


@dataclass(frozen=True)
class _Staged:
    """A staged upload: its partition, and whether it can be imported."""

    partition: str
    good: bool


def _stage(service: Services, local: Path, uploads: int, users: int) -> list[_Staged]:
    """Stage uploads, spread over users, each with pictures that no other has."""
    pictures = sorted(local.glob("*.jpg"))
    with (
        Database(SecretStr(service.database_url)) as database,
        BlobStorage.connect(service.blob_account_url, SecretStr(service.blob_key)) as blobs,
        ThreadPoolExecutor(8) as executor,
    ):
        owners = [register_user(database, blobs, f"backlog{number}@example.org") for number in range(users)]

        def one(number: int) -> _Staged:
            owner, folder, good = owners[number % users], f"upload-{number:05}", number % _BAD_EVERY != 0
            for picture in pictures[number * _PICTURES : (number + 1) * _PICTURES]:
                blobs.upload(
                    owner.upload_container,
                    f"{folder}/{picture.name}",
                    picture.read_bytes(),
                    content_type="image/jpeg",
                )
            if good:
                index = INDEX.format(email=owner.email, pictures=_PICTURES).encode()
                blobs.upload(owner.upload_container, f"{folder}/index.yaml", index, content_type="text/yaml")
            blobs.upload(owner.upload_container, f"{folder}/_COMPLETE", b"", content_type="text/plain")
            return _Staged(partition_key(upload_id(owner.id, folder), folder), good)

        return list(executor.map(one, range(uploads)))


@contextmanager
def daemon(home: Path, service: Services) -> Iterator[None]:
    """Dagster's daemon with the project's code location, ended with all its runs."""
    project = project_folder()
    environment = dagster_processes.environment(home, dagster_home(home, project), service)
    log = home / "daemon.log"
    processes.spawn(
        "Dagster's daemon",
        [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-w", str(project / "workspace.yaml")],
        log=log,
        environment=environment,
        cwd=project,
    )
    named = ("NACHET_", "DAGSTER_", HELD_FOR)
    os.environ.update({name: value for name, value in environment.items() if name.startswith(named)})
    try:
        yield
    finally:
        dagster_processes.stop(home)


def _wait(service: Services, uploads: int, console: Console) -> tuple[float, list[tuple[float, int]]]:
    """Wait until all are done with; seconds, and how many were done with at which time."""
    begin = time.perf_counter()
    course: list[tuple[float, int]] = []
    with psycopg.connect(service.database_url, autocommit=True) as connection:
        while True:
            rows = connection.execute("select state, count(*) from upload group by state")
            states: dict[str, int] = {str(state): int(number) for state, number in rows}
            done = sum(states.get(state, 0) for state in ("imported", "partly_imported", "refused"))
            seconds = time.perf_counter() - begin
            if not course or done != course[-1][1]:
                course.append((seconds, done))
            if done >= uploads:
                return seconds, course
            if seconds > _GIVE_UP_SECONDS:
                raise SystemExit(f"not done after {seconds:.0f} s: {states}")
            time.sleep(0.5)


def _runs_ended(instance: DagsterInstance) -> int:
    """Wait until no run is under way; how many there were."""
    while True:
        runs = instance.get_runs(RunsFilter(job_name="import_uploads"))
        if all(run.is_finished for run in runs):
            return len(runs)
        time.sleep(0.5)


def _is_true(instance: DagsterInstance, staged: Sequence[_Staged]) -> str:
    """Compares what Dagster shows of each upload with what must have become of it.

    Raises:
        SystemExit: it is another.
    """
    good = {one.partition for one in staged if one.good}
    every = {one.partition for one in staged}
    storage = instance.event_log_storage
    shown = {
        name: set(storage.get_materialized_partitions(AssetKey(name)))
        for name in ("validated_manifest", "stored_pictures", "picture_metadata")
    }
    if shown["stored_pictures"] != good or shown["picture_metadata"] != good or shown["validated_manifest"] != every:
        raise SystemExit(f"shown as stored: {len(shown['picture_metadata'])} of {len(good)}")
    with psycopg.connect(os.environ["NACHET_DATABASE_URL"]) as connection:
        verdicts = connection.execute(
            "select execution_status, partition from dagster.asset_check_executions where check_name = 'imported'"
        ).fetchall()
        events = connection.execute("select count(*) from dagster.event_logs").fetchone()
    passed = {partition for status, partition in verdicts if status == "SUCCEEDED"}
    failed = {partition for status, partition in verdicts if status == "FAILED"}
    if (passed, failed) != (good, every - good):
        raise SystemExit(f"the check `imported` passed for {len(passed)} and failed for {len(failed)}")
    return f"{len(good)} shown as imported, {len(failed)} as refused; {events[0] if events else 0} events"


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--users", type=int, default=20)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="nachet-benchmark-") as scratch:
        local = Path(scratch) / "folder"
        write_folder(local, arguments.uploads * _PICTURES)
        with own_services() as (home, service):
            staged = _stage(service, local, arguments.uploads, arguments.users)
            console.print(f"{len(staged)} uploads are staged; the daemon starts")
            with daemon(home, service):
                seconds, course = _wait(service, len(staged), console)
                with DagsterInstance.get() as instance:
                    runs = _runs_ended(instance)
                    told = _is_true(instance, staged)
    first = next((moment for moment, done in course if done), seconds)
    console.print(f"{len(staged)} uploads in {seconds:.0f} s, the first after {first:.0f} s, in {runs} runs")
    console.print(f"{seconds / len(staged) * 1000:.0f} ms an upload; {told}")
    minutes = Counter(int(moment // 30) for moment, _ in course)
    at = {minute: max(done for moment, done in course if int(moment // 30) == minute) for minute in minutes}
    console.print("done after: " + ", ".join(f"{(minute + 1) * 30} s {done}" for minute, done in sorted(at.items())))
    console.print(f"cores: {psutil.cpu_count()}, load: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
