"""What is kept for each clock apart: the machine's own, and those of runs on virtual time."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import MethodType
from typing import Any, Generic, TypeVar, final
from weakref import WeakKeyDictionary

T = TypeVar("T")
Clock = Callable[[], float]

_monotonic = time.monotonic


@final
class PerClock(Generic[T]):
    """One value for each clock, made when it is first asked for."""

    __slots__ = ("_make", "_real", "_virtual")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._real = make()
        self._virtual: WeakKeyDictionary[Any, T] = WeakKeyDictionary()

    def _of(self, known_by: Any) -> T:
        if known_by is None:
            return self._real
        found = self._virtual.get(known_by)
        if found is None:
            found = self._virtual[known_by] = self._make()
        return found

    def on(self, clock: Clock) -> T:
        """That of a clock; two clock functions of one module are two, and a bound method goes by its object."""
        if clock is _monotonic:
            return self._real
        # A method is another object each time that it is asked for.
        return self._of(clock.__self__ if isinstance(clock, MethodType) else clock)

    def on_loop(self) -> tuple[T, Clock]:
        """That of the event loop that is running, and its clock."""
        from lambdacat.interpreters.arun import backend

        known_by, now = backend().timekeeper()
        return self._of(known_by), now

    def here(self) -> tuple[T, Clock]:
        """That of the event loop that is running in this thread, or else the machine's."""
        try:
            return self.on_loop()
        except (RuntimeError, ImportError):  # no loop is running, or trio is not even installed
            return self._real, _monotonic
