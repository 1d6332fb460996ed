r"""The pixels of a decoded picture: their checksum, and a reduced picture that everything else is measured on.

The checksum is the same for the same pixels, whatever file they lie in: the SHA-256 of a line of ASCII,
`nachet-pixels 2 <mode> <width> <height>` and a line feed, followed by the 32 bytes of the BLAKE3 of the samples as
decoded: rows from the top, pixels from the left, a pixel's channels one after the other, each sample little-endian.
Both are cryptographic, so nobody makes two pictures of the same checksum; BLAKE3 goes over six megabytes in a
millisecond, SHA-256 in four, which is what it takes to decompress them. To compute it again, for a picture of mode RGB
in a NumPy array of rows, columns and channels:

    line = f"nachet-pixels 2 RGB {width} {height}\n".encode()
    hashlib.sha256(line + blake3.blake3(array.tobytes()).digest())

The mode is Pillow's; so that how a file stores its pixels does not matter, one bit becomes `L`, a palette becomes the
colours it stands for, and an alpha channel that is opaque everywhere is left out. Pixels of a TIFF are taken upright,
as its orientation says.

The decoded pixels of a JPEG differ slightly between decoders, and decoding at full size takes longer than everything
else that is done with it. So the checksum of a JPEG is the SHA-256 of its coded pixels: the segments that decode to
pixels, without Exif, comments and other metadata. A picture converted from JPEG is found by its perceptual hash.
"""

# ruff: noqa: PLC0415 (NumPy and OpenCV are needed in workers alone)

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from nachet_pipeline.pictures.arrays import NDArray, cv2, np

WORKING_SIDE = 512
"""Pictures are measured at a half, a quarter or an eighth of their size, the first that is no larger than this."""

_GREATEST_FACTOR = 8
# Large pictures are processed in bands, without a second copy in memory.
_BAND_BYTES = 8 * 1024 * 1024
_SIXTEEN_BITS = {"I;16", "I;16L", "I;16B", "I;16N"}
_WITH_ALPHA = {"RGBA": "RGB", "LA": "L"}
_NUMBERS = {"L", "RGB", "I", "F", "I;16"}
_SHOWN = {"L", "RGB"}
_OPAQUE = 255
_COLOURS = 3


@dataclass(frozen=True, slots=True)
class Pixels:
    """Pixels to measure.

    Attributes:
        sha256: of the pixels, see above.
        reduced: the picture at a fraction of its size, 8 bits, rows and columns of brightness or of red, green and
            blue; of 16 bits the upper 8.
        absolute: whether the least and greatest value in `reduced` are those that the camera can give; numbers beyond
            16 bits are stretched from the least to the greatest that there is.
    """

    sha256: bytes
    reduced: "NDArray[np.uint8]"
    absolute: bool = True


def factor(width: int, height: int) -> int:
    """The factor by which a picture is reduced before it is measured: 1, 2, 4 or 8."""
    by = 1
    while by < _GREATEST_FACTOR and max(width, height) > by * WORKING_SIDE:
        by *= 2
    return by


def shrunk(array: "NDArray[Any]", by: int) -> "NDArray[Any]":
    """Reduce a picture: each pixel is the mean of `by` times `by` pixels, or of those left at the edge.

    It is halved as often as possible, which OpenCV does far faster than one large step.
    """
    if by == 1:
        return array
    height, width = array.shape[:2]
    right, bottom = width // by * by, height // by * by
    if (right, bottom) == (width, height):
        while by > 1:
            step = by if by % 2 else 2
            height, width, by = height // step, width // step, by // step
            array = cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA)
        return array
    # The remainders at the right and at the bottom are reduced by themselves.
    rows = [[row[:, :right], row[:, right:]] for row in (array[:bottom], array[bottom:]) if row.size]
    return np.concatenate([np.concatenate([_means(part, by) for part in row if part.size], axis=1) for row in rows])


def _means(part: "NDArray[Any]", by: int) -> "NDArray[Any]":
    """The means of a part that is less than one mean high or wide, or has nothing left over."""
    height, width = part.shape[:2]
    if height % by or width % by:
        return cv2.resize(part, (-(-width // by), -(-height // by)), interpolation=cv2.INTER_AREA)
    return shrunk(part, by)


def of_image(image: Image.Image) -> Pixels:
    """The pixels of a picture that Pillow decoded.

    Raises:
        ValueError: a kind of pixels that cannot be measured.
    """
    image.load()
    image = _as_meant(image)
    stored = "I;16" if image.mode in _SIXTEEN_BITS else image.mode
    opaque = stored in _WITH_ALPHA and np.asarray(image.getchannel("A")).min() == _OPAQUE
    mode = _WITH_ALPHA[stored] if opaque else stored

    def band(top: int, bottom: int) -> "NDArray[Any]":
        whole = bottom - top == image.height
        array = np.asarray(image if whole else image.crop((0, top, image.width, bottom)))
        if not opaque:
            return array
        return cv2.cvtColor(array, cv2.COLOR_RGBA2RGB) if mode == "RGB" else array[..., 0]

    if mode in _NUMBERS:
        return _in_bands(band, mode, image.size)
    digest = _Digest(mode, image.size)
    rows = max(1, _BAND_BYTES // (4 * image.width))
    for top in range(0, image.height, rows):
        digest.update(band(top, min(top + rows, image.height)))
    return Pixels(digest.digest(), _by_pillow(image, factor(*image.size)))


def of_samples(mode: str, size: tuple[int, int], samples: memoryview) -> Pixels:
    """The pixels of a picture of 8-bit samples, mode `L` or `RGB`, as they lie in memory."""
    width, height = size
    shape = (height, width, _COLOURS) if mode == "RGB" else (height, width)
    return of_array(np.frombuffer(samples, dtype="uint8").reshape(shape), mode)


def of_array(array: "NDArray[Any]", mode: str) -> Pixels:
    """The pixels of an array of rows, columns and perhaps samples, of any type of numbers."""
    height, width = array.shape[:2]
    return _in_bands(lambda top, bottom: array[top:bottom], mode, (width, height))


def of_jpeg(array: "NDArray[np.uint8]", coded_digest: bytes) -> Pixels:
    """The pixels of a JPEG that was decoded at the fraction of its size that `factor` says."""
    return Pixels(coded_digest, array[:, :, 0] if array.shape[2] == 1 else array)


def of_jpeg_image(image: Image.Image, width: int, coded_digest: bytes) -> Pixels:
    """The pixels of a JPEG that Pillow decodes, perhaps at a fraction of its size; `width` is the full one."""
    by = factor(*image.size) if image.width == width else 1
    image.load()
    return Pixels(coded_digest, _by_pillow(image, by))


def stretched(array: "NDArray[Any]") -> "NDArray[np.uint8]":
    """Numbers of any range in 8 bits, from the darkest to the brightest."""
    numbers = np.nan_to_num(array.astype("float64"), posinf=0, neginf=0)
    low, high = float(numbers.min()), float(numbers.max())
    scaled = (numbers - low) * (255 / (high - low)) if high > low else numbers * 0
    return scaled.astype("uint8")  # type: ignore[no-any-return]


def samples_last(array: "NDArray[Any]", axes: str) -> "NDArray[Any]":
    """An array of rows, columns and, if there are several, samples; `axes` are tifffile's letters."""
    axes = axes[-array.ndim :]
    return np.moveaxis(array, axes.index("S"), -1) if "S" in axes else array


def upright(array: "NDArray[Any]", orientation: int) -> "NDArray[Any]":
    """Rows from the top and columns from the left, of an array as TIFF's eight orientations store it."""
    turned = array.swapaxes(0, 1) if orientation in {5, 6, 7, 8} else array
    down = {3, 4, 7, 8}
    right = {2, 3, 6, 7}
    if orientation in down:
        turned = turned[::-1]
    return turned[:, ::-1] if orientation in right else turned


class _Digest:
    """What makes the checksum of pixels, band by band."""

    def __init__(self, mode: str, size: tuple[int, int]) -> None:
        from blake3 import blake3

        self._line = f"nachet-pixels 2 {mode} {size[0]} {size[1]}\n".encode()
        self._samples = blake3()

    def update(self, array: "NDArray[Any]") -> None:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        self._samples.update(little.reshape(-1).view("uint8").data)

    def digest(self) -> bytes:
        return hashlib.sha256(self._line + self._samples.digest()).digest()


def _in_bands(band: "Callable[[int, int], NDArray[Any]]", mode: str, size: tuple[int, int]) -> Pixels:
    """Take the checksum of a picture and reduce it; `band` gives its rows from one to before another."""
    width, height = size
    by = factor(width, height)
    digest = _Digest(mode, size)
    first = band(0, 1)
    absolute = first.dtype.kind == "u" and first.dtype.itemsize <= 2  # noqa: PLR2004 (16 bits)
    rows = max(by, _BAND_BYTES // first.nbytes // by * by)
    parts = []
    for top in range(0, height, rows):
        array = band(top, min(top + rows, height))
        digest.update(array)
        parts.append(_reduced(array, by))
    reduced = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return Pixels(digest.digest(), reduced if absolute else stretched(reduced), absolute)


def _reduced(array: "NDArray[Any]", by: int) -> "NDArray[Any]":
    """What is shown of an array, at a fraction of its size: 8 bits, or numbers that still are to be stretched."""
    if array.ndim > 2:  # noqa: PLR2004 (with samples)
        array = array[..., :_COLOURS] if array.shape[-1] >= _COLOURS else array[..., 0]
    match array.dtype.kind, array.dtype.itemsize:
        case "u", 1:
            return shrunk(np.ascontiguousarray(array), by)
        case "u", 2:
            return (shrunk(np.ascontiguousarray(array, dtype="uint16"), by) >> 8).astype("uint8")
        case _:
            with np.errstate(over="ignore"):  # beyond what 32 bits hold is infinite, and as such not shown
                numbers = np.ascontiguousarray(array, dtype="float32")
            return shrunk(np.nan_to_num(numbers, posinf=0, neginf=0), by)


def _as_meant(image: Image.Image) -> Image.Image:
    """A picture without what depends on how its file stores it: palettes and single bits."""
    if image.mode in {"P", "PA"}:
        return image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    return image.convert("L") if image.mode == "1" else image


def _by_pillow(image: Image.Image, by: int) -> "NDArray[np.uint8]":
    """Reduce a picture of a mode that only Pillow knows."""
    small = image.reduce(by)
    if small.mode in _WITH_ALPHA:
        small = small.convert("RGBA")
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small)
    if small.mode == "LAB":
        small = small.getchannel("L")
    return np.asarray(small if small.mode in _SHOWN else small.convert("RGB"))
