"""What stands between the import and its services in a test: it cuts, refuses, delays, damages and lies."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_PART = 1 << 16


class Cut(StrEnum):
    """When a connection is cut that says what was listened for."""

    BEFORE = "before the server heard it"
    AFTER = "before the client heard the answer"


@dataclass
class TcpProxy:
    """Passes bytes between clients and a server, until it is told otherwise.

    Attributes:
        server: host and port that it passes to.
        port: its own.
        refusing: whether new connections end at once.
        listening_for: words of a client, in lower case, that end its connection; None: nothing does.
        cut: when it ends.
        cuts_left: how often that happens.
        cuts: how often it happened.
        refused: set as soon as a new connection was ended.
    """

    server: tuple[str, int]
    port: int = 0
    refusing: bool = False
    listening_for: bytes | None = None
    cut: Cut = Cut.BEFORE
    cuts_left: int = 0
    cuts: int = 0
    refused: threading.Event = field(default_factory=threading.Event)
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cut_all(self) -> None:
        """Cut every connection that is open now."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            _end(end)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                self.refused.set()
                continue
            try:
                server = socket.create_connection(self.server)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for source, target, heard in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(source, target, heard), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        with suppress(OSError):
            while part := source.recv(_PART):
                if from_client and self._is_the_moment(part):
                    if self.cut is Cut.AFTER:
                        target.sendall(part)
                        time.sleep(0.2)  # the server does what it was asked
                    break
                target.sendall(part)
        for end in (source, target):
            _end(end)

    def _is_the_moment(self, part: bytes) -> bool:
        with self._lock:
            if self.listening_for is None or not self.cuts_left or self.listening_for not in part.lower():
                return False
            self.cuts_left -= 1
            self.cuts += 1
            return True


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        end.close()


@contextmanager
def tcp_proxy(host: str, port: int) -> Iterator[TcpProxy]:
    """A proxy before a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = TcpProxy((host, port), listener.getsockname()[1])
        threading.Thread(target=proxy._serve, args=(listener,), daemon=True).start()
        try:
            yield proxy
        finally:
            _end(listener)
            proxy.cut_all()


@dataclass(frozen=True)
class Fault:
    """What becomes of a request.

    Attributes:
        status: the answer's status, instead of asking the server.
        seconds: how long it waits first.
        hang_up: whether the connection ends without an answer; after the server did what it was asked, if `late`.
        late: whether the server is asked all the same, and its answer withheld.
        halve: whether half of the answer's body is missing.
        flip: whether a bit of the answer's body is flipped.
        md5: the checksum that the answer names, instead of the server's.
    """

    status: int | None = None
    seconds: float = 0
    hang_up: bool = False
    late: bool = False
    halve: bool = False
    flip: bool = False
    md5: str | None = None


Judge = Callable[[str, str, int], Fault | None]
"""Given a request's method, its path with query, and how many came before: what becomes of it."""


@dataclass
class HttpProxy:
    """Passes requests to a server, but for those that its judge says otherwise of.

    Attributes:
        server: host and port that it passes to.
        port: its own.
        judge: what becomes of a request.
        requests: how many came.
        faults: how many of them did not simply pass.
    """

    server: tuple[str, int]
    port: int = 0
    judge: Judge = lambda _method, _path, _number: None
    requests: int = 0
    faults: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            found = self.judge(method, path, self.requests)
            self.requests += 1
            self.faults += found is not None
            return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: HttpProxy

    def log_message(self, *_: object) -> None:
        return

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        body = self._body()
        fault = self.proxy.fault(self.command, self.path) or Fault()
        time.sleep(fault.seconds)
        if fault.status:
            self.send_response(fault.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault.hang_up and not fault.late:
            self.close_connection = True
            return
        connection = HTTPConnection(*self.proxy.server, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"transfer-encoding", "connection", "content-length", "expect"}:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if fault.hang_up:
            self.close_connection = True
            return
        self._answer(answer, content, fault)

    def _answer(self, answer: HTTPResponse, content: bytes, fault: Fault) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "keep-alive", "content-length"}:
                self.send_header(name, fault.md5 if fault.md5 and name.lower() == "content-md5" else value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if fault.flip and content:
            content = bytes([content[0] ^ 1]) + content[1:]
        if fault.halve:
            self.close_connection = True
            content = content[: len(content) // 2]
        self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            content = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))


@contextmanager
def http_proxy(account_url: str) -> Iterator[tuple[HttpProxy, str]]:
    """A proxy before a storage account, and the account's address through it."""
    parts = urlsplit(account_url)
    proxy = HttpProxy((str(parts.hostname), int(parts.port or 80)))
    handler = type("_ProxyHandler", (_Handler,), {"proxy": proxy})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    # A client that gives up is no error of the proxy's.
    server.handle_error = lambda *_: None  # type: ignore[method-assign,assignment]
    proxy.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy, f"http://127.0.0.1:{proxy.port}{parts.path}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
