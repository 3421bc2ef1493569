"""How many at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

from lambdacat.guard.line import Line
from lambdacat.place import PlanError


@final
class Concurrency:
    """At most ``n`` plans at once among all that are limited by it, in every run and thread of the process.

    First come, first served; who is cancelled while it waits gives its turn to the next. Two are equal when they are
    one: what counts is who shares it. Law: a plan gives what it gives without the limiter. Inside a plan that holds a
    turn, another of the same limiter is ``Refused``: it might wait for itself.
    """

    __slots__ = ("_line", "_n", "_name")
    exclusive: ClassVar[bool] = True

    def __init__(self, n: int, *, name: str = "") -> None:
        if type(n) is not int or n < 1:
            raise PlanError(f"a concurrency is a whole number of at least 1, not {n!r}")
        self._n = n
        self._name = name or f"{n} at once"
        self._line = Line(n)

    @property
    def name(self) -> str:
        """What faults and drawings call it."""
        return self._name

    @property
    def free(self) -> int:
        """How many turns nobody holds."""
        return self._line.free

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return self._line.waiting

    def __repr__(self) -> str:
        return f"Concurrency({self._n}, name={self._name!r})"

    def turn(self) -> Turn:
        """One of the ``n``."""
        return Turn(self._line)


@final
class Turn:
    """A turn of a ``Concurrency``, for ``async with`` or for a thread."""

    __slots__ = ("_line",)

    def __init__(self, line: Line) -> None:
        self._line = line

    async def __aenter__(self) -> None:
        await self._line.wait()

    async def __aexit__(self, *_: object) -> None:
        self._line.leave()

    def enter_here(self, clock: Callable[[], float], wait: Callable[[float], None], seconds: float) -> bool:
        """Wait in this thread, no longer than ``seconds``; whether the turn was taken."""
        return self._line.wait_here(seconds)

    def leave_here(self) -> None:
        """Give the turn back."""
        self._line.leave()
