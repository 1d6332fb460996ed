"""Pictures for tests of detectors, drawn so that everybody knows how many seeds they show."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels = NDArray[np.uint8]
Ellipse = tuple[int, int, int, int]


def pixels_of(content: bytes) -> Pixels:
    """A picture file as a detector sees it."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def ground(width: int = 800, height: int = 600, colour: tuple[int, int, int] = (238, 236, 230)) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def with_seeds(image: Image.Image, seeds: Sequence[Ellipse], colour: tuple[int, int, int] = (96, 70, 50)) -> Pixels:
    """A ground with seeds: ellipses with a grain, by left, top, right and bottom."""
    mask = Image.new("L", image.size, 0)
    pen = ImageDraw.Draw(mask)
    for corners in seeds:
        pen.ellipse(corners, fill=255)
    pixels = np.asarray(image).astype(np.int16)
    grain = np.random.default_rng(5).integers(-14, 15, (*pixels.shape[:2], 1))
    seed = np.array(colour, dtype=np.int16) + grain
    drawn = np.where(np.asarray(mask)[..., None] > 0, seed, pixels)
    return np.clip(drawn, 0, 255).astype(np.uint8)


def noisy(pixels: Pixels, deviation: float) -> Pixels:
    noise = np.random.default_rng(3).normal(0, deviation, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def unevenly_lit(pixels: Pixels) -> Pixels:
    """The same, a third darker in one corner than in the other."""
    rows, columns = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]]
    light = 1 - 0.34 * (rows / pixels.shape[0] + columns / pixels.shape[1]) / 2
    return (pixels * light[..., None]).astype(np.uint8)
