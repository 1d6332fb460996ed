"""Tell several pictures in one TIFF apart: planes of focus, channels, moments, scales of a slide, pages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nachet_pipeline.support.i18n import Bilingual

_OME_PIXELS = re.compile(rb"<(?:\w{1,20}:)?Pixels\s([^>]{1,4000})>")
_OME_SIZES = {axis: re.compile(rb"Size%b=[\"'](\d{1,9})[\"']" % axis.encode()) for axis in "ZCT"}
_OME_SAMPLES = re.compile(rb"SamplesPerPixel=[\"'](\d{1,9})[\"']")
_IMAGEJ = re.compile(rb"ImageJ=[^\n]{0,200}\n")
_IMAGEJ_SIZES = {
    axis: re.compile(rb"^%b=(\d{1,9})\r?$" % name, re.MULTILINE)
    for axis, name in (("Z", b"slices"), ("C", b"channels"), ("T", b"frames"))
}
_IMAGEJ_IMAGES = re.compile(rb"^images=(\d{1,9})\r?$", re.MULTILINE)
# What the programs of slide scanners write first in the description of a slide.
_SLIDES = (b"Aperio", b"Hamamatsu", b"<scn", b"<iScan", b"DICOM WSI", b"Philips")
A_SLIDE = Bilingual("a slide at several scales", "une lame à plusieurs échelles")
_SHRINKS = 0.9
_MOST_READ = 65_536


@dataclass(frozen=True, slots=True)
class Page:
    """One of several pictures in a TIFF.

    Attributes:
        width: in pixels.
        height: in pixels.
        tiled: whether it is stored as tiles.
        numbered: whether it says that it is a page of a document.
    """

    width: int
    height: int
    tiled: bool
    numbered: bool


def planes_in_imagej(description: bytes) -> int:
    """How many pictures a stack of ImageJ has; 0 if the description is none of ImageJ."""
    images = _IMAGEJ_IMAGES.search(description[:_MOST_READ]) if _IMAGEJ.match(description) else None
    return int(images[1]) if images else 0


def tell_pages(description: bytes, pages: Sequence[Page], number: int, *, more: bool = False) -> tuple[str, Bilingual]:
    """The code of the finding for a file of several pictures, and what was found.

    Args:
        description: that of the first picture.
        pages: the pictures that have directories of their own, the first included.
        number: how many pictures there are; more than `pages` in a stack with one directory.
        more: whether there are more than so many.
    """
    z, c, t = _sizes(description[:_MOST_READ])
    if z * c * t > 1 and number > 1:
        parts = [
            (z, Bilingual(f"{z} planes of focus", f"{z} plans de mise au point")),
            (c, Bilingual(f"{c} channels", f"{c} canaux")),
            (t, Bilingual(f"{t} moments", f"{t} instants")),
        ]
        told = [words for size, words in parts if size > 1]
        found = Bilingual(", ".join(words.en for words in told), ", ".join(words.fr for words in told))
        return "z-stack" if z > 1 else "time-series" if t > 1 else "several-channels", found
    if is_slide(description) or _shrinks(pages):
        return "slide-pyramid", A_SLIDE
    over = Bilingual("more than ", "plus de ") if more else Bilingual("", "")
    if all(page.numbered for page in pages):
        return "scanned-pages", Bilingual(f"{over.en}{number} pages", f"{over.fr}{number} pages")
    return "several-pages", Bilingual(f"{over.en}{number} pictures", f"{over.fr}{number} images")


def is_slide(description: bytes) -> bool:
    """Whether the program of a slide scanner wrote a description."""
    return description.lstrip(b"\xef\xbb\xbf \r\n").startswith(_SLIDES) or b"<scn " in description[:1_000]


def _sizes(description: bytes) -> tuple[int, int, int]:
    """Planes of focus, channels and moments, as OME-XML or ImageJ say; 1 where nothing is said."""
    pixels = _OME_PIXELS.search(description)
    if pixels is not None:
        z, c, t = (_first(pattern, pixels[1]) for pattern in _OME_SIZES.values())
        samples = _first(_OME_SAMPLES, description)
        return z, max(1, c // samples), t  # red, green and blue are one picture
    if _IMAGEJ.match(description):
        z, c, t = (_first(pattern, description) for pattern in _IMAGEJ_SIZES.values())
        return z, c, t
    return 1, 1, 1


def _first(pattern: re.Pattern[bytes], text: bytes) -> int:
    found = pattern.search(text)
    return max(1, int(found[1])) if found else 1


def _shrinks(pages: Sequence[Page]) -> bool:
    """Whether every picture but the first is smaller than the one before, and the larger ones are tiled."""
    pairs = list(pairwise(pages))
    return (
        bool(pairs)
        and pages[0].tiled
        and all(
            one.width <= _SHRINKS * before.width and one.height <= _SHRINKS * before.height for before, one in pairs
        )
    )
