"""How many at once a service bears, found out: additive increase, multiplicative decrease (Chiu and Jain, 1989)."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final, final

from lambdacat.fault import ActionFailed, Refused, TimedOut, Unavailable

if TYPE_CHECKING:
    from lambdacat.fault import Fault

_LESS: Final = 2 / 3
_LATELY: Final = 0.3
_USUALLY: Final = 0.03
"""How much one call counts in what is known of latencies, lately and usually."""
_REFUSALS: Final = (TimedOut, Unavailable, Refused)


@final
class Pace:
    """So many places, by how the calls in them end. Law: always from ``low`` to ``high``."""

    def __init__(self, low: int, high: int, slower: float) -> None:
        self._low = low
        self._high = high
        self._slower = slower
        self._width = float(low)
        self._lately: float | None = None
        self._usually = 0.0
        self._lock = Lock()
        self.round = 0
        """How often it was made narrower."""

    @property
    def places(self) -> int:
        """How many there are now."""
        return int(self._width)

    def told(self, fault: Fault | None, seconds: float, began: int) -> int:
        """Hear of a call that began in a round; how many places more there are, or fewer."""
        with self._lock:
            before = self.places
            if began != self.round:
                return 0
            if refused(fault) or (fault is None and self._slow(seconds)):
                self._width = max(float(self._low), self._width * _LESS)
                self.round += 1
                # What came before was at another width.
                self._lately = None
            elif fault is None:
                self._width = min(float(self._high), self._width + 1 / self._width)
            return self.places - before

    def _slow(self, seconds: float) -> bool:
        """Whether calls take longer lately than they usually do."""
        if self._lately is None:
            self._lately = seconds
            self._usually = self._usually or seconds
            return False
        self._lately += _LATELY * (seconds - self._lately)
        self._usually += _USUALLY * (seconds - self._usually)
        return self._lately > self._slower * self._usually


def refused(fault: Fault | None) -> bool:
    """Whether a fault says that there was too much of it."""
    if isinstance(fault, ActionFailed):
        return getattr(fault.error, "retry_after", None) is not None
    return isinstance(fault, _REFUSALS)
