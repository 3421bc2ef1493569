"""The events of a run as they happen."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping
from types import TracebackType
from typing import Any, Generic, TypeVar, final

from lambdacat.bound import Limits
from lambdacat.context import Context, context_of
from lambdacat.effects.cancelling import outlast
from lambdacat.event import Ended, Event
from lambdacat.interpreters.journal import Journal, check_journal
from lambdacat.interpreters.run import check_plan
from lambdacat.plan import Plan

A = TypeVar("A")
B = TypeVar("B")
B_co = TypeVar("B_co", covariant=True)

_LIMITS = Limits()


class _Feed:
    """What the run writes and the stream reads. The run holds this alone, so a dropped stream can be noticed."""

    __slots__ = ("error", "events", "over", "wake")

    def __init__(self, event: Any) -> None:
        self.events: deque[Any] = deque()
        self.wake = event()
        self.over = event()
        self.error: BaseException | None = None

    def put(self, item: Any) -> None:
        """An observer of the run."""
        self.events.append(item)
        self.wake.set()

    def end(self, error: BaseException | None) -> None:
        """The run is over; nothing more will come."""
        self.error = self.error or error
        self.over.set()
        self.wake.set()


async def _feed(feed: _Feed, plan: Any, value: Any, context: Context, limits: Limits, journal: Any) -> None:
    from lambdacat.interpreters.arun import arun

    try:
        await arun(plan, value, context=context, journal=journal, limits=limits, observers=(feed.put,))
    except BaseException as error:  # noqa: BLE001  it is raised again where the events are read
        feed.error = error


def _spawn(feed: _Feed, *given: Any) -> Any:
    """Start the run beside the reader; gives what cancels it."""
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _spawn_on_trio(feed, *given)
    task = loop.create_task(_feed(feed, *given))
    # Told by the task and not by its work: one that is cancelled before its first step never begins it.
    task.add_done_callback(lambda ended: feed.end(asyncio.CancelledError() if ended.cancelled() else None))

    def cancel() -> None:
        if not task.done() and not loop.is_closed():
            task.cancel()

    return cancel


def _spawn_on_trio(feed: _Feed, *given: Any) -> Any:
    import trio

    scope = trio.CancelScope()

    async def guarded() -> None:
        with scope:
            await _feed(feed, *given)
        feed.end(None)

    # Contextvars of the reader flow down, as they do into a task of asyncio.
    from contextvars import copy_context

    trio.lowlevel.spawn_system_task(guarded, context=copy_context())
    return scope.cancel


@final
class EventStream(AsyncIterator["Event[B_co]"], Generic[B_co]):
    """A run that is read with ``async for``, best inside ``async with``: leaving the block has awaited every task.

    A bare ``async for`` that is left early cancels the run by the next tick; the stream cannot be read on then.
    """

    def __init__(
        self, plan: Plan[Any, B_co], value: Any, context: Context, limits: Limits, journal: Journal | None
    ) -> None:
        self._given = (plan, value, context, limits, journal)
        self._feed: _Feed | None = None
        self._cancel: Any = None
        self._done = False
        self._being_read = False
        self._in_block = False
        self._left = False

    def _start(self) -> _Feed:
        if self._feed is None:
            from anyio import Event as Signal

            self._feed = _Feed(Signal)
            self._cancel = _spawn(self._feed, *self._given)
        return self._feed

    def __aiter__(self) -> AsyncIterator[Event[B_co]]:
        # A block says by itself when its run is over; a bare loop only by letting go of its iterator.
        return self if self._in_block else _Bare(self)

    async def __anext__(self) -> Event[B_co]:
        if self._being_read:
            raise RuntimeError("this stream is being read already: an event goes to one reader; open a stream for each")
        self._being_read = True
        try:
            return await self._next()
        finally:
            self._being_read = False

    async def _next(self) -> Event[B_co]:
        if self._left:
            raise RuntimeError(
                "this stream was left early, which cancelled its run; read it inside async with to go on"
            )
        if self._done:
            raise StopAsyncIteration
        from anyio.lowlevel import checkpoint_if_cancelled

        feed = self._start()
        # A run that is never at a loss for events would not let its reader be cancelled.
        await checkpoint_if_cancelled()
        while not feed.events:
            if feed.over.is_set():
                self._done = True
                if feed.error is not None:
                    raise feed.error
                raise StopAsyncIteration
            feed.wake = type(feed.wake)()
            await feed.wake.wait()
        event: Event[B_co] = feed.events.popleft()
        if isinstance(event, Ended):
            self._done = True
            await feed.over.wait()
        return event

    async def __aenter__(self) -> EventStream[B_co]:
        self._in_block = True
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        feed = self._start()
        self._done = True
        if not feed.over.is_set():
            self._cancel()
            await outlast(feed.over.is_set, self._stopped)
        # What must end the program does so here too; that the run was cancelled is what leaving early means.
        if kind is None and isinstance(feed.error, (KeyboardInterrupt, SystemExit)):
            raise feed.error

    async def _stopped(self) -> None:
        """Until the run is over. Who is cancelled while waiting is told to hurry, and so is the run."""
        assert self._feed is not None
        try:
            await self._feed.over.wait()
        except BaseException:
            self._cancel()
            raise

    def leave(self) -> None:
        """Cancel the run, unless it is over or a block sees to it."""
        if self._cancel is not None and self._feed is not None and not self._feed.over.is_set() and not self._in_block:
            self._left = True
            self._cancel()

    def __del__(self) -> None:
        self.leave()


class _Bare(AsyncIterator["Event[B_co]"], Generic[B_co]):
    """What a bare ``async for`` holds of a stream, and holds alone: the run ends with it."""

    __slots__ = ("_stream",)

    def __init__(self, stream: EventStream[B_co]) -> None:
        self._stream = stream

    def __anext__(self) -> Coroutine[Any, Any, Event[B_co]]:
        return self._stream.__anext__()

    def __del__(self) -> None:
        self._stream.leave()


def stream(
    plan: Plan[A, B],
    value: A,
    *,
    context: Context | Mapping[str, Any] | None = None,
    journal: Journal | None = None,
    limits: Limits = _LIMITS,
) -> EventStream[B]:
    """The events of a run as they happen, ``Ended`` last: ``async with stream(plan, value) as events``."""
    check_plan("stream", plan)
    if journal is not None:
        check_journal(journal)
    return EventStream(plan, value, context_of(context), limits, journal)
