"""Where a webhook may lead: by https to the Internet, never into the network that the pipeline runs in.

The name is resolved once, and the connection goes to what was checked: another answer of the name server has no effect.
"""

import re
import socket
from concurrent.futures import Future
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from threading import Thread
from urllib.parse import urlsplit

from pydantic import SecretStr

from nachet_pipeline.webhooks.webhook import WebhookError

SETTING = "NACHET_WEBHOOK_PRIVATE_ADDRESSES"
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_TRANSLATED = IPv6Network("64:ff9b::/96")
# Other networks whose last 32 bits are an IPv4 address: local NAT64, SIIT, and what was once written for IPv4.
_ALSO_TRANSLATED = [IPv6Network(one) for one in ("64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")]
# What clouds answer machines of their own at, beside link-local addresses; some are among the public ones.
_PLATFORMS = [
    ip_address(one)
    for one in (
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:c1::a9fe:a9fe",
        "fd20:ce::254",
    )
]
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_PORTS = {"https": 443, "http": 80}
_LONGEST = 2048

Ip = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a webhook.

    Attributes:
        scheme: `https`, or `http`.
        host: a name or an IP address.
        port: the port; any is allowed.
        target: path and query, which may hold a token.
    """

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)

    @classmethod
    def of(cls, url: SecretStr, *, private: bool) -> "Address":
        """Read an address.

        Args:
            url: the address.
            private: whether the deployment allows private addresses.

        Raises:
            WebhookError: it cannot be one of a webhook.
        """
        text = url.get_secret_value()
        expected = "the address: expected https://HOST/PATH" + (", or http:// of a private address" if private else "")
        if not _PRINTABLE.fullmatch(text) or len(text) > _LONGEST:
            raise WebhookError(f"{expected}, in ASCII, of {_LONGEST} characters at most")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise WebhookError(expected) from None
        if parts.scheme not in (_PORTS if private else {"https"}) or not parts.hostname or port == 0:
            raise WebhookError(expected)
        if "@" in parts.netloc or parts.fragment:
            raise WebhookError(f"{expected}, without user, password and fragment")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], target)

    @property
    def place(self) -> str:
        """The address without path and query, for people: some receivers have a token in the one, some in the other."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    def resolve(self, *, private: bool, seconds: float) -> list[str]:
        """The IP addresses of the host, all of which may be connected to.

        Args:
            private: whether the deployment allows private addresses.
            seconds: how long the name server may take.

        Raises:
            WebhookError: it has none, or one that may not be connected to.
        """
        found = [ip_address(one) for one in _look_up(self.host, self.port, seconds)]
        for ip in found:
            if reason := why_refused(ip, private=private, encrypted=self.scheme == "https"):
                raise WebhookError(f"{self.host}: {reason}")
        return [str(ip) for ip in found]


def why_refused(ip: Ip, *, private: bool, encrypted: bool = True) -> str | None:
    """Why an IP address may not be connected to; None if it may.

    Args:
        ip: the IP address.
        private: whether the deployment allows private addresses, which the connection may then go to unencrypted. Those
            of metadata services stay closed.
        encrypted: whether the connection is.
    """
    within = _within(ip)
    if is_public(within):
        return None if encrypted else f"{ip} is a public address, which takes https"
    if not private:
        return f"{ip} is no public address; where webhooks may lead to private ones, {SETTING} says so"
    return f"{ip} is an address that no webhook may lead to" if _never(within) else None


def is_public(ip: Ip) -> bool:
    """Whether an IP address is one of the Internet, of one machine."""
    if isinstance(ip, IPv6Address) and (ip not in _GLOBAL_UNICAST or ip.teredo is not None):
        return False
    special = ip.is_multicast or ip.is_reserved or ip.is_private or ip in _PLATFORMS
    return ip.is_global and not special


def _within(ip: Ip) -> Ip:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(ip, IPv4Address):
        return ip
    translated = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _TRANSLATED else None
    return ip.ipv4_mapped or ip.sixtofour or translated or ip


def _never(ip: Ip) -> bool:
    """Whether an address, or the one that it may be turned into on its way, is closed to each deployment."""
    if isinstance(ip, IPv6Address) and (ip.teredo or any(ip in one for one in _ALSO_TRANSLATED)):
        inside = ip.teredo[1] if ip.teredo else IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.is_unspecified or _never(inside)
    return ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in _PLATFORMS


def _look_up(host: str, port: int, seconds: float) -> list[str]:
    """What the name server says, without waiting for it longer than so long."""
    answer: Future[list[str]] = Future()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.set_result(list(dict.fromkeys(str(one[4][0]).partition("%")[0] for one in found)))
        except (OSError, UnicodeError) as error:
            answer.set_exception(error)

    Thread(target=ask, name="look up", daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        raise WebhookError(f"{host}: its name server does not answer") from None
    except (OSError, UnicodeError):
        raise WebhookError(f"{host}: there is no such host") from None
