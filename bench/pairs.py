"""Ratios from interleaved pairs: ours and the hand-written floor, in one process, order swapped each time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple


class Row(NamedTuple):
    """One question and its answer."""

    question: str
    units: str
    """What ``ours`` and ``floor`` are in."""
    ours: float
    floor: float
    ratio: float
    reach: float | None
    """The ratio to stay within; None where the row is there to be known."""
    pairs: int

    def within(self, slack: float = 1.0) -> bool:
        """Whether the ratio is within ``slack`` times its reach."""
        return self.reach is None or self.ratio <= slack * self.reach


Question = Callable[[int], Row]
"""Answers with so many interleaved pairs."""


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """How long the work takes on that clock."""
    begin = clock()
    work()
    return clock() - begin


def compared(
    question: str,
    ours: Callable[[], object],
    floor: Callable[[], object],
    reach: float | None,
    pairs: int = 15,
    each: int = 1,
) -> Row:
    """The median ratio of ``pairs`` interleaved pairs. ``each``: steps in one measurement, for the printed times."""
    ours()
    floor()
    rows = []
    gc.collect()
    gc.disable()
    try:
        for turn in range(pairs):
            if turn % 2:
                mine, theirs = seconds(ours), seconds(floor)
            else:
                theirs, mine = seconds(floor), seconds(ours)
            rows.append((mine, theirs))
    finally:
        gc.enable()
    mine, theirs = median(row[0] for row in rows), median(row[1] for row in rows)
    ratio = median(row[0] / row[1] for row in rows)
    return Row(question, "us", mine / each * 1e6, theirs / each * 1e6, ratio, reach, pairs)
