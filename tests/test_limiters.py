"""Limiters: how often and how many at once, on both loops and in threads, and what becomes of turns in every end."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio
import pytest
from aiolimiter import AsyncLimiter
from attrs import frozen
from clocks import Busy, Clock, Runner, on_asyncio, on_both, really_on_both
from hypothesis import given, settings
from hypothesis import strategies as st
from naming import named_by
from untyped import AnyPlan, arun, ask, fail, focus, gather, interpret, parallel, run, sequence

from lambdacat import (
    ALL,
    FIRST_COMPLETED,
    ActionFailed,
    Context,
    Denied,
    Limits,
    MemoryJournal,
    Monad,
    PlanError,
    Refused,
    Stopped,
    Success,
    TimedOut,
    Waiting,
    WouldBlock,
    can_resume,
    collect,
    dry_run,
    each,
    identity,
    lens,
    render,
    task,
)
from lambdacat.guard import Concurrency, Rate
from lambdacat.testing.proving import rotating_seed


@frozen
class Asked:
    """A state with a question in it."""

    number: str = ""


NUMBER = lens(Asked, lambda s: s.number)


class Log:
    """A limiter of a user's own that writes down what is done with it."""

    name = "log"

    def __init__(self, broken: str = "", wait: float = 0.0) -> None:
        self.lines: list[str] = []
        self.broken = broken
        self.wait = wait
        self.held = 0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        if self.wait:
            await anyio.sleep(self.wait)
        if self.broken == "enter":
            raise ValueError("no turn")
        self.held += 1
        try:
            yield
        except BaseException as error:
            self.lines.append(type(error).__name__)
            raise
        finally:
            self.held -= 1
            if self.broken == "leave":
                raise ValueError("cannot leave")


class TwoAtOnce:
    """A limiter by another library's semaphore."""

    name = "two at once"

    def __init__(self) -> None:
        self.semaphore = anyio.Semaphore(2)

    def turn(self) -> Any:
        return self.semaphore


@task
def same(n: Any) -> Any:
    """A step that gives what it gets."""
    return n


@task
async def second(n: Any) -> Any:
    """A step that takes a second."""
    await anyio.sleep(1)
    return n


@task
def broken(n: Any) -> Any:
    """A step that fails."""
    raise ValueError(n)


# --- how often -------------------------------------------------------------------------------------------------------


def crowd(on: Runner, rate: Rate, plan: list[tuple[float, float | None]]) -> list[tuple[int, float]]:
    """Who got a turn when, by their order of coming; each comes at a time, and some lose patience at another."""
    turns: list[tuple[int, float]] = []
    came = count()

    async def main() -> None:
        begin = anyio.current_time()

        async def caller(comes: float, leaves: float | None) -> None:
            await anyio.sleep(comes)
            number = next(came)
            with anyio.move_on_after(float("inf") if leaves is None else leaves - comes):
                async with rate.turn():
                    turns.append((number, anyio.current_time() - begin))

        async with anyio.create_task_group() as group:
            for comes, leaves in plan:
                group.start_soon(caller, comes, leaves)

    on(main)
    return turns


def check_windows(times: list[float], n: float, burst: int) -> None:
    """R-L2: in any window at most what the rate gives in it, and a burst."""
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= (times[last] - begin) * n + burst + 1e-6


@pytest.mark.parametrize("size", [100, pytest.param(1000, marks=pytest.mark.sweep)])
@pytest.mark.parametrize("burst", [1, 5])
@on_both
def test_a_rate_is_never_exceeded_fair_and_loses_no_turn(on: Runner, burst: int, size: int) -> None:
    """R-L2: callers at once, a third of whom leave; in their order, in any window, and nobody's turn is lost."""
    source = random.Random(0 if size <= 100 else rotating_seed())
    leaves = [source.uniform(0.01, size / 10) if source.random() < 0.3 else None for _ in range(size)]
    turns = crowd(on, Rate(10, burst=burst), [(0.0, one) for one in leaves])
    times = [when for _, when in turns]
    assert [number for number, _ in turns] == sorted(number for number, _ in turns)
    assert len(turns) >= leaves.count(None)
    # As if those who left had never come: each turn is taken at the first moment at which there is one.
    assert times == pytest.approx([max(0, i - burst + 1) / 10 for i in range(len(times))])
    check_windows(times[:200], 10, burst)


@on_both
def test_twenty_in_a_second_and_one_more_take_a_second(on: Runner) -> None:
    """A44: side by side and one after the other."""

    async def took(plan: AnyPlan) -> float:
        begin = anyio.current_time()
        assert isinstance(await arun(plan, 0), Success)
        return anyio.current_time() - begin

    async def main() -> list[float]:
        beside, after = Rate(20), Rate(20)
        return [
            await took(parallel(*[same.limited(beside)] * 21, join=collect)),
            await took(sequence(*[same.limited(after)] * 21)),
        ]

    assert on(main) == pytest.approx([1.0, 1.0])


def test_the_same_in_one_thread_on_its_clock() -> None:
    """A44."""
    clock = Clock()
    assert run(sequence(*[same.limited(Rate(20))] * 21), 0, context=Context(clock=clock)) == Success(0)
    assert sum(clock.slept) == pytest.approx(1.0)


@settings(deadline=None)
@given(
    # Powers of two, in which nothing is rounded: on a clock that only waiting moves, a rest of 1e-17 s has no end.
    st.sampled_from([1, 2, 4, 8, 16]),
    st.integers(1, 5),
    st.lists(st.integers(0, 200).map(lambda n: n / 64), min_size=1, max_size=30).map(sorted),
)
def test_a_rate_gives_turns_when_the_leaky_bucket_of_another_library_does(
    n: int, burst: int, comes: list[float]
) -> None:
    async def theirs() -> list[float]:
        bucket = AsyncLimiter(burst, burst / n)
        begin, times = anyio.current_time(), list[float]()
        for one in comes:
            await anyio.sleep(max(0.0, begin + one - anyio.current_time()))
            await bucket.acquire()
            times.append(anyio.current_time() - begin)
        return times

    async def ours() -> list[float]:
        rate = Rate(n, burst=burst)
        begin, times = anyio.current_time(), list[float]()
        for one in comes:
            await anyio.sleep(max(0.0, begin + one - anyio.current_time()))
            async with rate.turn():
                times.append(anyio.current_time() - begin)
        return times

    assert on_asyncio(ours) == pytest.approx(on_asyncio(theirs), abs=1e-6)


def test_what_was_not_used_is_saved_up_to_the_burst_alone() -> None:
    turns = crowd(on_asyncio, Rate(1, burst=3), [(100.0, None)] * 5)
    assert [when for _, when in turns] == pytest.approx([100, 100, 100, 101, 102])


def test_runs_in_threads_share_a_rate() -> None:
    rate, times = Rate(100), list[float]()
    step: AnyPlan = task(lambda n: times.append(time.monotonic()))
    threads = [threading.Thread(target=lambda: run(sequence(*[step.limited(rate)] * 5), 0)) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    assert len(times) == 20
    assert max(times) - min(times) >= 0.19


def test_clocks_of_another_zero_are_counted_apart() -> None:
    """Functions of one module are two clocks."""
    rate = Rate(1, burst=2)
    step = same.limited(rate)
    for clock in (time.time, time.perf_counter, time.monotonic):
        begin = time.perf_counter()
        assert run(step >> step, 0, context=Context(clock=clock)) == Success(0)
        assert time.perf_counter() - begin < 0.9


# --- how many at once ------------------------------------------------------------------------------------------------


@on_both
def test_no_more_than_so_many_run_at_once(on: Runner) -> None:
    busy, three = Busy(), Concurrency(3)

    async def main() -> Any:
        plans = parallel(*[task(busy.work).limited(three)] * 20, join=collect)
        return await arun(plans, 1)

    assert on(main) == Success((1,) * 20)
    assert busy.peak == 3
    assert (three.free, three.waiting) == (3, 0)


@pytest.mark.parametrize("size", [60, pytest.param(2000, marks=pytest.mark.sweep)])
@on_both
def test_turns_go_in_order_and_none_is_lost_when_some_leave(on: Runner, size: int) -> None:
    """R-L2, R-C5: patience ends while waiting, while running, and just when the turn comes."""
    source, two, came = random.Random(0 if size <= 100 else rotating_seed()), Concurrency(2), list[int]()
    turns = list[tuple[float, int]]()

    def step(number: int) -> AnyPlan:
        @task(blocking="inline")
        def comes(n: Any) -> Any:
            came.append(number)
            return n

        @task
        async def one(n: Any) -> Any:
            turns.append((anyio.current_time(), came.index(number)))
            await anyio.sleep(1)
            return n

        # Whole seconds too: the deadline and the turn then come at once.
        patience = source.choice([None, source.uniform(0, size / 2), float(source.randrange(1, size))])
        made: AnyPlan = comes >> one.limited(two)
        return (made if patience is None else made.timeout(patience)).attempt()

    plans = parallel(*map(step, range(size)), join=collect)
    assert isinstance(on(lambda: arun(plans, 0)), Success)
    # Tasks of trio that are woken at one instant go on in any order.
    order = [index for _, index in sorted(turns)]
    assert order == sorted(order)
    assert (two.free, two.waiting) == (2, 0)


@really_on_both
def test_loops_and_threads_share_turns(on: Runner) -> None:
    one, running, peak = Concurrency(1), [0], [0]

    @task(blocking="inline")
    def work(n: Any) -> Any:
        running[0] += 1
        peak[0] = max(peak[0], running[0])
        time.sleep(0.005)
        running[0] -= 1
        return n

    thread = threading.Thread(target=lambda: run(sequence(*[work.limited(one)] * 10), 0))

    async def main() -> Any:
        thread.start()
        return await arun(parallel(*[work.limited(one)] * 10, join=collect), 0)

    assert isinstance(on(main), Success)
    thread.join(20)
    assert peak[0] == 1
    assert (one.free, one.waiting) == (1, 0)


def test_a_turn_that_was_not_taken_is_not_held() -> None:
    """A thread loses patience by the machine's clock, and the deadline is on one that stands still."""
    one, clock = Concurrency(1), Clock()
    assert one.turn().enter_here(clock, clock.sleep, 1.0)
    given_back = threading.Event()

    def leave() -> None:
        given_back.set()
        one._line.leave()

    other = threading.Timer(0.1, leave)
    other.start()
    plan: AnyPlan = task(lambda n: given_back.is_set()).limited(one).timeout(0.02)
    assert run(plan, 0, context=Context(clock=clock)) == Success(True)
    other.join()
    assert one.free == 1


@on_both
def test_who_waits_for_a_turn_lends_its_permit(on: Runner) -> None:
    """R-L6: two branches at a time; two wait for the turn of a third that has branches of its own."""
    one = Concurrency(1)
    holds = (second >> gather(second, second)).limited(one)
    plan = gather(holds, second.timeout(5) >> gather(same.limited(one), same.limited(one)))
    outcome = on(lambda: arun(plan.timeout(60), 0, limits=Limits(branches=2)))
    assert outcome == Success(((0, 0), (0, 0)))
    assert one.free == 1


@pytest.mark.parametrize(
    "plan",
    [
        lambda one: (same >> same.limited(one)).limited(one),
        lambda one: gather(same.limited(one), same).limited(one),
        lambda one: same.limited(one).retry(2).limited(Rate(1e6)).limited(one),
        lambda one: focus(each, same.limited(one)).limited(one),
    ],
)
@on_both
def test_a_plan_that_might_wait_for_itself_is_refused(on: Runner, plan: Callable[[Concurrency], AnyPlan]) -> None:
    one = Concurrency(2, name="the door")
    for outcome in (run(plan(one), (1, 2)), on(lambda: arun(plan(one), (1, 2)))):
        fault = outcome.failure()
        while not isinstance(fault, Refused):
            (fault,) = getattr(fault, "faults", None) or fault.also
        assert fault.by == "the door"
        assert "might wait for itself" in str(fault)
        assert one.free == 2


# --- every end gives the turn back -----------------------------------------------------------------------------------


def ends() -> dict[str, tuple[AnyPlan, type[Any]]]:
    """Plans that end in every way, and what they end with."""
    return {
        "a value": (second, Success),
        "a fault": (second >> broken, ActionFailed),
        "a reason": (second >> fail(Stopped(reason="no")), Stopped),
        "a deadline inside": (second.timeout(0.5), TimedOut),
        "a fork": (parallel(second, broken, policy=ALL), ActionFailed),
        "a race": (parallel(second, same, policy=FIRST_COMPLETED), Success),
        "a question": (second >> ask("what?", into=NUMBER), Waiting),
    }


@pytest.mark.parametrize("end", list(ends()))
@on_both
def test_a_turn_is_given_back_whatever_the_end(on: Runner, end: str) -> None:
    plan, kind = ends()[end]
    log, one = Log(), Concurrency(1)
    outcome = on(lambda: arun(plan.limited(log).limited(one), Asked()))
    assert isinstance(outcome if kind is Success else outcome.failure(), kind)
    assert (log.held, one.free, log.lines) == (0, 1, [])


@on_both
def test_a_deadline_outside_gives_back_every_turn_inside_it(on: Runner) -> None:
    """R-C5: from the inside out, while a plan runs and while it waits."""
    logs, one = [Log(), Log()], Concurrency(1)
    plan = second.limited(logs[0]).limited(one).limited(logs[1]).timeout(0.5)
    beside = gather(plan.attempt(), plan.attempt())

    async def main() -> Any:
        outcome = await arun(beside, 0)
        assert [log.held for log in logs] == [0, 0]
        return outcome, anyio.current_time()

    outcome, _ = on(main)
    assert [type(one.failure()) for one in outcome.unwrap()] == [TimedOut, TimedOut]
    assert one.free == 1


def test_a_deadline_gives_back_every_turn_in_one_thread() -> None:
    clock, log, one = Clock(), Log(), Concurrency(1)
    slow: AnyPlan = task(lambda n: clock.sleep(1.0))
    plan = (slow >> slow).limited(log).limited(one).timeout(0.5)
    outcome = run(plan, 0, context=Context(clock=clock))
    assert isinstance(outcome.failure(), TimedOut)
    assert (log.held, one.free) == (0, 1)


@on_both
def test_a_cancelled_run_gives_back_every_turn(on: Runner) -> None:
    log, one = Log(), Concurrency(1)

    async def main() -> None:
        with anyio.move_on_after(0.5):
            await arun(gather(*[second.limited(log).limited(one)] * 3), 0)

    on(main)
    assert (log.held, one.free, one.waiting) == (0, 1, 0)
    assert len(log.lines) == 1


def test_a_run_that_is_interrupted_gives_back_every_turn() -> None:
    log, one = Log(), Concurrency(1)

    @task
    def pressed(n: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(pressed.limited(log).limited(one), 0)
    assert (log.held, one.free, log.lines) == (0, 1, ["KeyboardInterrupt"])


def test_a_run_that_nobody_ends_gives_back_what_it_can() -> None:
    """A loop that is closed in the middle: its coroutines are let go of, and nothing can be waited for."""
    log, one = Log(), Concurrency(1)
    loop = asyncio.new_event_loop()
    work = arun(second.limited(log).limited(one), 0)
    running = loop.create_task(work)
    loop.run_until_complete(asyncio.sleep(0))
    assert (log.held, one.free) == (1, 0)
    running._log_destroy_pending = False  # type: ignore[attr-defined]
    del running
    work.close()
    loop.close()
    gc.collect()
    assert (log.held, one.free) == (0, 1)


# --- limiters of a user's own ----------------------------------------------------------------------------------------


@on_both
def test_a_limiter_of_ones_own_needs_a_name_and_turns(on: Runner) -> None:
    busy, two = Busy(), TwoAtOnce()
    assert isinstance(on(lambda: arun(gather(*[task(busy.work).limited(two)] * 9), 0)), Success)
    assert busy.peak == 2


@pytest.mark.parametrize("where", ["enter", "leave"])
@on_both
def test_a_limiter_that_raises_is_a_fault_at_its_node(on: Runner, where: str) -> None:
    plan = same.limited(Log(where))
    for outcome in (run(plan, 5), on(lambda: arun(plan, 5))):
        fault = outcome.failure()
        assert isinstance(fault, ActionFailed)
        assert isinstance(fault.error, ValueError)
        assert fault.at == ()
        assert "limited by log" in str(fault)


def test_a_limiter_may_refuse() -> None:
    class Closed:
        name = "the office"

        @asynccontextmanager
        async def turn(self) -> AsyncGenerator[None, None]:
            raise Denied(self.name, "it is closed on Sundays")
            yield

    fault = run(same.limited(Closed()), 0).failure()
    assert isinstance(fault, Refused)
    assert "closed on Sundays" in str(fault)


def test_a_turn_that_really_waits_cannot_be_had_in_one_thread() -> None:
    assert isinstance(run(same.limited(Log(wait=0.1)), 0).failure(), WouldBlock)


@pytest.mark.parametrize("wrong", [3, threading.Lock(), anyio.Semaphore, None, AsyncLimiter(3)], ids=named_by)
def test_what_is_no_limiter_is_refused_in_one_line(wrong: Any) -> None:
    with pytest.raises(PlanError, match=r"\Alimited wants a limiter, with a name and turn\(\), not .+ Rate\(10"):
        same.limited(wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rate(0),
        lambda: Rate(-1),
        lambda: Rate(float("nan")),
        lambda: Rate(1, 0.0),
        lambda: Rate(1, float("inf")),
        lambda: Rate(1, burst=0),
        lambda: Rate(True),
        lambda: Concurrency(0),
        lambda: Concurrency(True),
        lambda: Concurrency(1.5),  # type: ignore[arg-type]
    ],
)
def test_what_bounds_nothing_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(PlanError, match=r"\A(n|seconds|burst|a concurrency) .*(is a|is) .*not "):
        make()


# --- as a value ------------------------------------------------------------------------------------------------------


def test_a_limited_plan_says_by_what() -> None:
    rate = Rate(5, name="the weather service")
    plan = same.limited(rate)
    assert plan == same.limited(rate)
    assert plan != same.limited(Rate(5, name="the weather service"))
    assert hash(plan) == hash(same.limited(rate))
    assert render(plan).splitlines()[0] == "limited by the weather service"
    for how in ("mermaid", "dot"):
        assert "limited by the weather service" in render(plan, how)
    assert f"how long {Log.name} makes it wait" in dry_run(same.limited(Log())).unknown
    assert repr(rate) == "Rate(5, burst=1, name='the weather service')"
    assert repr(Concurrency(2)) == "Concurrency(2, name='2 at once')"


def test_other_meanings_let_every_limiter_pass() -> None:
    rows: Monad[list[Any]] = Monad(unit=lambda a: [a], bind=lambda m, f: [b for a in m for b in f(a)])
    assert interpret(same.limited(Log("enter")), rows)(1) == [Success(1)]


@pytest.mark.parametrize("again", [False, True])
def test_a_durable_run_takes_turns_and_goes_on(again: bool) -> None:
    journal, rate = MemoryJournal(), Rate(1e6)
    plan = (same.limited(rate) >> (broken if again else identity)).limited(Concurrency(1))
    first = run(plan, 5, journal=journal)
    assert type(run(plan, 5, journal=journal)) is type(first)
    # Which limiter it is may be tuned while a run lies still, and that there is one may not change.
    tuned = (same.limited(Rate(3)) >> (broken if again else identity)).limited(Concurrency(9))
    assert can_resume(tuned, journal).change is None
    assert can_resume(same >> (broken if again else identity), journal).change is not None
