"""Servers on loopback that do what no good server does, and a count of the connections that this process makes."""

from __future__ import annotations

import base64
import socket
import ssl
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

TLS = Path(__file__).parent / "tls"
AUTHORITY = TLS / "authority.pem"
"""Signs for ``api.example.org``; nobody has its key any more."""

Script = Callable[[socket.socket, bytes], None]
"""What a server does with a connection and the head of the request that came over it."""

_LISTENING: list[list[tuple[str, Any]]] = []


def _hear(event: str, given: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        for heard in _LISTENING:
            heard.append((event, given[1] if event == "socket.connect" else given[0]))


sys.addaudithook(_hear)


@contextmanager
def overheard() -> Iterator[list[tuple[str, Any]]]:
    """Every connection that is begun and every name that is looked up, in any thread."""
    heard: list[tuple[str, Any]] = []
    _LISTENING.append(heard)
    try:
        yield heard
    finally:
        _LISTENING.remove(heard)


class Scripted:
    """A server of a thread; ``heads`` are the requests that came, ``port`` where it listens."""

    def __init__(self, script: Script, *, tls: bool = False, deaf: bool = False) -> None:
        self.script = script
        self.heads: list[bytes] = []
        self.connections = 0
        self.left_alone = 0
        """Connections that the other side closed while the script was at work."""
        self._secure: ssl.SSLContext | None = None
        self._deaf = deaf
        if tls:
            self._secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._secure.load_cert_chain(TLS / "server.pem")
        self._threads: list[Thread] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._begin(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What waits for the next connection hears of it so.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """A URL of this server."""
        return f"{'https' if self._secure else 'http'}://{host}:{self.port}{path}"

    def _begin(self, work: Callable[..., None], *given: Any) -> None:
        thread = Thread(target=work, args=given, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                self.connections += 1
                self._begin(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with connection:
            try:
                if self._deaf:
                    while connection.recv(4096):
                        pass
                    return
                spoken = self._secure.wrap_socket(connection, server_side=True) if self._secure else connection
                with spoken:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += spoken.recv(4096) or b"\r\n\r\n"
                    self.heads.append(head)
                    self.script(spoken, head)
            except OSError:
                self.left_alone += 1


def path_of(head: bytes) -> str:
    """The path that a request asks for."""
    return head.split(b" ", 2)[1].decode()


def answer(status: int, *headers: str, body: bytes = b"", length: bool = True) -> bytes:
    """A response as it goes over the wire."""
    sized = (f"content-length: {len(body)}",) if length else ()
    lines = (f"HTTP/1.1 {status} Some", *headers, *sized, "", "")
    return "\r\n".join(lines).encode("latin-1") + body


def saying(status: int, *headers: str, body: bytes = b"", length: bool = True) -> Script:
    """A script that answers each request alike."""
    said = answer(status, *headers, body=body, length=length)
    return lambda connection, head: connection.sendall(said)


def zeros(megabytes: int) -> bytes:
    """So many megabytes of nothing, as gzip."""
    packed = zlib.compressobj(9, wbits=31)
    return b"".join([*(packed.compress(bytes(1_000_000)) for _ in range(megabytes)), packed.flush()])


def drip(connection: socket.socket, head: bytes) -> None:
    connection.sendall(answer(200, length=False))
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def endless(connection: socket.socket, head: bytes) -> None:
    connection.sendall(answer(200, length=False))
    while True:
        connection.sendall(b"x" * 65_536)


# Ten megabytes of nothing in brotli, and a frame of zstandard whose blocks repeat one byte.
BROTLI = base64.b64decode("W/+fGACgdcUAMpgH") + b"\x00" * 64
ZSTANDARD = b"\x28\xb5\x2f\xfd\x00\x58" + (b"\x02\x00\x10" + b"\x00") * 300 + b"\x03\x00\x10\x00"
