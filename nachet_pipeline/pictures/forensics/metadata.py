"""Inspect the metadata of a picture: positions, names, and data that is no metadata at all."""

import re
from collections.abc import Iterable, Iterator

from PIL import ExifTags

from nachet_pipeline.pictures.forensics.declared import Declared
from nachet_pipeline.pictures.forensics.signatures import harmful, looks_like
from nachet_pipeline.pictures.forensics.tiff_ifd import (
    ASCII,
    Directory,
    DirectoryReader,
    StructureError,
    Tag,
    TooManyTagsError,
)
from nachet_pipeline.pictures.issues import Issues
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.support.i18n import Bilingual

EXIF, GPS, INTEROP = 34665, 34853, 40965
_IMAGE_DESCRIPTION, _ARTIST, _XMP, _IPTC, _PHOTOSHOP = 270, 0x013B, 700, 33723, 34377
_USER_COMMENT, _CAMERA_OWNER, _XP_AUTHOR = 0x9286, 0xA430, 0x9C9D
_NAME_TAGS = {_ARTIST: "Artist", _XP_AUTHOR: "XPAuthor", _CAMERA_OWNER: "CameraOwnerName"}
_TEXT_TAGS = {_XMP, _USER_COMMENT, *range(0x9C9B, 0x9CA0)}
_LATITUDE, _LONGITUDE = 2, 4
# Offsets of pixels and of other directories: the walk of a TIFF checks them.
_PLACES = {273, 279, 288, 289, 324, 325, 330, 513, 514, EXIF, GPS, INTEROP}
_BY_LINE = (2, 80)
_SHARED_BYTES = 65_536
_RESOURCE_IPTC, _RESOURCE_EXIF, _RESOURCE_XMP = 0x0404, 0x0422, 0x0424


def _property(name: bytes) -> re.Pattern[bytes]:
    """An XMP property that is not empty, as an attribute, an element or a list."""
    return re.compile(
        rb"%b\s{0,20}=\s{0,20}[\"']\s{0,200}[^\"'\s]"
        rb"|<%b(?:\s[^>]{0,200})?>\s{0,200}(?:<rdf:(?:Seq|Bag|Alt)>\s{0,200}<rdf:li[^>]{0,200}>\s{0,200})?[^<\s]"
        % (name, name)
    )


_XMP_PLACES = {"XMP exif:GPSLatitude": _property(b"exif:GPSLatitude")}
_XMP_NAMES = {
    f"XMP {name}": _property(name.encode())
    for name in ("dc:creator", "aux:OwnerName", "exifEX:CameraOwnerName", "tiff:Artist")
}
# OME-XML, which microscopes write into the description of a TIFF.
_OME_NAME = re.compile(rb"<(?:\w{1,20}:)?Experimenter\s[^>]{0,500}?(?:LastName|UserName|Email)=[\"'][^\"'\s]")


def tag_name(code: int) -> str:
    """A tag's name as Exif and TIFF call it."""
    return ExifTags.TAGS.get(code) or f"tag {code}"


class Metadata:
    """Inspects the metadata values of one picture as a walk meets them, and reports issues.

    Attributes:
        declared: what they declare about the picture.
    """

    def __init__(self, issues: Issues, limits: PictureLimits) -> None:
        self._issues = issues
        self._limits = limits
        self.declared = Declared()
        self._suspicious = 0
        self._to_read: int | None = None
        self._in_resources = False

    def is_oversized(self, field: str, size: int) -> bool:
        """Whether a value is too large for metadata; if so, report it."""
        most = self._limits.metadata_bytes
        if size <= most:
            return False
        expected = Bilingual(f"at most {most} bytes", f"au plus {most} octets")
        found = Bilingual(f"{size} bytes", f"{size} octets")
        if size == most + 1:  # where inflating stopped
            found = Bilingual(f"more than {most} bytes", f"plus de {most} octets")
        self._issues.add("oversized-metadata", field, expected=expected, found=found)
        return True

    def value(self, field: str, data: bytes, *, text: bool) -> None:
        """Inspect a value.

        Args:
            field: the tag or chunk, as the issue names it.
            data: its bytes.
            text: whether people read it.
        """
        if not self.is_oversized(field, len(data)):
            self._search(field, data, text=text)

    def _search(self, field: str, data: bytes, *, text: bool) -> None:
        what = harmful(data, text=text)
        if what is not None:
            self._suspicious += 1
            expected = Bilingual("text or data about the picture", "du texte ou des données sur l'image")
            self._issues.add("suspicious-metadata", field, expected=expected, found=looks_like(what))

    def name(self, field: str, value: bytes) -> None:
        """A value that should hold somebody's name."""
        if value.strip(b"\0 \t\r\n"):
            self._issues.add(
                "name-in-picture",
                field,
                expected=Bilingual("no name", "aucun nom"),
                found=Bilingual("a name", "un nom"),
            )

    def _location(self, field: str) -> None:
        self._issues.add(
            "location-in-picture",
            field,
            expected=Bilingual("no position", "aucune position"),
            found=Bilingual("a position", "une position"),
        )

    def exif(self, field: str, data: bytes) -> None:
        """Inspect an Exif block. A damaged one is read as far as possible: it damages no pixel."""
        if self.is_oversized(field, len(data)):
            return
        before = self._suspicious
        # The values of a crafted block may overlap; those of an honest block fit in it.
        outer = self._to_read
        self._to_read = 2 * len(data) + _SHARED_BYTES
        try:
            reader = DirectoryReader(data)
        except StructureError:
            pass
        else:
            for role, directory in self._directories(reader):
                self.directory(reader, role, directory)
        self._to_read = outer
        if self._suspicious == before:  # data outside all tags
            self.value(field, data, text=False)

    def _directories(self, reader: DirectoryReader) -> Iterator[tuple[int, Directory]]:
        waiting, seen = [(0, reader.first)], set[int]()
        while waiting and len(seen) < self._limits.tiff_directories:
            role, start = waiting.pop()
            if start in seen:
                continue
            seen.add(start)
            try:
                directory = reader.directory(start, self._limits.tiff_tags)
            except (StructureError, TooManyTagsError):
                continue
            yield role, directory
            if role == 0 and directory.following:
                waiting.append((0, directory.following))
            for code in (EXIF, GPS, INTEROP):
                waiting += [(code, place) for place in reader.numbers(directory.tags.get(code))[:1]]

    def directory(self, reader: DirectoryReader, role: int, directory: Directory) -> None:
        """Inspect a directory of tags.

        Args:
            reader: what the directory was read with.
            role: `EXIF`, `GPS` or `INTEROP`, 0 for the directory of a picture.
            directory: the directory.
        """
        if role == GPS:
            degrees = [reader.rationals(directory.tags.get(code)) for code in (_LATITUDE, _LONGITUDE)]
            if all(any(below for _, below in angle) for angle in degrees) and any(
                above for angle in degrees for above, _ in angle
            ):
                self._location("GPSInfo")
        for tag in directory.tags.values():
            if role == EXIF:
                self.declared.exif_tag(reader, tag)
            elif role == 0:
                self.declared.main_tag(reader, tag, exif_block=self._to_read is not None)
            if not reader.holds(tag):
                continue
            if role in {GPS, INTEROP} or tag.code not in _PLACES:
                self._tag(reader, role, tag)
            elif not tag.inline and self._to_read is None:  # in an Exif block, data outside all values is searched too
                self._search(tag_name(tag.code), reader.value(tag), text=False)

    def _tag(self, reader: DirectoryReader, role: int, tag: Tag) -> None:
        label = "GPSInfo" if role == GPS else "Interoperability" if role == INTEROP else tag_name(tag.code)
        if tag.inline or self.is_oversized(label, tag.end - tag.start):
            if tag.inline and role in {0, EXIF} and tag.code in _NAME_TAGS:
                self.name(label, reader.value(tag))
            return
        if self._to_read is not None:
            self._to_read -= tag.end - tag.start
            if self._to_read < 0:
                return
        data = reader.value(tag)
        self.value(label, data, text=tag.kind == ASCII or (role in {0, EXIF} and tag.code in _TEXT_TAGS))
        if role not in {0, EXIF}:
            return
        if tag.code in _NAME_TAGS:
            self.name(label, data)
        elif tag.code == _XMP:
            self._xmp(data)
        elif tag.code == _IPTC:
            self._iptc(data)
        elif tag.code == _PHOTOSHOP:
            self._photoshop(data)
        elif tag.code == _IMAGE_DESCRIPTION and _OME_NAME.search(data):
            self.name("ImageDescription", b"OME")

    def xmp(self, field: str, data: bytes) -> None:
        """An XMP packet."""
        if not self.is_oversized(field, len(data)):
            self.value(field, data, text=True)
            self._xmp(data)

    def _xmp(self, data: bytes) -> None:
        data = data.replace(b"\0", b"")  # it may be UTF-16
        for field, pattern in _XMP_PLACES.items():
            if pattern.search(data):
                self._location(field)
        for field, pattern in _XMP_NAMES.items():
            if pattern.search(data):
                self.name(field, b"XMP")

    def photoshop(self, field: str, data: bytes) -> None:
        """Photoshop's image resources, in which IPTC, XMP and Exif lie too."""
        if not self.is_oversized(field, len(data)):
            before = self._suspicious
            self._photoshop(data)
            if self._suspicious == before:
                self.value(field, data, text=False)

    def _photoshop(self, data: bytes) -> None:
        if self._in_resources:  # resources in an Exif block in resources: only an attacker nests them
            return
        self._in_resources = True
        for number, content in _resources(data):
            if number == _RESOURCE_IPTC:
                self._iptc(content)
            elif number == _RESOURCE_XMP:
                self.xmp("XMP", content)
            elif number == _RESOURCE_EXIF:
                self.exif("Exif", content)
        self._in_resources = False

    def _iptc(self, data: bytes) -> None:
        self.value("IPTC", data, text=True)
        for dataset, value in _datasets(data):
            if dataset == _BY_LINE:
                self.name("IPTC By-line", value)

    def text(self, field: str, keyword: str, data: bytes) -> None:
        """Inspect a text of a PNG. Some programs keep whole Exif, IPTC and XMP blocks in one, in hexadecimal."""
        if keyword == "XML:com.adobe.xmp":
            self.xmp(field, data)
            return
        self.value(field, data, text=True)
        if keyword == "Author":
            self.name(field, data)
        elif keyword.startswith("Raw profile type ") and len(data) <= self._limits.metadata_bytes:
            self._raw_profile(keyword.removeprefix("Raw profile type ").lower(), data)

    def _raw_profile(self, kind: str, data: bytes) -> None:
        # A line feed, the profile's name and length on a line each, then lines of hexadecimal digits.
        digits = b"".join(data.split()[2:])
        if not re.fullmatch(rb"(?:[0-9a-fA-F]{2})*", digits):
            return
        content = bytes.fromhex(digits.decode())
        if kind in {"exif", "app1"} and not content.startswith(b"http"):
            self.exif("Exif", content.removeprefix(b"Exif\0\0"))
        elif kind in {"xmp", "app1"}:
            self.xmp("XMP", content)
        elif kind in {"iptc", "8bim"}:
            self._photoshop(content)
            self._iptc(content)
        else:
            self.value(f"Raw profile type {kind}"[:80], content, text=False)


def _resources(data: bytes) -> Iterable[tuple[int, bytes]]:
    """Photoshop's image resources: `8BIM`, a number, a name of even length, a size and so many bytes."""
    place = data.find(b"8BIM")
    while 0 <= place <= len(data) - 12:
        number = int.from_bytes(data[place + 4 : place + 6], "big")
        place += 6 + (data[place + 6] | 1) + 1
        size = int.from_bytes(data[place : place + 4], "big")
        yield number, data[place + 4 : place + 4 + size]
        place = data.find(b"8BIM", place + 4 + size)


def _datasets(data: bytes) -> Iterable[tuple[tuple[int, int], bytes]]:
    """The datasets of IPTC-IIM: 1C, record, number, a size of two bytes and so many bytes."""
    place = data.find(b"\x1c\x02")
    while 0 <= place <= len(data) - 5 and data[place] == 0x1C:  # noqa: PLR2004 (the tag marker)
        size = int.from_bytes(data[place + 3 : place + 5], "big")
        if size & 0x8000:
            return
        yield (data[place + 1], data[place + 2]), data[place + 5 : place + 5 + size]
        place += 5 + size
