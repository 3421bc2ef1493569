"""Bounds, costs and limits as values. No clock: an interpreter keeps them."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, final

from attrs import Attribute, field, frozen

from lambdacat.place import PlanError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from lambdacat.fault import Fault, _Faulted
    from lambdacat.schedule import Schedule

Kind: TypeAlias = type[Exception] | type["_Faulted"]


def _interval(_: object, attribute: Attribute[tuple[float, float]], value: Any) -> None:
    match value:
        case (int() | float() as low, int() | float() as high) if 0 <= low <= high:
            return
    raise PlanError(f"{attribute.name} is (best, worst) with 0 <= best <= worst, not {value!r}")


@final
@frozen(kw_only=True)
class Estimate:
    """Best and worst case of one call, as (low, high). Units: seconds, tokens, and money in the caller's currency."""

    seconds: tuple[float, float] = field(default=(0.0, inf), validator=_interval)
    tokens: tuple[float, float] = field(default=(0.0, inf), validator=_interval)
    money: tuple[float, float] = field(default=(0.0, inf), validator=_interval)


def _words(_: object, attribute: Attribute[str], value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise PlanError(f"{attribute.name} is text that is not blank, not {value!r}")


def _yes_or_no(_: object, attribute: Attribute[bool], value: Any) -> None:
    if type(value) is not bool:
        raise PlanError(f"{attribute.name} is True or False, not {value!r}")


@final
@frozen
class Resource:
    """Something outside the state, by name; two tasks conflict when one of them writes it."""

    name: str = field(validator=_words)
    writes: bool = field(default=False, validator=_yes_or_no)


def _whole(least: int) -> Callable[[object, Attribute[Any], Any], None]:
    def check(_: object, attribute: Attribute[Any], value: Any) -> None:
        if value is not None and (type(value) is not int or value < least):
            raise PlanError(f"{attribute.name} is a whole number of at least {least}, not {value!r}")

    return check


def seconds_of(value: object, what: str = "timeout") -> float:
    """``value`` if it is a sensible duration. Errors: ``PlanError``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < inf:
        raise PlanError(f"{what} is a number of seconds, finite and not negative, not {value!r}")
    return float(value)


def _duration(_: object, attribute: Attribute[float], value: Any) -> None:
    seconds_of(value, attribute.name)


@final
@frozen(kw_only=True)
class Limits:
    """Caps for a whole run: branches running at once, worker threads, seconds of grace for cleanup."""

    branches: int | None = field(default=None, validator=_whole(1))
    threads: int = field(default=40, validator=_whole(1))
    grace: float = field(default=0.5, validator=_duration)


@final
@frozen
class Timeout:
    """The bound of ``p.timeout(seconds)``."""

    seconds: float = field(validator=_duration)

    def __str__(self) -> str:
        return f"timeout {self.seconds:g} s"


@final
@frozen
class Retry:
    """The bound of ``p.retry(schedule, on=...)``."""

    schedule: Schedule
    on: Callable[[Fault], bool] | Kind | tuple[Kind, ...] | None = None
    """None is the default: ``ActionFailed`` and ``TimedOut``."""

    def accepts(self, fault: Fault) -> bool:
        """Whether the fault is one to try again after."""
        from lambdacat.fault import ActionFailed, TimedOut

        if self.on is None:
            return isinstance(fault, (ActionFailed, TimedOut))
        if isinstance(self.on, (type, tuple)):
            kinds = self.on if isinstance(self.on, tuple) else (self.on,)
            error = fault.error if isinstance(fault, ActionFailed) else fault
            return isinstance(fault, kinds) or isinstance(error, kinds)
        return bool(self.on(fault))

    def __str__(self) -> str:
        return "retry"


class Limiter(Protocol):
    """What ``limited`` waits on; ``lambdacat.guard`` has some.

    Under ``run`` a turn that must wait is ``WouldBlock``, unless what ``turn`` gives can wait in a thread too: by
    ``enter_here(clock, wait, seconds)``, which waits no longer than so many seconds on that clock and says whether the
    turn was taken, and ``leave_here()``.
    """

    @property
    def name(self) -> str:
        """What faults and drawings call it."""

    def turn(self) -> AbstractAsyncContextManager[object]:
        """One turn, waited for on entering and given back on leaving."""


@final
@frozen
class Limited:
    """The bound of ``p.limited(limiter)``."""

    limiter: Limiter

    def __str__(self) -> str:
        return f"limited by {self.limiter.name}"
