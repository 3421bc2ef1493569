"""Waiting for a service: no longer than allowed, event by event, and hanging up when nobody listens any more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Final, TypeVar

import anyio

from lambdacat.fault import Unanswered

T = TypeVar("T")
_END: Final = b"[DONE]"
_PARTING: Final = 0.1
"""How long a service may take to close an answer that has ended, so that its connection can serve another."""


class Patience:
    """How long one request is still waited for; what its reader does meanwhile does not count. Units: seconds."""

    __slots__ = ("_all", "_left", "_who")

    def __init__(self, seconds: float | None, who: str) -> None:
        self._all = self._left = seconds
        self._who = who

    async def wait(self, for_it: Awaitable[T]) -> T:
        """What is waited for. Errors: ``Unanswered`` when there is no time left."""
        began = anyio.current_time()
        with anyio.move_on_after(self._left):
            found = await for_it
            if self._left is not None:
                self._left = max(0.0, self._left - (anyio.current_time() - began))
            return found
        # Here, where the cancellation is over: an exception keeps the one it was raised from, and all its frames.
        raise Unanswered(self._who, f"no whole answer came within {self._all:g} s")


async def payloads(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The data of server-sent events, up to the one that says it is the last.

    Law: ``chunks`` has ended when this has, and whatever it holds is closed, also when this is left early.
    """
    rest, row = b"", list[bytes]()
    parting = 0.0
    try:
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                text = line.rstrip(b"\r")
                if text.startswith(b"data:"):
                    row.append(text[5:].removeprefix(b" "))
                elif not text and row:
                    if row[0].startswith(_END):
                        parting = _PARTING
                        return
                    yield b"\n".join(row)
                    row = []
        if row:
            yield b"\n".join(row)
    finally:
        await _hang_up(chunks, parting)


async def _hang_up(chunks: AsyncIterator[bytes], seconds: float) -> None:
    # Generators inside generators are only closed where they wait: by cancelling them there, all are, in order.
    with anyio.move_on_after(seconds):
        async for _ in chunks:
            pass
