"""What branches make of one set of beliefs: the evidence of all of them, added exactly."""

from __future__ import annotations

from lambdacat.merging import Conflict
from lambdacat.place import Attr, Item, Place
from lambdacat.state.agreement import only_change
from lambdacat.state.beliefs import UNHEARD, Belief, Beliefs, belief_of, later, with_claims
from lambdacat.state.exact import Tally, minus, tally
from lambdacat.state.logged import changes
from lambdacat.state.origin import Source


def merged_beliefs(base: Beliefs, tips: list[tuple[int, Beliefs]], place: Place) -> Beliefs:
    """The beliefs with the evidence of every branch.

    Law: commutative and associative, bit for bit. A claim that left one branch for lack of room and was observed in
    another stays. Errors: ``Conflict`` for a claim that one branch decayed and another changed.
    """
    rows: dict[str, list[tuple[int, Belief]]] = {}
    gone: set[str] = set()
    for index, tip in tips:
        for change in changes(base.claims, tip.claims):
            if change.new is None:
                gone.add(change.key)
            else:
                rows.setdefault(change.key, []).append((index, change.new))
    if any(tip.half_life != base.half_life for _, tip in tips):
        # Evidence that was weighed by one half-life cannot be added to evidence that was weighed by another.
        raise Conflict((*place, Attr("half_life")), tuple(index for index, _ in tips))
    configured = Beliefs(half_life=base.half_life, at_most=only_change(place, "at_most", base, tips))
    claims = base.claims
    for claim in gone - rows.keys():
        claims = claims.remove(claim)
    fresh = {
        claim: _summed(base.claims.get(claim, UNHEARD), row, (*place, Item(claim)), configured)
        for claim, row in rows.items()
    }
    as_of = base.as_of
    for _, tip in tips:
        as_of = later(as_of, tip.as_of)
    return with_claims(configured, claims.update(fresh), as_of)


def _summed(base: Belief, row: list[tuple[int, Belief]], place: Place, beliefs: Beliefs) -> Belief:
    """One claim with the evidence of every branch that changed it."""
    if len(row) == 1:
        return row[0][1]
    if any(belief.decays != base.decays for _, belief in row):
        # Evidence from before a decay and from after it weighs differently, and branches have no before and after.
        raise Conflict(place, tuple(index for index, _ in row))
    tips = [belief for _, belief in row]
    latest = max(base.latest, *(tip.latest for tip in tips))
    oldest = beliefs.oldest(latest)
    before = dict(base.reasons)
    found: dict[Source, Tally] = {}
    for source in {source for tip in tips for source, _ in tip.reasons}.union(before):
        parts = [dict(tip.reasons).get(source, ()) for tip in tips]
        found[source] = _added(before.get(source, ()), parts, oldest)
    others = _added(base.others, [tip.others for tip in tips], oldest)
    return belief_of(found, others, min(base.first, *(tip.first for tip in tips)), latest, base.decays)


def _added(base: Tally, tips: list[Tally], oldest: int) -> Tally:
    """The base and what each tip has that the base had not."""
    return tally([*base, *(row for tip in tips for row in (*tip, *minus(base)))], oldest)
