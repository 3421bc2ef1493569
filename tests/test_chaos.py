"""Chaos: the same seed disturbs the same way, no seed leaves anything behind, and without chances nothing happens."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import anyio
import pytest
from clocks import Runner, on_asyncio, on_both
from hypothesis import given, settings
from hypothesis import strategies as st
from untyped import AnyPlan, arun, atraced, parallel, sequence

from lambdacat import (
    ActionFailed,
    Budget,
    Estimate,
    Exponential,
    PlanError,
    Success,
    TimedOut,
    collect,
    lens,
    render,
    task,
)
from lambdacat.guard import Breaker, Concurrency
from lambdacat.testing import Disturbed, Sample, TurnedAway, chaos, states, suspending_plans

QUIET: dict[str, Any] = {"faults": 0, "delays": 0, "hangs": 0, "spikes": 0}


@task
async def ask(n: int) -> int:
    """A step of a second."""
    await anyio.sleep(1)
    return n + 1


@settings(max_examples=30)
@given(suspending_plans(), states(), st.integers(0, 5))
def test_without_chances_a_plan_gives_what_it_gives(plan: Any, state: Sample, seed: int) -> None:
    quiet = chaos(plan, seed, **QUIET)
    assert kinds(on_asyncio(lambda: arun(quiet, state))) == kinds(on_asyncio(lambda: arun(plan, state)))


def kinds(outcome: Any) -> Any:
    """The value, or the class of the fault."""
    return outcome.unwrap() if isinstance(outcome, Success) else type(outcome.failure())


@on_both
def test_a_seed_disturbs_the_same_way_each_time(on: Runner) -> None:
    guarded = ask.timeout(5).retry(Exponential(first=0.5).times(3)).attempt()
    seen: Counter[str] = Counter()
    for seed in range(30):
        plan = chaos(parallel(*[guarded] * 3, join=collect) >> task(name="count")(len), seed)

        async def main(plan: AnyPlan = plan) -> tuple[float, Any]:
            begin = anyio.current_time()
            outcome = await arun(plan, 1)
            return round(anyio.current_time() - begin, 6), kinds(outcome)

        first, second = on(main), on(main)
        assert first == second
        seen[str(first)] += 1
    assert len(seen) > 20


@pytest.mark.parametrize(
    ("chances", "error"),
    [({"faults": 1.0}, Disturbed), ({"spikes": 1.0}, TurnedAway), ({"hangs": 1.0}, None), ({"delays": 1.0}, None)],
)
def test_each_kind_of_trouble_comes(chances: dict[str, float], error: type[Exception] | None) -> None:
    plan = chaos(ask, 1, **{**QUIET, **chances}, longest=10)

    async def main() -> tuple[float, Any]:
        begin = anyio.current_time()
        outcome = await arun(plan, 1)
        return anyio.current_time() - begin, outcome

    took, outcome = on_asyncio(main)
    if error is None:
        assert outcome == Success(2)
        assert took > 3600 if "hangs" in chances else 1 < took < 21
    else:
        fault = outcome.failure()
        assert isinstance(fault, ActionFailed)
        assert type(fault.error) is error
        assert getattr(fault.error, "retry_after", 0.0) >= 0


def test_steps_keep_their_own_timeouts_and_only_those_named_are_disturbed() -> None:
    quick = task(timeout=3, name="quick")(lambda n: n)
    assert isinstance(on_asyncio(lambda: arun(chaos(quick, 1, **{**QUIET, "hangs": 1}), 1)).failure(), TimedOut)
    plan = chaos(sequence(ask, quick), 1, **{**QUIET, "faults": 1}, steps=["quick"])
    assert on_asyncio(lambda: arun(plan, 1)).failure().name == "before quick"
    assert "before ask" not in render(plan)
    with pytest.raises(PlanError, match="did you mean 'quick'"):
        chaos(plan, 1, steps=["quik"])
    for wrong in ({"faults": 1.5}, {"hangs": -0.1}, {"longest": float("inf")}, {"hang": -1}, {"delays": True}):
        with pytest.raises(PlanError, match="of chaos is a"):
            chaos(plan, 1, **wrong)


def test_no_seed_leaks_or_overspends() -> None:
    """Guards hold under every kind of trouble: what was held is given back, and no cap is passed."""
    for seed in range(40):
        five, breaker = Concurrency(2), Breaker(3, 5.0)
        spent = 0

        @task(estimate=Estimate(tokens=(0, 5)), name="call")
        async def call(n: int, context: Any) -> int:
            nonlocal spent
            spent += 5
            context.spend(tokens=5)
            await anyio.sleep(0.5)
            return n

        step = call.limited(five).guarded(breaker).timeout(20).retry(Exponential(first=1.0).times(2)).attempt()
        plan = parallel(*[step] * 12, join=collect).within(Budget(tokens=50))
        on_asyncio(lambda plan=plan, seed=seed: arun(chaos(plan, seed), 1))
        assert spent <= 50
        assert (five.free, five.waiting) == (2, 0)


def test_what_disturbs_shows_in_a_trace() -> None:
    wide = lens(Sample, lambda s: s.left)
    plan = chaos(task(reads=wide, writes=wide, name="bump")(lambda n: n + 1), 1, **QUIET)
    outcome = asyncio.run(atraced(plan)(Sample()))
    assert outcome.value.unwrap().left == 1
    assert [span.name for span in outcome.log.spans if span.name.split()[0] in ("before", "bump", "after")] == [
        "before bump",
        "bump",
        "after bump",
    ]
