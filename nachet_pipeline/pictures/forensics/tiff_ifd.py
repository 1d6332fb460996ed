"""The directories of tags that TIFF files and Exif blocks are made of (TIFF 6.0, section 2; BigTIFF)."""

import struct
from dataclasses import dataclass

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_RATIONALS = {5: "I", 10: "i"}
ASCII = 2


class StructureError(ValueError):
    """A directory that lies outside the data."""


class TooManyTagsError(ValueError):
    """A directory of more tags than the limit allows."""


@dataclass(frozen=True, slots=True)
class Tag:
    """An entry of a directory.

    Attributes:
        code: number of the tag.
        kind: TIFF's number of the values' type.
        count: number of values; 0 for an unknown type.
        start: where the first byte of its value lies.
        end: where the byte after its value lies; may be outside the data.
        inline: whether the value lies in the directory itself.
    """

    code: int
    kind: int
    count: int
    start: int
    end: int
    inline: bool


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory.

    Attributes:
        start: its first byte.
        end: the byte after it.
        tags: by code; the first of two with the same code.
        following: where the next directory of the chain starts, 0 if there is none.
    """

    start: int
    end: int
    tags: dict[int, Tag]
    following: int


class DirectoryReader:
    """Reads directories and values from a TIFF file or an Exif block.

    Raises:
        StructureError: the data has no header of a TIFF.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        order = {b"II": "<", b"MM": ">"}.get(content[:2])
        if order is None or len(content) < 8:  # noqa: PLR2004 (the header)
            raise StructureError("no header of a TIFF")
        self._order = order
        (version,) = struct.unpack_from(f"{order}H", content, 2)
        self.big = version == 43  # noqa: PLR2004 (BigTIFF)
        self.header_bytes = 16 if self.big else 8
        self._offset, self._count = ("Q", "Q") if self.big else ("I", "H")
        self._entry = struct.Struct(f"{order}HHQ8s" if self.big else f"{order}HHI4s")
        self.first = self._unpack(self._offset, 8 if self.big else 4)

    def _unpack(self, layout: str, place: int) -> int:
        try:
            (value,) = struct.unpack_from(f"{self._order}{layout}", self.content, place)
        except (struct.error, OverflowError):
            raise StructureError("the end of the file") from None
        return int(value)

    def directory(self, start: int, most_tags: int) -> Directory:
        """The directory at an offset.

        Raises:
            StructureError: it does not lie within the data.
            TooManyTagsError: it has more tags than asked for.
        """
        if start < self.header_bytes:
            raise StructureError("a directory within the header")
        count = self._unpack(self._count, start)
        if count > most_tags:
            raise TooManyTagsError(f"{count} tags")
        place = start + struct.calcsize(f"={self._count}")
        following_at = place + count * self._entry.size
        following = self._unpack(self._offset, following_at)
        inline_bytes = 8 if self.big else 4
        tags: dict[int, Tag] = {}
        for number, (code, kind, values, field) in enumerate(self._entry.iter_unpack(self.content[place:following_at])):
            count = values if kind in _SIZES else 0
            size = count * _SIZES.get(kind, 0)
            inline = size <= inline_bytes
            if inline:
                value_at = place + (number + 1) * self._entry.size - inline_bytes
            else:
                value_at = int.from_bytes(field, "little" if self._order == "<" else "big")
            tags.setdefault(code, Tag(code, kind, count, value_at, value_at + size, inline))
        return Directory(start, following_at + inline_bytes, tags, following)

    def holds(self, tag: Tag) -> bool:
        """Whether a tag's value lies within the data."""
        return tag.end <= len(self.content)

    def value(self, tag: Tag) -> bytes:
        """A tag's value as it is stored, without what lies outside the data."""
        return self.content[tag.start : tag.end]

    def numbers(self, tag: Tag | None) -> tuple[int, ...]:
        """A tag's whole numbers; none if it is absent, incomplete or of another type."""
        layout = _WHOLE_NUMBERS.get(tag.kind) if tag else None
        if tag is None or layout is None or not self.holds(tag):
            return ()
        return struct.unpack_from(f"{self._order}{tag.count}{layout}", self.content, tag.start)

    def rationals(self, tag: Tag | None) -> tuple[tuple[int, int], ...]:
        """A tag's fractions; none if it is absent, incomplete or of another type."""
        layout = _RATIONALS.get(tag.kind) if tag else None
        if tag is None or layout is None or not self.holds(tag):
            return ()
        flat = struct.unpack_from(f"{self._order}{2 * tag.count}{layout}", self.content, tag.start)
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    def number(self, tag: Tag | None, default: int) -> int:
        """A tag's first whole number."""
        if tag is None or tag.count == 0:
            return default
        single = Tag(tag.code, tag.kind, 1, tag.start, tag.start + _SIZES.get(tag.kind, 0), tag.inline)
        return next(iter(self.numbers(single)), default)
