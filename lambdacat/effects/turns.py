"""Turns of limiters, as the drivers hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from lambdacat.bound import Limiter
from lambdacat.fault import Denied


@runtime_checkable
class Here(Protocol):
    """A turn of a limiter that can also be waited for in a thread."""

    def enter_here(self, clock: Callable[[], float], wait: Callable[[float], None], seconds: float) -> bool:
        """Wait, but no longer than ``seconds`` on that clock; whether the turn was taken."""

    def leave_here(self) -> None:
        """Give the turn back."""


class Turned(NamedTuple):
    """A turn of a limiter that is held."""

    limiter: Limiter
    turn: Any


def turn_of(limiter: Limiter, held: Iterable[Turned]) -> Any:
    """A turn that can be waited for. Errors: ``Denied`` for one that would wait for itself."""
    if getattr(limiter, "exclusive", False) and any(one.limiter is limiter for one in held):
        raise Denied(limiter.name, "the plan stands inside one that holds a turn already, and might wait for itself")
    return limiter.turn()
