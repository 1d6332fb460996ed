"""Whether a picture costs the same however many there are, from one run on this machine's own services.

    .venv/bin/python -m benchmarks.flat --few 1000 --many 20000
    .venv/bin/python -m benchmarks.flat --few 1000 --many 20000 --times 10 --rounds 1

One user's container takes a small upload, then one that is many times larger, or several, then small ones again.
Compared is what a picture costs in the large uploads and in the small ones after them with what it cost in the small
ones before: the median of several, all without Dagster, with pictures of 400 by 300 pixels, so that what is not the
picture itself weighs most. What was imported is removed from staging, as retention does.

Azurite writes its list of all blobs to disk every five seconds and answers nothing meanwhile: 14 us a blob. How long
that was is measured by a request every 30 ms, and told apart; a service that stores many pictures has no such pauses.
"""

import argparse
import logging
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from shutil import rmtree
from threading import Event, Thread
from typing import Self
from uuid import UUID

import psutil
from azure.storage.blob import BlobServiceClient
from pydantic import SecretStr
from rich.console import Console

from benchmarks.import_upload import processor_time, start, started
from benchmarks.pictures import INDEX, write_folder
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.database.connection import Database
from nachet_pipeline.local.services import Services
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.settings import Settings
from nachet_pipeline.storage.blobs import API_VERSION, BlobStorage
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.uploads.importing import Importer
from nachet_pipeline.uploads.queries import see_upload
from nachet_pipeline.uploads.staging import stage_folder
from nachet_pipeline.users.registering import register_user
from nachet_pipeline.users.user import User

_SCALE = 4
_WATCHED = "watched"
_BETWEEN, _PAUSE = 0.03, 0.1


def _stage(blobs: BlobStorage, user: User, part: Path, pictures: int) -> None:
    (part / "index.yaml").write_text(INDEX.format(email=user.email, pictures=pictures))
    stage_folder(blobs, LocalFolder(part), user.upload_container, part.name, concurrency=8)


class _Pauses:
    """Measures how long the emulator answers nothing."""

    def __init__(self, blobs: BlobStorage) -> None:
        self._blobs = blobs
        self._ended = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self.seconds = 0.0
        blobs.ensure_container(_WATCHED)
        blobs.upload(_WATCHED, _WATCHED, b"here", content_type="text/plain", overwrite=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_BETWEEN):
            begin = time.perf_counter()
            self._blobs.read(_WATCHED, _WATCHED)
            seconds = time.perf_counter() - begin
            if seconds > _PAUSE:
                self.seconds += seconds


@dataclass(frozen=True)
class _Cost:
    """What importing a part cost, in seconds a picture.

    Attributes:
        pictures: how many it has.
        wall: by the clock.
        paused: of these, those in which the emulator answered nothing.
        ours: processor time of the import, its decoders and the database.
        emulator: processor time of the emulator.
    """

    pictures: int
    wall: float
    paused: float
    ours: float
    emulator: float


def _import(blobs: BlobStorage, importer: Importer, upload: UUID, pictures: int) -> _Cost:
    processor: dict[str, float] = {}
    with _Pauses(blobs) as pauses, processor_time(processor):
        begin = time.perf_counter()
        outcome = importer.import_upload(upload)
        wall = time.perf_counter() - begin
    if outcome.receipt.state != "imported":
        raise SystemExit(f"not imported: {outcome.receipt}")
    ours = sum(processor[kind] for kind in ("import", "decoders", "database"))
    return _Cost(*(pictures, *(one / pictures for one in (wall, pauses.seconds, ours, processor["storage"]))))


def _empty(service: Services, container: str) -> None:
    """Remove what is staged in one request; removing blob by blob would take as long as an import."""
    with BlobServiceClient(service.blob_account_url, credential=service.blob_key, api_version=API_VERSION) as client:
        client.delete_container(container)
        client.create_container(container)


def _measure(service: Services, settings: Settings, scratch: Path, sizes: list[int]) -> Iterator[_Cost]:
    """The cost of each upload, one after the other into one container."""
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
        for number, size in enumerate(sizes):
            part = scratch / f"upload-{number}"
            write_folder(part, size, scale=_SCALE, series=number)
            _stage(blobs, user, part, size)
            rmtree(part)
            with database.connection() as connection:
                upload = see_upload(connection, Owner(user.id, user.email), part.name)
            yield _import(blobs, importer, upload.id, size)
            _empty(service, user.upload_container)


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=500)
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--times", type=int, default=1, help="large uploads")
    parser.add_argument("--rounds", type=int, default=3, help="small uploads before and after them")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    rounds, times = arguments.rounds, arguments.times
    # The first is not counted: connections and caches are new to it.
    sizes = [arguments.few] * (rounds + 1) + [arguments.many] * times + [arguments.few] * rounds
    console = Console(width=120)
    costs: list[_Cost] = []
    with tempfile.TemporaryDirectory(prefix="nachet-benchmark-") as scratch, started() as (service, settings):
        for cost in _measure(service, settings, Path(scratch), sizes):
            costs.append(cost)
            stored = sum(one.pictures for one in costs)
            console.print(f"{cost.pictures}, then {stored} stored: {_told(cost)}")
    before = _median(costs[1 : rounds + 1])
    parted = {"in large uploads": costs[rounds + 1 : -rounds], "beside all of those": costs[-rounds:]}
    console.print(f"{arguments.few} pictures into an empty container: {_told(before)}")
    for name, part in parted.items():
        cost = _median(part)
        console.print(
            f"{name}: {_told(cost)}; ratio {cost.wall / before.wall:.2f}, without pauses"
            f" {(cost.wall - cost.paused) / (before.wall - before.paused):.2f}, ours {cost.ours / before.ours:.2f}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory {peak:.0f} MiB; cores: {psutil.cpu_count()}, load: {os.getloadavg()[0]:.1f}")


def _median(costs: list[_Cost]) -> _Cost:
    return _Cost(*(statistics.median(values) for values in zip(*map(astuple, costs), strict=True)))


def _told(cost: _Cost) -> str:
    return (
        f"{cost.wall * 1000:.2f} ms a picture, {cost.paused * 1000:.2f} of them without an answer of the emulator;"
        f" processor: ours {cost.ours * 1000:.2f}, emulator {cost.emulator * 1000:.2f}"
    )


if __name__ == "__main__":
    main()
