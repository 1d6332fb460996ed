"""What a tick of the sensor on staged folders costs, by how many folders are done with and how many are new.

    .venv/bin/python -m benchmarks.sensor_tick --finished 200 20000 20000 --users 1 1 200 --new 10 10 10
    .venv/bin/python -m benchmarks.sensor_tick --finished 200 --users 1 --new 1000

Each scene is a user or many with folders that are done with (half a percent of them refused), each with its receipt
beside it. In a process of its own one tick finds nothing new; then folders of five pictures are staged, and the tick
that finds them is measured; where one tick does not list all that is staged, those until all was listed, of which the
longest is told. What the daemon does with the tick's result but for starting runs (partitions, events) is
measured apart. Another such tick is measured for its memory, which makes it slow. Times of the processor are those of
this tick alone, by process.
"""

import argparse
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import obstore
import psutil
from obstore.store import AzureStore
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.own_services import memory_mib, own_services
from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.database.connection import Database
from nachet_pipeline.defs.instance import dagster_home
from nachet_pipeline.identifiers import partition_key, receipt_blob, report_blob, upload_id
from nachet_pipeline.local import azurite, postgres
from nachet_pipeline.local.services import Services
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.uploads.discovery import Listing
from nachet_pipeline.users.encryption import new_secret_key
from nachet_pipeline.users.registering import register_user
from nachet_pipeline.users.user import User

_AT_A_TIME = 8
_REFUSED_EVERY = 200
_PICTURES = 5
_MOST_TICKS = 100
_INDEX = b"clientData: {clientEmail: a@example.org}\n"
_SESSION = b"imageData: {numberOfImages: 5}\nseedData: {seedGenus: Brassica, seedSpecies: napus}\n"
_DIGEST_OF_A_MARKER_ALONE = hashlib.sha256().hexdigest()


def _store(container: str) -> AzureStore:
    return AzureStore(
        container,
        account_name="devstoreaccount1",
        account_key=os.environ["NACHET_BLOB_KEY"],
        endpoint=os.environ["NACHET_BLOB_ACCOUNT_URL"],
        client_options={"allow_http": True},
    )


def _receipt(user: User, number: int) -> Receipt:
    folder = f"finished-{number:05}"
    identifier = upload_id(user.id, folder)
    state = State.IMPORTED if number % _REFUSED_EVERY else State.REFUSED
    partition = partition_key(identifier, folder)
    return Receipt(upload=identifier, partition=partition, owner=user.email, folder=folder, state=state, pictures=5)


def _finish(database: Database, user: User, finished: int) -> None:
    """Folders that are done with, spread over the last ninety days, as rows and as blobs."""
    receipts = [_receipt(user, number) for number in range(finished)]
    contents = [receipt.model_dump_json(indent=2).encode() for receipt in receipts]
    with database.connection() as connection:
        connection.cursor().executemany(
            "insert into upload (id, owner_id, folder, state, staged_digest, receipt, queued_at, updated_at)"
            " values (%s, %s, %s, %s, %s, %s::jsonb, now(), now() - interval '90 days' * random())",
            [
                (one.upload, user.id, one.folder, one.state, _DIGEST_OF_A_MARKER_ALONE, content.decode())
                for one, content in zip(receipts, contents, strict=True)
            ],
        )
    store = _store(user.upload_container)

    def put(number: int) -> None:
        folder = receipts[number].folder
        obstore.put(store, f"{folder}/_COMPLETE", b"")
        obstore.put(store, receipt_blob(folder), contents[number])
        obstore.put(store, report_blob(folder), b"page")

    with ThreadPoolExecutor(_AT_A_TIME) as executor:
        for _ in executor.map(put, range(finished)):
            pass


def _stage(containers: list[str], new: int) -> None:
    """New folders, complete, spread over the users."""
    stores = [_store(container) for container in containers]
    word = uuid4().hex[:6]

    def put(number: int) -> None:
        store, folder = stores[number % len(stores)], f"new-{word}-{number:04}"
        obstore.put(store, f"{folder}/index.yaml", _INDEX)
        obstore.put(store, f"{folder}/pictures/session1/index.yaml", _SESSION)
        for picture in range(_PICTURES):
            obstore.put(store, f"{folder}/pictures/session1/{picture}.tiff", b"picture")
        obstore.put(store, f"{folder}/_COMPLETE", b"")

    with ThreadPoolExecutor(_AT_A_TIME) as executor:
        for _ in executor.map(put, range(new)):
            pass


class _Costs:
    """Seconds of the processor that this process and the services used since the last time."""

    def __init__(self, service_processes: dict[str, int]) -> None:
        self._roots = {"sensor": os.getpid(), **service_processes}
        self._last = self._now()

    def _now(self) -> dict[str, float]:
        return {name: _cpu(psutil.Process(pid), alone=name == "sensor") for name, pid in self._roots.items()}

    def since(self) -> dict[str, float]:
        now = self._now()
        spent = {name: now[name] - self._last[name] for name in now}
        self._last = now
        return spent


def _cpu(process: psutil.Process, *, alone: bool) -> float:
    own = process.cpu_times()
    total = own.user + own.system
    if alone:
        return total
    total += own.children_user + own.children_system
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a connection's process that ended just now counts with its parent
            times = child.cpu_times()
            total += times.user + times.system
    return total


def _measure_ticks(new: int) -> dict[str, float]:  # noqa: PLR0915 (one course of events)
    """Measure ticks in this process."""
    from dagster import DagsterInstance, SensorResult, build_sensor_context  # noqa: PLC0415 (reads the environment)

    from nachet_pipeline.definitions import defs  # noqa: PLC0415
    from nachet_pipeline.defs.resources import BlobStorageResource, DatabaseResource, of_settings  # noqa: PLC0415
    from nachet_pipeline.defs.uploads import sensors  # noqa: PLC0415
    from nachet_pipeline.settings import Settings  # noqa: PLC0415

    # No run is started here, so a tick a minute later would request each again.
    sensors._MINUTES_TO_BECOME_A_RUN = 1_000

    sensor = defs.get_repository_def().get_sensor_def("start_imports")
    resources = {
        "database": DatabaseResource(
            url=os.environ["NACHET_DATABASE_URL"], reader_url=os.environ["NACHET_DATABASE_READER_URL"]
        ),
        "blob_storage": BlobStorageResource(
            account_url=os.environ["NACHET_BLOB_ACCOUNT_URL"], key=os.environ["NACHET_BLOB_KEY"]
        ),
        **of_settings(Settings.from_environment()),
    }
    containers = os.environ["BENCHMARK_CONTAINERS"].split(",")

    place = ""

    def tick() -> Any:
        nonlocal place
        with (
            DagsterInstance.get() as instance,
            build_sensor_context(instance, resources=resources, cursor=place) as context,
        ):
            result = sensor(context)
            place = result.cursor or ""
            return result

    def ticks() -> list[Any]:
        """Ticks until everything that is staged was listed, with a few thousand folders one; or else so many."""
        results = [tick()]
        while not Listing(place).ended and len(results) < _MOST_TICKS:
            results.append(tick())
        return results

    def found(result: Any) -> int:
        requests = result.run_requests if isinstance(result, SensorResult) else []
        return sum(int(request.tags["nachet/uploads"]) for request in requests or [])

    def apply(result: Any) -> None:
        with DagsterInstance.get() as instance:
            for request in result.dynamic_partitions_requests or []:
                for key in request.partition_keys:  # the daemon asks one by one
                    instance.has_dynamic_partition(request.partitions_def_name, key)
                instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
            for event in result.asset_events:
                instance.report_runless_asset_event(event)

    if sum(map(found, ticks())):
        raise SystemExit("the folders that are done with are due")
    before = memory_mib("VmRSS")
    _stage(containers, new)
    longest, number, due, applied = 0.0, 0, 0, 0.0
    most: dict[str, float] = {}
    costs = _Costs(json.loads(os.environ["BENCHMARK_PROCESSES"]))
    while number == 0 or (not Listing(place).ended and due < new and number < _MOST_TICKS):
        number += 1
        begin = time.perf_counter()
        result = tick()
        seconds, spent = time.perf_counter() - begin, costs.since()
        if seconds > longest:
            longest, most = seconds, spent
        due += found(result)
        begin = time.perf_counter()
        apply(result)
        applied = max(applied, time.perf_counter() - begin)
        costs.since()
    if due != new:
        raise SystemExit(f"{due} of {new} new folders are due")
    grown = memory_mib("VmHWM") - before
    _stage(containers, new)
    tracemalloc.start()
    again = sum(map(found, ticks()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if again != new:
        raise SystemExit(f"{again} of {new} new folders are due")
    return {"ticks": number, "seconds": longest, **most, "applied": applied, "grown": grown, "traced": peak / 2**20}


def _scene(home: Path, service: Services, finished: int, users: int, new: int) -> dict[str, float]:
    processes = {"Azurite": azurite.running(home / "blobs"), "PostgreSQL": postgres.running(home / "postgres")}
    with (
        Database(SecretStr(service.database_url)) as database,
        BlobStorage.connect(service.blob_account_url, SecretStr(service.blob_key)) as blobs,
    ):
        with database.connection() as connection:
            connection.execute("truncate users cascade")
        registered = [register_user(database, blobs, f"user{n}-{uuid4().hex[:6]}@example.org") for n in range(users)]
        for user in registered:
            _finish(database, user, finished // users)
        with database.connection() as connection:
            connection.execute("analyze upload")
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(dagster_home(home, Path(__file__).resolve().parent.parent)),
        "BENCHMARK_CONTAINERS": ",".join(user.upload_container for user in registered),
        "BENCHMARK_PROCESSES": json.dumps({name: one.process.pid for name, one in processes.items() if one}),
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.sensor_tick", "--tick", "--new", str(new)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return {name: float(value) for name, value in json.loads(done.stdout.splitlines()[-1]).items()}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finished", type=int, nargs="+", default=[200, 20_000, 20_000])
    parser.add_argument("--users", type=int, nargs="+", default=[1, 1, 200])
    parser.add_argument("--new", type=int, nargs="+", default=[10, 10, 10])
    parser.add_argument("--tick", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.tick:
        sys.stdout.write(json.dumps(_measure_ticks(arguments.new[0])))
        return
    table = Table(title="one tick")
    columns = (
        "finished",
        "users",
        "new",
        "ticks",
        "wall s",
        "sensor CPU",
        "Azurite CPU",
        "PostgreSQL CPU",
        "result s",
        "RSS +MiB",
    )
    for column in (*columns, "Python peak MiB"):
        table.add_column(column, justify="right")
    for finished, users, new in zip(arguments.finished, arguments.users, arguments.new, strict=True):
        # A new home for each scene: the emulator's costs grow with what other containers hold.
        with own_services() as (home, service):
            _set_environment(home, service)
            row = _scene(home, service, finished, users, new)
        names = ("ticks", "seconds", "sensor", "Azurite", "PostgreSQL", "applied", "grown", "traced")
        table.add_row(str(finished), str(users), str(new), *(f"{row[name]:.2f}".removesuffix(".00") for name in names))
    console = Console(width=140)
    console.print(table)
    console.print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _set_environment(home: Path, service: Services) -> None:
    os.environ.update(
        NACHET_DATABASE_URL=service.importer_url,
        NACHET_DATABASE_READER_URL=service.reader_url,
        NACHET_BLOB_ACCOUNT_URL=service.blob_account_url,
        NACHET_BLOB_KEY=service.blob_key,
        NACHET_SECRET_KEYS=new_secret_key().get_secret_value(),
        NACHET_HOME=str(home),
    )


if __name__ == "__main__":
    main()
