"""Looking at one picture: is it what its name says, is it whole, how large is it. One decode answers all."""

import io
import re
import struct
import zlib
from dataclasses import dataclass

from PIL import Image

_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAGIC = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (_PNG_SIGNATURE,),
    "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
}
THUMBNAIL_SIDE = 160


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest picture that is decoded.

    Attributes:
        file_bytes: size of the file.
        pixels: width times height.
        side: the longer of the two, in pixels.
    """

    file_bytes: int = 200 * 1024 * 1024
    pixels: int = 100_000_000
    side: int = 30_000


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a picture is refused: a code of the catalogue, what was expected and found."""

    code: str
    expected: str | None = None
    found: str | None = None


@dataclass(frozen=True, slots=True)
class Properties:
    """What decoding a picture told.

    Attributes:
        picture_format: `TIFF`, `PNG` or `JPEG`.
        width: in pixels.
        height: in pixels.
        mode: Pillow's name of the pixel format.
        resolution: horizontal and vertical, in pixels per inch, where the file tells.
        thumbnail: a JPEG of at most `THUMBNAIL_SIDE` pixels, if one was asked for.
    """

    picture_format: str
    width: int
    height: int
    mode: str
    resolution: tuple[float, float] | None
    thumbnail: bytes | None = None


def inspect_picture(
    content: bytes, expected_format: str, limits: Limits, *, thumbnail: bool = False
) -> Properties | Fault:
    """Walk a picture's structure, then decode all of it.

    Meant for a process that may be killed: a crafted file can still hang a decoder.

    Args:
        content: the file's bytes.
        expected_format: what its name says: `TIFF`, `PNG` or `JPEG`.
        limits: the largest picture that is decoded.
        thumbnail: whether to make one.
    """
    if len(content) > limits.file_bytes:
        return Fault("picture-too-large", f"at most {limits.file_bytes} bytes", f"{len(content)} bytes")
    if not content.startswith(_MAGIC[expected_format]):
        return Fault("picture-format", expected_format, _what_it_is(content))
    fault = _WALKS[expected_format](content)
    if fault:
        return fault
    try:
        with Image.open(io.BytesIO(content), formats=[expected_format]) as image:
            return _decode(image, expected_format, limits, thumbnail=thumbnail)
    except MemoryError:
        return Fault("picture-crashes-decoder", "a picture that fits in memory", "no memory left")
    except Exception as error:  # noqa: BLE001 (decoders raise OSError, ValueError, SyntaxError, struct.error, …)
        return Fault("picture-damaged", "a complete picture", _one_line(error))


def _decode(image: Image.Image, expected_format: str, limits: Limits, *, thumbnail: bool) -> Properties | Fault:
    if image.format != expected_format:  # a multi-picture JPEG opens as MPO
        return Fault("several-pages", "one picture", f"a file of the kind {image.format}")
    width, height = image.size
    if width * height > limits.pixels or max(width, height) > limits.side:
        expected = f"at most {limits.pixels} pixels, {limits.side} on a side"
        return Fault("picture-too-large", expected, f"{width} × {height} pixels")  # noqa: RUF001
    mode = image.mode
    image.load()
    resolution = image.info.get("dpi")
    return Properties(
        picture_format=expected_format,
        width=width,
        height=height,
        mode=mode,
        resolution=(float(resolution[0]), float(resolution[1])) if resolution else None,
        thumbnail=_thumbnail(image) if thumbnail else None,
    )


def _thumbnail(image: Image.Image) -> bytes:
    if image.mode.startswith("I;16") or image.mode in {"I", "F"}:
        low, high = image.getextrema()
        scale = 255 / max(float(high) - float(low), 1.0)  # type: ignore[arg-type]
        image = image.convert("F").point(lambda value: (value - float(low)) * scale)  # type: ignore[arg-type]
        image = image.convert("L")
    small = image.reduce(max(1, min(image.size) // (2 * THUMBNAIL_SIDE)))
    if small.mode in {"RGBA", "LA", "PA", "P"}:
        small = small.convert("RGBA")
        ground = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(ground, small)
    small = small.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=70)
    return stream.getvalue()


def _one_line(error: Exception) -> str:
    text = re.sub(r"<[^>]* object at 0x[0-9a-f]+>", "the file", str(error))
    return " ".join(text.split())[:200] or type(error).__name__


def _what_it_is(content: bytes) -> str:
    for name, magics in _MAGIC.items():
        if content.startswith(magics):
            return name
    known = {b"%PDF": "a PDF", b"PK\x03\x04": "a ZIP archive", b"MZ": "a program", b"\x7fELF": "a program"}
    known |= {
        b"GIF8": "a GIF",
        b"BM": "a BMP",
        b"RIFF": "a RIFF file",
        b"#!": "a script",
        b"<": "HTML or XML",
    }
    for magic, name in known.items():
        if content.startswith(magic):
            return name
    text = all(32 <= byte < 127 or byte in b"\t\r\n" for byte in content[:512])  # noqa: PLR2004 (printable ASCII)
    return "text" if text else f"bytes that start with {content[:4].hex(' ')}"


def _walk_jpeg(content: bytes) -> Fault | None:
    """Follow the markers (ITU-T T.81, annex B) to the end of the image; nothing may follow it."""
    position = 2
    while marker := _JPEG_MARKER.search(content, position):
        code = marker[1][0]
        position = marker.end()
        if code == 0xD9:  # noqa: PLR2004 (EOI)
            return _trailing(content, position)
        if code == 0x01:  # TEM stands alone
            continue
        if position + 2 > len(content):
            break
        # After the header of a scan its entropy-coded data follows, in which only real markers match the pattern.
        position += int.from_bytes(content[position : position + 2], "big")
    return Fault("picture-damaged", "the end marker of a JPEG", "the end of the file")


def _walk_png(content: bytes) -> Fault | None:
    """Follow the chunks (PNG, third edition, 5.3), each with its CRC, to IEND; nothing may follow it."""
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        kind = content[position + 4 : position + 8]
        end = position + 12 + length
        if end > len(content):
            break
        (crc,) = struct.unpack_from(">I", content, end - 4)
        if zlib.crc32(memoryview(content)[position + 4 : end - 4]) != crc:
            return Fault("picture-damaged", "a chunk as its checksum says", f"a damaged chunk {kind!r}")
        if kind == b"IEND":
            return _trailing(content, end)
        if kind == b"acTL":
            return Fault("several-pages", "one picture", "an animation")
        position = end
    return Fault("picture-damaged", "the end chunk of a PNG", "the end of the file")


def _walk_tiff(content: bytes) -> Fault | None:
    """Read the first directory (TIFF 6.0, section 2; BigTIFF): it lies in the file, and no page follows it."""
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in {b"+\x00", b"\x00+"}
    offset_format, count_format, entry, header = ("Q", "Q", 20, 8) if big else ("I", "H", 12, 4)
    try:
        (offset,) = struct.unpack_from(f"{order}{offset_format}", content, header)
        (count,) = struct.unpack_from(f"{order}{count_format}", content, offset)
        after = offset + struct.calcsize(count_format) + count * entry
        (following,) = struct.unpack_from(f"{order}{offset_format}", content, after)
    except (struct.error, OverflowError):
        return Fault("picture-damaged", "a directory of tags inside the file", "the end of the file")
    return Fault("several-pages", "one picture", "several pages") if following else None


def _trailing(content: bytes, end: int) -> Fault | None:
    if end == len(content):
        return None
    return Fault("trailing-data", "the end of the file", f"{len(content) - end} more bytes")


_WALKS = {"JPEG": _walk_jpeg, "PNG": _walk_png, "TIFF": _walk_tiff}
