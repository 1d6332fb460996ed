"""What an inspection of a picture finds, for whoever does not decode and so needs no decoder."""

from dataclasses import dataclass, field
from enum import StrEnum

from nachet_pipeline.pictures.enrichment import Enrichment
from nachet_pipeline.pictures.issues import Issue


@dataclass(frozen=True, slots=True)
class Properties:
    """What decoding a picture gave.

    Attributes:
        picture_format: `TIFF`, `PNG` or `JPEG`.
        width: in pixels.
        height: in pixels.
        mode: Pillow's name of the pixel format, or one like it (`RGB;16`).
        resolution: horizontal and vertical, in pixels per inch, where the file gives it.
        enrichment: what was measured; None if that was not asked for.
    """

    picture_format: str
    width: int
    height: int
    mode: str
    resolution: tuple[float, float] | None
    enrichment: Enrichment | None = None


class Thumbnail(StrEnum):
    """When to make a thumbnail."""

    NEVER = "never"
    IF_REMARKABLE = "if remarkable"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Inspected:
    """What an inspection found.

    Attributes:
        properties: None exactly if an issue says that the picture cannot be imported.
        issues: everything found.
        thumbnail: a JPEG of at most `THUMBNAIL_SIDE` pixels, if one was asked for and could be made.
    """

    properties: Properties | None
    issues: tuple[Issue, ...] = ()
    thumbnail: bytes | None = field(default=None, repr=False)
