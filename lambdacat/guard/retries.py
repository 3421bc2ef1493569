"""How many retries many plans may make together."""

from __future__ import annotations

from threading import Lock
from typing import Final, final

from lambdacat.place import PlanError

_ROUNDING: Final = 1e-9


@final
class Retries:
    """At most ``ratio`` retries for each first call among all plans that share it, and ``burst`` at once.

    So a service that fails always is asked ``1 + ratio`` times as often as without retries, however often and however
    deep each plan retries. For ``p.retry(schedule, budget=Retries())``. Law: among any calls that follow one another
    at most ``burst + ratio * first calls`` retries are made. A retry inside a retry with the same budget begins no
    first call.
    """

    __slots__ = ("_burst", "_left", "_lock", "_ratio")

    def __init__(self, ratio: float = 0.1, *, burst: int = 10) -> None:
        if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not 0 <= ratio < float("inf"):
            raise PlanError(f"ratio of retries is a finite number that is not negative, not {ratio!r}")
        if type(burst) is not int or burst < 1:
            raise PlanError(f"burst of retries is a whole number of at least 1, not {burst!r}")
        self._ratio = ratio
        self._burst = burst
        self._left = float(burst)
        self._lock = Lock()

    @property
    def left(self) -> int:
        """How many retries may be made now."""
        return int(self._left + _ROUNDING)

    def __repr__(self) -> str:
        return f"Retries({self._ratio:g}, burst={self._burst})"

    def called(self) -> None:
        """A plan is tried for the first time."""
        with self._lock:
            self._left = min(float(self._burst), self._left + self._ratio)

    def again(self) -> bool:
        """Whether one more retry may be made; if so, it counts as made."""
        with self._lock:
            if not self.left:
                return False
            self._left -= 1
            return True
