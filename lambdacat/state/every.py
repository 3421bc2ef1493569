"""How often something is done across runs: kept in the state itself, so that it goes on where the last run stopped."""

from __future__ import annotations

from math import inf
from typing import Any, final

from attrs import Attribute, field, frozen


def _runs(_: object, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and (type(value) is not int or value < 1):
        raise ValueError(f"{attribute.name} is a whole number of at least 1, not {value!r}")


def _seconds(_: object, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and (type(value) not in (int, float) or not 0 < value < inf):
        raise ValueError(f"{attribute.name} is a number of seconds, finite and more than 0, not {value!r}")


@final
@frozen(kw_only=True)
class Every:
    """Once in so many runs, or once so many seconds have passed since the last time; with both, whichever is first.

    Errors: ``ValueError`` when neither is given.
    """

    runs: int | None = field(default=None, validator=_runs)
    seconds: float | None = field(default=None, validator=_seconds)

    def __attrs_post_init__(self) -> None:
        if self.runs is None and self.seconds is None:
            raise ValueError("Every wants runs=, seconds= or both: how often?")


@final
@frozen
class Upkeep:
    """How long it is since something was done. Units: ``since`` in seconds since 1970; None before the first run."""

    runs: int = 0
    """Runs since then, this one included."""
    since: float | None = None
    due: bool = False
    """Whether this run is one in which it is to be done."""


def ticked(upkeep: Upkeep, every: Every, now: float) -> Upkeep:
    """The upkeep in one more run."""
    since = now if upkeep.since is None else upkeep.since
    runs = upkeep.runs + 1
    due = (every.runs is not None and runs >= every.runs) or (
        every.seconds is not None and now - since >= every.seconds
    )
    return Upkeep(runs, since, due)


def done(now: float) -> Upkeep:
    """The upkeep right after it was done."""
    return Upkeep(0, now)


def latest_of(upkeeps: list[Upkeep]) -> Upkeep:
    """What several branches make of one: the latest time at which it was done, the most runs since then."""
    return max(upkeeps, key=lambda one: (-inf if one.since is None else one.since, one.runs, one.due))
