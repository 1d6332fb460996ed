"""The pixels of a decoded picture: their SHA-256, and a reduced picture that everything else is measured on.

The SHA-256 is the same for the same pixels, whatever file they lie in. It is taken over a line of ASCII,
`nachet-pixels 1 <mode> <width> <height>` and a line feed, and then over the samples as decoded: rows from the top,
pixels from the left, a pixel's channels one after the other, each sample little-endian. The mode is Pillow's;
so that how a file stores its pixels does not matter, one bit becomes `L`, a palette becomes the colours it stands for,
and an alpha channel that is opaque everywhere is left out. Pixels of a TIFF are taken upright, as its orientation says.

What a JPEG decodes to depends on its decoder, by a level here and there, and decoding it at full size takes longer than
everything else that is done with it. So a JPEG's is taken over its coded pixels instead: the segments that decode to
them, without Exif, comments and all else that only speaks of them. A picture converted from JPEG is found by its looks.
"""

# ruff: noqa: PLC0415 (NumPy is needed in workers alone)

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORKING_SIDE = 512
"""Pictures are measured at a half, a quarter or an eighth of their size, the first that is no larger than this."""

_GREATEST_FACTOR = 8
_BAND_BYTES = 2_097_152
_SIXTEEN_BITS = {"I;16", "I;16L", "I;16B", "I;16N"}
_WITH_ALPHA = {"RGBA": "RGB", "LA": "L"}
_SHOWN = {"L", "RGB"}


@dataclass(frozen=True, slots=True)
class Pixels:
    """What is measured.

    Attributes:
        sha256: of the pixels, see above.
        reduced: the picture at a fraction of its size, of mode `L` or `RGB`; of 16 bits the upper 8.
        absolute: whether the least and greatest value in `reduced` are those that the camera can give; numbers beyond
            16 bits are stretched from the least to the greatest that there is.
    """

    sha256: bytes
    reduced: Image.Image
    absolute: bool = True


def factor(width: int, height: int) -> int:
    """By how much a picture is reduced before it is measured: 1, 2, 4 or 8."""
    by = 1
    while by < _GREATEST_FACTOR and max(width, height) > by * WORKING_SIDE:
        by *= 2
    return by


def of_image(image: Image.Image) -> Pixels:
    """The pixels of a picture that Pillow decoded.

    Raises:
        ValueError: a kind of pixels that cannot be measured.
    """
    image.load()
    image = _as_meant(image)
    return Pixels(_digest_of(image), *_reduced(image, factor(*image.size)))


def of_samples(mode: str, size: tuple[int, int], samples: memoryview) -> Pixels:
    """The pixels of a picture of 8-bit samples, mode `L` or `RGB`, as they lie in memory."""
    digest = _begun(mode, size)
    digest.update(samples)
    image = Image.frombuffer(mode, size, samples, "raw", mode, 0, 1)  # type: ignore[arg-type]
    return Pixels(digest.digest(), image.reduce(factor(*size)))


def of_array(array: "NDArray[Any]", mode: str) -> Pixels:
    """The pixels of an array of rows, columns and perhaps samples, of any type of numbers."""
    import numpy as np

    height, width = array.shape[:2]
    digest = _begun(mode, (width, height))
    rows = max(1, _BAND_BYTES // max(1, array[0].nbytes))
    little = array.dtype.newbyteorder("<")
    for top in range(0, height, rows):
        digest.update(np.ascontiguousarray(array[top : top + rows], dtype=little).data)
    shown = array
    if shown.ndim == 3:  # noqa: PLR2004 (with samples)
        shown = shown[..., :3] if shown.shape[-1] >= 3 else shown[..., 0]  # noqa: PLR2004 (red, green, blue)
    step = factor(width, height)
    absolute = array.dtype.kind == "u" and array.dtype.itemsize <= 2  # noqa: PLR2004 (16 bits)
    if absolute:
        upper = shown if array.dtype.itemsize == 1 else (shown >> 8)
        return Pixels(digest.digest(), Image.fromarray(np.ascontiguousarray(upper, dtype="uint8")).reduce(step))
    return Pixels(digest.digest(), stretched(shown[::step, ::step]), absolute=False)


def of_jpeg(array: "NDArray[np.uint8]", coded_digest: bytes) -> Pixels:
    """The pixels of a JPEG that was decoded at the fraction of its size that `factor` says."""
    return Pixels(coded_digest, Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array))


def of_jpeg_image(image: Image.Image, width: int, coded_digest: bytes) -> Pixels:
    """The pixels of a JPEG that Pillow decodes, perhaps at a fraction of its size; `width` is the full one."""
    by = factor(*image.size) if image.width == width else 1
    image.load()
    return Pixels(coded_digest, *_reduced(image, by))


def stretched(array: "NDArray[Any]") -> Image.Image:
    """Numbers of any range as an 8-bit picture, from the darkest to the brightest."""
    import numpy as np

    numbers = np.nan_to_num(array.astype("float64"), posinf=0, neginf=0)
    low, high = float(numbers.min()), float(numbers.max())
    scaled = (numbers - low) * (255 / (high - low)) if high > low else numbers * 0
    return Image.fromarray(scaled.astype("uint8"))


def _as_meant(image: Image.Image) -> Image.Image:
    """A picture without what is only its file's way to store it."""
    if image.mode in {"P", "PA"}:
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    if image.mode in _WITH_ALPHA and image.getchannel("A").getextrema() == (255, 255):
        return image.convert(_WITH_ALPHA[image.mode])
    return image


def _begun(mode: str, size: tuple[int, int]) -> "hashlib._Hash":
    return hashlib.sha256(f"nachet-pixels 1 {mode} {size[0]} {size[1]}\n".encode())


def _digest_of(image: Image.Image) -> bytes:
    """In bands, so that there is no second copy of a large picture."""
    import numpy as np

    deep = image.mode in _SIXTEEN_BITS
    digest = _begun("I;16" if deep else image.mode, image.size)
    rows = max(1, _BAND_BYTES // (4 * image.width))
    if rows >= image.height and not deep:
        digest.update(image.tobytes())
        return digest.digest()
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        digest.update(np.asarray(band).astype("<u2").data if deep else band.tobytes())
    return digest.digest()


def _reduced(image: Image.Image, by: int) -> tuple[Image.Image, bool]:
    import numpy as np

    if image.mode in _SIXTEEN_BITS:
        return Image.fromarray((np.asarray(image) >> 8).astype("uint8")).reduce(by), True
    if image.mode in {"I", "F"}:
        return stretched(np.asarray(image.reduce(by))), False
    small = image.reduce(by)
    if small.mode in _WITH_ALPHA:
        small = small.convert("RGBA")
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small)
    if small.mode == "LAB":
        small = small.getchannel("L")
    return small if small.mode in _SHOWN else small.convert("RGB"), True
