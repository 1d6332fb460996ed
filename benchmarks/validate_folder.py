"""How much validating a folder costs beyond decoding its pictures, from one run.

    .venv/bin/python -m benchmarks.validate_folder --pictures 500 --given FOLDER

Bare is decoding alone: as many worker processes, each opening file after file by itself with the decoder that the
validation uses for its format, and nothing else. Validating lists the folder, reads its indexes, hands each file to a
worker, hashes it, walks its structure, looks at its metadata, decodes it, and writes the report; measuring pictures
(`benchmarks.enrichment`) is left out. Both are done in turn,
several times; the ratio is validate ÷ bare, round by round.
"""

import argparse
import io
import logging
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.pictures import write_folder
from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.validation import validate
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.registry.seeds import SeedRegistry
from nachet_pipeline.registry.species_file import packaged_seeds
from nachet_pipeline.settings import ContractSettings, DecoderSettings, PictureSettings, TransferSettings
from nachet_pipeline.support.files import LocalFolder

_INDEX = """clientData: {{clientEmail: benchmark@example.org}}
imageData: {{numberOfImages: {pictures}}}
seedData: {{seedGenus: Brassica, seedSpecies: napus}}
userData: {{numberOfSeeds: 2, zoom: 30}}
"""
_TASKS_AT_A_TIME = 8


def decode(path: str) -> None:
    """Decode one file, with the decoder that the validation uses."""
    content = Path(path).read_bytes()
    if path.endswith("jpg"):
        from simplejpeg import decode_jpeg  # noqa: PLC0415 (in the worker)

        decode_jpeg(content, colorspace="GRAY", min_height=1, min_width=1, min_factor=8, strict=True)
    else:
        with Image.open(io.BytesIO(content)) as image:
            image.load()


def _bare(pool: "multiprocessing.pool.Pool", folder: Path) -> float:
    paths = sorted(str(path) for path in folder.iterdir() if path.suffix != ".yaml")
    begin = time.perf_counter()
    for _ in pool.imap_unordered(decode, paths, _TASKS_AT_A_TIME):
        pass
    return time.perf_counter() - begin


def write_index(folder: Path, pictures: int) -> None:
    """Write the index of a session folder that holds so many pictures."""
    (folder / "index.yaml").write_text(_INDEX.format(pictures=pictures))


def timed_validation(pool: DecodingPool, folder: Path, *, for_storing: bool = False) -> float:
    """Validate a folder with a pool that enriches or does not, in seconds.

    Raises:
        SystemExit: it is not importable, or its pictures were not enriched as the pool should.
    """
    transfer = TransferSettings()
    begin = time.perf_counter()
    with Inventory() as inventory:
        outcome = validate(
            LocalFolder(folder),
            inventory,
            pool,
            SeedRegistry.of(packaged_seeds()),
            limits=ContractLimits.of(ContractSettings(), transfer),
            for_storing=for_storing,
            readers=transfer.transfer_concurrency,
        )
        validated = time.perf_counter()
        enriched = all((picture.enrichment is not None) == pool.settings.enriched for picture in inventory.pictures())
        begin += time.perf_counter() - validated  # looking at the outcome is no part of it
    if not outcome.report.importable or not enriched:
        raise SystemExit(f"not importable, or not enriched as asked for: {outcome.report}")
    return time.perf_counter() - begin


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--given", type=Path, help="a folder of pictures to use over and over, instead of JPEGs")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    decoding = DecodingSettings.of(DecoderSettings(decode_pictures=1_000_000), PictureSettings())
    console = Console()
    table = Table(title=f"{arguments.pictures} pictures, seconds")
    for name in ("round", "bare", "validate", "validate ÷ bare"):
        table.add_column(name, justify="right")
    ratios = []
    with (
        tempfile.TemporaryDirectory(prefix="nachet-benchmark-") as scratch,
        multiprocessing.get_context("spawn").Pool(decoding.workers) as bare_pool,
        DecodingPool(replace(decoding, enriched=False)) as pool,
    ):
        folder = Path(scratch) / "folder"
        write_folder(folder, arguments.pictures, given=arguments.given)
        write_index(folder, arguments.pictures)
        for number in range(arguments.rounds + 1):
            bare, whole = _bare(bare_pool, folder), timed_validation(pool, folder)
            if number:  # the first round starts the processes
                ratios.append(whole / bare)
                table.add_row(str(number), f"{bare:.2f}", f"{whole:.2f}", f"{ratios[-1]:.2f}")
    console.print(table)
    console.print(f"median ratio: {statistics.median(ratios):.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory of the validating process: {peak:.0f} MiB; {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
