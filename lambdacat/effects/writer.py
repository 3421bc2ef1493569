"""Writer: a value with a log on the side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, final

from lambdacat.effects.lawful import Lawful

A_co = TypeVar("A_co", covariant=True)
W = TypeVar("W")
C = TypeVar("C")
D = TypeVar("D")


class _Nothing:
    """The unit of every log: what a plain value has written."""

    __slots__ = ()

    def __add__(self, other: Any) -> Any:
        return other

    def __radd__(self, other: Any) -> Any:
        return other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Nothing)

    def __hash__(self) -> int:
        return hash(_Nothing)

    def __repr__(self) -> str:
        return "nothing"


NOTHING: Any = _Nothing()
"""The log of ``Writer.from_value``."""


@final
class Writer(Lawful, Generic[A_co, W]):
    """A value with a log on the side. Law: the monad laws; ``W`` needs ``+`` with a unit.

    >>> Writer(2, ("two",)).bind(lambda n: Writer(n + 1, ("three",)))
    Writer(3, ('two', 'three'))
    """

    __slots__ = ()

    def __init__(self, value: A_co, log: W) -> None:
        super().__init__((value, log))

    @property
    def value(self) -> A_co:
        """The value."""
        value: A_co = self._inner_value[0]
        return value

    @property
    def log(self) -> W:
        """What was written, in order."""
        log: W = self._inner_value[1]
        return log

    def map(self, function: Callable[[A_co], C]) -> Writer[C, W]:
        """Another value with the same log."""
        return Writer(function(self.value), self.log)

    def bind(self, function: Callable[[A_co], Writer[C, W]]) -> Writer[C, W]:
        """The value's successor, its log after this one."""
        made = function(self.value)
        return Writer(made.value, NOTHING + self.log + made.log if self.log is not NOTHING else made.log)

    def apply(self, container: Writer[Callable[[A_co], C], W]) -> Writer[C, W]:
        """The function in ``container`` applied to this value, the function's log first."""
        return container.bind(self.map)

    @classmethod
    def from_value(cls, inner_value: D) -> Writer[D, Any]:
        """A value that has written nothing."""
        return Writer(inner_value, NOTHING)

    def equals(self, other: Writer[A_co, W]) -> bool:
        """Whether value and log are equal."""
        return self == other

    def __repr__(self) -> str:
        return f"Writer({self.value!r}, {self.log!r})"

    __str__ = __repr__
