"""Containers, a page at a time: their tops, and the files of a folder.

The sensor asks for both at every tick. Both clients that storage is otherwise spoken to with hold the whole answer at
once, take half a millisecond for every name, or have no form for some names. This reads the service's answer as it
comes, keeps of it what is asked for, and takes every name as it is.

Whoever has a key can write blobs whose names XML has no form for: control characters, U+FFFE, U+FFFF. Azure
percent-encodes such a name and says so; Azurite answers 500 to every page that would hold one. At the top of a
container such names are passed over, so that they hide nothing else; in a folder they make listing it an error.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache, partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, unquote, urlencode
from xml.parsers import expat

from nachet_pipeline.support.lazy_import import LazyModule

if TYPE_CHECKING:
    from azure.core.rest import HttpRequest, HttpResponse

    from nachet_pipeline.storage import clients
else:
    clients = LazyModule("nachet_pipeline.storage.clients")

NAMES_A_PAGE = 5_000
"""As many as the service gives at most."""

PASSING_SECONDS = 2.0
"""How long it is looked for a way around names that the service cannot list, before one page."""

_SCOPE = "https://storage.azure.com/.default"
_NO_NAME = "\U0010fffd\U0010fffd"
"""What no name is taken to begin with."""
_NO_XML = frozenset(map(chr, (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0xFFFE, 0xFFFF)))
_LAST = 0xFFFF
_FROM, _MARKER = "from:", "marker:"

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
class PlacedBlob:
    """A blob of a page: its name, size in bytes, ETag as listed, and time of last change."""

    name: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class BlobPage:
    """A page of blobs, in the service's order.

    Attributes:
        blobs: what they are.
        next: where the next page begins; empty after the last one.
    """

    blobs: list[PlacedBlob]
    next: str


class UnlistableError(Exception):
    """The service lists a container, but not these names of it."""


class TopListing:
    """Lists tops of containers; a context manager, safe to use from several threads."""

    def __init__(self, service: "clients.BlobServiceClient", account_url: str, *, api_version: str) -> None:
        """List with the credential of a client; nothing is sent until the first request.

        Args:
            service: whose credential is used.
            account_url: address of the account.
            api_version: of the Blob service.
        """
        self._account_url = account_url
        self._api_version = api_version
        retry = clients.RetryPolicy(retry_total=2, retry_connect=2, retry_backoff_factor=0.5, retry_backoff_max=2)
        self._client: clients.PipelineClient[HttpRequest, HttpResponse] = clients.PipelineClient(
            account_url, policies=[retry, _authentication(service.credential)], connection_timeout=2, read_timeout=60
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def page(self, container: str, after: str = "") -> TopPage:
        """A page of a container's top, the first or the one that another says is the next.

        Names that the service cannot list are passed over, and a line is logged.

        Raises:
            AzureError: the container does not exist, or the service does not answer, or not in its language.
        """
        page = self.detailed_page(container, after, details=False)
        return TopPage(page.folders, page.names, page.next)

    def detailed_page(self, container: str, after: str = "", *, details: bool = True) -> "_Page":
        """Like `page`, with what is known of the blobs."""
        asked = {"delimiter": "/", **_place(after)}
        try:
            return self._page(container, asked, details=details)
        except UnlistableError as error:
            page = self._around(container, asked, details=details)
            if not page.names and not page.folders:
                log.warning("%s: names up to %r are passed over: %s", container, page.next.removeprefix(_FROM), error)
            return page

    def blobs_page(self, container: str, prefix: str, after: str = "") -> BlobPage:
        """A page of all blobs whose names begin with a prefix, the first or the one that another says is the next.

        Raises:
            AzureError: the container does not exist, or the service does not answer, or not in its language.
            UnlistableError: the service cannot list one of the names.
        """
        page = self._page(container, {"prefix": prefix, **_place(after)} if prefix else _place(after), details=True)
        return BlobPage(page.blobs, page.next)

    def answers(self, container: str) -> bool:
        """Whether the service lists the container at all, were it not for the names in it."""
        try:
            self._ask(container, {"prefix": _NO_NAME}, most=1, details=False, again=False)
        except clients.AzureError:
            return False
        return True

    def _page(self, container: str, asked: Mapping[str, str], *, details: bool) -> "_Page":
        """A page, asked for once more if the service had trouble of its own.

        Raises:
            UnlistableError: it has trouble with the names only.
        """
        try:
            return self._ask(container, asked, details=details, again=False)
        except clients.AzureError as error:
            for_names = _may_be_for_names(error) and self.answers(container)
        if not for_names:
            return self._ask(container, asked, details=details)
        try:  # once more: what passes is no name's fault
            return self._ask(container, asked, details=details, again=False)
        except clients.AzureError as error:
            if not _may_be_for_names(error):
                raise
            raise UnlistableError(f"a name among them cannot be listed by the service ({error})") from None

    def _ask(
        self,
        container: str,
        asked: Mapping[str, str],
        *,
        details: bool,
        most: int | None = None,
        again: bool = True,
    ) -> "_Page":
        query = {"restype": "container", "comp": "list", "maxresults": most or NAMES_A_PAGE, **asked}
        request = clients.HttpRequest(
            "GET",
            f"{self._account_url}/{container}?{urlencode(query, quote_via=quote)}",
            headers={"x-ms-version": self._api_version, "x-ms-date": formatdate(usegmt=True)},
        )
        once = {} if again else {"retry_total": 0}
        response = self._client.send_request(request, stream=True, **once)
        try:
            if response.status_code != 200:  # noqa: PLR2004 (OK)
                response.read()
                raise clients.HttpResponseError(
                    f"{response.status_code} {response.headers.get('x-ms-error-code', '')}".strip(), response=response
                )
            return _read(response.iter_bytes(), details=details)
        finally:
            response.close()

    def _around(self, container: str, asked: Mapping[str, str], *, details: bool) -> "_Page":
        """What can be listed before a name that cannot be, or else where to go on after it.

        Smaller pages come as far as the name. Then places after it are tried, a character at a time, up to the first
        character of it that XML has no form for: all names that begin like this share its trouble. Of other names
        between two such ones some may be passed over with them; none is if there is one such name.
        """
        until = time.monotonic() + PASSING_SECONDS

        def listed(most: int, **more: str) -> "_Page | None":
            try:
                return self._ask(container, {**asked, **more}, most=most, details=details, again=False)
            except (clients.HttpResponseError, clients.DecodeError) as error:
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
        page = _Page(details=details)
        page.next = f"{_FROM}{best}" if best else ""
        return page


def _first(holds: Callable[[int], bool]) -> int | None:
    """The first code of a character that a condition holds for; above ASCII, if it holds for those after it.

    0 is taken not to hold. Of ASCII each is tried, so that two names that cannot be listed hide none between them,
    unless their places are next to each other.
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
    if isinstance(error, clients.DecodeError):
        return True
    return isinstance(error, clients.HttpResponseError) and error.status_code == 500  # noqa: PLR2004


def _authentication(credential: Any) -> Any:
    """The policy that signs requests; of an account's key the client has made one itself."""
    if hasattr(credential, "get_token"):
        return clients.BearerTokenCredentialPolicy(credential, _SCOPE)
    if isinstance(credential, clients.AzureSasCredential):
        return clients.AzureSasCredentialPolicy(credential)
    return credential


@lru_cache(maxsize=1024)
def _moment(text: str) -> datetime:
    return parsedate_to_datetime(text)


def _read(chunks: Iterable[bytes], *, details: bool = False) -> "_Page":
    """Read an answer to List Blobs.

    Raises:
        DecodeError: it is none.
    """
    page = _Page(details=details)
    try:
        for chunk in chunks:
            page.parser.Parse(chunk)
        page.parser.Parse(b"", True)
        page.end()
    except (expat.ExpatError, ValueError) as error:
        raise clients.DecodeError(message=f"the answer is no listing: {error}", error=error) from error
    return page


class _Page:
    """Takes out of an answer what is asked for while it is parsed; of twenty elements of a blob, one to four are."""

    def __init__(self, *, details: bool) -> None:
        self.folders: list[str] = []
        self.names: list[str] = []
        self.blobs: list[PlacedBlob] = []
        self.next = ""
        self._details = details
        self._markers: list[str] = []
        self._sizes: list[str] = []
        self._etags: list[str] = []
        self._changes: list[str] = []
        self._in_blobs: dict[str, list[str]] = {"Name": self.names}
        if details:
            self._in_blobs |= {"Content-Length": self._sizes, "Etag": self._etags, "Last-Modified": self._changes}
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
        if self._details:
            self.blobs = [
                PlacedBlob(name, int(size), etag, _moment(changed))
                for name, size, etag, changed in zip(self.names, self._sizes, self._etags, self._changes, strict=True)
            ]

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
