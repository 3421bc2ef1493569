"""A client of the web as part of plans: answers as values, what is tried again, what is kept."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve, frozen
from pytest_httpserver import HTTPServer
from web_servers import Scripted, drip, saying
from werkzeug import Request as Seen
from werkzeug import Response as Said

from lambdacat import (
    FIRST_COMPLETED,
    ActionFailed,
    Context,
    Exponential,
    Refused,
    SqliteJournal,
    Success,
    Unanswered,
    Unavailable,
    arun,
    dry_run,
    lens,
    parallel,
    run,
    task,
    value_or_raise,
)
from lambdacat.guard import Retries
from lambdacat.store import MemoryStore
from lambdacat.testing import VirtualClock
from lambdacat.tools import http as http_module
from lambdacat.tools.http import BadStatus, Http, NotJson, Response, TooBusy
from lambdacat.tools.web_answer import PATIENCE_MOST, retry_after


@frozen
class Page:
    url: str
    response: Response | None = None


URL = lens(Page, lambda p: p.url)
RESPONSE = lens(Page, lambda p: p.response)


@pytest.fixture
def server(httpserver: HTTPServer) -> HTTPServer:
    return httpserver


@pytest.fixture
def client(server: HTTPServer) -> Http:
    return Http((f"http://127.0.0.1:{server.port}",))


def local(server: HTTPServer, path: str = "/") -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def body(data: bytes, kind: str = "") -> Response:
    return Response(200, (("content-type", kind),), data, "https://example.org/a?key=sesame")


# Answers -------------------------------------------------------------------------------------------------------------


def test_json_goes_out_and_comes_back(server: HTTPServer, client: Http) -> None:
    server.expect_request("/double", method="POST").respond_with_handler(
        lambda seen: Said(
            gzip.compress(seen.data + b" "), content_type="application/json", headers={"Content-Encoding": "gzip"}
        )
    )
    response = client.blocking.post(local(server, "/double"), json={"a": [1, "é"]}, params={"q": "x y", "n": 3})
    assert (response.ok, response.json(), response.header("Content-Type")) == (
        True,
        {"a": [1, "é"]},
        "application/json",
    )
    assert response.url.endswith("/double?q=x+y&n=3")


@pytest.mark.parametrize(
    "data",
    [
        b"NaN",
        b"[Infinity]",
        b'{"a": 1, "a": 2}',
        b"{} {}",
        b"",
        b'"\\ud800"',
        b"[" * 100_000,
        b"\xff",
        b"\xef\xbb\xbf{}",
    ],
)
def test_json_that_others_pass_over_in_silence_is_none(data: bytes) -> None:
    with pytest.raises(NotJson, match=r"example\.org/a is not JSON") as raised:
        body(data).json()
    assert "sesame" not in str(raised.value)


def test_text_is_read_in_the_encodings_of_text_alone() -> None:
    assert body("é".encode(), "text/plain; charset=UTF-8").text == "é"
    assert body("é".encode("latin-1"), 'text/html;charset="ISO-8859-1"').text == "é"
    assert body(b"\xff", "text/plain").text == "\ufffd"
    assert body(b"\\x41", "text/plain; charset=unicode_escape").text == "\\x41"
    assert body(b"+AEE-", "text/plain; charset=utf-7").text == "+AEE-"


def test_a_status_is_an_answer_until_it_must_be_good(server: HTTPServer, client: Http) -> None:
    server.expect_request("/none").respond_with_data("no", status=404)
    response = client.blocking.get(local(server, "/none"))
    assert (response.status, response.text) == (404, "no")
    with pytest.raises(BadStatus, match="answered 404"):
        response.good()
    assert body(b"").good() == body(b"")


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_is_sent(server: HTTPServer, client: Http, method: str) -> None:
    server.expect_request("/").respond_with_handler(lambda seen: Said(headers={"x-method": seen.method}))
    assert client.blocking.request(method, local(server)).header("x-method") == method


@pytest.mark.parametrize("more", [{"method": "CONNECT"}, {"method": "GET\r\n"}, {"json": 1, "content": "a"},
                                  {"headers": {"Content-Length": "3"}}, {"json": float("nan")}])  # fmt: skip
def test_requests_that_no_program_should_write(client: Http, server: HTTPServer, more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        client.blocking.request(more.pop("method", "POST"), local(server), **more)
    assert server.log == []


# Trying again --------------------------------------------------------------------------------------------------------


def test_who_asks_to_be_left_alone_is(server: HTTPServer, client: Http) -> None:
    server.expect_ordered_request("/").respond_with_data(status=429, headers={"Retry-After": "120"})
    server.expect_ordered_request("/").respond_with_data(status=503, headers={"Retry-After": "60"})
    server.expect_ordered_request("/").respond_with_data("at last")
    clock = VirtualClock()
    ask = task(client.blocking.get).retry(Exponential(first=1.0, cap=9.0).times(3), budget=Retries())
    assert value_or_raise(run(ask, local(server), context=Context(clock=clock))).text == "at last"
    assert clock() == pytest.approx(180)


@pytest.mark.parametrize(
    ("said", "date", "seconds"),
    [("7", "", 7.0), ("0", "", 0.0), ("-3", "", 0.0), ("", "", 0.0), ("1e9", "", 0.0), ("9" * 30, "", PATIENCE_MOST),
     ("Thu, 01 Jan 1970 00:01:40 GMT", "", 40.0), ("Thu, 01 Jan 1970 00:00:10 GMT", "", 0.0), ("²", "", 0.0),
     ("Thu, 01 Jan 1970 00:01:40 GMT", "Thu, 01 Jan 1970 00:01:30 GMT", 10.0), ("Thu, 99 Jan 1970", "", 0.0)],
)  # fmt: skip
def test_how_long_a_server_wants_to_be_left_alone(said: str, date: str, seconds: float) -> None:
    assert retry_after(said, date, lambda: 60.0) == seconds


def test_what_another_try_may_change_is_unavailable(server: HTTPServer, client: Http) -> None:
    server.expect_ordered_request("/").respond_with_data(status=500)
    server.expect_ordered_request("/").respond_with_data(status=503)
    server.expect_ordered_request("/").respond_with_data("at last")
    ask = client.task(url=local(server))
    assert isinstance(asyncio.run(arun(ask, None)).failure(), Unavailable)
    patient = ask.retry(Exponential(first=0.001).times(3), on=(ActionFailed, Unavailable))
    assert value_or_raise(asyncio.run(arun(patient, None))).text == "at last"


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with Scripted(saying(200)) as gone:
        url = gone.url()
    http = Http((url[:-1],))
    assert isinstance(asyncio.run(arun(http.task(), url)).failure(), Unavailable)


def test_what_is_not_allowed_is_refused_and_not_tried_again() -> None:
    fault = asyncio.run(arun(Http().task().retry(3), "https://example.org/")).failure()
    assert isinstance(fault, Refused)
    assert fault.by == "http"


# In plans ------------------------------------------------------------------------------------------------------------


def test_a_step_gets_what_it_is_given_or_what_the_state_says(server: HTTPServer, client: Http) -> None:
    server.expect_request("/a").respond_with_data("a")
    url = local(server, "/a")
    plan = client.task() >> task(Response.good) >> task(lambda response: response.text)
    assert asyncio.run(arun(plan, url)) == Success("a")
    page = value_or_raise(asyncio.run(arun(client.task(url=URL, into=RESPONSE), Page(url))))
    assert page.response is not None
    assert page.response.text == "a"
    fixed = value_or_raise(asyncio.run(arun(client.task(url=url, into=RESPONSE), Page("elsewhere"))))
    assert fixed == evolve(page, url="elsewhere", response=fixed.response)
    assert value_or_raise(asyncio.run(arun(client.task(url=url), 3))).text == "a"


def test_a_step_says_whom_it_may_ask() -> None:
    step: Any = Http(("example.org", "*.example.org", "http://example.org", "[2606:4700::1]:8443")).task()
    assert [one.name for one in step.resources] == ["net:example.org", "net:*.example.org", "net:2606:4700::1"]


def test_a_forecast_knows_how_long_a_step_may_take(client: Http) -> None:
    assert dry_run(client.task()).seconds == (0.0, 10.0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_who_loses_a_race_leaves_no_connection(backend: str) -> None:
    with Scripted(drip) as slow, Scripted(saying(200, body=b"first")) as quick:
        http = Http((slow.url(path=""), quick.url(path="")))
        tries = [http.task(url=server.url(), into=RESPONSE) for server in (slow, quick)]

        async def begin() -> Page:
            return value_or_raise(await arun(parallel(*tries, policy=FIRST_COMPLETED), Page("")))

        won = anyio.run(begin, backend=backend).response
        assert won == Response(200, (("content-length", "5"),), b"first", quick.url())
    assert slow.left_alone == slow.connections


def test_a_response_is_journalled_and_not_asked_for_twice(server: HTTPServer, client: Http, tmp_path: Path) -> None:
    server.expect_request("/").respond_with_data("once")
    text = task(name="text")(lambda response: response.text)

    def journal() -> SqliteJournal:
        return SqliteJournal(tmp_path / "runs.db", run_id="one", codecs=[Response])

    for _ in range(2):
        assert asyncio.run(arun(client.task() >> text, local(server), journal=journal())) == Success("once")
    assert len(server.log) == 1


def test_results_can_be_kept_for_a_while(server: HTTPServer, client: Http) -> None:
    server.expect_request("/").respond_with_data("once")
    quick = client.task().cached(MemoryStore(), seconds=60, codecs=[Response])
    for _ in range(2):
        assert value_or_raise(asyncio.run(arun(quick, local(server)))).text == "once"
    assert len(server.log) == 1


def test_functions_that_wait_are_used_with_and_without_a_loop(server: HTTPServer, client: Http) -> None:
    server.expect_request("/").respond_with_data("here")

    async def inside() -> str:
        return client.blocking.get(local(server)).text

    assert client.blocking.get(local(server)).text == "here"
    assert [anyio.run(inside, backend=backend) for backend in ("asyncio", "trio")] == ["here", "here"]
    with pytest.raises(Unanswered):
        client.blocking.get(local(server, "/unexpected"))


# Kept by their tags --------------------------------------------------------------------------------------------------


class Tagged:
    """A page with a tag, that counts how often it is sent whole."""

    def __init__(self, **headers: str) -> None:
        self.whole = 0
        self.tag = '"v1"'
        self.headers = headers

    def __call__(self, seen: Seen) -> Said:
        if seen.headers.get("if-none-match") == self.tag:
            return Said(status=304, headers={"etag": self.tag})
        self.whole += 1
        return Said(f"{self.tag} for {seen.headers.get('x-user', 'all')}", headers={"etag": self.tag, **self.headers})


def test_an_answer_that_is_still_good_comes_from_the_store(server: HTTPServer, client: Http) -> None:
    page = Tagged()
    server.expect_request("/").respond_with_handler(page)
    http = evolve(client, store=MemoryStore())
    first, again = (http.blocking.get(local(server)) for _ in range(2))
    assert first == again
    assert page.whole == 1
    assert len(server.log) == 2
    page.tag = '"v2"'
    assert http.blocking.get(local(server)).text == '"v2" for all'
    # Another user may be shown something else.
    for user in ("ann", "bob"):
        assert http.blocking.get(local(server), headers={"x-user": user}).text == f'"v2" for {user}'
    # Who asks by a tag of his own is answered himself.
    assert http.blocking.get(local(server), headers={"if-none-match": '"v2"'}).status == 304
    assert page.whole == 4


def test_answers_that_are_not_to_be_kept_are_not(server: HTTPServer, client: Http) -> None:
    page = Tagged(**{"cache-control": "private, no-store"})
    server.expect_request("/").respond_with_handler(page)
    http = evolve(client, store=MemoryStore())
    for _ in range(2):
        http.blocking.get(local(server))
    assert page.whole == 2


@pytest.mark.parametrize("damaged", [b"", b"junk", b"[1]", b'{"a": NaN}', 3])
def test_what_cannot_be_read_of_a_store_is_as_if_it_were_not_there(
    server: HTTPServer, client: Http, damaged: Any
) -> None:
    class Damaged:
        def get(self, key: str) -> Any:
            return damaged

        def put(self, key: str, value: bytes) -> None: ...

    server.expect_request("/").respond_with_handler(Tagged())
    assert evolve(client, store=Damaged()).blocking.get(local(server)).ok


def test_a_kept_answer_keeps_to_the_size_too(server: HTTPServer, client: Http) -> None:
    page = Tagged()
    server.expect_request("/").respond_with_handler(page)
    http = evolve(client, store=MemoryStore())
    http.blocking.get(local(server))
    with pytest.raises(Exception, match="larger than 3 bytes"):
        evolve(http, size=3).blocking.get(local(server))


# Without it ----------------------------------------------------------------------------------------------------------


def test_without_the_extra_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'lambdacat\[http\]'"):
        Http()


def test_a_client_is_loaded_when_something_is_asked() -> None:
    code = (
        "import sys; from lambdacat.tools.http import Http; Http(('example.org',)).task()\n"
        "print(sorted({'httpcore2', 'certifi', 'anyio', 'asyncio', 'ssl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_too_busy_says_how_long() -> None:
    assert str(TooBusy("example.org", 429, 3)) == "example.org answered 429, and asks to be left alone for 3 s"
