"""Limits on the size and complexity of a picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from nachet_pipeline.support.i18n import Bilingual

if TYPE_CHECKING:
    from nachet_pipeline.settings import PictureSettings

_KIBIBYTE, _MEBIBYTE = 1024, 1024**2


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """Limits that no picture may exceed; each is checked before decoding.

    Attributes:
        file_bytes: size of the file.
        pixels: width times height.
        side: the longer of the two, in pixels.
        jpeg_scans: passes over the picture in a JPEG.
        png_chunks: chunks of a PNG.
        tiff_directories: directories of a TIFF, those for Exif, GPS and thumbnails included.
        tiff_tags: tags in one directory.
        tiff_strips: strips or tiles of one directory.
        metadata_bytes: size of one metadata value, inflated and joined from its segments.
        overlap_bytes: bytes that two ranges of a TIFF may share, or by which a strip may be too long.
        gap_bytes: total of unused bytes; more than this counts as hidden data, less as carelessness.
    """

    file_bytes: int = 200 * _MEBIBYTE
    pixels: int = 100_000_000
    side: int = 30_000
    jpeg_scans: int = 32
    png_chunks: int = 20_000
    tiff_directories: int = 64
    tiff_tags: int = 512
    tiff_strips: int = 200_000
    metadata_bytes: int = 4 * _MEBIBYTE
    overlap_bytes: int = 4_096
    gap_bytes: int = 65_536

    @classmethod
    def of(cls, settings: "PictureSettings") -> Self:
        """The limits that the settings name."""
        return cls(
            file_bytes=settings.max_picture_mib * _MEBIBYTE,
            pixels=settings.max_megapixels * 1_000_000,
            side=settings.max_side_pixels,
            jpeg_scans=settings.max_jpeg_scans,
            png_chunks=settings.max_png_chunks,
            tiff_directories=settings.max_tiff_directories,
            tiff_tags=settings.max_tiff_tags,
            tiff_strips=settings.max_tiff_strips,
            metadata_bytes=settings.max_metadata_mib * _MEBIBYTE,
            overlap_bytes=settings.max_tiff_overlap_kib * _KIBIBYTE,
            gap_bytes=settings.max_tiff_gap_kib * _KIBIBYTE,
        )

    def admits(self, width: int, height: int) -> bool:
        """Whether a picture of that many pixels may be decoded."""
        return width * height <= self.pixels and max(width, height) <= self.side

    @property
    def size(self) -> Bilingual:
        """The limits of `admits`, in words."""
        return Bilingual(
            f"at most {self.pixels} pixels, {self.side} on a side",
            f"au plus {self.pixels} pixels, {self.side} de côté",
        )
