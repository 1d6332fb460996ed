"""The enrichment of a picture: how it was taken, how good it is, which other pictures it equals."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ENRICHMENT_VERSION = "3"
"""Raised whenever the `Enrichment` of some picture can change. It is stored with each, so that stale ones are found."""

_Fraction = Annotated[float, Field(ge=0, le=1)]
_Positive = Annotated[float, Field(gt=0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Resolution(_Model):
    """Pixels per unit of length, as the file says it; of a scan or a print as often as of the thing shown.

    Attributes:
        x: horizontally.
        y: vertically.
        unit: the unit of length.
        source: where the file says it: `TIFF`, `pHYs`, `JFIF` or `Exif`.
    """

    x: _Positive
    y: _Positive
    unit: Literal["inch", "centimetre", "metre"]
    source: str


class PixelSize(_Model):
    """Width and height of what one pixel shows.

    Attributes:
        x: in µm.
        y: in µm.
        source: where the file says it: `OME`, `ImageJ`, or the resolution's source.
    """

    x: _Positive
    y: _Positive
    source: str


class Captured(_Model):
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


class Device(_Model):
    """What a picture was taken and written with, as the file says.

    Attributes:
        make: who made the camera.
        model: the camera.
        software: the program.
    """

    make: str | None = None
    model: str | None = None
    software: str | None = None


class Exposure(_Model):
    """Luminance, from 0 (black) to 1 (white): its mean and percentiles over the picture."""

    mean: _Fraction
    p1: _Fraction
    p5: _Fraction
    p50: _Fraction
    p95: _Fraction
    p99: _Fraction


class Clipping(_Model):
    """Shares of the pixels at the least and at the greatest value of a channel.

    Attributes:
        channel: `R`, `G`, `B` or `L`.
        black: at the least value.
        white: at the greatest.
    """

    channel: str
    black: _Fraction
    white: _Fraction


class Enrichment(_Model):
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
    background_uniformity: _Fraction | None
    objects_found: int
    object_share: _Fraction
    pixel_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    perceptual_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    quality_score: _Fraction
