"""Separate objects from the background: a cheap method for measuring and a first count, not a detector of seeds.

It works on a picture of some 128 pixels. The background's colour is the median of the picture's border. Pixels that
differ from it by more than a threshold (N. Otsu, 1979, but never less than noise and uneven light cause) show objects.
Each connected part, diagonals included, is an object, except specks and what looks like a scale bar: a full rectangle,
much longer than high, at the edge of the picture.
"""

from dataclasses import dataclass
from typing import Any

from nachet_pipeline.pictures.arrays import NDArray, cv2, np

_LEAST_DIFFERENCE = 28
_LEAST_AREA = 8
_LEAST_OF_LARGEST = 0.06
_BAR_FILL, _BAR_ASPECT, _BAR_EDGE = 0.72, 2.0, 0.16
# A part as large as this is itself a background: a tray or a hand.
_MOST_AREA = 0.9
_TOUCHING_AT_CORNERS = 8


@dataclass(frozen=True, slots=True)
class Background:
    """Objects and background of a picture.

    Attributes:
        objects: how many objects there are.
        on_objects: for each pixel 1 if it shows an object, else 0.
        on_background: for each pixel whether it shows the background.
    """

    objects: int
    on_objects: "NDArray[np.uint8]"
    on_background: "NDArray[np.bool_]"


def find_background(small: "NDArray[np.uint8]") -> Background:
    """Separate objects and background in a small picture of brightness, or of red, green and blue."""
    difference = _difference(small)
    otsu, _ = cv2.threshold(difference, 0, 1, cv2.THRESH_OTSU)
    differs = difference > max(otsu, _LEAST_DIFFERENCE)
    number, labels, found, _ = cv2.connectedComponentsWithStats(
        differs.view("uint8"), connectivity=_TOUCHING_AT_CORNERS
    )
    # Component 0 is everything that does not differ.
    parts = [part for part in range(1, number) if not _is_no_object(found[part].tolist(), *differs.shape)]
    areas = found[:, cv2.CC_STAT_AREA]
    least = max([_LEAST_AREA, *(_LEAST_OF_LARGEST * int(areas[part]) for part in parts)])
    objects = [part for part in parts if areas[part] >= least]
    is_object = np.zeros(number, dtype="uint8")
    is_object[objects] = 1
    return Background(len(objects), is_object[labels], ~differs)


def _difference(small: "NDArray[np.uint8]") -> "NDArray[Any]":
    """Difference of each pixel from the median of the border, in the channel with the greatest difference."""
    border = np.sort(np.concatenate((small[0], small[-1], small[:, 0], small[:, -1])), axis=0)
    differences = cv2.split(cv2.absdiff(small, np.append(border[len(border) // 2], 0.0)))
    difference = differences[0]
    for other in differences[1:]:
        difference = cv2.max(difference, other)
    return difference


def _is_no_object(part: list[int], height: int, width: int) -> bool:
    """Whether a connected part is nearly all of the picture, or looks like a scale bar."""
    _left, top, across, down, area = part
    if area > _MOST_AREA * width * height:
        return True
    full = area >= _BAR_FILL * across * down and across >= _BAR_ASPECT * down
    at_edge = top >= (1 - _BAR_EDGE) * height or top + down <= _BAR_EDGE * height
    return full and at_edge and area <= 0.02 * width * height
