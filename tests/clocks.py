"""Virtual time for tests: an asyncio loop and a trio clock that jump to the next deadline instead of sleeping."""

from __future__ import annotations

import asyncio
import gc
import selectors
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio.to_thread
import pytest
import trio
import trio.testing

T = TypeVar("T")
Runner = Callable[[Callable[..., Awaitable[Any]]], Any]


class DeadlockError(AssertionError):
    """Every task waits, no timer is set and no thread works: nothing can ever happen again."""


class _Jumping(selectors.DefaultSelector):
    """A selector that never sleeps for a timer: it moves the clock there."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.threads = 0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.threads:
            # Time stands still while a worker thread is busy: it will call.
            return super().select(0.05)
        if timeout is None:
            raise DeadlockError("every task waits, and nothing will ever wake one")
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time is that of its selector."""

    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now


class _Threads:
    """Counts, for a loop, the worker threads that are busy."""

    def __init__(self, jumping: _Jumping) -> None:
        self.jumping = jumping
        self.lock = threading.Lock()
        self.original: Any = anyio.to_thread.run_sync

    async def run_sync(self, func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        begun, ended, left = [False], [False], [False]
        self.jumping.threads += 1

        def counted(*given: Any) -> Any:
            begun[0] = True
            try:
                return func(*given)
            finally:
                with self.lock:
                    ended[0] = True
                    self.jumping.threads -= left[0]

        try:
            return await self.original(counted, *args, **options)
        finally:
            with self.lock:
                # A thread that is left behind still counts; one whose result was waited for counts until it is here.
                left[0] = begun[0] and not ended[0]
                self.jumping.threads -= not left[0]


def on_asyncio(main: Callable[..., Awaitable[T]]) -> T:
    """The result of ``main`` on virtual time; it must leave no task behind."""
    left: set[asyncio.Task[Any]] = set()

    async def whole() -> T:
        before = asyncio.all_tasks()
        try:
            return await main()
        finally:
            left.update(asyncio.all_tasks() - before)

    loop = VirtualLoop()
    threads = _Threads(loop.jumping)
    with pytest.MonkeyPatch.context() as patched, asyncio.Runner(loop_factory=lambda: loop) as runner:
        patched.setattr(anyio.to_thread, "run_sync", threads.run_sync)
        result = runner.run(whole())
    assert not left, f"tasks left behind: {left}"
    return result


def on_trio(main: Callable[..., Awaitable[T]]) -> T:
    """The same on trio's own virtual clock. Worker threads do not stop it: for those, ``really_on_trio``."""
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


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
    """A clock for runs in one thread: it stands still but for what is slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds


@contextmanager
def without_collecting() -> Iterator[None]:
    """For ratios of times: a collection costs what everything else in the process weighs, not what is measured."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
