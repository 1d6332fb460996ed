"""Which bytes of a file its parts cover: what lies between them, after them, or in two of them."""

from collections.abc import Iterator

from nachet_pipeline.phrases import Phrase
from nachet_pipeline.pictures.endings import END_OF_FILE
from nachet_pipeline.pictures.inflating import TOLERATED_BYTES
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.pictures.remarks import Remarks
from nachet_pipeline.pictures.signatures import describe, harmful

_PARTS = Phrase("parts that follow each other", "des parties qui se suivent")


class Extents:
    """The parts of a file, as half-open ranges of its bytes; the same range may be used twice."""

    def __init__(self) -> None:
        self._ranges: set[tuple[int, int]] = set()

    def add(self, start: int, end: int) -> None:
        """Note a part."""
        if end > start:
            self._ranges.add((start, end))

    def start_after(self, place: int, default: int) -> int:
        """Where the first part starts that lies after a place."""
        return min((start for start, _ in self._ranges if start > place), default=default)

    def note(self, content: bytes, limits: PictureLimits, remarks: Remarks) -> None:
        """Note what the parts leave unused, and what they share.

        Honest writers round up sizes, share values and leave holes where they changed something; what is zero hides
        nothing.
        """
        covered = shared = 0
        gaps: list[bytes] = []
        for start, end in sorted(self._ranges):
            if start > covered:
                gaps.append(content[covered:start])
            else:
                shared += min(end, covered) - start
            covered = max(covered, end)
        if shared > limits.overlap_bytes:
            remarks.add(
                "hidden-data",
                expected=_PARTS,
                found=Phrase(
                    f"{shared} bytes that belong to two parts at once",
                    f"{shared} octets qui appartiennent à deux parties à la fois",
                ),
            )
        _note_gaps([gap for gap in gaps if gap.strip(b"\0")], limits, remarks)
        _note_end(content[covered:], limits, remarks)


def _note_gaps(gaps: list[bytes], limits: PictureLimits, remarks: Remarks) -> None:
    size = sum(map(len, gaps))
    what = next(filter(None, (harmful(gap, text=True) for gap in _worth_reading(gaps, limits))), None)
    if what is not None:
        found = Phrase(f"something that looks like {what.en}", f"quelque chose qui ressemble à {what.fr}")
        remarks.add("hidden-data", expected=_PARTS, found=found)
    elif size > limits.gap_bytes:
        found = Phrase(f"{size} bytes in between", f"{size} octets entre elles")
        remarks.add("hidden-data", expected=_PARTS, found=found)
    elif any(len(gap) > TOLERATED_BYTES for gap in gaps):
        found = Phrase(f"{size} bytes in between", f"{size} octets entre elles")
        remarks.add("unused-bytes", expected=_PARTS, found=found)


def _worth_reading(gaps: list[bytes], limits: PictureLimits) -> Iterator[bytes]:
    """As much of the gaps as may be harmless by its size."""
    budget = limits.gap_bytes
    for gap in gaps:
        if budget <= 0:
            return
        yield gap[:budget]
        budget -= len(gap)


def _note_end(tail: bytes, limits: PictureLimits, remarks: Remarks) -> None:
    if not tail.strip(b"\0"):
        return
    size = len(tail)
    what = harmful(tail[: limits.gap_bytes], text=True)
    if size <= limits.gap_bytes and what is None:
        if size > TOLERATED_BYTES:
            found = Phrase(f"{size} more bytes", f"{size} octets de plus")
            remarks.add("unused-bytes", expected=END_OF_FILE, found=found)
        return
    what = what or describe(tail[:512])
    remarks.add(
        "trailing-data",
        expected=END_OF_FILE,
        found=Phrase(f"{size} more bytes ({what.en})", f"{size} octets de plus ({what.fr})"),
    )
