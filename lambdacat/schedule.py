"""Retry schedules as values: delays between attempts, without a clock."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, final

from attrs import Attribute, field, frozen

from lambdacat.place import PlanError

if TYPE_CHECKING:
    from random import Random


class Schedule:
    """Delays between attempts, as a value without a clock. Law: ``delays(n)`` is a prefix of ``delays(n + 1)``."""

    __slots__ = ()

    def delay(self, attempt: int, source: Random | None = None) -> float | None:
        """The delay after a failed ``attempt`` (1 for the first try), or None when the schedule is at its end.

        ``source`` feeds jitter; without one the delay is the one that jitter varies. A schedule of your own defines
        this method. Law: after None comes None.
        """
        raise TypeError(f"{type(self).__name__} is no schedule yet: define delay(attempt, source)")

    def delays(self, n: int) -> Iterator[float]:
        """The first ``n`` delays, before jitter. Units: seconds."""
        for attempt in range(1, n + 1):
            delay = self.delay(attempt)
            if delay is None:
                return
            yield delay

    def times(self, n: int) -> Schedule:
        """The same delays, at most ``n`` of them."""
        return _Times(self, n)

    def jittered(self, fraction: float) -> Schedule:
        """Each delay varied by up to this fraction, from the run's own random source."""
        return _Jittered(self, fraction)

    def then(self, second: Schedule) -> Schedule:
        """These delays to their end, then those of ``second``. Law: associative."""
        if not isinstance(second, Schedule):
            raise TypeError(f"then wants a schedule, not {second!r}")
        return _Then(self, second)

    def up_to(self, seconds_total: float) -> Schedule:
        """The same delays as long as their sum stays within ``seconds_total``."""
        return _UpTo(self, seconds_total)


def _not_negative(_: object, attribute: Attribute[float], value: float) -> None:
    if not 0 <= value < inf:
        raise PlanError(f"{attribute.name} must be a finite number that is not negative, not {value!r}")


def _positive(_: object, attribute: Attribute[float], value: float) -> None:
    if not 0 < value < inf:
        raise PlanError(f"{attribute.name} must be finite and above 0, not {value!r}")


def _some_or_endless(_: object, attribute: Attribute[float], value: float) -> None:
    if not value > 0:
        raise PlanError(f"{attribute.name} must be above 0, or inf for none, not {value!r}")


def _at_least_one(_: object, attribute: Attribute[float], value: float) -> None:
    if not 1 <= value < inf:
        raise PlanError(f"{attribute.name} must be finite and at least 1, not {value!r}")


def _fraction(_: object, attribute: Attribute[float], value: float) -> None:
    if not 0 <= value <= 1:
        raise PlanError(f"{attribute.name} must be between 0 and 1, not {value!r}")


@final
@frozen
class Fixed(Schedule):
    """The same delay every time. Units: seconds.

    >>> list(Fixed(2.0).delays(3))
    [2.0, 2.0, 2.0]
    """

    seconds: float = field(validator=_not_negative)

    def delay(self, attempt: int, source: Random | None = None) -> float | None:
        return self.seconds


@final
@frozen(kw_only=True)
class Exponential(Schedule):
    """Delays that grow by ``factor`` up to ``cap``. Units: seconds; ``factor`` is a ratio of at least 1.

    Errors: ``PlanError`` when ``first <= 0``, ``factor < 1`` or ``cap <= 0``.

    >>> list(Exponential(first=0.5, cap=3.0).delays(4))
    [0.5, 1.0, 2.0, 3.0]
    """

    first: float = field(validator=_positive)
    factor: float = field(default=2.0, validator=_at_least_one)
    cap: float = field(default=inf, validator=_some_or_endless)

    def delay(self, attempt: int, source: Random | None = None) -> float | None:
        try:
            return min(self.first * self.factor ** (attempt - 1), self.cap)
        except OverflowError:
            return self.cap


def _whole(_: object, attribute: Attribute[int], value: int) -> None:
    if type(value) is not int or value < 0:
        raise PlanError(f"{attribute.name} is a whole number that is not negative, not {value!r}")


@final
@frozen
class _Times(Schedule):
    inner: Schedule
    n: int = field(validator=_whole)

    def delay(self, attempt: int, source: Random | None = None) -> float | None:
        return self.inner.delay(attempt, source) if attempt <= self.n else None


@final
@frozen
class _Jittered(Schedule):
    inner: Schedule
    fraction: float = field(validator=_fraction)

    def delay(self, attempt: int, source: Random | None = None) -> float | None:
        delay = self.inner.delay(attempt, source)
        if delay is None or source is None:
            return delay
        return delay * (1 + self.fraction * (2 * source.random() - 1))


@final
@frozen
class _Then(Schedule):
    first: Schedule
    second: Schedule

    def delay(self, attempt: int, source: Random | None = None) -> float | None:
        delay = self.first.delay(attempt, source)
        if delay is not None:
            return delay
        # The first schedule is over: how many delays it has, by bisection.
        length = bisect_left(range(attempt), True, key=lambda n: self.first.delay(n + 1) is None)
        return self.second.delay(attempt - length, source)


@final
@frozen
class _UpTo(Schedule):
    inner: Schedule
    seconds_total: float = field(validator=_not_negative)

    def delay(self, attempt: int, source: Random | None = None) -> float | None:
        # The sum is of delays before jitter, so that jitter cannot change how many there are.
        if sum(self.inner.delays(attempt)) > self.seconds_total:
            return None
        return self.inner.delay(attempt, source)
