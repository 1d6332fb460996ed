"""The structure of a PNG: its chunks, each with its checksum (PNG, third edition)."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from nachet_pipeline.pictures.forensics.endings import END_OF_FILE, report_tail
from nachet_pipeline.pictures.forensics.inflating import Stream, inflate, inflate_exactly, judge_in_pieces
from nachet_pipeline.pictures.forensics.metadata import Metadata
from nachet_pipeline.pictures.forensics.signatures import PICTURE_STARTS
from nachet_pipeline.pictures.issues import Issues
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.support.i18n import Bilingual

_SIGNATURE = PICTURE_STARTS["PNG"][0]
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
# Adam7: where each pass starts and how far its pixels lie apart, horizontally and vertically.
_PASSES = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2))
_NEEDED = {b"IHDR", b"PLTE", b"tRNS", b"pHYs", b"IDAT", b"IEND"}
# Sizes that the values of ancillary chunks have.
_CHUNK_SIZES: dict[bytes, int] = {
    b"cHRM": 32,
    b"cICP": 4,
    b"gAMA": 4,
    b"IEND": 0,
    b"mDCV": 24,
    b"cLLI": 8,
    b"oFFs": 9,
    b"pHYs": 9,
    b"sRGB": 1,
    b"sTER": 1,
    b"tIME": 7,
}
# By the colour type: bytes of the background, and of the numbers of significant bits.
_BACKGROUND_BYTES = {0: 2, 2: 6, 3: 1, 4: 2, 6: 6}
_SIGNIFICANT_BYTES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_PALETTE, _COLOUR_BYTES, _MOST_COLOURS = 3, 3, 256
_MOST_INFLATED_VALUES = 8
"""Values of the greatest size that are inflated; a file may hold thousands of small bombs."""


@dataclass(frozen=True, slots=True)
class PngPicture:
    """What the chunks say of a PNG.

    Attributes:
        width: in pixels.
        height: in pixels.
        bits: of a sample.
        essence: a PNG of what the pixels need and nothing else; uncompressed if it was inflated in one piece.
    """

    width: int
    height: int
    bits: int
    essence: bytes


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    start: int
    end: int

    @property
    def data(self) -> slice:
        return slice(self.start + 8, self.end - 4)

    @property
    def size(self) -> int:
        """Bytes of its value."""
        return self.end - self.start - 12


def walk_png(content: bytes, limits: PictureLimits, issues: Issues, metadata: Metadata) -> PngPicture | None:
    """Follow the chunks to the end, and inspect all that is not the image; None if it cannot be decoded."""
    chunks = _follow(content, limits, issues)
    size = _size(content, chunks, limits, issues)
    if not issues.fatal():
        _inspect_metadata(content, chunks, limits, metadata)
        _report_broken(content, chunks, issues)
        _report_palette(content, chunks, issues)
    if issues.fatal() or size is None:
        return None
    width, height, raw_bytes = size
    report_tail([content[chunks[-1].end :]], limits, issues)
    stream = b"".join([content[chunk.data] for chunk in chunks if chunk.kind == b"IDAT"])
    pixels = inflate_exactly(stream, raw_bytes)
    if pixels is None:
        _judge_pixels(stream, raw_bytes, issues)
    if issues.fatal():
        return None
    # Passed on uncompressed, since it is inflated already: decoders spend most of their time inflating.
    kept = _NEEDED if pixels is None else _NEEDED - {b"IDAT", b"IEND"}
    essence = [content[chunk.start : chunk.end] for chunk in chunks if chunk.kind in kept and not _is_broken(chunk)]
    if pixels is not None:
        essence += [_chunk(b"IDAT", zlib.compress(pixels, 0)), _chunk(b"IEND", b"")]
    return PngPicture(width, height, content[24], b"".join([_SIGNATURE, *essence]))  # IHDR comes first


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _follow(content: bytes, limits: PictureLimits, issues: Issues) -> list[_Chunk]:
    """The chunks up to IEND, or to where something is wrong."""
    chunks: list[_Chunk] = []
    view = memoryview(content)
    position = len(_SIGNATURE)
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        chunk = _Chunk(content[position + 4 : position + 8], position, position + 12 + length)
        if chunk.end > len(content) or not chunk.kind.isalpha():
            break
        (crc,) = struct.unpack_from(">I", content, chunk.end - 4)
        if zlib.crc32(view[position + 4 : chunk.end - 4]) != crc:
            name = chunk.kind.decode("ascii")
            issues.add(
                "picture-damaged",
                expected=Bilingual("a chunk as its checksum says", "un bloc conforme à sa somme de contrôle"),
                found=Bilingual(f"a damaged chunk {name}", f"un bloc {name} endommagé"),
            )
            return chunks
        chunks.append(chunk)
        if len(chunks) > limits.png_chunks:
            expected = Bilingual(f"at most {limits.png_chunks} chunks", f"au plus {limits.png_chunks} blocs")
            issues.too_complex(expected)
            return chunks
        if chunk.kind == b"IEND":
            return chunks
        position = chunk.end
    issues.add(
        "picture-damaged",
        expected=Bilingual("the end chunk of a PNG", "le bloc de fin d'un PNG"),
        found=END_OF_FILE,
    )
    return chunks


def _size(content: bytes, chunks: list[_Chunk], limits: PictureLimits, issues: Issues) -> tuple[int, int, int] | None:
    """Width, height and bytes of the pixels before compression, None if the header is wrong or too large."""
    header = content[chunks[0].data] if chunks and chunks[0].kind == b"IHDR" else b""
    width, height, depth, colour, compression, filtering, interlace = (
        struct.unpack(">IIBBBBB", header) if len(header) == 13 else (0,) * 7  # noqa: PLR2004 (IHDR's size)
    )
    if any(chunk.kind == b"acTL" for chunk in chunks):
        issues.several_pages(Bilingual("an animation", "une animation"))
    known = depth in _DEPTHS.get(colour, ()) and compression == filtering == 0 and interlace in {0, 1}
    if not known or not width or not height:
        issues.add(
            "picture-damaged",
            expected=Bilingual("the header of a PNG", "l'en-tête d'un PNG"),
            found=Bilingual("something else", "autre chose"),
        )
        return None
    if not limits.admits(width, height):
        found = Bilingual(f"{width} × {height} pixels", f"{width} × {height} pixels")  # noqa: RUF001
        issues.add("picture-too-large", expected=limits.size, found=found)
        return None
    return width, height, sum(_rows(width, height, depth * _SAMPLES[colour], interlaced=bool(interlace)))


def _rows(width: int, height: int, pixel_bits: int, *, interlaced: bool) -> Iterator[int]:
    """Bytes of each pass over the picture: rows of whole bytes, each preceded by its filter's number."""
    for left, across, top, down in _PASSES if interlaced else ((0, 1, 0, 1),):
        columns = max(0, -(-(width - left) // across))
        rows = max(0, -(-(height - top) // down))
        yield rows * (1 + -(-columns * pixel_bits // 8)) if columns else 0


def _judge_pixels(stream: bytes, raw_bytes: int, issues: Issues) -> None:
    verdict = judge_in_pieces(stream, raw_bytes)
    if verdict in {Stream.DAMAGED, Stream.SHORT}:
        issues.add(
            "picture-damaged",
            "IDAT",
            expected=Bilingual(f"{raw_bytes} bytes of pixels", f"{raw_bytes} octets de pixels"),
            found=Bilingual("less, or damaged ones", "moins, ou des octets endommagés"),
        )
    elif verdict is not Stream.EXACT:
        where = ("compressed with", "compressées avec") if verdict is Stream.LONG else ("after", "après")
        issues.add(
            "hidden-data",
            "IDAT",
            expected=Bilingual("the pixels and nothing else", "les pixels et rien d'autre"),
            found=Bilingual(f"data {where[0]} the pixels", f"des données {where[1]} les pixels"),
        )


def _is_broken(chunk: _Chunk) -> bool:
    """Whether decoders would stop at an ancillary chunk for its size."""
    return chunk.kind == b"pHYs" and chunk.size != _CHUNK_SIZES[b"pHYs"]


def _report_broken(content: bytes, chunks: list[_Chunk], issues: Issues) -> None:
    """Report values that are too short or too long for what they are, as careless programs write them."""
    colour = content[25]  # IHDR comes first
    sizes = {
        **_CHUNK_SIZES,
        b"bKGD": _BACKGROUND_BYTES[colour],
        b"sBIT": _SIGNIFICANT_BYTES[colour],
    }
    for chunk in chunks:
        right, size = sizes.get(chunk.kind), chunk.size
        if right is not None and size != right:
            issues.add(
                "damaged-metadata",
                chunk.kind.decode("ascii"),
                expected=Bilingual(f"{right} byte{'' if right == 1 else 's'}", f"{right} octet{'s' * (right > 1)}"),
                found=Bilingual(f"{size} byte{'' if size == 1 else 's'}", f"{size} octet{'s' * (size > 1)}"),
            )


def _report_palette(content: bytes, chunks: list[_Chunk], issues: Issues) -> None:
    """Report a picture that points into a palette and has none, a broken one, or two: nobody knows its colours."""
    if content[25] != _PALETTE:  # IHDR comes first
        return
    kinds = [chunk.kind for chunk in chunks]
    first = kinds.index(b"IDAT") if b"IDAT" in kinds else len(kinds)
    sizes = [chunk.size for chunk in chunks if chunk.kind == b"PLTE"]
    colours, rest = divmod(sizes[0], _COLOUR_BYTES) if sizes else (0, 0)
    if len(sizes) == 1 and b"PLTE" in kinds[:first] and not rest and 0 < colours <= _MOST_COLOURS:
        return
    issues.add(
        "picture-damaged",
        "PLTE",
        expected=Bilingual("one palette of 1 to 256 colours", "une palette de 1 à 256 couleurs"),
        found=Bilingual("none, several or a broken one", "aucune, plusieurs ou une palette abîmée"),
    )


def _inspect_metadata(content: bytes, chunks: list[_Chunk], limits: PictureLimits, metadata: Metadata) -> None:
    budget = _MOST_INFLATED_VALUES * limits.metadata_bytes
    for chunk in chunks:
        if chunk.kind == b"pHYs" and not _is_broken(chunk):
            x, y, unit = struct.unpack(">IIB", content[chunk.data])
            if unit == 1:
                metadata.declared.density("pHYs", x, y, "metre")
        if chunk.kind in {b"IHDR", b"IDAT"}:
            continue
        kind = chunk.kind.decode("ascii")
        data = content[chunk.data]
        if chunk.kind == b"eXIf":
            metadata.exif("Exif", data.removeprefix(b"Exif\0\0"))
            continue
        if chunk.kind not in {b"tEXt", b"zTXt", b"iTXt", b"iCCP"}:
            metadata.value(kind, data, text=False)
            continue
        keyword, text, compressed = _text(chunk.kind, data)
        field = f"{kind} {keyword}" if keyword else kind
        # What is not in the text itself: the keyword, and what follows a compressed text.
        metadata.value(field, data, text=False)
        if compressed:
            if budget <= 0:
                metadata.is_oversized(field, limits.metadata_bytes + 1)
                continue
            text = inflate(text, limits.metadata_bytes)
            budget -= len(text)
        if chunk.kind == b"iCCP":
            metadata.value(kind, text, text=False)
        else:
            metadata.text(field, keyword, text)


def _text(kind: bytes, data: bytes) -> tuple[str, bytes, bool]:
    """Keyword, text, and whether that is compressed."""
    keyword, _, text = data.partition(b"\0")
    name = keyword[:79].decode("latin-1")
    if kind in {b"zTXt", b"iCCP"}:
        return name, text[1:], True
    if kind == b"iTXt":
        compressed = text[:1] == b"\1"
        return name, text[2:].partition(b"\0")[2].partition(b"\0")[2], compressed
    return name, text, False
