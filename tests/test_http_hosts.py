"""A client that asks nobody but who is listed: URLs, addresses, names, redirects."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_asking import BACKENDS, FOREIGN, INSIDE, LISTED, NAME, OUTSIDE, ask, at, leading, refusal, silence
from web_servers import AUTHORITY, Scripted, answer, overheard, path_of, saying

from lambdacat import Denied
from lambdacat.tools.http import Http
from lambdacat.tools.web_hosts import allowed, check_listed, is_public, numeric, url_of

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
    [
        (f"https://user@{NAME}/", "user name"), (f"https://{NAME}\\/", "backslash"),
        (f"https://{NAME}./", "no host name"),
        ("https://0x7f.1/", "four decimal numbers"), ("https://ex\xe4mple.org/", "xn--"), (f"ftp://{NAME}/", "http://"),
        ("https://[fe80::1%25lo]/", "network card"), (f"https://{NAME}:0/", "no port"),
    ],
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


def test_numeric_hosts() -> None:
    assert [numeric(host) for host in ("127.0.0.1", "::1", NAME)] == [ip_address("127.0.0.1"), ip_address("::1"), None]
