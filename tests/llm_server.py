"""A server that speaks OpenAI's chat protocol on loopback, badly where a test wants that."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from lambdacat.tools import llm
from lambdacat.tools.llm import OpenAIClient, Price

ask_model: Any = llm.ask_model
"""Untyped, for steps that are wrong on purpose, and prompts of which nothing says what they are given."""

KEY = "sk-canary-5f3a"
PRICES = {"m": Price(input=2.0, output=10.0)}
COUNTED = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def answered(
    text: str | None = "a sheaf", *, usage: object = COUNTED, finish: str = "stop", **said: Any
) -> dict[str, Any]:
    """The document of a whole answer."""
    message = {"role": "assistant", "content": text, **said}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    document = {"id": "1", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [choice]}
    return document if usage is None else {**document, "usage": usage}


def piece(text: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """The document of one piece of a streamed answer."""
    said = delta if text is None else {"content": text, **delta}
    return {"id": "1", "model": "m-1", "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


def events(*documents: object, done: bool = True) -> Iterator[bytes]:
    """Documents as they stand in a stream."""
    for one in documents:
        yield b"data: " + (one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n\n"
    if done:
        yield b"data: [DONE]\n\n"


class Server:
    """What one server has seen: requests as documents, their headers, and the connections that were closed on it."""

    def __init__(self, answer: Callable[[Server, Any], Iterable[bytes]], head: bytes) -> None:
        self.answer = answer
        self.head = head
        self.asked: list[Any] = []
        self.headers: list[str] = []
        self.closed = threading.Event()
        """Set when a client went away in the middle of an answer."""
        self.stopped = threading.Event()
        self.url = ""

    def wait(self, seconds: float) -> bool:
        """Let time pass; whether the server is still wanted."""
        return not self.stopped.wait(seconds)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        seen: Server = self.server.seen  # type: ignore[attr-defined]
        while (line := self.rfile.readline()) not in (b"", b"\r\n"):
            lines = [line.decode()]
            while (line := self.rfile.readline()) != b"\r\n":
                lines.append(line.decode())
            length = next(int(one.split(":")[1]) for one in lines if one.lower().startswith("content-length"))
            seen.headers.append("".join(lines))
            seen.asked.append(json.loads(self.rfile.read(length)))
            try:
                self.wfile.write(seen.head)
                for part in seen.answer(seen, seen.asked[-1]):
                    self.wfile.write(part)
                    self.wfile.flush()
            except OSError:
                seen.closed.set()
            return


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def raw(answer: Callable[[Server, Any], Iterable[bytes]], head: bytes = STREAM) -> Iterator[Server]:
    """A server that writes these bytes after its head, one part at a time, and then closes."""
    seen = Server(answer, head)

    class Threads(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None: ...

    with Threads(("127.0.0.1", 0), _Handler) as server:
        server.seen = seen  # type: ignore[attr-defined]
        seen.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield seen
        finally:
            seen.stopped.set()
            server.shutdown()
            thread.join()


def drip(seen: Server, asked: Any) -> Iterator[bytes]:
    """An answer that never ends, and of which a little comes all the time."""
    yield from events(piece("drip"), done=False)
    while seen.wait(0.02):
        yield from events(piece("."), done=False)


def client(url: str, **options: Any) -> OpenAIClient:
    return OpenAIClient("m", base_url=url, api_key=KEY, **{"timeout": 5.0, **options})


@pytest.fixture
def at(httpserver: HTTPServer) -> Callable[..., OpenAIClient]:
    """A client of a server that gives these answers in turn, the last one from then on."""

    def made(*answers: Any, **options: Any) -> OpenAIClient:
        rest = list(answers)

        def handle(request: Request) -> Response:
            answer = rest.pop(0) if len(rest) > 1 else rest[0]
            if isinstance(answer, dict):
                return Response(json.dumps(answer), mimetype="application/json")
            return answer if isinstance(answer, Response) else answer(request)

        httpserver.expect_request("/v1/chat/completions", method="POST").respond_with_handler(handle)
        return client(httpserver.url_for("/v1"), **options)

    return made


def asked(server: HTTPServer) -> list[Any]:
    """The documents that were sent."""
    return [request.get_json() for request, _ in server.log]


def refused(status: int, message: str, **headers: str) -> Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps({"error": {"message": message, "type": "t", "code": None}})
    return Response(body, status, names, mimetype="application/json")


async def raised(ask: Any) -> Exception:
    """What a request raises."""
    try:
        await ask
    except Exception as error:  # noqa: BLE001  whatever it is, the test looks at it
        return error
    raise AssertionError("nothing was raised")


def nobody() -> str:
    """The address of a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}/v1"
