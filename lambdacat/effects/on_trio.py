"""Deadlines and forks on trio, and on whatever else anyio runs on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any

import anyio
import anyio.lowlevel

from lambdacat.effects.concurrent import Concurrent, Defect, warn_overrun
from lambdacat.effects.cut_off import Aside
from lambdacat.fault import Waiting, settled
from lambdacat.machine.environment import Environment
from lambdacat.machine.fork import Fork
from lambdacat.machine.meaning import MEANING, Table
from lambdacat.machine.ops import State
from lambdacat.policy import All, Entry, Race


class ThreadEvent:
    """Something that a worker thread sets and a task waits for."""

    __slots__ = ("_event", "_token")

    def __init__(self) -> None:
        import trio

        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def set(self) -> None:
        """Tell the loop, from any thread."""
        import trio

        try:
            here = trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            here = False
        if here:
            self._event.set()
            return
        with suppress(trio.RunFinishedError):  # nobody waits for an abandoned thread
            self._token.run_sync_soon(self._event.set)

    async def wait(self) -> None:
        """Until it is set."""
        await self._event.wait()


class Backend:
    """What threads need of trio."""

    event = ThreadEvent

    @staticmethod
    def clock() -> Callable[[], float]:
        """The clock of the loop that is running; steps in worker threads read it too, where no loop runs."""
        import trio

        return trio.lowlevel.current_clock().current_time

    @staticmethod
    def timekeeper() -> tuple[object, Callable[[], float]]:
        """What the clock of this loop is known by, and how it is read; by nothing where it is the machine's own."""
        import trio

        clock = trio.lowlevel.current_clock()
        # The machine's has another zero in each run of a loop, and the same pace.
        own = type(clock).__name__ == "SystemClock"
        return (None, time.monotonic) if own else (clock, clock.current_time)

    @staticmethod
    @contextmanager
    def cancellable() -> Iterator[Callable[[], object]]:
        """What cancels the block, called in any thread."""
        import trio

        token = trio.lowlevel.current_trio_token()
        with anyio.CancelScope() as scope:
            yield lambda: token.run_sync_soon(scope.cancel)

    @staticmethod
    def poster() -> Callable[[Callable[[], object]], object]:
        """What hands a call from another thread to this loop."""
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon

    @staticmethod
    async def outlast(event: ThreadEvent) -> None:
        """Wait for a thread to end, though this task is cancelled."""
        with anyio.CancelScope(shield=True):
            await event.wait()

    settled = outlast

    @staticmethod
    async def others() -> None:
        """Let whatever is ready run first."""
        await anyio.lowlevel.cancel_shielded_checkpoint()


class OnTrio(Concurrent):
    """The driver on trio."""

    __slots__ = ("scope",)

    def __init__(self, env: Environment, table: Table = MEANING) -> None:
        super().__init__(env, table)
        self.scope: Any = None

    def now(self) -> float:
        return anyio.current_time()

    def arm(self) -> None:
        if not self.bounds:
            if self.scope is not None:
                scope, self.scope = self.scope, None
                scope.__exit__(None, None, None)
            return
        if self.scope is not None and self.scope.cancel_called:
            # A scope that has fired stays fired; what is still open gets a new one.
            self.scope.__exit__(None, None, None)
            self.scope = None
        if self.scope is None:
            self.scope = anyio.CancelScope()
            self.scope.__enter__()
        self.scope.deadline = self.bounds[-1].owner.deadline

    def passed(self) -> bool:
        return self.scope is not None and bool(self.scope.cancel_called)

    def interrupted(self, error: BaseException) -> bool:
        scope, self.scope = self.scope, None
        return scope is not None and bool(scope.__exit__(type(error), error, error.__traceback__))

    def called_off(self) -> bool:
        return anyio.current_effective_deadline() == -inf

    async def give_way(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def fork(self, fork: Fork, value: Any, stack: Any) -> State:
        bound, group = self.bounded(fork, stack), Branches(self, fork, stack)
        try:
            async with anyio.create_task_group() as tasks:
                try:
                    race = await group.run(tasks)
                finally:
                    beside = len(group.done)
                    tasks.cancel_scope.cancel()
                    await group.outlast()
                    self.aside.extend(group.broken(beside))
        finally:
            # Also when this driver is cancelled: a cancellation says only that nobody wants the value.
            if group.defect is not None:
                raise group.defect
        if group.overrun is not None:
            raise group.overrun
        return self.joined(bound, fork, race, group.started, tuple(group.held), stack)


class Branches:
    """The tasks of one fork."""

    __slots__ = ("defect", "done", "driver", "fork", "held", "overrun", "running", "stack", "started", "wake")

    def __init__(self, driver: OnTrio, fork: Fork, stack: Any) -> None:
        self.driver = driver
        self.fork = fork
        self.stack = stack
        self.running: set[int] = set()
        self.done: list[Entry] = []
        self.wake = anyio.Event()
        self.started = 0
        self.defect: BaseException | None = None
        self.overrun: Warning | None = None
        self.held: list[tuple[int, Waiting]] = []
        """Branches that wait for an answer; they are offered to no race."""

    async def run(self, tasks: Any) -> Race:
        """Start the branches and offer them to their race, once a tick, until it is decided."""
        fork = self.fork
        race, width = fork.race(), self.driver.width(fork)
        deadline = float("inf") if fork.seconds is None else anyio.current_time() + fork.seconds
        while race.verdict is None and self.defect is None:
            while self.started < fork.total and len(self.running) < width:
                self.running.add(self.started)
                tasks.start_soon(self._branch, self.started)
                self.started += 1
            with anyio.CancelScope(deadline=deadline):
                await self.wake.wait()
            self.wake = anyio.Event()
            batch, self.done = sorted(self.done, key=lambda entry: entry[0]), []
            race = race.offer(batch)
            if race.verdict is None and anyio.current_time() >= deadline:
                race = race.expired()
            if self.held and race.verdict is None and not self.running and self.started == fork.total:
                break
        return race

    async def _branch(self, index: int) -> None:
        try:
            ended = await self.driver.run_branch(self.fork, index, self.stack)
            if type(ended) is Defect:
                self.defect = ended.error
            elif not ended[0] and isinstance(ended[1], Waiting):
                self.held.append((index, ended[1]))
            else:
                self.done.append((index, *ended))
        finally:
            self.running.discard(index)
            self.wake.set()

    def broken(self, beside: int) -> Iterator[Aside]:
        """What branches ended with that nobody waited for; the first ``beside`` of them before they were cancelled."""
        for number, (index, won, value) in enumerate(self.done):
            # Of a race only what a clean-up raised: that a loser fails besides is nobody's.
            if not won and (number >= beside or type(self.fork.policy) is All):
                yield (index,), settled(value)

    async def outlast(self) -> None:
        """Wait for the clean-up of the others; after each grace say who is late. A shield cannot be broken here."""
        grace = self.driver.env.limits.grace
        with anyio.CancelScope(shield=True):
            while self.running:
                self.wake = anyio.Event()
                with anyio.move_on_after(max(grace, 0.001)) as waited:
                    await self.wake.wait()
                if waited.cancelled_caught and self.running:
                    names = ", ".join(map(str, sorted(self.running)))
                    name = f"branch {names} of {self.fork.node.name}"
                    where = "  a scope of its own that is shielded, which trio does not break"
                    self.overrun = warn_overrun(name, where, grace, then="waited for") or self.overrun
