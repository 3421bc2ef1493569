"""What the clean-up of something cancelled raises is seen, and how far a run had come that was cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from clocks import Runner, on_asyncio, on_both
from untyped import AnyPlan, arun, atraced, fail, focus, gather, loop_while, parallel, pure, run, when

from lambdacat import (
    FIRST_COMPLETED,
    SETTLED,
    CleanupFailed,
    Context,
    Limits,
    MemoryJournal,
    NBest,
    Stopped,
    Success,
    TimedOut,
    TooFew,
    collect,
    each,
    identity,
    task,
    value_or_raise,
)
from lambdacat.testing import virtual_run


def breaking(name: str, *, after: float = 0.0) -> AnyPlan:
    """A step that waits for ever, and whose clean-up raises, after a while of its own."""

    async def act(n: Any) -> Any:
        try:
            await anyio.sleep(1000)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(after)
            raise ConnectionError(name)

    return task(name=name)(act)


def late(name: str, seconds: float) -> AnyPlan:
    async def act(n: Any) -> Any:
        await anyio.sleep(seconds)
        raise ValueError(name)

    return task(name=name)(act)


async def add_later(n: int) -> int:
    await anyio.sleep(1)
    return n + 1


later: AnyPlan = task(add_later)
up: AnyPlan = pure(lambda n: n + 1)


def said(faults: Any) -> list[str]:
    return [str(getattr(fault, "error", fault)) for fault in faults]


# Bare and in a machine of its own; where the order of ending is not the order of writing.
SHAPES: dict[str, Callable[[AnyPlan], AnyPlan]] = {
    "bare": lambda plan: plan,
    "straight": lambda plan: up >> plan >> up,
    "retried": lambda plan: plan.retry(3) >> up,
    "with another to take its place": lambda plan: (plan | up).named("either"),
    "under a deadline": lambda plan: plan.timeout(1e6),
    "chosen": lambda plan: when(lambda n: True, up >> plan),
    "in a loop": lambda plan: loop_while(lambda n: True, plan),
    "in a fork": lambda plan: gather(identity, plan >> up),
    "a part": lambda plan: pure(lambda n: (n, n)) >> focus(each, plan, limit=1),
}


@on_both
@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_clean_up_of_siblings_raises_stands_beside_the_fault(on: Runner, shape: str) -> None:
    """R-E2: in written order, whichever ended first; nothing of the branch runs after its clean-up."""
    wrap = SHAPES[shape]
    branches = [wrap(breaking("first", after=0.2)), late("bad", 1), wrap(breaking("third", after=0.1))]
    fault = on(lambda: arun(gather(*branches), 1)).failure()
    assert str(fault.error) == "bad"
    assert said(fault.also) == ["first", "third"]
    assert [each.at[0] for each in fault.also] == [0, 2]
    assert "also   first raised ConnectionError: first" in str(fault)


@on_both
def test_every_leaf_of_nested_groups_is_in_the_exception_group(on: Runner) -> None:
    """R-E2."""
    inner = gather(breaking("a", after=0.3), gather(breaking("b"), later >> breaking("c", after=0.1)))
    outcome = on(lambda: arun(gather(inner, breaking("d"), late("bad", 5)), 1))
    with pytest.raises(ExceptionGroup) as caught:
        value_or_raise(outcome)
    assert list(map(str, caught.value.exceptions)) == ["bad", "a", "b", "c", "d"]
    assert [fault.at for fault in outcome.failure().also] == [(0, 0), (0, 1, 0), (0, 1, 1, 1), (1,)]


@on_both
def test_a_timeout_says_what_the_clean_up_raised(on: Runner) -> None:
    for plan in (breaking("a"), up >> breaking("a") | up, breaking("a").retry(3), later >> (breaking("a") >> up)):
        fault = on(lambda plan=plan: arun(plan.timeout(3), 1)).failure()
        assert isinstance(fault, TimedOut)
        assert said(fault.also) == ["a"]
    fault = on(lambda: arun(gather(breaking("a", after=0.2), later, breaking("c") >> up).timeout(3), 1)).failure()
    assert isinstance(fault, TimedOut)
    assert said(fault.also) == ["a", "c"]


@on_both
def test_so_does_the_timeout_of_a_group_whatever_its_policy(on: Runner) -> None:
    def group(**options: Any) -> Any:
        return on(lambda: arun(parallel(up, breaking("b"), breaking("c"), timeout=3, join=collect, **options), 1))

    assert said(group().failure().also) == ["b", "c"]
    few = group(policy=NBest(2, by=float)).failure()
    assert isinstance(few, TooFew)
    assert [said(fault.also) for fault in few.faults] == [["b"], ["c"]]
    first, *others = group(policy=SETTLED).unwrap()
    assert first == Success(2)
    assert [said(each.failure().also) for each in others] == [["b"], ["c"]]


@on_both
@pytest.mark.parametrize("shape", SHAPES)
def test_a_loser_whose_clean_up_fails_is_warned_about(on: Runner, shape: str) -> None:
    wrap = SHAPES[shape]
    race = parallel(wrap(breaking("a", after=0.1)), later, wrap(breaking("c")), policy=FIRST_COMPLETED, join=collect)
    with pytest.warns(CleanupFailed) as caught:
        assert on(lambda: arun(race, 1)) == Success((2,))
    told = [str(each.message) for each in caught if issubclass(each.category, CleanupFailed)]
    assert told == [f"a clean-up failed after a cancellation: {name} raised ConnectionError: {name}" for name in "ac"]


@on_both
def test_a_loser_that_fails_by_itself_is_nobodys(on: Runner) -> None:
    race = parallel(late("bad", 1), later, late("worse", 1), policy=FIRST_COMPLETED, join=collect)
    assert on(lambda: arun(race, 1)) == Success((2,))
    bad: AnyPlan = task(blocking="inline")(lambda n: 1 // 0)
    race = parallel(up >> identity, *[when(lambda n: True, bad)] * 9, policy=FIRST_COMPLETED, join=collect)
    assert on(lambda: arun(race, 1)) == Success((2,))


@on_both
def test_nor_is_a_sibling_whose_failure_is_only_being_written_down(on: Runner) -> None:
    async def act(n: int) -> int:
        for _ in range(n):
            await anyio.lowlevel.checkpoint()
        raise ValueError(n)

    outcome = on(lambda: arun(focus(each, task(act)), tuple(range(9)), journal=MemoryJournal()))
    assert isinstance(outcome.failure().error, ValueError)


@on_both
@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_that_is_cancelled_ends_cancelled_though_a_clean_up_raises(on: Runner, shape: str) -> None:
    async def main() -> bool:
        with anyio.move_on_after(5) as scope:
            await arun(SHAPES[shape](breaking("a")) >> fail(Stopped(reason="went on")), 1)
        return scope.cancelled_caught

    with pytest.warns(CleanupFailed, match="a raised ConnectionError"):
        assert on(main)


def test_a_cancellation_that_passes_has_a_note_of_the_clean_up() -> None:
    async def main() -> list[str]:
        running = asyncio.ensure_future(arun(gather(breaking("a"), later >> breaking("b")), 1))
        await asyncio.sleep(5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await running
        return list(caught.value.__notes__)

    # Warnings are errors here, and a warning must not take the place of a cancellation.
    assert on_asyncio(main) == [f"a clean-up failed: {name} raised ConnectionError: {name}" for name in "ab"]


@on_both
def test_a_run_inside_a_clean_up_fails_as_any_run_does(on: Runner) -> None:
    """What is cancelled there is the run around it."""
    inner: list[Any] = []

    async def act(n: int) -> int:
        try:
            await anyio.sleep(1000)
        finally:
            with anyio.CancelScope(shield=True):
                inner.append(await arun(up >> late("inner", 0.1) | late("other", 0.1), 1))
        return n

    outcome = on(lambda: arun(gather(task(act), late("bad", 1)), 1, limits=Limits(grace=5)))
    assert str(outcome.failure().error) == "bad"
    assert str(inner[0].failure().error) == "other"


@on_both
def test_a_traced_clean_up_that_fails_is_on_its_span(on: Runner) -> None:
    written = on(lambda: atraced(gather(later >> breaking("a"), late("bad", 5)))(1))
    assert {span.name: span.status for span in written.log.spans}["a"] == "failed"
    assert said(written.value.failure().also) == ["a"]


@on_both
def test_a_run_with_a_journal_warns_as_another_process_could_not_say_it(on: Runner) -> None:
    for plan in (breaking("a").timeout(1), gather(later, breaking("a") >> up, late("bad", 2))):
        with pytest.warns(CleanupFailed, match="a raised"):
            fault = on(lambda plan=plan: arun(plan, 1, journal=MemoryJournal())).failure()
        assert fault.also == ()


# --- how far it had come ---------------------------------------------------------------------------------------------


class Clock:
    """Time that only actions take."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


nap: AnyPlan = task(name="nap")(lambda n: anyio.sleep(1000))

REACHED: dict[str, tuple[AnyPlan, object]] = {
    "in the third of three": (later >> up >> nap, 12),
    "in the first": (nap >> later, 10),
    "after a choice": (later >> when(lambda n: True, later >> nap), 12),
    "in a branch": (later >> gather(later, later >> nap), 11),
    "in a part": (later >> pure(lambda n: (n, n)) >> focus(each, later >> nap), (11, 11)),
    "in a retry": (later >> (up >> nap).retry(2), 12),
    "between attempts": (later >> late("bad", 20).retry(99), 11),
    "in a loop": (loop_while(lambda n: n < 13, later) >> nap, 13),
    "in a straight run": (later >> up >> task(blocking="inline")(lambda n: n) >> nap, 12),
    "in a race": (later >> parallel(nap, nap, policy=FIRST_COMPLETED), 11),
    "at nothing": (later >> pure(lambda n: None) >> nap, None),
}


@on_both
@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("where", REACHED)
def test_a_timeout_has_the_last_value_that_was_reached(on: Runner, where: str, watched: bool) -> None:
    plan, expected = REACHED[where]
    plan = plan.timeout(50)
    outcome = on(lambda: atraced(plan)(10)).value if watched else on(lambda: arun(plan, 10))
    fault = outcome.failure()
    assert isinstance(fault, TimedOut)
    assert (fault.input, fault.last) == (10, expected)
    assert fault.name == "timeout 50 s"


@on_both
def test_of_deadlines_inside_each_other_each_has_its_own(on: Runner) -> None:
    caught: list[object] = []

    def keep(fault: Any) -> AnyPlan:
        caught.append(fault.last)
        return pure(lambda n: 100)

    plan = (later >> (up >> nap).timeout(5).recover(keep) >> up >> nap).timeout(50)
    assert on(lambda: arun(plan, 10)).failure().last == 101
    assert caught == [12]


def test_in_one_thread_it_is_the_value_that_came_too_late() -> None:
    clock = Clock()

    def slow(n: int) -> int:
        clock.sleep(30)
        return n + 1

    step: AnyPlan = task(slow)
    for plan, last in ((step >> step >> step, 12), (step, 11), (up >> step.retry(1) >> up >> step, 14)):
        fault = run(
            plan.timeout(50) if plan is not step else plan.timeout(20), 10, context=Context(clock=clock)
        ).failure()
        assert isinstance(fault, TimedOut)
        assert (fault.input, fault.last) == (10, last)


@on_both
def test_with_a_journal_it_is_what_the_node_was_given(on: Runner) -> None:
    journal = MemoryJournal()
    plan = (later >> nap).timeout(5)
    first, again = (on(lambda: arun(plan, 10, journal=journal)).failure() for _ in range(2))
    assert (first, first.last) == (again, again.last)
    assert first.last == 10


async def _group_that_breaks(_: int) -> int:
    async def breaks() -> None:
        try:
            await anyio.sleep(60)
        finally:
            raise ValueError("the group's clean-up")

    async with anyio.create_task_group() as group:
        group.start_soon(breaks)
        group.start_soon(anyio.sleep, 60)
    return 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("straight", [False, True])
@pytest.mark.parametrize("watch", [False, True])
def test_the_clean_up_of_a_group_in_an_action_is_one_like_any_other(backend: Any, straight: bool, watch: bool) -> None:
    """On trio a group that is cancelled and fails puts both into one exception."""
    broken = task(_group_that_breaks)
    if straight:
        broken = pure(abs) >> broken >> pure(abs)

    def ran(plan: Any) -> Any:
        if watch:
            return virtual_run(lambda plan, value: atraced(plan)(value), plan, 1, backend=backend).value
        return virtual_run(arun, plan, 1, backend=backend)

    late = ran(broken.timeout(5)).failure()
    assert (type(late), [type(fault.error) for fault in late.also]) == (TimedOut, [ExceptionGroup])
    assert ran(broken.timeout(5) | pure(lambda n: n)).unwrap() == 1

    async def soon(n: int) -> int:
        await anyio.sleep(1)
        return n

    async def fails(_: int) -> int:
        await anyio.sleep(1)
        raise OSError("first")

    with pytest.warns(CleanupFailed):
        assert ran(parallel(broken, task(soon), policy=FIRST_COMPLETED)).unwrap() == 1
    failed = ran(gather(broken, task(fails))).failure()
    assert (type(failed.error), [type(fault.error) for fault in failed.also]) == (OSError, [ExceptionGroup])
