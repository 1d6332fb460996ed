"""The enrichment of a picture: how it was taken, how good it is, which other pictures it equals.

Decoders make them, and start sooner without Pydantic. Whoever reads or writes one as JSON imports it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from pydantic import ConfigDict, TypeAdapter

ENRICHMENT_VERSION = "3"
"""Raised whenever the `Enrichment` of some picture can change. It is stored with each, so that stale ones are found."""

_HASH = re.compile("[0-9a-f]{64}")


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} is out of range")


def _is_fraction(value: float | None) -> bool:
    return value is None or 0 <= value <= 1


def _is_positive(value: float) -> bool:
    return isfinite(value) and value > 0


def _is_hash(text: str | None) -> bool:
    return text is None or _HASH.fullmatch(text) is not None


class _Strict:
    """What is read from JSON has no key that the class does not name."""

    __slots__ = ()
    __pydantic_config__: ClassVar["ConfigDict"] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution(_Strict):
    """Pixels per unit of length, as the file says it; of a scan or a print as often as of the thing shown.

    Attributes:
        x: horizontally.
        y: vertically.
        unit: the unit of length.
        source: where the file says it: `TIFF`, `pHYs`, `JFIF` or `Exif`.
    """

    x: float
    y: float
    unit: Literal["inch", "centimetre", "metre"]
    source: str

    def __post_init__(self) -> None:
        _check(_is_positive(self.x) and _is_positive(self.y), "a resolution")


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelSize(_Strict):
    """Width and height of what one pixel shows.

    Attributes:
        x: in µm.
        y: in µm.
        source: where the file says it: `OME`, `ImageJ`, or the resolution's source.
    """

    x: float
    y: float
    source: str

    def __post_init__(self) -> None:
        _check(_is_positive(self.x) and _is_positive(self.y), "the size of a pixel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured(_Strict):
    """When a picture was taken.

    Attributes:
        at: the moment; if the file names no offset from UTC it has no time zone.
        source: the tag that says so: `DateTimeOriginal`, `DateTimeDigitized`, `DateTime` or `AcquisitionDate`.
    """

    at: datetime
    source: str

    @property
    def instant(self) -> datetime:
        """The moment as one in time; taken as UTC where the file names no offset, so wrong by up to 14 hours."""
        return self.at if self.at.tzinfo else self.at.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device(_Strict):
    """What a picture was taken and written with, as the file says.

    Attributes:
        make: who made the camera.
        model: the camera.
        software: the program.
    """

    make: str | None = None
    model: str | None = None
    software: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure(_Strict):
    """Luminance, from 0 (black) to 1 (white): its mean and percentiles over the picture."""

    mean: float
    p1: float
    p5: float
    p50: float
    p95: float
    p99: float

    def __post_init__(self) -> None:
        levels = (self.mean, self.p1, self.p5, self.p50, self.p95, self.p99)
        _check(all(map(_is_fraction, levels)), "a luminance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clipping(_Strict):
    """Shares of the pixels at the least and at the greatest value of a channel.

    Attributes:
        channel: `R`, `G`, `B` or `L`.
        black: at the least value.
        white: at the greatest.
    """

    channel: str
    black: float
    white: float

    def __post_init__(self) -> None:
        _check(_is_fraction(self.black) and _is_fraction(self.white), "a share of pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrichment(_Strict):
    """What was measured of a picture and what its file declares; None where neither gives a value.

    Attributes:
        code_version: `ENRICHMENT_VERSION` of the code that made it.
        width: in pixels.
        height: in pixels.
        mode: Pillow's name of the pixel format, or one like it (`RGB;16`).
        bit_depth: bits of a sample.
        compression: how the pixels are stored: `none`, `LZW`, `deflate`, `JPEG`, ….
        resolution: pixels per unit of length.
        pixel_size: what one pixel shows, in µm.
        channel: what its one channel is called, as OME says it.
        captured: when it was taken.
        device: what it was taken and written with.
        exposure: how bright it is.
        clipping: by channel, the shares of pixels that are black or white.
        sharpness: variance of the Laplacian of luminance (0 to 255) on the seeds, not the background; None if
            nothing stands out.
        background_uniformity: 1 for a background of one colour, towards 0 the more it varies; None without background.
        objects_found: an estimate of the number of objects; not a detector of seeds.
        object_share: share of the picture that they cover.
        pixel_sha256: of the decoded pixels as `pixels` says, in hexadecimal; the same whatever file they lie in.
        perceptual_hash: 256 bits in hexadecimal; those of pictures that look alike differ in few bits; None if it
            shows nothing.
        quality_score: from 0 to 1.
    """

    code_version: str = ENRICHMENT_VERSION
    width: int
    height: int
    mode: str
    bit_depth: int
    compression: str
    resolution: Resolution | None = None
    pixel_size: PixelSize | None = None
    channel: str | None = None
    captured: Captured | None = None
    device: Device | None = None
    exposure: Exposure
    clipping: tuple[Clipping, ...]
    sharpness: float | None
    background_uniformity: float | None
    objects_found: int
    object_share: float
    pixel_sha256: str
    perceptual_hash: str | None
    quality_score: float

    def __post_init__(self) -> None:
        fractions = (self.background_uniformity, self.object_share, self.quality_score)
        _check(all(map(_is_fraction, fractions)), "a share, a score or an evenness")
        _check(self.sharpness is None or isfinite(self.sharpness), "the sharpness")
        _check(_is_hash(self.pixel_sha256) and _is_hash(self.perceptual_hash), "a hash")

    @staticmethod
    def from_json(text: str) -> "Enrichment":
        """Read one.

        Raises:
            ValueError: it is none, or one of another version of this class.
        """
        return _adapter().validate_json(text)

    @staticmethod
    def from_record(record: Any) -> "Enrichment":
        """Read one from parsed JSON.

        Raises:
            ValueError: it is none, or one of another version of this class.
        """
        return _adapter().validate_python(record)

    def as_json(self) -> str:
        """The text that `from_json` reads."""
        return _adapter().dump_json(self).decode()

    def as_record(self) -> dict[str, Any]:
        """What that text says, as dictionaries, lists, texts and numbers."""
        record: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return record


@cache
def _adapter() -> "TypeAdapter[Enrichment]":
    from pydantic import TypeAdapter  # noqa: PLC0415 (see above)

    return TypeAdapter(Enrichment)
