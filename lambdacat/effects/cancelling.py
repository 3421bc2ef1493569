"""How a task of asyncio is cancelled: by its deadline, again after each grace, and not through a shield."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from traceback import StackSummary
from typing import Any
from weakref import WeakSet

import anyio

from lambdacat.effects.concurrent import warn_overrun
from lambdacat.effects.enclosed import frames_of
from lambdacat.telling import is_kernel

Task = asyncio.Task[Any]


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
            self._handle = self._loop.call_later(LOOK_AGAIN, self._fire)
            return
        if self.cancels and self._task not in STOPPING:
            warn_overrun("a plan past its timeout", stack_of(self._task), self._grace, then="cancelled again")
        if not self.cancels or self._task not in STOPPING:
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

    __slots__ = ("_before", "_cancels", "_grace", "_handle", "_others", "_task", "_work")

    def __init__(self, work: Coroutine[Any, Any, Any], grace: float, others: Callable[[], int]) -> None:
        """``others``: how many cancellations are those of ``work``, the run, itself."""
        task: Any = asyncio.current_task()
        self._task: Task = task
        self._work = work
        self._before: int = task.cancelling()
        self._grace = max(grace, 0.001)
        self._others = others
        self._cancels = 0
        self._handle: asyncio.Handle | None = None

    def thrown(self, error: BaseException) -> None:
        """What the run is told by its event loop."""
        if LEAVES_BEHIND and isinstance(error, asyncio.CancelledError):
            for _ in range(left_behind(self._work)):
                self._task.uncancel()
        if isinstance(error, asyncio.CancelledError) and self._task not in INSISTING and self.from_outside():
            INSISTING.add(self._task)
            self._handle = asyncio.get_running_loop().call_later(self._grace, self._fire)

    def from_outside(self) -> bool:
        """Whether whoever awaits the run has cancelled it."""
        # A timeout inside an action takes its cancellation back; then there is nothing to insist on.
        return self._task.cancelling() - self._cancels - self._others() > self._before

    def _fire(self) -> None:
        if not self.from_outside():
            self.over()
            return
        if self._task not in STOPPING:
            warn_overrun("a run", stack_of(self._task), self._grace, then="cancelled again")
            self._cancels += 1
            self._task.cancel()
        self._handle = asyncio.get_running_loop().call_later(self._grace, self._fire)

    def over(self) -> None:
        """Take back what was added: the run has ended, or was not meant."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            INSISTING.discard(self._task)
        for _ in range(self._cancels):
            self._task.uncancel()
        self._cancels = 0


INSISTING: set[Task] = set()
"""Tasks whose cancellation comes again already: of runs inside one another the outermost sees to it."""

STOPPING: set[Task] = set()
"""Tasks that wait for their cancelled branches; cancelling them again would only interrupt the waiting."""


CALLED_OFF: set[Task] = set()
"""Branches that their fork has cancelled. Counting says less: a group inside an action may leave a count behind."""

LEAVES_BEHIND = sys.version_info < (3, 13)
"""Whether a group of asyncio that is left, and then told of a task of its own that failed, keeps the cancellation that
it gave itself: nobody takes it back, and it looks like one from outside."""


def left_behind(work: Any) -> int:
    """How many such cancellations are on their way to what stands in ``work``; each is told once."""
    count = 0
    for frame in frames_of(work):
        if frame.f_code is asyncio.TaskGroup.__aexit__.__code__:
            group, raised = frame.f_locals["self"], frame.f_locals["et"]
            # What was raised inside has already cancelled the others, and the group takes that back itself.
            if raised is None and group not in TOLD and getattr(group, "_parent_cancel_requested", False):
                TOLD.add(group)
                count += 1
    return count


TOLD: WeakSet[asyncio.TaskGroup] = WeakSet()
"""Groups whose cancellation was taken back."""


LOOK_AGAIN = 0.002
"""Units: seconds between two looks at whether a task has left its shielded section."""


def shielded(task: Task) -> bool:
    """Whether a task stands in a section that it shields from cancellation.

    A native cancellation would cut through the shield. What anyio knows of a task has no public name; without it a
    shielded section is cancelled like any other.
    """
    if task in STOPPING:
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


def stack_of(task: Task) -> str:
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
