"""What an agent believes: claims in log-odds, moved by evidence whose order cannot be seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import nsmallest
from math import inf, log
from typing import TYPE_CHECKING, Any, Final, final

from attrs import Attribute, evolve, field, frozen
from attrs.validators import instance_of

from lambdacat.state.exact import Tally, is_number, tally, weight
from lambdacat.state.logged import LoggedMap
from lambdacat.state.origin import NOWHERE, Origin, Source, source_key

if TYPE_CHECKING:
    from lambdacat.place import Place

STRONGEST: Final = 1000.0
"""The most that one piece of evidence may weigh, in log-odds: some 1e434 to 1."""
STEPS: Final = 64
"""How many steps a belief tells apart; those whose names and paths are sorted behind are told as one."""
WINDOWS: Final = 64
"""Half-lives after which evidence is dropped; it weighs ``2 ** -64`` of what it did."""


@final
@frozen
class Belief:
    """The evidence for one claim, by the step that gave it. Units: times in seconds since 1970.

    Law: between two decays equal evidence makes equal beliefs, bit for bit, in whatever order and grouping it came.
    """

    reasons: tuple[tuple[Source, Tally], ...] = ()
    """Steps with the sum of their evidence, sorted."""
    others: Tally = ()
    """The sum of all other steps."""
    first: float = inf
    """When the first evidence came."""
    latest: float = -inf
    """When the last evidence came."""
    decays: int = 0
    """How often it was decayed."""

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """The sums of all steps."""
        return (*(one for _, one in self.reasons), self.others)


UNHEARD: Final = Belief()
"""The belief in a claim for which there is no evidence."""


def _half_life(_: object, attribute: Attribute[Any], value: Any) -> None:
    if value is not None:
        half_life_of(value)


def _at_most(_: object, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and (type(value) is not int or value < 1):
        raise ValueError(f"{attribute.name} is a whole number of claims, or None for no bound, not {value!r}")


@final
@frozen
class Beliefs:
    """Claims and the evidence for them. There are two ways for evidence to fade:

    - Without ``half_life``, evidence counts in full until ``decay`` weakens all that is there. A decay and an
      observation of one claim in sibling branches are a conflict: which came first would matter.
    - With it, each piece of evidence counts ``2 ** -(age / half_life)``, by its own age. There is nothing to decay, and
      branches always merge.

    Past ``at_most`` claims those go that are nearest to even; which ones may then depend on the order of evidence.
    Units: ``half_life`` in seconds.
    """

    claims: LoggedMap[str, Belief] = field(factory=LoggedMap, validator=instance_of(LoggedMap))
    half_life: float | None = field(default=None, kw_only=True, validator=_half_life)
    """To be chosen before there is any evidence, and kept."""
    at_most: int | None = field(default=None, kw_only=True, validator=_at_most)
    as_of: float | None = field(default=None, kw_only=True)
    """When it was last decayed; with a half-life, the latest time that is known, at which it is read."""

    def __contains__(self, claim: object) -> bool:
        return claim in self.claims

    def __len__(self) -> int:
        return len(self.claims)

    def __merge__(self, place: Place, tips: list[tuple[int, Beliefs]]) -> Beliefs:
        """The beliefs with the evidence of every branch. Errors: ``Conflict`` for a claim that one of them decayed."""
        from lambdacat.state.belief_merge import merged_beliefs

        return merged_beliefs(self, tips, place)

    def instant(self, when: float) -> tuple[int, float]:
        """The window of a time, and how much of it has passed. Without a half-life all times are one."""
        if self.half_life is None:
            return 0, 0.0
        # The remainder is exact, so the age of evidence is as exact as the two times are.
        window, rest = divmod(when, self.half_life)
        return int(window), rest / self.half_life

    def read_at(self, now: float | None = None) -> tuple[int, float]:
        """The instant at which evidence is read: ``now``, or the latest time that is known, if that is later."""
        known = later(self.as_of, now)
        return self.instant(0.0 if known is None else known)

    def oldest(self, latest: float) -> int:
        """The first window whose evidence still counts beside evidence of this time."""
        return self.instant(latest)[0] - WINDOWS


# --- evidence --------------------------------------------------------------------------------------------------------


def evidence_of(log_odds: object) -> float:
    """``log_odds`` if it is evidence that leaves a belief finite. Errors: ``ValueError``."""
    if is_number(log_odds) and -STRONGEST <= log_odds <= STRONGEST:
        return float(log_odds)
    raise ValueError(f"evidence is a number from {-STRONGEST:g} to {STRONGEST:g}, in log-odds, not {log_odds!r}")


def log_ratio(if_true: float, if_false: float) -> float:
    """The evidence in an observation that has these probabilities if a claim is true and if it is false.

    Errors: ``ValueError`` for 0: one such observation would outweigh everything else for ever.

    >>> round(log_ratio(0.9, 0.3), 4)
    1.0986
    """
    for name, value in (("if_true", if_true), ("if_false", if_false)):
        if not (is_number(value) and 0 < value <= 1):
            why = "; for what hardly ever happens give a small number, such as 1e-6" if value == 0 else ""
            raise ValueError(f"{name} is a probability above 0 and at most 1, not {value!r}{why}")
    return log(if_true) - log(if_false)


def claim_of(claim: object) -> str:
    """``claim`` if it is one. Errors: ``TypeError``."""
    if not isinstance(claim, str):
        raise TypeError(f"a claim is a text, not {claim!r}")
    return claim


def observed(beliefs: Beliefs, claim: str, log_odds: float, *, origin: Origin = NOWHERE) -> Beliefs:
    """The beliefs after evidence for a claim, or against it where it is negative.

    Law: any order and any grouping of evidence gives equal beliefs. Errors: ``ValueError`` for NaN, infinities and
    evidence over 1,000.
    """
    old = beliefs.claims.get(claim_of(claim), UNHEARD)
    made = _moved(beliefs, old, evidence_of(log_odds), origin)
    as_of = beliefs.as_of if beliefs.half_life is None else later(beliefs.as_of, origin.when)
    return with_claims(beliefs, beliefs.claims.insert(claim, made), as_of)


def _moved(beliefs: Beliefs, old: Belief, amount: float, origin: Origin) -> Belief:
    """The belief after one more piece of evidence."""
    window, rest = beliefs.instant(origin.when)
    first, latest = min(old.first, origin.when), max(old.latest, origin.when)
    oldest = beliefs.oldest(latest)
    found, others = dict(old.reasons), old.others
    if found and oldest > beliefs.oldest(old.latest):
        found, others = {source: tally(one, oldest) for source, one in found.items()}, tally(others, oldest)
    known = origin.source in found
    found[origin.source] = tally((*found.get(origin.source, ()), (window, (amount * 2.0**rest,))), oldest)
    if known:
        return Belief(tuple(found.items()), others, first, latest, old.decays)
    return belief_of(found, others, first, latest, old.decays)


def inferred(beliefs: Beliefs, claim: str, if_true: float, if_false: float, *, origin: Origin = NOWHERE) -> Beliefs:
    """The beliefs after an observation that has these probabilities if the claim is true and if it is false.

    Law: the rule of Bayes, for odds. Errors: ``ValueError`` for a probability of 0.
    """
    return observed(beliefs, claim, log_ratio(if_true, if_false), origin=origin)


def later(one: float | None, other: float | None) -> float | None:
    """The later of two times, None being before all."""
    return other if one is None else one if other is None else max(one, other)


def belief_of(found: Mapping[Source, Tally], others: Tally, first: float, latest: float, decays: int) -> Belief:
    """The belief with these sums. Law: which steps it tells apart depends on which there are, not on their order."""
    reasons = sorted(found.items(), key=lambda row: source_key(row[0]))
    if len(reasons) > STEPS:
        others = tally([*others, *(row for _, one in reasons[STEPS:] for row in one)])
    return Belief(tuple(reasons[:STEPS]), others, first, latest, decays)


def with_claims(beliefs: Beliefs, claims: LoggedMap[str, Belief], as_of: float | None) -> Beliefs:
    """The beliefs with other claims, within their bound."""
    made = Beliefs(claims, half_life=beliefs.half_life, at_most=beliefs.at_most, as_of=as_of)
    if made.at_most is None or len(claims) <= made.at_most:
        return made
    window, rest = made.read_at()
    weak = nsmallest(
        len(claims) - made.at_most,
        ((abs(weight(belief.tallies, window, rest)), claim) for claim, belief in claims.items()),
    )
    for _, claim in weak:
        claims = claims.remove(claim)
    return evolve(made, claims=claims)


# --- fading ----------------------------------------------------------------------------------------------------------


def half_life_of(value: object) -> float:
    """``value`` if it is a half-life. Errors: ``ValueError``."""
    if is_number(value) and 1e-3 <= value <= 1e12:
        return float(value)
    raise ValueError(f"a half-life is a number of seconds from 0.001 to 1e12, not {value!r}")


def duration_of(seconds: object) -> float:
    """``seconds`` if so much time can pass. Errors: ``ValueError``: nothing decays backwards."""
    if is_number(seconds) and 0 <= seconds < inf:
        return float(seconds)
    raise ValueError(f"beliefs do not decay by {seconds!r} seconds: give a number, finite and not negative")


def decayed(beliefs: Beliefs, half_life_seconds: float, *, seconds: float) -> Beliefs:
    """The beliefs with all evidence so much weaker as if ``seconds`` had passed.

    Law: decaying by a, then by b is decaying by a + b, up to rounding. Errors: ``ValueError`` for negative seconds, and
    for beliefs whose evidence ages by itself.
    """
    passed = duration_of(seconds)
    return _faded(beliefs, half_life_seconds, lambda belief: passed)


def decayed_until(beliefs: Beliefs, half_life_seconds: float, now: float) -> Beliefs:
    """The beliefs with all evidence weaker by the time that has passed until ``now``.

    It is counted from the last decay, and for a claim that was first heard of since then, from its first evidence.
    Errors: ``ValueError`` when that is later than now, and for beliefs whose evidence ages by itself.
    """
    before = -inf if beliefs.as_of is None else beliefs.as_of

    def passed(belief: Belief) -> float:
        return duration_of(now - max(belief.first, before))

    if beliefs.as_of is not None:
        duration_of(now - beliefs.as_of)
    return evolve(_faded(beliefs, half_life_seconds, passed), as_of=now)


def _faded(beliefs: Beliefs, half_life_seconds: float, passed: Callable[[Belief], float]) -> Beliefs:
    half_life = half_life_of(half_life_seconds)
    if beliefs.half_life is not None:
        raise ValueError("the evidence of these beliefs ages by itself, with their half_life; use refresh")
    factors = {claim: 2.0 ** -(passed(belief) / half_life) for claim, belief in beliefs.claims.items()}
    weaker = {claim: _scaled(beliefs.claims[claim], factor) for claim, factor in factors.items() if factor < 1}
    return evolve(beliefs, claims=beliefs.claims.update(weaker)) if weaker else beliefs


def _scaled(belief: Belief, factor: float) -> Belief:
    reasons = tuple((source, _weaker(one, factor)) for source, one in belief.reasons)
    return evolve(belief, reasons=reasons, others=_weaker(belief.others, factor), decays=belief.decays + 1)


def _weaker(one: Tally, factor: float) -> Tally:
    return tally([(0, (weight([one], 0) * factor,))])


def refreshed(beliefs: Beliefs, now: float) -> Beliefs:
    """The beliefs read at ``now``, or at the latest time that is known, if that is later. Law: idempotent, commutative.

    Errors: ``ValueError`` for beliefs without a half-life.
    """
    if beliefs.half_life is None:
        raise ValueError("these beliefs do not age by themselves; give them a half_life, or use decayed")
    as_of = later(beliefs.as_of, now)
    return beliefs if as_of == beliefs.as_of else evolve(beliefs, as_of=as_of)
