"""State: a computation that threads a state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, final

from lambdacat.effects.lawful import Lawful

S = TypeVar("S")
A_co = TypeVar("A_co", covariant=True)
C = TypeVar("C")
D = TypeVar("D")


@final
class State(Lawful, Generic[S, A_co]):
    """A computation that threads an ``S``. Law: the monad laws, up to equal runs.

    A chain of a hundred thousand ``bind`` runs as a loop; ``map`` runs what it maps once.
    """

    __slots__ = ()

    def __init__(self, run: Callable[[S], tuple[A_co, S]]) -> None:
        super().__init__((run, None, None))

    @classmethod
    def _after(cls, source: State[Any, Any], function: Any, joins: bool) -> State[Any, Any]:
        made: State[Any, Any] = object.__new__(cls)
        Lawful.__init__(made, (source, function, joins))
        return made

    def run(self, state: S) -> tuple[A_co, S]:
        """The value and the state at the end, from a state at the beginning."""
        at: Any = self
        now: Any = state
        todo: list[tuple[Any, bool]] = []
        while True:
            source, function, joins = at._inner_value
            if joins is not None:
                todo.append((function, joins))
                at = source
                continue
            value, now = source(now)
            while todo:
                function, joins = todo.pop()
                made = function(value)
                if joins:
                    at = made
                    break
                value = made
            else:
                return value, now

    def map(self, function: Callable[[A_co], C]) -> State[S, C]:
        """The same computation with another value."""
        return State._after(self, function, False)

    def bind(self, function: Callable[[A_co], State[S, C]]) -> State[S, C]:
        """This computation, then the one that its value gives."""
        return State._after(self, function, True)

    def apply(self, container: State[S, Callable[[A_co], C]]) -> State[S, C]:
        """The function that ``container`` computes, applied to this value; ``container`` runs first."""
        return container.bind(self.map)

    @classmethod
    def from_value(cls, inner_value: D) -> State[Any, D]:
        """A value that leaves the state alone."""
        return State(lambda state: (inner_value, state))
