"""How often a schedule tries again, and how long it waits, whatever its jitter."""

from __future__ import annotations

from math import inf
from typing import Any

from lambdacat.schedule import Schedule

_MOST = 2_000


class _Always:
    """A random source that gives the number at which jitter is longest."""

    def random(self) -> float:
        """The number."""
        return 1.0


_LONGEST: Any = _Always()


def waits(schedule: Schedule) -> tuple[float, float]:
    """The most retries, and the most seconds between them in all. A schedule longer than 2,000 counts as endless."""
    if schedule.delay(_MOST + 1) is not None:
        return inf, inf
    found: list[float] = []
    while (delay := schedule.delay(len(found) + 1, _LONGEST)) is not None:
        found.append(max(0.0, delay))
    return len(found), sum(found)
