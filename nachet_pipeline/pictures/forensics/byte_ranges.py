"""Which bytes of a file are in use: find those between the ranges, after them, or in two of them."""

from collections.abc import Iterator, Sequence

from nachet_pipeline.pictures.forensics.endings import TOLERATED_BYTES, report_tail
from nachet_pipeline.pictures.forensics.signatures import harmful, looks_like
from nachet_pipeline.pictures.issues import Issues
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.support.i18n import Bilingual

_PARTS = Bilingual("parts that follow each other", "des parties qui se suivent")


class ByteRanges:
    """The half-open ranges of a file's bytes that are in use; the same range may be added twice."""

    def __init__(self) -> None:
        self._ranges: set[tuple[int, int]] = set()

    def add(self, start: int, end: int) -> None:
        """Add a range."""
        if end > start:
            self._ranges.add((start, end))

    def start_after(self, place: int, default: int) -> int:
        """The start of the first range after a place."""
        return min((start for start, _ in self._ranges if start > place), default=default)

    def report(self, content: bytes, limits: PictureLimits, issues: Issues) -> None:
        """Report bytes that no range uses, and bytes that two ranges share.

        Honest writers round up sizes, share values and leave holes where they changed something; zeros hide nothing.
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
            issues.add(
                "hidden-data",
                expected=_PARTS,
                found=Bilingual(
                    f"{shared} bytes that belong to two parts at once",
                    f"{shared} octets qui appartiennent à deux parties à la fois",
                ),
            )
        report_gaps(gaps, _PARTS, limits, issues)
        report_tail([content[covered:]], limits, issues)


def report_gaps(found_gaps: Sequence[bytes], expected: Bilingual, limits: PictureLimits, issues: Issues) -> None:
    """Report bytes between the parts of a picture.

    Args:
        found_gaps: what lies between them.
        expected: what should be there.
        limits: gives `gap_bytes`.
        issues: receives what is found.
    """
    gaps = [gap for gap in found_gaps if gap.strip(b"\0")]
    size = sum(map(len, gaps))
    what = next(filter(None, (harmful(gap, text=True) for gap in _worth_reading(gaps, limits))), None)
    if what is not None:
        issues.add("hidden-data", expected=expected, found=looks_like(what))
    elif size > limits.gap_bytes:
        found = Bilingual(f"{size} bytes in between", f"{size} octets entre elles")
        issues.add("hidden-data", expected=expected, found=found)
    elif any(len(gap) > TOLERATED_BYTES for gap in gaps):
        found = Bilingual(f"{size} bytes in between", f"{size} octets entre elles")
        issues.add("unused-bytes", expected=expected, found=found)


def _worth_reading(gaps: list[bytes], limits: PictureLimits) -> Iterator[bytes]:
    """The gaps, up to the size that may be harmless."""
    budget = limits.gap_bytes
    for gap in gaps:
        if budget <= 0:
            return
        yield gap[:budget]
        budget -= len(gap)
