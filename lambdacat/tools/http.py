"""Asking servers of the web: only those that are listed, in bounded time, for answers of bounded size."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from hashlib import blake2b
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, final, overload

from attrs import Attribute, field, frozen

from lambdacat.bound import Estimate, Resource
from lambdacat.codec import Codecs, NotStorable, StateCorrupt
from lambdacat.fault import Denied, Unanswered
from lambdacat.leaf import task
from lambdacat.optics import Lens
from lambdacat.plan import Plan
from lambdacat.tools.web_answer import BadStatus, NotJson, Pairs, Response, TooBusy, check_answered
from lambdacat.tools.web_hops import HOPS, Asked, asked, header_pairs, joined, next_hop
from lambdacat.tools.web_hosts import Allowed, Network, allowed_hosts, check_listed, networks

if TYPE_CHECKING:
    from typing import Unpack

    from lambdacat.guard.cached import Shelf
    from lambdacat.optics import _Into
    from lambdacat.tools.web_wire import Bounds, Resolver

S = TypeVar("S")
R = TypeVar("R")

__all__ = ["BadStatus", "Blocking", "Http", "NotJson", "Request", "Response", "TooBusy"]

_LONGEST_TAG: Final = 512


class Request(TypedDict, total=False):
    """What may be said of one request besides its method and URL."""

    params: Mapping[str, str | int | float]
    """What stands in the URL after the question mark."""
    headers: Mapping[str, str]
    json: object
    """What is sent, as JSON."""
    content: str | bytes
    """What is sent, as it is."""


def _some(whole: bool) -> Callable[[object, Attribute[Any], Any], None]:
    def check(_: object, attribute: Attribute[Any], value: Any) -> None:
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < inf:
            raise ValueError(f"{attribute.name} is a finite {'whole ' * whole}number above 0, not {value!r}")

    return check


def _file(path: str | Path | None) -> str:
    return "" if path is None else str(path)


@final
@frozen
class Http:
    """A client that asks the listed hosts and nobody else; it keeps no connections and no cookies.

    ``hosts`` are exact (``"api.example.org"``, which is https at port 443; ``"http://localhost:8080"``) or all below a
    domain (``"*.example.org"``). Each redirect is checked like a first request. A host must lead to public addresses
    only, but for the networks in ``private`` and for an address that is itself in ``hosts``.

    Units: ``seconds`` for the whole of a request, redirects and names included; ``size`` in bytes of the body,
    decompressed. ``headers`` go with every request, so that a key in them is shown to every listed host. Answers with
    an ETag are kept in ``store`` and asked for again by it. ``authorities`` is a file of certificates to trust instead
    of the usual ones; ``resolve`` finds addresses.
    Errors: ``ValueError``; ``ImportError`` without the extra ``http``.
    """

    hosts: tuple[Allowed, ...] = field(default=(), converter=allowed_hosts)
    seconds: float = field(default=10.0, validator=_some(whole=False), kw_only=True)
    size: int = field(default=1_000_000, validator=_some(whole=True), kw_only=True)
    headers: Pairs = field(default=(), converter=header_pairs, repr=False, kw_only=True)
    private: tuple[Network, ...] = field(default=(), converter=networks, kw_only=True)
    store: Shelf | None = field(default=None, kw_only=True, repr=False)
    authorities: str = field(default=None, converter=_file, kw_only=True)
    resolve: Resolver | None = field(default=None, kw_only=True, repr=False)

    def __attrs_post_init__(self) -> None:
        if find_spec("httpcore2") is None:
            raise ImportError("Http needs a client: pip install 'lambdacat[http]'")

    async def get(self, url: str, **more: Unpack[Request]) -> Response:
        """What a URL has. Errors: as ``request``."""
        return await self.request("GET", url, **more)

    async def post(self, url: str, **more: Unpack[Request]) -> Response:
        """What a server says to what it is sent. Errors: as ``request``."""
        return await self.request("POST", url, **more)

    async def request(self, method: str, url: str, **more: Unpack[Request]) -> Response:
        """The answer to one request, at the end of its redirects; statuses up to 499 are answers, but for 429.

        Errors: ``Denied`` for what is not allowed: host, address, redirect, size, coding. ``Unanswered`` for what
        another try may change: no connection, no answer in time, a status of 500 or more. ``TooBusy`` for 429, and 503
        with ``Retry-After``. ``ValueError`` for a request that no program should write.
        """
        from anyio import move_on_after

        own = header_pairs(more.get("headers", {}))
        first = asked(
            method,
            url,
            params=more.get("params"),
            headers=joined(self.headers, own),
            json=more.get("json"),
            content=more.get("content"),
        )
        check_listed(first.url, self.hosts)
        bounds = self._bounds()
        with move_on_after(self.seconds):
            return await self._followed(first, bounds)
        raise Unanswered(first.url.authority, f"there was no whole answer within {self.seconds:g} s")

    def _bounds(self) -> Bounds:
        from lambdacat.tools.web_wire import Bounds

        return Bounds(self.size, self.private, self.resolve, self.authorities)

    async def _followed(self, hop: Asked, bounds: Bounds) -> Response:
        """The answer at the end of all redirects."""
        for _ in range(HOPS + 1):
            check_listed(hop.url, self.hosts)
            response = await self._once(hop, bounds)
            check_answered(response, hop.url.authority, time.time)
            following = next_hop(hop, response)
            if following is None:
                return response
            hop = following
        raise Denied("http", f"there are more than {HOPS} redirects, the last of them to {hop.url.authority}")

    async def _once(self, hop: Asked, bounds: Bounds) -> Response:
        """The answer to one request: the server's, or the kept one where the server says that it is still good."""
        from anyio import to_thread

        from lambdacat.tools.web_wire import exchange

        if self.store is None or hop.method != "GET" or hop.body or _is_conditional(hop):
            return await exchange(hop, bounds)
        key = _key(hop)
        kept = _kept(await to_thread.run_sync(self.store.get, key, abandon_on_cancel=True), bounds.size)
        if kept is not None:
            conditional = Asked(hop.method, hop.url, (*hop.headers, ("if-none-match", kept.header("etag"))))
            response = await exchange(conditional, bounds)
            if response.status == 304:
                return kept
        else:
            response = await exchange(hop, bounds)
        if _is_for_keeping(response):
            await to_thread.run_sync(self.store.put, key, _CODECS.encode(response), abandon_on_cancel=True)
        return response

    @property
    def blocking(self) -> Blocking:
        """The same client for functions that are not async."""
        return Blocking(self)

    @overload
    def task(self) -> Plan[str, Response]: ...
    @overload
    def task(self, *, url: str) -> Plan[object, Response]: ...
    @overload
    def task(self, *, url: str | Lens[S, str], into: _Into[S, Response]) -> Plan[S, S]: ...
    def task(self, *, url: Any = None, into: Any = None) -> Any:
        """A step that gets a URL: the one it is given, one that is known, or one that stands in the state.

        With ``into`` the response goes to a place of the state. Its estimate is the time that the client has.
        """
        options: Any = {
            "name": "http get",
            "idempotent": True,
            "estimate": Estimate(seconds=(0.0, self.seconds), tokens=(0, 0), money=(0, 0)),
            "resources": tuple(dict.fromkeys(Resource(f"net:{host.name}") for host in self.hosts)),
        }
        if url is None and into is None:
            return task(**options)(_Get(self))
        if isinstance(url, Lens):
            return task(reads=url, writes=into, **options)(_Get(self))
        if into is None:
            return task(**options)(_GetThis(self, url))
        return task(reads=(), writes=into, **options)(_GetOne(self, url))


@final
@frozen
class _Get:
    """Gets the URL that it is given."""

    http: Http

    async def __call__(self, url: str) -> Response:
        return await self.http.get(url)


@final
@frozen
class _GetThis:
    """Gets one URL, whatever it is given."""

    http: Http
    url: str

    async def __call__(self, given: object) -> Response:
        return await self.http.get(self.url)


@final
@frozen
class _GetOne:
    """Gets one URL, and is given nothing."""

    http: Http
    url: str

    async def __call__(self) -> Response:
        return await self.http.get(self.url)


@final
@frozen
class Blocking:
    """A client whose methods wait: for functions that are not async, with or without a running loop around them.

    Each request has a thread and a loop of its own. In an event loop it stops all that runs there, until it ends.
    """

    http: Http

    def get(self, url: str, **more: Unpack[Request]) -> Response:
        """What a URL has. Errors: as ``Http.request``."""
        return self.request("GET", url, **more)

    def post(self, url: str, **more: Unpack[Request]) -> Response:
        """What a server says to what it is sent. Errors: as ``Http.request``."""
        return self.request("POST", url, **more)

    def request(self, method: str, url: str, **more: Unpack[Request]) -> Response:
        """The answer to one request. Errors: as ``Http.request``."""
        return _waited_for(lambda: self.http.request(method, url, **more))


def _waited_for(work: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """What async work gives, from anywhere. Errors: its own."""
    from threading import Thread

    from anyio import run

    made: list[R] = []
    failed: list[BaseException] = []

    def begin() -> None:
        try:
            made.append(run(work))
        except BaseException as error:  # noqa: BLE001  raised again where it belongs
            failed.append(error)

    # In the context of the caller another loop may be running, and a thread begins with one of its own. It ends by its
    # own deadline: a program that is stopped meanwhile need not wait for it.
    thread = Thread(target=begin, name="lambdacat http", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


_CODECS: Final = Codecs(Response)


def _is_conditional(hop: Asked) -> bool:
    """Whether the caller asks for changes by himself."""
    return any(name.startswith("if-") or name == "range" for name, _ in hop.headers)


def _key(hop: Asked) -> str:
    """Where the answer to a request is kept. Headers count: another key may be shown another answer."""
    said = "\n".join((str(hop.url), *(f"{name}: {value}" for name, value in hop.headers)))
    return f"http/{blake2b(said.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def _kept(data: object, size: int) -> Response | None:
    """The answer that was kept; what cannot be read, or is too large by now, is as if it were not there."""
    if not isinstance(data, bytes):
        return None
    try:
        found = _CODECS.decode(data)
    except (StateCorrupt, NotStorable, TypeError, ValueError):
        return None
    return found if isinstance(found, Response) and len(found.body) <= size and found.header("etag") else None


def _is_for_keeping(response: Response) -> bool:
    """Whether an answer may be kept, and asked for again by its tag."""
    tag = response.header("etag")
    plain = tag.isascii() and tag.isprintable() and 0 < len(tag) <= _LONGEST_TAG
    return response.status == 200 and plain and "no-store" not in response.header("cache-control").lower()
