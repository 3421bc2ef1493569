"""Which addresses of the web may be asked: strict URLs, lists of hosts, networks that are nobody's business."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, TypeAlias, final
from urllib.parse import quote

from attrs import frozen

from lambdacat.fault import Denied

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

PORTS: Final = {"http": 80, "https": 443}
LONGEST_URL: Final = 8192
"""Units: characters."""

# ``ipaddress.is_global`` differs between Python versions, and some call 192.0.0.8 global.
_CLOSED_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
            "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
            "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        ),
    )
)  # fmt: skip
_OPEN_6: Final = IPv6Network("2000::/3")
"""What is given out to be reached; mapped, translated, local and multicast addresses all lie outside."""
_CLOSED_6: Final = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_AUTHORITY: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?", re.ASCII)
_URL: Final = re.compile(r"(?:([a-z][a-z0-9+.-]*)://)([^/?#]*)(/[^?#]*)?(\?[^#]*)?(?:#.*)?", re.ASCII | re.IGNORECASE)
_NOT_IN_URLS: Final = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, that anybody may ask.

    >>> is_public(ip_address("8.8.8.8")), is_public(ip_address("192.0.0.8")), is_public(ip_address("64:ff9b::8.8.8.8"))
    (True, False, False)
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_4)
    return address in _OPEN_6 and not any(address in network for network in _CLOSED_6)


def is_nowhere(address: Address) -> bool:
    """Whether no server has the address; on some systems a connection to it ends on this machine."""
    return address.is_unspecified or address.is_multicast or address == IPv4Address("255.255.255.255")


@final
@frozen
class Url:
    """An address that was read strictly; what may be read in two ways is none.

    ``host`` is in lower case, or a numeric address without brackets; ``target`` is the path with the query.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The host as headers have it, with its port where that is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Who is asked."""
        return self.scheme, self.host, self.port

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def url_of(text: str) -> Url:
    """The URL that a text is. Errors: ``Denied`` that says what is wrong with it.

    >>> url_of("HTTPS://Api.Example.org?q=1#top")
    Url(scheme='https', host='api.example.org', port=443, target='/?q=1')
    """
    if not isinstance(text, str) or len(text) > LONGEST_URL:
        raise _refused(f"a URL is a text of at most {LONGEST_URL} characters")
    if _NOT_IN_URLS.search(text):
        raise _refused("there is a space, a backslash, or what is no character, in the URL")
    found = _URL.fullmatch(text)
    if found is None or found[1].lower() not in PORTS:
        raise _refused("only http:// and https:// URLs are asked")
    scheme = found[1].lower()
    host, port = _host_and_port(found[2])
    target = (found[3] or "/") + (found[4] or "")
    return Url(scheme, host, PORTS[scheme] if port is None else port, quote(target, safe=_PRINTABLE))


def _host_and_port(authority: str) -> tuple[str, int | None]:
    """The parts of ``host:port``. Errors: ``Denied``."""
    if "@" in authority:
        raise _refused("a URL with a user name may show one host and mean another")
    # Before it is put into lower case: the Kelvin sign would become a k.
    if not authority.isascii():
        raise _refused(f"{authority!r} is not ASCII: write the host in its xn-- form")
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise _refused(f"{authority!r} is no host")
    port = None
    if found[2] is not None:
        if not found[2] or found[2][0] == "0" or len(found[2]) > 5 or int(found[2]) > 65535:
            raise _refused(f"{found[2]!r} is no port")
        port = int(found[2])
    return _host(found[1].lower()), port


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            address = IPv6Address(text[1:-1])
        except ValueError:
            raise _refused(f"{text} is no address") from None
        if address.scope_id is not None:
            raise _refused(f"{text} names a network card")
        return address.compressed
    if len(text) > 253 or not _NAME.fullmatch(text):
        raise _refused(f"{text!r} is no host name")
    # Resolvers take 2130706433, 0x7f.1 and 127.1 for addresses.
    if _NUMBER.fullmatch(text.rpartition(".")[2]):
        try:
            return str(IPv4Address(text))
        except ValueError:
            raise _refused(f"{text!r} is an address that is not written as four decimal numbers") from None
    return text


def numeric(host: str) -> Address | None:
    """The address that the host of a URL is, or None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


@final
@frozen
class Allowed:
    """One entry of a list of hosts: exactly this host, or all below a domain, at one scheme and port.

    ``api.example.org`` is https at its usual port; ``http://localhost:8080`` and ``*.example.org:8443`` say which.
    ``*.example.org`` is not ``example.org`` itself. Errors: ``ValueError``.
    """

    scheme: str
    host: str
    port: int
    below: bool = False

    def fits(self, url: Url) -> bool:
        """Whether it allows the URL."""
        if (self.scheme, self.port) != (url.scheme, url.port):
            return False
        return url.host.endswith(f".{self.host}") if self.below else url.host == self.host

    @property
    def name(self) -> str:
        """The host, or all below it, at whatever port."""
        return f"*.{self.host}" if self.below else self.host

    def __str__(self) -> str:
        return f"{self.scheme}://{'*.' * self.below}{Url(self.scheme, self.host, self.port, '/').authority}"


def allowed(entry: str | Allowed) -> Allowed:
    """An entry of a list of hosts. Errors: ``ValueError`` that says what an entry is.

    >>> print(allowed("*.example.org"), allowed("http://127.0.0.1:8080"))
    https://*.example.org http://127.0.0.1:8080
    """
    if isinstance(entry, Allowed):
        return entry
    if not isinstance(entry, str):
        raise ValueError(f"a host is text such as 'api.example.org', not {entry!r}")
    scheme, found, rest = entry.rpartition("://")
    scheme = scheme.lower() if found else "https"
    below = rest.startswith("*.")
    try:
        host, port = _host_and_port(rest.removeprefix("*."))
    except Denied as error:
        raise ValueError(f"{entry!r} is no entry of a list of hosts: {error.reason}") from None
    if scheme not in PORTS:
        raise ValueError(f"{entry!r} is no entry of a list of hosts: its scheme is http or https")
    if below and ("." not in host or numeric(host) is not None):
        raise ValueError(f"{entry!r} is no entry of a list of hosts: a star stands before two names or more")
    return Allowed(scheme, host, PORTS[scheme] if port is None else port, below)


def allowed_hosts(entries: Iterable[str | Allowed]) -> tuple[Allowed, ...]:
    """A list of hosts. Errors: ``ValueError``."""
    if isinstance(entries, str):
        raise ValueError(f"hosts are a tuple, such as ({entries!r},)")
    return tuple(map(allowed, entries))


def networks(entries: Iterable[Any]) -> tuple[Network, ...]:
    """Addresses and networks. Errors: ``ValueError``."""
    if isinstance(entries, (str, bool)):
        raise ValueError(f"private addresses are a tuple, such as ('10.1.0.0/16',), not {entries!r}")
    return tuple(map(ip_network, entries))


def check_listed(url: Url, hosts: Iterable[Allowed]) -> None:
    """Let only hosts of the list pass. Errors: ``Denied``."""
    if not any(entry.fits(url) for entry in hosts):
        raise _refused(f"{url.scheme}://{url.authority} is not in the list of hosts")


def check_addresses(url: Url, found: Iterable[Address], private: Iterable[Network]) -> None:
    """Let a host pass whose every address is public, private and listed, or what the URL itself says.

    Errors: ``Denied``: one bad address spoils all, since whoever gave it gave the others too.
    """
    for address in found:
        listed = address == numeric(url.host) or any(address in network for network in private)
        if is_nowhere(address) or not (listed or is_public(address)):
            raise _refused(f"{url.host} leads to {address}, which is not a public address")


def _refused(reason: str) -> Denied:
    return Denied("http", reason)
