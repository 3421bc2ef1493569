"""The driver on asyncio: deadlines, threads and whole runs on its own tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any

import anyio.lowlevel

from lambdacat.effects.branches import Branches
from lambdacat.effects.cancelling import CALLED_OFF, STOPPING, Alarm, Insistence, outlast
from lambdacat.effects.concurrent import Concurrent
from lambdacat.effects.enclosed import Enclosed
from lambdacat.machine.environment import Environment
from lambdacat.machine.fork import Fork
from lambdacat.machine.meaning import MEANING, Table
from lambdacat.machine.ops import State


class ThreadEvent:
    """Something that a worker thread sets and a task waits for."""

    __slots__ = ("_future", "_loop", "_waiters")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()
        self._waiters: list[asyncio.Future[None]] = []

    def set(self) -> None:
        """Tell the loop, from any thread."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._set()
            return
        with suppress(RuntimeError):  # a loop that has closed: nobody waits for an abandoned thread
            self._loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        for future in (self._future, *self._waiters):
            if not future.done():
                future.set_result(None)

    async def wait(self) -> None:
        """Until it is set; being cancelled leaves it as it is."""
        await asyncio.shield(self._future)

    async def once(self) -> None:
        """Until it is set, or this task is cancelled: for one who then waits on with more care."""
        if not self._future.done():
            mine = self._loop.create_future()
            self._waiters.append(mine)
            await mine


class Backend:
    """What threads need of asyncio."""

    event = ThreadEvent

    @staticmethod
    def clock() -> Callable[[], float]:
        """The clock of the loop that is running."""
        return asyncio.get_running_loop().time

    @staticmethod
    def timekeeper() -> tuple[object, Callable[[], float]]:
        """What the clock of this loop is known by, and how it is read; by nothing where it is the machine's own."""
        loop = asyncio.get_running_loop()
        own = type(loop).time is asyncio.BaseEventLoop.time
        return (None, time.monotonic) if own else (loop, loop.time)

    @staticmethod
    @contextmanager
    def cancellable() -> Iterator[Callable[[], object]]:
        """What cancels the task that is running, called in any thread."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        cancel = task.cancel
        yield lambda: loop.call_soon_threadsafe(cancel)

    @staticmethod
    def poster() -> Callable[[Callable[[], object]], object]:
        """What hands a call from another thread to this loop, where it runs with the context variables of the run."""
        loop, context = asyncio.get_running_loop(), copy_context()
        return lambda call: loop.call_soon_threadsafe(call, context=context)

    @staticmethod
    async def outlast(event: ThreadEvent) -> None:
        """Wait for a thread to end, though this task is cancelled."""
        task: Any = asyncio.current_task()
        STOPPING.add(task)
        try:
            await outlast(event._future.done, event.wait)
        finally:
            STOPPING.discard(task)

    @staticmethod
    async def settled(event: ThreadEvent) -> None:
        """The same where a cancellation is rare: a wait that nothing disturbs costs a quarter."""
        try:
            await event.once()
        except asyncio.CancelledError:
            await Backend.outlast(event)
            raise

    @staticmethod
    async def others() -> None:
        """Let whatever is ready run first."""
        await asyncio.sleep(0)


class OnAsyncio(Concurrent):
    """The driver on asyncio."""

    __slots__ = ("alarm", "insistence")

    def __init__(self, env: Environment, table: Table = MEANING) -> None:
        super().__init__(env, table)
        self.alarm: Alarm | None = None
        self.insistence: Insistence | None = None
        """Of a whole run, which goes on in a task of somebody else's."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def enclosed(self, state: State) -> Enclosed:
        work = self.iterate(state)
        insistence = self.insistence = Insistence(
            work, self.env.limits.grace, lambda: 0 if self.alarm is None else self.alarm.cancels
        )
        return Enclosed(work, insistence.thrown, insistence.over)

    def arm(self) -> None:
        if self.alarm is None:
            if not self.bounds:
                return
            self.alarm = Alarm(self.env.limits.grace)
        if self.alarm.fired:
            self.alarm.disarm()
        self.alarm.set(self.bounds[-1].owner.deadline if self.bounds else None)

    def passed(self) -> bool:
        return self.alarm is not None and self.alarm.fired

    def interrupted(self, error: BaseException) -> bool:
        if not isinstance(error, asyncio.CancelledError) or self.alarm is None or not self.alarm.fired:
            return False
        alone = self.alarm.disarm()
        return alone if self.insistence is not None else not self.called_off()

    def called_off(self) -> bool:
        if self.insistence is not None:
            return self.insistence.from_outside()
        return asyncio.current_task() in CALLED_OFF

    async def give_way(self) -> None:
        # A scope of anyio knows its own cancellation again, and no other.
        await anyio.lowlevel.checkpoint_if_cancelled()
        raise asyncio.CancelledError

    async def fork(self, fork: Fork, value: Any, stack: Any) -> State:
        bound, group = self.bounded(fork, stack), Branches(self, fork, stack)
        try:
            race = await group.run()
        except BaseException:
            try:
                await group.stop()
            finally:
                self.aside.extend(group.broken)
            raise
        if group.running:
            await group.stop()
            self.aside.extend(group.broken)
            # A cancellation that came while the shield was up must be seen before anything else starts.
            await anyio.lowlevel.checkpoint_if_cancelled()
        if group.overrun is not None:
            raise group.overrun
        return self.joined(bound, fork, race, group.started, tuple(group.held), stack)
