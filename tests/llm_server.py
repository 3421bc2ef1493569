"""A server that speaks OpenAI's chat protocol on loopback, badly where a test wants that."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

KEY = "sk-canary-5f3a"
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
