"""Requests that the SDK is too slow for, sent through urllib3 and allowed by short-lived signatures of a container.

A copy costs 0.5 ms of processor time so and 1.8 ms by the SDK; a listed name a few microseconds and half a millisecond.
"""

from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from io import BytesIO
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3.util import Retry, Timeout

from nachet_pipeline.storage.account import API_VERSION, CLIENT_OPTIONS, Account, RequestError
from nachet_pipeline.storage.scrubbing import scrubbed

_CONNECTIONS = 64
_WORTH_RETRYING = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)


def code_of(answer: urllib3.BaseHTTPResponse) -> str:
    """The service's own name of an error; empty if it gives none."""
    return str(answer.headers.get("x-ms-error-code", ""))


def refusal(answer: urllib3.BaseHTTPResponse) -> RequestError:
    """The error that an answer is."""
    reason = scrubbed(f"{answer.status} {code_of(answer) or answer.reason or ''}")
    return RequestError(reason.strip(), answer.status)


class SignedRequests(Account):
    """Sends requests of its own making."""

    @cached_property
    def _http(self) -> urllib3.HTTPConnectionPool:
        parts = urlsplit(self.account_url)
        pool = urllib3.connection_from_url(
            f"{parts.scheme}://{parts.netloc}",
            maxsize=_CONNECTIONS,
            timeout=Timeout(connect=CLIENT_OPTIONS["connection_timeout"], read=CLIENT_OPTIONS["read_timeout"]),
        )
        self._closing.callback(pool.close)
        return pool

    def _signed_url(self, container: str, blob: str, permission: str) -> str:
        return f"{self.account_url}/{container}/{quote(blob)}?{self._short_sas(container, permission)}"

    def _send(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        again: bool = True,
        whole: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request that may be repeated, and return the answer whatever its status is.

        Args:
            method: of HTTP.
            url: with its signature.
            query: what the address asks for besides.
            headers: beside that of the protocol's version.
            body: what is sent.
            again: whether transient failures are retried.
            whole: whether the answer is read at once.

        Raises:
            HTTPError: the service does not answer.
        """
        parts = urlsplit(f"{url}&{urlencode(query, quote_via=quote)}" if query else url)
        return self._http.urlopen(
            method,
            f"{parts.path}?{parts.query}",
            # A stream is sent some KiB at a time, each within the timeout: over a slow line, the whole takes longer.
            body=None if body is None else BytesIO(body),
            headers={
                "x-ms-version": API_VERSION,
                **({} if body is None else {"Content-Length": str(len(body))}),
                **(headers or {}),
            },
            retries=Retry(
                CLIENT_OPTIONS["retry_total"] if again else 0,
                backoff_factor=0.5,
                status_forcelist=_WORTH_RETRYING,
                allowed_methods=None,
                redirect=0,
                raise_on_status=False,
            ),
            preload_content=whole,
        )
