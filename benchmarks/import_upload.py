"""How much an import costs beyond what cannot be avoided, from one run on this machine's own services.

    .venv/bin/python -m benchmarks.import_upload --pictures 500

Bare is what no import can do without: each picture read from staging once, hashed, decoded, and stored, by the fastest
client and with the same number of readers and decoders as the import, without validation, database or Dagster. Both are
done in turn, several times, each time for a new user; the ratio is import ÷ bare, round by round.
"""

import argparse
import hashlib
import logging
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import obstore
import psutil
from obstore.store import AzureStore
from rich.console import Console
from rich.table import Table

from nachet_pipeline.contract.folder import LocalFolder
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.database.connection import Database
from nachet_pipeline.database.seeds import registered_seeds
from nachet_pipeline.database.uploads import find_upload, see_upload
from nachet_pipeline.importing import Importer
from nachet_pipeline.limits import decoding_settings
from nachet_pipeline.local.prepare import prepare
from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.local.services import Services, services
from nachet_pipeline.onboarding import register_user
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.settings import Settings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.storage.staging import stage_folder

_DISTINCT = 20
_INDEX = """clientData: {{clientEmail: {email}, clientExpertise: benchmark}}
imageData: {{numberOfImages: {pictures}}}
seedData: {{seedGenus: Brassica, seedSpecies: napus}}
userData: {{description: benchmark, numberOfSeeds: 2, zoom: 30}}
"""


def _jpegs(number: int) -> Iterator[bytes]:
    """JPEGs of 1600 by 1200 pixels, a few motifs over and over, no two files alike."""
    motifs = [
        sample_picture(seed, picture_format="jpeg", width=1600, height=1200) for seed in range(min(_DISTINCT, number))
    ]
    for count, motif in enumerate(islice(cycle(motifs), number)):
        comment = f"picture {count}".encode()
        # A comment segment right after the start marker makes the file another one without changing a pixel.
        yield motif[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + motif[2:]


def _given(folder: Path, number: int) -> Iterator[tuple[str, bytes]]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".tiff", ".tif", ".png", ".jpg"})
    for count, path in enumerate(islice(cycle(files), number)):
        yield f"{count:06}{path.suffix}", path.read_bytes()


def write_folder(folder: Path, number: int, given: Path | None) -> None:
    """Make a folder of pictures: given ones over and over, or generated JPEGs."""
    folder.mkdir()
    if given:
        for name, content in _given(given, number):
            (folder / name).write_bytes(content)
    else:
        for count, content in enumerate(_jpegs(number)):
            (folder / f"{count:06}.jpg").write_bytes(content)


def _peak_mib() -> float:
    """The largest resident size so far of this process, and of its largest child."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return own / 1024


def _store(service: Services, container: str) -> AzureStore:
    return AzureStore(
        container,
        account_name="devstoreaccount1",
        account_key=service.blob_key,
        endpoint=service.blob_account_url,
        client_options={"allow_http": True},
    )


def _start(pool: DecodingPool) -> None:
    """Let the pool's processes start, which is measured with the job and not with the bare parts."""
    for inspection in [pool.inspect(b"", "JPEG") for _ in range(8)]:
        inspection.result()


def _bare(service: Services, staging: str, folder: str, target: str, settings: Settings) -> float:
    """Seconds to read, hash, decode and store every picture of a staged folder."""
    source, sink = _store(service, staging), _store(service, target)
    names = [str(found["path"]) for batch in obstore.list(source, prefix=folder) for found in batch]
    names = [name for name in names if not name.endswith(".yaml")]
    with DecodingPool(decoding_settings(settings.importing)) as pool:
        _start(pool)

        def one(name: str) -> None:
            content = bytes(obstore.get(source, name).bytes())
            inspection = pool.inspect(content, "JPEG" if name.endswith("jpg") else "TIFF")
            hashlib.sha256(content).hexdigest()
            inspection.result()
            obstore.put(sink, name, content, mode="create")

        threads = settings.importing.transfer_concurrency + settings.importing.decode_workers
        begin = time.perf_counter()
        with ThreadPoolExecutor(threads) as executor:
            list(executor.map(one, names))
        return time.perf_counter() - begin


def _core(database: Database, blobs: BlobStorage, upload: Owner, folder: str, settings: Settings) -> dict[str, float]:
    """Seconds of an import without Dagster, by step."""
    with database.connection() as connection:
        seen, registry = see_upload(connection, upload, folder), registered_seeds(connection)
    with DecodingPool(decoding_settings(settings.importing)) as pool:
        _start(pool)
        importer = Importer(database, blobs, pool, registry, settings.importing, "benchmark")
        begin = time.perf_counter()
        outcome = importer.import_upload(seen.id)
        whole = time.perf_counter() - begin
    if outcome.receipt.state != "imported":
        raise SystemExit(f"not imported: {outcome.receipt}")
    return {"core": whole, **outcome.seconds}


def _job(database: Database, settings: Settings, owner: Owner, folder: str) -> float:
    """Seconds of the import job in process, with its events in PostgreSQL."""
    from nachet_pipeline.running import run_import  # noqa: PLC0415 (its definitions read the environment)

    with database.connection() as connection:
        upload = see_upload(connection, owner, folder)
    begin = time.perf_counter()
    run_import(settings, upload.partition, lambda _step, _done, _total: None)
    seconds = time.perf_counter() - begin
    with database.connection() as connection:
        done = find_upload(connection, upload.id)
    if done is None or done.state != "imported":
        raise SystemExit(f"not imported: {done}")
    return seconds


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--given", type=Path, help="a folder of pictures to use over and over, instead of JPEGs")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="nachet-benchmark-") as scratch:
        home = Path(scratch) / "home"
        local = Path(scratch) / "folder"
        write_folder(local, arguments.pictures, arguments.given)
        tools = Path(os.environ.get("NACHET_HOME", ".nachet")).resolve()
        with services(home, tools=tools) as service:
            prepare(service)
            _measure(console, service, home, local, arguments.pictures, arguments.rounds)


def _measure(console: Console, service: Services, home: Path, local: Path, pictures: int, rounds: int) -> None:
    os.environ.update(
        NACHET_DATABASE_URL=service.database_url,
        NACHET_BLOB_ACCOUNT_URL=service.blob_account_url,
        NACHET_BLOB_KEY=service.blob_key,
    )
    settings = Settings.from_environment()
    if settings.database_url is None:
        raise SystemExit("no database")
    from nachet_pipeline.instance import dagster_home, project_folder  # noqa: PLC0415

    os.environ["DAGSTER_HOME"] = str(dagster_home(home, project_folder()))
    table = Table(title=f"{pictures} pictures, seconds")
    for name in ("round", "bare", "core", "validate", "store", "record", "job", "core ÷ bare", "job ÷ bare"):
        table.add_column(name, justify="right")
    ratios: list[tuple[float, float]] = []
    memory: list[float] = []
    with (
        Database(settings.database_url) as database,
        BlobStorage.connect(service.blob_account_url, settings.blob_key) as blobs,
    ):
        for number in range(rounds):
            user = register_user(database, blobs, f"round{number}@example.org")
            other = register_user(database, blobs, f"job{number}@example.org")
            for who in (user, other):
                (local / "index.yaml").write_text(_INDEX.format(email=who.email, pictures=pictures))
                stage_folder(blobs, LocalFolder(local), who.upload_container, "upload")
            target = f"bare-{number}"
            blobs.ensure_container(target)
            bare = _bare(service, user.upload_container, "upload", target, settings)
            core = _core(database, blobs, Owner(user.id, user.email), "upload", settings)
            job = _job(database, settings, Owner(other.id, other.email), "upload")
            ratios.append((core["core"] / bare, job / bare))
            memory.append(_peak_mib())
            cells = [bare, core["core"], core["validate"], core["store"], core["record"], job, *ratios[-1]]
            table.add_row(str(number + 1), *(f"{cell:.2f}" for cell in cells))
    console.print(table)
    console.print(f"median ratio: core {statistics.median(r[0] for r in ratios):.2f}")
    console.print(f"median ratio: job  {statistics.median(r[1] for r in ratios):.2f}")
    console.print(f"peak memory of the importing process after each round: {[f'{m:.0f} MiB' for m in memory]}")
    console.print(f"cores: {psutil.cpu_count()}, load: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
