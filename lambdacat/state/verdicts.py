"""What beliefs say: how likely, how sure, and why; conditions for plans."""

from __future__ import annotations

from math import exp, log, log1p
from typing import Any, Final, NamedTuple, TypeVar, final, overload

from attrs import Attribute, field, frozen

from lambdacat.condition import Condition
from lambdacat.optics import Lens
from lambdacat.state.agent import BELIEFS, AgentState
from lambdacat.state.beliefs import UNHEARD, Beliefs, claim_of
from lambdacat.state.exact import weight

S = TypeVar("S")

OTHERS: Final = "..."
"""The step of a reason that stands for several."""


def log_odds(beliefs: Beliefs, claim: str, *, now: float | None = None) -> float:
    """The belief in a claim, in log-odds; 0 is even, and so is what was never heard of. Law: finite.

    Evidence that ages is read at ``now``, or at the latest time that the beliefs know of, if that is later.
    """
    return weight(beliefs.claims.get(claim_of(claim), UNHEARD).tallies, *beliefs.read_at(now))


def probability(beliefs: Beliefs, claim: str, *, now: float | None = None) -> float:
    """The belief in a claim as a probability. Law: in [0, 1], and never NaN, however strong the evidence."""
    return likelihood(log_odds(beliefs, claim, now=now))


def likelihood(odds: float) -> float:
    """Log-odds as a probability.

    >>> likelihood(0.0), likelihood(1000.0), likelihood(-1000.0)
    (0.5, 1.0, 0.0)
    """
    small = exp(-abs(odds))
    return 1.0 / (1.0 + small) if odds >= 0 else small / (1.0 + small)


def entropy(beliefs: Beliefs, claim: str | None = None, *, now: float | None = None) -> float:
    """How open a claim is: 1 at even odds, 0 when certain; without a claim, the sum of all. Units: bits."""
    if claim is not None:
        return _bits(log_odds(beliefs, claim, now=now))
    return sum(_bits(log_odds(beliefs, one, now=now)) for one in sorted(beliefs.claims))


def _bits(odds: float) -> float:
    # From the odds and not from the probability, which is rounded to 0 or 1 long before the entropy is 0.
    far = abs(odds)
    return (log1p(exp(-far)) + far * likelihood(-far)) / log(2.0)


class Held(NamedTuple):
    """A claim and the belief in it."""

    claim: str
    log_odds: float
    probability: float


def strongest(beliefs: Beliefs, n: int | None = None, *, now: float | None = None) -> tuple[Held, ...]:
    """The ``n`` claims that are furthest from even, for or against, or all; of equal ones the first by name."""
    whole(n)
    found = [(claim, log_odds(beliefs, claim, now=now)) for claim in beliefs.claims]
    found.sort(key=lambda row: (-abs(row[1]), row[0]))
    return tuple(Held(claim, odds, likelihood(odds)) for claim, odds in found[:n])


def whole(n: object) -> int | None:
    """``n`` if it is a number of claims, or None for all. Errors: ``ValueError``."""
    if n is None or (type(n) is int and n >= 0):
        return n
    raise ValueError(f"strongest wants a number of claims, not {n!r}")


class Reason(NamedTuple):
    """What one step did to a belief. Units: ``amount`` in log-odds; it counts what is left of it by now."""

    step: str
    at: tuple[str | int, ...]
    amount: float


def why(beliefs: Beliefs, claim: str, *, now: float | None = None) -> tuple[Reason, ...]:
    """The steps that moved a belief and by how much, the strongest first; past 64 steps the rest is one, ``"..."``.

    Law: the amounts add up to the log-odds; the order in which evidence came cannot be seen.
    """
    belief = beliefs.claims.get(claim_of(claim), UNHEARD)
    instant = beliefs.read_at(now)
    reasons = [Reason(step, at, weight([one], *instant)) for (step, at), one in belief.reasons]
    reasons.sort(key=lambda reason: -abs(reason.amount))
    if belief.others:
        reasons.append(Reason(OTHERS, (), weight([belief.others], *instant)))
    return tuple(reasons)


# --- conditions ------------------------------------------------------------------------------------------------------


def _share(_: object, attribute: Attribute[float], value: Any) -> None:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} is a probability from 0 to 1, not {value!r}")


def _above_even(_: object, attribute: Attribute[float], value: Any) -> None:
    if type(value) not in (int, float) or not 0.5 < value <= 1:
        raise ValueError(f"{attribute.name} is a probability above 0.5 and at most 1, not {value!r}")


@final
@frozen(repr=False)
class _Believes:
    claim: str
    at_least: float = field(validator=_share)

    def __call__(self, beliefs: Beliefs) -> bool:
        return probability(beliefs, self.claim) >= self.at_least

    def __repr__(self) -> str:
        return f"{self.claim} at least {self.at_least:g}"


@final
@frozen(repr=False)
class _Undecided:
    claim: str
    until: float = field(validator=_above_even)

    def __call__(self, beliefs: Beliefs) -> bool:
        return 1 - self.until < probability(beliefs, self.claim) < self.until

    def __repr__(self) -> str:
        return f"{self.claim} undecided until {self.until:g}"


@overload
def believes(claim: str, *, at_least: float) -> Condition[AgentState]: ...
@overload
def believes(claim: str, *, at_least: float, beliefs: Lens[S, Beliefs]) -> Condition[S]: ...
def believes(claim: str, *, at_least: float, beliefs: Any = BELIEFS) -> Condition[Any]:
    """The condition that a claim is at least so probable. ``~believes(...)`` is its opposite."""
    made: Condition[Any] = beliefs.where(_Believes(claim_of(claim), at_least))
    return made


@overload
def undecided(claim: str, *, until: float) -> Condition[AgentState]: ...
@overload
def undecided(claim: str, *, until: float, beliefs: Lens[S, Beliefs]) -> Condition[S]: ...
def undecided(claim: str, *, until: float, beliefs: Any = BELIEFS) -> Condition[Any]:
    """The condition that neither a claim nor its opposite is as probable as ``until``: search on while it holds."""
    made: Condition[Any] = beliefs.where(_Undecided(claim_of(claim), until))
    return made
