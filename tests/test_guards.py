"""Guards and budgets: breakers against their model, books that never lie, retries that cannot storm."""

from __future__ import annotations

import random
import time
import tracemalloc
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from clocks import Clock, Runner, on_asyncio, on_both, really_on_both
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from untyped import AnyPlan, approve, arun, bind, gather, parallel, run, sequence

from lambdacat import (
    FIRST_COMPLETED,
    ActionFailed,
    Budget,
    BudgetExceeded,
    BudgetOverrun,
    Context,
    Denied,
    Estimate,
    Fixed,
    Limits,
    MemoryJournal,
    Refused,
    Stopped,
    Success,
    TimedOut,
    Unanswered,
    Unavailable,
    check,
    collect,
    dry_run,
    fail,
    identity,
    render,
    resume,
    task,
    traced,
)
from lambdacat.guard import Breaker, Concurrency, Keyed, Rate, Retries
from lambdacat.place import PlanError
from lambdacat.store import MemoryStore, SqliteStore

FREE = Estimate(tokens=(0, 0), money=(0, 0))


class Down(Exception):
    """A service that wants to be left alone."""

    def __init__(self, retry_after: Any = None) -> None:
        super().__init__("down")
        self.retry_after = retry_after


@task
def same(n: Any) -> Any:
    """A step that gives what it gets."""
    return n


@task
def broken(n: Any) -> Any:
    """A step that fails."""
    raise ValueError(n)


@task
async def second(n: Any) -> Any:
    """A step that takes a second."""
    await anyio.sleep(1)
    return n


def state_of(breaker: Breaker) -> str:
    """Asked anew each time."""
    return breaker.state


def kind(outcome: Any) -> str:
    """The class of a fault, or Success."""
    return "Success" if isinstance(outcome, Success) else type(outcome.failure()).__name__


# --- breakers --------------------------------------------------------------------------------------------------------


class BreakerModel(RuleBasedStateMachine):
    """R-L4: a breaker beside a model that keeps every event and reads its state from them anew each time."""

    @initialize(failures=st.integers(1, 4), seconds=st.sampled_from([0.0, 1.0, 5.0]))
    def begin(self, failures: int, seconds: float) -> None:
        self.failures, self.seconds = failures, seconds
        self.clock = Clock()
        self.breaker = Breaker(failures, seconds)
        self.open_calls: list[tuple[int, Any]] = []
        self.events: list[tuple[str, int, float]] = []
        self.calls = 0

    def model(self) -> tuple[str, bool]:
        """The state, and whether a probe is out, from the events alone."""
        in_a_row, opened, probe, since = 0, None, None, 0
        begun: dict[int, int] = {}
        for place, (what, call, at) in enumerate(self.events):
            if what == "enter":
                begun[call] = place
                if opened is not None:
                    probe = call
                continue
            if begun[call] < since:
                continue  # it began before the state last changed
            if opened is not None:
                if what == "failed":
                    opened, since = at, place
                elif what == "ok":
                    opened, in_a_row, since = None, 0, place
                probe = None
            elif what == "ok":
                in_a_row = 0
            elif what == "failed":
                in_a_row += 1
                if in_a_row == self.failures:
                    opened, since = at, place
        if opened is None:
            return "closed", False
        return ("open" if self.clock() < opened + self.seconds else "half-open"), probe is not None

    @rule()
    def enter(self) -> None:
        state, probing = self.model()
        turn = self.breaker.turn()
        if state == "open" or probing:
            with pytest.raises(Denied):
                turn.enter_here(self.clock, self.clock.sleep, 0.0)
            return
        assert turn.enter_here(self.clock, self.clock.sleep, 0.0)
        self.calls += 1
        self.events.append(("enter", self.calls, self.clock()))
        self.open_calls.append((self.calls, turn))

    @precondition(lambda self: self.open_calls)
    @rule(data=st.data(), how=st.sampled_from(["ok", "failed", "other", "cancelled"]))
    def leave(self, data: st.DataObject, how: str) -> None:
        call, turn = self.open_calls.pop(data.draw(st.integers(0, len(self.open_calls) - 1)))
        if how == "ok":
            turn.told(None)
        elif how != "cancelled":
            turn.told(ActionFailed(error=ValueError()) if how == "failed" else Stopped(reason="enough"))
        turn.leave_here()
        self.events.append((how, call, self.clock()))

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "breaker"):
            circuit = self.breaker._circuits.on(self.clock)
            assert circuit.state(self.clock()) == self.model()[0]


def test_a_breaker_is_its_model() -> None:
    run_state_machine_as_test(BreakerModel, settings=settings(max_examples=30, stateful_step_count=40, deadline=None))


@pytest.mark.sweep
def test_a_breaker_is_its_model_in_full() -> None:
    run_state_machine_as_test(BreakerModel, settings=settings(max_examples=2000, stateful_step_count=50, deadline=None))


@on_both
def test_a_breaker_opens_after_failures_in_a_row_and_one_probe_closes_it(on: Runner) -> None:
    """A45."""
    breaker = Breaker(3, 30.0)
    fails = True

    @task
    async def call(n: int) -> int:
        await anyio.sleep(1)
        if fails:
            raise ValueError(n)
        return n

    async def main() -> None:
        nonlocal fails
        guarded: AnyPlan = call.guarded(breaker)
        for _ in range(2):
            assert kind(await arun(guarded, 1)) == "ActionFailed"
        fails = False
        assert kind(await arun(guarded, 1)) == "Success"  # not in a row
        fails = True
        for _ in range(3):
            assert kind(await arun(guarded, 1)) == "ActionFailed"
        assert state_of(breaker) == "open"
        assert kind(await arun(guarded, 1)) == "Refused"
        await anyio.sleep(30)
        assert state_of(breaker) == "half-open"
        ten = parallel(*[guarded.attempt()] * 10, join=collect)
        outcomes = (await arun(ten, 1)).unwrap()
        assert sorted(map(kind, outcomes)) == ["ActionFailed"] + ["Refused"] * 9
        await anyio.sleep(30)
        fails = False
        outcomes = (await arun(ten, 1)).unwrap()
        assert sorted(map(kind, outcomes)) == ["Refused"] * 9 + ["Success"]
        assert state_of(breaker) == "closed"

    on(main)


@on_both
def test_what_is_cut_off_says_nothing_to_a_breaker(on: Runner) -> None:
    """R-E4: neither a deadline outside, nor a race that was lost, nor a cancelled run; and nothing is retried."""
    breaker = Breaker(1, 30.0)
    guarded: AnyPlan = second.guarded(breaker)

    async def main() -> None:
        assert kind(await arun(guarded.timeout(0.5), 1)) == "TimedOut"
        assert kind(await arun(parallel(guarded, same, policy=FIRST_COMPLETED), 1)) == "Success"
        with anyio.move_on_after(0.5):
            await arun(guarded.retry(5), 1)
        assert state_of(breaker) == "closed"
        # A deadline inside is the plan's own fault.
        assert kind(await arun(second.timeout(0.5).guarded(breaker), 1)) == "TimedOut"
        assert state_of(breaker) == "open"

    on(main)


def test_a_probe_that_is_cut_off_leaves_room_for_another() -> None:
    clock, breaker = Clock(), Breaker(1, 10.0)
    lost = breaker.turn()
    lost.enter_here(clock, clock.sleep, 0)
    lost.told(Unavailable(what="it", reason="down"))
    lost.leave_here()
    clock.sleep(10)
    probe = breaker.turn()
    probe.enter_here(clock, clock.sleep, 0)
    with pytest.raises(Denied, match="one call is trying it again"):
        breaker.turn().enter_here(clock, clock.sleep, 0)
    probe.leave_here()
    assert breaker.turn().enter_here(clock, clock.sleep, 0)


def test_a_breaker_counts_what_it_is_told_to_count() -> None:
    refusing = Breaker(1, 30.0, on=Refused)
    assert kind(run(broken.guarded(refusing), 1)) == "ActionFailed"
    assert state_of(refusing) == "closed"
    by_test = Breaker(1, 30.0, on=lambda fault: isinstance(fault, Stopped))
    assert kind(run(fail(Stopped(reason="no")).guarded(by_test), 1)) == "Stopped"
    assert state_of(by_test) == "open"
    fault = run(same.guarded(by_test), 1).failure()
    assert isinstance(fault, Refused)
    assert fault.reason.startswith("the last call failed; it tries again in")


class Sulking:
    """A guard of a user's own."""

    name = "mood"

    def __init__(self) -> None:
        self.heard: list[str] = []

    def turn(self) -> Any:
        outer = self

        class Turn:
            def told(self, fault: Any) -> None:
                outer.heard.append("well" if fault is None else type(fault).__name__)
                if len(outer.heard) > 2:
                    raise RuntimeError("enough")

            async def __aenter__(self) -> None:
                outer.heard.append("in")

            async def __aexit__(self, *_: object) -> None:
                outer.heard.append("out")

        return Turn()


@on_both
def test_a_guard_of_ones_own_hears_how_it_ends(on: Runner) -> None:
    mood = Sulking()
    assert on(lambda: arun(same.guarded(mood), 1)) == Success(1)
    assert mood.heard == ["in", "well", "out"]
    # What a guard raises on hearing is a fault, and its turn is given back all the same.
    assert kind(on(lambda: arun(broken.guarded(mood), 1))) == "ActionFailed"
    assert mood.heard[3:] == ["in", "ActionFailed", "out"]
    assert kind(run(same.guarded(mood), 1)) == "ActionFailed"
    assert mood.heard[6:] == ["in", "well", "out"]


# --- budgets ---------------------------------------------------------------------------------------------------------


def client(uses: int, most: int | None = None, *, seconds: float = 1.0) -> AnyPlan:
    """A step that spends so many tokens, with the most that it declares."""
    options: Any = {} if most is None else {"estimate": Estimate(tokens=(0, most), money=(0, 0))}

    async def ask(n: Any, context: Context) -> Any:
        sent.append(n)
        await anyio.sleep(seconds)
        context.spend(tokens=uses)
        return n

    return task(name="ask the model", **options)(ask)


sent: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_sent() -> None:
    sent.clear()


@on_both
@pytest.mark.parametrize("concurrently", [False, True])
def test_the_call_that_might_not_fit_is_refused_before_it_is_sent(on: Runner, concurrently: bool) -> None:
    """A47: a budget of 10, calls of 6 that declare 4: two are sent, the overrun is charged in full and reported."""
    call = client(6, 4)
    plan = parallel(*[call.attempt()] * 3, join=collect) if concurrently else sequence(call, call, call).attempt()
    with pytest.warns(BudgetOverrun, match="12 of 10 tokens are spent"):
        outcome = on(lambda: arun(plan.within(Budget(tokens=10)), "q"))
    assert len(sent) == 2
    (fault,) = (
        (one.failure() for one in outcome.unwrap() if kind(one) != "Success")
        if concurrently
        else (outcome.unwrap().failure(),)
    )
    assert isinstance(fault, BudgetExceeded)
    assert (fault.measure, fault.cap, fault.needed) == ("tokens", 10, 4)
    assert "ask the model was not started: it may need 4 tokens" in str(fault)


@on_both
def test_a_truthful_budget_is_never_overspent(on: Runner) -> None:
    """R-L5: callers side by side and in turn, of any cost and length, some cut off, some failing, some retried."""
    for seed in range(20):
        check_schedule(on, random.Random(seed), callers=20)


@pytest.mark.sweep
def test_a_truthful_budget_is_never_overspent_in_full() -> None:
    from clocks import SWEEP_SECONDS

    until, seed = time.monotonic() + min(50.0, SWEEP_SECONDS), 0
    while time.monotonic() < until and seed < 10_000:
        check_schedule(on_asyncio, random.Random(f"full {seed}"), callers=50)
        seed += 1
    print(f"\n{seed} schedules of 50 callers, none overspent")
    assert seed >= 20


def check_schedule(on: Runner, draw: random.Random, callers: int) -> None:
    """One schedule; at its end nothing is reserved."""
    cap = draw.randrange(20, 200)
    spent, peak = 0, 0

    def caller() -> AnyPlan:
        most = draw.randrange(0, 30)
        uses, seconds, fails = draw.randrange(0, most + 1), draw.random() * 3, draw.random() < 0.2
        says, twice = draw.random() < 0.8, draw.random() < 0.3

        @task(estimate=Estimate(tokens=(0, most)))
        async def call(n: Any, context: Context) -> Any:
            nonlocal spent, peak
            await anyio.sleep(seconds)
            if says:
                context.spend(tokens=uses)
            spent += uses if says else most
            assert spent <= cap
            if fails:
                raise ValueError("down")
            return n

        plan: AnyPlan = call.retry(2) if twice else call
        if draw.random() < 0.3:
            plan = plan.timeout(draw.random() * 3)
        if draw.random() < 0.2:
            plan = plan.within(Budget(tokens=draw.randrange(1, cap + 1)))
        return plan.attempt()

    left: list[float] = []

    @task(estimate=FREE)
    def look(n: Any, context: Context) -> Any:
        left.append(context.left.tokens)
        return n

    crowd = [caller() for _ in range(callers)]
    row = crowd[: callers // 2]
    plan = gather(parallel(*row, join=collect, limit=draw.choice([None, 3])), sequence(*crowd[callers // 2 :]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        on(lambda: arun((plan >> look).within(Budget(tokens=cap)), 0))
    # A step that is cut off says nothing of what it used; those here had used nothing yet.
    assert left == [cap - spent]


@on_both
def test_who_might_spend_and_says_not_how_much_is_refused_or_estimated(on: Runner) -> None:
    plan = client(6)
    fault = on(lambda: arun(plan.within(Budget(tokens=10)), "q")).failure()
    assert isinstance(fault, Refused)
    assert "ask the model may spend tokens and has no estimate" in fault.reason
    assert not sent
    ruled = sequence(plan, plan, plan).within(Budget(tokens=14, unknown=Estimate(tokens=(0, 6))))
    assert kind(on(lambda: arun(ruled, "q"))) == "BudgetExceeded"
    assert len(sent) == 2
    # What takes no context has nothing to spend by, and caps on other measures ask for no tokens.
    assert on(lambda: arun(same.within(Budget(tokens=0)), 1)) == Success(1)
    assert kind(on(lambda: arun(plan.within(Budget(calls=1)), 1))) == "Success"


@on_both
def test_a_step_may_reserve_by_itself(on: Runner) -> None:
    seen: list[float] = []

    @task(estimate=Estimate(reserves=True))
    async def ask(n: int, context: Context) -> int:
        context.reserve(tokens=n)
        seen.append(context.left.tokens)
        await anyio.lowlevel.checkpoint()
        context.spend(tokens=n // 2)
        seen.append(context.left.tokens)
        return n

    plan = sequence(ask, ask, ask).within(Budget(tokens=100))
    assert on(lambda: arun(plan, 40)) == Success(40)
    assert seen == [60, 60, 40, 40, 20, 20]
    fault = on(lambda: arun(plan, 70)).failure()
    assert isinstance(fault, BudgetExceeded)
    assert (fault.needed, fault.left) == (70, 65)


@on_both
def test_nested_budgets_nest(on: Runner) -> None:
    inner = sequence(client(4, 4), client(4, 4)).within(Budget(tokens=8))
    plan = sequence(inner, inner).within(Budget(tokens=13))
    fault = on(lambda: arun(plan, "q")).failure()
    assert isinstance(fault, BudgetExceeded)
    assert (fault.cap, fault.left) == (13, 1)
    assert len(sent) == 3
    tight = client(4, 4).within(Budget(tokens=3)).within(Budget(tokens=100))
    assert on(lambda: arun(tight, "q")).failure().cap == 3


@on_both
def test_calls_are_counted_attempts_included(on: Runner) -> None:
    tries = 0

    @task
    def count(n: Any) -> Any:
        nonlocal tries
        tries += 1
        raise ValueError(n)

    fault = on(lambda: arun(count.retry(10).within(Budget(calls=3)), 1)).failure()
    assert isinstance(fault, BudgetExceeded)
    assert (fault.measure, tries) == ("calls", 3)
    assert str(fault).splitlines()[0].endswith("it may need 1 calls, and 0 of 3 are left")
    # Pure functions are no calls, and a loop of one step is counted round by round.
    assert on(lambda: arun(identity.map(str).within(Budget(calls=0)), 1)) == Success("1")
    rounds = same.loop_while(lambda n: True, at_most=100).within(Budget(calls=5))
    assert kind(on(lambda: arun(rounds, 1))) == "BudgetExceeded"


@on_both
def test_seconds_cut_off(on: Runner) -> None:
    fault = on(lambda: arun(sequence(second, second, second).within(Budget(seconds=1.5)).retry(3), 1)).failure()
    assert isinstance(fault, BudgetExceeded)
    assert (fault.measure, fault.cap, fault.needed) == ("seconds", 1.5, 1.5)
    assert "its budget of 1.5 s is over" in str(fault)
    clock = Clock()

    @task
    def slow(n: Any, context: Context) -> Any:
        clock.sleep(1)
        return context.left.seconds

    assert run(slow.within(Budget(seconds=3)), 1, context=Context(clock=clock)) == Success(2.0)
    assert (
        kind(run(sequence(slow, slow).within(Budget(seconds=1.5)), 1, context=Context(clock=clock))) == "BudgetExceeded"
    )


def test_a_budget_in_one_thread() -> None:
    @task(estimate=Estimate(tokens=(0, 4)))
    def ask(n: Any, context: Context) -> Any:
        sent.append(n)
        context.spend(tokens=4)
        return context.left.tokens

    plan = sequence(ask, ask, ask).within(Budget(tokens=10))
    assert kind(run(plan, 1)) == "BudgetExceeded"
    assert sent == [1, 6]
    assert run(parallel(ask, ask, join=collect).within(Budget(tokens=10)), 1) == Success((6, 2))
    # After it, nothing is left of it: a fallback stands outside.
    assert run((plan | ask), 1) == Success(float("inf"))


@really_on_both
def test_steps_in_threads_share_a_budget(on: Runner) -> None:
    @task(estimate=Estimate(tokens=(0, 3)), blocking="thread")
    def ask(n: Any, context: Context) -> Any:
        assert 0 < context.left.seconds <= 50
        assert context.now() > 0
        context.spend(tokens=3)
        return n

    plan = parallel(*[ask.attempt()] * 20, join=collect).within(Budget(tokens=30, seconds=50))
    outcomes = on(lambda: arun(plan, 1)).unwrap()
    assert sorted(map(kind, outcomes)) == ["BudgetExceeded"] * 10 + ["Success"] * 10


def test_spending_without_a_reservation_is_reported_where_it_does_not_fit() -> None:
    @task(estimate=Estimate(reserves=True))
    def careless(n: Any, context: Context) -> Any:
        context.spend(tokens=n)
        return n

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(careless.within(Budget(tokens=10)), 10) == Success(10)
    with pytest.warns(BudgetOverrun) as caught:
        fault = run(sequence(careless, careless).within(Budget(tokens=10)), 11).failure()
    assert caught[0].filename == __file__
    assert isinstance(fault, BudgetExceeded)
    assert fault.left == 0


@pytest.mark.parametrize("amounts", [{"tokens": -1}, {"money": float("nan")}, {"money": float("inf")}, {"tokens": 1.5}])
def test_only_finite_amounts_are_spent(amounts: dict[str, Any]) -> None:
    for verb in ("spend", "reserve"):

        @task(estimate=Estimate(reserves=True), name="careless")
        def careless(n: Any, context: Context, verb: str = verb) -> Any:
            getattr(context, verb)(**amounts)

        assert kind(run(careless.within(Budget(tokens=10)), 1)) == "ActionFailed"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Budget(),
        lambda: Budget(tokens=-1),
        lambda: Budget(money=float("nan")),
        lambda: Budget(money=float("inf")),
        lambda: Budget(tokens=1.5),  # type: ignore[arg-type]
        lambda: Budget(calls=True),
        lambda: Budget(tokens=1, unknown=5),  # type: ignore[arg-type]
        lambda: same.within(5),  # type: ignore[arg-type]
        lambda: Breaker(0),
        lambda: Breaker(1, -1.0),
        lambda: Breaker(on=5),  # type: ignore[arg-type]
        lambda: same.guarded(5),  # type: ignore[arg-type]
        lambda: Retries(-0.1),
        lambda: Retries(burst=0),
        lambda: same.retry(1, budget=5),  # type: ignore[arg-type]
        lambda: Concurrency.adaptive(5, 2),
        lambda: Concurrency.adaptive(1, 2, slower=1.0),
        lambda: Keyed(5, Rate),  # type: ignore[arg-type]
        lambda: Keyed(str, Rate, most=0),  # type: ignore[arg-type]
    ],
)
def test_what_guards_nothing_is_refused_in_one_line(make: Callable[[], Any]) -> None:
    with pytest.raises(PlanError) as caught:
        make()
    assert "\n" not in str(caught.value)


@on_both
def test_nothing_starts_under_a_budget_that_is_overspent(on: Runner) -> None:
    free = task(estimate=FREE, name="free")(lambda n: n)
    with pytest.warns(BudgetOverrun):
        fault = on(lambda: arun(sequence(client(6, 4), client(6, 4), free).within(Budget(tokens=10)), 1)).failure()
    assert isinstance(fault, BudgetExceeded)
    assert (fault.name, fault.needed) == ("free", 0)


@on_both
def test_branches_of_one_step_are_counted_too(on: Runner) -> None:
    fault = on(lambda: arun(parallel(second, second, join=collect).within(Budget(calls=1)), 1)).failure()
    assert isinstance(fault, BudgetExceeded)


# --- budgets and journals --------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("crash", range(1, 9))
def test_a_resumed_run_has_spent_what_it_had_spent(crash: int) -> None:
    """Also where what is done stands behind what is not."""
    journal = MemoryJournal("r")
    performed = 0

    def step(name: str, seconds: float) -> AnyPlan:
        @task(estimate=Estimate(tokens=(0, 4)), name=name)
        async def ask(n: Any, context: Context) -> Any:
            nonlocal performed
            await anyio.sleep(seconds)
            performed += 1
            if crashes and performed == crash:
                raise Crash
            context.spend(tokens=4)
            spent.append(name)
            return n

        return ask

    spent: list[str] = []
    slow = sequence(step("a", 5), step("b", 5), step("c", 5))
    quick = sequence(step("d", 1), step("e", 1), step("f", 1))
    plan = parallel(slow.attempt().map(kind), quick.attempt().map(kind), join=collect).within(Budget(tokens=18))
    crashes = False
    whole = on_asyncio(lambda: arun(plan, 1, journal=MemoryJournal("w")))
    at_once = len(spent)
    spent.clear()
    performed, crashes = 0, True
    try:
        outcome = on_asyncio(lambda: arun(plan, 1, journal=journal))
    except Crash:
        outcome = on_asyncio(lambda: resume(plan, journal))
    assert outcome == whole
    assert len(spent) == at_once == 4


def test_a_retry_that_was_refused_stays_refused() -> None:
    journal = MemoryJournal("r")
    tries, stops = 0, True

    @task
    async def down(n: Any) -> Any:
        nonlocal tries
        tries += 1
        raise ValueError(n)

    @task
    async def after(n: Any) -> Any:
        if stops:
            raise Crash
        return n

    def plan(budget: Retries) -> AnyPlan:
        return down.retry(Fixed(1.0).times(5), budget=budget).attempt().map(kind) >> after

    with pytest.raises(Crash):
        on_asyncio(lambda: arun(plan(Retries(0.0, burst=1)), 1, journal=journal))
    assert tries == 2
    stops = False
    assert on_asyncio(lambda: resume(plan(Retries()), journal)) == Success("ActionFailed")
    assert tries == 2


# --- retries ---------------------------------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("deep", [1, 3])
def test_nested_retries_cannot_storm(on: Runner, deep: int) -> None:
    """R-L3: a service that is down is asked 1.1 times as often as without retries."""
    callers = 100
    attempts = 0
    budget = Retries(0.1, burst=10)

    @task
    async def down(n: Any) -> Any:
        nonlocal attempts
        attempts += 1
        raise ValueError(n)

    plan: AnyPlan = down
    for _ in range(deep):
        plan = plan.retry(Fixed(1.0).times(3), budget=budget)
    on(lambda: arun(parallel(*[plan.attempt()] * callers, join=collect, limit=50), 0))
    assert callers < attempts <= callers * 1.1 + 10
    assert kind(run(plan, 0, context=Context(clock=Clock()))) == "ActionFailed"


@on_both
def test_what_a_service_asks_for_is_kept(on: Runner) -> None:
    times: list[float] = []

    @task
    async def down(n: Any) -> Any:
        times.append(anyio.current_time())
        raise Down(n)

    on(lambda: arun(down.retry(Fixed(2.0).times(2)), 7))
    assert [round(b - a, 6) for a, b in pairwise(times)] == [7, 7]
    for nothing in (None, -1, float("nan"), float("inf"), "soon", True):
        times.clear()
        on(lambda nothing=nothing: arun(down.retry(Fixed(2.0).times(1)), nothing))
        assert [round(b - a, 6) for a, b in pairwise(times)] == [2]


def test_there_is_no_sleep_after_the_last_try() -> None:
    clock = Clock()
    run(broken.retry(Fixed(5.0).times(2), budget=Retries(0, burst=1)), 1, context=Context(clock=clock))
    assert clock() == 5


# --- keyed and adaptive limiters -------------------------------------------------------------------------------------


@on_both
def test_each_key_has_a_limiter_of_its_own(on: Runner) -> None:
    times: dict[str, list[float]] = {"a": [], "b": []}

    @task
    async def fetch(host: str) -> str:
        times[host].append(anyio.current_time())
        return host

    keyed: Keyed[str] = Keyed(lambda host: host, lambda host: Rate(1))
    plan = fetch.limited(keyed)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for host in "aabba":
                group.start_soon(arun, plan, host)

    on(main)
    begin = min(times["a"])
    assert [round(t - begin, 6) for t in times["a"]] == [0, 1, 2]
    assert [round(t - begin, 6) for t in times["b"]] == [0, 1]


def test_only_idle_limiters_are_forgotten() -> None:
    keyed: Keyed[int] = Keyed(lambda n: n, lambda n: Concurrency(1), most=2)
    busy = keyed.limiter_for(0)
    turn = busy.turn()
    assert turn.enter_here(time.monotonic, time.sleep, 0)  # type: ignore[attr-defined]
    for n in range(1, 50):
        keyed.limiter_for(n)
    assert len(keyed) == 2
    assert keyed.limiter_for(0) is busy
    slow: Keyed[int] = Keyed(lambda n: n, lambda n: Rate(0.001), most=2)
    for n in range(5):
        slow.limiter_for(n).turn().enter_here(time.monotonic, time.sleep, 0)  # type: ignore[attr-defined]
    assert len(slow) == 5  # forgetting one would let its key pass at once
    # One that somebody still has in hand is the same when its key comes back.
    held: Keyed[int] = Keyed(lambda n: n, lambda n: Rate(1), most=1)
    first = held.limiter_for(0)
    held.limiter_for(1)
    assert held.limiter_for(0) is first


def test_a_plan_inside_one_of_its_key_is_refused() -> None:
    keyed: Keyed[Any] = Keyed(lambda n: n, lambda n: Concurrency(1))
    assert kind(run(same.limited(keyed).limited(keyed), 1)) == "Refused"
    assert run(same.limited(keyed).map(lambda n: n + 1) >> same.limited(keyed), 1) == Success(2)
    raising: Keyed[Any] = Keyed(lambda n: n.host, lambda n: Rate(1))
    assert kind(run(same.limited(raising), 1)) == "ActionFailed"


@on_both
def test_an_adaptive_concurrency_finds_what_a_service_bears(on: Runner) -> None:
    bears, running, refusals = 8, 0, 0
    widths: list[int] = []

    @task
    async def call(n: Any) -> Any:
        nonlocal running, refusals
        running += 1
        widths.append(running)
        try:
            await anyio.sleep(1.0)
            if running > bears:
                refusals += 1
                raise Down(0.0)
            return n
        finally:
            running -= 1

    adaptive = Concurrency.adaptive(1, 50)
    plan = parallel(*[call.limited(adaptive).attempt()] * 600, join=collect)
    on(lambda: arun(plan, 0))
    assert 4 <= adaptive.n <= 12
    assert sum(widths[300:]) / len(widths[300:]) > 4
    assert refusals < 60
    assert adaptive.free == adaptive.n


@on_both
def test_an_adaptive_concurrency_narrows_when_calls_grow_slow(on: Runner) -> None:
    slow = False

    @task
    async def call(n: Any) -> Any:
        await anyio.sleep(5.0 if slow else 1.0)
        return n

    adaptive = Concurrency.adaptive(2, 20)
    crowd = parallel(*[call.limited(adaptive)] * 200, join=collect)

    async def main() -> None:
        nonlocal slow
        await arun(crowd, 0)
        wide = adaptive.n
        assert wide > 8
        slow = True
        await arun(parallel(*[call.limited(adaptive)] * 30, join=collect), 0)
        assert adaptive.n < wide

    on(main)


def test_failures_of_one_moment_narrow_once() -> None:
    @task
    async def call(n: Any) -> Any:
        await anyio.sleep(1.0)
        if n:
            raise Down(0.0)
        return n

    adaptive = Concurrency.adaptive(1, 12)
    plan = call.limited(adaptive).attempt()
    on_asyncio(lambda: arun(parallel(*[plan] * 300, join=collect), 0))
    assert adaptive.n == 12
    on_asyncio(lambda: arun(parallel(*[plan] * 12, join=collect), 1))
    assert adaptive.n == 8


@pytest.mark.parametrize("seed", range(20))
def test_an_adaptive_concurrency_stays_within_its_bounds(seed: int) -> None:
    draw = random.Random(seed)
    low = draw.randrange(1, 5)
    high = low + draw.randrange(0, 6)
    adaptive = Concurrency.adaptive(low, high)
    running = 0

    @task
    async def call(n: Any) -> Any:
        nonlocal running
        running += 1
        try:
            assert running <= high
            await anyio.sleep(draw.random())
            if draw.random() < 0.3:
                raise draw.choice([Down(1), ValueError(), Unanswered("it", "down")])
            return n
        finally:
            running -= 1

    plan = call.limited(adaptive).timeout(draw.random() * 20 + 0.1).attempt()
    on_asyncio(lambda: arun(parallel(*[plan] * 100, join=collect), 0))
    assert low <= adaptive.n <= high
    assert (adaptive.free, adaptive.waiting) == (adaptive.n, 0)


# --- known before ----------------------------------------------------------------------------------------------------


@on_both
def test_a_dry_run_counts_turns(on: Runner) -> None:
    """The bounds hold for plans of every shape."""
    draw = random.Random(5)
    for _ in range(30):
        rates = [Rate(draw.choice([1, 2, 5]), burst=draw.randrange(1, 4)) for _ in range(2)]
        shared = Concurrency(draw.randrange(1, 4))

        def step() -> AnyPlan:
            seconds = draw.choice([0.1, 1.0])

            @task(estimate=Estimate(seconds=(seconds, seconds), tokens=(0, 5), money=(0, 0)))
            async def nap(n: Any, context: Context, seconds: float = seconds) -> Any:
                await anyio.sleep(seconds)
                context.spend(tokens=5)
                return 0

            plan: AnyPlan = nap.limited(draw.choice(rates))  # noqa: B023
            return plan.limited(shared) if draw.random() < 0.3 else plan  # noqa: B023

        def grown(depth: int) -> AnyPlan:
            if depth == 0:
                return step()
            parts = [grown(depth - 1) for _ in range(draw.randrange(1, 4))]
            made: AnyPlan = sequence(*parts) if draw.random() < 0.5 else parallel(*parts, join=lambda *row: 0)
            if draw.random() < 0.2:
                made = made.within(Budget(tokens=draw.randrange(1, 60))).attempt().map(lambda _: 0)
            return made

        plan = grown(2)
        forecast = dry_run(plan)

        async def main(plan: AnyPlan = plan) -> float:
            begin = anyio.current_time()
            await arun(plan, 0)
            return anyio.current_time() - begin

        took = on(main)
        assert forecast.seconds[0] - 1e-6 <= took <= forecast.seconds[1] + 1e-6, (plan, forecast, took)


def test_a_dry_run_knows_rates_guards_and_budgets() -> None:
    timed = task(estimate=Estimate(seconds=(1, 1), tokens=(2, 4), money=(0, 0)))(lambda n: n)
    ten = sequence(*[timed.limited(rate := Rate(2, burst=3))] * 10)
    assert dry_run(ten).seconds == (1.0, 15.0)
    assert dry_run(ten.within(Budget(tokens=100))).tokens == (2, 40)
    capped = dry_run(ten.within(Budget(tokens=30)))
    assert (capped.tokens, capped.calls) == ((0, 30), (0, 10))
    assert dry_run(ten.within(Budget(calls=4))).calls == (0, 4)
    assert dry_run(ten.guarded(Breaker())).calls[0] == 0
    assert rate.waiting == 0


def test_a_budget_that_cannot_do_is_a_finding() -> None:
    timed = task(estimate=Estimate(tokens=(2, 4)), name="ask")(lambda n: n)
    found = check(sequence(timed, timed, timed).within(Budget(tokens=5)))
    assert [one.rule for one in found] == ["over-budget"]
    assert "6 tokens" in found[0].message
    assert not check(sequence(timed, timed).within(Budget(tokens=5)))


def test_guarded_and_budgeted_plans_say_by_what() -> None:
    plan = same.guarded(Breaker(name="the weather breaker")).within(Budget(tokens=8000, seconds=60))
    assert render(plan).splitlines()[0] == "within 8000 tokens and 60 s"
    assert "guarded by the weather breaker" in render(plan, "mermaid")
    assert plan == plan.plan.within(Budget(tokens=8000, seconds=60))  # type: ignore[attr-defined]
    assert traced(plan)(1).value == Success(1)


# --- results that are kept -------------------------------------------------------------------------------------------


def counting(seconds: float = 1.0, fails: Callable[[int], bool] = lambda n: False) -> tuple[AnyPlan, list[Any]]:
    """A step that may be left out, and what it was asked."""
    asked: list[Any] = []

    @task(idempotent=True)
    async def double(n: Any) -> Any:
        asked.append(n)
        await anyio.sleep(seconds)
        if fails(len(asked)):
            raise ValueError("down")
        return n * 2

    return double, asked


@really_on_both
def test_equal_calls_are_one(on: Runner) -> None:
    double, asked = counting(0.2)
    plan = double.cached(MemoryStore())
    eight = parallel(*[plan] * 8, join=collect)

    async def main() -> float:
        assert (await arun(eight, 3)).unwrap() == (6,) * 8
        begin = anyio.current_time()
        assert await arun(plan, 3) == Success(6)
        return anyio.current_time() - begin

    assert on(main) < 0.4
    assert asked == [3]


@really_on_both
def test_equal_calls_share_a_fault_and_the_next_tries_again(on: Runner) -> None:
    double, asked = counting(0.1, fails=lambda nth: nth == 1)
    plan = double.cached(MemoryStore())

    async def main() -> None:
        outcomes = (await arun(parallel(*[plan.attempt()] * 5, join=collect), 3)).unwrap()
        assert [kind(one) for one in outcomes] == ["ActionFailed"] * 5
        assert len(asked) == 1
        assert await arun(plan, 3) == Success(6)

    on(main)


def test_a_call_that_is_cut_off_is_taken_over() -> None:
    double, asked = counting()
    plan = double.cached(MemoryStore())
    both = parallel(plan.timeout(0.5).attempt(), plan.attempt(), join=collect)
    outcomes = on_asyncio(lambda: arun(both, 3)).unwrap()
    assert [kind(one) for one in outcomes] == ["TimedOut", "Success"]
    assert asked == [3, 3]


def test_a_result_is_good_for_so_long_and_for_its_plan_and_key() -> None:
    wall = 1000.0
    context = Context(wall=lambda: wall)
    asked: list[Any] = []

    @task(idempotent=True)
    def shout(text: str) -> str:
        asked.append(text)
        return text.upper()

    store = MemoryStore()
    plan = shout.cached(store, key=lambda text: text.lower(), seconds=60)
    assert [run(plan, text, context=context).unwrap() for text in ("a", "A", "b")] == ["A", "A", "B"]
    assert asked == ["a", "b"]
    wall += 61
    assert run(plan, "A", context=context) == Success("A")
    assert asked == ["a", "b", "A"]
    # A clock that was set back makes nothing last longer.
    wall -= 1000
    run(plan, "a", context=context)
    assert asked == ["a", "b", "A", "a"]
    whisper = task(idempotent=True, name="whisper")(lambda text: text)
    assert run(whisper.cached(store, key=str.lower), "a") == Success("a")
    assert plan == shout.cached(store, key=plan_key(plan), seconds=60)
    assert plan != shout.cached(MemoryStore(), key=plan_key(plan), seconds=60)


def plan_key(plan: Any) -> Any:
    """The key function of a cached plan."""
    return plan.plan.bound.limiter.spot.key


def test_what_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Any) -> None:
    asked: list[Any] = []

    @task(idempotent=True)
    def step(n: int) -> int:
        asked.append(n)
        return n + 1

    kept: dict[str, bytes] = {}

    class Shelf:
        def get(self, key: str) -> bytes | None:
            return kept.get(key)

        def put(self, key: str, value: bytes) -> None:
            kept[key] = value

    plan = step.cached(Shelf())
    assert run(plan, 1) == run(plan, 1) == Success(2)
    for rubbish in (b"", b"\xff", b"[]", b'{"a": 1}', b"[1]", b"null", 5):
        kept[next(iter(kept))] = rubbish  # type: ignore[assignment]
        assert run(plan, 1) == Success(2)
    assert len(asked) == 8
    with SqliteStore(tmp_path / "cache.db") as store:
        assert run(step.cached(store), 1) == Success(2)
    with SqliteStore(tmp_path / "cache.db") as store:
        assert run(step.cached(store), 1) == Success(2)
    assert len(asked) == 9


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (lambda: same, "same does not say that this is the same"),
        (lambda: sequence(task(idempotent=True)(lambda n: n), task(idempotent=False, name="pay")(lambda n: n)), "pay"),
        (lambda: bind(lambda n: identity), "nobody knows before the run"),
        (lambda: approve("well?"), "cannot leave out"),
    ],
)
def test_only_what_may_be_left_out_is_cached(plan: Callable[[], AnyPlan], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        plan().cached(MemoryStore())
    wrong: Any
    for wrong in ({}, None, 5):
        with pytest.raises(PlanError, match="cached wants a store"):
            identity.cached(wrong)


def test_a_durable_run_remembers_what_it_found() -> None:
    """What was kept when the run began may be gone when it goes on; the run goes on all the same."""
    double, asked = counting(0)
    store, journal = MemoryStore(), MemoryJournal("r")
    stops = False

    @task
    async def after(n: Any) -> Any:
        if stops:
            raise Crash
        return n

    plan = double.cached(store, seconds=60) >> after
    assert on_asyncio(lambda: arun(plan, 3)) == Success(6)
    stops = True
    with pytest.raises(Crash):
        on_asyncio(lambda: arun(plan, 3, journal=journal))
    stops = False
    for key in store.keys(""):
        store.delete(key)
    assert on_asyncio(lambda: resume(plan, journal)) == Success(6)
    assert asked == [3]
    assert render(plan).splitlines()[1] == "├─ cached for 60 s"
    assert dry_run(plan).calls == (0, 4)


# --- limits under load, again with guards ----------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("size", [400, pytest.param(10_000, marks=pytest.mark.sweep)])
def test_a_guarded_fan_out_is_bounded(on: Runner, size: int) -> None:
    """R-L6: branches begin when there is room for them, whatever guards them."""
    running = peak = 0

    @task(estimate=Estimate(tokens=(0, 1)))
    async def call(n: Any, context: Context) -> Any:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await anyio.lowlevel.checkpoint()
        running -= 1
        context.spend(tokens=1)
        return n

    guarded = call.limited(Concurrency(16)).guarded(Breaker()).retry(1, budget=Retries())
    plan = parallel(*[guarded] * size, join=collect, limit=32).map(len).within(Budget(tokens=size))
    tracemalloc.start()
    outcome = on(lambda: arun(plan, 0))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert outcome == Success(size)
    assert peak == 16
    assert most < 20e6 + size * 400  # the results of all of them are kept


@really_on_both
def test_guarded_steps_in_threads_cannot_wait_for_one_another(on: Runner) -> None:
    """R-L1: two threads, and steps in them that run guarded plans of their own."""
    limiter, rate, breaker = Concurrency(2), Rate(10_000, burst=100), Breaker()
    inner: AnyPlan = task(lambda n: n + 1).limited(rate).guarded(breaker).limited(limiter)

    @task(blocking="thread")
    def outer(n: int) -> int:
        return int(run(inner, n).unwrap())

    plan = parallel(*[outer] * 40, join=collect).map(sum).within(Budget(calls=100))
    assert on(lambda: arun(plan, 1, limits=Limits(threads=2))) == Success(80)


@on_both
@pytest.mark.parametrize("order", ["budget outside", "timeout outside"])
def test_the_least_deadline_counts_whatever_sets_it(on: Runner, order: str) -> None:
    """R-C5: budgets of seconds, timeouts, waits for turns and for retries under one another."""
    rate, full = Rate(0.1), Concurrency(1)
    waits: dict[str, AnyPlan] = {
        "step": sequence(*[second] * 20),
        "turn": second.limited(rate) >> second.limited(rate),
        "place": parallel(*[second.limited(full)] * 20, join=collect),
        "retry": broken.retry(Fixed(5.0).times(9)),
    }

    async def main() -> None:
        for name, plan in waits.items():
            if order == "budget outside":
                bound: AnyPlan = plan.timeout(9).within(Budget(seconds=4)).timeout(7)
            else:
                bound = plan.within(Budget(seconds=9)).timeout(4).within(Budget(seconds=7))
            begin = anyio.current_time()
            fault = (await arun(bound, 1)).failure()
            assert anyio.current_time() - begin == pytest.approx(4), name
            assert type(fault) is (BudgetExceeded if order == "budget outside" else TimedOut), name
            assert (full.free, rate.waiting) == (1, 0)
            await anyio.sleep(100)

    on(main)
