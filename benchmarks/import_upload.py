"""How much an import costs beyond what cannot be avoided, from one run on this machine's own services.

    .venv/bin/python -m benchmarks.import_upload --jpegs 2000 --tiffs 500

Bare is what no import can do without: each picture read from staging once, hashed, decoded and stored. It is done by
the best client found (obstore to read; an upload or a copy on the server's side to store, whichever is quicker) in
processes of its own, with the concurrency that is quickest on these cores, without validation, measuring, database or
Dagster. It is told twice: with every pixel decoded, and with each JPEG decoded at an eighth of its size in grey, which
reads all of its data and is the least by which damage is found. Import and bare are done in turn, several times, each
time for a new user and without a row in the database; a ratio is import ÷ bare of one round.
"""

import argparse
import hashlib
import io
import logging
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import TypeVar

import obstore
import psutil
import psycopg
from obstore.store import AzureStore
from PIL import Image
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.own_services import memory_mib, own_services
from benchmarks.pictures import INDEX, write_folder
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.database.connection import Database
from nachet_pipeline.local.services import Services
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.settings import Settings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.uploads.importing import Importer
from nachet_pipeline.uploads.queries import find_upload, see_upload
from nachet_pipeline.uploads.staging import stage_folder
from nachet_pipeline.users.registering import register_user

_TRIAL = 400
"""Pictures that the best concurrency is found with."""


_Result = TypeVar("_Result")


# The bare work


@dataclass(frozen=True)
class _Bare:
    """One way of doing the bare work, in a process of its own."""

    account_url: str
    key: str = field(repr=False)
    source: str
    sink: str
    whole: bool
    copied: bool
    threads: int

    def _store(self, container: str) -> AzureStore:
        return AzureStore(
            container,
            account_name="devstoreaccount1",
            account_key=self.key,
            endpoint=self.account_url,
            client_options={"allow_http": True},
        )

    def do(self, blobs: list[tuple[str, str]]) -> None:
        """Read, hash, decode and store pictures; each by its name and version."""
        source, sink = self._store(self.source), self._store(self.sink)
        with (
            BlobStorage.connect(self.account_url, SecretStr(self.key)) as storage,
            ThreadPoolExecutor(self.threads) as executor,
        ):

            def one(blob: tuple[str, str]) -> None:
                name, version = blob
                content = bytes(obstore.get(source, name).bytes())
                sha256 = hashlib.sha256(content).hexdigest()
                _decode(content, name, whole=self.whole)
                if self.copied:
                    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
                    storage.copy(
                        (self.source, name), (self.sink, name), version=version, md5=md5, metadata={"sha256": sha256}
                    )
                else:
                    obstore.put(sink, name, content, mode="create")

            list(executor.map(one, blobs))


def _decode(content: bytes, name: str, *, whole: bool) -> None:
    if name.endswith(".jpg"):
        from simplejpeg import decode_jpeg, decode_jpeg_header  # noqa: PLC0415 (in processes of their own)

        height, width, _, _ = decode_jpeg_header(content)
        if whole:
            decode_jpeg(content, strict=True)
        else:
            decode_jpeg(content, colorspace="GRAY", min_height=height // 8, min_width=width // 8, strict=True)
    else:
        Image.open(io.BytesIO(content)).load()


def _nothing(_: int) -> None:
    time.sleep(0.2)  # so that every process of a pool gets one of these


class _BareWork:
    """Does the bare work in the quickest way found."""

    def __init__(self, service: Services, blobs: BlobStorage) -> None:
        self.service, self.blobs = service, blobs
        self.ways: dict[bool, tuple[int, int, bool]] = {}
        self._sinks = 0

    def seconds(self, container: str, folder: str, *, whole: bool) -> float:
        """Seconds for a staged folder, with every pixel decoded or not."""
        names = [
            (f"{folder}/{file.path}", file.version)
            for file in self.blobs.files(container, folder)
            if not file.path.endswith(".yaml")
        ]
        if whole not in self.ways:
            step = max(1, len(names) // _TRIAL)
            trial = {
                way: self._seconds(container, names[::step], whole, *way)
                for way in product((2, 3), (2, 4), (False, True))
            }
            self.ways[whole] = min(trial, key=lambda way: trial[way])
        return self._seconds(container, names, whole, *self.ways[whole])

    def _seconds(
        self, container: str, names: list[tuple[str, str]], whole: bool, processes: int, threads: int, copied: bool
    ) -> float:
        self._sinks += 1
        sink = f"bare-{self._sinks}"
        self.blobs.ensure_container(sink)
        way = _Bare(self.service.blob_account_url, self.service.blob_key, container, sink, whole, copied, threads)
        parts = [names[start::processes] for start in range(processes)]
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as executor:
            list(executor.map(_nothing, range(processes)))
            list(executor.map(way.do, [part[:2] for part in parts]))
            begin = time.perf_counter()
            list(executor.map(way.do, [part[2:] for part in parts]))
            return (time.perf_counter() - begin) * len(names) / (len(names) - 2 * processes)


# The import


@contextmanager
def processor_time(seconds: dict[str, float]) -> Iterator[None]:
    """Notes the processor seconds of this process, its decoders, the storage emulator and the database."""

    def now() -> dict[str, float]:
        found: dict[str, float] = {}
        own = psutil.Process()
        decoders = {child.pid for child in own.children() if "pictures/worker.py" in " ".join(child.cmdline())}
        home, server = str(Path(os.environ["DAGSTER_HOME"]).parent), 0
        for process in psutil.process_iter(["pid", "ppid", "name", "cmdline", "cpu_times"]):
            name, command = process.info["name"] or "", " ".join(process.info["cmdline"] or ())
            if process.pid == own.pid:
                kind = "import"
            elif process.pid in decoders:
                kind = "decoders"
            elif "azurite" in command and home in command:
                kind = "storage"
            elif name.startswith("postgres") and (home in command or process.info["ppid"] == server):
                kind, server = "database", server or process.pid
            else:
                continue
            times = process.info["cpu_times"]
            found[kind] = found.get(kind, 0) + times.user + times.system
            if kind == "import":  # decoders that were replaced meanwhile
                found["decoders"] = found.get("decoders", 0) + times.children_user + times.children_system
        return found

    before = now()
    yield
    seconds.update({kind: value - before.get(kind, 0) for kind, value in now().items()})


def start(pool: DecodingPool) -> None:
    """Let the pool's processes start, which is measured with the job and not with the core."""
    for inspection in [pool.inspect(b"", "JPEG") for _ in range(8)]:
        inspection.result()


def _core(
    database: Database, blobs: BlobStorage, owner: Owner, settings: Settings, processor: dict[str, float]
) -> dict[str, float]:
    """Seconds of an import without Dagster, by step."""
    with database.connection() as connection:
        seen, registry = see_upload(connection, owner, "upload"), registered_seeds(connection)
    with DecodingPool(DecodingSettings.of(settings.decoder, settings.picture)) as pool:
        start(pool)
        rules, limits = RuleSet.of(settings.contract), ContractLimits.of(settings.contract, settings.transfer)
        importer = Importer(database, blobs, pool, registry, rules, limits, settings.transfer, "benchmark")
        with processor_time(processor):
            begin = time.perf_counter()
            outcome = importer.import_upload(seen.id)
            whole = time.perf_counter() - begin
    if outcome.receipt.state != "imported":
        raise SystemExit(f"not imported: {outcome.receipt}")
    return {"core": whole, **outcome.seconds}


def _job(database: Database, settings: Settings, owner: Owner) -> float:
    """Seconds of the import job in process, with its events in PostgreSQL."""
    from dagster import DagsterInstance  # noqa: PLC0415 (slow to import)

    from nachet_pipeline.definitions import definitions  # noqa: PLC0415 (reads the environment)

    with database.connection() as connection:
        upload = see_upload(connection, owner, "upload")
    begin = time.perf_counter()
    with DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("upload", [upload.partition])
        definitions(settings).resolve_job_def("import_uploads").execute_in_process(
            instance=instance,
            partition_key=upload.partition,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    seconds = time.perf_counter() - begin
    with database.connection() as connection:
        done = find_upload(connection, upload.id)
    if done is None or done.state != "imported":
        raise SystemExit(f"not imported: {done}")
    return seconds


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jpegs", type=int, default=400)
    parser.add_argument("--tiffs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--given", type=Path, help="a folder of pictures to use over and over instead")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="nachet-benchmark-") as scratch:
        local = Path(scratch) / "folder"
        write_folder(local, arguments.jpegs, arguments.tiffs, given=arguments.given)
        with started() as (service, settings):
            _measure(service, settings, local, arguments.rounds)


@contextmanager
def started() -> Iterator[tuple[Services, Settings]]:
    """This machine's own services, prepared and named in the environment, with a Dagster instance on them."""
    with own_services() as (home, service):
        from nachet_pipeline.defs.instance import dagster_home, project_folder  # noqa: PLC0415

        os.environ["DAGSTER_HOME"] = str(dagster_home(home, project_folder()))
        yield service, Settings.from_environment()


def _measure(service: Services, settings: Settings, local: Path, rounds: int) -> None:
    console = Console(width=120)
    pictures = [path for path in local.iterdir() if path.suffix != ".yaml"]
    size = sum(path.stat().st_size for path in pictures) / 1024**2
    table = Table(title=f"{len(pictures)} pictures, {size:.0f} MiB, seconds")
    columns = ("bare, all pixels", "bare, least", "import", "validate", "store", "record", "job")
    for name in ("round", *columns, "import ÷ all", "job ÷ all", "import ÷ least"):
        table.add_column(name, justify="right")
    ratios: list[tuple[float, ...]] = []
    memory: list[float] = []
    processor: dict[str, float] = {}
    with (
        Database(SecretStr(service.database_url)) as database,
        BlobStorage.connect(service.blob_account_url, settings.blob_key) as blobs,
    ):
        bare = _BareWork(service, blobs)

        def user(name: str) -> Owner:
            one = register_user(database, blobs, f"{name}@example.org")
            (local / "index.yaml").write_text(INDEX.format(email=one.email, pictures=len(pictures)))
            stage_folder(blobs, LocalFolder(local), one.upload_container, "upload", concurrency=8)
            return Owner(one.id, one.email)

        for number in range(rounds):
            first, second = user(f"round{number}"), user(f"job{number}")
            container = f"upload-{first.id}"
            whole = bare.seconds(container, "upload", whole=True)
            least = bare.seconds(container, "upload", whole=False)
            core = _fresh(service, partial(_core, database, blobs, first, settings, processor))
            job = _fresh(service, partial(_job, database, settings, second))
            ratios.append((core["core"] / whole, job / whole, core["core"] / least))
            memory.append(memory_mib())
            steps = (core["core"], core["validate"], core["store"], core["record"])
            cells = [whole, least, *steps, job, *ratios[-1]]
            table.add_row(str(number + 1), *(f"{cell:.2f}" for cell in cells))
    console.print(table)
    for name, values in zip(("import ÷ all", "job ÷ all", "import ÷ least"), zip(*ratios, strict=True), strict=True):
        console.print(f"median {name}: {statistics.median(values):.2f}")
    each = ", ".join(f"{kind} {seconds * 1000 / len(pictures):.2f}" for kind, seconds in sorted(processor.items()))
    console.print(f"processor time a picture of the last import, in ms: {each}")
    for whole_pixels, (processes, threads, copied) in bare.ways.items():
        console.print(
            f"bare, {'all pixels' if whole_pixels else 'least'}: {processes} processes of {threads} threads,"
            f" stored by {'copying' if copied else 'uploading'}"
        )
    console.print(f"peak memory of the importing process after each round: {[f'{m:.0f} MiB' for m in memory]}")
    console.print(f"cores: {psutil.cpu_count()}, load: {os.getloadavg()[0]:.1f}")


def _fresh(service: Services, work: Callable[[], _Result]) -> _Result:
    """Do work on a database without pictures, or they would all be duplicates."""
    with psycopg.connect(service.database_url) as connection:
        connection.execute("truncate picture_set, pictures cascade")
    return work()


if __name__ == "__main__":
    main()
