"""Containers, a page at a time: their tops, and the files of a folder.

The sensor asks for both at every tick. The SDK takes half a millisecond for every name, and obstore holds the whole
answer at once and has no form for some names. So this reads the service's answer as it comes, keeps of it what is asked
for, and takes every name as it is. Where metadata is asked for besides, which is seldom, the SDK lists.

Whoever has a key can write blobs whose names XML has no form for: control characters, U+FFFE, U+FFFF. Azure
percent-encodes such a name and says so; Azurite answers 500 to every page that would hold one. At the top of a
container such names are skipped, so that they hide nothing else; in a folder they make listing it an error.
"""

import logging
import time
from base64 import b64decode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from http import HTTPStatus
from urllib.parse import unquote
from xml.parsers import expat

from urllib3.exceptions import HTTPError

from nachet_pipeline.storage.account import RequestError, StorageError, quoted
from nachet_pipeline.storage.scrubbing import reason_of, scrubbed
from nachet_pipeline.storage.signed_requests import SignedRequests
from nachet_pipeline.support.files import StagedFile

NAMES_A_PAGE = 5_000
"""As many as the service gives at most."""

PASSING_SECONDS = 2.0
"""How long a way around names that the service cannot list is looked for, before one page."""

_NO_NAME = "\U0010fffd\U0010fffd"
"""No name is expected to begin with it."""
_NO_XML = frozenset(map(chr, (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0xFFFE, 0xFFFF)))
_LAST = 0xFFFF
_FROM, _MARKER = "from:", "marker:"
_ANSWER_BYTES = 64 * 1024
_OF_FILES = ("Content-Length", "Etag", "Last-Modified")
_MD5 = "Content-MD5"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TopPage:
    """A page of what lies at the top of a container, in the service's order.

    Attributes:
        folders: their names.
        blobs: names of blobs outside of folders.
        next: where the next page begins; empty after the last one.
    """

    folders: list[str]
    blobs: list[str]
    next: str


@dataclass(frozen=True, slots=True)
class ListedBlob:
    """A blob of a listing: its name, size in bytes, version, time of last change, and metadata."""

    name: str
    size: int
    version: str
    modified: datetime
    metadata: dict[str, str]


class UnlistableError(RequestError):
    """The service lists a container, but not these names of it."""


class UnreadableListingError(RequestError):
    """The answer is no listing."""


class Listings(SignedRequests):
    """Lists tops of containers, and the files of folders."""

    def top_level(self, container: str) -> TopPage:
        """All that lies at the top of a container, without what is in the folders.

        Raises:
            StorageError: the container does not exist, or the service does not answer.
        """
        top, after = TopPage([], [], ""), ""
        while True:
            page = self.top_page(container, after)
            top.folders.extend(page.folders)
            top.blobs.extend(page.blobs)
            after = page.next
            if not after:
                return top

    def top_page(self, container: str, after: str = "") -> TopPage:
        """A page of the names at the top of a container: the first, or the `next` of another.

        Names that the service cannot list are skipped, and logged.

        Raises:
            StorageError: the container does not exist, or the service does not answer.
        """
        asked = {"delimiter": "/", **_place(after)}
        with self._speaking(f"listing {container}"):
            try:
                page = self._page(container, asked)
            except UnlistableError as error:
                page = self._around(container, asked)
                if not page.names and not page.folders:
                    last = page.next.removeprefix(_FROM)
                    log.warning("%s: names up to %r are passed over: %s", container, last, error)
        return TopPage(page.folders, page.names, page.next)

    def answers(self, container: str) -> bool:
        """Whether a container can be listed at all: if so, trouble with what lies in it is that one's own."""
        try:
            with self._speaking(f"listing {container}"):
                self._ask(container, {"prefix": _NO_NAME}, most=1)
        except StorageError:
            return False
        return True

    def files(self, container: str, folder: str) -> Iterator[StagedFile]:
        """The blobs of a folder, with paths relative to it; of the whole container, if the folder is empty."""
        after = ""
        while True:
            files, after = self.files_page(container, folder, after)
            yield from files
            if not after:
                return

    def files_page(self, container: str, folder: str, after: str = "") -> tuple[list[StagedFile], str]:
        """A page of the blobs of a folder: the first, or one that another names as its next; and the next one's name.

        Raises:
            StorageError: the container does not exist, the service does not answer, or it cannot list a name in the
                folder; then it still `answers` otherwise.
        """
        files, page = self._folder_page(container, folder, after, _OF_FILES)
        return files, page.next

    def listing(self, container: str, prefix: str = "") -> Iterator[ListedBlob]:
        """The blobs whose names begin with a prefix, with their metadata, in no order that can be relied upon.

        The service sorts names by its own rules: the emulator by units of UTF-16, others by bytes.
        """
        with self._speaking(f"listing {container}/{prefix}"):
            listed = self._service.get_container_client(container).list_blobs(
                name_starts_with=prefix or None, include=["metadata"]
            )
            for found in listed:
                yield ListedBlob(
                    str(found.name),
                    int(found.size),
                    quoted(found.etag),
                    found.last_modified,
                    dict(found.metadata or {}),
                )

    def md5s(self, container: str, folder: str) -> Iterator[tuple[StagedFile, bytes | None]]:
        """The blobs of a folder, as `files` yields them, with the MD5 of each (where the uploader gave one)."""
        after = ""
        while True:
            files, page = self._folder_page(container, folder, after, (*_OF_FILES, _MD5))
            for file in files:
                md5 = page.md5s.get(f"{folder}/{file.path}")
                yield file, b64decode(md5) if md5 else None
            after = page.next
            if not after:
                return

    def _folder_page(
        self, container: str, folder: str, after: str, wanted: Collection[str]
    ) -> "tuple[list[StagedFile], _Page]":
        """The files on a page of a folder, and the page with all that is wanted of them; see `files_page`."""
        prefix = f"{folder}/" if folder else ""
        asked = {"prefix": prefix, **_place(after)} if prefix else _place(after)
        with self._speaking(f"listing {container}/{folder}"):
            page = self._page(container, asked, wanted)
        files = [
            StagedFile(name.removeprefix(prefix), size, quoted(etag), modified)
            for name, size, etag, modified in page.blobs
            if name != prefix  # some programs put a blob there that stands for the folder
        ]
        return files, page

    def _page(self, container: str, asked: Mapping[str, str], wanted: Collection[str] = ()) -> "_Page":
        """A page, asked for once more if the service had trouble of its own.

        Raises:
            UnlistableError: it has trouble with the names only.
        """
        try:
            return self._ask(container, asked, wanted)
        except (HTTPError, RequestError) as error:
            for_names = _may_be_for_names(error) and self.answers(container)
        if not for_names:
            return self._ask(container, asked, wanted, again=True)
        try:  # once more: a transient failure is no name's fault
            return self._ask(container, asked, wanted)
        except (HTTPError, RequestError) as error:
            if not _may_be_for_names(error):
                raise
            raise UnlistableError(f"a name among them cannot be listed by the service ({reason_of(error)})") from None

    def _ask(
        self,
        container: str,
        asked: Mapping[str, str],
        wanted: Collection[str] = (),
        *,
        most: int | None = None,
        again: bool = False,
    ) -> "_Page":
        query = {"restype": "container", "comp": "list", "maxresults": str(most or NAMES_A_PAGE), **asked}
        url = f"{self.account_url}/{container}?{self._short_sas(container, 'l')}"
        answer = self._send("GET", url, query=query, again=again, whole=False)
        try:
            if answer.status != HTTPStatus.OK:
                reason = f"{answer.status} {answer.headers.get('x-ms-error-code', '')}"
                raise RequestError(scrubbed(reason).strip(), answer.status)
            return _read(answer.stream(_ANSWER_BYTES), wanted)
        finally:
            answer.close()

    def _around(self, container: str, asked: Mapping[str, str]) -> "_Page":
        """The names before one that cannot be listed, or else a place to go on after it.

        Smaller pages reach as far as the name. Then places after it are tried, a character at a time, up to its first
        character that XML has no form for: all names that begin like this share its trouble. One such name hides no
        other; between two of them some other names may be skipped.
        """
        until = time.monotonic() + PASSING_SECONDS

        def listed(most: int, **more: str) -> "_Page | None":
            try:
                return self._ask(container, {**asked, **more}, most=most)
            except RequestError as error:
                if not _may_be_for_names(error):
                    raise
                return None

        def readable_from(begin: str, code: int) -> bool:
            return listed(1, startFrom=begin + chr(code)) is not None

        most = NAMES_A_PAGE // 2
        while most and time.monotonic() < until:
            if found := listed(most):
                return found
            most //= 2
        begin, best = "", ""
        while time.monotonic() < until:
            after = _first(partial(readable_from, begin))
            if after is None:  # what comes last is such a name
                break
            best = begin + chr(after)
            if chr(after - 1) in _NO_XML:
                break
            begin += chr(after - 1)
        page = _Page()
        page.next = f"{_FROM}{best}" if best else ""
        return page


def _first(holds: Callable[[int], bool]) -> int | None:
    """The first character code that a condition holds for; above ASCII, the condition must hold for those after it.

    It is taken not to hold for 0. Each code of ASCII is tried, so that two names that cannot be listed hide none
    between them, unless their places are next to each other.
    """
    for code in range(1, 0x80):
        if holds(code):
            return code
    low, high = 0x7F, _LAST
    if not holds(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if holds(_no_surrogate(middle)):
            high = middle
        else:
            low = middle
    return _no_surrogate(high)


def _no_surrogate(code: int) -> int:
    """The code itself, or that of the first character after the surrogates, which are none."""
    return 0xE000 if 0xD800 <= code < 0xE000 else code  # noqa: PLR2004


def _place(after: str) -> dict[str, str]:
    """The parameters of a request that goes on where a page ended."""
    if after.startswith(_FROM):
        return {"startFrom": after.removeprefix(_FROM)}
    return {"marker": after.removeprefix(_MARKER)} if after else {}


def _may_be_for_names(error: Exception) -> bool:
    """Whether names can be why a listing failed: the answer is a failure of the service's own, or no XML."""
    if isinstance(error, UnreadableListingError):
        return True
    return isinstance(error, RequestError) and error.status == HTTPStatus.INTERNAL_SERVER_ERROR


@lru_cache(maxsize=1024)
def _moment(text: str) -> datetime:
    return parsedate_to_datetime(text)


def _read(chunks: Iterable[bytes], wanted: Collection[str] = ()) -> "_Page":
    """Read an answer to List Blobs.

    Raises:
        UnreadableListingError: it is none.
    """
    page = _Page(wanted)
    try:
        for chunk in chunks:
            page.parser.Parse(chunk)
        page.parser.Parse(b"", True)
        page.end()
    except (expat.ExpatError, ValueError) as error:
        raise UnreadableListingError(f"the answer is no listing: {error}") from error
    return page


class _Page:
    """Parses an answer and keeps the elements that are asked for: one to five of the twenty that a blob has.

    Beside names these are all of `_OF_FILES` or none, and the MD5.
    """

    def __init__(self, wanted: Collection[str] = ()) -> None:
        self.folders: list[str] = []
        self.names: list[str] = []
        self.blobs: list[tuple[str, int, str, datetime]] = []
        self.md5s: dict[str, str] = {}
        self.next = ""
        self._markers: list[str] = []
        self._properties: dict[str, list[str]] = {element: [] for element in wanted}
        self._sums = self._properties.get(_MD5)  # not every blob has one
        self._with_sum: list[int] = []
        self._in_blobs = {"Name": self.names, **self._properties}
        self._in_folders = {"Name": self.folders}
        self._kept = self._in_folders
        self._text_of = self._markers
        self._encoded = False
        self._text: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._begin

    def end(self) -> None:
        """Put together what was read.

        Raises:
            ValueError: something is missing of a blob.
        """
        self.folders = [name for name in (prefix.strip("/") for prefix in self.folders) if name]
        self.next = f"{_MARKER}{self._markers[0]}" if self._markers and self._markers[0] else ""
        if self._properties:
            of_files = (self._properties[element] for element in _OF_FILES)
            self.blobs = [
                (name, int(size), etag, _moment(changed))
                for name, size, etag, changed in zip(self.names, *of_files, strict=True)
            ]
        if self._sums is not None:
            summed = (self.names[number] for number in self._with_sum)
            self.md5s = {name: md5 for name, md5 in zip(summed, self._sums, strict=True) if md5}

    def _begin(self, element: str, attributes: dict[str, str]) -> None:
        if element == "Blob":
            self._kept = self._in_blobs
        elif element == "BlobPrefix":
            self._kept = self._in_folders
        elif element == "NextMarker":
            self._take(self._markers, attributes)
        elif (kept := self._kept.get(element)) is not None:
            self._take(kept, attributes)

    def _take(self, kept: list[str], attributes: dict[str, str]) -> None:
        if kept is self._sums:
            self._with_sum.append(len(self.names) - 1)  # a blob's name comes before its properties
        self._text_of = kept
        # A name that XML has no form for comes percent-encoded, and says so.
        self._encoded = attributes.get("Encoded") == "true"
        self._text = []
        self.parser.CharacterDataHandler = self._text.append
        self.parser.EndElementHandler = self._end

    def _end(self, _element: str) -> None:
        text = "".join(self._text)
        self._text_of.append(unquote(text) if self._encoded else text)
        self.parser.CharacterDataHandler = None
        self.parser.EndElementHandler = None
