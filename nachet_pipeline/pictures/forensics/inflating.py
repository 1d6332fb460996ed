"""Check that a compressed stream holds exactly its pixels, in memory that is bounded by the expected size."""

import struct
import zlib
from enum import StrEnum

from nachet_pipeline.pictures.forensics.endings import TOLERATED_BYTES

_IN_ONE_PIECE = 64 * 1024 * 1024
_PIECE = 1024 * 1024
# The code that ends LZW is 257, in nine to twelve bits, with zeros up to a whole byte or word.
_LZW_END, _LZW_END_BITS = 257, 0x1FF
LZW_END_BYTES = 5
"""The last bytes of a stream in which that code lies."""

# A TIFF's header and an entry of its directory, in which one byte more is asked of libtiff than there should be.
_HEADER, _ENTRY, _LONG = struct.Struct("<2sHI"), struct.Struct("<HHII"), 4
_LACKS_ONE = "(short 1 bytes)"


class Stream(StrEnum):
    """What a deflate stream turned out to be."""

    EXACT = "exact"
    DAMAGED = "damaged"
    SHORT = "short"
    LONG = "long"
    FOLLOWED = "followed"
    ODD = "odd"


def judge_stream(stream: bytes, expected: int) -> Stream:
    """Inflate a zlib stream and compare it with what its picture needs.

    Args:
        stream: the compressed bytes.
        expected: bytes that the picture needs.

    Returns:
        `EXACT` if that is what it holds and its checksum is right; `LONG` if it inflates to more, `FOLLOWED` if bytes
        follow its end.
    """
    return Stream.EXACT if inflate_exactly(stream, expected) is not None else judge_in_pieces(stream, expected)


def inflate_exactly(stream: bytes, expected: int) -> bytes | None:
    """Inflate a zlib stream, three times faster than zlib; None if it does not hold exactly what its picture needs.

    None too if that is a lot. `judge_in_pieces` then decides, and says what is wrong.
    """
    if expected > _IN_ONE_PIECE:
        return None
    from imagecodecs import DeflateError, deflate_decode  # noqa: PLC0415 (slow to import, and needed in workers alone)

    try:
        content = bytes(deflate_decode(stream, out=expected))
    except DeflateError:
        return None
    # The checksum ends the stream, so additional bytes are noticed.
    right = len(content) == expected and stream[-4:] == zlib.adler32(content).to_bytes(4, "big")
    return content if right else None


def judge_in_pieces(stream: bytes, expected: int) -> Stream:
    """Like `judge_stream`, with one piece of the pixels in memory at a time."""
    inflater = zlib.decompressobj()
    size = 0
    waiting = stream
    try:
        while not inflater.eof:
            piece = inflater.decompress(waiting, _PIECE)
            size += len(piece)
            waiting = inflater.unconsumed_tail
            if size > expected + TOLERATED_BYTES:
                return Stream.LONG
            if not piece and not waiting and not inflater.eof:
                return Stream.SHORT
    except zlib.error:
        return Stream.DAMAGED
    if size < expected:
        return Stream.SHORT
    unused = inflater.unused_data
    return Stream.FOLLOWED if len(unused) > TOLERATED_BYTES and any(unused) else Stream.EXACT


def judge_lzw(stream: bytes, least: int, most: int, buffer: memoryview) -> Stream:
    """Decode TIFF's LZW. It has no checksum: damage shows in the number of bytes, if at all.

    Args:
        stream: the compressed bytes.
        least: bytes that the picture needs.
        most: bytes that some writers fill them up to.
        buffer: receives the pixels; larger than `most` by more than `TOLERATED_BYTES`. It is reused, because
            allocating takes as long as decoding.

    Returns:
        `ODD` if it holds a few bytes more, as half of all damaged streams do, and perhaps those of some writer.
    """
    if _libtiff_holds(stream, least, buffer):
        return Stream.EXACT
    from imagecodecs import LzwError, lzw_decode  # noqa: PLC0415 (as above)

    try:
        size = len(lzw_decode(stream, out=buffer))
    except LzwError:
        return Stream.DAMAGED
    if size in {least, most}:
        return Stream.EXACT
    if size < least:
        return Stream.SHORT
    surplus = size - (least if size < most else most)
    return Stream.ODD if surplus <= TOLERATED_BYTES else Stream.LONG


def _libtiff_holds(stream: bytes, size: int, buffer: memoryview) -> bool:
    """Whether libtiff reads exactly so many bytes from an LZW stream, in 0.6 of the time of a decoder that counts.

    It is asked for one byte more, and says how many it lacks. Of 250,000 streams with damage, none passed that did not
    hold exactly these bytes. False where it says anything else: the other decoder then finds out what is wrong.
    """
    import numpy as np  # noqa: PLC0415 (needed in workers alone)
    from imagecodecs import TiffError, tiff_decode  # noqa: PLC0415 (as above)

    tags = ((256, size + 1), (257, 1), (258, 8), (259, 5), (262, 1), (273, _HEADER.size), (278, 1), (279, len(stream)))
    directory = _HEADER.size + len(stream)
    header = _HEADER.pack(b"II", 42, directory)
    entries = b"".join(_ENTRY.pack(code, _LONG, 1, value) for code, value in tags)
    file = b"".join((header, stream, len(tags).to_bytes(2, "little"), entries, bytes(4)))
    try:
        tiff_decode(file, out=np.frombuffer(buffer, "uint8", size + 1).reshape(1, size + 1))
    except TiffError as error:
        return _LACKS_ONE in str(error)
    return False


def ends_as_lzw(stream: bytes) -> bool:
    """Whether the last bits of a stream are the code that ends TIFF's LZW.

    What is appended has others: of random data less than one stream in 200 passes for an end, of text none.
    """
    last = int.from_bytes(stream[-LZW_END_BYTES:], "big")
    return (last >> max(0, (last & -last).bit_length() - 1)) & _LZW_END_BITS == _LZW_END


def undo_differences(samples: memoryview, shape: tuple[int, int, int]) -> None:
    """Turn differences from pixel to pixel (TIFF's predictor 2) into pixels, in place.

    Args:
        samples: bytes.
        shape: rows, columns and samples of a pixel.
    """
    import numpy as np  # noqa: PLC0415 (needed in workers alone)
    from imagecodecs import delta_decode  # noqa: PLC0415 (as above)

    array = np.frombuffer(samples, dtype="uint8").reshape(shape)
    array[:] = delta_decode(array, axis=1)


def inflate(stream: bytes, most: int) -> bytes:
    """Inflate a zlib stream as far as it can be read, to at most one byte more than asked for."""
    inflater = zlib.decompressobj()
    try:
        return inflater.decompress(stream, most + 1)
    except zlib.error:
        return b""
