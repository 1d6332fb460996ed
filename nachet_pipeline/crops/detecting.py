"""The interface of detectors, which find seeds in a picture, and the regions that they return."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nachet_pipeline.pictures.arrays import NDArray

SHOWN_SIDE = 2048
"""Width or height, at most, of the picture that a detector receives, in pixels."""

SAME_REGION = 0.5
"""Two boxes with this much in common, as intersection over union, are one region."""


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes.

    >>> overlap((0.0, 0.0, 0.5, 1.0), (0.0, 0.0, 1.0, 1.0))
    0.5
    """
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    if wide <= 0 or high <= 0:
        return 0.0
    shared = wide * high
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (sum(areas) - shared)


@dataclass(frozen=True, slots=True)
class Region:
    """Where something lies in a picture of any size: fractions of its width and height, from the top left corner.

    Attributes:
        left: from 0.
        top: from 0.
        right: to 1.
        bottom: to 1.
        score: how sure its detector is, from 0 to 1; None: it does not say.
        candidates: what it may be, by the detector's own labels, each with a score; the best first.

    Raises:
        ValueError: these are no fractions, or there is nothing between them.
    """

    left: float
    top: float
    right: float
    bottom: float
    score: float | None = field(default=None, compare=False)
    candidates: tuple[tuple[str, float], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not (0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1):
            raise ValueError(f"{self} is no region of a picture")

    def box(self, width: int, height: int, *, margin: float = 0.0) -> "Box":
        """The pixels of a picture that it touches, with a margin.

        Args:
            width: of the picture, in pixels.
            height: of the picture, in pixels.
            margin: on each side, as a fraction of the region's longer side; it ends at the picture's edge.

        >>> Region(0.25, 0.5, 0.5, 0.75).box(100, 80)
        Box(left=25, top=40, right=50, bottom=60)
        >>> Region(0.0, 0.5, 0.5, 1.0).box(100, 80, margin=0.1)
        Box(left=0, top=35, right=55, bottom=80)
        """
        more = margin * max((self.right - self.left) * width, (self.bottom - self.top) * height)
        return Box(
            max(0, _floor(self.left * width - more)),
            max(0, _floor(self.top * height - more)),
            min(width, _ceil(self.right * width + more)),
            min(height, _ceil(self.bottom * height + more)),
        )


# A fraction that stands for whole pixels has a rounding error in its last digits.
_ROUNDING = 1e-6


def _floor(value: float) -> int:
    return math.floor(value + _ROUNDING)


def _ceil(value: float) -> int:
    return math.ceil(value - _ROUNDING)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of whole pixels; right and bottom are the first pixels outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def corners(self) -> list[int]:
        """Left, top, right, bottom."""
        return [self.left, self.top, self.right, self.bottom]

    @property
    def text(self) -> str:
        """The corners as an identifier contains them: `left,top,right,bottom`."""
        return ",".join(map(str, self.corners))


class Detector(Protocol):
    """Finds the seeds in a picture. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """Its name in the database; the same for all its versions."""

    @property
    def version(self) -> str:
        """Its version; another one whenever it can find something else in the same picture."""

    def detect(self, picture: "NDArray[Any]") -> tuple[Region, ...]:
        """Find the seeds.

        Args:
            picture: rows, columns, and red, green and blue in 8 bits; at most `SHOWN_SIDE` pixels wide or high.

        Returns:
            One region a seed, from top to bottom and left to right.

        Raises:
            DetectorUnavailableError: it does not answer.
            DetectorAnswerError: its answer is not what was agreed.
        """


def in_reading_order(regions: list[Region]) -> tuple[Region, ...]:
    """Sort regions from top to bottom and left to right, by their corners; equal regions become one."""
    return tuple(sorted(set(regions), key=lambda one: (one.top, one.left, one.bottom, one.right)))
