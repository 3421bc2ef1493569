"""One request over one connection: to an address that was checked, with a bound on all that comes back.

Not httpx-secure: it finds addresses by connecting to them, looks at one answer of several, and asks the ``is_global``
of the Python at hand. Nor httpx on top: which address it connects to is not for its callers to say. What is under it
takes a backend of connections, and this is one.
"""

from __future__ import annotations

import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from functools import cache, partial
from ipaddress import ip_address
from typing import Any, Final, TypeAlias, cast, final

from anyio import CancelScope, current_effective_deadline, current_time, to_thread
from attrs import frozen

from lambdacat.fault import Denied, Unanswered
from lambdacat.tools.web_answer import Response
from lambdacat.tools.web_hops import Asked
from lambdacat.tools.web_hosts import Address, Network, Url, check_addresses, numeric

try:
    import certifi
    import httpcore2
except ImportError as error:
    raise ImportError("Http needs a client: pip install 'lambdacat[http]'") from error

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the numeric addresses of a host; the second argument is the port."""

ADDRESSES: Final = 4
"""Addresses of one host that are tried; all are checked."""
HEADERS: Final = 128
"""Headers of one answer, at most."""
HEADERS_SIZE: Final = 32_768
"""Units: bytes of the headers of one answer, at most."""
FRAMING: Final = 65_536
"""Units: bytes by which what is sent may be longer than what it says."""


@final
@frozen
class Bounds:
    """What one exchange must keep to. Units: ``size`` in bytes of the body, decompressed."""

    size: int
    private: tuple[Network, ...] = ()
    resolve: Resolver | None = None
    authorities: str = ""


async def exchange(asked: Asked, bounds: Bounds) -> Response:
    """The answer to one request; redirects are answers.

    Errors: ``Denied`` for what goes past the bounds, ``Unanswered`` for a server that cannot be reached or breaks off.
    """
    backend = _Checked(asked.url, bounds)
    url = asked.url
    secure = _trusting(bounds.authorities) if url.scheme == "https" else None
    origin = httpcore2.Origin(url.scheme.encode(), url.host.encode(), url.port)
    connection = httpcore2.AsyncHTTPConnection(origin, ssl_context=secure, network_backend=backend)
    try:
        answer = await connection.handle_async_request(_request(asked))
        return await _taken(answer, asked, bounds.size)
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError) as error:
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            reason = f"the certificate of {url.authority} is not good: {error.__cause__.verify_message}"
            raise Denied("http", reason) from None
        raise Unanswered(url.authority, str(error) or type(error).__name__) from None
    finally:
        await backend.close()


def _request(asked: Asked) -> httpcore2.Request:
    url = asked.url
    headers = [(name.encode(), value.encode("latin-1")) for name, value in asked.to_send()]
    whole = httpcore2.URL(scheme=url.scheme.encode(), host=url.host.encode(), port=url.port, target=url.target.encode())
    return httpcore2.Request(asked.method.encode(), whole, headers=headers, content=asked.body)


@cache
def _trusting(authorities: str) -> ssl.SSLContext:
    """What checks certificates; the environment has no say in it, as it would in a default context."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_verify_locations(authorities or certifi.where())
    return made


@final
class _Checked(httpcore2.AsyncNetworkBackend):
    """Connections to the addresses that were checked, and to no other."""

    def __init__(self, url: Url, bounds: Bounds) -> None:
        self._url = url
        self._bounds = bounds
        self._sockets = httpcore2.AnyIOBackend()
        self._open: list[httpcore2.AsyncNetworkStream] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the signature is another's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        found = await _addresses(self._url, self._bounds.resolve)
        check_addresses(self._url, found, self._bounds.private)
        tried = found[:ADDRESSES]
        for index, address in enumerate(tried):
            # One that does not answer at all must leave time for the others.
            share = (current_effective_deadline() - current_time()) / (len(tried) - index)
            try:
                made = await self._sockets.connect_tcp(str(address), port, timeout=share)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if index + 1 == len(tried):
                    raise
            else:
                self._open.append(made)
                return made
        raise Unanswered(self._url.authority, "its name leads nowhere")

    async def close(self) -> None:
        """Close what was opened, also what was cut off half-way through."""
        with CancelScope(shield=True):
            for one in self._open:
                await one.aclose()


async def _addresses(url: Url, resolve: Resolver | None) -> tuple[Address, ...]:
    """All addresses of the host of a URL. Errors: ``Unanswered``, ``Denied`` for what is no address."""
    known = numeric(url.host)
    if known is not None:
        return (known,)
    try:
        texts = await (resolve or resolved)(url.host, url.port)
    except OSError as error:
        raise Unanswered(url.authority, f"its name was not found: {error.strerror or error}") from None
    try:
        return tuple(map(ip_address, dict.fromkeys(texts)))
    except ValueError as error:
        raise Denied("http", f"the name {url.host} leads to what is no address: {error}") from None


async def resolved(host: str, port: int) -> tuple[str, ...]:
    """The addresses that this system knows for a host, each once. Errors: ``OSError``."""
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    # The system cannot be stopped while it looks a name up; it is left behind.
    rows = await to_thread.run_sync(ask, abandon_on_cancel=True)
    return tuple(dict.fromkeys(str(row[4][0]) for row in rows))


async def _taken(answer: httpcore2.Response, asked: Asked, size: int) -> Response:
    """An answer within its bounds. Errors: ``Denied``, ``Unanswered``."""
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in answer.headers)
    who = asked.url.authority
    if len(headers) > HEADERS or sum(len(name) + len(value) for name, value in headers) > HEADERS_SIZE:
        raise Denied("http", f"{who} sent more than {HEADERS} headers, or {HEADERS_SIZE} bytes of them")
    if answer.status < 200:
        raise Unanswered(who, f"it wants to speak something else than HTTP: {answer.status}")
    plain = Response(answer.status, headers, b"", str(asked.url))
    unpack = _unpacker(plain, who)
    declared = plain.header("content-length")
    if declared.isascii() and declared.isdigit() and asked.method != "HEAD" and int(declared[:20]) > size + FRAMING:
        raise _too_large(who, size)
    body = await _body(answer, who, size, unpack)
    return Response(answer.status, headers, body, str(asked.url))


async def _body(answer: httpcore2.Response, who: str, size: int, unpack: _Gzip | None) -> bytes:
    made, sent = bytearray(), 0
    # Closed here, and not whenever it is found to be garbage.
    async with aclosing(cast("AsyncGenerator[bytes]", aiter(cast("AsyncIterable[bytes]", answer.stream)))) as chunks:
        async for chunk in chunks:
            sent += len(chunk)
            made += chunk if unpack is None else unpack.some(chunk, size + 1 - len(made))
            if len(made) > size or sent > size + FRAMING:
                raise _too_large(who, size)
    if unpack is not None and sent and not unpack.whole:
        raise Unanswered(who, "what it compressed was cut short")
    return bytes(made)


def _unpacker(response: Response, who: str) -> _Gzip | None:
    """What undoes the coding of a body, if it has one. Errors: ``Denied`` for codings that were not asked for."""
    named = [name.strip().lower() for name in response.header("content-encoding").split(",")]
    codings = [name for name in named if name not in ("", "identity")]
    if not codings:
        return None
    if codings not in (["gzip"], ["x-gzip"]):
        raise Denied("http", f"{who} sent a body as {', '.join(codings)[:80]!r}, and only gzip was asked for")
    return _Gzip(who)


def _too_large(who: str, size: int) -> Denied:
    return Denied("http", f"the answer of {who} is larger than {size} bytes")


@final
class _Gzip:
    """Decompresses piece by piece, and never more than there is room for."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._member: Any = None

    @property
    def whole(self) -> bool:
        """Whether it ended where it said."""
        return self._member is None or bool(self._member.eof)

    def some(self, data: bytes, room: int) -> bytes:
        """What more data says, up to ``room`` bytes. Errors: ``Unanswered``."""
        made = bytearray()
        try:
            while data and len(made) < room:
                if self._member is None or self._member.eof:
                    self._member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
                made += self._member.decompress(data, room - len(made))
                data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        except zlib.error:
            raise Unanswered(self._who, "what it sent as gzip is not") from None
        return bytes(made)
