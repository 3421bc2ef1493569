"""A client whose answers have a size and a deadline, and that its surroundings say nothing to."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import pytest
from web_asking import BACKENDS, NAME, ask, at, leading, refusal, silence
from web_servers import AUTHORITY, BROTLI, ZSTANDARD, Scripted, answer, drip, endless, path_of, saying, zeros

from lambdacat import Unanswered
from lambdacat.tools.http import Http
from lambdacat.tools.web_wire import _trusting

ZIPPED = "content-encoding: gzip"

# How much ------------------------------------------------------------------------------------------------------------


@BACKENDS
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(saying(200, "content-encoding: gzip", body=zeros(20)), "larger than", id="gzip bomb"),
        pytest.param(saying(200, "content-encoding: br", body=BROTLI), "only gzip", id="brotli"),
        pytest.param(saying(200, "content-encoding: zstd", body=ZSTANDARD), "only gzip", id="zstandard"),
        pytest.param(saying(200, f"{ZIPPED}, gzip", body=gzip.compress(zeros(1))), "only gzip", id="twice"),
        pytest.param(saying(200, ZIPPED, ZIPPED, body=gzip.compress(b"")), "only gzip", id="two headers"),
        pytest.param(saying(200, "content-encoding: sdch", body=b"x"), "only gzip", id="unknown"),
        pytest.param(saying(200, "content-encoding: deflate", body=b"x"), "only gzip", id="deflate"),
        pytest.param(saying(200, *(f"h{i}: x" for i in range(200))), "headers", id="200 headers"),
        pytest.param(saying(200, *(f"h{i}: {'x' * 1000}" for i in range(60))), "headers", id="long headers"),
        pytest.param(saying(200, "content-length: 99999999999", length=False), "larger than", id="declared"),
        pytest.param(endless, "larger than", id="endless"),
        pytest.param(saying(200, body=b"x" * 100_001), "larger than", id="one more"),
    ],
)  # fmt: skip
def test_answers_that_are_too_much_are_refused(script: Any, reason: str, backend: str) -> None:
    with Scripted(script) as server:
        assert reason in refusal(at(server, size=100_000), server.url(), backend=backend)


def test_a_hundred_thousand_headers_are_not_read() -> None:
    with Scripted(saying(200, *["a: b"] * 100_000)) as server:
        silence(at(server), server.url())


def test_answers_up_to_the_cap_are_read() -> None:
    whole = b"x" * 100_000
    for headers, body in (
        ((), whole),
        (("content-encoding: gzip",), gzip.compress(whole)),
        (("content-encoding: identity",), whole),
    ):
        with Scripted(saying(200, *headers, body=body)) as server:
            assert ask(at(server, size=100_000), server.url()).body == whole


def test_no_more_is_unpacked_than_there_is_room_for() -> None:
    with Scripted(saying(200, ZIPPED, body=zeros(20))) as server:
        ask(at(server, size=100_000), server.url(), method="HEAD")
        tracemalloc.start()
        try:
            refusal(at(server, size=100_000), server.url())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 2_000_000


def test_gzip_may_come_in_several_members_and_must_end() -> None:
    body = gzip.compress(b"a") + gzip.compress(b"") + gzip.compress(b"b")
    for cut, expected in ((body, b"ab"), (b"", b""), (body[:-5], None), (body + b"junk", None), (b"junk", None)):
        with Scripted(saying(200, "content-encoding: X-GZIP", body=cut)) as server:
            if expected is None:
                assert "cut short" in silence(at(server), server.url()) or cut.endswith(b"junk")
            else:
                assert ask(at(server), server.url()).body == expected


@pytest.mark.parametrize(
    "said",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", b"HTTP/1.1 101 Other\r\n\r\n",
     b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
     b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"SSH-2.0-OpenSSH\r\n"],
)  # fmt: skip
def test_what_is_no_http_is_no_answer(said: bytes) -> None:
    with Scripted(lambda connection, head: connection.sendall(said)) as server:
        silence(at(server), server.url())


# How long ------------------------------------------------------------------------------------------------------------


def drip_headers(connection: socket.socket, head: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" if not head else b"a: b\r\n")
        time.sleep(0.02)


def slow_ways(seconds: float) -> dict[str, tuple[Scripted, dict[str, Any], str]]:
    """Servers that take their time, each with what its client is told besides and the host to ask."""

    async def asleep(host: str, port: int) -> list[str]:
        await anyio.sleep(60)
        return []

    named: dict[str, Any] = {"private": ("127.0.0.1",), "resolve": leading(["127.0.0.1"]), "seconds": seconds}
    here = {"seconds": seconds}
    return {
        "drip": (Scripted(drip), here, "127.0.0.1"),
        "headers": (Scripted(drip_headers), here, "127.0.0.1"),
        "silent": (Scripted(saying(200), deaf=True), here, "127.0.0.1"),
        "tls": (Scripted(saying(200), tls=True, deaf=True), named, NAME),
        "name": (Scripted(saying(200)), {**named, "resolve": asleep}, NAME),
    }


@BACKENDS
@pytest.mark.parametrize("way", ["drip", "headers", "silent", "tls", "name"])
def test_a_request_ends_at_its_deadline(way: str, backend: str) -> None:
    server, more, host = slow_ways(0.05)[way]
    with server:
        http = Http((server.url(path="", host=host),), **more)
        assert "within 0.05 s" in silence(http, server.url(host=host), backend=backend)


@pytest.mark.sweep
@BACKENDS
@pytest.mark.parametrize("way", ["drip", "headers", "silent", "tls", "name"])
def test_a_request_ends_within_a_tenth_of_a_second_after_its_deadline(way: str, backend: str) -> None:
    server, more, host = slow_ways(0.5)[way]
    with server:
        http = Http((server.url(path="", host=host),), **more)

        async def timed() -> float:
            began = time.monotonic()
            with pytest.raises(Unanswered):
                await http.get(server.url(host=host))
            return time.monotonic() - began

        http._bounds()  # what is imported once does not count
        took = anyio.run(timed, backend=backend)
        assert 0.5 <= took <= 0.6, took


@BACKENDS
def test_a_name_that_the_system_looks_up_for_ever_is_given_up(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    released = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(10) and [])
    try:
        assert "within 0.05 s" in silence(Http((NAME,), seconds=0.05), f"https://{NAME}/", backend=backend)
    finally:
        released.set()


@BACKENDS
def test_a_request_that_is_cancelled_leaves_no_connection(backend: str) -> None:
    with Scripted(drip) as server:

        async def begin() -> bool:
            with anyio.move_on_after(0.05) as scope:
                await at(server).get(server.url())
            return scope.cancelled_caught

        assert anyio.run(begin, backend=backend)
    assert server.left_alone == 1


# Around it -----------------------------------------------------------------------------------------------------------


def test_the_surroundings_have_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys, netrc = tmp_path / "keys", tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password sesame\n", encoding="utf-8")
    with Scripted(saying(200, body=b"proxy")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
        monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
        with Scripted(saying(200, "set-cookie: a=sesame; path=/", body=b"server")) as server:
            http = at(server)
            assert [ask(http, server.url()).text for _ in range(2)] == ["server", "server"]
            assert b"sesame" not in b"".join(server.heads)
            assert b"cookie" not in b"".join(server.heads).lower()
        with Scripted(saying(200), tls=True) as server:
            hosts = (server.url(path="", host=NAME),)
            named: dict[str, Any] = {"private": ("127.0.0.1",), "resolve": leading(["127.0.0.1"])}
            assert ask(Http(hosts, authorities=AUTHORITY, **named), server.url(host=NAME)).ok
            _trusting.cache_clear()
            # That authority is trusted by who says so, and not because a variable does.
            assert "certificate" in refusal(Http(hosts, **named), server.url(host=NAME))
        assert proxy.connections == 0
    _trusting.cache_clear()
    assert not keys.exists()


def test_cookies_of_a_redirect_are_not_sent_on() -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        first = path_of(head) == "/"
        connection.sendall(answer(302, "location: /next", "set-cookie: a=b") if first else answer(200))

    with Scripted(script) as server:
        assert ask(at(server), server.url()).ok
        assert b"cookie" not in server.heads[1].lower()


# How much memory -----------------------------------------------------------------------------------------------------

_MEASURED = """
import resource, sys
from lambdacat import Denied
from lambdacat.tools.http import Http
small, large = sys.argv[1:]
http = Http((small.rpartition("/")[0], large.rpartition("/")[0]))
http.blocking.get(small)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(20):
    try:
        http.blocking.get(large)
        raise SystemExit("it was read")
    except Denied:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.sweep
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "none"])
def test_bombs_take_no_memory(coding: str) -> None:
    bombs = {
        "gzip": saying(200, "content-encoding: gzip", body=zeros(300)),
        "br": saying(200, "content-encoding: br", body=BROTLI * 10_000),
        "zstd": saying(200, "content-encoding: zstd", body=ZSTANDARD * 1000),
        "none": endless,
    }
    with Scripted(saying(200)) as small, Scripted(bombs[coding]) as large:
        command = [sys.executable, "-c", _MEASURED, small.url(), large.url()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    assert int(done.stdout) <= 16


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.sweep
def test_a_thousand_requests_leave_nothing_open() -> None:
    async def many() -> None:
        limit = anyio.CapacityLimiter(20)

        async def one() -> None:
            async with limit:
                assert (await http.get(server.url())).ok

        async with anyio.create_task_group() as group:
            for _ in range(1000):
                group.start_soon(one)

    with Scripted(saying(200)) as server:
        http = at(server)
        before = open_files()
        anyio.run(many)
    assert open_files() <= before
