"""A perceptual hash: the hashes of pictures that look alike differ in few bits.

The method is pHash as C. Zauner describes it (Implementation and Benchmarking of Perceptual Image Hash Functions, 2010)
with 16 by 16 instead of 8 by 8 coefficients: brightness at 64 by 64 pixels, its discrete cosine transform (DCT-II), and
for each of the lowest frequencies whether it is above their median. The mean brightness is left out of the median.
"""

from nachet_pipeline.pictures.arrays import NDArray, cv2, np
from nachet_pipeline.pictures.pixels import shrunk

HASH_BITS = 256
BANDS = 13
FOUND_BITS = BANDS - 1
"""Hashes that differ in no more bits share a band with certainty: every band would need a different one of its own."""

_BAND_BITS = -(-HASH_BITS // BANDS)
_SIDE, _KEPT = 64, 16
_MIDDLE = (HASH_BITS - 1) // 2
# Halving is fast, and has no effect on the result while so many pixels are left.
_FINE_ENOUGH = 64
# A picture that is flat, apart from rounding and compression, gets no hash: all flat pictures would be alike.
_FLAT = 24.0


def perceptual_hash(brightness: "NDArray[np.uint8]") -> bytes | None:
    """The hash of a picture of brightness, rows and columns of 8 bits; None of one that shows nothing."""
    by = 1
    while not any(side % (2 * by) or side < 2 * by * _FINE_ENOUGH for side in brightness.shape):
        by *= 2
    small = cv2.resize(shrunk(brightness, by), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    frequencies = cv2.dct(small.astype("float32"))[:_KEPT, :_KEPT].ravel()
    if np.abs(frequencies[1:]).max() < _FLAT:
        return None
    bits = frequencies > np.partition(frequencies[1:], _MIDDLE)[_MIDDLE]
    bits[0] = False  # depends on the mean brightness only
    return np.packbits(bits).tobytes()


def hash_bands(value: bytes) -> list[int]:
    """The bands that a hash is searched by: 13 of 19 or 20 bits, each preceded by its number.

    Two hashes that differ in at most `FOUND_BITS` bits share at least one band. Of random hashes one pair in 58,000
    shares a band. A band takes every thirteenth bit, because neighbouring bits stand for similar frequencies and tend
    to agree: of 1,500 different pictures of seeds on plain backgrounds one pair in 6,100 shares such a band; one in
    600 would share a band of neighbouring bits.
    """
    bits = f"{int.from_bytes(value, 'big'):0{HASH_BITS}b}"
    return [band << _BAND_BITS | int(bits[band::BANDS], 2) for band in range(BANDS)]


def distance(one: bytes, other: bytes) -> int:
    """In how many bits two hashes differ."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()
