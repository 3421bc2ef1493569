"""How many at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, final

from lambdacat.guard.clocks import Clock, PerClock
from lambdacat.guard.line import Line
from lambdacat.guard.pace import Pace
from lambdacat.place import PlanError

if TYPE_CHECKING:
    from lambdacat.fault import Fault


def _at_least_one(what: str, n: object) -> None:
    if type(n) is not int or n < 1:
        raise PlanError(f"{what} is a whole number of at least 1, not {n!r}")


@final
class Concurrency:
    """At most ``n`` plans at once among all that are limited by it, in every run and thread of the process.

    First come, first served; who is cancelled while it waits gives its turn to the next. Two are equal when they are
    one: what counts is who shares it. Law: a plan gives what it gives without the limiter. Inside a plan that holds a
    turn, another of the same limiter is ``Refused``: it might wait for itself.
    """

    __slots__ = ("__weakref__", "_clocks", "_line", "_n", "_name", "_pace")
    exclusive: ClassVar[bool] = True

    def __init__(self, n: int, *, name: str = "") -> None:
        _at_least_one("a concurrency", n)
        self._n = n
        self._name = name or f"{n} at once"
        self._line = Line(n)
        self._pace: Pace | None = None
        self._clocks: PerClock[None] = PerClock(lambda: None)

    @classmethod
    def adaptive(cls, low: int, high: int, *, slower: float = 2.0, name: str = "") -> Concurrency:
        """From ``low`` to ``high`` at once, by what the service bears: one more for each round of successes, a third
        fewer when it refuses, times out, or takes ``slower`` times as long as it usually does.

        Refusals are ``TimedOut``, ``Unavailable``, ``Refused`` and exceptions with a ``retry_after``; other faults and
        cancellation say nothing. What began before it was last made narrower says nothing either.
        """
        _at_least_one("low of an adaptive concurrency", low)
        _at_least_one("high of an adaptive concurrency", high)
        if high < low:
            raise PlanError(f"an adaptive concurrency goes from low to high, not from {low} to {high}")
        if isinstance(slower, bool) or not isinstance(slower, (int, float)) or not slower > 1:
            raise PlanError(f"slower of an adaptive concurrency is a number above 1, not {slower!r}")
        made = cls(low, name=name or f"{low} to {high} at once")
        made._pace = Pace(low, high, slower)
        return made

    @property
    def name(self) -> str:
        """What faults and drawings call it."""
        return self._name

    @property
    def n(self) -> int:
        """How many at once, now."""
        return self._n if self._pace is None else self._pace.places

    @property
    def free(self) -> int:
        """How many turns nobody holds."""
        return self._line.free

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return self._line.waiting

    @property
    def idle(self) -> bool:
        """Whether nobody holds a turn or waits for one, and it has nothing to remember."""
        return self._pace is None and self._line.free == self._n

    def __repr__(self) -> str:
        return f"Concurrency({self.n}, name={self._name!r})"

    def turn(self) -> Turn:
        """One of the ``n``."""
        return Turn(self)


@final
class Turn:
    """A turn of a ``Concurrency``, for ``async with`` or for a thread."""

    __slots__ = ("_began", "_line", "_now", "_of", "_round")
    _now: Clock

    def __init__(self, of: Concurrency) -> None:
        self._of = of
        self._line = of._line
        self._round = -1
        """In which round of the pace it began."""
        self._began = 0.0

    def told(self, fault: Fault | None) -> None:
        """How the plan ended; untold, it was cancelled."""
        pace = self._of._pace
        if pace is not None:
            self._line.widen(pace.told(fault, self._now() - self._began, self._round))

    async def __aenter__(self) -> None:
        await self._line.wait()
        if self._of._pace is not None:
            self._begin(self._of._clocks.on_loop()[1])

    async def __aexit__(self, *_: object) -> None:
        self._line.leave()

    def enter_here(self, clock: Clock, wait: Callable[[float], None], seconds: float) -> bool:
        """Wait in this thread, no longer than ``seconds``; whether the turn was taken."""
        if not self._line.wait_here(seconds):
            return False
        if self._of._pace is not None:
            self._begin(clock)
        return True

    def leave_here(self) -> None:
        """Give the turn back."""
        self._line.leave()

    def _begin(self, now: Clock) -> None:
        assert self._of._pace is not None
        self._now, self._began, self._round = now, now(), self._of._pace.round
