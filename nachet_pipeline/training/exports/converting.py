"""Worker processes that turn stored pictures into RGB TIFFs; one that hangs or crashes loses its picture alone.

Stored pictures were validated when they came, and their checksum says that they are the same still; but a decoder
that is only right for honest files is no reason to lose an export of days.
"""

from nachet_pipeline.pictures.decoding_pool import DecodingPool
from nachet_pipeline.pictures.workers import WorkersUnavailableError
from nachet_pipeline.training.exports.rgb_tiff import as_rgb_tiff

# Validation decodes a JPEG at a fraction of its size, and compresses nothing.
_TIMES_VALIDATION = 3


class NotConvertedError(Exception):
    """A picture that could not be fetched or converted; the message says why, in one line."""


class ConvertingPool(DecodingPool):
    """The worker processes of a decoding pool, for pictures that are exported."""

    def convert(self, content: bytes, picture_format: str) -> bytes:
        """The picture as an RGB TIFF of 8 bits; waits for it.

        Raises:
            NotConvertedError: it cannot be decoded, takes too long or ends its workers.
            WorkersUnavailableError: no worker can be had, which is no fault of the picture.
        """
        seconds = _TIMES_VALIDATION * self.settings.seconds
        try:
            return self.run(as_rgb_tiff, content, picture_format, failure=NotConvertedError, seconds=seconds)
        except (NotConvertedError, ImportError, WorkersUnavailableError):  # the last two are no fault of the picture
            raise
        except Exception as error:
            words = " ".join(str(error).split())[:200] or type(error).__name__
            raise NotConvertedError(f"it cannot be decoded: {words}") from error
