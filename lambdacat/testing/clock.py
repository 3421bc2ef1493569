"""A clock for tests of ``run``: it moves only when somebody sleeps on it."""

from __future__ import annotations

from typing import final

from lambdacat.bound import seconds_of


@final
class VirtualClock:
    """A clock that stands still until somebody sleeps on it; give it as ``Context(clock=...)``.

    Units: seconds.

    >>> clock = VirtualClock()
    >>> clock.sleep(90)
    >>> clock()
    90.0
    """

    __slots__ = ("_now",)

    def __init__(self, start: float = 0.0) -> None:
        """A clock that shows ``start``."""
        self._now = float(start)

    def __call__(self) -> float:
        """Now."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let time pass at once. Errors: ``ValueError`` unless ``seconds`` is finite and not negative."""
        self._now += seconds_of(seconds, "seconds")
