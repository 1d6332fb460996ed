"""The structure of a JPEG: its markers, from the start of the image to its end (ITU-T T.81, annex B)."""

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from typing import Literal

from nachet_pipeline.pictures.forensics.byte_ranges import report_gaps
from nachet_pipeline.pictures.forensics.endings import END_OF_FILE
from nachet_pipeline.pictures.forensics.jpeg_trailers import Announced, EmbeddedPicture, Trailers, places_in_index
from nachet_pipeline.pictures.forensics.metadata import Metadata
from nachet_pipeline.pictures.forensics.signatures import harmful
from nachet_pipeline.pictures.issues import Issues
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.support.i18n import Bilingual

# FF and neither 00 (a stuffed byte), nor D0 to D7 (a restart), nor FF (a fill byte). Starts with one literal byte and
# repeats nothing: twenty times faster than `\xff+`, and linear in a run of fill bytes.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_SOI, _EOI, _SOS, _TEM, _COM = 0xD8, 0xD9, 0xDA, 0x01, 0xFE
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
# Tables, scans and what else decoding needs; all other segments are metadata, or hide something.
_CODING = _FRAMES | {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF}
_MOST_SEGMENTS = 10_000
_APP0, _APP2, _ADOBE = 0xE0, 0xE2, 0xEE
_JFIF_BYTES = 12
_JFIF_UNITS: dict[int, Literal["inch", "centimetre"]] = {1: "inch", 2: "centimetre"}
_IDENTIFIER = re.compile(rb"[\x20-\x7e]{2,40}(?=\0)")
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_MORE_XMP_HEADER = len(_MORE_XMP) + 32 + 4 + 4  # a digest, the whole size, the place of this part
_EXIF, _EXIF_HEADER = b"Exif\0", 6
_PHOTOSHOP = b"Photoshop 3.0\0"
_ICC = b"ICC_PROFILE\0"
_MPF = b"MPF\0"
# In the XMP of a phone's picture with a short film behind it, and of a picture that only brightens another.
_FILM = re.compile(rb"(?:MotionPhoto|MicroVideo)\s{0,5}=\s{0,5}[\"']1|<\w{1,20}:(?:MotionPhoto|MicroVideo)>1<")
_GAIN_MAPS = (
    b"http://ns.adobe.com/hdr-gain-map/",
    b"http://ns.apple.com/HDRGainMap/",
    b"urn:com:apple:photo:2020:aux",
    b"urn:iso:std:iso:ts:21496:-1",
)
# The index of parts that Google's camera keeps in XMP; the photograph before a portrait's blur is one.
_PARTS = b"http://ns.google.com/photos/1.0/container/"
_SEGMENTS_THAT_FOLLOW = Bilingual("one segment after the other", "des segments qui se suivent")


@dataclass(frozen=True, slots=True)
class JpegPicture:
    """What the markers say of a JPEG.

    Attributes:
        end: the byte after its end marker; of one that was cut off, the end of the file.
        essence: a JPEG of the segments that the pixels and their resolution need, and of nothing else.
        width: in pixels.
        height: in pixels.
        precision: bits of a sample.
        components: 1 for grey, 3 for colour, 4 for CMYK.
        frame: the marker of its frame, which says how it is coded.
        pixel_digest: SHA-256 of the segments that decode to pixels, without metadata.
    """

    end: int
    essence: bytes
    width: int
    height: int
    precision: int
    components: int
    frame: int
    pixel_digest: bytes


def walk_jpeg(content: bytes, limits: PictureLimits, issues: Issues, metadata: Metadata) -> JpegPicture | None:
    """Follow the markers to the end of the image, and inspect all other data.

    Returns:
        None if nothing of the image can be shown. The issues say whether it may be decoded.
    """
    walk = _Walk(content, 0, limits, issues)
    picture = walk.follow()
    report_gaps(walk.gaps, _SEGMENTS_THAT_FOLLOW, limits, issues)
    _inspect_metadata(walk.segments, metadata)
    if walk.density:
        metadata.declared.density("JFIF", *walk.density)
    if picture is not None and picture.end < len(content) and not issues.fatal():
        walk_embedded = partial(walk_embedded_jpeg, content, limits, issues)
        pixels = picture.width * picture.height
        Trailers(content, pixels, walk.announced(), walk_embedded, limits, issues).report(picture.end)
    return picture


def walk_embedded_jpeg(content: bytes, limits: PictureLimits, issues: Issues, start: int) -> EmbeddedPicture | None:
    """Follow a JPEG that lies in another file, a preview for instance, and inspect all that is not its image.

    It is not decoded, so its pixels too are searched for what is harmful.

    Returns:
        None if it is not whole; then nothing is reported.
    """
    own = Issues()
    walk = _Walk(content, start, limits, own)
    picture = walk.follow()
    if picture is None or own.fatal():
        return None
    report_gaps(walk.gaps, _SEGMENTS_THAT_FOLLOW, limits, own)
    _inspect_metadata(walk.segments, Metadata(own, limits))
    what = harmful(content[start : picture.end], text=False)
    if what is not None and not any(own):
        found = Bilingual(f"a preview that holds {what.en}", f"un aperçu qui contient {what.fr}")
        own.add("hidden-data", expected=Bilingual("a picture", "une image"), found=found)
    issues.include(own)
    gain_map = any(name in payload for _, payload in walk.segments for name in _GAIN_MAPS)
    return EmbeddedPicture(picture.end, picture.width * picture.height, gain_map)


def frame_of(content: bytes) -> int | None:
    """The marker of a JPEG's frame, which says how it is coded; None if there is none before the pixels."""
    position = 2
    while marker := _MARKER.search(content, position):
        code = marker[1][0]
        if code in _FRAMES:
            return code
        if code == _SOS:
            return None
        position = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2], "big")
    return None


class _Walk:
    """A walk through the markers from a place; it collects all segments, tables too: any of them can hide something."""

    def __init__(self, content: bytes, start: int, limits: PictureLimits, issues: Issues) -> None:
        self._content = content
        self._start = start
        self._limits = limits
        self._issues = issues
        self._scans = 0
        self._frame: tuple[int, bytes] | None = None
        self._essence: list[bytes] = [content[start : start + 2]]
        self.segments: list[tuple[int, bytes]] = []
        self.gaps: list[bytes] = []
        self._index: tuple[int, bytes] | None = None
        self._exif = (0, b"")
        self.density: tuple[int, int, Literal["inch", "centimetre"]] | None = None
        self._pixels = hashlib.sha256()

    def follow(self) -> JpegPicture | None:
        content = self._content
        position = self._start + 2
        coded = False  # entropy-coded data may lie here, in which only real markers match the pattern
        segments = 0
        while marker := _MARKER.search(content, position):
            code = marker[1][0]
            if marker.start() > position and not coded:
                self.gaps.append(content[position : marker.start()].strip(b"\xff"))  # fill bytes are allowed
            elif coded:
                self._coded(content[position : marker.start()])
            position = marker.end()
            if code == _EOI:
                return self._picture(position)
            if code == _TEM:
                continue
            segments += code != _SOS  # scans have a limit of their own
            if segments > _MOST_SEGMENTS:
                expected = Bilingual(f"at most {_MOST_SEGMENTS} segments", f"au plus {_MOST_SEGMENTS} segments")
                self._issues.too_complex(expected)
                return None
            size = int.from_bytes(content[position : position + 2], "big")
            if code == _SOI or size < 2:  # noqa: PLR2004 (the size counts itself)
                self._damaged(f"FF{code:02X}")
                return None
            if position + size > len(content):
                break
            if not self._segment(code, position + 2, position + size):
                return None
            position += size
            coded = code == _SOS
        self._issues.add(
            "picture-damaged",
            expected=Bilingual("the end marker of a JPEG", "le marqueur de fin d'un JPEG"),
            found=END_OF_FILE,
        )
        if not self._scans or self._frame is None:
            return None
        self._coded(content[position:])
        return self._picture(len(content))

    def _segment(self, code: int, start: int, end: int) -> bool:
        """Process a segment; False if the walk ends here."""
        if code == _SOS:
            self._scans += 1
            most = self._limits.jpeg_scans
            if self._scans > most:
                expected = Bilingual(f"at most {most} scans", f"au plus {most} balayages")
                self._issues.too_complex(expected)
                return False
            self._coded(self._content[start - 4 : end])
            return True
        payload = self._content[start:end]
        self.segments.append((code, payload))
        if code in _FRAMES and self._frame is None:
            self._frame = (code, payload[:6])
        if code not in _CODING:
            if code == _APP2 and payload.startswith(_MPF):
                self._index = (start + len(_MPF), payload[len(_MPF) :])
            if payload.startswith(_EXIF) and not self._exif[1]:
                self._exif = (start + _EXIF_HEADER, payload[_EXIF_HEADER:])
            if self.density is None and code == _APP0 and payload.startswith(b"JFIF\0") and len(payload) >= _JFIF_BYTES:
                unit = _JFIF_UNITS.get(payload[7])
                x, y = int.from_bytes(payload[8:10], "big"), int.from_bytes(payload[10:12], "big")
                self.density = (x, y, unit) if unit else None
            if self._is_essential(code, payload):
                self._essence.append(self._content[start - 4 : end])
            if code == _ADOBE:  # gives the colour space of the pixels
                self._pixels.update(self._content[start - 4 : end])
            return True
        self._coded(self._content[start - 4 : end])
        return True

    def _coded(self, data: bytes) -> None:
        self._essence.append(data)
        self._pixels.update(data)

    @staticmethod
    def _is_essential(code: int, payload: bytes) -> bool:
        """Whether decoders need a segment: JFIF, Adobe, Exif for the resolution, and all that is not metadata."""
        return code in {0xE0, 0xEE} or payload.startswith(_EXIF) or not (code == _COM or 0xE0 <= code <= 0xEF)  # noqa: PLR2004

    def _picture(self, end: int) -> JpegPicture | None:
        code, header = self._frame or (0, b"")
        if len(header) < 6:  # noqa: PLR2004 (precision, height, width, components)
            self._damaged("SOF")
            return None
        picture = JpegPicture(
            end=end,
            essence=b"".join([*self._essence, b"\xff\xd9"]),
            precision=header[0],
            height=int.from_bytes(header[1:3], "big"),
            width=int.from_bytes(header[3:5], "big"),
            components=header[5],
            frame=code,
            pixel_digest=self._pixels.digest(),
        )
        if not self._limits.admits(picture.width, picture.height):
            found = Bilingual.same(f"{picture.width} × {picture.height} pixels")  # noqa: RUF001
            self._issues.add("picture-too-large", expected=self._limits.size, found=found)
            return None
        return picture

    def _damaged(self, marker: str) -> None:
        self._issues.add(
            "picture-damaged",
            expected=Bilingual("the markers of a JPEG in their order", "les marqueurs d'un JPEG dans leur ordre"),
            found=Bilingual(f"a damaged marker {marker}", f"un marqueur {marker} endommagé"),
        )

    def announced(self) -> Announced:
        """What the picture says that follows it."""
        packets = [payload for _, payload in self.segments if payload.startswith(_XMP)]
        film = any(_FILM.search(packet) for packet in packets)
        parts = any(_PARTS in packet for packet in packets)
        exif_place, exif = self._exif
        if self._index is None:
            return Announced(multi_picture=parts, film=film, exif=exif, exif_place=exif_place)
        place, index = self._index
        return Announced(places_in_index(index, place), multi_picture=True, film=film, exif=exif, exif_place=exif_place)


def _inspect_metadata(segments: list[tuple[int, bytes]], metadata: Metadata) -> None:
    """Join values that are spread over several segments, and inspect each."""
    values: dict[str, list[bytes]] = {}
    for code, payload in segments:
        field, part = _named(code, payload)
        values.setdefault(field, []).append(part)
    for field, parts in values.items():
        if metadata.is_oversized(field, sum(map(len, parts))):
            continue
        data = b"".join(parts)
        match field:
            case "Exif":
                metadata.exif(field, data)
            case "XMP":
                metadata.xmp(field, data)
            case "Photoshop":
                metadata.photoshop(field, data)
            case _:
                metadata.value(field, data, text=field == "COM")


def _named(code: int, payload: bytes) -> tuple[str, bytes]:
    """The name of a segment's value, and the part of the value in this segment."""
    if code == _COM:
        return "COM", payload
    if payload.startswith(_EXIF):
        return "Exif", payload[6:]
    if payload.startswith(_XMP):
        return "XMP", payload[len(_XMP) :]
    if payload.startswith(_MORE_XMP):
        return "XMP", payload[_MORE_XMP_HEADER:]
    if payload.startswith(_PHOTOSHOP):
        return "Photoshop", payload[len(_PHOTOSHOP) :]
    if payload.startswith(_ICC):
        return "ICC_PROFILE", payload[len(_ICC) + 2 :]
    marker = f"APP{code - 0xE0}" if 0xE0 <= code <= 0xEF else f"FF{code:02X}"  # noqa: PLR2004
    identifier = _IDENTIFIER.match(payload)
    return (f"{marker} {identifier[0].decode()}" if identifier else marker), payload
