"""Bounds, costs and limits as values. No clock: an interpreter keeps them."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar, final

from attrs import Attribute, field, frozen

from lambdacat.callables import check_plain
from lambdacat.place import PlanError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from lambdacat.fault import Fault, _Faulted
    from lambdacat.schedule import Schedule

Kind: TypeAlias = type[Exception] | type["_Faulted"]
Faults: TypeAlias = "Callable[[Fault], bool] | Kind | tuple[Kind, ...]"
"""Which faults: by a test, or by classes of faults or of users' exceptions."""


def _interval(_: object, attribute: Attribute[tuple[float, float]], value: Any) -> None:
    match value:
        case (int() | float() as low, int() | float() as high) if 0 <= low <= high:
            return
    raise PlanError(f"{attribute.name} is (best, worst) with 0 <= best <= worst, not {value!r}")


def _yes_or_no(_: object, attribute: Attribute[bool], value: Any) -> None:
    if type(value) is not bool:
        raise PlanError(f"{attribute.name} is True or False, not {value!r}")


@final
@frozen(kw_only=True)
class Estimate:
    """Best and worst case of one call, as (low, high). Units: seconds, tokens, and money in the caller's currency."""

    seconds: tuple[float, float] = field(default=(0.0, inf), validator=_interval)
    tokens: tuple[float, float] = field(default=(0.0, inf), validator=_interval)
    money: tuple[float, float] = field(default=(0.0, inf), validator=_interval)
    reserves: bool = field(default=False, validator=_yes_or_no)
    """Whether the call reserves what it is about to spend itself, by ``context.reserve``."""


def _words(_: object, attribute: Attribute[str], value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise PlanError(f"{attribute.name} is text that is not blank, not {value!r}")


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
    on: Faults | None = None
    """None is the default: ``ActionFailed`` and ``TimedOut``."""

    budget: RetryBudget | None = None

    def accepts(self, fault: Fault) -> bool:
        """Whether the fault is one to try again after."""
        from lambdacat.fault import ActionFailed, TimedOut

        return fits(fault, (ActionFailed, TimedOut) if self.on is None else self.on)

    def __str__(self) -> str:
        return "retry"


def fits(fault: Fault, on: Faults) -> bool:
    """Whether a fault is one of those: by a test, or by the class of the fault or of the user's exception in it."""
    from lambdacat.fault import ActionFailed

    if isinstance(on, (type, tuple)):
        kinds = on if isinstance(on, tuple) else (on,)
        error = fault.error if isinstance(fault, ActionFailed) else fault
        return isinstance(fault, kinds) or isinstance(error, kinds)
    return bool(on(fault))


def check_on(what: str, on: object) -> None:
    """Refuse what no fault could ever be accepted by. Errors: ``PlanError``."""
    if on is None:
        return
    if not isinstance(on, (type, tuple)):
        if not callable(on):
            raise PlanError(f"{what} wants a test, a class or a tuple of classes, not {on!r}")
        check_plain(what, on)
        return
    from lambdacat.fault import _Faulted

    for kind in on if isinstance(on, tuple) else (on,):
        if not isinstance(kind, type) or not issubclass(kind, (BaseException, _Faulted)):
            raise PlanError(f"{what} wants classes of exceptions or of faults, and {kind!r} is neither")
        if issubclass(kind, BaseException) and not issubclass(kind, Exception):
            raise PlanError(f"{kind.__name__} stops the program: it is no fault, and never retried")


class RetryBudget(Protocol):
    """How many retries many plans may make together; ``lambdacat.guard.Retries`` is one."""

    def called(self) -> None:
        """A plan is tried for the first time."""

    def again(self) -> bool:
        """Whether one more retry may be made; if so, it counts as made."""


class Turn(Protocol):
    """A turn of a guard, which hears how the plan in it ended."""

    def told(self, fault: Fault | None) -> None:
        """It ended with a value, or with this fault. A plan that is cut off ends untold."""

    async def __aenter__(self) -> object: ...
    async def __aexit__(self, kind: Any, error: Any, traceback: Any, /) -> Any: ...


class Guard(Protocol):
    """What ``guarded`` asks: it says no by raising ``Denied`` when a turn is entered; ``lambdacat.guard`` has one.

    Under ``run`` a turn may be entered and left in a thread, as those of a ``Limiter``.
    """

    @property
    def name(self) -> str:
        """What faults and drawings call it."""

    def turn(self) -> Turn:
        """One call."""


A_contra = TypeVar("A_contra", contravariant=True)


class KeyedLimiter(Protocol[A_contra]):
    """A limiter for each key, as ``lambdacat.guard.Keyed`` has them."""

    @property
    def name(self) -> str:
        """What faults and drawings call it."""

    def limiter_for(self, value: A_contra) -> Limiter:
        """The one for what the plan is given."""


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

    limiter: Any
    """A ``Limiter`` or a ``KeyedLimiter``."""

    def __str__(self) -> str:
        return f"limited by {self.limiter.name}"


@final
@frozen
class Guarded:
    """The bound of ``p.guarded(guard)``."""

    guard: Guard

    def __str__(self) -> str:
        return f"guarded by {self.guard.name}"


def _cap(whole: bool) -> Callable[[object, Attribute[Any], Any], None]:
    def check(_: object, attribute: Attribute[Any], value: Any) -> None:
        if value is None:
            return
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < inf:
            what = "whole number" if whole else "finite number"
            raise PlanError(f"{attribute.name} of a budget is a {what} that is not negative, not {value!r}")

    return check


@final
@frozen(kw_only=True)
class Budget:
    """Caps on all that happens in a plan, its branches and retries included; what is None is not capped.

    Units: tokens, money in the caller's currency, calls of actions (each attempt is one), seconds. Before an action
    starts, the most that it may cost is reserved: by its estimate, or by ``unknown`` where it has none. What was not
    used is given back when it ends. Law: while calls cost no more than their estimates, no cap is ever passed.
    """

    tokens: int | None = field(default=None, validator=_cap(whole=True))
    money: float | None = field(default=None, validator=_cap(whole=False))
    calls: int | None = field(default=None, validator=_cap(whole=True))
    seconds: float | None = field(default=None, validator=_cap(whole=False))
    unknown: Estimate | None = field(default=None)
    """What an action is taken to cost that might spend something, and has no estimate; None refuses it."""

    def __attrs_post_init__(self) -> None:
        if all(cap is None for cap in (self.tokens, self.money, self.calls, self.seconds)):
            raise PlanError("a budget caps something: tokens, money, calls or seconds")
        if self.unknown is not None and not isinstance(self.unknown, Estimate):
            raise PlanError(f"unknown of a budget is an Estimate, not {self.unknown!r}")

    def __str__(self) -> str:
        caps = [(self.tokens, "tokens"), (self.money, "money"), (self.calls, "calls"), (self.seconds, "s")]
        return "within " + " and ".join(f"{cap:g} {what}" for cap, what in caps if cap is not None)


class Left(NamedTuple):
    """What is left of all budgets around a step, the least of each; infinite where nothing caps it."""

    tokens: float = inf
    money: float = inf
    calls: float = inf
    seconds: float = inf
