"""Recognise data: the kind of a file by its start, and scripts, programs and archives inside other data."""

import re
import struct
import zlib
from dataclasses import dataclass

from nachet_pipeline.support.i18n import Bilingual

PICTURE_STARTS = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
}
"""What a picture of each format starts with."""

_ARCHIVE = Bilingual("an archive", "une archive")
_DOCUMENT = Bilingual("an office document", "un document bureautique")
_HTML = Bilingual("HTML or XML", "du HTML ou du XML")
_PDF = Bilingual("a PDF", "un PDF")
_PROGRAM = Bilingual("a program", "un programme")
_SCRIPT = Bilingual("a script", "un script")
_VIDEO = Bilingual("a video", "une vidéo")
_WEB_PAGE = Bilingual("a web page", "une page Web")
_ACTIVE = Bilingual("a drawing or web page that runs a script", "un dessin ou une page Web qui exécute un script")
_ZIP = Bilingual("a ZIP archive", "une archive ZIP")

_STARTS: tuple[tuple[bytes, Bilingual], ...] = (
    (b"%PDF", _PDF),
    (b"PK\x03\x04", _ZIP),
    (b"PK\x05\x06", _ZIP),
    (b"Rar!\x1a\x07", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"\x1f\x8b\x08", _ARCHIVE),
    (b"\xfd7zXZ\x00", _ARCHIVE),
    (b"MSCF\x00\x00\x00\x00", _ARCHIVE),
    (b"MZ", _PROGRAM),
    (b"\x7fELF", _PROGRAM),
    (b"\xcf\xfa\xed\xfe", _PROGRAM),
    (b"\xca\xfe\xba\xbe", _PROGRAM),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _DOCUMENT),
    (b"{\\rtf", _DOCUMENT),
    (b"GIF8", Bilingual("a GIF", "un GIF")),
    (b"BM", Bilingual("a BMP", "un BMP")),
    (b"RIFF", Bilingual("a RIFF file", "un fichier RIFF")),
    (b"\x00\x00\x00\x0cjP  ", Bilingual("a JPEG 2000 picture", "une image JPEG 2000")),
    (b"#!", _SCRIPT),
    (b"<?php", _SCRIPT),
    (b"<", _HTML),
)
_FEWEST_BYTES = 3
_CERTAIN_STARTS = (
    *(start for start, _ in _STARTS if len(start) >= _FEWEST_BYTES),
    *(start for starts in PICTURE_STARTS.values() for start in starts),
)
_MARKUP = re.compile(rb"\s{0,64}<(?:\?xml\s|!doctype\s|(?:svg|html|head|body|script)[\s>/])", re.IGNORECASE)
_FILM_BRAND = re.compile(rb"[\x20-\x7e]{4}")
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevm", b"hevs", b"mif1", b"msf1", b"avif", b"avis"}


def imported_format(start: bytes) -> str | None:
    """`TIFF`, `PNG` or `JPEG` if a file begins like one."""
    return next((name for name, starts in PICTURE_STARTS.items() if start.startswith(starts)), None)


def describe(content: bytes) -> Bilingual:
    """What a file is, by how it starts."""
    if (picture_format := imported_format(content)) is not None:
        return Bilingual.same(picture_format)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return Bilingual("a WebP picture", "une image WebP")
    if content[4:8] == b"ftyp":
        if content[8:12] in _HEIF_BRANDS:
            return Bilingual("a HEIC or AVIF picture", "une image HEIC ou AVIF")
        return _VIDEO
    for start, what in _STARTS:
        if content.startswith(start):
            return what
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in content[:512]):  # noqa: PLR2004 (printable ASCII)
        return Bilingual("text", "du texte")
    start_bytes = content[:4].hex(" ")
    return Bilingual(f"bytes that start with {start_bytes}", f"des octets qui commencent par {start_bytes}")


def begins_document(content: bytes) -> Bilingual | None:
    """The picture, archive, program or other document that some data is, by a start that no noise has by chance.

    Random data passes for one less than once in 100,000 times.
    """
    box = content[4:8] == b"ftyp" and _FILM_BRAND.fullmatch(content[8:12])
    if box or _MARKUP.match(content) or content.startswith(_CERTAIN_STARTS):
        return describe(content)
    return None


@dataclass(frozen=True, slots=True)
class _Signature:
    """A signature of harmful data: a needle in lower case that is found fast, and a pattern that confirms it."""

    needle: bytes
    pattern: re.Pattern[bytes]
    what: Bilingual


def _signature(needle: bytes, pattern: bytes, what: Bilingual) -> _Signature:
    return _Signature(needle, re.compile(pattern, re.IGNORECASE | re.DOTALL), what)


# Handlers of events that HTML and SVG run without anybody's doing.
_HANDLERS = (b"onload", b"onerror", b"onbegin", b"onfocus", b"onclick", b"onmouse", b"ontoggle", b"onpointer")
# A megabyte of noise contains one of them by chance less than twice in a million times: each has six bytes or the like.
_ANYWHERE = (
    _signature(b"pk\x03\x04", rb"PK\x03\x04[\x0a-\x3f]\x00", _ZIP),
    _signature(b"pk\x05\x06", rb"PK\x05\x06\x00\x00\x00\x00", _ZIP),
    _signature(b"rar!", rb"Rar!\x1a\x07", _ARCHIVE),
    _signature(b"7z\xbc\xaf", rb"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    _signature(b"\xfd7zxz", rb"\xfd7zXZ\x00", _ARCHIVE),
    _signature(b"\x7felf", rb"\x7fELF[\x01\x02][\x01\x02]\x01", _PROGRAM),
    _signature(b"%pdf-", rb"%PDF-[12]\.\d", _PDF),
    _signature(b"\xd0\xcf\x11\xe0", rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _DOCUMENT),
    _signature(b"<?php", rb"<\?php[\s(/#]", _SCRIPT),
    _signature(b"<script", rb"<script[\s>/]", _SCRIPT),
    _signature(b"javascript:", rb"javascript:", _SCRIPT),
    _signature(b"vbscript:", rb"vbscript:", _SCRIPT),
    _signature(b"<!doctype html", rb"<!doctype html", _WEB_PAGE),
    _signature(b"<iframe", rb"<iframe[\s>/]", _WEB_PAGE),
    _signature(b"<html", rb"<html[\s>]", _WEB_PAGE),
    _signature(b"#!/", rb"#!/(?:usr|bin|opt|env)[/ ]", _SCRIPT),
    _signature(b"#! /", rb"#! /(?:usr|bin|opt|env)[/ ]", _SCRIPT),
    _signature(b"@echo off", rb"@echo off", _SCRIPT),
    *(_signature(name, rb"<[a-z][^<>]{0,500}?[\s/\"']%b[a-z]{0,20}\s{0,20}=" % name, _ACTIVE) for name in _HANDLERS),
)
# Too short to search for in binary data, but nobody writes them in a caption.
_IN_TEXT = (
    _signature(b"<?=", rb"<\?=.{1,200}?\?>", _SCRIPT),
    _signature(b"<%", rb"<%[@=!\s][^%]{1,200}%>", _SCRIPT),
)
_AT_START = (b"\x1f\x8b\x08", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"{\\rtf", b"MSCF\x00\x00\x00\x00")
_FARTHEST_PE_HEADER = 1_048_576
# The header of gzip has too few bytes to be a signature, so what follows it has to inflate.
_GZIP = re.compile(rb"\x1f\x8b\x08[\x00\x08]....[\x00\x02\x04][\x00-\x0d\xff]", re.DOTALL)
_GZIP_WINDOW, _MOST_READ, _MOST_TRIED = 4_096, 1_024, 64
# Compressed pixels are noise, in which bytes that a person could read do not follow each other for so long.
_READABLE = bytes(1 if 32 <= byte < 127 or byte in b"\t\r\n" else 0 for byte in range(256))  # noqa: PLR2004 (printable)
_RUN = bytes([1]) * 16
_NOT_READABLE = tuple(map(re.compile, (b"PK\x03\x04", b"\x7fELF", b"PE\0\0", b"7z\xbc\xaf\x27\x1c")))
_AROUND_BEFORE, _AROUND_AFTER, _MOST_RUNS = 128, 1_024, 256


def harmful(data: bytes, *, text: bool) -> Bilingual | None:
    """The script, program or archive that a value holds, None if it holds none.

    Args:
        data: the value.
        text: whether people read it; only then count signatures that binary data contains by chance.
    """
    found = _search(data, _ANYWHERE + _IN_TEXT if text else _ANYWHERE)
    if found is None and text and b"\0" in data:  # UTF-16
        found = _search(data.replace(b"\0", b""), _ANYWHERE + _IN_TEXT)
    if found is None and data.startswith(_AT_START):
        found = describe(data)
    if found is None and _holds_gzip(data):
        found = _ARCHIVE
    return found or (_PROGRAM if _holds_windows_program(data) else None)


def looks_like(what: Bilingual) -> Bilingual:
    """What is told of data in which something harmful was recognised."""
    return Bilingual(f"something that looks like {what.en}", f"quelque chose qui ressemble à {what.fr}")


def harmful_in_pixels(data: bytes) -> Bilingual | None:
    """The same for compressed pixels, of which there are many: fast, and good for what is not compressed with them.

    A script, a web page or a program has words that noise has not, and an archive has its signature.
    """
    if any(start.search(data) for start in _NOT_READABLE) or _holds_gzip(data):
        return harmful(data, text=False)
    readable = data.translate(_READABLE)
    place = readable.find(_RUN)
    for _ in range(_MOST_RUNS):
        if place < 0:
            return None
        what = harmful(data[max(0, place - _AROUND_BEFORE) : place + _AROUND_AFTER], text=False)
        if what is not None:
            return what
        place = readable.find(_RUN, place + _AROUND_AFTER - _AROUND_BEFORE)
    return harmful(data, text=False)


def _holds_gzip(data: bytes) -> bool:
    """Whether a gzip archive starts somewhere: a header, and compressed data behind it."""
    for number, found in enumerate(_GZIP.finditer(data)):
        if number == _MOST_TRIED:
            return True
        try:
            if zlib.decompressobj(31).decompress(data[found.start() : found.start() + _GZIP_WINDOW], _MOST_READ):
                return True
        except zlib.error:
            continue
    return False


def _search(data: bytes, signatures: tuple[_Signature, ...]) -> Bilingual | None:
    lowered = data.lower()
    for signature in signatures:
        # Most values contain none, and a needle is searched many times faster than a pattern.
        if signature.needle in lowered and signature.pattern.search(data):
            return signature.what
    return None


def _holds_windows_program(data: bytes) -> bool:
    """Whether a Windows program starts somewhere. Most pictures contain the two letters, so the header is read."""
    place = data.find(b"MZ")
    while 0 <= place <= len(data) - 64:
        (distance,) = struct.unpack_from("<I", data, place + 60)
        header = place + distance
        if 0 < distance < _FARTHEST_PE_HEADER and data[header : header + 4] == b"PE\0\0":
            return True
        place = data.find(b"MZ", place + 1)
    return False


def opens_as_zip(content: bytes) -> bool:
    """Whether a file ends with a ZIP's directory: every unpacker opens such a file, whatever it starts with."""
    end = content.rfind(b"PK\x05\x06", max(0, len(content) - 65_557))
    if not 0 <= end <= len(content) - 22:
        return False
    (size,) = struct.unpack_from("<I", content, end + 12)
    if size == 0:
        return content[end + 4 : end + 20] == bytes(16)
    return size <= end and content[end - size : end - size + 4] == b"PK\x01\x02"
