"""Coroutines in context variables of their own, and where a suspended one stands."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextvars import copy_context
from types import FrameType
from typing import Any


def _nothing(*_: object) -> None:
    pass


class Enclosed:
    """A coroutine run in a copy of the caller's context variables: what it sets does not leak up.

    It stays in the caller's task: a task of its own would cost more than a small run, and be cancelled differently.
    ``thrown`` is told of what is thrown into it, and ``over`` is called when it has ended.
    """

    __slots__ = ("_over", "_thrown", "_work")

    def __init__(
        self,
        work: Coroutine[Any, Any, Any],
        thrown: Callable[[BaseException], object] = _nothing,
        over: Callable[[], object] = _nothing,
    ) -> None:
        self._work = work
        self._thrown = thrown
        self._over = over

    def __await__(self) -> Generator[Any, Any, Any]:
        enter, work = copy_context().run, self._work
        step: Callable[[Any], Any] = work.send
        given: Any = None
        try:
            while True:
                try:
                    wanted = enter(step, given)
                except StopIteration as stop:
                    return stop.value
                try:
                    given = yield wanted
                    step = work.send
                except GeneratorExit:
                    enter(work.close)
                    raise
                except BaseException as error:  # noqa: BLE001  it is thrown into the work, which decides
                    self._thrown(error)
                    given, step = error, work.throw
        finally:
            self._over()


def frames_of(awaited: Any) -> Iterator[FrameType]:
    """Where a suspended coroutine stands: its frame, then that of what it waits for, and so on."""
    while awaited is not None:
        frame = next((found for name in _FRAMES if (found := getattr(awaited, name, None)) is not None), None)
        if frame is None and type(awaited).__name__ in _STEPS:
            awaited = next((held for held in gc.get_referents(awaited) if isinstance(held, AsyncGenerator)), None)
            continue
        if frame is None:
            return
        yield frame
        if frame.f_code is Enclosed.__await__.__code__:
            # It drives its work by hand, so Python does not know that it waits for it.
            awaited = frame.f_locals["work"]
        else:
            awaited = next((found for name in _AWAITED if (found := getattr(awaited, name, None)) is not None), None)


_STEPS = ("async_generator_asend", "async_generator_athrow")
"""What waits for a step of an async generator, as a context manager made of one does, and has no frame itself."""

_FRAMES = ("cr_frame", "gi_frame", "ag_frame")
_AWAITED = ("cr_await", "gi_yieldfrom", "ag_await")
