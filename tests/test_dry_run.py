"""Forecasts: every real run lies inside, and each node adds what it should."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import count
from math import inf
from typing import Any

import pytest
from anyio import current_time, sleep
from attrs import frozen
from hypothesis import event, given, settings
from hypothesis import strategies as st

from lambdacat import (
    ALL,
    FIRST_COMPLETED,
    SETTLED,
    Context,
    Estimate,
    Exponential,
    Fixed,
    NBest,
    Plan,
    Quorum,
    Stopped,
    Task,
    arun,
    bind,
    choose,
    collect,
    dry_run,
    each,
    fail,
    focus,
    gather,
    identity,
    lens,
    loop_while,
    parallel,
    pure,
    run,
    sequence,
    task,
    traced,
    when,
)
from lambdacat.structure import located
from lambdacat.testing import Sample, plans, states, virtual_run
from lambdacat.testing.proving import Draw, prove, rotating_seed

SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60"))
"""For each event loop."""


class Clock:
    """Time that passes only when told to, and the calls that were made."""

    def __init__(self) -> None:
        """At zero."""
        self.now = 0.0
        self.calls = 0

    def __call__(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def step(name: str, low: float, high: float | None = None, blocking: Any = "inline") -> Plan[Any, Any]:
    worst = low if high is None else high
    estimate = Estimate(seconds=(low, worst), tokens=(0, 0), money=(low, worst))
    return task(name=name, estimate=estimate, blocking=blocking)(lambda value: value)


def soft(name: str, low: float, high: float) -> Plan[Any, Any]:
    async def wait(value: Any) -> Any:
        return value

    return task(name=name, estimate=Estimate(seconds=(low, high), tokens=(0, 0), money=(low, high)))(wait)


@st.composite
def acting(draw: st.DrawFn) -> Plan[Any, Any]:
    """An action that stays in its estimate, on the clock of a run in one thread."""
    low, more = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    used, failures = low + draw(st.integers(0, more)), failing_first(draw)

    def act(value: int, ctx: Context) -> int:
        clock = ctx["clock"]
        clock.calls += 1
        clock.sleep(used)
        if next(failures, None) is not None:
            raise ValueError("no")
        return value + 1

    return task(name="act", estimate=Estimate(seconds=(low, low + more), tokens=(0, 0)), blocking="inline")(act)


def failing_first(draw: st.DrawFn) -> Iterator[int]:
    """How many calls of an action fail before one succeeds."""
    return iter(range(draw(st.sampled_from((0, 0, 1, 2)))))


NUMBERS = count()


@st.composite
def acting_later(draw: st.DrawFn, kinds: tuple[str, ...]) -> Plan[Any, Any]:
    """An action that stays in its estimate, on the clock of an event loop, under a name of its own.

    On virtual time only one that waits takes any; in a thread or in place it is over at once, as its estimate allows.
    """
    kind = draw(st.sampled_from(kinds))
    low, more = draw(st.integers(0, 3)) if kind == "await" else 0, draw(st.integers(0, 3))
    used, failures = low + draw(st.integers(0, more)), failing_first(draw)
    name = f"act {next(NUMBERS)}"

    def act(value: int, ctx: Context) -> int:
        ctx["ran"].append(name)
        if next(failures, None) is not None:
            raise ValueError("no")
        return value + 1

    async def wait(value: int, ctx: Context) -> int:
        ctx["ran"].append(name)
        await sleep(used)
        if next(failures, None) is not None:
            raise ValueError("no")
        return value + 1

    estimate = Estimate(seconds=(low, low + more), tokens=(0, 0))
    blocking: Any = None if kind == "await" else kind
    return task(name=name, estimate=estimate, blocking=blocking)(wait if kind == "await" else act)


LIMITS = st.none() | st.integers(1, 3)


def composed(inner: st.SearchStrategy[Plan[Any, Any]]) -> st.SearchStrategy[Plan[Any, Any]]:
    several = st.lists(inner, min_size=1, max_size=3)
    limited = st.tuples(several, LIMITS)
    timed = st.tuples(several, LIMITS, st.none() | st.integers(0, 6))
    return st.one_of(
        several.map(lambda plans: sequence(*plans)),
        limited.map(lambda two: parallel(*two[0], join=lambda value, results: value, limit=two[1])),
        several.map(lambda plans: parallel(*plans, policy=FIRST_COMPLETED)),
        limited.map(lambda two: parallel(*two[0], policy=Quorum(2), join=lambda value, results: value, limit=two[1])),
        several.map(lambda plans: parallel(*plans, policy=NBest(1, by=float))),
        timed.map(
            lambda three: parallel(
                *three[0], policy=SETTLED, join=lambda value, outcomes: value, limit=three[1], timeout=three[2]
            )
        ),
        several.map(lambda plans: choose(lambda value: value % 3, dict(enumerate(plans)))),
        st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
        st.tuples(inner, st.integers(0, 2)).map(lambda two: two[0].retry(Fixed(1.5).jittered(0.5).times(two[1]))),
        st.tuples(inner, st.integers(0, 3)).map(lambda two: two[0].timeout(two[1])),
        st.tuples(inner, st.integers(0, 2), st.booleans()).map(
            lambda three: loop_while(
                lambda value: value < 4, three[0], at_most=three[1], then=identity if three[2] else None
            )
        ),
        inner.map(lambda plan: plan.attempt() >> pure(lambda outcome: 0)),
        inner.map(lambda plan: when(lambda value: value > 1, plan)),
        inner.map(lambda plan: (plan >> pure(lambda value: value)).named("named")),
        st.just(fail(Stopped(reason="no"))),
    )


PLANS = st.recursive(acting(), composed, max_leaves=8)
# The virtual clock of trio does not stand still while a thread works.
PLANS_ON = {
    "asyncio": st.recursive(acting_later(("await", "await", "inline", "thread", "abandon")), composed, max_leaves=8),
    "trio": st.recursive(acting_later(("await", "await", "inline")), composed, max_leaves=8),
}
BACKENDS = pytest.mark.parametrize("backend", list(PLANS_ON))


@given(PLANS, st.integers(0, 4), st.booleans())
def test_every_real_run_lies_inside(plan: Plan[Any, Any], value: int, narrowed: bool) -> None:
    clock = Clock()
    forecast = dry_run(plan, value if narrowed else None)
    run(plan, value, context=Context(clock=clock)._with(_things={"clock": clock}))
    assert forecast.calls[0] <= clock.calls <= forecast.calls[1], str(forecast)
    # Inline actions run one after the other, also side by side, so the time is that of a concurrent run.
    assert forecast.seconds[0] - 1e-9 <= clock.now <= forecast.seconds[1] * (forecast.speed_up or 1) + 1e-9


def lies_inside(backend: Any, plan: Plan[Any, Any], value: int, narrowed: bool) -> None:
    forecast = dry_run(plan, value if narrowed else None)
    ran: list[str] = []

    async def timed() -> float:
        start = current_time()
        await arun(plan, value, context={"ran": ran})
        return current_time() - start

    took = virtual_run(timed, backend=backend)
    assert set(ran) <= set(forecast.may_run), f"{ran} of {forecast.may_run}"
    assert forecast.calls[0] <= len(ran) <= forecast.calls[1], f"{len(ran)} calls\n{forecast}"
    assert forecast.seconds[0] - 1e-9 <= took <= forecast.seconds[1] + 1e-9, f"{took} s\n{forecast}"


@BACKENDS
@settings(max_examples=25)
@given(data=st.data(), value=st.integers(0, 4), narrowed=st.booleans())
def test_every_concurrent_run_lies_inside(backend: Any, data: st.DataObject, value: int, narrowed: bool) -> None:
    """Its seconds, its calls, and which steps ran at all."""
    lies_inside(backend, data.draw(PLANS_ON[backend]), value, narrowed)


@given(plans(), states(), st.booleans())
def test_every_task_that_a_trace_shows_is_in_the_forecast(plan: Plan[Any, Any], value: Sample, narrowed: bool) -> None:
    """But for those of plans that the run itself computes, which have no place in the tree."""
    forecast = dry_run(plan, value if narrowed else None)
    tasks = {at for at, node in located(plan) if isinstance(node, Task)}
    spans = traced(plan)(value).log.spans
    ran = {span.name for span in spans if span.at in tasks and span.status != "skipped"}
    event(f"{len(ran)} ran")
    assert ran <= set(forecast.may_run), f"{ran} of {forecast.may_run}"


@pytest.mark.sweep
@BACKENDS
def test_every_concurrent_run_lies_inside_at_full_count(backend: Any) -> None:
    began, tried, start = time.perf_counter(), 0, rotating_seed()

    def one(draw: Draw) -> None:
        lies_inside(backend, draw(PLANS_ON[backend]), draw(st.integers(0, 4)), draw(st.booleans()))

    while tried < 10_000 and time.perf_counter() - began < SWEEP_SECONDS:
        tried += prove("every concurrent run lies inside", one, max_examples=100, start=start + tried)
    print(f"{backend}: {tried} in {time.perf_counter() - began:.1f} s, seed {start}")


def test_a_sequence_adds_and_its_best_case_is_a_fault_at_the_first_action() -> None:
    found = dry_run(step("a", 1, 2) >> step("b", 3, 4))
    assert (found.seconds, found.money, found.calls) == ((1, 6), (1, 6), (1, 2))


def test_what_cannot_fault_adds_up_in_the_best_case_too() -> None:
    found = dry_run(step("a", 1, 2).attempt() >> step("b", 3, 4).attempt())
    assert (found.seconds, found.calls) == ((4, 6), (2, 2))


def test_without_an_estimate_all_is_unknown_but_calls() -> None:
    found = dry_run(task(lambda value: value).named("guess"))
    assert (found.seconds, found.tokens, found.money, found.calls) == ((0, inf), (0, inf), (0, inf), (1, 1))
    assert found.speed_up is None
    assert found.unknown == ("guess has no estimate",)
    assert "unknown" in str(found)


def test_pure_and_identity_cost_nothing() -> None:
    found = dry_run(pure(abs) >> identity)
    assert (found.seconds, found.calls, found.may_run) == ((0, 0), (0, 0), ())


def test_branches_overlap_and_their_spending_adds() -> None:
    found = dry_run(gather(soft("a", 1, 2), soft("b", 3, 5)))
    assert (found.seconds, found.money, found.calls) == ((1, 5), (1, 7), (1, 2))
    assert found.waves == (("a", "b"),)
    assert found.critical_path == ("b",)
    assert found.speed_up == pytest.approx(7 / 5)


def test_a_limit_of_one_is_one_after_the_other() -> None:
    found = dry_run(gather(soft("a", 1, 2), soft("b", 3, 5), limit=1))
    assert found.seconds == (1, 7)
    assert found.waves == (("a",), ("b",))


def test_a_limit_bounds_the_time_by_any_greedy_schedule() -> None:
    assert dry_run(gather(*(soft(str(i), 2, 2) for i in range(4)), limit=2)).seconds[1] == 4 + 2 * 0.5


def test_actions_on_the_event_loop_hold_each_other_up() -> None:
    assert dry_run(gather(step("a", 1), step("b", 2))).seconds[1] == 3


def test_more_threads_than_there_are_take_longer() -> None:
    found = dry_run(gather(*(step(str(i), 1, blocking="thread") for i in range(100))))
    assert 3 <= found.seconds[1] < 100


def test_a_race_may_cost_its_cheapest_branch_or_all() -> None:
    found = dry_run(parallel(soft("a", 1, 2), soft("b", 3, 5), policy=FIRST_COMPLETED))
    assert (found.seconds, found.money, found.calls) == ((1, 5), (1, 7), (1, 2))


def test_nbest_waits_for_every_branch() -> None:
    found = dry_run(parallel(soft("a", 1, 2), soft("b", 3, 5), policy=NBest(1, by=float)))
    assert (found.seconds, found.calls) == ((3, 5), (2, 2))


def test_a_timeout_caps_only_what_can_be_interrupted() -> None:
    assert dry_run(soft("a", 1, 9).timeout(4)).seconds == (1, 4)
    assert dry_run(step("a", 1, 9, blocking="abandon").timeout(4)).seconds == (1, 4)
    assert dry_run(step("a", 1, 9, blocking="thread").timeout(4)).seconds == (1, 9)
    assert dry_run(parallel(soft("a", 1, 9), soft("b", 1, 9), policy=SETTLED, join=collect, timeout=4)).seconds == (
        1,
        4,
    )


def test_a_retry_repeats_the_worst_case_and_waits() -> None:
    found = dry_run(step("a", 1, 2).retry(Fixed(3.0).jittered(0.5).times(2)))
    assert (found.seconds, found.calls) == ((1, 3 * 2 + 2 * 4.5), (1, 3))
    assert dry_run(step("a", 1, 2).retry(Fixed(0.0))).calls == (1, inf)
    assert dry_run(step("a", 1, 2).retry(Exponential(first=1.0).jittered(0.2).up_to(60.0))).seconds[1] < inf


def test_a_loop_repeats_its_worst_case() -> None:
    assert dry_run(loop_while(bool, step("a", 1, 2), at_most=3)).seconds == (0, 6)
    found = dry_run(loop_while(bool, step("a", 1, 2)))
    assert (found.calls, found.unknown) == ((0, inf), ("loop_while has no at_most",))


def test_a_fault_pays_for_both_sides_of_an_or() -> None:
    found = dry_run(step("a", 1, 2) | step("b", 3, 4))
    assert (found.seconds, found.may_run) == ((1, 6), ("a", "b"))


def test_computed_plans_are_unknown_and_said_so() -> None:
    for plan in (bind(lambda value: identity), step("a", 1).recover(lambda fault: identity)):
        found = dry_run(plan)
        assert found.calls[1] == inf
        assert found.unknown[-1].startswith("what ")


@frozen
class Trip:
    """A state."""

    kind: str = "near"
    days: int = 0
    stops: tuple[int, ...] = ()


KIND, DAYS, STOPS = lens(Trip, lambda s: s.kind), lens(Trip, lambda s: s.days), lens(Trip, lambda s: s.stops)


def near_or_far() -> Plan[Any, Any]:
    return choose(KIND, {"near": step("near", 1), "far": step("far", 9)})


def test_a_value_narrows_what_is_chosen() -> None:
    assert dry_run(near_or_far()).may_run == ("near", "far")
    found = dry_run(near_or_far(), Trip(kind="far"))
    assert (found.seconds, found.may_run) == ((9, 9), ("far",))


def test_a_value_narrows_behind_steps_that_leave_it_alone_and_not_behind_others() -> None:
    away = task(reads=(), writes=DAYS, name="away")(lambda: 1)
    moved = task(reads=(), writes=KIND, name="moved")(lambda: "far")
    assert dry_run(away >> near_or_far(), Trip()).may_run == ("away", "near")
    assert dry_run(moved >> near_or_far(), Trip()).may_run == ("moved", "near", "far")
    assert dry_run(step("any", 1) >> near_or_far(), Trip()).may_run == ("any", "near", "far")


def test_a_value_counts_parts_and_first_turns() -> None:
    each_stop = focus(STOPS >> each, step("visit", 2))
    assert dry_run(each_stop).calls == (0, inf)
    assert dry_run(each_stop, Trip(stops=(1, 2, 3))).calls == (1, 3)
    loop = loop_while(DAYS.where(bool), step("day", 1), at_most=2)
    assert dry_run(loop, Trip()).calls == (0, 0)
    assert dry_run(loop, Trip(days=1)).calls == (1, 2)


def test_a_selector_that_raises_narrows_nothing() -> None:
    plan = choose(lambda value: value.missing, {"a": step("a", 1)}, default=step("b", 2))
    assert dry_run(plan, Trip()) == dry_run(plan)


def test_nothing_is_performed() -> None:
    def explode(value: Any) -> Any:
        raise AssertionError("an action ran")

    dry_run(task(explode) >> pure(explode) >> bind(explode), Trip())


@pytest.mark.parametrize("n", [2_000, pytest.param(20_000, marks=pytest.mark.sweep)])
def test_a_plan_of_any_depth_has_a_forecast(n: int) -> None:
    plan = step("a", 1)
    for _ in range(n):
        plan = (step("b", 1) >> plan).named("inner")
    assert dry_run(plan).calls == (1, n + 1)
    assert dry_run(plan, 1).calls == (1, n + 1)


def test_waves_follow_depth() -> None:
    assert dry_run((step("a", 1) >> step("b", 1)) & step("c", 1)).waves == (("a", "c"), ("b",))


def test_all_is_the_policy_of_a_plain_parallel() -> None:
    assert dry_run(parallel(soft("a", 1, 1), soft("b", 2, 2), policy=ALL)).money == (1, 3)


def test_a_selector_may_find_no_branch() -> None:
    assert dry_run(near_or_far()).calls == (0, 1)
    assert dry_run(choose(KIND, {"near": step("near", 1)}, default=step("far", 9))).seconds == (1, 9)


def test_a_loop_that_surely_turns_costs_a_turn() -> None:
    loop = loop_while(DAYS.where(bool), step("day", 1).attempt(), at_most=2, then=identity)
    assert dry_run(loop, Trip(days=1)).calls == (1, 2)
