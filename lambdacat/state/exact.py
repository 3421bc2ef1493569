"""Sums of floats without rounding, so that neither order nor grouping can be seen in them."""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum
from typing import TypeAlias, TypeGuard

Exact: TypeAlias = tuple[float, ...]
"""A sum that was not rounded: the float nearest to it, the float nearest to what that leaves, and so on to nothing.

Equal sums are equal tuples, to the last bit; zero is the empty one. A sum of ordinary numbers takes one to three
floats, and any sum at most 40.
"""

Tally: TypeAlias = tuple[tuple[int, Exact], ...]
"""Exact sums by window, the latest window first; evidence of one window ages together."""


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def exact(parts: Iterable[float]) -> Exact:
    """The sum of finite floats. Law: the same for every order and grouping of the same parts.

    >>> exact([0.1] * 10), exact([1e16, 1.0, -1e16]), exact([0.5, -0.5])
    ((1.0, 5.551115123125783e-17), (1.0,), ())
    """
    rest = list(parts)
    found: list[float] = []
    # fsum rounds once, at the end; so each turn takes the nearest float of what is left, until nothing is.
    while nearest := fsum(rest):
        found.append(nearest)
        rest.append(-nearest)
    return tuple(found)


def tally(rows: Iterable[tuple[int, Iterable[float]]], oldest: int | None = None) -> Tally:
    """The sum of several tallies, without windows before ``oldest``; a window whose sum is zero is left out."""
    windows: dict[int, list[float]] = {}
    for window, parts in rows:
        if oldest is None or window >= oldest:
            windows.setdefault(window, []).extend(parts)
    found = ((window, exact(windows[window])) for window in sorted(windows, reverse=True))
    return tuple((window, total) for window, total in found if total)


def minus(one: Tally) -> Tally:
    """The same with the other sign."""
    return tuple((window, tuple(-part for part in total)) for window, total in one)


def weight(tallies: Iterable[Tally], window: int, part: float = 0.0) -> float:
    """The sum of tallies as one float, ``part`` of a window after the beginning of ``window``.

    What lies n windows before then counts ``2 ** -n``.
    """
    # The difference of the whole numbers comes first: it is exact, however far from zero they are.
    return fsum(one * 2.0 ** ((at - window) - part) for row in tallies for at, total in row for one in total)
