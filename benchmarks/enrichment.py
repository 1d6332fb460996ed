"""What enriching pictures adds to validating them, from one run.

    .venv/bin/python -m benchmarks.enrichment --given FOLDER

The same folders are validated with enrichment and without, in turn, several times, by two pools of the same size; the
ratio is with ÷ without, round by round. The pictures are given ones over and over, JPEGs of 1600 by 1200 pixels, and
LZW TIFFs of 1920 by 1080.
"""

import argparse
import logging
import statistics
import tempfile
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.pictures import write_folder
from benchmarks.validate_folder import timed_validation, write_index
from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.pictures.decoding_pool import DecodingPool, DecodingSettings
from nachet_pipeline.settings import DecoderSettings, PictureSettings

TARGET = 1.40
_DISTINCT = 10


def _write_tiffs(folder: Path, number: int) -> None:
    folder.mkdir()
    motifs = [
        sample_picture(seed, picture_format="tiff", width=1920, height=1080) for seed in range(min(_DISTINCT, number))
    ]
    for count, motif in enumerate(islice(cycle(motifs), number)):
        (folder / f"{count:06}.tiff").write_bytes(motif)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--given", type=Path, help="a folder of pictures to use over and over")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    plain = replace(DecodingSettings.of(DecoderSettings(), PictureSettings()), pictures=1_000_000, enriched=False)
    table = Table(
        title=f"{arguments.pictures} pictures of each kind, milliseconds a picture, {arguments.rounds} rounds"
    )
    for name in ("pictures", "without", "with", "with ÷ without", f"at most {TARGET}"):
        table.add_column(name, justify="right")
    with (
        tempfile.TemporaryDirectory(prefix="nachet-benchmark-") as scratch,
        DecodingPool(plain) as without,
        DecodingPool(replace(plain, enriched=True)) as enriching,
    ):
        kinds = [*(["given"] if arguments.given else []), "JPEG 1600 × 1200", "LZW TIFF 1920 × 1080"]  # noqa: RUF001
        for kind in kinds:
            folder = Path(scratch) / kind.split()[0]
            if kind.startswith("LZW"):
                _write_tiffs(folder, arguments.pictures)
            else:
                write_folder(folder, arguments.pictures, given=arguments.given if kind == "given" else None)
            write_index(folder, arguments.pictures)
            rounds = [
                tuple(timed_validation(pool, folder, for_storing=True) for pool in (without, enriching))
                for _ in range(arguments.rounds + 1)
            ][1:]  # the first starts the processes
            ratio = statistics.median(enriched / bare for bare, enriched in rounds)
            bare, enriched = (
                statistics.median(times) / arguments.pictures * 1000 for times in zip(*rounds, strict=True)
            )
            table.add_row(kind, f"{bare:.2f}", f"{enriched:.2f}", f"{ratio:.2f}", "yes" if ratio <= TARGET else "no")
    Console().print(table)


if __name__ == "__main__":
    main()
