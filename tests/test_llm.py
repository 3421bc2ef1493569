"""Language models: what is asked, what comes back, what goes wrong, and what it costs."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any

import anyio
import pytest
from clocks import Runner, on_both, really_on_asyncio, really_on_both
from llm_server import (
    CHUNKED,
    COUNTED,
    KEY,
    STREAM,
    Server,
    answered,
    ask_model,
    asked,
    at,
    client,
    drip,
    events,
    nobody,
    piece,
    raised,
    raw,
    refused,
)
from pytest_httpserver import HTTPServer
from untyped import arun, stream
from werkzeug import Response

from lambdacat import (
    Context,
    Emitted,
    Success,
    TimedOut,
    Unanswered,
    Unavailable,
)
from lambdacat.codec import Codecs
from lambdacat.tools.llm import (
    BadAnswer,
    Completion,
    Message,
    ModelBusy,
    ModelRefused,
    OpenAIClient,
    Price,
    ToolCall,
    Usage,
)
from lambdacat.tools.llm_listening import Patience

__all__ = ["at"]

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def without_the_key(error: Exception) -> bool:
    """Whether neither an exception nor what it was raised from knows the key, the locals of all frames included."""
    below = error.__context__
    assert below is None or type(below).__module__ == "msgspec", "the package's own exceptions know the request"
    shown = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    # This file's frames have the server, which has seen the key.
    return KEY not in "".join(shown).replace(f"KEY={KEY}", "") + repr(error) + str(vars(error))


# --- asking ----------------------------------------------------------------------------------------------------------


@really_on_both
def test_a_whole_answer(on: Runner, at: Any, httpserver: HTTPServer) -> None:
    llm = at(answered(), options={"seed": 7})

    async def main() -> Any:
        return await llm.complete(
            [Message("system", "Be brief."), Message("user", "what?")], max_tokens=9, temperature=0
        )

    assert on(main) == Completion("a sheaf", usage=Usage(11, 7), model="m-1", finish="stop")
    assert asked(httpserver) == [
        {
            "model": "m",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "what?"}],
            "max_tokens": 9,
            "temperature": 0,
            "seed": 7,
        }
    ]
    assert httpserver.log[0][0].headers["Authorization"] == f"Bearer {KEY}"


@really_on_both
def test_a_streamed_answer_comes_in_chunks_that_are_events(on: Runner, at: Any) -> None:
    pieces = (piece("a ", role="assistant"), piece("she"), piece("af"), piece(finish="stop"))
    llm = at(lambda _: Response(events(*pieces, {"choices": [], "usage": COUNTED}), mimetype="text/event-stream"))
    plan = ask_model(llm, str, emits=True)

    async def main() -> Any:
        chunks = [chunk async for chunk in llm.stream("what?")]
        async with stream(plan, "what?") as run:
            return chunks, [event async for event in run]

    chunks, events_seen = on(main)
    emitted = [event.chunk for event in events_seen if isinstance(event, Emitted)]
    assert chunks == ["a ", "she", "af", Completion("a sheaf", usage=Usage(11, 7), model="m-1", finish="stop")]
    assert (emitted, events_seen[-1].result) == (["a ", "she", "af"], Success("a sheaf"))


def test_chunks_come_while_the_answer_is_still_being_written() -> None:
    heard = threading.Event()

    def slowly(seen: Server, _: Any) -> Iterator[bytes]:
        yield from events(piece("first"), done=False)
        assert heard.wait(5)
        yield from events(piece(" last", "stop"))

    async def main(llm: OpenAIClient) -> list[Any]:
        chunks = []
        async for chunk in llm.stream("what?"):
            chunks.append(chunk)
            heard.set()
        return chunks[:-1]

    with raw(slowly) as server:
        assert really_on_asyncio(partial(main, client(server.url))) == ["first", " last"]


CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Turin"}'}}


def in_pieces() -> Response:
    """The same call, as a stream brings it."""
    first = {"index": 0, **CALL, "function": {"name": "weather", "arguments": ""}}
    rest = [{"index": 0, "function": {"arguments": text}} for text in ('{"city"', ': "Turin"}')]
    pieces = [piece(tool_calls=[part]) for part in (first, *rest)]
    return Response(events(*pieces, piece(finish="tool_calls"), {"choices": [], "usage": COUNTED}))


@pytest.mark.parametrize("emits", [False, True], ids=["whole", "streamed"])
def test_calls_of_tools(at: Any, httpserver: HTTPServer, emits: bool) -> None:
    llm = at(in_pieces() if emits else answered(None, tool_calls=[CALL], finish="tool_calls"))
    plan = ask_model(llm, str, gives=Completion, tools=[WEATHER], emits=emits)
    answer = asyncio.run(arun(plan, "rain?")).unwrap()
    [wanted] = answer.tool_calls
    assert (wanted, wanted.parsed()) == (ToolCall("c1", "weather", '{"city": "Turin"}'), {"city": "Turin"})
    assert (answer.text, answer.finish, answer.usage) == ("", "tool_calls", Usage(11, 7))
    assert asked(httpserver)[0]["tools"] == [WEATHER]


def test_what_a_tool_gave_goes_back(at: Any, httpserver: HTTPServer) -> None:
    call = ToolCall("c1", "weather", '{"city": "Turin"}')
    at(answered()).complete_sync([Message("user", "rain?"), Completion("", (call,)).message, call.answered("none")])
    assert asked(httpserver)[0]["messages"][1:] == [
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "none", "tool_call_id": "c1"},
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Message("robot", "hello"),  # type: ignore[arg-type]
        lambda: Message("user", tool_calls=(ToolCall("1", "f"),)),
        lambda: Message("tool", "no id"),
        lambda: Message("user", 7),  # type: ignore[arg-type]
        lambda: Usage(-1, 0),
        lambda: Price(input=-1, output=0),
        lambda: Price(input=float("nan"), output=0),
    ],
)
def test_an_illegal_value_cannot_be_built(make: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        make()


@pytest.mark.parametrize("arguments", ["{", "[1]"])
def test_arguments_that_are_none_are_said(arguments: str) -> None:
    with pytest.raises(BadAnswer, match="the arguments of f are no JSON"):
        ToolCall("1", "f", arguments).parsed()


def test_a_journal_can_keep_what_is_said() -> None:
    codecs = Codecs(Message, ToolCall, Usage, Completion)
    answer = Completion("t", (ToolCall("1", "f", "{}"),), Usage(1, 2), "m", "stop")
    kept = (answer, answer.message, ToolCall("1", "f").answered("gave"))
    assert codecs.decode(codecs.encode(kept)) == kept


# --- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (refused(400, "no such field"), ModelRefused, "m at localhost:{port} refused (400): no such field"),
        (refused(401, f"wrong key {KEY}"), ModelRefused, "m at localhost:{port} refused (401): wrong key [key]"),
        (refused(404, "no model m\n2nd"), ModelRefused, "m at localhost:{port} refused (404): no model m 2nd"),
        (
            Response("", 307, {"Location": "http://x/"}),
            ModelRefused,
            "m at localhost:{port} refused (307): it points to http://x/",
        ),
        (refused(429, "slow down", Retry_After="3"), ModelBusy, "m at localhost:{port} is busy (429): slow down"),
        (refused(503, "later", Retry_After="4"), ModelBusy, "m at localhost:{port} is busy (503): later"),
        (refused(500, "oops"), Unanswered, "m at localhost:{port} did not answer: status 500: oops"),
        (refused(503, "down"), Unanswered, "m at localhost:{port} did not answer: status 503: down"),
        (Response("<h1>no</h1>", 502), Unanswered, "m at localhost:{port} did not answer: status 502: <h1>no</h1>"),
    ],
    ids=lambda value: value.status if isinstance(value, Response) else "",
)
def test_what_a_service_says_is_an_exception_without_the_key(
    at: Any, httpserver: HTTPServer, answer: Response, kind: type[Exception], says: str, streamed: bool
) -> None:
    llm = at(answer)

    async def main() -> Exception:
        return await raised(anext(llm.stream("what?")) if streamed else llm.complete("what?"))

    error = really_on_asyncio(main)
    assert (type(error), str(error)) == (kind, says.format(port=httpserver.port))
    assert len(httpserver.log) == 1, "it asks once: retries are the plan's"
    assert without_the_key(error)
    assert KEY not in repr(llm)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "2.5"}, 2.5),
        ({"Retry_After": "9", "retry_after_ms": "1500"}, 1.5),
        ({"Retry_After": "Thu, 01 Jan 1970 00:01:40 GMT"}, 90.0),
        ({"Retry_After": "Thu, 01 Jan 1970 00:00:01 GMT"}, 0.0),
        ({"Retry_After": "soon"}, 0.0),
        ({"Retry_After": "-1"}, 0.0),
        ({"Retry_After": "inf"}, 0.0),
        ({}, 0.0),
    ],
)
def test_how_long_a_service_wants_to_be_left_alone(at: Any, headers: dict[str, str], seconds: float) -> None:
    llm = at(refused(429, "slow down", **headers))
    context = Context(wall=lambda: 10.0)
    error = really_on_asyncio(lambda: raised(llm.complete("what?", context=context)))
    assert isinstance(error, ModelBusy)
    assert error.retry_after == seconds


def test_that_nothing_is_left_of_what_was_paid_is_nothing_to_wait_for(at: Any) -> None:
    body = {"error": {"message": "quota", "type": "t", "code": "insufficient_quota"}}
    llm = at(Response(json.dumps(body), 429, mimetype="application/json"))
    assert isinstance(really_on_asyncio(lambda: raised(llm.complete("what?"))), ModelRefused)


@really_on_both
def test_retry_waits_as_long_as_the_service_says(on: Runner, at: Any) -> None:
    llm = at(refused(429, "slow down", Retry_After="0.05"), refused(500, "oops"), answered())
    plan = ask_model(llm, str).retry(2, on=(ModelBusy, Unavailable, TimedOut))

    async def main() -> Any:
        began = anyio.current_time()
        return (await arun(plan, "what?")), anyio.current_time() - began

    outcome, seconds = on(main)
    assert outcome == Success("a sheaf")
    assert seconds >= 0.05


BROKEN: dict[str, Any] = {
    "cut": (
        lambda *_: [b'{"choices": ['],
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n",
        Unanswered,
        "RemoteProtocolError",
    ),
    "no answer": (lambda *_: [], b"", Unanswered, "RemoteProtocolError"),
    "no JSON": (
        lambda *_: [b'{"choices": ['],
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
        BadAnswer,
        "truncated",
    ),
    "no text": (lambda *_: [b"\xff\xfe"], b"HTTP/1.1 200 OK\r\n\r\n", BadAnswer, "no completion"),
    "no protocol": (
        lambda *_: [b'{"choices": []}'],
        b"HTTP/1.1 200 OK\r\n\r\n",
        BadAnswer,
        "length >= 1 - at `$.choices`",
    ),
    "slow": (drip, b"HTTP/1.1 200 OK\r\n\r\n", Unanswered, "no whole answer came within 0.08 s"),
}
BROKEN_STREAMS: dict[str, Any] = {
    "cut": (lambda *_: events(piece("a she"), done=False), STREAM, Unanswered, "the stream was cut before its end"),
    "cut inside": (lambda *_: [b"40\r\n", *events(piece("a"), done=False)], CHUNKED, Unanswered, "RemoteProtocolError"),
    "no JSON": (
        lambda *_: events(b'{"choices": ['),
        STREAM,
        BadAnswer,
        "streamed what is no completion: Input data was truncated",
    ),
    "no protocol": (
        lambda *_: events({"choices": 7}),
        STREAM,
        BadAnswer,
        "Expected `array | null`, got `int` - at `$.choices`",
    ),
    "an error": (lambda *_: events({"error": {"message": "overloaded"}}), STREAM, Unanswered, "overloaded"),
    "slow": (drip, STREAM, Unanswered, "no whole answer came within 0.15 s"),
}


@really_on_both
@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_answer_is_one_clear_exception(on: Runner, how: str) -> None:
    answer, head, kind, says = BROKEN[how]
    with raw(answer, head) as server:
        error = on(lambda: raised(client(server.url, timeout=0.08 if how == "slow" else 5).complete("what?")))
    assert type(error) is kind
    assert says in str(error)
    assert without_the_key(error)


@really_on_both
@pytest.mark.parametrize("how", BROKEN_STREAMS)
def test_a_broken_stream_is_one_clear_exception(on: Runner, how: str) -> None:
    answer, head, kind, says = BROKEN_STREAMS[how]

    async def main() -> Exception:
        async def heard() -> list[Any]:
            return [chunk async for chunk in client(server.url, timeout=0.15 if how == "slow" else 5).stream("what?")]

        return await raised(heard())

    with raw(answer, head) as server:
        error = on(main)
        assert how != "slow" or server.closed.wait(5)
    assert type(error) is kind
    assert says in str(error)
    assert without_the_key(error)


@really_on_both
def test_nobody_there_is_unavailable(on: Runner) -> None:
    outcome = on(lambda: arun(ask_model(client(nobody()), str), "what?"))
    assert isinstance(outcome.failure(), Unavailable)
    assert "ConnectError" in outcome.failure().reason


@on_both
def test_the_time_that_a_reader_takes_does_not_count(on: Runner) -> None:
    async def main() -> tuple[float, Exception]:
        patience = Patience(10, "m")
        await patience.wait(anyio.sleep(6))
        await anyio.sleep(100)
        await patience.wait(anyio.sleep(3))
        began = anyio.current_time()
        error = await raised(patience.wait(anyio.sleep(2)))
        return anyio.current_time() - began, error

    seconds, error = on(main)
    assert seconds == pytest.approx(1)
    assert str(error) == "m did not answer: no whole answer came within 10 s"


# --- leaving early ---------------------------------------------------------------------------------------------------


@really_on_both
@pytest.mark.parametrize("where", ["waiting", "reading", "step"])
def test_a_stream_that_is_cancelled_is_closed_there_and_then(on: Runner, where: str) -> None:
    """While it waits for the next chunk; while its reader does something else; as a step that is cut off."""

    async def main() -> Any:
        llm, heard = client(server.url), anyio.Event()

        async def listen() -> None:
            async with aclosing(llm.stream("what?")) as chunks:
                async for _ in chunks:
                    heard.set()
                    if where == "reading":
                        await anyio.sleep_forever()

        async def step() -> None:
            async with stream(ask_model(llm, str, emits=True), "what?") as run:
                async for event in run:
                    if isinstance(event, Emitted):
                        heard.set()

        async with anyio.create_task_group() as group:
            group.start_soon(step if where == "step" else listen)
            await heard.wait()
            group.cancel_scope.cancel()
        closed = await anyio.to_thread.run_sync(server.closed.wait, 5)
        left = len(asyncio.all_tasks()) - 1 if on is really_on_asyncio else 0
        return closed, left, llm._held.get()

    with raw(drip) as server:
        assert on(main) == (True, 0, None)


@really_on_both
def test_connections_are_kept_while_somebody_holds_them(on: Runner, at: Any, httpserver: HTTPServer) -> None:
    llm = at(answered())

    async def main() -> tuple[bool, bool]:
        async with llm as same:
            held = llm._held.get()
            await same.complete("1")
            async with llm:
                await llm.complete("2")
            kept = llm._held.get() is held
        return kept, llm._held.get() is None

    assert on(main) == (True, True)
    assert on(lambda: llm.complete("on another loop")).text == "a sheaf"


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_of_the_environment_stays_at_home(at: Any, httpserver: HTTPServer, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    at(answered())
    OpenAIClient("m", base_url=httpserver.url_for("/v1")).complete_sync("elsewhere")
    monkeypatch.setenv("OPENAI_BASE_URL", httpserver.url_for("/v1"))
    OpenAIClient("m").complete_sync("at home")
    sent = [request.headers["Authorization"] for request, _ in httpserver.log]
    assert sent == ["Bearer none", f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "there is no key: give api_key=, or set OPENAI_API_KEY"),
        ({"base_url": "localhost:8000"}, "base_url is an address such as"),
        ({"base_url": "http://x", "max_tokens": 0}, "max_tokens is a whole number of at least 1"),
        ({"base_url": "http://x", "timeout": -1}, "timeout is a number of seconds"),
        ({"base_url": "http://x", "prices": {"m": 3}}, "the price of m is a Price, not 3"),
    ],
)
def test_a_client_that_cannot_work_is_not_made(options: Any, says: str, monkeypatch: Any) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises((TypeError, ValueError), match=says) as caught:
        OpenAIClient("m", **{"api_key": KEY, **options} if options else {})
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    own = [frame.locals for frame in shown.stack if frame.filename.endswith("llm_openai.py")]
    assert own
    assert KEY not in str(own)


@pytest.mark.parametrize("package", ["openai", "msgspec"])
def test_a_missing_package_is_one_clear_line(package: str, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"^this needs the package {package}: pip install 'lambdacat\[openai\]'$"):
        OpenAIClient("m", base_url="http://x")


def test_the_key_is_in_no_log_and_no_pickle(at: Any, caplog: Any) -> None:
    llm = at(refused(401, f"wrong key {KEY}"))
    with caplog.at_level(logging.DEBUG):
        really_on_asyncio(lambda: raised(llm.complete("what?")))
    assert KEY not in caplog.text
    import pickle

    with pytest.raises(TypeError):
        pickle.dumps(llm._key)


def test_asking_for_a_model_loads_no_client() -> None:
    code = (
        "import sys, lambdacat.tools.llm as llm; llm.OpenAIClient('m', base_url='http://x');"
        "print(sorted({'openai', 'httpx2', 'pydantic', 'msgspec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
