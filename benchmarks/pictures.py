"""The pictures that benchmarks import: generated ones of the sizes of real ones, or real ones over and over."""

import io
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle, islice, product
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ROWSPERSTRIP

from nachet_pipeline.local.sample import sample_picture

_MOTIFS = 8
_JPEG_QUALITY = 83
# A background of one colour makes LZW as small, and as fast, as in the photographs of the laboratory: some 0.5 MB.
_BACKGROUND, _AS_BRIGHT_AS_BACKGROUND = 240, 190
_ROWS_PER_STRIP = 728
_SIZES = {"jpeg": (1600, 1200), "tiff": (1920, 1080)}
INDEX = """clientData: {{clientEmail: {email}, clientExpertise: benchmark}}
imageData: {{numberOfImages: {pictures}}}
seedData: {{seedGenus: Brassica, seedSpecies: napus}}
userData: {{description: benchmark, numberOfSeeds: 2, zoom: 30}}
"""
"""What is said of them; to be filled in with `email` and `pictures`."""


def _motif(kind: str, number: int, scale: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    width, height = (side // scale for side in _SIZES[kind])
    drawn = sample_picture(number, picture_format="png", width=width, height=height)
    pixels = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))
    if kind == "tiff":
        background = pixels.min(axis=2, keepdims=True) > _AS_BRIGHT_AS_BACKGROUND
        pixels = np.where(background, np.uint8(_BACKGROUND), pixels)
    return pixels


def _write_pictures(folder: Path, kind: str, motif: int, numbers: list[int], scale: int, series: int) -> None:
    """Pictures of one motif, each moved elsewhere: no two of them have the same pixels, or look alike."""
    pixels = _motif(kind, motif + _MOTIFS * series, scale)
    height, width = pixels.shape[:2]
    for number in numbers:
        chance = np.random.default_rng(number)
        moved = np.roll(pixels, (int(chance.integers(height)), int(chance.integers(width))), (0, 1))
        if number % 2:
            moved = moved[::-1]
        picture = Image.fromarray(np.ascontiguousarray(moved))
        if kind == "jpeg":
            picture.save(folder / f"{number:06}.jpg", quality=_JPEG_QUALITY)
        else:
            picture.save(folder / f"{number:06}.tiff", compression="tiff_lzw", tiffinfo={ROWSPERSTRIP: _ROWS_PER_STRIP})


def write_folder(
    folder: Path, jpegs: int, tiffs: int = 0, *, given: Path | None = None, scale: int = 1, series: int = 0
) -> None:
    """Make a folder of so many generated pictures, without an index.

    Args:
        folder: to be made.
        jpegs: of 1600 by 1200 pixels, some 125 KB each.
        tiffs: of 1920 by 1080 pixels, compressed with LZW, some 0.5 MB each.
        given: a folder of pictures that are used over and over instead, `jpegs` and `tiffs` of them.
        scale: how many times smaller than that generated ones are in either direction.
        series: pictures of another one show other seeds.
    """
    folder.mkdir()
    if given:
        _write_given(folder, given, jpegs + tiffs)
        return
    kinds = ["jpeg"] * jpegs + ["tiff"] * tiffs
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as executor:
        parts = [
            executor.submit(
                _write_pictures,
                folder,
                kind,
                motif,
                [number for number, one in enumerate(kinds) if one == kind and number % _MOTIFS == motif],
                scale,
                series,
            )
            for kind, motif in product(("jpeg", "tiff"), range(_MOTIFS))
        ]
        for part in parts:
            part.result()


def _write_given(folder: Path, given: Path, number: int) -> None:
    """Write given pictures over and over."""
    files = sorted(path for path in given.iterdir() if path.suffix.lower() in {".tiff", ".tif", ".png", ".jpg"})
    for count, path in enumerate(islice(cycle(files), number)):
        (folder / f"{count:06}{path.suffix}").write_bytes(path.read_bytes())
