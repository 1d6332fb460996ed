"""The built-in detector: it separates seeds from a plain background by colour, without a model and without the network.

The background is a surface of the second degree in each channel, fitted to the pixels near it, so light may be uneven.
Pixels that differ from it by more than noise are connected into parts. Specks are too small to be seeds. What was drawn
onto the picture, a scale bar with its label, is straight and of one colour. Seeds that touch each other are one part
and count as one.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nachet_pipeline.crops.detecting import Region, in_reading_order
from nachet_pipeline.pictures.arrays import NDArray, cv2, np

_WORKING_SIDE = 1024
_FITTED_SIDE = 96
_FITS = 6
_FIRST_REACH, _LEAST_REACH = 48.0, 6.0
_LEAST_DIFFERENCE, _MOST_DIFFERENCE = 18.0, 60.0
_OF_OTSU, _OF_NOISE = 0.6, 7.0
# Shares of the picture and of the largest part: what is smaller is dust.
_LEAST_SHARE, _LEAST_OF_LARGEST = 0.0004, 0.05
# A part as large as this is itself a background: a tray or a hand.
_MOST_SHARE = 0.9
_BAR_FILL, _BAR_ASPECT, _BAR_SHARE = 0.85, 1.8, 0.04
_LINE_FILL, _LINE_ASPECT, _LINE_SHARE = 0.7, 8.0, 0.02
_ONE_COLOUR, _ONE_COLOUR_REACH = 0.6, 8
_LABEL_HEIGHT, _LABEL_DISTANCE = 0.35, 0.5


@dataclass(frozen=True, slots=True)
class _Part:
    """A connected part that differs from the background: its number, its rectangle and its area in pixels."""

    number: int
    left: int
    top: int
    width: int
    height: int
    area: int

    @property
    def fill(self) -> float:
        return self.area / (self.width * self.height)


class PlainBackgroundDetector:
    """Finds seeds on a plain background; see this module."""

    name = "plain-background"
    version = "1"

    def detect(self, picture: "NDArray[Any]") -> tuple[Region, ...]:
        """Find the seeds; see `Detector.detect`."""
        height, width = picture.shape[:2]
        by = max(width, height) / _WORKING_SIDE
        small = picture
        if by > 1:
            size = (max(1, round(width / by)), max(1, round(height / by)))
            small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        rows, columns = small.shape[:2]
        regions = [
            Region(
                part.left / columns,
                part.top / rows,
                (part.left + part.width) / columns,
                (part.top + part.height) / rows,
            )
            for part in _seeds(small)
        ]
        return in_reading_order(regions)


def _seeds(picture: "NDArray[Any]") -> list[_Part]:
    """The parts of a picture that are seeds."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.float32)
    difference = _most(cv2.absdiff(smooth, _background(smooth)))
    mask: NDArray[Any] = (difference > _threshold(difference)).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    # A highlight on a seed is as bright as the background, and belongs to the seed.
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mask, outlines, -1, 1, thickness=cv2.FILLED)
    _, numbers, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    parts = [_Part(number, *map(int, row)) for number, row in enumerate(statistics) if number]
    drawn = [part for part in parts if _is_drawn(part, picture, numbers)]
    whole = mask.size
    others = [
        part
        for part in parts
        if part not in drawn and part.area <= _MOST_SHARE * whole and not any(_labels(part, bar) for bar in drawn)
    ]
    least = max([_LEAST_SHARE * whole, *(_LEAST_OF_LARGEST * part.area for part in others)])
    return [part for part in others if part.area >= least]


def _most(pixels: "NDArray[Any]") -> "NDArray[Any]":
    """The largest sample of each pixel; NumPy takes ten times as long along so short an axis."""
    red, green, blue = cv2.split(pixels)
    return cv2.max(cv2.max(red, green), blue)


def _background(picture: "NDArray[Any]") -> "NDArray[Any]":
    """Estimate the background of the whole picture, at the picture's size."""
    rows, columns = picture.shape[:2]
    by = max(1.0, max(rows, columns) / _FITTED_SIDE)
    size = (max(1, round(columns / by)), max(1, round(rows / by)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    border = np.concatenate((small[0], small[-1], small[:, 0], small[:, -1]))
    terms = _terms(size[1], size[0])
    samples = small.reshape(-1, 3)
    fitted = np.broadcast_to(np.median(border, axis=0), samples.shape)
    reach, surface = _FIRST_REACH, None
    for attempt in range(_FITS):
        distance = np.abs(samples - fitted).max(axis=1)
        near = distance <= reach
        # A plane first: a curve through the few pixels near it would bend towards the seeds.
        degree = 3 if attempt < _FITS // 2 else 6
        if near.sum() < 4 * degree:
            break
        surface = np.linalg.lstsq(terms[near, :degree], samples[near], rcond=None)[0]
        fitted = terms[:, :degree] @ surface
        reach = max(_LEAST_REACH, 3 * 1.4826 * float(np.median(np.abs(samples - fitted).max(axis=1)[near])))
    if surface is None:
        return np.broadcast_to(np.median(border, axis=0).astype(np.float32), picture.shape)
    whole: NDArray[Any] = _terms(rows, columns)[:, : len(surface)] @ surface.astype(np.float32)
    return whole.reshape(picture.shape)


@lru_cache(maxsize=2)
def _terms(rows: int, columns: int) -> "NDArray[Any]":
    """1, x, y, x², xy, y² of every pixel; x and y run from -1 to 1.

    Kept for a picture and what it is fitted on, as the pictures of an upload mostly have one size. They take 24 MiB of
    a decoder's memory, which is limited.
    """
    y, x = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)
    terms: NDArray[Any] = np.empty((rows, columns, 6), np.float32)
    for number, term in enumerate((1, x, y, x * x, x * y, y * y)):
        terms[..., number] = term
    return terms.reshape(-1, 6)


def _threshold(difference: "NDArray[Any]") -> float:
    """The difference above which a pixel is not background."""
    levels = np.clip(difference, 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    noise = 1.4826 * float(np.median(difference))
    return max(_LEAST_DIFFERENCE, _OF_NOISE * noise, min(_OF_OTSU * float(otsu), _MOST_DIFFERENCE))


def _is_drawn(part: _Part, picture: "NDArray[Any]", numbers: "NDArray[Any]") -> bool:
    """Whether a part is a scale bar, or the box that holds one."""
    rows, columns = numbers.shape
    aspect = part.width / part.height
    line = aspect >= _LINE_ASPECT and part.fill >= _LINE_FILL and part.height <= max(4, _LINE_SHARE * rows)
    if line:
        return True
    if part.fill < _BAR_FILL or aspect < _BAR_ASPECT or part.area > _BAR_SHARE * rows * columns:
        return False
    inside = np.s_[part.top : part.top + part.height, part.left : part.left + part.width]
    pixels = picture[inside][numbers[inside] == part.number].astype(np.int16)
    alike = np.abs(pixels - np.median(pixels, axis=0)).max(axis=1) <= _ONE_COLOUR_REACH
    return float(alike.mean()) >= _ONE_COLOUR


def _labels(part: _Part, bar: _Part) -> bool:
    """Whether a part is a letter beside a bar."""
    if part.height > max(_LABEL_HEIGHT * bar.width, bar.height):
        return False
    reach = _LABEL_DISTANCE * bar.width
    across = part.left + part.width >= bar.left - reach and part.left <= bar.left + bar.width + reach
    down = part.top + part.height >= bar.top - reach and part.top <= bar.top + bar.height + reach
    return across and down
