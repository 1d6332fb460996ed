"""Any stored picture as an RGB TIFF of 8 bits: what trainers read, without loss beyond the 8 bits.

The same bytes come out for the same picture with the same versions of the libraries: no date, no name of a program.
What a file says of itself decides, so that two pictures of one scene stay comparable: 16 bits keep their upper 8, and
only numbers that have no greatest value (32 bits, floating point) are stretched from the least to the greatest there
is. Grey is repeated in three channels, a palette becomes its colours, what is transparent lies on white, CMYK and Lab
become RGB, and a picture lies upright as its orientation says. Colour profiles and all other metadata stay behind.
"""

# ruff: noqa: PLC0415 (decoders are slow to import, and needed in workers alone)

import io
from typing import Any

from PIL import Image, ImageOps

from nachet_pipeline.pictures.arrays import NDArray, np
from nachet_pipeline.pictures.pixels import stretched, upright

CONVERSION = 1
"""To be raised when other bytes come out, so that an export that was begun before is not continued."""

# Of the ways to lose nothing that every reader knows, deflate of differences is the smallest and the fastest to write
# (measured on seed photographs against LZW, and against the same by libtiff). Higher levels save one percent.
_COMPRESSION, _LEVEL = "deflate", 3

_BYTE_BITS, _WORD_BITS, _WORD_MOST = 8, 16, 65_535
_BITS_TAG, _PHOTOMETRIC_TAG, _ORIENTATION_TAG, _EXTRA_SAMPLES_TAG = 258, 262, 274, 338
_WHITE_IS_ZERO, _RGB = 0, 2
_GREY_OR_RGB = {_WHITE_IS_ZERO, 1, _RGB}
_UNASSOCIATED_ALPHA, _ASSOCIATED_ALPHA = 2, 1
_SIXTEEN_BITS = {"I;16", "I;16L", "I;16B", "I;16N"}
_WITH_ALPHA = {"RGBA", "LA", "PA", "RGBa", "La"}


class UnreadablePictureError(Exception):
    """A picture that none of the decoders turns into colours; the message says why."""


def as_rgb_tiff(content: bytes, picture_format: str) -> bytes:
    """The picture as an RGB TIFF of 8 bits.

    Meant for a process that may be killed: a crafted file can still hang a decoder.

    Args:
        content: the stored bytes.
        picture_format: what they are: `TIFF`, `PNG` or `JPEG`.

    Raises:
        UnreadablePictureError: it has a kind of pixels that has no colours.
        Exception: whatever a decoder raises for a damaged picture.
    """
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        rgb_of(content, picture_format),
        photometric="rgb",
        metadata=None,
        software=False,
        maxworkers=1,
        compression=_COMPRESSION,
        compressionargs={"level": _LEVEL},
        predictor=True,
    )
    return stream.getvalue()


def rgb_of(content: bytes, picture_format: str) -> "NDArray[np.uint8]":
    """The picture's pixels, upright: rows, columns, and red, green and blue; see `as_rgb_tiff`."""
    if picture_format == "TIFF" and _is_deep(content):
        return _deep_tiff(content)
    image = Image.open(io.BytesIO(content), formats=[picture_format])
    image.load()
    return np.asarray(_in_rgb(ImageOps.exif_transpose(image)))


def _in_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BITS or image.mode in {"I", "F"}:
        image = Image.fromarray(_eight_bits(np.asarray(image), deep_as_words=image.mode != "I"))
    if image.mode in {"RGBa", "La"}:
        image = image.convert(image.mode.replace("a", "A"))
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode == "LAB":
        from PIL import ImageCms

        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.applyTransform(image, ImageCms.buildTransform(lab, rgb, "LAB", "RGB")) or image
    return image.convert("RGB")


def _is_deep(content: bytes) -> bool:
    """Whether it is for tifffile: it has more than 8 bits, which Pillow knows in some layouts only."""
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(content)) as file:
        page = file.pages.first
        bits = page.tags.valueof(_BITS_TAG, 1)
        deepest = max(bits) if isinstance(bits, tuple) else bits
        photometric = page.tags.valueof(_PHOTOMETRIC_TAG, 1)
    return bool(deepest > _BYTE_BITS and photometric in _GREY_OR_RGB)


def _deep_tiff(content: bytes) -> "NDArray[np.uint8]":
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(content)) as file:
        page = file.pages.first
        array: NDArray[Any] = page.asarray(maxworkers=1)
        axes = page.axes[-array.ndim :]
        photometric = page.tags.valueof(_PHOTOMETRIC_TAG, 1)
        orientation = page.tags.valueof(_ORIENTATION_TAG, 1)
        extra = page.tags.valueof(_EXTRA_SAMPLES_TAG, ())
        bits = page.bitspersample
    array = np.moveaxis(array, axes.index("S"), -1) if "S" in axes else array[..., np.newaxis]
    if array.ndim != 3:  # noqa: PLR2004 (rows, columns, samples)
        raise UnreadablePictureError(f"its samples are arranged as {axes}, not in rows and columns")
    colours = 3 if photometric == _RGB else 1
    kinds = extra if isinstance(extra, tuple) else (extra,)
    if array.shape[-1] > colours and kinds and kinds[0] in {_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA}:
        shown = _on_white(array, colours, associated=kinds[0] == _ASSOCIATED_ALPHA)
    else:
        shown = _eight_bits(array[..., :colours], deep_as_words=True, bits=bits)
    if photometric == _WHITE_IS_ZERO:
        shown = 255 - shown
    return np.ascontiguousarray(upright(np.broadcast_to(shown, (*shown.shape[:2], 3)), orientation))


def _on_white(array: "NDArray[Any]", colours: int, *, associated: bool) -> "NDArray[np.uint8]":
    """Colours with their opacity, on white."""
    most = float(np.iinfo(array.dtype).max) if array.dtype.kind in "ui" else 1.0
    alpha = array[..., colours : colours + 1].astype("float32") / most
    colour = array[..., :colours].astype("float32") / most
    mixed = (colour if associated else colour * alpha) + (1 - alpha)
    return np.asarray(np.clip(mixed, 0, 1) * 255 + 0.5, dtype="uint8")


def _eight_bits(array: "NDArray[Any]", *, deep_as_words: bool, bits: int = _WORD_BITS) -> "NDArray[np.uint8]":
    """The upper 8 bits of 16 or fewer; other numbers from the least to the greatest there is.

    Args:
        array: numbers of any type.
        deep_as_words: whether 16 bits have their own greatest value, which Pillow's mode `I` has not.
        bits: bits of a sample.
    """
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2 and deep_as_words:  # noqa: PLR2004 (16 bits)
        return np.asarray(array >> max(0, bits - _BYTE_BITS), dtype="uint8")
    return stretched(array)
