"""Observing, fading and reading as plans: steps on the beliefs that a lens reaches."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from lambdacat.optics import Lens
from lambdacat.place import PlanError
from lambdacat.plan import Plan
from lambdacat.state.acts import step
from lambdacat.state.agent import BELIEFS, AgentState
from lambdacat.state.beliefs import (
    Beliefs,
    claim_of,
    decayed,
    decayed_until,
    duration_of,
    evidence_of,
    half_life_of,
    inferred,
    log_ratio,
    observed,
    refreshed,
)
from lambdacat.state.origin import Origin
from lambdacat.state.verdicts import Held, entropy, probability, strongest, whole

S = TypeVar("S")


def _claim(claim: Any) -> Any:
    return claim if isinstance(claim, Lens) else claim_of(claim)


# --- what the steps do: the plain functions, with everything by position and the origin last -------------------------


def _observe(beliefs: Beliefs, claim: str, log_odds: float, origin: Origin) -> Beliefs:
    return observed(beliefs, claim, log_odds, origin=origin)


def _infer(beliefs: Beliefs, claim: str, if_true: float, if_false: float, origin: Origin) -> Beliefs:
    return inferred(beliefs, claim, if_true=if_true, if_false=if_false, origin=origin)


def _decay_by_clock(beliefs: Beliefs, half_life: float, origin: Origin) -> Beliefs:
    return decayed_until(beliefs, half_life, origin.when)


def _decay_by(beliefs: Beliefs, half_life: float, seconds: float, origin: Origin) -> Beliefs:
    return decayed(beliefs, half_life, seconds=seconds)


def _refresh(beliefs: Beliefs, origin: Origin) -> Beliefs:
    return refreshed(beliefs, origin.when)


def _probability(beliefs: Beliefs, claim: str, origin: Origin) -> float:
    return probability(beliefs, claim)


def _entropy(beliefs: Beliefs, claim: str | None, origin: Origin) -> float:
    return entropy(beliefs, claim)


def _strongest(beliefs: Beliefs, n: int | None, origin: Origin) -> tuple[Held, ...]:
    return strongest(beliefs, n)


# --- the plans -------------------------------------------------------------------------------------------------------


@overload
def observe(
    claim: str | Lens[AgentState, str], log_odds: float | Lens[AgentState, float]
) -> Plan[AgentState, AgentState]: ...
@overload
def observe(
    claim: str | Lens[S, str], log_odds: float | Lens[S, float], *, beliefs: Lens[S, Beliefs]
) -> Plan[S, S]: ...
def observe(claim: Any, log_odds: Any, *, beliefs: Any = BELIEFS) -> Plan[Any, Any]:
    """Count evidence for a claim, or against it where it is negative; each is a constant, or a lens.

    Law: steps that observe commute and associate, side by side too: equal evidence makes bit-identical log-odds.
    Beliefs also say which steps moved them, by their places in the plan, and those differ where the steps stand
    elsewhere. Errors: ``ValueError`` for NaN, infinities and evidence over 1,000.
    """
    amount = log_odds if isinstance(log_odds, Lens) else evidence_of(log_odds)
    return step(f"observe {claim!r}", _observe, beliefs, (_claim(claim), amount))


@overload
def bayes(
    claim: str | Lens[AgentState, str],
    if_true: float | Lens[AgentState, float],
    if_false: float | Lens[AgentState, float],
) -> Plan[AgentState, AgentState]: ...
@overload
def bayes(
    claim: str | Lens[S, str],
    if_true: float | Lens[S, float],
    if_false: float | Lens[S, float],
    *,
    beliefs: Lens[S, Beliefs],
) -> Plan[S, S]: ...
def bayes(claim: Any, if_true: Any, if_false: Any, *, beliefs: Any = BELIEFS) -> Plan[Any, Any]:
    """Count an observation that has these probabilities if the claim is true and if it is false.

    Errors: ``ValueError`` for a probability of 0, which nothing could ever outweigh.
    """
    if not isinstance(if_true, Lens) and not isinstance(if_false, Lens):
        log_ratio(if_true, if_false)
    return step(f"bayes {claim!r}", _infer, beliefs, (_claim(claim), if_true, if_false))


@overload
def decay(half_life_seconds: float, *, seconds: float | None = None) -> Plan[AgentState, AgentState]: ...
@overload
def decay(half_life_seconds: float, *, seconds: float | None = None, beliefs: Lens[S, Beliefs]) -> Plan[S, S]: ...
def decay(half_life_seconds: float, *, seconds: float | None = None, beliefs: Any = BELIEFS) -> Plan[Any, Any]:
    """Weaken all evidence by the time that passed since the last decay, on the run's clock, or by ``seconds``.

    Beside a branch that changes a claim it is a conflict. Beliefs with a half-life of their own need ``refresh``
    instead. Errors: ``ValueError`` for negative seconds, and when the clock went back.
    """
    half_life = half_life_of(half_life_seconds)
    if seconds is None:
        return step("decay", _decay_by_clock, beliefs, (half_life,))
    return step("decay", _decay_by, beliefs, (half_life, duration_of(seconds)))


@overload
def refresh() -> Plan[AgentState, AgentState]: ...
@overload
def refresh(*, beliefs: Lens[S, Beliefs]) -> Plan[S, S]: ...
def refresh(*, beliefs: Any = BELIEFS) -> Plan[Any, Any]:
    """Read evidence by its age now, for beliefs that have a half-life. Law: commutes with every step that observes."""
    return step("refresh", _refresh, beliefs, ())


# --- reading ---------------------------------------------------------------------------------------------------------


@overload
def read_probability(
    claim: str | Lens[AgentState, str], *, into: Lens[AgentState, float]
) -> Plan[AgentState, AgentState]: ...
@overload
def read_probability(claim: str | Lens[S, str], *, into: Lens[S, float], beliefs: Lens[S, Beliefs]) -> Plan[S, S]: ...
def read_probability(claim: Any, *, into: Any, beliefs: Any = BELIEFS) -> Plan[Any, Any]:
    """Put the ``probability`` of a claim into the place of ``into``. It only reads beliefs: branches may side by side.

    Here and in the next ones, evidence that ages is read at the latest time that the beliefs know: ``refresh`` first.
    """
    return step(f"probability {claim!r}", _probability, beliefs, (_claim(claim),), _place(into))


@overload
def read_entropy(
    claim: str | Lens[AgentState, str] | None = None, *, into: Lens[AgentState, float]
) -> Plan[AgentState, AgentState]: ...
@overload
def read_entropy(
    claim: str | Lens[S, str] | None = None, *, into: Lens[S, float], beliefs: Lens[S, Beliefs]
) -> Plan[S, S]: ...
def read_entropy(claim: Any = None, *, into: Any, beliefs: Any = BELIEFS) -> Plan[Any, Any]:
    """Put the ``entropy`` of a claim, or of all together, into the place of ``into``. Units: bits."""
    which = None if claim is None else _claim(claim)
    name = "entropy" if claim is None else f"entropy {claim!r}"
    return step(name, _entropy, beliefs, (which,), _place(into))


@overload
def read_strongest(
    n: int | None = None, *, into: Lens[AgentState, tuple[Held, ...]]
) -> Plan[AgentState, AgentState]: ...
@overload
def read_strongest(
    n: int | None = None, *, into: Lens[S, tuple[Held, ...]], beliefs: Lens[S, Beliefs]
) -> Plan[S, S]: ...
def read_strongest(n: Any = None, *, into: Any, beliefs: Any = BELIEFS) -> Plan[Any, Any]:
    """Put the ``strongest`` claims, the ``n`` furthest from even or all, into the place of ``into``.

    Errors: ``ValueError`` for an ``n`` that is no number of claims.
    """
    return step("strongest" if n is None else f"strongest {n}", _strongest, beliefs, (whole(n),), _place(into))


def _place(into: Any) -> Any:
    if not isinstance(into, Lens):
        raise PlanError(f"what is read goes into a place of the state, given by a lens, not into {into!r}")
    return into
