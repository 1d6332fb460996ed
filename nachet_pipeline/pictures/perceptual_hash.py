"""A hash of what a picture looks like: those of pictures that look alike differ in few bits.

The method is pHash as C. Zauner describes it (Implementation and Benchmarking of Perceptual Image Hash Functions, 2010)
with 16 by 16 instead of 8 by 8 coefficients: brightness at 64 by 64 pixels, its discrete cosine transform (DCT-II), and
for each of the lowest frequencies whether it is above their median. The mean brightness is left out of the median.
"""

# ruff: noqa: PLC0415 (NumPy is needed in workers alone)

from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    import numpy as np

HASH_BITS = 256
BANDS = 16
_BAND_BITS = HASH_BITS // BANDS
_SIDE, _KEPT = 64, 16
# A picture that is flat but for what rounding and compression leave has no looks; all such would be alike.
_FLAT = 24.0


@cache
def _cosines() -> "np.ndarray[Any, Any]":
    """The rows of the orthonormal DCT-II that are kept."""
    import numpy as np

    frequency, place = np.mgrid[0:_KEPT, 0:_SIDE].astype("float32")
    rows = np.cos(np.pi * frequency * (2 * place + 1) / (2 * _SIDE)) * np.sqrt(2 / _SIDE)
    rows[0] /= np.sqrt(2)
    return rows.astype("float32")  # type: ignore[no-any-return]


def perceptual_hash(brightness: Image.Image) -> bytes | None:
    """The hash of a picture of mode `L`; None of one that shows nothing."""
    import numpy as np

    small = np.asarray(brightness.resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype="float32")
    cosines = _cosines()
    frequencies = (cosines @ small @ cosines.T).ravel()
    if np.abs(frequencies[1:]).max() < _FLAT:
        return None
    bits = frequencies > np.median(frequencies[1:])
    bits[0] = False  # says how bright the picture is, and nothing of what it shows
    return np.packbits(bits).tobytes()


def hash_bands(value: bytes) -> list[int]:
    """What a hash is found by: its 16 parts of 16 bits, each with its place in front.

    Of two hashes that differ in at most 15 bits, at least one part is the same.
    """
    return [band << _BAND_BITS | int.from_bytes(value[2 * band : 2 * band + 2], "big") for band in range(BANDS)]


def distance(one: bytes, other: bytes) -> int:
    """In how many bits two hashes differ."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()
