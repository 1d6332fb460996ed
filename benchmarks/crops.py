"""How many pictures a second are cropped, and what of it is whose, from one run on this machine's own services.

    .venv/bin/python -m benchmarks.crops --pictures 80

JPEGs of 1600 by 1200 pixels are imported, and then cropped as the job does it, without Dagster, by the built-in
detector.
The processor's time is of the cropping process, of its decoders, and of both services.
"""

import argparse
import logging
import os
import tempfile
import time
from pathlib import Path

import psutil
from pydantic import SecretStr
from rich.console import Console

from benchmarks.import_upload import start, started
from benchmarks.pictures import INDEX, write_folder
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.contract.sessions import Owner
from nachet_pipeline.crops.cropping import Cropped, Cropper
from nachet_pipeline.crops.cutting import CroppingPool
from nachet_pipeline.database.connection import Database
from nachet_pipeline.local.services import Services
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.registry.queries import registered_seeds
from nachet_pipeline.settings import Settings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.support.files import LocalFolder
from nachet_pipeline.uploads.importing import Importer
from nachet_pipeline.uploads.queries import see_upload
from nachet_pipeline.uploads.staging import stage_folder
from nachet_pipeline.users.registering import register_user


def _seconds() -> dict[str, float]:
    """Processor time so far of this process, of its decoders, and of others that it started: the services."""
    own = psutil.Process()
    used = {"cropping process": sum(own.cpu_times()[:2]), "decoders": 0.0, "services": 0.0}
    for process in own.children(recursive=True):
        decoder = process.name().startswith("python")
        used["decoders" if decoder else "services"] += sum(process.cpu_times()[:2])
    return used


def _measure(service: Services, settings: Settings, folder: Path) -> tuple[float, dict[str, float], Cropped]:
    with (
        Database(SecretStr(service.database_url)) as database,
        BlobStorage.connect(service.blob_account_url, settings.blob_key) as blobs,
        CroppingPool(DecodingSettings.of(settings.decoder, settings.picture)) as pool,
    ):
        user = register_user(database, blobs, "crops@example.org")
        pictures = sum(1 for _ in folder.glob("*.jpg"))
        (folder / "index.yaml").write_text(INDEX.format(email=user.email, pictures=pictures))
        stage_folder(blobs, LocalFolder(folder), user.upload_container, folder.name, concurrency=8)
        with database.connection() as connection:
            registry = registered_seeds(connection)
            upload = see_upload(connection, Owner(user.id, user.email), folder.name)
        rules, limits = RuleSet.of(settings.contract), ContractLimits.of(settings.contract, settings.transfer)
        start(pool)
        Importer(database, blobs, pool, registry, rules, limits, settings.transfer, "benchmark").import_upload(
            upload.id
        )
        cropper = Cropper(database, blobs, pool, settings.crop, rules, settings.transfer)
        before, begin = _seconds(), time.perf_counter()
        cropped = cropper.crop(upload)
        seconds = time.perf_counter() - begin
        used = {name: spent - before[name] for name, spent in _seconds().items()}
    if cropped.looked_at != pictures or cropped.failed:
        raise SystemExit(f"expected {pictures} pictures to be cropped, found {cropped}")
    return seconds, used, cropped


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=80)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="nachet-benchmark-") as scratch:
        folder = Path(scratch) / "folder"
        write_folder(folder, arguments.pictures)
        with started() as (service, settings):
            seconds, used, cropped = _measure(service, settings, folder)
    console = Console(width=120)
    number = arguments.pictures
    console.print(f"{number} pictures, {cropped.new} crops in {seconds:.1f} s: {number / seconds:.1f} pictures/s")
    shares = (f"{name} {1000 * spent / number:.0f}" for name, spent in used.items())
    console.print(f"ms of the processor a picture: {', '.join(shares)}")
    console.print(f"cores: {psutil.cpu_count()}, load: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
