"""Turns of limiters and guards, and books of budgets, as the drivers hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from lambdacat.bound import Budget, Guarded
from lambdacat.effects.ledger import Ledger
from lambdacat.fault import Denied


@runtime_checkable
class Here(Protocol):
    """A turn of a limiter that can also be waited for in a thread."""

    def enter_here(self, clock: Callable[[], float], wait: Callable[[float], None], seconds: float) -> bool:
        """Wait, but no longer than ``seconds`` on that clock; whether the turn was taken."""

    def leave_here(self) -> None:
        """Give the turn back."""


class Turned(NamedTuple):
    """A turn that is held, and whose it is."""

    of: Any
    turn: Any

    def told(self, won: bool, value: Any) -> None:
        """The plan in it has ended by this value, or by this fault."""
        told = getattr(self.turn, "told", None)
        if told is not None:
            told(None if won else value)


def turn_of(
    bound: Any, value: Any, held: Iterable[Turned], ledger: Ledger | None, clock: Callable[[], float]
) -> Turned:
    """A turn that can be waited for. Errors: ``Denied`` for one that would wait for itself."""
    if type(bound) is Budget:
        return Turned(bound, Ledger(bound, ledger, clock))
    if type(bound) is Guarded:
        return Turned(bound.guard, bound.guard.turn())
    limiter = bound.limiter
    if hasattr(limiter, "limiter_for"):
        limiter = limiter.limiter_for(value)
    if getattr(limiter, "exclusive", False) and any(one.of is limiter for one in held):
        raise Denied(limiter.name, "the plan stands inside one that holds a turn already, and might wait for itself")
    return Turned(limiter, limiter.turn())
