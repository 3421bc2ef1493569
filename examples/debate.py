"""Improve a draft while critics object, at most three times; then close with whatever stands.

The model is a stand-in that comes in through the context, as a real one would.

Output:

    round 1: tides rise (2 objections)
    round 2: tides rise and fall (1 objection)
    round 3: tides rise and fall. (0 objections)
    verdict: tides rise and fall.
    a stubborn model: nonsense (2 objections stand after 4 rounds)
"""

from collections.abc import Callable

from attrs import frozen

from lambdacat import Context, Key, Plan, concat, identity, lens, merged, run, task, value_or_raise


@frozen
class Debate:
    """A claim on its way through rounds of argument. Two critics may object at once."""

    claim: str
    draft: str = ""
    rounds: int = 0
    objections: tuple[str, ...] = merged(concat, default=())
    verdict: str = ""


CLAIM = lens(Debate, lambda d: d.claim)
DRAFT = lens(Debate, lambda d: d.draft)
ROUNDS = lens(Debate, lambda d: d.rounds)
OBJECTIONS = lens(Debate, lambda d: d.objections)
VERDICT = lens(Debate, lambda d: d.verdict)

MODEL: Key[Callable[[str, int], str]] = Key("model")


@task(reads=(CLAIM, ROUNDS), writes=(DRAFT, ROUNDS, OBJECTIONS))
async def argue(claim: str, rounds: int, context: Context) -> tuple[str, int, tuple[str, ...]]:
    """A new draft; the objections to the old one are answered."""
    return context[MODEL](claim, rounds), rounds + 1, ()


@task(reads=(DRAFT, OBJECTIONS), writes=OBJECTIONS)
def sceptic(draft: str, objections: tuple[str, ...]) -> tuple[str, ...]:
    """Wants both directions."""
    return objections if "fall" in draft else (*objections, "what about falling?")


@task(reads=(DRAFT, OBJECTIONS), writes=OBJECTIONS)
def pedant(draft: str, objections: tuple[str, ...]) -> tuple[str, ...]:
    """Wants a full stop."""
    return objections if draft.endswith(".") else (*objections, "no full stop")


@task(reads=(ROUNDS, DRAFT, OBJECTIONS), writes=())
def show(rounds: int, draft: str, objections: tuple[str, ...], context: Context) -> None:
    """A sink: it reads, and writes nothing."""
    if context.get("quiet") is None:
        print(f"round {rounds}: {draft} ({len(objections)} objection{'' if len(objections) == 1 else 's'})")


@task(reads=(DRAFT, ROUNDS, OBJECTIONS), writes=VERDICT)
def close(draft: str, rounds: int, objections: tuple[str, ...]) -> str:
    """What stands at the end."""
    return f"{draft} ({len(objections)} objections stand after {rounds} rounds)" if objections else draft


contested = OBJECTIONS.where(lambda objections: objections != ())
a_round = argue >> (sceptic & pedant) >> show
debate: Plan[Debate, Debate] = a_round >> a_round.loop_while(contested, at_most=3, then=identity) >> close


def patient_model(claim: str, rounds: int) -> str:
    """Does better each time."""
    return claim + ("", " and fall", " and fall.")[min(rounds, 2)]


def stubborn_model(claim: str, rounds: int) -> str:
    """Never learns."""
    return "nonsense"


def main() -> None:
    """One debate that ends well, one that is cut short."""
    print("verdict:", value_or_raise(run(debate, Debate("tides rise"), context={"model": patient_model})).verdict)
    stubborn = {"model": stubborn_model, "quiet": True}
    print("a stubborn model:", value_or_raise(run(debate, Debate("tides rise"), context=stubborn)).verdict)


if __name__ == "__main__":
    main()
