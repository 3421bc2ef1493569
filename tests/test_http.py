"""A client that asks nobody but who is listed: addresses, redirects, names, sizes, time, surroundings."""

from __future__ import annotations

import gzip
import socket
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_servers import (
    AUTHORITY,
    BROTLI,
    ZSTANDARD,
    Scripted,
    answer,
    drip,
    endless,
    overheard,
    path_of,
    saying,
    zeros,
)

from lambdacat import Denied, Unanswered
from lambdacat.tools.http import Http, Response
from lambdacat.tools.web_hosts import allowed, check_listed, is_public, numeric, url_of
from lambdacat.tools.web_wire import _trusting

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
NAME = "api.example.org"
LISTED = Http((NAME, "*.wild.example"))

FOREIGN = [
    # a user name that looks like a host, and a host that looks like a user name
    f"https://{NAME}@evil.example/", f"https://{NAME}:443@evil.example/", f"https://user@{NAME}/",
    f"https://user:word@{NAME}/", f"https://@{NAME}/", f"https://evil.example@{NAME}/",
    f"https://{NAME}%40evil.example/", f"https://evil.example#@{NAME}/", f"https://evil.example?@{NAME}/",
    f"https://evil.example/@{NAME}/",
    # backslashes, which browsers take for slashes
    f"https://evil.example\\@{NAME}/", f"https:\\\\{NAME}/", f"https://{NAME}\\.evil.example/",
    f"https://{NAME}\\/", "https:/\\evil.example/",
    # letters that look or fold like others
    "https://api.ex\u0430mple.org/", "https://\uff41\uff50\uff49.example.org/", "https://api\u3002example\u3002org/",
    f"https://{NAME}\uff0eevil.example/", "https://api.example.\u24dfrg/", "https://api.ex\u00adample.org/",
    f"https://{NAME}\u2044.evil.example/", "https://xn--api-9za.example.org/", f"https://{NAME}\u200b/",
    "https://api.example.org\uff03@evil.example/",
    # dots
    f"https://{NAME}./", f"https://{NAME}../", f"https://.{NAME}/", "https://api..example.org/",
    # more or less of the name
    f"https://{NAME}.evil.example/", f"https://evil{NAME}/", f"https://evil-{NAME}/", f"https://{NAME}s/",
    "https://api.example.or/", "https://example.org/", f"https://a.{NAME}/", "https://wild.example/",
    "https://evilwild.example/", "https://.wild.example/", "https://a.wild.example.evil.example/",
    "https://*.wild.example/", "https://a.wild.example./", "https://-.wild.example/", "https://%61.wild.example/",
    # this machine, in all that resolvers take for its address
    "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://017700000001/",
    "https://0177.0.0.1/", "https://127.1/", "https://127.0.1/", "https://127.0.0.1/", "https://127.0.0.1./",
    "https://0/", "https://0.0.0.0/", "https://localhost/", "https://[::1]/", "https://[::]/",
    "https://\u2460\u2461\u2466.0.0.1/", "https://127\u30020\u30020\u30021/",
    # addresses inside addresses, and those of clouds
    "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/", "https://[::127.0.0.1]/", "https://[fe80::1%25eth0]/", "https://[::1%lo]/",
    "https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", f"https://[{NAME}]/", "https://[::1/",
    # ports
    f"https://{NAME}:80/", f"https://{NAME}:8443/", f"https://{NAME}:0443/", f"https://{NAME}:443x/",
    f"https://{NAME}:+443/", f"https://{NAME}:65979/", f"https://{NAME}:/", f"https://{NAME}:-1/",
    f"https://{NAME}:443:443/", f"https://{NAME}:\uff14\uff14\uff13/", f"https://{NAME}:4_43/",
    # schemes
    f"http://{NAME}/", f"ftp://{NAME}/", "file:///etc/passwd", f"file://{NAME}/etc/passwd", f"gopher://{NAME}/",
    "data:,x", f"//{NAME}/", NAME, f"https:{NAME}/", f"https:///{NAME}/", f"wss://{NAME}/", f"jar:https://{NAME}!/",
    f"https+unix://{NAME}/", f"https//{NAME}/", f"httpss://{NAME}/", "", "https://", "https:///",
    # what is no character of a URL
    f" https://{NAME}/", f"https://{NAME}/\r\nX: y", f"https://{NAME} /", f"htt\tps://{NAME}/", "https://api.exam\nple.org/",
    f"https://{NAME}\x00.evil.example/", f"https://{NAME}/{'a' * 9000}", "https://" + "a" * 300 + ".wild.example/",
]  # fmt: skip

INSIDE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "100.100.100.200", "169.254.169.254", "168.63.129.16", "192.0.0.8", "192.0.0.170", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
    "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::",
    "2002:808:808::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1",
]  # fmt: skip
OUTSIDE = ["8.8.8.8", "93.184.216.34", "172.15.0.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2001:4860::8888"]


def ask(http: Http, url: str, *, method: str = "GET", backend: str = "asyncio", **more: Any) -> Response:
    async def begin() -> Response:
        return await http.request(method, url, **more)

    return anyio.run(begin, backend=backend)


def refusal(http: Http, url: str, **more: Any) -> str:
    with pytest.raises(Denied) as raised:
        ask(http, url, **more)
    return raised.value.reason


def silence(http: Http, url: str, **more: Any) -> str:
    with pytest.raises(Unanswered) as raised:
        ask(http, url, **more)
    return raised.value.reason


def at(server: Scripted, **more: Any) -> Http:
    """A client for one server, with little patience."""
    return Http((server.url(path=""),), **{"seconds": 5, **more})


def leading(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that gives one answer after the other; the last one again and again."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


# Whom to ask ---------------------------------------------------------------------------------------------------------


def test_no_url_but_those_of_listed_hosts_is_asked_and_no_connection_is_made() -> None:
    async def passed() -> list[str]:
        through = []
        for url in FOREIGN:
            try:
                await LISTED.get(url)
                through.append(url)
            except Denied:
                continue
            except Exception as error:  # noqa: BLE001  whatever else it is, it was not refused
                through.append(f"{url} {error!r}")
        return through

    assert len(FOREIGN) >= 60
    with overheard() as heard:
        assert anyio.run(passed) == []
    assert heard == []


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.org",
        "HTTPS://API.Example.ORG:443/a?b#c",
        "https://a.wild.example/",
        "https://a.b.wild.example",
    ],
)
def test_listed_hosts_are_listed_however_they_are_written(url: str) -> None:
    check_listed(url_of(url), LISTED.hosts)


@pytest.mark.parametrize(
    ("url", "reason"),
    [(f"https://user@{NAME}/", "user name"), (f"https://{NAME}\\/", "backslash"), (f"https://{NAME}./", "no host name"),
     ("https://0x7f.1/", "four decimal numbers"), ("https://ex\xe4mple.org/", "xn--"), (f"https://{NAME}:0/", "no port"),
     ("https://[fe80::1%25lo]/", "network card"), (f"ftp://{NAME}/", "http://")],
)  # fmt: skip
def test_what_is_wrong_with_a_url_is_said(url: str, reason: str) -> None:
    assert reason in refusal(LISTED, url)


def test_nobody_is_listed_unless_said() -> None:
    assert "not in the list" in refusal(Http(), "https://example.org/")


def test_this_machine_in_other_words_is_not_what_was_listed() -> None:
    with Scripted(saying(200, body=b"here")) as server:
        http = at(server)
        for host in (
            "localhost",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "0",
            "[::ffff:127.0.0.1]",
            "127.0.0.2",
        ):
            refusal(http, server.url(host=host))
        assert server.connections == 0
        assert ask(http, server.url()).text == "here"
        assert server.connections == 1


@given(st.text(max_size=30))
def test_no_text_is_read_as_a_host_that_it_does_not_say(text: str) -> None:
    for url in (f"https://{text}", f"https://{NAME}{text}", f"https://{text}{NAME}/"):
        try:
            check_listed(url_of(url), LISTED.hosts)
        except Denied:
            continue
        assert url.lower().startswith((f"https://{NAME}", "https://"))
        assert url_of(str(url_of(url))) == url_of(url)
        assert url_of(url).host == NAME or url_of(url).host.endswith(".wild.example")


@pytest.mark.parametrize(
    "entry", ["*", "*.org", "**.example.org", "a.*.org", "user@example.org", "ftp://example.org", "example.org/path",
              "example.org.", "ex ample.org", "", "127.1", "*.127.0.0.1", "example.org:0", "exämple.org", 3],
)  # fmt: skip
def test_what_is_no_host_cannot_be_listed(entry: Any) -> None:
    with pytest.raises(ValueError, match="host"):
        allowed(entry)


def test_a_bare_text_is_no_list_of_hosts() -> None:
    with pytest.raises(ValueError, match="tuple"):
        Http(NAME)


NO_HEADERS = [
    ("Host", "x"),
    ("a b", "x"),
    ("a", "x\r\ny: z"),
    ("a", " x"),
    ("a", "\u0430"),
    ("Proxy-Authorization", "x"),
]


@pytest.mark.parametrize(
    "more",
    [
        {"seconds": 0}, {"seconds": float("inf")}, {"size": 1.5}, {"size": True}, {"private": ("10.0.0.0/99",)},
        *({"headers": {name: value}} for name, value in NO_HEADERS),
    ],
)  # fmt: skip
def test_what_makes_no_sense_cannot_be_built(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Http((NAME,), **more)


def test_secrets_of_a_client_are_not_shown() -> None:
    assert "sesame" not in repr(Http((NAME,), headers={"authorization": "sesame"}))
    with pytest.raises(ValueError, match="value of the header") as raised:
        Http((NAME,), headers={"authorization": "sesame\n"})
    assert "sesame" not in str(raised.value)


# Which address -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
    with overheard() as heard:
        assert "not a public address" in refusal(Http((NAME,), resolve=leading([address])), f"https://{NAME}/")
        refusal(Http((NAME,), resolve=leading(["93.184.216.34", address])), f"https://{NAME}/")
    assert heard == []


@pytest.mark.parametrize("address", OUTSIDE)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@BACKENDS
def test_the_connection_goes_to_the_address_that_was_checked(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def nowhere(remote_host: str, remote_port: int, **_: object) -> None:
        asked.append(remote_host)
        raise OSError("no route")

    monkeypatch.setattr(anyio, "connect_tcp", nowhere)
    resolve = leading(["93.184.216.34", "2606:4700::1111"], ["127.0.0.1"])
    with overheard() as heard:
        assert "no route" in silence(Http((NAME,), resolve=resolve), f"https://{NAME}/", backend=backend)
    assert asked == ["93.184.216.34", "2606:4700::1111"]
    assert heard == []


def test_a_name_that_changes_between_redirects_is_checked_again() -> None:
    with Scripted(saying(302, "location: /again")) as server:
        http = Http(
            (f"http://{NAME}:{server.port}",), private=("127.0.0.1",), resolve=leading(["127.0.0.1"], ["127.0.0.2"])
        )
        assert "leads to 127.0.0.2" in refusal(http, server.url(host=NAME))
        assert server.connections == 1


@pytest.mark.parametrize("answers", [["nonsense"], ["127.0.0.1.evil.example"], ["8.8.8.8", "0x7f.1"]])
def test_what_a_resolver_says_must_be_addresses(answers: list[str]) -> None:
    assert "no address" in refusal(Http((NAME,), resolve=leading(answers)), f"https://{NAME}/")


def test_names_that_lead_nowhere() -> None:
    assert "nowhere" in silence(Http((NAME,), resolve=leading([])), f"https://{NAME}/")

    async def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    assert "not known" in silence(Http((NAME,), resolve=unknown), f"https://{NAME}/")


def test_private_addresses_are_asked_when_they_are_listed() -> None:
    with Scripted(saying(200, body=b"inside")) as server:
        hosts = (f"http://localhost:{server.port}",)
        assert "not a public address" in refusal(Http(hosts), server.url(host="localhost"))
        assert server.connections == 0
        assert ask(Http(hosts, private=("127.0.0.0/8", "::1")), server.url(host="localhost")).text == "inside"


def test_nowhere_is_refused_even_when_it_is_listed() -> None:
    http = Http(("http://0.0.0.0:8080", "http://[ff02::1]"), private=("0.0.0.0/0", "::/0"))
    refusal(http, "http://0.0.0.0:8080/")
    refusal(http, "http://[ff02::1]/")


def test_the_next_address_is_tried_when_one_is_silent() -> None:
    with Scripted(saying(200, body=b"second")) as server:
        dead = socket.create_server(("127.0.0.3", 0))
        dead.close()
        http = Http(
            (f"http://{NAME}:{server.port}",), private=("127.0.0.0/8",), resolve=leading(["127.0.0.3", "127.0.0.1"])
        )
        assert ask(http, server.url(host=NAME)).text == "second"


@BACKENDS
def test_the_name_stays_on_certificates_and_in_headers(backend: str) -> None:
    with Scripted(saying(200, body=b"safe"), tls=True) as server:
        wide = (f"https://{NAME}:{server.port}", f"https://other.example.org:{server.port}", server.url(path=""))
        http = Http(wide, private=("127.0.0.1",), resolve=leading(["127.0.0.1"]), authorities=AUTHORITY)
        assert ask(http, server.url(host=NAME), backend=backend).text == "safe"
        assert f"host: {NAME}:{server.port}".encode() in server.heads[0].lower()
        for host in ("other.example.org", "127.0.0.1"):
            assert "certificate" in refusal(http, server.url(host=host), backend=backend)
        usual = Http(wide, private=("127.0.0.1",), resolve=leading(["127.0.0.1"]))
        assert "certificate" in refusal(usual, server.url(host=NAME), backend=backend)
        assert len(server.heads) == 1


# Redirects -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused_where_a_first_request_would_be(status: int) -> None:
    places = [
        "http://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "//evil.example/",
        "https://evil.example/", "http://localhost/", "http:\\\\evil.example", "http://[::1]/", "gopher://x/", "http://",
        "http:/x", "///x",
        "http://2130706433/", "http://a@127.0.0.1/", "http://[broken/", "http://ex\xe4mple.org/", "http://a b/",
    ]  # fmt: skip

    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(answer(status, f"location: {places[int(path_of(head)[1:])]}"))

    with Scripted(script) as server, overheard() as heard:
        http = at(server)
        for index in range(len(places)):
            refusal(http, server.url(path=f"/{index}"))
        assert {target for _, target in heard} == {("127.0.0.1", server.port)}
        assert server.connections == len(places)


@BACKENDS
def test_chains_of_redirects_end(backend: str) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        left = int(path_of(head)[1:])
        connection.sendall(answer(302, f"location: {left - 1}") if left else answer(200, body=b"there"))

    with Scripted(script) as server:
        assert ask(at(server), server.url(path="/5"), backend=backend).text == "there"
        server.heads.clear()
        assert "more than 5 redirects" in refusal(at(server), server.url(path="/50"), backend=backend)
        assert len(server.heads) == 6


def test_keys_are_not_shown_to_other_servers() -> None:
    with Scripted(saying(200, body=b"last")) as last:
        back = Scripted(lambda connection, head: connection.sendall(answer(302, f"location: {first.url('/end')}")))

        def begin(connection: socket.socket, head: bytes) -> None:
            end = path_of(head) == "/end"
            connection.sendall(answer(302, f"location: {last.url() if end else back.url()}"))

        with Scripted(begin) as first, back:
            http = Http([one.url(path="") for one in (first, back, last)], headers={"x-api-key": "sesame"})
            more = {"authorization": "Bearer sesame", "cookie": "a=sesame", "accept": "text/plain"}
            assert ask(http, first.url(), headers=more).text == "last"
            assert first.heads[0].count(b"sesame") == 3
            assert b"sesame" not in b"".join([*first.heads[1:], *back.heads, *last.heads])
            assert b"accept: text/plain" in last.heads[0].lower()


def test_a_redirect_within_a_server_keeps_what_was_asked() -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(answer(307, "location: /b?c=d") if path_of(head) == "/a" else answer(200, body=head))

    with Scripted(script) as server:
        response = ask(at(server), server.url("/a"), method="POST", json={"a": 1}, headers={"x-key": "k"})
        assert response.url == server.url("/b?c=d")
        assert response.text.startswith("POST /b?c=d")
        assert "x-key: k" in response.text.lower()


def test_what_was_sent_is_not_sent_to_another_server() -> None:
    with Scripted(saying(200)) as other:
        for status, sent in ((307, False), (308, False), (301, True), (302, True), (303, True)):
            with Scripted(saying(status, f"location: {other.url()}")) as server:
                http = Http((server.url(path=""), other.url(path="")))
                if sent:
                    assert ask(http, server.url(), method="POST", content="secret").ok
                else:
                    assert "sends a POST on" in refusal(http, server.url(), method="POST", content="secret")
        assert [head.split(b" ")[0] for head in other.heads] == [b"GET"] * 3
        assert b"secret" not in b"".join(other.heads)


def test_from_https_nobody_is_sent_to_http() -> None:
    with Scripted(saying(200)) as plain:
        place = f"http://{NAME}:{plain.port}/"
        with Scripted(saying(302, f"location: {place}"), tls=True) as server:
            http = Http(
                (place[:-1], f"https://{NAME}:{server.port}"), private=("127.0.0.1",), resolve=leading(["127.0.0.1"]),
                authorities=AUTHORITY,
            )  # fmt: skip
            assert "from https to http" in refusal(http, server.url(host=NAME))
            assert plain.connections == 0


def test_a_redirect_to_several_places_is_refused_and_to_none_is_an_answer() -> None:
    with Scripted(saying(302, "location: /a", "location: /b")) as server:
        assert "several places" in refusal(at(server), server.url())
    with Scripted(saying(302)) as server:
        assert ask(at(server), server.url()).status == 302


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


def test_numeric_hosts() -> None:
    assert [numeric(host) for host in ("127.0.0.1", "::1", NAME)] == [ip_address("127.0.0.1"), ip_address("::1"), None]
