"""Three searches run side by side and add evidence, in whatever order they finish: the verdict is the same.

Output:

    papers first   tides 0.931   cheese 0.002
    web first      tides 0.931   cheese 0.002
    notes first    tides 0.931   cheese 0.002
    the beliefs are equal to the last bit: True
    with floats, the order would show: True
    why tides: papers +2.2, web +1.2, notes -0.8
    still open? False
    after a day: tides 0.786
"""

import asyncio

from lambdacat import Context, Plan, arun, run, task, value_or_raise
from lambdacat.state import (
    BELIEFS,
    AgentState,
    Beliefs,
    Origin,
    decay,
    log_ratio,
    observed,
    probability,
    undecided,
    why,
)

TIDES, CHEESE = "the moon makes the tides", "the moon is cheese"

FOUND: dict[str, tuple[tuple[str, float], ...]] = {
    # Each source with what it says, as evidence in log-odds: how likely it says so if the claim is true, and if not.
    "papers": ((TIDES, log_ratio(0.9, 0.1)), (CHEESE, -5.1)),
    "web": ((TIDES, 1.2), (CHEESE, 0.1)),
    "notes": ((TIDES, -0.8), (CHEESE, -1.3)),
}


def search(source: str, turn: int) -> Plan[AgentState, AgentState]:
    """A step that looks something up, which takes a while, and adds what it found to the beliefs."""

    @task(reads=BELIEFS, writes=BELIEFS, name=source)
    async def looked_up(beliefs: Beliefs, ctx: Context) -> Beliefs:
        await asyncio.sleep(0.002 * turn)
        for claim, evidence in FOUND[source]:
            beliefs = observed(beliefs, claim, evidence, origin=Origin(step=ctx.step))
        return beliefs

    return looked_up


def verdict(*order: str) -> AgentState:
    """What is believed after three searches side by side that finish in this order."""
    papers, web, notes = (search(source, order.index(source)) for source in FOUND)
    return value_or_raise(asyncio.run(arun(papers & web & notes, AgentState())))


def main() -> None:
    """Three orders, one verdict; what moved it; and what is left of it a day later."""
    states = [verdict("papers", "web", "notes"), verdict("web", "notes", "papers"), verdict("notes", "web", "papers")]
    for first, state in zip(("papers", "web", "notes"), states, strict=True):
        tides, cheese = probability(state.beliefs, TIDES), probability(state.beliefs, CHEESE)
        print(f"{first + ' first':<14} tides {tides:.3f}   cheese {cheese:.3f}")
    print("the beliefs are equal to the last bit:", all(state == states[0] for state in states))
    a, b, c = (FOUND[source][0][1] for source in FOUND)
    print("with floats, the order would show:", (a + b) + c != a + (b + c))
    print("why tides:", ", ".join(f"{reason.step} {reason.amount:+.1f}" for reason in why(states[0].beliefs, TIDES)))
    print("still open?", undecided(TIDES, until=0.9)(states[0]))
    later = value_or_raise(run(decay(86_400, seconds=86_400), states[0]))
    print(f"after a day: tides {probability(later.beliefs, TIDES):.3f}")


if __name__ == "__main__":
    main()
