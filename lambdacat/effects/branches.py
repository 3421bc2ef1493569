"""The branches of one fork as tasks of asyncio: a task group of anyio costs five times as much a branch."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from lambdacat.effects.cancelling import CALLED_OFF, LOOK_AGAIN, STOPPING, Task, outlast, shielded, stack_of
from lambdacat.effects.concurrent import Defect, warn_overrun
from lambdacat.effects.cut_off import Aside
from lambdacat.fault import Waiting, settled
from lambdacat.machine.fork import EDGE, Fork, Turn
from lambdacat.machine.meaning import SEQUENCE
from lambdacat.machine.ops import fallen
from lambdacat.machine.segment import Fell, Segment, straight
from lambdacat.plan import Parallel, Plan, Sequence
from lambdacat.policy import All, Entry, Quorum, Race

if TYPE_CHECKING:
    from lambdacat.effects.on_asyncio import OnAsyncio

_EAGER = sys.version_info >= (3, 12)
_DEEPEST_EAGER = 12
"""How many branches may run on one Python stack: an eager branch starts on its parent's."""


class Branches:
    """The tasks of one fork."""

    __slots__ = (
        "broken", "cuts", "defect", "done", "driver",
        "entries", "expired", "factory", "fork", "held", "loop", "overrun", "running", "stack", "started",
        "waiter",
    )  # fmt: skip

    def __init__(self, driver: OnAsyncio, fork: Fork, stack: Any) -> None:
        self.driver = driver
        self.fork = fork
        self.stack = stack
        self.loop = asyncio.get_running_loop()
        self.factory = self.loop.get_task_factory()
        self.running: dict[Task, int] = {}
        self.done: list[Task] = []
        self.waiter: asyncio.Future[None] | None = None
        self.started = 0
        self.entries: list[Entry] = []
        """Branches that were over when they had started, and decide nothing alone."""
        self.held: list[tuple[int, Waiting]] = []
        """Branches that wait for an answer; they are offered to no race."""
        self.overrun: Warning | None = None
        self.defect: BaseException | None = None
        """What ends the program, from the clean-up of a branch that was cancelled."""
        self.expired = False
        self.broken: list[Aside] = []
        """What branches ended with that nobody waited for: their clean-up raised."""
        # Who watches, counts or keeps a journal must see every branch go through the machine.
        env = driver.env
        bare = env.permits is None and env.recorder is None and env.history is None and driver.ledger is None
        self.cuts: Any = fork.node.memo("short cuts", _short_cuts) if bare else None
        """For each branch the straight run that it is, or None; all None where no branch may take the short cut."""

    def cut(self, index: int) -> Segment | None:
        """The straight run that a branch is, if it may bypass the machine."""
        cuts = self.cuts
        found: Segment | None = None if cuts is None else cuts[index] if self.fork.plans is not None else cuts[0]
        return found

    async def run(self) -> Race:
        """Start the branches and offer them to their race, once a tick, until it is decided."""
        fork = self.fork
        race, width, total = fork.race(), self.driver.width(fork), fork.total
        start, running = self._starter(), self.running
        expiry = None if fork.seconds is None else self.loop.call_later(fork.seconds, self._expire)
        try:
            while True:
                ready: list[tuple[int, Task]] = []
                while self.started < total and len(running) < width:
                    index = self.started
                    self.started = index + 1
                    task = start(index)
                    if task is not None:
                        ready.append((index, task))
                        if self._decisive(index, task):
                            race, ready = self._offered(race, ready), []
                            if race.verdict is not None:
                                break
                if ready or self.entries:
                    race = self._offered(race, ready)
                if race.verdict is not None or (self.held and self._exhausted()):
                    return race
                if not self.done and not self.expired:
                    self.waiter = self.loop.create_future()
                    await self.waiter
                batch, self.done = self.done, []
                if batch:
                    race = self._offered(race, self._rows(batch))
                if self.expired and race.verdict is None:
                    return race.expired()
        finally:
            if expiry is not None:
                expiry.cancel()

    def _rows(self, batch: list[Task]) -> list[tuple[int, Task]]:
        """The branches that ended in a tick, in index order."""
        running = self.running
        if len(batch) == len(running):
            # All of them, and they were started in order.
            rows = [(index, task) for task, index in running.items()]
            running.clear()
            return rows
        rows = [(running.pop(task), task) for task in batch]
        rows.sort()
        return rows

    def _exhausted(self) -> bool:
        """Whether every branch has ended or waits."""
        return not self.running and not self.done and self.started == self.fork.total

    def _expire(self) -> None:
        # A flag and not the clock: a loop may fire a timer a little before its time.
        self.expired = True
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def _ended(self, task: Task) -> None:
        self.done.append(task)
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _starter(self) -> Callable[[int], Task | None]:
        """What starts a branch. Branches that are one async action each, on one value, start as bare tasks."""
        fork, cuts = self.fork, self.cuts
        if cuts is None or not fork.shared or self.factory is not None:
            return self._start
        fns = fork.node.memo("bare", lambda _: _bare(cuts))
        if fns is None:
            return self._start
        value, loop, running, ended = fork.value, self.loop, self.running, self._ended

        def start(index: int) -> None:
            work = fns[index](value)
            task = asyncio.Task(work if type(work) is CoroutineType else _wait_for(work), loop=loop)
            running[task] = index
            task.add_done_callback(ended)

        env, entries, patient = self.driver.env, self.entries, type(fork.policy) is not Quorum

        def start_eagerly(index: int) -> Task | None:
            work = fns[index](value)
            env.eager += 1
            try:
                task: Task = asyncio.Task(
                    work if type(work) is CoroutineType else _wait_for(work),
                    loop=loop,
                    eager_start=True,  # type: ignore[call-arg]
                )
            finally:
                env.eager -= 1
            if task.done():
                if not patient or task.cancelled() or task.exception() is not None:
                    return task
                entries.append((index, True, task.result()))
                return None
            running[task] = index
            task.add_done_callback(ended)
            return None

        return start_eagerly if _EAGER and env.eager < _DEEPEST_EAGER else start

    def _decisive(self, index: int, task: Task) -> bool:
        """Whether a branch that ended at its start may decide the race: then no other is started before it is asked."""
        if type(self.fork.policy) is Quorum or task.cancelled() or task.exception() is not None:
            return True
        result = task.result()
        if self.cut(index) is not None:
            return type(result) in (Fell, Defect)
        return type(result) is Defect or result[0] is False

    def _start(self, index: int) -> Task | None:
        """The task of one branch if it is already done, as an eager one may be."""
        loop, env = self.loop, self.driver.env
        segment = self.cut(index)
        if segment is None:
            work: Any = self.driver.run_branch(self.fork, index, self.stack)
        elif len(segment.fns) == 1 and "await" in segment.modes:
            work = segment.fns[0](self.fork.input(index))
            if type(work) is not CoroutineType:
                work = _wait_for(work)
        else:
            work = self.driver.branch_chain(segment, self.fork.input(index))
        if self.factory is not None:
            task = loop.create_task(work)
        elif _EAGER and env.eager < _DEEPEST_EAGER:
            env.eager += 1
            try:
                task = asyncio.Task(work, loop=loop, eager_start=True)  # type: ignore[call-arg]
            finally:
                env.eager -= 1
            if task.done():
                return task
        else:
            task = asyncio.Task(work, loop=loop)
        self.running[task] = index
        task.add_done_callback(self._ended)
        return None

    def _offered(self, race: Race, rows: list[tuple[int, Task]]) -> Race:
        batch: list[Entry] = self.entries[:]
        self.entries.clear()
        cuts = self.cuts if self.fork.plans is not None else None
        for index, task in rows:
            if cuts is not None and cuts[index] is not None:
                try:
                    result = task.result()
                except BaseException:  # noqa: BLE001  looked at below, where it becomes a fault or is raised
                    pass
                else:
                    if type(result) is not Fell and type(result) is not Defect:
                        batch.append((index, True, result))
                        continue
            if task.cancelled():
                # Not by us: somebody cancelled the branch itself, and cancellation is never a value.
                name = self.fork.node.name
                raise asyncio.CancelledError(f"branch {index} of {name} was cancelled from outside")
            error = task.exception()
            if error is None:
                result = task.result()
                if self.cut(index) is None:
                    if type(result) is Defect:
                        raise result.error
                    if result[0] is False and isinstance(result[1], Waiting):
                        self.held.append((index, result[1]))
                    else:
                        batch.append((index, *result))
                    continue
                if type(result) is not Fell and type(result) is not Defect:
                    batch.append((index, True, result))
                    continue
            else:
                result = error
            batch.append((index, False, self._fault(index, result)))
        return race.offer(batch)

    def _fault(self, index: int, result: Any) -> Any:
        """The fault of a branch that took the short cut."""
        if type(result) is Defect:
            raise result.error
        segment = self.cut(index)
        if segment is None or (isinstance(result, BaseException) and not isinstance(result, Exception)):
            raise result
        fork = self.fork
        if isinstance(result, Exception):
            result = Fell(0, result, fork.value if fork.values is None else fork.values[index])
        stack: Any = (EDGE, fork.node, Turn(fork, fork.race(), index), self.stack)
        if type(plan := fork.plan(index)) is Sequence:
            stack = (SEQUENCE, plan, _INSIDE, stack)
        return fallen(segment, result, stack)[1]

    async def stop(self) -> None:
        """Cancel what still runs and wait for its clean-up; warn and cancel again after each grace."""
        waiting = [task for task in self.running if not _cancelled(task)]
        me: Any = asyncio.current_task()
        STOPPING.add(me)
        grace = self.driver.env.limits.grace
        again = self.loop.call_later(max(grace, 0.001), self._again, grace)
        look = self.loop.call_later(LOOK_AGAIN, self._look, waiting) if waiting else None
        try:
            await outlast(self._stopped, self._wait)
        finally:
            STOPPING.discard(me)
            again.cancel()
            if look is not None:
                look.cancel()
            if self.defect is not None:
                raise self.defect

    def _look(self, waiting: list[Task]) -> None:
        """Cancel the branches that have left their shielded sections."""
        rest = [task for task in waiting if task in self.running and not _cancelled(task)]
        if rest:
            self.loop.call_later(LOOK_AGAIN, self._look, rest)

    def _stopped(self) -> bool:
        for task in self.done:
            index = self.running.pop(task, None)
            called_off = task in CALLED_OFF
            CALLED_OFF.discard(task)
            if task.cancelled():
                continue
            # Read also where nobody asks: asyncio complains of an exception that is left unread.
            error = task.exception()
            result = task.result() if error is None else error
            if type(result) is Defect:
                self.defect = self.defect or result.error
            elif index is not None and (called_off or type(self.fork.policy) is All):
                # Of a race only what a clean-up raised: that a loser fails besides is nobody's.
                self._put_aside(index, result, failed=isinstance(error, Exception) or type(result) is Fell)
        self.done = []
        return not self.running

    def _put_aside(self, index: int, result: Any, *, failed: bool) -> None:
        """What a branch ended with that nobody waits for any more, if that is a fault."""
        if self.cut(index) is not None:
            fault = self._fault(index, result) if failed else None
        else:
            fault = result[1] if type(result) is tuple and result[0] is False else None
        if fault is not None and not isinstance(fault, Waiting):
            self.broken.append(((index,), settled(fault)))

    async def _wait(self) -> None:
        self.waiter = self.loop.create_future()
        # A plain future: awaiting a child would send a cancellation of this task down to it, recursively.
        await self.waiter

    def _again(self, grace: float) -> None:
        for task, index in list(self.running.items()):
            if not task.done() and task not in STOPPING:
                name = f"branch {index} of {self.fork.node.name}"
                where = stack_of(task)
                self.overrun = warn_overrun(name, where, grace, then="cancelled again") or self.overrun
                CALLED_OFF.add(task)
                task.cancel()
        if self.running:
            self.loop.call_later(max(grace, 0.001), self._again, grace)


def _cancelled(task: Task) -> bool:
    """Cancel a task, unless it stands in a shielded section; whether it was."""
    if shielded(task):
        return False
    CALLED_OFF.add(task)
    task.cancel()
    return True


def _short_cuts(node: Any) -> tuple[Segment | None, ...] | None:
    plans = node.branches if type(node) is Parallel else (node.plan,)
    found = tuple(_straight_branch(plan) for plan in plans)
    return found if any(segment is not None for segment in found) else None


def _bare(cuts: Any) -> tuple[Any, ...] | None:
    single = all(cut is not None and len(cut.fns) == 1 and "await" in cut.modes for cut in cuts)
    return tuple(cut.fns[0] for cut in cuts) if single else None


def _straight_branch(plan: Plan[Any, Any]) -> Segment | None:
    segment = straight(plan, fused=True)
    return segment if segment is not None and segment.plain else None


_INSIDE = (1, ((), (None,)))
"""What the frame of a sequence holds inside a straight run, which says itself which step it is at."""


async def _wait_for(awaitable: Any) -> Any:
    return await awaitable
