"""Not asking again what has just failed over and over."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Literal, final

from lambdacat.bound import Faults, check_on, fits, seconds_of
from lambdacat.fault import ActionFailed, Denied, TimedOut, Unavailable
from lambdacat.guard.clocks import Clock, PerClock
from lambdacat.place import PlanError

if TYPE_CHECKING:
    from lambdacat.fault import Fault

State = Literal["closed", "open", "half-open"]
_COUNTED = (ActionFailed, TimedOut, Unavailable)


def _in_a_row(failures: int) -> str:
    return "the last call failed" if failures == 1 else f"the last {failures} calls failed"


@final
class Circuit:
    """The state machine of a breaker, on one clock. Law: what began before it last changed counts no more."""

    __slots__ = ("_era", "_failures", "_in_a_row", "_probing", "_seconds", "_until")

    def __init__(self, failures: int, seconds: float) -> None:
        self._failures = failures
        self._seconds = seconds
        self._era = 0
        """How often it has changed."""
        self._in_a_row = 0
        self._probing = False
        self._until: float | None = None
        """When it may be tried again; None while it is closed."""

    def state(self, now: float) -> State:
        """Closed lets all through, open none, half-open one."""
        if self._until is None:
            return "closed"
        return "open" if now < self._until else "half-open"

    def enter(self, now: float) -> int:
        """Let a call through: its number to leave by. Errors: ``ValueError`` that says why not."""
        if self._until is not None:
            if now < self._until:
                raise ValueError(f"{_in_a_row(self._failures)}; it tries again in {self._until - now:.3g} s")
            if self._probing:
                raise ValueError(f"{_in_a_row(self._failures)}; one call is trying it again")
            self._probing = True
        return self._era

    def leave(self, number: int, failed: bool | None, now: float) -> None:
        """A call has ended; ``failed`` is None where that says nothing, as when it was cancelled."""
        if number != self._era:
            return
        self._probing = False
        if failed:
            self._in_a_row += 1
            if self._until is not None or self._in_a_row >= self._failures:
                self._era, self._until = self._era + 1, now + self._seconds
        elif failed is False:
            self._era += self._until is not None
            self._in_a_row, self._until = 0, None


@final
class Breaker:
    """Refuses calls for so many seconds after so many failures in a row; then lets one through to see.

    A failure is a fault that ``on`` accepts: by default ``ActionFailed``, ``TimedOut`` and ``Unavailable``. Other
    faults and cancellation count neither for nor against. Shared by every plan that is guarded by this very one, in
    all runs and threads. Runs on clocks of their own, as in tests with virtual time, are counted clock by clock.
    Units: seconds.
    """

    __slots__ = ("_circuits", "_failures", "_lock", "_name", "_on", "_seconds")

    def __init__(self, failures: int = 5, seconds: float = 30.0, *, on: Faults = _COUNTED, name: str = "") -> None:
        if type(failures) is not int or failures < 1:
            raise PlanError(f"failures of a breaker is a whole number of at least 1, not {failures!r}")
        seconds_of(seconds, "seconds of a breaker")
        check_on("on= of a breaker", on)
        self._failures = failures
        self._seconds = seconds
        self._on = on
        self._name = name or "a breaker"
        self._lock = Lock()
        self._circuits = PerClock(lambda: Circuit(failures, seconds))

    @property
    def name(self) -> str:
        """What faults and drawings call it."""
        return self._name

    @property
    def state(self) -> State:
        """``closed``, ``open`` or ``half-open`` now, on the event loop's clock if one is running."""
        circuit, now = self._circuits.here()
        return circuit.state(now())

    def __repr__(self) -> str:
        return f"Breaker({self._failures}, {self._seconds:g}, name={self._name!r})"

    def turn(self) -> Turn:
        """One call. Errors: ``Denied`` on entering, while it is open."""
        return Turn(self)

    def enter(self, circuit: Circuit, now: Clock) -> int:
        """Let a call through. Errors: ``Denied``."""
        with self._lock:
            try:
                return circuit.enter(now())
            except ValueError as error:
                raise Denied(self._name, str(error)) from None

    def leave(self, circuit: Circuit, number: int, failed: bool | None, now: Clock) -> None:
        """A call has ended."""
        with self._lock:
            circuit.leave(number, failed, now())

    def counts(self, fault: Fault) -> bool:
        """Whether it is a failure."""
        return fits(fault, self._on)


@final
class Turn:
    """One call through a breaker, for ``async with`` or for a thread."""

    __slots__ = ("_breaker", "_circuit", "_failed", "_now", "_number")
    _circuit: Circuit
    _now: Clock
    _number: int

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._failed: bool | None = None

    def told(self, fault: Fault | None) -> None:
        """How the call ended; untold, it was cancelled."""
        self._failed = False if fault is None else True if self._breaker.counts(fault) else None

    async def __aenter__(self) -> None:
        self._enter(*self._breaker._circuits.on_loop())

    async def __aexit__(self, *_: object) -> None:
        self.leave_here()

    def enter_here(self, clock: Clock, wait: Callable[[float], None], seconds: float) -> bool:
        """As on an event loop: nothing is waited for."""
        self._enter(self._breaker._circuits.on(clock), clock)
        return True

    def leave_here(self) -> None:
        """The call is over."""
        self._breaker.leave(self._circuit, self._number, self._failed, self._now)

    def _enter(self, circuit: Circuit, now: Clock) -> None:
        self._number = self._breaker.enter(circuit, now)
        self._circuit, self._now = circuit, now
