"""Time that jumps: an asyncio event loop and a trio clock on which sleeping takes no time.

Real files, sockets and processes do not mix with virtual time: the loop does not wait for them.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from math import inf
from selectors import DefaultSelector
from types import FrameType
from typing import Any, Literal, TypeVar

T = TypeVar("T")

_GLANCE = 0.005
"""Real seconds between two looks at a worker thread that is on its last instruction."""
_LOOK_ROUND = 0.05
"""Real seconds between two looks of a trio run in which nothing happens. Longer than a task waits for the others to
be blocked."""


class Deadlock(RuntimeError):
    """Every task waits, no timer is set and no thread works; says which tasks, and where each stands."""


class _Shuffled(deque[Any]):
    """The ready queue of a loop, in an order of its own within each tick."""

    def __init__(self, source: random.Random) -> None:
        super().__init__()
        self._source = source
        self.left = 0
        """How many handles of this tick have not been taken; 0 begins a tick."""

    def popleft(self) -> Any:
        if self.left <= 0:
            self.left = len(self)
        chosen = self._source.randrange(min(self.left, len(self)))
        self[0], self[chosen] = self[chosen], self[0]
        self.left -= 1
        return super().popleft()


class _Jumping(DefaultSelector):
    """A selector that never sleeps while no thread works: it moves the clock of its loop to the next deadline."""

    loop: VirtualLoop | None = None

    def select(self, timeout: float | None = None) -> Any:
        loop = self.loop
        if loop is None:
            return super().select(timeout)
        loop.begin_tick()
        # A thread tells the loop before it counts as done, so whoever looks in this order misses nothing.
        busy = loop.busy()
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if busy:
            return super().select(_GLANCE)
        if timeout is None:
            raise Deadlock(_waiting(loop))
        loop.jump()
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop on virtual time, which starts at 0; it stands still while a worker thread works.

    With a ``seed``, callbacks of one tick run in a shuffled order, the same one for the same seed.
    """

    def __init__(self, seed: int | None = None) -> None:
        """A loop at time 0."""
        selector = _Jumping()
        super().__init__(selector)
        self._now = 0.0
        self._hops: set[Future[Any]] = set()
        self._pool: ThreadPoolExecutor | None = None
        if seed is not None:
            self._ready: Any = _Shuffled(random.Random(seed))
        selector.loop = self

    def time(self) -> float:
        """Seconds of virtual time since the loop began."""
        return self._now

    def jump(self) -> None:
        """Move to the next deadline."""
        scheduled: Any = self._scheduled  # type: ignore[attr-defined]
        self._now = max(self._now, scheduled[0].when())

    def begin_tick(self) -> None:
        """Let a shuffled queue count anew."""
        if isinstance(self._ready, _Shuffled):
            self._ready.left = 0

    def busy(self) -> bool:
        """Whether a thread works for this loop."""
        return bool(self._hops) or any(
            # Worker threads of anyio: what is in their queue is unfinished until they have told the loop.
            getattr(thread, "loop", None) is self and thread.queue.unfinished_tasks
            for thread in threading.enumerate()
            if hasattr(thread, "queue")
        )

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """``func`` in a thread, counted while it works."""
        if executor is None:
            self._pool = executor = self._pool or ThreadPoolExecutor(thread_name_prefix="virtual")
        work = executor.submit(func, *args)
        self._hops.add(work)
        made = asyncio.wrap_future(work, loop=self)
        # Callbacks run in order: by now the loop has been told.
        work.add_done_callback(self._hops.discard)
        return made

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  asyncio's own
        """Wait for the threads of ``run_in_executor``; at the end of a run nothing else is left to do."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def set_default_executor(self, executor: Any) -> None:
        """Use ``executor`` where none is given."""
        self._pool = executor


def _waiting(loop: asyncio.AbstractEventLoop) -> str:
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    return _told((task.get_name(), frame) for task in tasks for frame in task.get_stack()[-1:])


def _told(rows: Iterable[tuple[str, FrameType]]) -> str:
    lines = ["every task waits and nothing will wake them:"]
    for name, frame in rows:
        code = frame.f_code
        lines.append(f"  {name} in {code.co_qualname} at {code.co_filename}:{frame.f_lineno}")
    return "\n".join(lines)


def virtual_asyncio_run(async_fn: Callable[..., Awaitable[T]], *args: Any, seed: int | None = None) -> T:
    """``asyncio.run(async_fn(*args))`` on virtual time. Errors: ``Deadlock`` where it would hang.

    A ``seed`` shuffles what is ready within one tick. Law: the same seed gives the same run, unless it waits for
    threads: when one of those reports is up to the machine.

    >>> async def nap() -> float:
    ...     await asyncio.sleep(3600)
    ...     return asyncio.get_running_loop().time()
    >>> virtual_asyncio_run(nap)
    3600.0
    """

    async def main() -> T:
        return await async_fn(*args)

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(seed)) as runner:
        return runner.run(main())


class _TrioTime:
    """The clock of a trio run, and the instrument that moves it when nothing can run.

    It is no ``MockClock``: that one waits a day where no deadline is set, and its own jumps leave threads behind.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.scope: Any = None
        """Around the whole of the user's function."""
        self.task: Any = None
        """The one that runs it."""
        self.deadlock: Deadlock | None = None
        self._stuck = False

    def start_clock(self) -> None:
        """Nothing: it stands still."""

    def current_time(self) -> float:
        """Seconds of virtual time since the run began."""
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Real seconds until the run looks round again, though nothing has happened."""
        return 0.0 if deadline <= self.now else _LOOK_ROUND

    def before_io_wait(self, timeout: float) -> None:
        """Jump to the next deadline, or suspect that nothing will happen."""
        import trio
        from trio.testing import active_thread_count

        self._stuck = False
        # Less is the patience of a task that waits until all others are blocked: it goes on by itself.
        if timeout < _LOOK_ROUND or active_thread_count():
            return
        left = trio.lowlevel.current_statistics().seconds_to_next_deadline
        if left < inf:
            self.now += max(0.0, left)
            # What is due now is seen once the run comes round again.
            trio.lowlevel.current_trio_token().run_sync_soon(int)
        else:
            # A thread tells the run before it counts as idle, so whoever looks in this order misses nothing.
            self._stuck = self.task is not None and not _left_behind()

    def after_io_wait(self, timeout: float) -> None:
        """Give the run up if indeed nothing has happened."""
        import trio

        if self._stuck and not trio.lowlevel.current_statistics().tasks_runnable:
            tasks = _trio_tasks(self.task)
            frames: Any = ((task.name, getattr(task.coro, "cr_frame", None)) for task in tasks)
            rows = sorted((row for row in frames if row[1] is not None), key=lambda row: row[0])
            self.deadlock = self.deadlock or Deadlock(_told(rows))
            for task in tasks:
                _unshield(task)
            # An error of an instrument would only be logged.
            self.scope.cancel()


def _trio_tasks(root: Any) -> list[Any]:
    """A task of trio and all below it."""
    tasks = [root]
    for task in tasks:
        tasks.extend(child for nursery in task.child_nurseries for child in nursery.child_tasks)
    return tasks


def _unshield(task: Any) -> None:
    """Let a cancellation through to where a task waits, as asyncio does. What trio knows of it has no public name."""
    status = getattr(task, "_cancel_status", None)
    while status is not None:
        status._scope.shield = False
        status = status._parent


def _left_behind() -> bool:
    """Whether a worker thread of trio is at work: also one that nobody waits for tells the run when it ends."""
    # What trio knows of its threads has no public name.
    owners: Iterator[Any] = (getattr(getattr(one, "_target", None), "__self__", None) for one in threading.enumerate())
    return any(one not in one._thread_cache._idle_workers for one in owners if hasattr(one, "_thread_cache"))


def virtual_trio_run(async_fn: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
    """``trio.run(async_fn, *args)`` on virtual time, which stands still while a worker thread works.

    Errors: ``Deadlock`` where it would hang; all that waits has been cancelled then.
    """
    import trio

    time: Any = _TrioTime()

    async def main() -> T | None:
        with trio.CancelScope() as time.scope:
            time.task = trio.lowlevel.current_task()
            return await async_fn(*args)
        return None

    try:
        made: Any = trio.run(main, clock=time, instruments=[time])
    finally:
        if time.deadlock is not None:
            raise time.deadlock
    result: T = made
    return result


def virtual_run(
    async_fn: Callable[..., Coroutine[Any, Any, T]], *args: Any, backend: Literal["asyncio", "trio"] = "asyncio"
) -> T:
    """``async_fn(*args)`` to its end on virtual time."""
    match backend:
        case "asyncio":
            return virtual_asyncio_run(async_fn, *args)
        case "trio":
            return virtual_trio_run(async_fn, *args)
