"""What a file declares about its picture: resolution, size of a pixel, when and with what it was taken."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from html import unescape
from typing import Literal

from nachet_pipeline.pictures.enrichment import Captured, Device, PixelSize, Resolution
from nachet_pipeline.pictures.forensics.tiff_ifd import DirectoryReader, Tag

_DESCRIPTION, _MAKE, _MODEL, _SOFTWARE, _DATE = 270, 271, 272, 305, 306
_X_RESOLUTION, _Y_RESOLUTION, _UNIT = 282, 283, 296
_ORIGINAL, _DIGITIZED = 0x9003, 0x9004
_TEXTS = {_DESCRIPTION, _MAKE, _MODEL, _SOFTWARE, _DATE}
# Date, offset from UTC and fraction of a second, the moment of exposure first.
_DATES = (
    ("DateTimeOriginal", _ORIGINAL, 0x9011, 0x9291),
    ("DateTimeDigitized", _DIGITIZED, 0x9012, 0x9292),
    ("DateTime", _DATE, 0x9010, 0x9290),
)
_EXIF_TEXTS = {code for _, *codes in _DATES for code in codes} | {_DATE}
_READ_BYTES = 65_536
_TEXT_LENGTH = 100
_UNITS: dict[int, Literal["inch", "centimetre"]] = {2: "inch", 3: "centimetre"}
_MICROMETRES = {"inch": 25_400.0, "centimetre": 10_000.0, "metre": 1_000_000.0}
# Defaults of programs that were given no resolution: dots per inch of screens and printers.
_CUSTOMARY = (1, 72, 96, 100, 120, 150, 180, 200, 240, 300, 350)
_NEAR = 0.02
_FIRST_YEAR, _LAST_YEAR = 1900, 2200
_DATE_PATTERN = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET_PATTERN = re.compile(r"([+-])(\d\d):(\d\d)")
_ISO_PATTERN = re.compile(r"<(?:\w{1,20}:)?AcquisitionDate>([^<]{10,40})<")
_OME_PATTERN = re.compile(r"<(?:\w{1,20}:)?Pixels\s([^>]{1,2000})>")
_CHANNEL_PATTERN = re.compile(r"<(?:\w{1,20}:)?Channel\s([^>]{1,2000})>")
_NAME_PATTERN = re.compile(r"\bName=(?:\"([^\"]{1,200})\"|'([^']{1,200})')")
_SIZE_PATTERN = {axis: re.compile(rf"PhysicalSize{axis}=[\"']([0-9.eE+-]{{1,30}})[\"']") for axis in "XY"}
_SIZE_UNIT_PATTERN = {axis: re.compile(rf"PhysicalSize{axis}Unit=[\"']([^\"']{{1,20}})[\"']") for axis in "XY"}
_IMAGEJ_UNIT = re.compile(r"^unit=(.{1,20})$", re.MULTILINE)
_LENGTHS = {
    "nm": 0.001,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "mm": 1_000.0,
    "cm": 10_000.0,
    "m": 1_000_000.0,
    "inch": 25_400.0,
    "in": 25_400.0,
}


@dataclass(slots=True)
class Declared:
    """Collects declarations that a walk meets; of two declarations of one thing the first counts."""

    _texts: dict[int, str] = field(default_factory=dict)
    _ratios: dict[int, float] = field(default_factory=dict)
    _unit: int | None = None
    _other: Resolution | None = None
    _in_exif_block: bool = False

    def main_tag(self, reader: DirectoryReader, tag: Tag, *, exif_block: bool) -> None:
        """A tag of the directory of a picture.

        Args:
            reader: what it was read with.
            tag: the tag; one that lies outside the data is ignored.
            exif_block: whether it lies in an Exif block in another file, and not in the directory of a TIFF.
        """
        self._in_exif_block |= exif_block
        if tag.code in _TEXTS:
            self._texts.setdefault(tag.code, _text(reader, tag))
        elif tag.code in {_X_RESOLUTION, _Y_RESOLUTION}:
            for above, below in reader.rationals(tag)[:1]:
                if below:
                    self._ratios.setdefault(tag.code, above / below)
        elif tag.code == _UNIT and self._unit is None:
            self._unit = reader.number(tag, 2)

    def exif_tag(self, reader: DirectoryReader, tag: Tag) -> None:
        """A tag of an Exif directory."""
        if tag.code in _EXIF_TEXTS:
            self._texts.setdefault(tag.code, _text(reader, tag))

    def density(self, source: str, x: int, y: int, unit: Literal["inch", "centimetre", "metre"]) -> None:
        """Add the density of a PNG or JFIF header."""
        if self._other is None and x > 0 and y > 0:
            self._other = Resolution(x=float(x), y=float(y), unit=unit, source=source)

    @property
    def resolution(self) -> Resolution | None:
        """Pixels per unit of length; None if the file says none, or no unit."""
        return self._other or self._of_tags()

    def _of_tags(self) -> Resolution | None:
        x, y = self._ratios.get(_X_RESOLUTION, 0.0), self._ratios.get(_Y_RESOLUTION, 0.0)
        unit = _UNITS.get(2 if self._unit is None else self._unit)
        if unit is None or x <= 0 or y <= 0:
            return None
        return Resolution(x=x, y=y, unit=unit, source="Exif" if self._in_exif_block else "TIFF")

    @property
    def pixel_size(self) -> PixelSize | None:
        """The size of a pixel in µm, from OME-XML or ImageJ, else from a resolution that is not a program's default."""
        description = self._texts.get(_DESCRIPTION, "")
        found = self._of_ome(description) or self._of_imagej(description)
        resolution = self.resolution
        if found or resolution is None:
            return found
        micrometres = _MICROMETRES[resolution.unit]
        per_inch = resolution.x * _MICROMETRES["inch"] / micrometres
        if any(abs(per_inch - usual) <= _NEAR for usual in _CUSTOMARY):
            return None
        return _pixel_size(micrometres / resolution.x, micrometres / resolution.y, resolution.source)

    @staticmethod
    def _of_ome(description: str) -> PixelSize | None:
        pixels = _OME_PATTERN.search(description)
        if pixels is None:
            return None
        sizes = []
        for axis in "XY":
            size, unit = _SIZE_PATTERN[axis].search(pixels[1]), _SIZE_UNIT_PATTERN[axis].search(pixels[1])
            length = _LENGTHS.get(unit[1] if unit else "µm")
            number = _number(size[1]) if size else None
            if number is None or length is None:
                return None
            sizes.append(number * length)
        return _pixel_size(sizes[0], sizes[1], "OME")

    def _of_imagej(self, description: str) -> PixelSize | None:
        unit = _IMAGEJ_UNIT.search(description) if description.startswith("ImageJ=") else None
        length = _LENGTHS.get(unit[1].strip().lower()) if unit else None
        x, y = self._ratios.get(_X_RESOLUTION, 0.0), self._ratios.get(_Y_RESOLUTION, 0.0)
        if length is None or x <= 0 or y <= 0:
            return None
        return _pixel_size(length / x, length / y, "ImageJ")

    @property
    def channel(self) -> str | None:
        """What OME-XML calls the one channel of a picture; None of one with several channels, or without a name."""
        channels = _CHANNEL_PATTERN.findall(self._texts.get(_DESCRIPTION, ""))
        name = _NAME_PATTERN.search(channels[0]) if len(channels) == 1 else None
        return _shortened(unescape(name[1] or name[2])) or None if name else None

    @property
    def captured(self) -> Captured | None:
        """When it was taken; the offset from UTC belongs to it where the file says one."""
        for source, date, offset, fraction in _DATES:
            moment = _moment(self._texts.get(date, ""), self._texts.get(offset, ""), self._texts.get(fraction, ""))
            if moment:
                return Captured(at=moment, source=source)
        acquired = _ISO_PATTERN.search(self._texts.get(_DESCRIPTION, ""))
        try:
            moment = datetime.fromisoformat(acquired[1].strip()) if acquired else None
        except ValueError:
            return None
        known = moment and _FIRST_YEAR <= moment.year <= _LAST_YEAR
        return Captured(at=moment, source="AcquisitionDate") if moment and known else None

    @property
    def device(self) -> Device | None:
        """What it was taken and written with."""
        make, model, software = (_shortened(self._texts.get(code, "")) or None for code in (_MAKE, _MODEL, _SOFTWARE))
        return Device(make=make, model=model, software=software) if make or model or software else None


def _text(reader: DirectoryReader, tag: Tag) -> str:
    data = reader.content[tag.start : min(tag.end, tag.start + _READ_BYTES)].partition(b"\0")[0]
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        return data.decode("latin-1").strip()


def _shortened(text: str) -> str:
    """One printable line: it ends in the database, in logs and on pages."""
    return "".join(letter for letter in text if letter.isprintable())[:_TEXT_LENGTH].strip()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _pixel_size(x: float, y: float, source: str) -> PixelSize | None:
    """None if the numbers are not plausible for a photograph: 1 nm to 10 cm a pixel."""
    sensible = all(0.001 <= size <= 100_000 for size in (x, y))  # noqa: PLR2004 (as said)
    return PixelSize(x=x, y=y, source=source) if sensible else None


def _moment(date: str, offset: str, fraction: str) -> datetime | None:
    found = _DATE_PATTERN.fullmatch(date)
    if not found or not _FIRST_YEAR <= int(found[1]) <= _LAST_YEAR:
        return None
    zone = _OFFSET_PATTERN.fullmatch(offset)
    digits = fraction if fraction.isascii() and fraction.isdigit() else ""
    try:
        away = timedelta(hours=int(zone[2]), minutes=int(zone[3])) if zone else timedelta()
        moment = datetime.strptime(" ".join(found.groups()), "%Y %m %d %H %M %S")
        return moment.replace(
            microsecond=int(digits[:6].ljust(6, "0")) if digits else 0,
            tzinfo=timezone(-away if zone[1] == "-" else away) if zone else None,
        )
    except ValueError:
        return None
