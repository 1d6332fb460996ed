"""The structure of a TIFF or BigTIFF: its directories, its strips or tiles, and every byte that is neither."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from threading import local

from nachet_pipeline.pictures.forensics.byte_ranges import ByteRanges
from nachet_pipeline.pictures.forensics.endings import END_OF_FILE, TOLERATED_BYTES, report_tail
from nachet_pipeline.pictures.forensics.formats import CAMERA_RAW
from nachet_pipeline.pictures.forensics.inflating import (
    LZW_END_BYTES,
    Stream,
    ends_as_lzw,
    judge_lzw,
    judge_stream,
    undo_differences,
)
from nachet_pipeline.pictures.forensics.jpeg import walk_embedded_jpeg
from nachet_pipeline.pictures.forensics.metadata import EXIF, GPS, INTEROP, Metadata, tag_name
from nachet_pipeline.pictures.forensics.signatures import harmful, harmful_in_pixels
from nachet_pipeline.pictures.forensics.tiff_ifd import (
    Directory,
    DirectoryReader,
    StructureError,
    Tag,
    TooManyTagsError,
)
from nachet_pipeline.pictures.forensics.tiff_pages import A_SLIDE, Page, is_slide, planes_in_imagej, tell_pages
from nachet_pipeline.pictures.issues import Issues
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.support.i18n import Bilingual

_RAW, _LZW, _DEFLATE = 1, 5, {8, 32946}
_SUBFILE, _OLD_SUBFILE, _DESCRIPTION, _SUB_DIRECTORIES = 254, 255, 270, 330
_REDUCED_OR_MASK, _PAGE_OF_SEVERAL = 0b101, 0b10
_OLD_REDUCED, _OLD_PAGE, _PAGE_NUMBER = 2, 3, 297
_TILE_WIDTH, _TILE_LENGTH, _DNG_VERSION = 322, 323, 50706
_COLOUR_FILTER, _LINEAR_RAW = 32803, 34892
# A directory that does not call itself a thumbnail, as some cameras write it: this small, and this much smaller.
_THUMBNAIL_SIDE, _THUMBNAIL_FACTOR = 640, 16
_OLD_JPEG = 6
_LZMA_START = b"\xfd7zXZ\x00"  # a strip of LZMA is an archive of its own kind
_TILE_OFFSETS, _TILE_COUNTS, _STRIP_OFFSETS, _STRIP_COUNTS = 324, 325, 273, 279
_PHOTOMETRIC, _YCBCR, _SUBSAMPLING, _SEPARATE = 262, 6, 530, 2
_BLACK_IS_ZERO, _RGB, _BYTE_BITS = 1, 2, 8
_JPEG_START, _JPEG_SIZE = 513, 514
_MOST_BITS = 64
_PREDICTOR, _DIFFERENCES = 317, 2
_FILL_ORDER, _LOW_BIT_FIRST, _JPEG_TABLES, _METAMORPH = 266, 2, 347, 33629
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_SHARED_METADATA = 1024 * 1024
_MOST_KEPT = 64 * 1024 * 1024
MAIN, PAGE, SUB = "main", "page", "sub"


@dataclass(frozen=True, slots=True)
class Segment:
    """A strip or a tile: where its bytes lie, and how many bytes of pixels it stands for.

    Attributes:
        start: its first byte.
        end: the byte after it.
        least: bytes of those of its pixels that lie in the picture, 0 if that depends on the contents.
        most: bytes of all its pixels.
    """

    start: int
    end: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class TiffPicture:
    """What the main directory says of a TIFF.

    Attributes:
        width: in pixels, as stored.
        height: in pixels, as stored.
        bits: of a sample.
        samples: of a pixel.
        photometric: TIFF's number of what the samples mean.
        compression: TIFF's number of it.
        orientation: Exif's number of it.
        jpeg_tables: what all its strips have in common, if they are JPEGs.
        segments: its strips or tiles.
        verified: whether all strips were decompressed and hold what they should. Decoding cannot fail then, and they
            are not decompressed twice.
        subsampled: whether several pixels share their colour.
        tiles_as_strips: whether the places of its tiles are kept where those of strips belong; not every decoder knows.
        samples_read: the decompressed pixels, as rows of 8-bit samples, valid until the next picture is walked; None
            if they are stored in another way, or were not asked for.
    """

    width: int
    height: int
    bits: int
    samples: int
    photometric: int
    compression: int
    orientation: int
    jpeg_tables: bytes
    segments: tuple[Segment, ...]
    verified: bool = False
    subsampled: bool = False
    tiles_as_strips: bool = False
    samples_read: memoryview | None = field(default=None, repr=False)


def walk_tiff(
    content: bytes, limits: PictureLimits, issues: Issues, metadata: Metadata, *, measured: bool = False
) -> TiffPicture | None:
    """Follow all directories, and inspect all that is not the image; None if it cannot be decoded.

    Args:
        content: the file's bytes.
        limits: what no picture may exceed.
        issues: receives what is found.
        metadata: inspects the values.
        measured: whether the pixels will be measured; then they are kept where they are decompressed anyway.
    """
    try:
        reader = DirectoryReader(content)
    except StructureError:
        _outside(issues, None)
        return None
    return _Walk(reader, limits, issues, metadata, measured=measured).follow()


def _outside(issues: Issues, field: str | None) -> None:
    issues.add(
        "picture-damaged",
        field,
        expected=Bilingual("tags and pixels inside the file", "des étiquettes et des pixels dans le fichier"),
        found=END_OF_FILE,
    )


class _Buffer(local):
    """A buffer for decompressed strips, by thread. It is reused: allocating takes as long as decompressing."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def of(self, size: int) -> memoryview:
        """So many bytes with any content, valid until the next call."""
        if size > _MOST_KEPT:
            return memoryview(bytearray(size))
        if len(self._kept) < size:
            self._kept = bytearray(size)
        return memoryview(self._kept)[:size]


_BUFFER = _Buffer()


class _Walk:
    """A walk through the directories of one file."""

    def __init__(
        self, reader: DirectoryReader, limits: PictureLimits, issues: Issues, metadata: Metadata, *, measured: bool
    ) -> None:
        self._reader = reader
        self._limits = limits
        self._issues = issues
        self._metadata = metadata
        self._measured = measured
        self._read: memoryview | None = None
        self._byte_ranges = ByteRanges()
        self._value_bytes = 0
        self._more = False
        self._directories: list[tuple[str | int, Directory]] = []

    def follow(self) -> TiffPicture | None:
        issues = self._issues
        self._byte_ranges.add(0, self._reader.header_bytes)
        self._collect()
        if not self._directories or self._directories[0][0] != MAIN:
            return None
        for _, directory in self._directories:
            self._place_values(directory)
        main = self._directories[0][1]
        self._report_raw(main)
        if not issues.fatal():
            self._report_pages(main)
        if self._more and not issues.fatal():  # of a stack that is told already
            most = self._limits.tiff_directories
            issues.too_complex(Bilingual(f"at most {most} directories", f"au plus {most} répertoires"))
        picture = None if issues.fatal() else self._picture(main)
        if picture is None or issues.fatal():
            return None
        for role, directory in self._directories:
            segments = picture.segments if role == MAIN else ()
            if role in {PAGE, SUB}:
                segments = self._segments(directory)
                self._judge_reduced(directory, segments)
            self._judge_preview(directory, segments)
            self._metadata.directory(self._reader, role if isinstance(role, int) else 0, directory)
        if issues.fatal():
            return None
        verified = self._judge_contents(picture) and self._is_predicted_simply(main, picture)
        picture = replace(picture, verified=verified, samples_read=self._samples(main, picture) if verified else None)
        self._search_pixels(picture)
        self._report_frames(main, picture)
        if not issues.fatal():
            self._byte_ranges.report(self._reader.content, self._limits, issues)
        return None if issues.fatal() else picture

    def _collect(self) -> None:
        """Read all directories, each once."""
        waiting: list[tuple[str | int, int]] = [(MAIN, self._reader.first)]
        seen: set[int] = set()
        most = self._limits.tiff_directories
        while waiting:
            role, start = waiting.pop()
            if start in seen:
                self._issues.too_complex(
                    Bilingual("directories in a chain", "des répertoires en chaîne"),
                    Bilingual("a directory that leads back to itself", "un répertoire qui ramène à lui-même"),
                )
                continue
            if len(seen) >= most:
                self._more = True
                return
            seen.add(start)
            directory = self._directory(role, start)
            if directory is not None:
                self._directories.append((role, directory))
                waiting += self._leads_to(role, directory)

    def _directory(self, role: str | int, start: int) -> Directory | None:
        try:
            directory = self._reader.directory(start, self._limits.tiff_tags)
        except StructureError:
            _outside(self._issues, tag_name(role) if isinstance(role, int) else None)
            return None
        except TooManyTagsError:
            most = self._limits.tiff_tags
            expected = Bilingual(f"at most {most} tags in a directory", f"au plus {most} étiquettes par répertoire")
            self._issues.too_complex(expected)
            return None
        self._byte_ranges.add(directory.start, directory.end)
        return directory

    def _leads_to(self, role: str | int, directory: Directory) -> Iterator[tuple[str | int, int]]:
        """The directories that one points to; a successor of an Exif directory is ignored."""
        if role in {MAIN, PAGE} and directory.following:
            yield PAGE, directory.following
        for code in (EXIF, GPS, INTEROP):
            yield from ((code, place) for place in self._reader.numbers(directory.tags.get(code))[:1] if place)
        if role in {MAIN, PAGE}:
            places = self._reader.numbers(directory.tags.get(_SUB_DIRECTORIES))
            # One more than allowed shows that there are too many.
            yield from ((SUB, place) for place in places[: self._limits.tiff_directories + 1] if place)

    def _place_values(self, directory: Directory) -> None:
        """Check that every value lies in the file, and that together they are not larger than the file."""
        for tag in directory.tags.values():
            if not self._reader.holds(tag):
                _outside(self._issues, tag_name(tag.code))
            elif not tag.inline:
                self._byte_ranges.add(tag.start, tag.end)
                self._value_bytes += tag.end - tag.start
        if self._value_bytes > len(self._reader.content) + _SHARED_METADATA:
            self._issues.too_complex(
                Bilingual("values that each have their own bytes", "des valeurs qui ont chacune leurs octets"),
                Bilingual("values that share theirs", "des valeurs qui partagent les leurs"),
            )

    def _report_raw(self, main: Directory) -> None:
        """Report the file of a camera's sensor, or one with nothing but a thumbnail where other programs look."""
        tags = main.tags
        below = max((self._size(one) for role, one in self._directories if role == SUB), default=0)
        is_thumbnail = self._is_reduced(main) and below > self._size(main)
        photometric = {self._number(directory, _PHOTOMETRIC, 1) for _, directory in self._directories}
        is_raw = bool(photometric & {_COLOUR_FILTER, _LINEAR_RAW}) or self._reader.content[8:10] == b"CR"
        if _DNG_VERSION in tags or is_raw or is_thumbnail:
            CAMERA_RAW.report(self._issues)

    def _report_pages(self, main: Directory) -> None:
        """Report a second picture; a thumbnail or a mask is none."""
        size = self._size(main)
        pages = [main]
        for role, directory in self._directories:
            if role not in {PAGE, SUB} or self._is_reduced(directory) or self._is_thumbnail(directory, main):
                continue
            if role == PAGE or self._size(directory) >= size:
                pages.append(directory)
        description = self._description(main)
        if len(pages) > 1:
            found_pages = [self._page(one) for one in pages]
            code, found = tell_pages(description, found_pages, len(pages), more=self._more)
            self._issues.several_pages(found, code)
            return
        levels = sum(self._is_reduced(directory) for role, directory in self._directories if role in {PAGE, SUB})
        large = not self._limits.admits(self._number(main, 256, 0), self._number(main, 257, 0))
        if large and self._is_tiled(main) and (levels > 1 or is_slide(description)):
            self._issues.several_pages(A_SLIDE, "slide-pyramid")

    def _page(self, directory: Directory) -> Page:
        numbered = (
            _PAGE_NUMBER in directory.tags
            or bool(self._number(directory, _SUBFILE, 0) & _PAGE_OF_SEVERAL)
            or self._number(directory, _OLD_SUBFILE, 0) == _OLD_PAGE
        )
        width, height = self._number(directory, 256, 0), self._number(directory, 257, 0)
        return Page(width, height, self._is_tiled(directory), numbered)

    def _description(self, main: Directory) -> bytes:
        return self._value(main, _DESCRIPTION)

    def _value(self, directory: Directory, code: int) -> bytes:
        tag = directory.tags.get(code)
        return self._reader.value(tag) if tag else b""

    @staticmethod
    def _is_tiled(directory: Directory) -> bool:
        """Whether it has tiles; some writers keep their places where those of strips belong."""
        return _TILE_OFFSETS in directory.tags or {_TILE_WIDTH, _TILE_LENGTH} <= directory.tags.keys()

    def _is_thumbnail(self, directory: Directory, main: Directory) -> bool:
        """Whether a directory shows the picture in small without saying so: an Exif thumbnail, or a tiny picture."""
        if not directory.tags.keys() & {_STRIP_OFFSETS, _TILE_OFFSETS}:
            return _JPEG_START in directory.tags
        sides = self._number(directory, 256, 0), self._number(directory, 257, 0)
        return max(sides) <= _THUMBNAIL_SIDE and self._size(directory) * _THUMBNAIL_FACTOR <= self._size(main)

    def _is_reduced(self, directory: Directory) -> bool:
        kind = self._reader.number(directory.tags.get(_SUBFILE), 0)
        return bool(kind & _REDUCED_OR_MASK) or self._reader.number(directory.tags.get(_OLD_SUBFILE), 0) == _OLD_REDUCED

    def _size(self, directory: Directory) -> int:
        return self._number(directory, 256, 0) * self._number(directory, 257, 0)

    def _number(self, directory: Directory, code: int, default: int) -> int:
        return self._reader.number(directory.tags.get(code), default)

    def _picture(self, main: Directory) -> TiffPicture | None:
        width, height = self._number(main, 256, 0), self._number(main, 257, 0)
        if width <= 0 or height <= 0:
            self._issues.add(
                "picture-damaged",
                expected=Bilingual("width and height of the picture", "la largeur et la hauteur de l'image"),
                found=Bilingual("none", "rien de tel"),
            )
            return None
        if not self._limits.admits(width, height):
            found = Bilingual(f"{width} × {height} pixels", f"{width} × {height} pixels")  # noqa: RUF001
            self._issues.add("picture-too-large", expected=self._limits.size, found=found)
            return None
        segments = self._segments(main)
        if not segments:
            if not self._issues.fatal():
                _outside(self._issues, "StripOffsets")
            return None
        return TiffPicture(
            width=width,
            height=height,
            bits=self._number(main, 258, 1),
            samples=self._number(main, 277, 1),
            photometric=self._number(main, 262, 1),
            compression=self._number(main, 259, _RAW),
            orientation=self._number(main, 274, 1),
            jpeg_tables=self._value(main, _JPEG_TABLES),
            segments=segments,
            subsampled=self._is_subsampled(main),
            tiles_as_strips=self._is_tiled(main) and _TILE_OFFSETS not in main.tags,
        )

    def _segments(self, directory: Directory) -> tuple[Segment, ...]:
        """Record the ranges of a directory's strips or tiles; empty if they lie outside the file."""
        start, size = self._number(directory, _JPEG_START, 0), self._number(directory, _JPEG_SIZE, 0)
        if start and size:
            self._hold(start, start + size, "JPEGInterchangeFormat")
        # Old JPEG: the strips are parts of that one.
        around = range(start, start + size + 1) if self._number(directory, 259, _RAW) == _OLD_JPEG else range(0)
        tiled = self._is_tiled(directory)
        tags = directory.tags
        offsets_tag = (tags.get(_TILE_OFFSETS) if tiled else None) or tags.get(_STRIP_OFFSETS)
        counts_tag = (tags.get(_TILE_COUNTS) if tiled else None) or tags.get(_STRIP_COUNTS)
        if offsets_tag is None:
            return ()
        most = self._limits.tiff_strips
        if max(offsets_tag.count, counts_tag.count if counts_tag else 0) > most:
            expected = Bilingual(f"at most {most} strips or tiles", f"au plus {most} bandes ou tuiles")
            self._issues.too_complex(expected)
            return ()
        label = tag_name(offsets_tag.code)
        wanted = self._layout(directory, tiled=tiled)
        offsets = self._reader.numbers(offsets_tag)
        if wanted is None or len(offsets) < len(wanted):
            if not self._issues.fatal():
                _outside(self._issues, label)
            return ()
        counts = self._counts(directory, counts_tag, offsets, wanted)
        if len(counts) < len(wanted):
            _outside(self._issues, tag_name(counts_tag.code if counts_tag else _STRIP_COUNTS))
            return ()
        segments = tuple(
            Segment(offset, offset + count, *sizes)
            for offset, count, sizes in zip(offsets, counts, wanted, strict=False)
        )
        for segment in segments:
            within = segment.start in around and segment.end in around
            if not within and not self._hold(segment.start, segment.end, label):
                return ()
        return segments

    def _hold(self, start: int, end: int, label: str) -> bool:
        if not 0 < start < end <= len(self._reader.content):
            _outside(self._issues, label)
            return False
        self._byte_ranges.add(start, end)
        return True

    def _counts(
        self, directory: Directory, tag: Tag | None, offsets: tuple[int, ...], wanted: list[tuple[int, int]]
    ) -> tuple[int, ...]:
        """Bytes of each strip; old writers leave them out or at zero if there is only one strip."""
        counts = self._reader.numbers(tag)
        if len(wanted) != 1 or any(counts[:1]):
            return counts
        if self._number(directory, 259, _RAW) == _RAW:
            return (wanted[0][0],)
        return (self._byte_ranges.start_after(offsets[0], len(self._reader.content)) - offsets[0],)

    def _layout(self, directory: Directory, *, tiled: bool) -> list[tuple[int, int]] | None:
        """For each strip or tile, bytes of its pixels in the picture and in all; None if the tags make no sense."""
        width, height = self._number(directory, 256, 0), self._number(directory, 257, 0)
        samples = self._number(directory, 277, 1)
        bits = self._reader.numbers(directory.tags.get(258)) or (1,)
        across = self._number(directory, 322, 0) if tiled else width
        down = self._number(directory, 323, 0) if tiled else min(self._number(directory, 278, height) or height, height)
        if min(width, height, samples, across, down, *bits) <= 0 or max(bits) > _MOST_BITS:
            return None
        if not self._limits.admits(across, down):
            found = Bilingual(f"a tile of {across} × {down} pixels", f"une tuile de {across} × {down} pixels")  # noqa: RUF001
            self._issues.add("picture-too-large", expected=self._limits.size, found=found)
            return None
        separate = self._number(directory, 284, 1) == _SEPARATE
        pixel_bits = max(bits) if separate else sum(bits) if len(bits) == samples else bits[0] * samples
        columns, rows = -(-width // across), -(-height // down)
        planes = samples if separate else 1
        if columns * rows * planes > self._limits.tiff_strips:
            return None
        if self._is_subsampled(directory) and not separate:
            return self._subsampled_layout(directory, (across, down), (columns, rows), tiled=tiled)
        if self._is_subsampled(directory) or (separate and len(set(bits)) > 1):
            pixel_bits = 0  # the decoder judges that
        full = -(-across * pixel_bits // 8) * down
        last = full if tiled else -(-across * pixel_bits // 8) * (height - (rows - 1) * down)
        plane = [(full, full)] * (columns * (rows - 1)) + [(last, full)] * columns
        return plane * planes

    def _subsampled_layout(
        self, directory: Directory, size: tuple[int, int], number: tuple[int, int], *, tiled: bool
    ) -> list[tuple[int, int]]:
        """Like `_layout`, of a picture in which several pixels share their colour; zeros where it is compressed."""
        (across, down), (columns, rows) = size, number
        sampling = self._reader.numbers(directory.tags.get(_SUBSAMPLING))[:2] or (2, 2)
        if self._number(directory, 259, _RAW) != _RAW or len(sampling) < 2 or 0 in sampling:  # noqa: PLR2004 (two axes)
            return [(0, 0)] * (columns * rows)  # the decoder judges that
        wide, high = sampling
        left = down if tiled else self._number(directory, 257, 0) - (rows - 1) * down
        full, last = (-(-across // wide) * -(-part // high) * (wide * high + 2) for part in (down, left))
        return [(full, full)] * (columns * (rows - 1)) + [(last, full)] * columns

    def _is_subsampled(self, directory: Directory) -> bool:
        """Whether there are fewer samples of colour than of brightness."""
        sampling = self._reader.numbers(directory.tags.get(_SUBSAMPLING)) or (2, 2)
        return self._number(directory, _PHOTOMETRIC, 1) == _YCBCR and set(sampling) != {1}

    def _judge_contents(self, picture: TiffPicture) -> bool:
        """Whether the strips or tiles were decompressed and hold what they should; report what is wrong."""
        if not all(segment.most for segment in picture.segments):
            return False
        if picture.compression == _RAW:
            self._judge_raw(picture)
        elif picture.compression in _DEFLATE:
            return self._judge_streams(picture, self._judge_deflate)
        elif picture.compression == _LZW and not self._is_old_lzw(picture):
            return self._judge_lzw(picture)
        return False

    def _judge_lzw(self, picture: TiffPicture) -> bool:
        most = max(segment.most for segment in picture.segments)
        surplus = 2 * TOLERATED_BYTES
        kept = self._measured and self._is_plain(picture)
        buffer = _BUFFER.of(most * (len(picture.segments) if kept else 1) + surplus)
        places = iter(range(0, len(buffer), most))

        def judge(stream: bytes, segment: Segment) -> Stream:
            # The next strip overwrites the surplus of this one.
            start = next(places) if kept else 0
            return judge_lzw(stream, segment.least, segment.most, buffer[start : start + most + surplus])

        complete = self._judge_streams(picture, judge)
        self._read = buffer if kept and complete else None
        return complete

    @staticmethod
    def _is_plain(picture: TiffPicture) -> bool:
        """Whether its strips, one after the other, are its pixels as Pillow would give them."""
        row = picture.width * picture.samples
        return (
            (picture.photometric, picture.samples) in {(_BLACK_IS_ZERO, 1), (_RGB, 3)}
            and picture.bits == _BYTE_BITS
            and picture.orientation == 1
            and all(segment.most % row == 0 for segment in picture.segments)
            and sum(segment.least for segment in picture.segments) == row * picture.height
        )

    def _samples(self, main: Directory, picture: TiffPicture) -> memoryview | None:
        """The pixels, if they were kept when they were decompressed."""
        if self._read is None or self._is_tiled(main) or self._number(main, 284, 1) == _SEPARATE:
            return None
        samples = self._read[: picture.width * picture.samples * picture.height]
        if self._number(main, _PREDICTOR, 1) == _DIFFERENCES:
            undo_differences(samples, (picture.height, picture.width, picture.samples))
        return samples

    def _is_predicted_simply(self, main: Directory, picture: TiffPicture) -> bool:
        """Whether pixels are stored as they are, or as differences of whole bytes: what any decoder knows."""
        predictor = self._number(main, _PREDICTOR, 1)
        return predictor == 1 or (predictor == _DIFFERENCES and picture.bits in {8, 16, 32})

    def _is_old_lzw(self, picture: TiffPicture) -> bool:
        """The LZW of before 1992, with its bits the other way round."""
        first = picture.segments[0]
        start = self._stream(first.start, min(first.start + 2, first.end))
        return start[:1] == b"\0" and bool(start[-1] & 1)

    def _stream(self, start: int, end: int) -> bytes:
        """The bytes of a strip or a part of it, each with its highest bit first."""
        stream = self._reader.content[start:end]
        low_bit_first = self._number(self._directories[0][1], _FILL_ORDER, 1) == _LOW_BIT_FIRST
        return stream.translate(_REVERSED) if low_bit_first else stream

    def _judge_raw(self, picture: TiffPicture) -> None:
        """Uncompressed strips have a known size, which some writers round up."""
        if any(segment.end - segment.start < segment.least for segment in picture.segments):
            self._issues.add(
                "picture-damaged",
                "StripByteCounts",
                expected=Bilingual("strips as long as their pixels", "des bandes aussi longues que leurs pixels"),
                found=Bilingual("shorter ones", "des bandes plus courtes"),
            )
            return
        surplus = [(segment.end - segment.start - segment.most, segment) for segment in picture.segments]
        over = [(size, segment) for size, segment in surplus if size > 0]
        if any(size > self._limits.overlap_bytes for size, _ in over) or (
            sum(size for size, _ in over) > self._limits.gap_bytes
            and any(any(self._reader.content[part.start + part.most : part.end]) for _, part in over)
        ):
            self._hidden(Bilingual("longer ones", "des bandes plus longues"))

    @staticmethod
    def _judge_deflate(stream: bytes, segment: Segment) -> Stream:
        verdict = judge_stream(stream, segment.least)
        if verdict is Stream.LONG and segment.least < segment.most:  # some writers fill up the last strip
            verdict = judge_stream(stream, segment.most)
        return verdict

    def _judge_streams(self, picture: TiffPicture, judge: Callable[[bytes, Segment], Stream]) -> bool:
        """Whether every strip decompresses to its pixels, and nothing else is compressed with them or follows them."""
        for segment in picture.segments:
            verdict = judge(self._stream(segment.start, segment.end), segment)
            if verdict in {Stream.DAMAGED, Stream.SHORT}:
                self._issues.add(
                    "picture-damaged",
                    "StripOffsets",
                    expected=Bilingual("strips that hold their pixels", "des bandes qui contiennent leurs pixels"),
                    found=Bilingual("a damaged one", "une bande endommagée"),
                )
                return False
            if verdict is Stream.ODD:
                self._issues.add(
                    "unused-bytes",
                    "StripOffsets",
                    expected=Bilingual("strips that hold their pixels", "des bandes qui contiennent leurs pixels"),
                    found=Bilingual(
                        "a few bytes more, often a sign of damage",
                        "quelques octets de plus, souvent un signe de dommage",
                    ),
                )
            elif verdict is not Stream.EXACT:
                self._hidden(Bilingual("more data", "des données en plus"))
        return True

    def _search_pixels(self, picture: TiffPicture) -> None:
        """Search what lies with the pixels of a strip, and is none; whole deflate and LZW leave no room for that."""
        content, segments = self._reader.content, picture.segments
        if picture.compression in _DEFLATE and picture.verified:
            return
        ends = (self._stream(max(one.start, one.end - LZW_END_BYTES), one.end) for one in segments)
        if picture.compression == _LZW and all(map(ends_as_lzw, ends)):
            return
        if picture.compression == _RAW and all(segment.most for segment in segments):
            what = harmful(b"".join(content[one.start + one.most : one.end] for one in segments), text=True)
        else:
            stream = content[min(one.start for one in segments) : max(one.end for one in segments)]
            what = harmful_in_pixels(stream.replace(_LZMA_START, b""))
        if what is not None:
            self._hidden(Bilingual(f"something that looks like {what.en}", f"ce qui ressemble à {what.fr}"))

    def _hidden(self, found: Bilingual) -> None:
        expected = Bilingual("strips of the pixels alone", "des bandes qui ne contiennent que les pixels")
        self._issues.add("hidden-data", "StripByteCounts", expected=expected, found=found)

    def _judge_reduced(self, directory: Directory, segments: tuple[Segment, ...]) -> None:
        """Search the pixels of a thumbnail or a mask, which nobody decodes, for what is no pixel."""
        compression = self._number(directory, 259, _RAW)
        if self._search(segments):
            return
        for segment in segments:
            if not segment.most:
                continue
            stream = self._reader.content[segment.start : segment.end]
            if compression == _RAW:
                more = len(stream) - segment.most > self._limits.overlap_bytes
            else:
                more = compression in _DEFLATE and self._judge_deflate(stream, segment) in {
                    Stream.LONG,
                    Stream.FOLLOWED,
                }
            if more:
                self._hidden(Bilingual("more data", "des données en plus"))

    def _search(self, segments: tuple[Segment, ...]) -> bool:
        """Whether something harmful lies in strips whose end the walk cannot tell; report it."""
        for segment in segments:
            stream = self._reader.content[segment.start : segment.end]
            what = harmful(stream.removeprefix(_LZMA_START), text=False)
            if what is not None:
                self._hidden(Bilingual(f"something that looks like {what.en}", f"ce qui ressemble à {what.fr}"))
                return True
        return False

    def _judge_preview(self, directory: Directory, segments: tuple[Segment, ...]) -> None:
        """Follow the JPEG that some cameras keep as a thumbnail; in old JPEG, the strips are parts of it."""
        start, size = self._number(directory, _JPEG_START, 0), self._number(directory, _JPEG_SIZE, 0)
        content = self._reader.content[start : start + size]
        if not start or not content:
            return
        whole = self._number(directory, 259, _RAW) != _OLD_JPEG or not segments
        picture = walk_embedded_jpeg(content, self._limits, self._issues, 0) if whole else None
        if picture is not None:
            report_tail([content[picture.end :]], self._limits, self._issues)
        else:
            self._metadata.value("JPEGInterchangeFormat", content, text=False)

    def _report_frames(self, main: Directory, picture: TiffPicture) -> None:
        """Report a large stack of ImageJ, or one of MetaMorph: one directory only, one picture after the other."""
        description = self._description(main)
        frames = planes_in_imagej(description)
        if _METAMORPH in main.tags:  # a value for each plane
            frames = max(frames, main.tags[_METAMORPH].count)
        end = max(segment.end for segment in picture.segments)
        frame = sum(segment.least for segment in picture.segments)
        if frames > 1 and frame and len(self._reader.content) - end >= frame:
            code, found = tell_pages(description, [self._page(main)], frames)
            self._issues.several_pages(found, code)
