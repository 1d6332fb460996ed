"""Data after the end of a picture, which no part of it explains."""

from collections.abc import Sequence

from nachet_pipeline.pictures.forensics.signatures import begins_document, describe, harmful
from nachet_pipeline.pictures.issues import Issues
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.support.i18n import Bilingual

END_OF_FILE = Bilingual("the end of the file", "la fin du fichier")
TOLERATED_BYTES = 8
"""Bytes that honest writers leave over: some cameras write one too many, some programs a short signature."""
_PADDING = b"\0\xff"


def report_tail(pieces: Sequence[bytes], limits: PictureLimits, issues: Issues) -> None:
    """Report what follows the end of a picture.

    Padding hides nothing, and a few bytes are a habit of some cameras. Up to `gap_bytes` that look like nothing in
    particular are a warning, because every maker has a trailer of its own; more is hidden data, and so is an archive,
    a program, a script or another document of any size.

    Args:
        pieces: what is left of the file once its known parts are taken away.
        limits: gives `gap_bytes`.
        issues: receives what is found.
    """
    left = [piece for piece in pieces if piece.strip(_PADDING)]
    size, stripped = sum(map(len, left)), sum(len(piece.strip(_PADDING)) for piece in left)
    what = next(filter(None, (_what(piece, limits) for piece in left)), None)
    if what is not None or stripped > limits.gap_bytes:
        what = what or describe(left[0][:512])
        found = Bilingual(f"{size} more bytes ({what.en})", f"{size} octets de plus ({what.fr})")
        issues.add("trailing-data", expected=END_OF_FILE, found=found)
    elif stripped > TOLERATED_BYTES:
        found = Bilingual(f"{size} more bytes", f"{size} octets de plus")
        issues.add("unused-bytes", expected=END_OF_FILE, found=found)
    elif (padding := sum(map(len, pieces)) - size) > limits.gap_bytes:
        found = Bilingual(f"{padding} bytes of padding", f"{padding} octets de remplissage")
        issues.add("unused-bytes", expected=END_OF_FILE, found=found)


def _what(piece: bytes, limits: PictureLimits) -> Bilingual | None:
    """The document that a piece is, or what is harmful in it."""
    start = len(piece) - len(piece.lstrip(_PADDING))
    # A film begins with three zeros and a JPEG with FF, which are no padding.
    begins = (begins_document(piece[place:]) for place in range(max(0, start - 3), start + 1))
    return next(filter(None, begins), None) or harmful(piece[: limits.gap_bytes], text=True)
