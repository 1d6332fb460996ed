"""The top of a container, a page at a time: what the sensor asks of every user's container at every tick.

Both clients that storage is otherwise spoken to with hold the whole answer at once, or take half a millisecond for
every name. This reads the service's answer as it comes and keeps of it what is asked for: names.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, unquote, urlencode
from xml.parsers import expat

from nachet_pipeline.late_import import LateModule

if TYPE_CHECKING:
    from azure.core.rest import HttpRequest, HttpResponse

    from nachet_pipeline.storage import clients
else:
    clients = LateModule("nachet_pipeline.storage.clients")

NAMES_A_PAGE = 5_000
"""As many as the service gives at most."""

_SCOPE = "https://storage.azure.com/.default"


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

        Raises:
            AzureError: the container does not exist, or the service does not answer, or not in its language.
        """
        asked = {"restype": "container", "comp": "list", "delimiter": "/", "maxresults": NAMES_A_PAGE}
        if after:
            asked["marker"] = after
        request = clients.HttpRequest(
            "GET",
            f"{self._account_url}/{container}?{urlencode(asked, quote_via=quote)}",
            headers={"x-ms-version": self._api_version, "x-ms-date": formatdate(usegmt=True)},
        )
        response = self._client.send_request(request, stream=True)
        try:
            if response.status_code != 200:  # noqa: PLR2004 (OK)
                response.read()
                raise clients.HttpResponseError(
                    f"{response.status_code} {response.headers.get('x-ms-error-code', '')}".strip(), response=response
                )
            return _read(response.iter_bytes())
        finally:
            response.close()


def _authentication(credential: Any) -> Any:
    """The policy that signs requests; of an account's key the client has made one itself."""
    if hasattr(credential, "get_token"):
        return clients.BearerTokenCredentialPolicy(credential, _SCOPE)
    if isinstance(credential, clients.AzureSasCredential):
        return clients.AzureSasCredentialPolicy(credential)
    return credential


def _read(chunks: Iterable[bytes]) -> TopPage:
    """Read an answer to List Blobs.

    Raises:
        DecodeError: it is none.
    """
    page = _Page()
    try:
        for chunk in chunks:
            page.parser.Parse(chunk)
        page.parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise clients.DecodeError(message=f"the answer is no listing: {error}", error=error) from error
    folders = [name for name in (prefix.strip("/") for prefix in page.folders) if name]
    return TopPage(folders, page.blobs, page.markers[0] if page.markers else "")


class _Page:
    """Takes names out of an answer while it is parsed; of the twenty elements of a blob, its name is the one kept."""

    def __init__(self) -> None:
        self.folders: list[str] = []
        self.blobs: list[str] = []
        self.markers: list[str] = []
        self._names = self.blobs
        self._encoded = False
        self._text: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._begin

    def _begin(self, element: str, attributes: dict[str, str]) -> None:
        if element == "Blob":
            self._names = self.blobs
        elif element == "BlobPrefix":
            self._names = self.folders
        elif element in {"Name", "NextMarker"}:
            if element == "NextMarker":
                self._names = self.markers
            # A name that XML has no form for comes percent-encoded, and says so.
            self._encoded = attributes.get("Encoded") == "true"
            self._text = []
            self.parser.CharacterDataHandler = self._text.append
            self.parser.EndElementHandler = self._end

    def _end(self, _element: str) -> None:
        text = "".join(self._text)
        self._names.append(unquote(text) if self._encoded else text)
        self.parser.CharacterDataHandler = None
        self.parser.EndElementHandler = None
