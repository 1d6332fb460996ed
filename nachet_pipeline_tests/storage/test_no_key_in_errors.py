"""Whatever storage answers, or if it does not, no error that comes of it holds a key: nor what Dagster keeps of it."""

import gc
import inspect
import io
import re
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
from dagster import DagsterInstance, job, op
from pydantic import SecretStr

from nachet_pipeline.storage.blobs import API_VERSION, BlobStorage, ContainerPolicy, StorageError
from nachet_pipeline.users.upload_address import KeyRefusedError, UploadAddress

SIGNATURE = "c2VjcmV0IHNpZ25hdHVyZQ=="
SAS = f"sv={API_VERSION}&sr=c&sp=rcwl&sig={quote(SIGNATURE, safe='')}"
ACCOUNT_KEY = "YWNjb3VudCBrZXkgdGhhdCBvcGVucyBhbGw="
NOW = datetime(2026, 11, 28, tzinfo=UTC)


class Trouble(StrEnum):
    """What becomes of a request."""

    CLOSED = "nobody listens"
    CUT = "the connection ends within the answer"
    FORBIDDEN = "403"
    BROKEN = "500"


class _Echo(BaseHTTPRequestHandler):
    """Answers every request with all that was in it."""

    protocol_version = "HTTP/1.1"
    trouble: Trouble

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = f"{self.path} {quote(self.path)} {dict(self.headers)}"
        body = f"<?xml version='1.0'?><Error><Code>Said</Code><Message><![CDATA[{said}]]></Message></Error>".encode()
        cut = self.trouble is Trouble.CUT
        size = len(body) + (1000 if cut else 0)
        self.send_response((206 if "x-ms-range" in self.headers else 200) if cut else int(self.trouble))
        self.send_header("Content-Range", f"bytes 0-{size - 1}/{size}")
        self.send_header("Content-Type", "application/xml")
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Sat, 28 Nov 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)
        self.close_connection = cut

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def account(trouble: Trouble) -> Iterator[str]:
    """Address of a storage account that is in this trouble."""
    if trouble is Trouble.CLOSED:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            yield f"http://127.0.0.1:{unused.getsockname()[1]}/devstoreaccount1"
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Echo", (_Echo,), {"trouble": trouble}))
    server.daemon_threads = True
    serving = Thread(target=server.serve_forever, args=(0.01,))
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/devstoreaccount1"
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


# What is cut within an answer, the clients leave to the collector of garbage, which closes it aloud.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _no_pauses_between_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)


@pytest.fixture(params=Trouble)
def trouble(request: pytest.FixtureRequest) -> Trouble:
    return Trouble(request.param)


@pytest.fixture
def troubled(trouble: Trouble) -> Iterator[str]:
    with account(trouble) as url:
        yield url
    if trouble is Trouble.CUT:
        gc.collect()


@pytest.fixture(params=["account key", "upload key"])
def storage(request: pytest.FixtureRequest, troubled: str) -> Iterator[BlobStorage]:
    opened = (
        BlobStorage.connect(troubled, SecretStr(ACCOUNT_KEY))
        if request.param == "account key"
        else BlobStorage.connect_by_sas(troubled, SecretStr(SAS))
    )
    with opened as blobs:
        yield blobs


CALLS: dict[str, Callable[[BlobStorage], object]] = {
    "ensure_container": lambda blobs: blobs.ensure_container("upload"),
    "container_exists": lambda blobs: blobs.container_exists("upload"),
    "policies": lambda blobs: blobs.policies("upload"),
    "set_policies": lambda blobs: blobs.set_policies("upload", [ContainerPolicy("1", "r", NOW, NOW)]),
    "sign_delegated": lambda blobs: blobs.sign_delegated("upload", "r", NOW, NOW),
    "top_level": lambda blobs: blobs.top_level("upload"),
    "top_page": lambda blobs: blobs.top_page("upload"),
    "files": lambda blobs: list(blobs.files("upload", "folder")),
    "files_page": lambda blobs: blobs.files_page("upload", "folder"),
    "listing": lambda blobs: list(blobs.listing("upload", "folder/")),
    "read": lambda blobs: blobs.read("upload", "1.png"),
    "read_start": lambda blobs: blobs.read_start("upload", "1.png", '"1"', 10),
    "download": lambda blobs: blobs.download("upload", "1.png", io.BytesIO()),
    "md5s": lambda blobs: list(blobs.md5s("upload", "folder")),
    "upload": lambda blobs: blobs.upload("upload", "1.png", b"1", content_type="image/png"),
    "copy": lambda blobs: blobs.copy(("upload", "1.png"), ("user", "1.png"), version='"1"', md5="00" * 16, metadata={}),
    "properties_of": lambda blobs: blobs.properties_of("upload", "1.png"),
    "checksum_of": lambda blobs: blobs.checksum_of("upload", "1.png"),
    "delete": lambda blobs: blobs.delete("upload", "1.png"),
}
ODD_NAMES: dict[str, Callable[[BlobStorage], object]] = {
    "read": lambda blobs: blobs.read("upload", "a//\x0b.png", '"1"'),
}
ASKS_NOBODY = {"connect", "connect_by_sas", "sign_under_policy", "signs_with_account_key"}
TELLS_NO_ERROR = {"answers"}


def test_every_call_to_storage_is_tried() -> None:
    public = {name for name, _ in inspect.getmembers(BlobStorage) if not name.startswith("_")}
    assert CALLS.keys() == public - ASKS_NOBODY - TELLS_NO_ERROR


def refusal_of(call: Callable[[BlobStorage], object], storage: BlobStorage) -> StorageError | None:
    try:
        call(storage)
    except StorageError as error:
        return error
    return None


def chain_of(error: BaseException) -> list[BaseException]:
    """An error with all that it comes from, and that was in hand when it was raised."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in found:
            found.append(one)
            waiting += [one.__cause__, one.__context__]
    return found


def told_by(error: BaseException) -> str:
    """All that can be seen of an error."""
    seen = [repr((one, str(one), one.args, vars(one))) for one in chain_of(error)]
    return "\n".join([*seen, *traceback.format_exception(error)])


def assert_holds_no_key(text: str) -> None:
    assert not re.search(r"sig(=|%3D)[^…]", text, re.IGNORECASE)
    for secret in (SIGNATURE, quote(SIGNATURE, safe=""), quote(quote(SIGNATURE, safe=""), safe=""), ACCOUNT_KEY):
        assert secret not in text


@pytest.mark.parametrize("call", [*CALLS.values(), *ODD_NAMES.values()], ids=[*CALLS, *(f"{n} odd" for n in ODD_NAMES)])
def test_an_error_of_storage_says_what_was_wrong_and_holds_no_key(
    call: Callable[[BlobStorage], object], storage: BlobStorage, trouble: Trouble
) -> None:
    error = refusal_of(call, storage)

    if error is None:
        # What is cut after its headers, who wants no more need not notice.
        assert trouble is Trouble.CUT
        return
    assert re.fullmatch(r"Blob storage at 127\.0\.0\.1:\d+: [^\n]+ failed: [^\n]+", str(error))
    assert chain_of(error) == [error]
    assert_holds_no_key(told_by(error))


def test_an_upload_key_that_opens_nothing_is_told_without_it() -> None:
    with account(Trouble.FORBIDDEN) as url:
        address = UploadAddress.parse(f"{url}/upload-{'0' * 8}-0000-0000-0000-{'0' * 12}?{SAS}")
        with pytest.raises(KeyRefusedError) as caught, address.connect() as blobs, address.explaining():
            blobs.upload(address.container, "1.png", b"1", content_type="image/png")
    assert_holds_no_key(told_by(caught.value) + repr(address))


@pytest.mark.parametrize("call", ["copy", "upload"])
def test_what_dagster_keeps_of_a_run_that_storage_failed_holds_no_key(call: str, storage: BlobStorage) -> None:
    @op
    def ask() -> None:
        CALLS[call](storage)
        raise RuntimeError("it was answered")

    @job
    def asking() -> None:
        ask()

    with DagsterInstance.ephemeral() as instance:
        run = asking.execute_in_process(instance=instance, raise_on_error=False)
        kept = [record.event_log_entry.to_json() for record in instance.get_records_for_run(run.run_id).records]

    assert not run.success
    assert any("StorageError" in event or "it was answered" in event for event in kept)
    for event in kept:
        assert_holds_no_key(event)
