"""Inspect one picture: is it what its name says, is it whole, what else does it carry. One decode answers all."""

from collections.abc import Callable
from functools import partial

from nachet_pipeline.pictures.decoding import (
    Decoded,
    UndecodableError,
    decode_jpeg,
    decode_png,
    decode_tiff,
    decode_what_is_left,
    what_failed,
)
from nachet_pipeline.pictures.enrichment import Enrichment
from nachet_pipeline.pictures.forensics.formats import START_BYTES, other_format, renamed_to
from nachet_pipeline.pictures.forensics.jpeg import walk_jpeg
from nachet_pipeline.pictures.forensics.metadata import Metadata
from nachet_pipeline.pictures.forensics.png import walk_png
from nachet_pipeline.pictures.forensics.signatures import PICTURE_STARTS, describe, imported_format, opens_as_zip
from nachet_pipeline.pictures.forensics.tiff import walk_tiff
from nachet_pipeline.pictures.inspected import Inspected, Properties, Thumbnail
from nachet_pipeline.pictures.issues import ONLY_ZEROS, Issues
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.pictures.measuring import enrich
from nachet_pipeline.pictures.thumbnails import thumbnail_of
from nachet_pipeline.support.i18n import Bilingual

_NEVER_SHOWN = {"other-format", "picture-too-large", "picture-too-complex", "picture-crashes-decoder"}


def inspect_picture(
    content: bytes,
    expected_format: str,
    limits: PictureLimits,
    *,
    thumbnail: Thumbnail = Thumbnail.NEVER,
    enriched: bool = False,
) -> Inspected:
    """Walk a picture's structure, then decode all of it.

    Meant for a process that may be killed: a crafted file can still hang a decoder.

    Args:
        content: the file's bytes.
        expected_format: what its name says: `TIFF`, `PNG` or `JPEG`.
        limits: what no picture may exceed.
        thumbnail: when to make one; of a damaged picture it shows what is left.
        enriched: whether to measure it too.
    """
    inspection = _Inspection(content, expected_format, limits, measured=enriched)
    inspection.run()
    properties = None
    if inspection.decoded is not None and not inspection.issues.fatal():
        decoded = inspection.decoded
        properties = Properties(
            expected_format, decoded.width, decoded.height, decoded.mode, decoded.resolution, inspection.enrichment()
        )
    small = None
    if thumbnail is Thumbnail.ALWAYS or (thumbnail is Thumbnail.IF_REMARKABLE and any(inspection.issues)):
        small = inspection.thumbnail()
    return Inspected(properties, tuple(inspection.issues), small)


_WHOLE = Bilingual("a complete picture", "une image complète")


class _Inspection:
    """The inspection of one picture.

    Attributes:
        issues: what was found so far.
        decoded: the decoded picture; None if it could not be decoded.
    """

    def __init__(self, content: bytes, expected_format: str, limits: PictureLimits, *, measured: bool) -> None:
        self._content = content
        self._format = expected_format
        self._limits = limits
        self._measured = measured
        self._left: bytes | None = None
        self.issues = Issues()
        self._metadata = Metadata(self.issues, limits)
        self.decoded: Decoded | None = None

    def run(self) -> None:
        """Walk the structure and decode."""
        try:
            if self._is_expected():
                decode = self._walk()
                self._report_zip()
                if decode is not None and not self.issues.fatal():
                    self.decoded = decode()
        except UndecodableError as error:
            self.issues.add("picture-damaged", expected=_WHOLE, found=error.found, advice=error.advice)
        except MemoryError:
            expected = Bilingual("a picture that fits in memory", "une image qui tient en mémoire")
            found = Bilingual("no memory left", "plus de mémoire disponible")
            self.issues.add("picture-crashes-decoder", expected=expected, found=found)
        except ImportError:  # a decoder that is not installed is no fault of the picture
            raise
        except Exception as error:  # noqa: BLE001 (decoders raise OSError, ValueError, SyntaxError, struct.error, …)
            self.issues.add("picture-damaged", expected=_WHOLE, found=what_failed(error))

    def _is_expected(self) -> bool:
        size, most = len(self._content), self._limits.file_bytes
        if size > most:
            expected = Bilingual(f"at most {most} bytes", f"au plus {most} octets")
            self.issues.add("picture-too-large", expected=expected, found=Bilingual(f"{size} bytes", f"{size} octets"))
        elif self._content.startswith(PICTURE_STARTS[self._format]):
            pass
        elif self._content[:1] == b"\0" and not self._content.strip(b"\0"):
            self.issues.add("not-downloaded", expected=_WHOLE, found=ONLY_ZEROS)
        elif other := other_format(self._content[:START_BYTES]):
            other.report(self.issues)
        else:
            imported = imported_format(self._content)
            self.issues.add(
                "picture-format",
                expected=Bilingual.same(self._format),
                found=describe(self._content),
                advice=renamed_to(imported) if imported else None,
            )
        return not self.issues.fatal()

    def _walk(self) -> Callable[[], Decoded] | None:
        """Walk the structure; return a function that decodes the picture, if that is possible."""
        content, limits, metadata = self._content, self._limits, self._metadata
        match self._format:
            case "JPEG":
                jpeg = walk_jpeg(content, limits, self.issues, metadata)
                self._left = jpeg.essence if jpeg else None
                return partial(decode_jpeg, jpeg, measured=self._measured) if jpeg else None
            case "PNG":
                self._left = content
                png = walk_png(content, limits, self.issues, metadata)
                return partial(decode_png, png) if png else None
            case _:
                self._left = content
                tiff = walk_tiff(content, limits, self.issues, metadata, measured=self._measured)
                return partial(decode_tiff, content, tiff, limits) if tiff else None

    def _report_zip(self) -> None:
        """Report a ZIP that the walk did not meet, perhaps among compressed pixels; its directory gives it away."""
        told = {"trailing-data", "hidden-data", "suspicious-metadata"} & {issue.code for issue in self.issues}
        if not told and opens_as_zip(self._content):
            expected = Bilingual("a picture and nothing else", "une image et rien d'autre")
            found = Bilingual(
                "a file that also opens as a ZIP archive", "un fichier qui s'ouvre aussi comme archive ZIP"
            )
            self.issues.add("hidden-data", expected=expected, found=found)

    def enrichment(self) -> Enrichment | None:
        """Measure the picture; one that cannot be measured is not refused for that."""
        decoded = self.decoded
        if decoded is None or not self._measured:
            return None
        try:
            return enrich(decoded.pixels(), decoded, self._metadata.declared)
        except ImportError:
            raise
        except Exception:  # noqa: BLE001 (as above; memory may end here too, after the picture was decoded)
            return None

    def thumbnail(self) -> bytes | None:
        """Render a thumbnail; a picture without one is not refused for that."""
        if any(issue.code == "picture-format" for issue in self.issues):
            return self._thumbnail_of_another_format()
        if self._left is None or any(issue.code in _NEVER_SHOWN for issue in self.issues):
            return None
        try:
            if self.decoded is not None:
                return thumbnail_of(self.decoded.image())
            image = decode_what_is_left(self._left, self._format, self._limits)
            return thumbnail_of(image) if image else None
        except Exception:  # noqa: BLE001 (as above)
            return None

    def _thumbnail_of_another_format(self) -> bytes | None:
        """Of a picture whose name says another format than it has: the walk of that format comes first, as always."""
        imported = imported_format(self._content)
        if imported is None:
            return None
        return inspect_picture(self._content, imported, self._limits, thumbnail=Thumbnail.ALWAYS).thumbnail
