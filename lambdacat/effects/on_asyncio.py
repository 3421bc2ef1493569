"""Deadlines and forks on asyncio, with its own tasks: a task group of anyio costs five times as much a branch."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from traceback import StackSummary
from types import CoroutineType
from typing import Any

import anyio
import anyio.lowlevel

from lambdacat.effects.concurrent import Concurrent, Defect, warn_overrun
from lambdacat.effects.enclosed import Enclosed, frames_of
from lambdacat.fault import Waiting
from lambdacat.machine.environment import Environment
from lambdacat.machine.fork import EDGE, Fork, Turn
from lambdacat.machine.meaning import MEANING, SEQUENCE, Table
from lambdacat.machine.ops import State, fallen
from lambdacat.machine.segment import Fell, Segment, straight
from lambdacat.plan import Parallel, Plan, Sequence
from lambdacat.policy import Entry, Quorum, Race
from lambdacat.telling import is_kernel

Task = asyncio.Task[Any]

_EAGER = sys.version_info >= (3, 12)
_DEEPEST_EAGER = 12
"""How many branches may run on one Python stack: an eager branch starts on its parent's."""


class ThreadEvent:
    """Something that a worker thread sets and a task waits for."""

    __slots__ = ("_future", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()

    def set(self) -> None:
        """Tell the loop, from any thread."""
        with suppress(RuntimeError):  # a loop that has closed: nobody waits for an abandoned thread
            self._loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        """Until it is set; being cancelled leaves it as it is."""
        await asyncio.shield(self._future)


class Alarm:
    """The deadline of one task: cancels it once, and again after each grace that it lets pass."""

    __slots__ = ("_before", "_grace", "_handle", "_loop", "_patience", "_task", "cancels")

    def __init__(self, grace: float) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._grace = grace
        self._handle: asyncio.Handle | None = None
        self.cancels = 0
        self._patience = 0.0
        self._before: int = self._task.cancelling()

    @property
    def fired(self) -> bool:
        """Whether it has cancelled the task."""
        return self.cancels > 0

    def set(self, when: float | None) -> None:
        """Go off at ``when``, or never."""
        if self._handle is not None:
            self._handle.cancel()
        self._patience = 0.0
        self._handle = None if when is None else self._loop.call_at(when, self._fire)

    def _fire(self) -> None:
        if not self.cancels and shielded(self._task) and self._loop.time() < self._given_up():
            self._handle = self._loop.call_later(_LOOK_AGAIN, self._fire)
            return
        if self.cancels and self._task not in _STOPPING:
            warn_overrun("a plan past its timeout", _stack_of(self._task), self._grace, then="cancelled again")
        if not self.cancels or self._task not in _STOPPING:
            self.cancels += 1
            self._task.cancel()
        self._handle = self._loop.call_later(max(self._grace, 0.001), self._fire)

    def _given_up(self) -> float:
        """When a shield is no longer waited for."""
        self._patience = self._patience or self._loop.time() + self._grace
        return self._patience

    def disarm(self) -> bool:
        """Take back its own cancellations; whether the task has no other."""
        self.set(None)
        for _ in range(self.cancels):
            self._task.uncancel()
        self.cancels = 0
        return bool(self._task.cancelling() <= self._before)


class Insistence:
    """A cancellation from outside a run: it comes again after each grace that the clean-up lets pass."""

    __slots__ = ("_cancels", "_grace", "_handle", "_loop", "_task")

    def __init__(self, task: Task, grace: float) -> None:
        self._task = task
        self._grace = grace
        self._cancels = 0
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(max(grace, 0.001), self._fire)
        _INSISTING.add(task)

    def _fire(self) -> None:
        if self._task not in _STOPPING:
            warn_overrun("a run", _stack_of(self._task), self._grace, then="cancelled again")
            self._cancels += 1
            self._task.cancel()
        self._handle = self._loop.call_later(max(self._grace, 0.001), self._fire)

    def over(self) -> None:
        """The run has ended: what was added to the cancellation from outside is taken back."""
        self._handle.cancel()
        _INSISTING.discard(self._task)
        for _ in range(self._cancels):
            self._task.uncancel()


_INSISTING: set[Task] = set()
"""Tasks whose cancellation comes again already: of runs inside one another the outermost sees to it."""

_STOPPING: set[Task] = set()
"""Tasks that wait for their cancelled branches; cancelling them again would only interrupt the waiting."""


_LOOK_AGAIN = 0.002
"""Units: seconds between two looks at whether a task has left its shielded section."""


def shielded(task: Task) -> bool:
    """Whether a task stands in a section that it shields from cancellation.

    A native cancellation would cut through the shield. What anyio knows of a task has no public name; without it a
    shielded section is cancelled like any other.
    """
    if task in _STOPPING:
        return False  # it waits for its own branches behind a shield of ours, and keeps the cancellation for later
    states = getattr(sys.modules.get("anyio._backends._asyncio"), "_task_states", None)
    state = states.get(task) if states is not None else None
    scope = getattr(state, "cancel_scope", None)
    while scope is not None:
        if scope.shield:
            return True
        scope = getattr(scope, "_parent_scope", None)
    return False


_LINES = 6
"""How many frames of a late clean-up are shown."""


def _stack_of(task: Task) -> str:
    """Where a suspended task stands, in the user's own code as far as there is any."""
    frames = list(frames_of(task.get_coro()))
    theirs = [frame for frame in frames if not is_kernel(frame)] or frames
    rows = ((frame, frame.f_lineno) for frame in theirs[-_LINES:])
    return "".join(StackSummary.extract(rows).format())


async def outlast(done: Callable[[], bool], wait: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Wait until ``done()``, whatever cancels the waiting; a cancellation in between is raised at the end."""
    held: BaseException | None = None
    with anyio.CancelScope(shield=True):
        while not done():
            try:
                await wait()
            except asyncio.CancelledError as error:
                held = error
    if held is not None:
        raise held


class Backend:
    """What threads need of asyncio."""

    event = ThreadEvent

    @staticmethod
    def poster() -> Callable[[Callable[[], object]], object]:
        """What hands a call from another thread to this loop, where it runs with the context variables of the run."""
        loop, context = asyncio.get_running_loop(), copy_context()
        return lambda call: loop.call_soon_threadsafe(call, context=context)

    @staticmethod
    async def outlast(event: ThreadEvent) -> None:
        """Wait for a thread to end, though this task is cancelled."""
        task: Any = asyncio.current_task()
        _STOPPING.add(task)
        try:
            await outlast(event._future.done, event.wait)
        finally:
            _STOPPING.discard(task)


class OnAsyncio(Concurrent):
    """The driver on asyncio."""

    __slots__ = ("alarm",)

    def __init__(self, env: Environment, table: Table = MEANING) -> None:
        super().__init__(env, table)
        self.alarm: Alarm | None = None

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def enclosed(self, state: State) -> Enclosed:
        task: Any = asyncio.current_task()
        before = task.cancelling()

        def thrown(error: BaseException) -> Callable[[], object] | None:
            own = 0 if self.alarm is None else self.alarm.cancels
            outside = isinstance(error, asyncio.CancelledError) and task.cancelling() - own > before
            return Insistence(task, self.env.limits.grace).over if outside and task not in _INSISTING else None

        return Enclosed(self.iterate(state), thrown)

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
        return self.alarm.disarm()

    async def fork(self, fork: Fork, value: Any, stack: Any) -> State:
        bound, group = self.bounded(fork, stack), Branches(self, fork, stack)
        try:
            race = await group.run()
        except BaseException:
            await group.stop()
            raise
        if group.running:
            await group.stop()
            # A cancellation that came while the shield was up must be seen before anything else starts.
            await anyio.lowlevel.checkpoint_if_cancelled()
        if group.overrun is not None:
            raise group.overrun
        return self.joined(bound, fork, race, group.started, tuple(group.held), stack)


class Branches:
    """The tasks of one fork."""

    __slots__ = (
        "cuts", "done", "driver",
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
        self.expired = False
        # Who watches, counts or keeps a journal must see every branch go through the machine.
        env = driver.env
        bare = env.permits is None and env.recorder is None and env.history is None
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
        _STOPPING.add(me)
        grace = self.driver.env.limits.grace
        again = self.loop.call_later(max(grace, 0.001), self._again, grace)
        look = self.loop.call_later(_LOOK_AGAIN, self._look, waiting) if waiting else None
        try:
            await outlast(self._stopped, self._wait)
        finally:
            _STOPPING.discard(me)
            again.cancel()
            if look is not None:
                look.cancel()

    def _look(self, waiting: list[Task]) -> None:
        """Cancel the branches that have left their shielded sections."""
        rest = [task for task in waiting if task in self.running and not _cancelled(task)]
        if rest:
            self.loop.call_later(_LOOK_AGAIN, self._look, rest)

    def _stopped(self) -> bool:
        for task in self.done:
            self.running.pop(task, None)
            if not task.cancelled():
                task.exception()  # a loser's fault is nobody's; left unread, asyncio would complain of it
        self.done = []
        return not self.running

    async def _wait(self) -> None:
        self.waiter = self.loop.create_future()
        # A plain future: awaiting a child would send a cancellation of this task down to it, recursively.
        await self.waiter

    def _again(self, grace: float) -> None:
        for task, index in list(self.running.items()):
            if not task.done() and task not in _STOPPING:
                name = f"branch {index} of {self.fork.node.name}"
                where = _stack_of(task)
                self.overrun = warn_overrun(name, where, grace, then="cancelled again") or self.overrun
                task.cancel()
        if self.running:
            self.loop.call_later(max(grace, 0.001), self._again, grace)


def _cancelled(task: Task) -> bool:
    """Cancel a task, unless it stands in a shielded section; whether it was."""
    if shielded(task):
        return False
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
