"""What cameras and phones append to a JPEG: further pictures, Samsung's trailer, a short film.

Each part is followed by its own structure. What belongs to none of them is left over, and judged by `report_tail`.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from nachet_pipeline.pictures.forensics.endings import END_OF_FILE, report_tail
from nachet_pipeline.pictures.forensics.signatures import PICTURE_STARTS, begins_document, harmful, looks_like
from nachet_pipeline.pictures.forensics.tiff_ifd import DirectoryReader, StructureError, TooManyTagsError
from nachet_pipeline.pictures.issues import Issues
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.support.i18n import Bilingual

(_JPEG_START,) = PICTURE_STARTS["JPEG"]
# Minolta's previews have another first byte; what follows are the tables of every JPEG.
_MINOLTA_START = b"\xd8\xff\xdb\x00"
_MOST_PICTURES = 32
_MOST_BLOCKS = 1_000
# The index of the Multi-Picture Format (CIPA DC-007): of each picture its attributes, size and place.
_MP_ENTRIES, _MP_TAGS = 0xB002, 64
_MP_ENTRY_BYTES = 16
# Samsung: blocks of data, then SEFH with an entry for each, then the size of that list and SEFT.
_SEFH, _SEFT = b"SEFH", b"SEFT"
_SEF_HEADER, _SEF_ENTRY, _SEF_END, _BLOCK_HEADER = 12, 12, 8, 8
# The parts of a film (ISO/IEC 14496-12) at its outermost level.
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"meta", b"uuid", b"moof", b"mfra", b"sidx", b"pdin"}
_BOX_HEADER, _LONG_BOX_HEADER = 8, 16


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    """A whole JPEG within another file.

    Attributes:
        end: the byte after it.
        pixels: its width times its height.
        gain_map: whether it says that it only brightens another picture (Ultra HDR, and Apple's form of it).
    """

    end: int
    pixels: int
    gain_map: bool


WalkEmbedded = Callable[[int], EmbeddedPicture | None]
"""Follows the JPEG at a place, and reports what else is in it; None if it is not whole."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What a JPEG says that follows it.

    Attributes:
        pictures: places of further pictures.
        multi_picture: whether it has an index of several pictures, perhaps an empty one, or one in XMP.
        film: whether a short film of the moment follows.
        exif: its Exif block, in which makers note where a preview is and how long.
        exif_place: where that block begins; it counts places from there.
    """

    pictures: tuple[int, ...] = ()
    multi_picture: bool = False
    film: bool = False
    exif: bytes = b""
    exif_place: int = 0

    def notes(self, start: int, size: int) -> bool:
        """Whether the Exif block holds both the place and the size of what follows the picture."""
        places = (start, start - self.exif_place)
        return any(
            struct.pack(f"{order}I", size) in self.exif
            and any(struct.pack(f"{order}I", place) in self.exif for place in places)
            for order in "<>"
        )


def places_in_index(index: bytes, place: int) -> tuple[int, ...]:
    """Where an index of the Multi-Picture Format says that further pictures are; none if it is damaged.

    Args:
        index: the segment's value after `MPF`.
        place: where that lies in the file; the index counts from there.
    """
    try:
        reader = DirectoryReader(index)
        entries = reader.directory(reader.first, _MP_TAGS).tags.get(_MP_ENTRIES)
    except (StructureError, TooManyTagsError):
        return ()
    value = reader.value(entries)[: _MOST_PICTURES * _MP_ENTRY_BYTES] if entries else b""
    whole = value[: len(value) // _MP_ENTRY_BYTES * _MP_ENTRY_BYTES]
    order = "<" if index[:2] == b"II" else ">"
    # The first picture is at 0, which means the beginning of the file.
    return tuple(sorted(place + start for _, _, start, _ in struct.iter_unpack(f"{order}IIII", whole) if start))


class Trailers:
    """What follows the end of one JPEG.

    Args:
        content: the file's bytes.
        pixels: width times height of the main picture.
        announced: what the main picture says.
        walk: follows a JPEG at a place.
        limits: what no picture may exceed.
        issues: receives what is found.
    """

    def __init__(
        self,
        content: bytes,
        pixels: int,
        announced: Announced,
        walk: WalkEmbedded,
        limits: PictureLimits,
        issues: Issues,
    ) -> None:
        self._content = content
        self._pixels = pixels
        self._announced = announced
        self._walk = walk
        self._limits = limits
        self._issues = issues
        self._left: list[bytes] = []
        self._pictures = 0

    def report(self, place: int) -> None:
        """Follow everything from a place to the end of the file, and report what is no trailer of a camera."""
        blocks = self._samsung_blocks(place)
        end = min((start for start, _ in blocks), default=len(self._content))
        self._follow(place, end)
        covered = end
        for start, stop in sorted(blocks):
            self._left.append(self._content[covered:start])
            if start >= covered:
                self._block(start, stop)
            covered = max(covered, stop)
        report_tail(self._left, self._limits, self._issues)

    # Pictures and films, one after the other

    def _follow(self, place: int, end: int) -> None:
        while place < end:
            start = self._next_picture(place, end)
            film = self._film_end(place, start, end)
            if film:
                place = film
                continue
            self._left.append(self._content[place:start])
            picture = self._picture(start, end)
            if picture is None:
                self._left.append(self._content[start:end])
                return
            place = picture.end

    def _next_picture(self, place: int, end: int) -> int:
        """Where the next JPEG begins, `end` if there is none."""
        for start in self._announced.pictures:
            if start >= place and self._content.startswith(_JPEG_START, start, end):
                return start
        until = min(end, place + self._limits.gap_bytes)
        start = self._content.find(_JPEG_START, place, until)
        odd = self._content.find(_MINOLTA_START, place + 1, until if start < 0 else start) - 1
        return odd if odd >= place else start if start >= 0 else end

    def _picture(self, start: int, end: int) -> EmbeddedPicture | None:
        """Follow a picture; None if none is there, or no whole one, or one that nobody expects."""
        self._pictures += 1
        if start >= end or self._pictures > _MOST_PICTURES:
            return None
        picture = self._walk(start)
        if picture is None or picture.end > end:
            return None
        noted = self._announced.notes(start, picture.end - start) or self._announced.notes(start, end - start)
        if picture.pixels >= self._pixels and not picture.gain_map and not noted:
            if not self._announced.multi_picture:
                return None
            self._issues.several_pages(
                Bilingual(
                    "a second photograph as large as the first, as cameras for 3D and some portrait modes append one",
                    "une seconde photographie aussi grande que la première, comme en ajoutent les appareils 3D et"
                    " certains modes portrait",
                ),
                advice=Bilingual(
                    "Save the first photograph alone: an export as JPEG from a photo program keeps it, and no other.",
                    "Enregistrez la première photographie seule : une exportation en JPEG depuis un logiciel de photos"
                    " n'en garde pas d'autre.",
                ),
            )
        return picture

    def _film_end(self, place: int, start: int, end: int) -> int | None:
        """The end of a film that was announced and begins before the next picture; None if there is none."""
        begin = self._content.find(b"ftyp", place, min(start, place + self._limits.gap_bytes)) - 4
        if not self._announced.film or begin < place:
            return None
        stop = _end_of_film(self._content, begin, end)
        if stop is None:
            return None
        self._left.append(self._content[place:begin])
        self._film(begin, stop)
        return stop

    def _film(self, start: int, stop: int) -> None:
        what = harmful(self._content[start:stop], text=False)
        if what is not None:
            found = Bilingual(f"a film that holds {what.en}", f"un film qui contient {what.fr}")
            self._issues.add("trailing-data", expected=END_OF_FILE, found=found)
            return
        self._issues.add(
            "film-in-picture",
            expected=Bilingual("a still picture", "une image fixe"),
            found=Bilingual(f"a film of {stop - start} bytes", f"un film de {stop - start} octets"),
        )

    # Samsung

    def _samsung_blocks(self, after: int) -> list[tuple[int, int]]:
        """Start and end of each part of Samsung's trailer, its list included; none if the file has none."""
        content = self._content
        if not content.endswith(_SEFT):
            return []
        (size,) = struct.unpack_from("<I", content, len(content) - _SEF_END)
        head = len(content) - _SEF_END - size
        if head < after or size < _SEF_HEADER or not content.startswith(_SEFH, head):
            return []
        (count,) = struct.unpack_from("<I", content, head + 8)
        if count > _MOST_BLOCKS or size != _SEF_HEADER + count * _SEF_ENTRY:
            return []
        blocks = []
        for number in range(count):
            _, back, length = struct.unpack_from("<III", content, head + _SEF_HEADER + number * _SEF_ENTRY)
            if not length <= back <= head - after:
                return []
            blocks.append((head - back, head - back + length))
        return [*blocks, (head, len(content))]

    def _block(self, start: int, stop: int) -> None:
        """Inspect a block: two zeros and its kind, the length of its name, its name, its value."""
        if self._content.startswith(_SEFH, start):
            return
        (length,) = struct.unpack("<I", self._content[start + 4 : start + _BLOCK_HEADER].ljust(4, b"\0"))
        value = start + _BLOCK_HEADER + length
        if value > stop:
            self._left.append(self._content[start:stop])
            return
        name = self._content[start + _BLOCK_HEADER : value]
        shown = name[:40].decode("ascii", "replace") if name.isascii() else ""
        field = f"Samsung {shown}".strip()
        self._value(field, name)
        if self._content.startswith(_JPEG_START, value):
            self._pictures += 1
            picture = self._walk(value) if self._pictures <= _MOST_PICTURES else None
            whole = picture is not None and picture.end <= stop
            self._left.append(self._content[picture.end if picture and whole else value : stop])
        elif name == b"MotionPhoto_Data" and _end_of_film(self._content, value, stop) == stop:
            self._film(value, stop)
        else:
            self._value(field, self._content[value:stop])

    def _value(self, field: str, data: bytes) -> None:
        if len(data) > self._limits.metadata_bytes:
            most = self._limits.metadata_bytes
            expected = Bilingual(f"at most {most} bytes", f"au plus {most} octets")
            found = Bilingual(f"{len(data)} bytes", f"{len(data)} octets")
            self._issues.add("oversized-metadata", field, expected=expected, found=found)
            return
        what = begins_document(data) or harmful(data, text=len(data) <= self._limits.gap_bytes)
        if what is not None:
            expected = Bilingual("text or data about the picture", "du texte ou des données sur l'image")
            self._issues.add("suspicious-metadata", field, expected=expected, found=looks_like(what))


def _end_of_film(content: bytes, place: int, end: int) -> int | None:
    """The byte after the last part of the film that begins at a place; None if there is no film."""
    seen = set[bytes]()
    while place + _BOX_HEADER <= end:
        size, kind = struct.unpack_from(">I4s", content, place)
        if kind not in _BOXES:
            break
        if size == 1 and place + _LONG_BOX_HEADER <= end:
            (size,) = struct.unpack_from(">Q", content, place + _BOX_HEADER)
        size = size or end - place
        if size < _BOX_HEADER or place + size > end:
            return None
        seen.add(kind)
        place += size
    return place if {b"ftyp", b"mdat"} <= seen and seen & {b"moov", b"moof"} else None
