"""What is asked, and where an answer sends it on: no connections here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, final
from urllib.parse import quote, urlencode, urljoin

from attrs import evolve, frozen

from lambdacat.codec.text import json_bytes
from lambdacat.fault import Denied
from lambdacat.tools.web_answer import Pairs, Response
from lambdacat.tools.web_hosts import Url, url_of

HOPS: Final = 5
"""Redirects that are followed."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
_VALUE: Final = re.compile(r"[\x20-\x7e\x80-\xff]*")
_OURS: Final = frozenset({
    "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
_FOR_ANYBODY: Final = frozenset({"accept", "accept-language", "user-agent"})
"""The headers that another server may see: a key may stand in any of the others."""
_OF_BODIES: Final = frozenset({"content-type", "content-encoding", "content-language"})
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


@final
@frozen
class Asked:
    """One request."""

    method: str
    url: Url
    headers: Pairs
    body: bytes = b""

    def to_send(self) -> Pairs:
        """All its headers, those that HTTP itself wants too."""
        length = (("content-length", str(len(self.body))),) if self.body or self.method in _WITH_LENGTH else ()
        own = (("host", self.url.authority), ("accept-encoding", "gzip"), ("connection", "close"), *length)
        given = {name for name, _ in self.headers}
        usual = (("accept", "*/*"), ("user-agent", "lambdacat"))
        return (*own, *(pair for pair in usual if pair[0] not in given), *self.headers)


_WITH_LENGTH: Final = frozenset({"POST", "PUT", "PATCH"})


def asked(
    method: str,
    url: str,
    *,
    params: Mapping[str, str | int | float] | None = None,
    headers: Pairs = (),
    json: object = None,
    content: str | bytes | None = None,
) -> Asked:
    """A request. Errors: ``ValueError`` for one that no program should write, ``Denied`` for its URL."""
    if method not in METHODS:
        raise ValueError(f"a method is one of {', '.join(METHODS)}, not {method!r}")
    if json is not None and content is not None:
        raise ValueError("a request has json= or content=, not both")
    whole = url_of(url)
    if params:
        more = urlencode(params)
        whole = evolve(whole, target=f"{whole.target}{'&' if '?' in whole.target else '?'}{more}")
    if json is not None:
        typed = () if any(name == "content-type" for name, _ in headers) else (("content-type", "application/json"),)
        return Asked(method, whole, (*headers, *typed), json_bytes(json))
    body = content.encode() if isinstance(content, str) else content or b""
    return Asked(method, whole, headers, body)


def header_pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Pairs:
    """Headers as pairs. Errors: ``ValueError`` for those that are no headers, or that are not the caller's."""
    pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    for name, value in pairs:
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header")
        if name.lower() in _OURS or name.lower().startswith("proxy-"):
            raise ValueError(f"the header {name} is not for callers to set")
        # Its value may be a secret, so that it is not shown.
        if not isinstance(value, str) or not _VALUE.fullmatch(value) or value != value.strip():
            raise ValueError(f"the value of the header {name} is not one line of Latin-1 text")
    return tuple((name.lower(), value) for name, value in pairs)


def joined(usual: Pairs, given: Pairs) -> Pairs:
    """Headers of all requests with those of one, which go before."""
    names = {name for name, _ in given}
    return (*(pair for pair in usual if pair[0] not in names), *given)


def next_hop(now: Asked, response: Response) -> Asked | None:
    """What a redirect asks for, or None for an answer. Errors: ``Denied`` for where nobody should be sent.

    Law: from https it never leads to http. At another scheme, host or port the headers are gone, and stay gone, but
    for those that anybody may see; a body is never sent there.
    """
    places = [value for name, value in response.headers if name == "location"]
    if response.status not in _MOVED or not places:
        return None
    if len(places) > 1:
        raise Denied("http", f"{now.url.authority} sends to several places at once")
    url = _joined(now.url, places[0])
    if now.url.scheme == "https" and url.scheme != "https":
        raise Denied("http", f"{now.url.authority} sends from https to {url.scheme}")
    hop = evolve(now, url=url)
    # As browsers have it.
    if now.method == "POST" if response.status in (301, 302) else response.status == 303 and now.method != "HEAD":
        kept = tuple(pair for pair in now.headers if pair[0] not in _OF_BODIES)
        hop = Asked("GET", url, kept)
    if url.origin == now.url.origin:
        return hop
    if hop.body or hop.method not in ("GET", "HEAD"):
        raise Denied("http", f"{now.url.authority} sends a {hop.method} on to {url.authority}")
    return evolve(hop, headers=tuple(pair for pair in hop.headers if pair[0] in _FOR_ANYBODY))


def _joined(base: Url, place: str) -> Url:
    """A place that a header names, seen from where it was read."""
    # Servers write UTF-8 there, whatever the standard says; in a host it would be refused.
    text = quote(place.encode("latin-1", "replace"), safe=_PRINTABLE)
    if "\\" in place or any(letter <= " " or letter == "\x7f" for letter in place):
        raise Denied("http", f"{base.authority} sends to a place with a space, a control character or a backslash")
    # Others take "http:///x" for a path on the same host, or for a host.
    if _SCHEME.match(text):
        return url_of(text)
    return url_of(f"{base.scheme}:{text}" if text.startswith("//") else urljoin(str(base), text))
