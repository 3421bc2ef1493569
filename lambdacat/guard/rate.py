"""How often."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from lambdacat.guard.clocks import PerClock
from lambdacat.guard.line import Line
from lambdacat.place import PlanError

_NANOSECOND = 1e-9


@final
class Bucket:
    """Which turns may be taken by when, on one clock: the generic cell rate algorithm (ITU-T I.371).

    Law: in any window there are at most ``burst`` turns and one more for each ``interval`` that fits into it.
    """

    __slots__ = ("_full", "_interval", "_slack")

    def __init__(self, interval: float, burst: int) -> None:
        self._interval = interval
        self._slack = interval * (burst - 1)
        self._full = float("-inf")
        """When everything that was taken has been made good. Units: seconds on the clock."""

    def delay(self, now: float) -> float:
        """How long until a turn may be taken. Units: seconds; less than a nanosecond is nothing, for it never ends."""
        left = self._full - self._slack - now
        return left if left > _NANOSECOND else 0.0

    def full_at(self, now: float) -> bool:
        """Whether everything that was taken has been made good."""
        return self._full <= now

    def take(self, now: float) -> None:
        """Take one."""
        self._full = max(self._full, now) + self._interval


@final
class Rate:
    """At most ``n`` turns in ``seconds``, in every run and thread of the process: evenly, but for ``burst`` at once.

    First come, first served; who is cancelled while it waits takes no turn. A plan holds nothing while it runs, so it
    may stand inside another of the same limiter. Two are equal when they are one: what counts is who shares it. Runs on
    clocks of their own, as in tests with virtual time, are counted clock by clock. Units: ``seconds`` on such a clock.
    """

    __slots__ = ("__weakref__", "_buckets", "_burst", "_door", "_interval", "_name")

    def __init__(self, n: float, seconds: float = 1.0, burst: int = 1, *, name: str = "") -> None:
        for what, number in (("n", n), ("seconds", seconds)):
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number < float("inf"):
                raise PlanError(f"{what} of a rate is a number above 0 and finite, not {number!r}")
        if type(burst) is not int or burst < 1:
            raise PlanError(f"burst of a rate is a whole number of at least 1, not {burst!r}")
        self._interval = seconds / n
        self._burst = burst
        self._name = name or f"{n:g} in {seconds:g} s"
        self._door = Line(1)
        self._buckets = PerClock(lambda: Bucket(self._interval, burst))

    @property
    def name(self) -> str:
        """What faults and drawings call it."""
        return self._name

    @property
    def waiting(self) -> int:
        """How many wait for a turn, behind the one who is next."""
        return self._door.waiting

    def __repr__(self) -> str:
        return f"Rate({1 / self._interval:g}, burst={self._burst}, name={self._name!r})"

    def turn(self) -> Turn:
        """The next one."""
        return Turn(self)

    @property
    def idle(self) -> bool:
        """Whether it is as if it were new: nobody waits, and all that was taken has been made good."""
        bucket, now = self._buckets.here()
        return not self._door.waiting and bucket.full_at(now())

    @property
    def interval(self) -> float:
        """Between two turns. Units: seconds."""
        return self._interval

    @property
    def burst(self) -> int:
        """How many turns can be saved up."""
        return self._burst


@final
class Turn:
    """A turn of a ``Rate``, for ``async with`` or for a thread."""

    __slots__ = ("_rate",)

    def __init__(self, rate: Rate) -> None:
        self._rate = rate

    async def __aenter__(self) -> None:
        from anyio import sleep

        rate = self._rate
        await rate._door.wait()
        try:
            bucket, now = rate._buckets.on_loop()
            # Again, since a timer may fire a little early.
            while (seconds := bucket.delay(now())) > 0:  # noqa: ASYNC110  nothing else changes the bucket meanwhile
                await sleep(seconds)
            bucket.take(now())
        finally:
            rate._door.leave()

    async def __aexit__(self, *_: object) -> None:
        pass

    def enter_here(self, clock: Callable[[], float], wait: Callable[[float], None], seconds: float) -> bool:
        """Wait in this thread, no longer than ``seconds`` on that clock; whether the turn was taken."""
        rate, give_up = self._rate, clock() + seconds
        if not rate._door.wait_here(seconds):
            return False
        try:
            bucket = rate._buckets.on(clock)
            while (delay := bucket.delay(now := clock())) > 0:
                wait(min(delay, max(0.0, give_up - now)))
                if delay > give_up - now:
                    return False
            bucket.take(clock())
            return True
        finally:
            rate._door.leave()

    def leave_here(self) -> None:
        """Nothing is held."""
