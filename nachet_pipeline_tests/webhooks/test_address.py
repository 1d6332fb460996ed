"""A webhook leads to the Internet by https, and nowhere else."""

import socket
from ipaddress import ip_address
from threading import Event
from typing import Any

import pytest
from pydantic import SecretStr

from nachet_pipeline.webhooks.address import Address, why_refused
from nachet_pipeline.webhooks.webhook import WebhookError, event_types, given_secret

INSIDE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",  # of providers
    "198.18.0.1",  # of benchmarks
    "192.0.2.1",
    "203.0.113.7",
    "::1",
    "fc00::1",
    "fec0::1",
    "2001:db8::1",
    "2001::1",  # Teredo
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "::127.0.0.1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "2002:a00:1::",
    "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
    "64:ff9b:1::7f00:1",
    "100::1",
]
NEVER = [
    "169.254.169.254",  # the metadata service of most clouds
    "169.254.1.1",
    "168.63.129.16",  # Azure's own
    "192.0.0.192",  # those of other clouds
    "100.100.100.200",
    "fd00:ec2::254",
    "fd20:ce::254",
    "0.0.0.0",  # noqa: S104 (nothing is bound)
    "224.0.0.1",
    "239.255.255.255",
    "::",
    "fe80::1",
    "ff02::1",
    "::ffff:169.254.169.254",
    "2002:a9fe:a9fe::",
    "64:ff9b::a9fe:a9fe",
    "::ffff:0.0.0.0",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
    "2001:0:808:808:0:0:5601:5601",  # Teredo of 169.254.169.254
]
PUBLIC = ["8.8.8.8", "140.82.112.3", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]


@pytest.mark.parametrize("ip", [*INSIDE, *NEVER, "240.0.0.1", "255.255.255.255"])
def test_no_address_inside_is_connected_to(ip: str) -> None:
    reason = why_refused(ip_address(ip), private=False)
    assert reason is not None
    assert "NACHET_WEBHOOK_PRIVATE_ADDRESSES" in reason


@pytest.mark.parametrize("ip", NEVER)
def test_metadata_services_stay_closed_where_private_addresses_are_allowed(ip: str) -> None:
    assert "no webhook may lead to" in str(why_refused(ip_address(ip), private=True))


@pytest.mark.parametrize("ip", INSIDE[:10])
def test_a_deployment_may_allow_private_addresses_by_http_too(ip: str) -> None:
    assert why_refused(ip_address(ip), private=True, encrypted=False) is None


@pytest.mark.parametrize("ip", PUBLIC)
def test_addresses_of_the_internet_are_connected_to_by_https_alone(ip: str) -> None:
    assert why_refused(ip_address(ip), private=False) is None
    assert "takes https" in str(why_refused(ip_address(ip), private=True, encrypted=False))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook",
        "ftp://example.org/hook",
        "file:///etc/passwd",
        "https://",
        "https:///hook",
        "example.org/hook",
        "https://ada@example.org/hook",
        "https://ada:TOKEN@example.org/hook",
        "https://@example.org/hook",
        "https://example.org/hook#part",
        "https://example.org:0/hook",
        "https://example.org:99999/hook",
        "https://example.org/a b",
        "https://example.org/hook\r\nX-Evil: 1",
        "https://exämple.org/hook",
        "https://[::1/hook",
        "https://example.org/" + "a" * 3000,
    ],
)
def test_what_is_no_address_of_a_webhook_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(WebhookError, match=r"^the address: expected https://HOST/PATH") as refused:
        Address.of(SecretStr(url), private=False)
    assert "TOKEN" not in str(refused.value)
    assert "TOKEN" not in repr(refused.value.__cause__)


def test_path_and_query_are_sent_and_never_shown() -> None:
    address = Address.of(SecretStr("https://Example.org:8443/TOKEN/1?token=TOKEN"), private=False)
    assert address.place == "https://example.org:8443"
    assert address.target == "/TOKEN/1?token=TOKEN"
    assert "TOKEN" not in repr(address)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_this_machine_is_not_reached_whatever_it_is_called(host: str) -> None:
    address = Address.of(SecretStr(f"https://{host}/"), private=False)
    with pytest.raises(WebhookError, match="is no public address"):
        address.resolve(private=False, seconds=5)


def test_a_name_with_one_address_inside_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (ip, 443)) for ip in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with pytest.raises(WebhookError, match=r"10\.0\.0\.1 is no public address"):
        Address.of(SecretStr("https://rebound.example.org/"), private=False).resolve(private=False, seconds=5)


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(60) and [])
    try:
        with pytest.raises(WebhookError, match="its name server does not answer"):
            Address.of(SecretStr("https://slow.example.org/"), private=False).resolve(private=False, seconds=0.1)
    finally:
        ended.set()


def test_types_of_events_are_named_and_wrong_ones_are_told_with_the_right_ones() -> None:
    assert event_types("upload.*, crops.done,nachet.upload.refused,crops.done") == [
        "upload.*",
        "crops.done",
        "upload.refused",
    ]
    for wrong in ("upload.eaten", "uploads.*", "", ","):
        with pytest.raises(WebhookError, match=r"expected some of upload\.staged, .*health\.\*"):
            event_types(wrong)


@pytest.mark.parametrize("wrong", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_***", "plain", "c2VjcmV0" * 8])
def test_a_secret_in_another_form_is_refused_and_not_repeated(wrong: str) -> None:
    with pytest.raises(WebhookError, match="24 to 64 bytes in base64; found something else"):
        given_secret(wrong)
