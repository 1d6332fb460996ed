"""Prepare a picture for a detector, cut boxes out of it, and draw them.

All of it decodes, so it runs in worker processes that may be killed; see `CroppingPool`.
"""

# ruff: noqa: PLC0415 (decoders are slow to import, and needed in workers alone)

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from PIL import Image, ImageDraw

from nachet_pipeline.crops.detecting import SHOWN_SIDE, Box, Detector, Region
from nachet_pipeline.crops.plain_background import PlainBackgroundDetector
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.pictures.arrays import NDArray, cv2, np
from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.pictures.enrichment import Enrichment
from nachet_pipeline.pictures.inspected import Properties
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.pictures.pixels import samples_last, upright
from nachet_pipeline.pictures.thumbnails import THUMBNAIL_SIDE

_PNG_DEPTH_AT = 24
_DEEP = 16
_BYTE_BITS = 8
_ICC_PROFILE, _MAKE, _MODEL, _ORIENTATION = 34675, 271, 272, 274
_MIN_IS_WHITE, _UNSIGNED = 0, 1
_KEPT_MODES = {"L", "LA", "RGB", "RGBA"}
_MICROMETRES = 10_000
_COLOURED, _WITH_SAMPLES = 3, 3
_LINE = "#e6194b"
_LEVEL = 4
"""Of compression. The usual one, 6, takes twice as long for files that are a twentieth smaller."""


class UncroppablePictureError(RefusedError):
    """A picture cannot be decoded or cut; the message says why."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as a detector receives it.

    Attributes:
        width: of the whole picture, in pixels.
        height: of the whole picture, in pixels.
        pixels: rows, columns, and red, green and blue in 8 bits; at most `SHOWN_SIDE` pixels wide or high.
    """

    width: int
    height: int
    pixels: "NDArray[Any]" = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a detector found in a picture.

    Attributes:
        width: of the whole picture, in pixels.
        height: of the whole picture, in pixels.
        regions: one a seed.
    """

    width: int
    height: int
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a picture as a file of its own.

    Attributes:
        box: what was cut.
        content: a TIFF with the pixels as they were decoded, compressed without loss.
        properties: what decoding that file gave.
    """

    box: Box
    content: bytes = field(repr=False)
    properties: Properties


@dataclass(slots=True)
class _Full:
    """A decoded picture at full depth: rows, columns and perhaps samples, with its colour profile."""

    array: "NDArray[Any]"
    profile: bytes | None = None


class CroppingPool(DecodingPool):
    """The worker processes of a decoding pool, for pictures that are cropped."""

    def show(self, content: bytes, picture_format: str) -> Shown:
        """A picture as a detector sees it.

        Raises:
            UncroppablePictureError: it cannot be decoded.
        """
        return self.run(_show, content, picture_format, self.settings.limits, failure=UncroppablePictureError)

    def detect(self, content: bytes, picture_format: str, detector: Detector) -> Seen:
        """What a detector finds in a picture; the built-in one where it is decoded, others in this process.

        Raises:
            UncroppablePictureError: it cannot be decoded.
            Exception: what the detector raises.
        """
        if isinstance(detector, PlainBackgroundDetector):
            limits = self.settings.limits
            return self.run(_detect, content, picture_format, limits, detector, failure=UncroppablePictureError)
        return _seen(self.show(content, picture_format), detector)

    def cut(self, content: bytes, picture_format: str, boxes: Sequence[Box], parent: Enrichment | None) -> list[Cut]:
        """Boxes of a picture, each as a file of its own.

        Args:
            content: the picture's file.
            picture_format: `TIFF`, `PNG` or `JPEG`.
            boxes: what to cut.
            parent: the enrichment of the whole picture; crops repeat what holds for them too.

        Raises:
            UncroppablePictureError: it cannot be decoded, or a part of it cannot be stored.
        """
        return self.run(
            _cut, content, picture_format, tuple(boxes), parent, self.settings.limits, failure=UncroppablePictureError
        )

    def draw(self, content: bytes, picture_format: str, boxes: Sequence[Box]) -> bytes:
        """A thumbnail of a picture with boxes drawn, as a JPEG.

        Raises:
            UncroppablePictureError: it cannot be decoded.
        """
        return self.run(
            _draw, content, picture_format, tuple(boxes), self.settings.limits, failure=UncroppablePictureError
        )


def _show(content: bytes, picture_format: str, limits: PictureLimits) -> Shown:
    full = _decoded(content, picture_format, limits)
    height, width = full.array.shape[:2]
    return Shown(width, height, _as_seen(full.array, SHOWN_SIDE))


def _detect(content: bytes, picture_format: str, limits: PictureLimits, detector: Detector) -> Seen:
    return _seen(_show(content, picture_format, limits), detector)


def _seen(shown: Shown, detector: Detector) -> Seen:
    return Seen(shown.width, shown.height, detector.detect(shown.pixels))


def _cut(
    content: bytes, picture_format: str, boxes: Sequence[Box], parent: Enrichment | None, limits: PictureLimits
) -> list[Cut]:
    from nachet_pipeline.pictures.inspection import inspect_picture

    full = _decoded(content, picture_format, limits)
    cuts = []
    for box in boxes:
        tiff = _as_tiff(full.array[box.top : box.bottom, box.left : box.right], full.profile, parent)
        seen = inspect_picture(tiff, "TIFF", limits, enriched=True)
        if seen.properties is None:
            codes = ", ".join(issue.code for issue in seen.issues)
            raise UncroppablePictureError(f"its part {box.text} is no picture that can be stored: {codes}")
        cuts.append(Cut(box, tiff, seen.properties))
    return cuts


def _draw(content: bytes, picture_format: str, boxes: Sequence[Box], limits: PictureLimits) -> bytes:
    full = _decoded(content, picture_format, limits)
    height, width = full.array.shape[:2]
    small = Image.fromarray(_as_seen(full.array, THUMBNAIL_SIDE))
    across, down = small.width / width, small.height / height
    pen = ImageDraw.Draw(small)
    for box in boxes:
        corners = (box.left * across, box.top * down, box.right * across - 1, box.bottom * down - 1)
        pen.rectangle((*corners[:2], max(corners[0], corners[2]), max(corners[1], corners[3])), outline=_LINE)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=80)
    return stream.getvalue()


def _decoded(content: bytes, picture_format: str, limits: PictureLimits) -> _Full:
    """Decode a stored picture at full depth; a TIFF is turned upright, so that it has the size in its row.

    Raises:
        UncroppablePictureError: it cannot be decoded.
    """
    from nachet_pipeline.pictures.decoding import what_failed
    from nachet_pipeline.pictures.inspection import inspect_picture

    # The walk comes first here too: decoders only get what it admits.
    seen = inspect_picture(content, picture_format, limits)
    if seen.properties is None:
        raise UncroppablePictureError("it cannot be decoded: " + ", ".join(issue.code for issue in seen.issues))
    try:
        full = _of_tiff(content) if picture_format == "TIFF" else _of_png(content) if picture_format == "PNG" else None
        full = full or _of_pillow(content, picture_format)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 (decoders raise OSError, ValueError, SyntaxError, struct.error, …)
        raise UncroppablePictureError(f"it cannot be decoded: {what_failed(error).en}") from None
    if (full.array.shape[1], full.array.shape[0]) != (seen.properties.width, seen.properties.height):
        raise UncroppablePictureError("two decoders give it two sizes")
    return full


def _of_tiff(content: bytes) -> _Full | None:
    """A TIFF of more than 8 bits a sample, which Pillow would cut down to 8; None if it has no more."""
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(content)) as file:
        page = file.pages.first
        if page.bitspersample <= _BYTE_BITS and page.sampleformat == _UNSIGNED:
            return None
        array = samples_last(page.asarray(maxworkers=1), page.axes)
        if page.photometric == _MIN_IS_WHITE and array.dtype.kind == "u":
            array = np.iinfo(array.dtype).max - array
        return _Full(upright(array, page.tags.valueof(_ORIENTATION, 1)), page.tags.valueof(_ICC_PROFILE, None))


def _of_png(content: bytes) -> _Full | None:
    """A PNG of 16 bits a sample; None if it has fewer."""
    if content[_PNG_DEPTH_AT] != _DEEP:
        return None
    from imagecodecs import png_decode

    array = png_decode(content)
    return _Full(array[..., 0] if array.ndim == _WITH_SAMPLES and array.shape[2] == 1 else array)


def _of_pillow(content: bytes, picture_format: str) -> _Full:
    image: Image.Image = Image.open(io.BytesIO(content), formats=[picture_format])
    image.load()
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16") or image.mode in {"I", "F"}:
        array = np.asarray(image)
        return _Full(array.astype(array.dtype.newbyteorder("=")), profile)
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode not in _KEPT_MODES:
        has_alpha = "transparency" in image.info or image.mode in {"PA", "La", "RGBa"}
        # A colour profile for inks does not apply to red, green and blue.
        profile = profile if image.mode in {"P", "PA"} else None
        image = image.convert("RGBA" if has_alpha else "RGB")
    return _Full(np.asarray(image), profile)


def _as_seen(array: "NDArray[Any]", side: int) -> "NDArray[Any]":
    """Convert an array for display: 8 bits of red, green and blue, on white, with at most this side."""
    height, width = array.shape[:2]
    by = max(width, height) / side
    if array.dtype not in {np.dtype("uint8"), np.dtype("uint16")}:  # OpenCV knows few others
        array = array.astype(np.float32)
    if by > 1:
        size = (max(1, round(width / by)), max(1, round(height / by)))
        array = cv2.resize(np.ascontiguousarray(array), size, interpolation=cv2.INTER_AREA)
    if array.dtype != np.uint8:
        array = _eight_bits(array)
    if array.ndim < _WITH_SAMPLES:
        array = array[..., None]
    samples = array.shape[2]
    if samples in {2, 4}:
        alpha = array[..., -1:].astype(np.uint16)
        array = ((array[..., :-1] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)
    if array.shape[2] < _COLOURED:
        array = np.repeat(array[..., :1], _COLOURED, axis=2)
    return np.ascontiguousarray(array[..., :_COLOURED])


def _eight_bits(array: "NDArray[Any]") -> "NDArray[Any]":
    """Scale values of any range to 8 bits. The brightest becomes white: cameras of 12 bits store 16."""
    numbers = np.nan_to_num(array.astype(np.float32), posinf=0, neginf=0)
    low = min(0.0, float(numbers.min()))
    high = float(numbers.max())
    return ((numbers - low) * (255 / (high - low)) if high > low else numbers * 0).astype(np.uint8)


def _as_tiff(array: "NDArray[Any]", profile: bytes | None, parent: Enrichment | None) -> bytes:
    """Write an array as a TIFF that is the same each time."""
    from tifffile import imwrite

    samples = array.shape[2] if array.ndim == _WITH_SAMPLES else 1
    stream = io.BytesIO()
    imwrite(
        stream,
        np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")),
        byteorder="<",
        photometric="rgb" if samples >= _COLOURED else "minisblack",
        planarconfig="contig" if samples > 1 else None,
        extrasamples=("unassalpha",) if samples in {2, 4} else None,
        compression="zlib",
        compressionargs={"level": _LEVEL},
        predictor=array.dtype.kind == "u",
        metadata=None,
        software=False,
        iccprofile=profile,
        **_repeated(parent),
    )
    return stream.getvalue()


def _repeated(parent: Enrichment | None) -> dict[str, Any]:
    """The tags of the whole picture that hold for a part too: scale, time and device."""
    if parent is None:
        return {}
    options: dict[str, Any] = {}
    if parent.pixel_size:
        size = parent.pixel_size
        options |= {"resolution": (_MICROMETRES / size.x, _MICROMETRES / size.y), "resolutionunit": "CENTIMETER"}
    elif parent.resolution:
        by = 100 if parent.resolution.unit == "metre" else 1
        unit = "INCH" if parent.resolution.unit == "inch" else "CENTIMETER"
        options |= {"resolution": (parent.resolution.x / by, parent.resolution.y / by), "resolutionunit": unit}
    if parent.captured:
        options["datetime"] = _in_utc(parent.captured.at)
    if parent.device:
        named = ((_MAKE, parent.device.make), (_MODEL, parent.device.model))
        options["extratags"] = [(code, "s", 0, text, True) for code, text in named if text and text.isascii()]
    return options


def _in_utc(moment: datetime) -> datetime:
    """A moment in UTC, as a TIFF stores no zone. A moment without zone counts as UTC elsewhere too."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
