"""The bounds on what a plan may cost, in every measure, and the names that go with them."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any, NamedTuple


class Bound(NamedTuple):
    """Bounds on one measure of a run."""

    won: float = 0.0
    """The least, when it ends with a value; infinite when it never does."""
    lost: float = inf
    """The least, when it ends with a fault; infinite when it never does."""
    most: float = 0.0

    @property
    def least(self) -> float:
        """The least of any run."""
        return min(self.won, self.lost)


class Names(NamedTuple):
    """Names in the shape of a plan: one, or parts one after the other, or parts side by side."""

    word: str = ""
    parts: tuple[Any, ...] = ()
    beside: bool = False
    depth: int = 0
    """How many waves it takes."""


def row(parts: Iterable[Names]) -> Names:
    """Names one after the other."""
    kept = tuple(part for part in parts if part.depth)
    return kept[0] if len(kept) == 1 else Names(parts=kept, depth=sum(part.depth for part in kept))


def beside(parts: Iterable[Names]) -> Names:
    """Names side by side."""
    kept = tuple(part for part in parts if part.depth)
    return kept[0] if len(kept) == 1 else Names(parts=kept, beside=True, depth=max((p.depth for p in kept), default=0))


class Cost(NamedTuple):
    """The bounds of a plan in every measure, and the names that go with them."""

    seconds: Bound = Bound()
    """Of a concurrent run with as many threads as it needs."""
    tokens: Bound = Bound()
    money: Bound = Bound()
    calls: Bound = Bound()
    alone: float = 0.0
    """The most seconds, with everything one after the other."""
    inline: float = 0.0
    """The most seconds of actions on the event loop itself, which hold up everything."""
    threaded: float = 0.0
    """The most seconds of work in threads."""
    threads: int = 0
    """The most threads at once."""
    soft: bool = True
    """Whether a deadline can cut it off at any moment."""
    begins: bool = False
    """Whether the first thing that it does is to call an action."""
    instant: bool = False
    """Whether it is a plain function, over in no time."""
    may_run: Names = Names()
    critical: Names = Names()
    unknown: Names = Names()
    """What makes a worst case infinite."""


NOTHING = Cost(instant=True)
"""A plain function, or none."""
NEVER = Bound(inf, 0.0, 0.0)
"""A fault at once."""
