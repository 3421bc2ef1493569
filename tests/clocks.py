"""Which loop a test runs on: the virtual one of users, held to leave nothing behind, or a real one for threads."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
import pytest
import trio

from lambdacat.testing.loop import VirtualLoop, virtual_trio_run

T = TypeVar("T")
SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "50"))
"""How long one full count may take, at most."""
Runner = Callable[[Callable[..., Awaitable[Any]]], Any]


def on_asyncio(main: Callable[..., Awaitable[T]]) -> T:
    """The result of ``main`` on virtual time; it must leave no task behind."""
    left: set[asyncio.Task[Any]] = set()

    async def whole() -> T:
        before = asyncio.all_tasks()
        try:
            return await main()
        finally:
            left.update(asyncio.all_tasks() - before)

    # Not virtual_asyncio_run: its frame would stand in the stacks that some tests read.
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        result = runner.run(whole())
    assert not left, f"tasks left behind: {left}"
    return result


def on_trio(main: Callable[..., Awaitable[T]]) -> T:
    """The same on trio. Worker threads do not stop its virtual clock: for those, ``really_on_both``."""

    async def whole() -> T:
        return await main()

    return virtual_trio_run(whole)


def really_on_asyncio(main: Callable[..., Awaitable[T]]) -> T:
    """The result of ``main`` on the real clock, within 20 seconds."""

    async def whole() -> T:
        async with asyncio.timeout(20):
            return await main()

    return asyncio.run(whole())


def really_on_trio(main: Callable[..., Awaitable[T]]) -> T:
    """The same on trio."""

    async def whole() -> T:
        with trio.fail_after(20):
            return await main()

    return trio.run(whole)


on_both = pytest.mark.parametrize("on", [on_asyncio, on_trio], ids=["asyncio", "trio"])
really_on_both = pytest.mark.parametrize("on", [really_on_asyncio, really_on_trio], ids=["asyncio", "trio"])


class Clock:
    """A clock for runs in one thread that remembers what was slept, which ``VirtualClock`` does not."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds


class Busy:
    """How many calls of its action are running, and how many have run at once at the most."""

    def __init__(self) -> None:
        self.running = self.peak = 0

    async def work(self, value: T) -> T:
        """The action: it takes a second and gives back what it gets."""
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await anyio.sleep(1)
        finally:
            self.running -= 1
        return value


@contextmanager
def without_collecting() -> Iterator[None]:
    """For ratios of times: a collection costs what everything else in the process weighs, not what is measured."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
