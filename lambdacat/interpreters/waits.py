"""How often a schedule tries again, and how long it waits, whatever its jitter."""

from __future__ import annotations

from itertools import islice
from math import inf
from typing import Any

from lambdacat.schedule import Schedule, _Times, _UpTo

_MOST = 10_000


class _Always:
    """A random source that gives one number."""

    def __init__(self, number: float) -> None:
        self._number = number

    def random(self) -> float:
        """The number."""
        return self._number


_LEAST: Any = _Always(0.0)
_MOST_JITTER: Any = _Always(1.0)


def waits(schedule: Schedule) -> tuple[float, float]:
    """The most retries, and the most seconds between them in all. A schedule longer than 10,000 counts as endless."""
    short = list(islice(schedule._all(_LEAST), _MOST + 1))
    long = list(islice(schedule._all(_MOST_JITTER), _MOST + 1))
    if max(len(short), len(long)) > _MOST:
        return inf, inf if any(long) else 0.0
    if len(short) == len(long):
        return len(short), sum(long)
    # Jitter decides how many delays fit into a total, so the total is all that is known.
    while isinstance(schedule, _Times):
        schedule = schedule.inner
    return max(len(short), len(long)), schedule.seconds_total if isinstance(schedule, _UpTo) else inf
