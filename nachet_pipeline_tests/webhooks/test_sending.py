"""A message arrives signed at the address that was checked, and no receiver can hold the sender for long."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from nachet_pipeline.events.event import CheckTurned, CloudEvent
from nachet_pipeline.webhooks.sending import Answer, Sender
from nachet_pipeline.webhooks.webhook import new_secret
from nachet_pipeline_tests.certificates import certificate_of_a_server
from nachet_pipeline_tests.webhooks.receivers import Receiver, receiver

EVENT = CloudEvent(
    id=uuid4(),
    source="https://account.blob.core.windows.net",
    type="nachet.health.failing",
    subject="disk_free",
    time=datetime.now(UTC),
    sequence="7",
    data=CheckTurned(check="disk_free", passed=False, urgent=True, found="0.1 GiB are free."),
)


@pytest.fixture
def to() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def send(to: Receiver, url: str | None = None, *secrets: SecretStr, seconds: float = 10, **more: Any) -> Answer:
    sender = Sender(private=True, seconds=seconds, **more)
    known = [SecretStr(one) for one in to.secrets[:1]]
    return sender.send(SecretStr(url or to.url), secrets or known, str(EVENT.id), EVENT.content())


@contextmanager
def odd_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that says what no server should; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, suppress(OSError):
                        talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/hook"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_an_independent_receiver_verifies_and_reads_what_it_is_sent(to: Receiver) -> None:
    answer = send(to, f"{to.url}?token=1%202")

    assert (answer.status, answer.error) == (204, None)
    (message,) = to.accepted
    assert (message.id, message.event.get_id()) == (str(EVENT.id), str(EVENT.id))
    assert (message.type, message.subject, message.number) == ("health.failing", "disk_free", 7)
    assert message.event.get_source() == "https://account.blob.core.windows.net"
    assert message.event.get_data() == EVENT.data.model_dump()
    assert message.path == "/hook?token=1%202"
    assert message.headers["content-type"] == "application/cloudevents+json"
    assert message.headers["host"] == to.url.split("/")[2]


def test_each_of_two_secrets_verifies_while_one_takes_the_others_place(to: Receiver) -> None:
    new, former = new_secret(), SecretStr(to.secrets[0])
    assert send(to, None, new, former).error is None
    assert send(to, None, new).error == "it answers 401: wrong signature"
    to.secrets.append(new.get_secret_value())
    assert send(to, None, new).error is None


def test_the_certificate_must_be_one_of_the_host_that_somebody_trusted_signed(tmp_path: Path) -> None:
    trusted, tls = certificate_of_a_server(tmp_path, "localhost", "127.0.0.9")
    with receiver(tls) as to:
        context = ssl.create_default_context(cafile=str(trusted))
        assert send(to, tls=context).error is None
        unknown = send(to)
        other = send(to, to.url.replace("localhost", "127.0.0.1"), tls=context)
    assert unknown.error == "its certificate is not accepted: self-signed certificate"
    assert str(other.error).startswith("its certificate is not accepted: IP address mismatch")
    assert [answer.unavailable for answer in (unknown, other)] == [True, True]
    assert len(to.messages) == 1


def test_the_connection_goes_to_what_was_checked_though_the_name_leads_elsewhere_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ["127.0.0.1", "169.254.169.254"]

    def rebound(_: str, port: int, *__: Any, **___: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

    trusted, tls = certificate_of_a_server(tmp_path, "rebound.example.org")
    with receiver(tls) as to:
        reached: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", rebound)
        monkeypatch.setattr(socket, "create_connection", lambda *given: _without_names(reached, *given))
        answer = send(
            to,
            to.url.replace("localhost", "rebound.example.org"),
            tls=ssl.create_default_context(cafile=str(trusted)),
        )
    assert (answer.status, reached, answers) == (204, ["127.0.0.1"], ["169.254.169.254"])
    assert to.accepted[0].headers["host"].startswith("rebound.example.org:")


def _without_names(reached: list[str], address: tuple[str, int], timeout: float) -> socket.socket:
    reached.append(address[0])
    found = socket.socket()
    found.settimeout(timeout)
    found.connect(address)
    return found


def test_a_proxy_of_the_environment_is_not_asked(to: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert send(to).error is None


def test_a_redirect_is_not_followed_and_said_to_be_one(to: Receiver) -> None:
    with receiver() as elsewhere:
        to.answer = lambda _: (307, {"Location": elsewhere.url}, b"")
        answer = send(to)
    assert answer.error == "it answers 307, a redirect, which is not followed; correct the address"
    assert elsewhere.messages == []
    assert not answer.unavailable


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_success_is_one(to: Receiver, status: int) -> None:
    to.answer = lambda _: status
    assert send(to).error is None


def test_an_error_is_shown_plain_and_short(to: Receiver) -> None:
    to.answer = lambda _: (500, {}, b"\x1b[2J<b>no\r\nroom</b>" + b"x" * 10_000)
    error = str(send(to).error)
    assert error.startswith("it answers 500: [2J<b>no room</b>xxx")
    assert len(error) < 250
    assert error.isprintable()


def test_neither_a_token_nor_the_secret_is_repeated_though_the_receiver_repeats_them(to: Receiver) -> None:
    to.answer = lambda message: (404, {}, f"no {message.path}".encode())
    assert send(to, f"{to.url}?token=TOKEN").error == "it answers 404"
    assert send(to).error == "it answers 404"
    to.answer = lambda _: (400, {}, to.secrets[0].encode())
    assert send(to).error == "it answers 400"


def test_how_long_to_wait_is_read_in_both_forms_and_bounded(to: Receiver) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    told = {"7": 7.0, "-5": 0.0, "soon": 0.0, "nan": 0.0, "1e12": 86_400.0, in_a_minute: 60.0}
    told["Mon, 01 Jan 99999999999999999999 00:00:00 GMT"] = 0.0
    for value, seconds in told.items():
        to.answer = lambda _, value=value: (503, {"Retry-After": value}, b"")  # type: ignore[misc]
        answer = send(to)
        assert answer.unavailable
        assert answer.retry_after == pytest.approx(seconds, abs=5), value


def test_who_answers_byte_by_byte_is_given_up_in_time(to: Receiver) -> None:
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        for letter in b"HTTP/1.1 200 OK\r\n" + b"X-Header: y\r\n" * 1000:
            connection.sendall(bytes([letter]))
            if ended.wait(0.05):
                return

    with odd_server(drip) as url:
        answer = send(to, url, seconds=0.5)
        ended.set()
    assert (answer.error, answer.unavailable) == ("no answer within 0.5 s", True)


@pytest.mark.parametrize("more", [b"Content-Length: 1000\r\n", b"Connection: close\r\n"])
def test_who_says_byte_by_byte_what_is_wrong_is_not_heard_to_the_end(to: Receiver, more: bytes) -> None:
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 500 Odd\r\n" + more + b"\r\nz")
        while not ended.wait(0.05):
            connection.sendall(b"z")

    with odd_server(drip) as url:
        answer = send(to, url, seconds=1)
        ended.set()
    assert str(answer.error).startswith("it answers 500: z")
    assert len(str(answer.error)) < len("it answers 500: ") + 200  # it would be read until there are so many


def test_what_a_receiver_said_before_it_fell_silent_is_shown(to: Receiver) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 500 Odd\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nno di\r\n")

    with odd_server(talk) as url:
        answer = send(to, url)
    assert answer.error == "it answers 500: no di"


def test_who_sends_without_end_is_not_read_to_the_end(to: Receiver) -> None:
    def pour(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 500 Odd\r\nTransfer-Encoding: chunked\r\n\r\n")
        until = time.monotonic() + 60
        while time.monotonic() < until:
            connection.sendall(b"400\r\n" + b"z" * 1024 + b"\r\n")

    with odd_server(pour) as url:
        answer = send(to, url)
    assert (answer.status, len(str(answer.error))) == (500, len("it answers 500: ") + 200)


@pytest.mark.parametrize("said", [b"", b"no HTTP at all\r\n\r\n", b"HTTP/1.1 99999 What\r\n\r\n"])
def test_who_speaks_no_http_has_not_answered(to: Receiver, said: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(said)

    with odd_server(talk) as url:
        answer = send(to, url)
    assert answer.unavailable
    assert str(answer.error).startswith("no answer: ")


def test_where_nobody_listens_that_is_said(to: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    answer = send(to, f"http://127.0.0.1:{port}/")
    assert (answer.error, answer.unavailable) == ("no answer: Connection refused", True)
