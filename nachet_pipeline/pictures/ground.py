"""Telling what lies on the ground from the ground: cheap, for measuring and a first count, no detector of seeds.

On a picture of some 128 pixels, the colour of the ground is the median of the picture's border, and what differs from
it by more than a threshold (N. Otsu, 1979, never less than what noise and uneven light make) lies on it. Connected
parts of it are objects, but for specks, and for what looks like a scale bar: a full rectangle, much longer than high,
at the edge of the picture.
"""

# ruff: noqa: PLC0415 (NumPy is needed in workers alone)

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LEAST_DIFFERENCE = 28
_LEAST_AREA = 8
_LEAST_OF_LARGEST = 0.06
_BAR_FILL, _BAR_ASPECT, _BAR_EDGE = 0.72, 2.0, 0.16
# A part as large as this is the ground of something else, a tray or a hand.
_MOST_AREA = 0.9


@dataclass(frozen=True, slots=True)
class Ground:
    """What was told apart.

    Attributes:
        objects: how many things lie on the ground.
        on_objects: for each pixel whether it shows one of them.
        on_ground: for each pixel whether it shows the ground.
    """

    objects: int
    on_objects: "NDArray[np.bool_]"
    on_ground: "NDArray[np.bool_]"


@dataclass(frozen=True, slots=True)
class _Part:
    """A connected part: where it lies, and its runs as row, start and end."""

    area: int
    top: int
    bottom: int
    left: int
    right: int
    runs: list[tuple[int, int, int]]


def tell_apart(small: Image.Image) -> Ground:
    """Tell objects from ground in a small picture of mode `RGB` or `L`."""
    import numpy as np

    difference: NDArray[Any] | None = None
    for band in small.split():
        pixels = np.asarray(band).astype("int16")
        border = np.sort(np.concatenate((pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])))
        pixels -= border[border.size // 2]
        np.abs(pixels, out=pixels)
        difference = pixels if difference is None else np.maximum(difference, pixels, out=difference)
    if difference is None:
        raise ValueError("a picture without channels")
    differs = difference > max(_otsu(difference), _LEAST_DIFFERENCE)
    height, width = differs.shape
    parts = [part for part in _parts(differs) if part.area <= _MOST_AREA * width * height]
    parts = [part for part in parts if not _is_bar(part, width, height)]
    least = max([_LEAST_AREA, *(_LEAST_OF_LARGEST * part.area for part in parts)])
    objects = [part for part in parts if part.area >= least]
    on_objects = np.zeros_like(differs)
    for part in objects:
        for row, start, end in part.runs:
            on_objects[row, start:end] = True
    return Ground(len(objects), on_objects, ~differs)


def _otsu(difference: "NDArray[Any]") -> int:
    """The threshold that leaves the least variance on either side of it."""
    import numpy as np

    counts = np.bincount(difference.ravel(), minlength=256)[:256].astype("float64")
    below = np.cumsum(counts)
    weighted = np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    # Where one side is empty, so is the numerator.
    between = (weighted[-1] * below - weighted * below[-1]) ** 2 / np.maximum(below * above, 1)
    return int(between.argmax())


def _parts(differs: "NDArray[np.bool_]") -> list[_Part]:
    """The connected parts, diagonals included: runs of rows, joined where they touch those of the row before."""
    import numpy as np

    height, width = differs.shape
    padded = np.zeros((height, width + 2), dtype="int8")
    padded[:, 1:-1] = differs
    rows, edges = np.nonzero(np.diff(padded, axis=1))
    runs = list(zip(rows[::2].tolist(), edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    root = list(range(len(runs)))

    def find(number: int) -> int:
        while root[number] != number:
            root[number] = root[root[number]]
            number = root[number]
        return number

    before = 0
    for number, (row, start, end) in enumerate(runs):
        while runs[before][0] < row - 1 or (runs[before][0] == row - 1 and runs[before][2] < start):
            before += 1
        other = before
        while other < number and runs[other][0] == row - 1 and runs[other][1] <= end:
            root[find(other)] = find(number)
            other += 1
    grouped: dict[int, list[tuple[int, int, int]]] = {}
    for number, run in enumerate(runs):
        grouped.setdefault(find(number), []).append(run)
    return [
        _Part(
            area=sum(end - start for _, start, end in group),
            top=group[0][0],
            bottom=group[-1][0] + 1,
            left=min(start for _, start, _ in group),
            right=max(end for _, _, end in group),
            runs=group,
        )
        for group in grouped.values()
    ]


def _is_bar(part: _Part, width: int, height: int) -> bool:
    across, down = part.right - part.left, part.bottom - part.top
    full = part.area >= _BAR_FILL * across * down and across >= _BAR_ASPECT * down
    at_edge = part.top >= (1 - _BAR_EDGE) * height or part.bottom <= _BAR_EDGE * height
    small = part.area <= 0.02 * width * height
    return full and at_edge and small
