"""All ways to run a plan agree with each other and with the reference, at random and in virtual time."""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from sweeping import Sweep, swept

from lambdacat import (
    ALL,
    SETTLED,
    All,
    Failure,
    NBest,
    Outcome,
    Plan,
    Quorum,
    Settled,
    Stopped,
    Success,
    Waiting,
    arun,
    collect,
    fail,
    interpret,
    parallel,
    pure,
    run,
)
from lambdacat.effects.records import IDENTITY
from lambdacat.plan import Parallel
from lambdacat.structure import nodes
from lambdacat.testing import (
    Sample,
    TooManyOutcomes,
    awake,
    blurred,
    interpreters,
    plans,
    possible,
    states,
    suspending_plans,
    virtual_asyncio_run,
    virtual_run,
)
from lambdacat.testing.plan_laws import assert_possible
from lambdacat.testing.proving import Draw, prove

States = Plan[Sample, Sample]


def forks(plan: States) -> bool:
    """Whether several branches or parts may run side by side, or a plan appears at run time."""
    return any(isinstance(node, Parallel) or "each" in repr(node) or "bind" in node.name for node in nodes(plan))


def identified(outcome: Outcome[Any]) -> Any:
    """What happened, and for a fault also where."""
    return (blurred(outcome), outcome.failure().at, outcome.failure().name) if isinstance(outcome, Failure) else outcome


def open_ended(plan: States, value: Sample) -> bool:
    """Whether the algebra leaves open how the plan ends."""
    return len(possible(plan, value)) > 1


RUNNERS = interpreters()
# A rewritten plan has other paths.
SAME_PLACES = [name for name in RUNNERS if name not in ("run", "optimised")]


def agree(name: str, plan: States, value: Sample) -> None:
    reference, outcome = run(plan, value), RUNNERS[name](plan, value)
    if not open_ended(plan, value):
        assert blurred(outcome) == blurred(reference)
    if not forks(plan):
        assert identified(outcome) == identified(reference)
    assert_possible(plan, value, outcome)


@pytest.mark.parametrize("name", SAME_PLACES)
@given(plan=plans(), value=states())
def test_every_interpreter_agrees_with_run(name: str, plan: States, value: Sample) -> None:
    agree(name, plan, value)


@given(plans(), states())
def test_an_optimised_plan_has_the_same_outcomes(plan: States, value: Sample) -> None:
    outcome = RUNNERS["optimised"](plan, value)
    assert_possible(plan, value, outcome)


@given(plans(), states())
def test_run_gives_the_same_twice(plan: States, value: Sample) -> None:
    assert identified(run(plan, value)) == identified(run(plan, value))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(plan=suspending_plans(), value=states())
def test_concurrent_runs_in_virtual_time_agree_with_the_reference(backend: Any, plan: States, value: Sample) -> None:
    outcome = virtual_run(arun, plan, value, backend=backend)
    assert_possible(awake(plan), value, outcome)


@given(plan=suspending_plans(), value=states())
def test_any_order_of_the_ready_queue_agrees_with_the_reference(plan: States, value: Sample) -> None:
    for order in range(3):
        assert_possible(awake(plan), value, virtual_asyncio_run(arun, plan, value, seed=order))


@given(plan=suspending_plans(), value=states())
def test_plans_without_choice_end_alike_in_time_and_without(plan: States, value: Sample) -> None:
    still = awake(plan)
    if not open_ended(still, value):
        assert blurred(virtual_asyncio_run(arun, plan, value)) == blurred(run(still, value))


@pytest.fixture(scope="module")
def sweep(request: pytest.FixtureRequest) -> Iterator[Sweep]:
    yield from swept("agreement", request)


@pytest.mark.sweep
@pytest.mark.parametrize("name", SAME_PLACES)
def test_agreement_at_full_count(name: str, sweep: Sweep) -> None:
    def agreeing(draw: Draw) -> None:
        agree(name, draw(plans()), draw(states()))

    sweep.spend(lambda count, start: prove(f"agreement of {name}", agreeing, max_examples=count, start=start))


@given(plans(), states())
def test_the_reference_always_has_an_outcome(plan: States, value: Sample) -> None:
    with suppress(TooManyOutcomes):
        assert possible(plan, value)


# --- branches that wait ----------------------------------------------------------------------------------------------

WAITS: Plan[int, Any] = fail(Waiting(questions=()))
FAILS: Plan[int, Any] = fail(Stopped(reason="no"))
WINS: Plan[int, Any] = pure(lambda n: n + 1)
NAMES = {"waits": WAITS, "fails": FAILS, "wins": WINS}
EVERYWHERE: dict[str, Any] = {
    **RUNNERS,
    "interpret, gathering": lambda plan, value: interpret(plan, evolve(IDENTITY, gather=tuple))(value),
}


def decided(policy: Any, row: tuple[str, ...]) -> str:
    """What a fork comes to whose branches end at once: a result, a fault, or a wait."""
    match policy:
        case All():
            return next((kind for kind in ("fails", "waits") if kind in row), "wins")
        case Quorum(k=k) if row.count("wins") >= k:
            return "wins"
        case _ if "waits" in row:
            return "waits"
        case Settled():
            return "wins"
        case _:
            wanted = policy.n if isinstance(policy, NBest) else policy.k
            return "wins" if row.count("wins") >= wanted else "fails"


@pytest.mark.parametrize(
    "policy", [ALL, Quorum(1), Quorum(2), NBest(1, by=float), NBest(2, by=float), SETTLED], ids=str
)
@pytest.mark.parametrize("limit", [None, 1])
def test_a_fork_with_branches_that_wait_is_decided_alike_everywhere(policy: Any, limit: int | None) -> None:
    """A wait is neither a win nor a loss; a fork that can be decided without it is, and else it waits."""
    for row in itertools.product(NAMES, repeat=3):
        plan = parallel(*(NAMES[kind] for kind in row), policy=policy, join=collect, limit=limit)
        for name, runner in EVERYWHERE.items():
            outcome = runner(plan, 1)
            found = "wins" if isinstance(outcome, Success) else type(outcome.failure()).__name__
            expected = {"wins": ("wins",), "waits": ("Waiting",), "fails": ("Stopped", "AllFailed", "TooFew")}
            assert found in expected[decided(policy, row)], (name, row)
            # Which of several faults an ALL reports is open.
            assert found == "Stopped" or outcome == run(plan, 1), (name, row)
