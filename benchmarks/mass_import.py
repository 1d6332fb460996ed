"""What a mass import costs a picture, in a small container and in a large one, and how much memory it takes.

    .venv/bin/python -m benchmarks.mass_import --pictures 1000 20000

Both containers are filled and imported in one run, each in a process of its own so that its peak of memory is its own.
The small one is imported again after the large one, as a different container, so that a machine that slows down or
warms up meanwhile shows. Folders hold a thousand pictures, or all of them with --one-folder.
"""

import argparse
import io
import json
import logging
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import obstore
from obstore.store import AzureStore
from PIL import Image
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.own_services import in_own_process, memory_mib, own_services
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.database.connection import Database
from nachet_pipeline.local.services import Services
from nachet_pipeline.mass_import.importing import MassImporter, MassImportRequest
from nachet_pipeline.mass_import.mapping import FolderMapping
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.settings import Settings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.users.registering import register_user

_OWNER = "benchmark@example.org"
_OPTIONS = {"species": "Brassica napus", "zoom": "30", "seeds": "2"}
_PER_FOLDER = 1_000
_STAGED_AT_A_TIME = 16


def _picture(number: int) -> bytes:
    """A small JPEG that looks like no other: what is alike is searched for, and finding much would be another job."""
    generator = np.random.default_rng(number)
    coarse = Image.fromarray(generator.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    stream = io.BytesIO()
    coarse.resize((320, 240), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _fill(service: Services, container: str, first: int, pictures: int, per_folder: int) -> None:
    store = AzureStore(
        container,
        account_name="devstoreaccount1",
        account_key=service.blob_key,
        endpoint=service.blob_account_url,
        client_options={"allow_http": True},
    )

    def put(number: int) -> None:
        # Pictures of different containers are different too.
        content = _picture(first + number)
        obstore.put(store, f"folder{number // per_folder:04}/{number:06}.jpg", content)

    with ThreadPoolExecutor(_STAGED_AT_A_TIME) as executor:
        for _ in executor.map(put, range(pictures)):
            pass


def _import(container: str) -> dict[str, float]:
    """Import a container in this process: seconds, pictures, and the peak of memory before and after."""
    settings = Settings()
    limits = ContractLimits.of(settings.contract, settings.transfer)
    before = memory_mib()
    with (
        Database(SecretStr(os.environ["NACHET_DATABASE_URL"])) as database,
        BlobStorage.connect(os.environ["NACHET_BLOB_ACCOUNT_URL"], SecretStr(os.environ["NACHET_BLOB_KEY"])) as blobs,
        DecodingPool(DecodingSettings.of(settings.decoder, settings.picture)) as pool,
    ):
        with database.connection() as connection:
            registry = registered_seeds(connection)
        for inspection in [pool.inspect(b"", "JPEG") for _ in range(8)]:
            inspection.result()  # the pool's processes start before the clock does
        importer = MassImporter(database, blobs, pool, registry, RuleSet(), limits, settings.transfer)
        begin = time.perf_counter()
        outcome = importer.run(MassImportRequest(container, _OWNER, FolderMapping.of(None, options=_OPTIONS)))
        seconds = time.perf_counter() - begin
        begin = time.perf_counter()
        importer.run(MassImportRequest(container, _OWNER, FolderMapping.of(None, options=_OPTIONS)))
        again = time.perf_counter() - begin
    if outcome.taken != outcome.pictures:
        raise SystemExit(f"not everything was taken: {outcome.report.codes}")
    return {"pictures": outcome.taken, "seconds": seconds, "again": again, "before": before, "peak": memory_mib()}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, nargs="+", default=[1_000, 20_000])
    parser.add_argument("--one-folder", action="store_true", help="all pictures of a container in one folder")
    parser.add_argument("--import", dest="container", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.container:
        sys.stdout.write(json.dumps(_import(arguments.container)))
        return
    sizes = [*arguments.pictures, arguments.pictures[0]]
    with own_services() as (_home, service):
        _measure(service, sizes, one_folder=arguments.one_folder)


def _measure(service: Services, sizes: list[int], *, one_folder: bool) -> None:
    with (
        Database(SecretStr(service.database_url)) as database,
        BlobStorage.connect(service.blob_account_url, SecretStr(service.blob_key)) as blobs,
    ):
        register_user(database, blobs, _OWNER)
        first = 0
        names = [f"benchmark-{number}-{size}" for number, size in enumerate(sizes)]
        for name, size in zip(names, sizes, strict=True):
            blobs.ensure_container(name)
            _fill(service, name, first, size, size if one_folder else _PER_FOLDER)
            first += size
    rows = [in_own_process("benchmarks.mass_import", "--import", name) for name in names]
    costs = [row["seconds"] / row["pictures"] * 1000 for row in rows]
    table = Table(title="mass import, in the order of the runs")
    for column in ("pictures", "s", "ms a picture", "÷ first", "again, s", "MiB at start", "peak MiB"):
        table.add_column(column, justify="right")
    for row, cost in zip(rows, costs, strict=True):
        table.add_row(
            f"{row['pictures']:.0f}",
            f"{row['seconds']:.1f}",
            f"{cost:.2f}",
            f"{cost / costs[0]:.2f}",
            f"{row['again']:.1f}",
            f"{row['before']:.0f}",
            f"{row['peak']:.0f}",
        )
    console = Console()
    console.print(table)
    small = (costs[0] + costs[-1]) / 2
    console.print(f"largest ÷ smallest, a picture: {costs[-2] / small:.3f} (small: mean of before and after)")
    console.print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
