"""Whether a picture costs the same however many there are, from one run on this machine's own services.

    .venv/bin/python -m benchmarks.flat --few 1000 --many 20000

One user's container takes a small upload, then one that is many times larger, then small ones again. Compared is what a
picture costs in the large upload and in the small ones after it with what it cost in the small ones before: the median
of several, all without Dagster, with pictures of 400 by 300 pixels, so that what is not the picture itself weighs most.
Before each upload the emulator alone is measured with some of its pictures: a read of each, and a copy into a container
of its own; so it is seen how much of a growing cost is the emulator's, which keeps all its blobs in one list.
"""

import argparse
import hashlib
import logging
import os
import resource
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from pydantic import SecretStr
from rich.console import Console

from benchmarks.import_upload import start, started
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
from nachet_pipeline.support.files import LocalFolder, StagedFile
from nachet_pipeline.uploads.importing import Importer
from nachet_pipeline.uploads.queries import see_upload
from nachet_pipeline.uploads.staging import stage_folder
from nachet_pipeline.users.registering import register_user
from nachet_pipeline.users.user import User

_SCALE = 4
_ALONE = 500
_AT_A_TIME = 8


def _write_parts(folder: Path, sizes: list[int]) -> list[Path]:
    """Folders of so many pictures each, no two of which are alike."""
    write_folder(folder, sum(sizes), scale=_SCALE)
    pictures = iter(sorted(folder.glob("*.jpg")))
    parts = []
    for number, size in enumerate(sizes):
        part = folder / f"upload-{number}"
        part.mkdir()
        for picture in (next(pictures) for _ in range(size)):
            picture.rename(part / picture.name)
        parts.append(part)
    return parts


def _stage(blobs: BlobStorage, user: User, part: Path) -> int:
    pictures = sum(1 for _ in part.glob("*.jpg"))
    (part / "index.yaml").write_text(INDEX.format(email=user.email, pictures=pictures))
    stage_folder(blobs, LocalFolder(part), user.upload_container, part.name, concurrency=8)
    return pictures


def _emulator(blobs: BlobStorage, user: User, part: Path) -> float:
    """Seconds a picture for a read and a copy alone, of as many at a time as an import has."""
    files = [file for file in blobs.files(user.upload_container, part.name) if file.path.endswith(".jpg")][:_ALONE]
    sink = f"alone-{part.name}"
    blobs.ensure_container(sink)

    def one(file: StagedFile) -> None:
        name = f"{part.name}/{file.path}"
        content = blobs.read(user.upload_container, name, file.version)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        blobs.copy((user.upload_container, name), (sink, name), version=file.version, md5=md5, metadata={})

    with ThreadPoolExecutor(_AT_A_TIME) as executor:
        begin = time.perf_counter()
        list(executor.map(one, files))
        return (time.perf_counter() - begin) / len(files)


def _measure(service: Services, settings: Settings, parts: list[Path]) -> tuple[list[float], list[float]]:
    """Seconds a picture of each part, one after the other into one container; and those of the emulator alone."""
    costs, alone = [], []
    with (
        Database(SecretStr(service.database_url)) as database,
        BlobStorage.connect(service.blob_account_url, settings.blob_key) as blobs,
        DecodingPool(DecodingSettings.of(settings.decoder, settings.picture)) as pool,
    ):
        user = register_user(database, blobs, "flat@example.org")
        with database.connection() as connection:
            registry = registered_seeds(connection)
        rules, limits = RuleSet.of(settings.contract), ContractLimits.of(settings.contract, settings.transfer)
        importer = Importer(database, blobs, pool, registry, rules, limits, settings.transfer, "benchmark")
        start(pool)
        for part in parts:
            pictures = _stage(blobs, user, part)
            with database.connection() as connection:
                upload = see_upload(connection, Owner(user.id, user.email), part.name)
            alone.append(_emulator(blobs, user, part))
            begin = time.perf_counter()
            outcome = importer.import_upload(upload.id)
            costs.append((time.perf_counter() - begin) / pictures)
            if outcome.receipt.state != "imported":
                raise SystemExit(f"not imported: {outcome.receipt}")
    return costs, alone


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=500)
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    rounds = arguments.rounds
    # The first is not counted: connections and caches are new to it.
    sizes = [arguments.few] * (rounds + 1) + [arguments.many] + [arguments.few] * rounds
    with tempfile.TemporaryDirectory(prefix="nachet-benchmark-") as scratch:
        parts = _write_parts(Path(scratch) / "folder", sizes)
        with started() as (service, settings):
            costs, alone = _measure(service, settings, parts)
    console = Console(width=120)
    parted = (slice(1, rounds + 1), slice(rounds + 1, rounds + 2), slice(rounds + 2, None))
    before, emulator = statistics.median(costs[parted[0]]), statistics.median(alone[parted[0]])
    names = ("into an empty container", "in one upload", "beside all of those")
    for number, name, part in zip((arguments.few, arguments.many, arguments.few), names, parted, strict=True):
        cost, own = statistics.median(costs[part]), statistics.median(alone[part])
        console.print(
            f"{number} pictures {name}: {1 / cost:.0f} pictures/s, {cost * 1000:.2f} ms a picture, ratio"
            f" {cost / before:.2f}; the emulator alone {own * 1000:.2f} ms; without its growth"
            f" {(cost - (own - emulator)) / before:.2f}"
        )
    console.print(f"single uploads, ms a picture: {', '.join(f'{cost * 1000:.2f}' for cost in costs)}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory {peak:.0f} MiB; cores: {psutil.cpu_count()}, load: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
