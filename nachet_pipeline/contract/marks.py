"""What marks a staged folder: `_COMPLETE`, which may list the files that belong to it, and `_WITHDRAWN`.

`_COMPLETE` without a list says that the folder is complete; every file in it belongs. A list begins with the line
`files:`, and each further line names a file: its path alone, or its SHA-256, its size in bytes and its path. `nachet
stage` writes such a list. Whoever may not delete staged files thereby leaves them out. While a folder that is
staged already is changed, `_COMPLETE` begins with the line `staging`.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO, TextIOWrapper

from nachet_pipeline.contract.names import MAX_NAME_BYTES, printable, why_unsafe
from nachet_pipeline.support.i18n import Bilingual

COMPLETE_MARKER = "_COMPLETE"
WITHDRAWN_MARKER = "_WITHDRAWN"
MARKERS = (COMPLETE_MARKER, WITHDRAWN_MARKER)

STAGING = b"staging\nFiles are being sent. If this stays here, run the same `nachet stage` again.\n"
"""`_COMPLETE` while a folder that is staged already is changed."""

COMPLETE = b"done\n"
"""`_COMPLETE` without a list: all files belong to the folder."""

LEAST_READ_BYTES = len("staging")
"""A shorter marker is not read, so that a look at its folder costs no request more: it can say nothing but complete."""

MOST_LIST_BYTES = 16 * 1024**2
"""A longer list is neither written nor read. It has room for about 100,000 files."""

MOST_LISTED_FILES = 250_000
"""A list of more files is neither written nor read: what a look keeps of a list grows with its lines."""

_HEADER = re.compile(r"files(?P<replace>, replace)?:", re.IGNORECASE)
_LINE = re.compile(r"(?P<sha256>[0-9a-fA-F]{64})[ \t]+(?P<size>\d{1,18})(?:\t| +)(?P<path>.+)")
_BEGINS_WITH_HASH = re.compile(r"[0-9a-fA-F]{64}[ \t]")
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SHOWN = 80
_A_LINE = Bilingual(
    "a path; or a SHA-256, a size in bytes and a path", "un chemin ; ou un SHA-256, une taille en octets et un chemin"
)
_A_NAME = Bilingual("a path within the folder", "un chemin dans le dossier")


class Mark(StrEnum):
    """What the markers of a folder say of it; the later of the two counts."""

    NONE = "none"
    COMPLETE = "complete"
    STAGING = "staging"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A line of a list: a file that belongs to the folder.

    Attributes:
        path: relative to the folder.
        size: in bytes, None if the line does not say.
        sha256: in hexadecimal, lower case, None if the line does not say.
        line: 1-based line.
    """

    path: str
    size: int | None = None
    sha256: str | None = None
    line: int = 0


class ListError(ValueError):
    """A list cannot be used.

    Attributes:
        line: 1-based line, None if the whole list is meant.
        expected: what is wanted there.
        found: what is there.
    """

    def __init__(self, line: int | None, expected: Bilingual, found: Bilingual) -> None:
        super().__init__(f"{line}: expected {expected.en}, found {found.en}")
        self.line, self.expected, self.found = line, expected, found


def too_long_list(size: int) -> ListError:
    """The error of a list of so many bytes."""
    most = MOST_LIST_BYTES
    return ListError(
        None,
        Bilingual(f"at most {most} bytes", f"au plus {most} octets"),
        Bilingual(f"{size} bytes", f"{size} octets"),
    )


def too_many_listed() -> ListError:
    """The error of a list of more than `MOST_LISTED_FILES` lines."""
    most = MOST_LISTED_FILES
    return ListError(
        None, Bilingual(f"at most {most} lines", f"au plus {most} lignes"), Bilingual("more lines", "plus de lignes")
    )


@dataclass(frozen=True, slots=True)
class CompleteMarker:
    """The content of `_COMPLETE`.

    Attributes:
        content: its bytes.
        staging: whether it says that the folder is being changed.
        lists: whether it lists the folder's files.
        replace: whether stored pictures that the folder does not hold any more are to be removed, whenever they were
            sent.
    """

    content: bytes
    staging: bool
    lists: bool
    replace: bool

    @classmethod
    def read(cls, content: bytes) -> "CompleteMarker":
        """Read its first line; anything that is neither `staging` nor `files:` means a complete folder."""
        first = next(iter(_lines(content)), (0, ""))[1].strip()
        header = _HEADER.fullmatch(first)
        return cls(content, first.lower() == "staging", header is not None, bool(header and header["replace"]))

    def files(self, name_bytes: int = MAX_NAME_BYTES) -> Iterator[ListedFile]:
        """The files that it lists, line by line; markers among them are skipped.

        Args:
            name_bytes: longest name of a file or folder, in bytes of UTF-8.

        Raises:
            ListError: a line cannot be read, its path is unsafe, there is no line, or there are too many.
        """
        listed = False
        for number, line in _lines(self.content):
            if number > MOST_LISTED_FILES + 1:
                raise too_many_listed()
            if number == 1 or not line.strip():
                continue
            file = _listed(number, line, name_bytes)
            listed = True
            if file.path not in MARKERS:
                yield file
        if not listed:
            raise ListError(2, _A_LINE, Bilingual("no line", "aucune ligne"))


def render_list(files: Iterable[ListedFile], *, replace: bool = False) -> bytes:
    """The content of a `_COMPLETE` that lists these files; ask `fits_list` before.

    Args:
        files: with size and SHA-256.
        replace: whether stored pictures that are not among them are to be removed, whenever they were sent.
    """
    lines = [f"{file.sha256}\t{file.size}\t{file.path}\n" for file in sorted(files, key=lambda one: one.path)]
    return "".join([f"files{', replace' if replace else ''}:\n", *lines]).encode() if lines else COMPLETE


def fits_list(files: Iterable[tuple[str, int]]) -> bool:
    """Whether a list of files with these paths and sizes is short enough to be read."""
    digits, number, length = 64, 0, len("files, replace:\n")
    for path, size in files:
        number += 1
        length += digits + len(str(size)) + len(path.encode()) + 3
    return number <= MOST_LISTED_FILES and length <= MOST_LIST_BYTES


def _lines(content: bytes) -> Iterator[tuple[int, str]]:
    wide = content.startswith(_WIDE)
    encoding, errors = ("utf-16", "replace") if wide else ("utf-8-sig", "surrogateescape")
    # Only line feeds and carriage returns end a line: some names hold other characters that Unicode calls line ends.
    for number, line in enumerate(TextIOWrapper(BytesIO(content), encoding=encoding, errors=errors), start=1):
        yield number, line.rstrip("\n")


def _listed(number: int, line: str, name_bytes: int) -> ListedFile:
    if not _is_text(line):
        raise ListError(number, Bilingual("text in UTF-8", "du texte en UTF-8"), Bilingual.same(printable(line)[:80]))
    match = _LINE.fullmatch(line)
    if match is None and _BEGINS_WITH_HASH.match(line):
        raise ListError(number, _A_LINE, Bilingual.same(printable(line[:_SHOWN])))
    # Who writes a list by hand may write paths as Windows does, and leave spaces behind them.
    path = match["path"] if match else line.strip().replace("\\", "/").removeprefix("./")
    if unsafe := why_unsafe(path, name_bytes):
        shown = printable(path[:_SHOWN])
        raise ListError(number, _A_NAME, Bilingual(f"{shown}: {unsafe.en}", f"{shown} : {unsafe.fr}"))
    if match is None:
        return ListedFile(path, line=number)
    return ListedFile(path, int(match["size"]), match["sha256"].lower(), number)


def _is_text(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True
