"""Cancellation, deadlines and signals: what is left when something is cut off, anywhere, by anybody."""

import asyncio
import gc
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from clocks import (
    SWEEP_SECONDS,
    Busy,
    Clock,
    Runner,
    on_asyncio,
    on_both,
    on_trio,
    really_on_asyncio,
    really_on_both,
)
from untyped import AnyPlan, arun, choose, gather, loop_while, parallel, pure, run, sequence

from lambdacat import (
    ALL,
    FIRST_COMPLETED,
    SETTLED,
    Context,
    Failure,
    Fixed,
    Limits,
    NBest,
    Success,
    TimedOut,
    collect,
    task,
)
from lambdacat.effects.concurrent import GraceExceeded
from lambdacat.testing import Deadlock as DeadlockError
from lambdacat.testing.loop import VirtualLoop

POLICIES: dict[str, Any] = {
    "ALL": ALL,
    "FIRST_COMPLETED": FIRST_COMPLETED,
    "NBest": NBest(2, by=lambda _: 0),
    "SETTLED": SETTLED,
}
policies = pytest.mark.parametrize("policy", list(POLICIES.values()), ids=list(POLICIES))


class Ledger:
    """What branches began, and what they cleaned up."""

    def __init__(self) -> None:
        self.begun = self.ended = self.cut = 0

    def step(self, seconds: float, cleanup: float = 0.0, error: Exception | None = None) -> AnyPlan:
        @task(name=f"step {seconds:g}")
        async def step(value: Any) -> Any:
            self.begun += 1
            try:
                await anyio.sleep(seconds)
                if error is not None:
                    raise error
            finally:
                try:
                    if cleanup:
                        self.cut += 1
                        with anyio.CancelScope(shield=True):
                            await anyio.sleep(cleanup)
                        self.cut -= 1
                finally:
                    self.ended += 1
            return value

        return step

    @property
    def whole(self) -> bool:
        return self.begun == self.ended


async def cancelled_at(seconds: float, plan: AnyPlan, value: Any = 0, **options: Any) -> tuple[bool, float]:
    """Whether the run was cut off at that moment, and how long cancelling took."""
    with anyio.CancelScope() as scope:
        scope.deadline = anyio.current_time() + seconds
        await arun(plan, value, **options)
    return scope.cancelled_caught, anyio.current_time() - scope.deadline


def many_kinds(ledger: Ledger, policy: Any) -> AnyPlan:
    """A plan with every node that waits."""
    step = ledger.step
    short: AnyPlan = step(1, 0.125) >> step(1)
    inner: AnyPlan = parallel(step(2), short, step(3, 0.25), policy=policy, join=lambda value, _: value)
    chosen: AnyPlan = choose(lambda _: "a", {"a": inner})
    looped: AnyPlan = loop_while(lambda n: n < 2, inner >> pure(lambda n: n + 1)) >> pure(lambda _: 0)
    failing: AnyPlan = step(0.5, error=OSError("x")).retry(Fixed(0.5).times(2)) | inner
    raced: AnyPlan = parallel(chosen, looped.timeout(5.5), policy=FIRST_COMPLETED)
    return raced >> parallel(failing, step(4), policy=policy, join=lambda value, _: value, timeout=6) >> inner


@on_both
@policies
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.sweep)])
def test_an_outer_cancellation_leaves_nothing_behind(on: Runner, policy: Any, step: int) -> None:
    """A21, R-C1, R-C3: at every eighth of a second of a plan with every node that waits."""

    async def main() -> None:
        for tick in range(0, 200, step):
            ledger = Ledger()
            caught, took = await cancelled_at(tick / 8 + 1 / 64, many_kinds(ledger, policy))
            assert ledger.whole, tick
            assert took <= 0.25 + 1e-9, tick
            if not caught:
                assert tick > 8
                return
        raise AssertionError("the plan should have ended by itself")

    on(main)


async def _step_by_step(plan: AnyPlan, k: int, **options: Any) -> bool:
    """Whether the run ended before its task was cancelled, after ``k`` turns of the loop."""
    work = asyncio.ensure_future(arun(plan, 0, **options))
    for _ in range(k):
        if work.done():
            break
        await asyncio.sleep(0)
    ended = work.done()
    work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        assert work.cancelled()
        return False
    assert ended, f"a cancellation after {k} turns was swallowed"
    return True


@policies
def test_a_task_can_be_cancelled_at_every_turn_of_the_loop(policy: Any) -> None:
    """R-C3: during starts, joins, stops and clean-up alike."""

    def made(ledger: Ledger) -> AnyPlan:
        @task
        async def turning(n: int) -> int:
            ledger.begun += 1
            try:
                for _ in range(3):
                    await asyncio.sleep(0)
            finally:
                for _ in range(2):
                    try:
                        await asyncio.sleep(0)
                    except asyncio.CancelledError:
                        ledger.ended += 1
                        raise
                ledger.ended += 1
            return n

        @task
        async def quick(n: int) -> int:
            await asyncio.sleep(0)
            return n

        inner: AnyPlan = parallel(turning, quick, turning >> quick, policy=policy, join=lambda value, _: value)
        return inner >> (inner | quick).retry(1) >> inner.timeout(60)

    async def main() -> int:
        for k in itertools.count():
            ledger = Ledger()
            ended = await _step_by_step(made(ledger), k, limits=Limits(branches=2))
            assert ledger.whole, k
            if ended:
                return k
        return 0

    assert on_asyncio(main) > 8


@on_both
@policies
@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=pytest.mark.sweep)])
def test_losers_are_cancelled_and_awaited_before_the_node_returns(on: Runner, policy: Any, count: int) -> None:
    """R-C1: random times, faults and clean-ups; nothing happens after the return."""
    seed, start = random.randrange(10**9) if count > 100 else 5, time.monotonic()
    source = random.Random(seed)
    done = 0

    async def main() -> None:
        nonlocal done
        for _ in range(count):
            ledger = Ledger()
            steps = [
                ledger.step(
                    source.randrange(8) / 4,
                    source.choice([0, 0, 0.125]),
                    OSError("x") if source.random() < 0.3 else None,
                )
                for _ in range(source.randrange(1, 6))
            ]
            bound = source.choice([None, 0.5, 1.0])
            plan: AnyPlan = parallel(*steps, policy=policy, join=collect, timeout=bound)
            await arun(plan if source.random() < 0.5 else plan.timeout(0.75), 0)
            assert ledger.whole
            done += 1
            if time.monotonic() - start > SWEEP_SECONDS:
                return

    on(main)
    print(f"{done} races, seed {seed}, {time.monotonic() - start:.1f} s")


@on_both
def test_a_shielded_clean_up_completes(on: Runner) -> None:
    """R-C2."""
    ledger = Ledger()

    async def main() -> Any:
        start = anyio.current_time()
        outcome = await arun(gather(ledger.step(10, 0.05), ledger.step(1, error=OSError("x"))), 0)
        return outcome, anyio.current_time() - start

    outcome, took = on(main)
    assert isinstance(outcome, Failure)
    assert (ledger.whole, took) == (True, pytest.approx(1.05))


@on_both
@policies
def test_a_shielded_section_is_not_cut(on: Runner, policy: Any) -> None:
    """R-C2: one that was entered before the branch was cancelled, by a verdict or by the caller."""
    ledger = Ledger()
    failing = ledger.step(1.1, error=OSError("x"))
    plan: AnyPlan = parallel(ledger.step(1, 0.25), failing, ledger.step(1.1), policy=policy, join=collect)

    async def main() -> None:
        await arun(plan, 0)
        await arun(plan.timeout(1.05), 0)
        await cancelled_at(1.05, plan)

    on(main)
    assert (ledger.whole, ledger.cut) == (True, 0)


def committing(seconds: float, log: list[str]) -> AnyPlan:
    """A step that shields what it does from the first second on."""

    @task(name="commit")
    async def commit(value: Any) -> Any:
        await anyio.sleep(1)
        with anyio.CancelScope(shield=True):
            try:
                await anyio.sleep(seconds)
                log.append("committed")
            except BaseException:
                log.append("cut")
                raise
        await anyio.sleep(100)
        return value

    return commit


@on_both
def test_a_shielded_section_is_kept_at_a_timeout(on: Runner) -> None:
    """R-C2: without any branch beside it, the timeout comes when the section is over."""
    for wrap in (lambda p: p, lambda p: p >> pure(lambda n: n), lambda p: loop_while(lambda _: True, p)):
        log: list[str] = []
        fault = on(lambda wrap=wrap, log=log: arun(wrap(committing(0.25, log)).timeout(1.1), 0)).failure()
        assert isinstance(fault, TimedOut)
        assert log == ["committed"]
        assert fault.late == pytest.approx(0.15, abs=0.01)


def test_a_shield_that_outlasts_the_grace_is_broken() -> None:
    """R-C2: patience has an end, where the event loop lets it have one."""
    log: list[str] = []
    fault = on_asyncio(lambda: arun(committing(1000, log).timeout(1.1), 0)).failure()
    assert isinstance(fault, TimedOut)
    assert log == ["cut"]
    assert fault.late == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("on", "said"), [(on_asyncio, "it is cancelled again"), (on_trio, "it is waited for")], ids=["asyncio", "trio"]
)
def test_the_warning_says_what_is_done_about_a_branch_that_does_not_end(on: Runner, said: str) -> None:
    """R-C4: a shield of the branch's own cannot be broken on trio."""
    ledger = Ledger()

    async def main() -> list[str]:
        with pytest.warns(GraceExceeded) as caught:
            await arun(gather(ledger.step(10, 0.7), ledger.step(1, error=OSError("x"))), 0)
        return [str(warning.message) for warning in caught]

    texts = on(main)
    assert len(texts) == 1
    assert f"branch 0 of gather was cancelled and has not ended after 0.5 s; {said}" in texts[0]
    assert all(other not in texts[0] for other in {"it is cancelled again", "it is waited for"} - {said})


def test_a_clean_up_that_never_ends_is_ended_after_the_grace() -> None:
    """R-C2: with a warning that says where it stands."""
    ended: list[float] = []

    @task
    async def stubborn(n: int) -> int:
        try:
            await asyncio.sleep(100)
        finally:
            try:
                await asyncio.sleep(1000)
            finally:
                ended.append(asyncio.get_running_loop().time())
        return n

    async def main() -> Any:
        with pytest.warns(GraceExceeded, match="has not ended after 0.5 s") as caught:
            outcome = await arun(gather(stubborn, Ledger().step(1, error=OSError("x"))), 0)
        return outcome, [str(w.message) for w in caught]

    outcome, texts = on_asyncio(main)
    assert outcome.failure().at == (1,)
    assert ended == [pytest.approx(1.5)]
    assert any("stubborn" in text and "test_cancellation" in text for text in texts)


@pytest.mark.parametrize("times", [5, 1_000])
def test_a_branch_that_swallows_cancellation_is_asked_again_each_grace(times: int) -> None:
    """R-C4: again after every grace, for as long as it swallows."""
    asked: list[float] = []

    @task
    async def swallowing(n: int) -> int:
        while len(asked) < times:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                asked.append(asyncio.get_running_loop().time())
        return n

    async def main() -> Any:
        with pytest.warns(GraceExceeded) as caught:
            outcome = await arun(gather(swallowing, Ledger().step(1, error=OSError("x"))), 0)
        return outcome, len(caught)

    outcome, warned = on_asyncio(main)
    assert outcome.failure().at == (1,)
    assert asked == pytest.approx([1 + 0.5 * k for k in range(times)])
    assert warned == times - 1


@pytest.mark.parametrize("kind", ["branch", "timeout"])
def test_the_caller_s_cancellation_wins_over_a_warning_made_an_error(kind: str) -> None:
    """R-C3, R-C4."""

    @task
    async def stubborn(n: int) -> int:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(0.7)
        return n

    plan: AnyPlan = gather(stubborn, stubborn) if kind == "branch" else stubborn.timeout(50)

    async def main() -> Any:
        work = asyncio.ensure_future(arun(plan | pure(lambda _: "went on"), 0))
        await asyncio.sleep(1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            work.cancel()
            try:
                return await work
            except asyncio.CancelledError:
                return "cancelled"

    assert on_asyncio(main) == "cancelled"


@on_both
def test_the_least_of_the_enclosing_deadlines_counts_and_its_node_is_named(on: Runner) -> None:
    """R-C5: exactly, on virtual time."""
    nap = Ledger().step(100)
    done: AnyPlan = pure(lambda n: n)
    cases: list[tuple[AnyPlan, float, float]] = [
        ((done >> nap.timeout(5)).timeout(2), 2, 2),
        ((done >> nap.timeout(2)).timeout(5), 2, 2),
        ((done >> (done >> nap.timeout(7)).timeout(9)).timeout(8), 7, 7),
        (((nap.timeout(1) | nap.timeout(1)) >> done).timeout(1.5), 1.5, 1.5),
        ((nap.timeout(1).retry(Fixed(1)) >> done).timeout(4.5), 4.5, 4.5),
        (gather(nap.timeout(3), nap).timeout(4) >> done, 3, 3),
        (parallel(nap.timeout(30), nap, timeout=6).timeout(7), 6, 6),
        (sequence(*[Ledger().step(1)] * 5).timeout(2.5) >> done, 2.5, 2.5),
    ]

    async def main() -> Any:
        found = []
        for plan, _, _ in cases:
            start = anyio.current_time()
            found.append((await arun(plan, 0), anyio.current_time() - start))
        return found

    for (outcome, took), (plan, owner, at) in zip(on(main), cases, strict=True):
        fault = outcome.failure()
        assert isinstance(fault, TimedOut), plan
        assert fault.seconds == owner, plan
        assert took == pytest.approx(at, abs=1e-9), plan


@on_both
def test_the_deadline_of_an_action_s_own_scope_and_ours_may_be_the_same(on: Runner) -> None:
    """R-C5: whoever wins, the task is not left cancelled, and an outer one is never swallowed."""

    @task
    async def scoped(n: int) -> int:
        with anyio.move_on_after(1):
            await anyio.sleep(10)
        return n

    async def main() -> Any:
        first = await arun(scoped.timeout(1) | pure(lambda _: "late"), 0)
        await anyio.sleep(5)
        second = await arun(gather(scoped.timeout(1), scoped, Ledger().step(1)).timeout(1).attempt(), 0)
        await anyio.sleep(5)
        with anyio.move_on_after(1) as outer:
            await arun(Ledger().step(10).timeout(1).attempt() >> Ledger().step(1), 0)
        await anyio.sleep(5)
        return first, second, outer.cancelled_caught

    first, _, outer = on(main)
    assert first in (Success("late"), Success(0))
    assert outer


def test_asyncio_s_own_timeouts_and_groups_go_around_and_inside() -> None:
    """R-C5, R-C7."""

    @task
    async def timed(n: int) -> int:
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(10)
        except TimeoutError:
            return n + 1
        return n

    @task
    async def grouped(n: int) -> int:
        async with asyncio.TaskGroup() as group:
            one = group.create_task(asyncio.sleep(0.1, n + 1))
        async with anyio.create_task_group() as other:
            other.start_soon(anyio.sleep, 0.1)
        return one.result()

    @task
    async def nested(n: int) -> Any:
        return (await arun(gather(timed, grouped).timeout(5), n)).unwrap()[1]

    async def main() -> Any:
        me: Any = asyncio.current_task()
        found = await arun(gather(timed, grouped, nested, timed.timeout(0.5).attempt()), 1)
        async with asyncio.timeout(100):
            async with asyncio.TaskGroup() as group:
                runs = [group.create_task(arun(gather(timed, nested), k)) for k in range(3)]
        late = None
        try:
            async with asyncio.timeout(0.5):
                await arun(gather(timed, timed).timeout(0.5) | timed, 1)
        except TimeoutError:
            late = "outer"
        return found, [r.result() for r in runs], late, me.cancelling()

    found, rows, late, cancelling = on_asyncio(main)
    one, two, three, cut = found.unwrap()
    assert (one, two, three) == (2, 2, 2)
    assert isinstance(cut.failure(), TimedOut)
    assert rows == [Success((k + 1, k + 1)) for k in range(3)]
    assert (late, cancelling) == ("outer", 0)


def test_a_swallowed_timeout_starts_no_further_step() -> None:
    """A23, R-C4."""
    begun: list[str] = []

    @task
    async def swallowing(n: int) -> int:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            begun.append("swallowed")
            if len(begun) > 20:
                raise
        return n

    @task
    async def following(n: int) -> int:
        begun.append("following")
        await asyncio.sleep(0.1)
        return n

    async def main() -> Any:
        plans: list[AnyPlan] = [
            (swallowing >> following).timeout(1),
            (swallowing >> gather(following, following)).timeout(1),
            loop_while(lambda _: True, swallowing).timeout(1),
        ]
        return [await arun(plan, 0) for plan in plans]

    for outcome in on_asyncio(main):
        assert isinstance(outcome.failure(), TimedOut)
        assert outcome.failure().late == pytest.approx(0)
    assert begun == ["swallowed"] * 3


class _Coarse(VirtualLoop):
    """A loop whose clock is as coarse as that of some systems: timers may come 15 ms early."""

    def __init__(self) -> None:
        super().__init__()
        self._clock_resolution = 0.0156


def test_a_timer_that_comes_early_still_counts() -> None:
    """R-C5."""
    nap = Ledger().step(100)

    async def main() -> Any:
        async def ticking() -> None:
            while True:  # noqa: ASYNC110  a timer for its own sake
                await asyncio.sleep(0.01)

        noise = asyncio.ensure_future(ticking())
        found = []
        plans: list[AnyPlan] = [parallel(nap, nap, timeout=0.995), gather(nap, nap).timeout(0.995)]
        for plan in plans:
            start = asyncio.get_running_loop().time()
            found.append((await arun(plan, 0), asyncio.get_running_loop().time() - start))
        noise.cancel()
        return found

    with asyncio.Runner(loop_factory=_Coarse) as runner:
        for outcome, took in runner.run(main()):
            assert isinstance(outcome.failure(), TimedOut)
            assert took == pytest.approx(0.995, abs=0.02)


# --- threads ---------------------------------------------------------------------------------------------------------


@really_on_both
def test_a_blocking_action_that_never_got_a_thread_is_not_waited_for(on: Runner) -> None:
    """R-L1, R-C3: cancelled in the queue for a thread."""
    begun: list[int] = []

    def slow(n: int) -> int:
        begun.append(n)
        time.sleep(0.15)
        return n

    async def main() -> Any:
        limits = Limits(threads=1)
        lost = await arun(gather(*[task(slow)] * 4).timeout(0.05), 0, limits=limits)
        await anyio.sleep(0.1)
        return lost, len(begun)

    lost, count = on(main)
    assert isinstance(lost.failure(), TimedOut)
    assert count == 1


@really_on_both
def test_a_blocking_loser_of_a_race_that_is_won_at_once_is_waited_for(on: Runner) -> None:
    """A08, R-C3."""
    ended: list[int] = []

    begun: list[int] = []

    def blocking(n: int) -> int:
        begun.append(n)
        time.sleep(0.01)
        ended.append(n)
        return n

    async def main() -> Any:
        found = set()
        # The more turns, the surer the thread has begun when the other branch wins.
        for turns in (0, 1, 2, 3, 5, 50, 500, 5_000):

            @task
            async def turning(n: int, turns: int = turns) -> str:
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                return "quick"

            found.add((await arun(parallel(turning, task(blocking), policy=FIRST_COMPLETED), 1)).unwrap())
            assert len(ended) == len(begun), "a run was over before the thread that it had begun"
        return found

    assert on(main) <= {"quick", 1}
    assert begun


@really_on_both
def test_a_timeout_of_a_blocking_call_states_the_truth(on: Runner) -> None:
    """R-C6: waited for and late, or abandoned and counted; the late result is never merged."""
    ended: list[str] = []

    def blocking(state: dict[str, int]) -> dict[str, int]:
        time.sleep(0.3)
        ended.append("ended")
        return {**state, "late": 1}

    waiting: AnyPlan = task(name="w")(blocking)
    abandoning: AnyPlan = task(blocking="abandon")(blocking)

    async def main() -> Any:
        start = anyio.current_time()
        late = await arun(waiting.timeout(0.05), {})
        middle = anyio.current_time()
        lost = await arun(abandoning.timeout(0.05) | pure(lambda s: s), {"kept": 1})
        fault = await arun(abandoning.timeout(0.05), {})
        took = anyio.current_time() - middle
        while len(ended) < 3:  # noqa: ASYNC110  threads that nobody waits for
            await anyio.sleep(0.01)
        return late.failure(), middle - start, lost, fault.failure(), took

    late, first, lost, fault, took = on(main)
    print(f"waited {first:.3f} s, abandoned twice in {took:.3f} s")
    assert isinstance(late, TimedOut)
    assert late.late > 0.2
    assert late.abandoned == 0
    assert first >= 0.3
    assert "could only stop" in str(late)
    assert lost == Success({"kept": 1})
    assert fault.abandoned == 1
    assert took < 0.28
    assert len(ended) == 3


def test_a_run_of_blocking_actions_is_stopped_between_two_of_them() -> None:
    """A23, R-C6."""
    begun: list[int] = []

    def slow(n: int) -> int:
        begun.append(n)
        time.sleep(0.05)
        return n + 1

    async def main() -> Any:
        return await arun(sequence(*[task(slow)] * 10).timeout(0.12), 0)

    outcome = really_on_asyncio(main)
    time.sleep(0.1)
    assert isinstance(outcome.failure(), TimedOut)
    assert len(begun) < 6


@really_on_both
def test_cancelling_while_a_thread_works_waits_for_it(on: Runner) -> None:
    """R-C3."""
    ended: list[int] = []

    def blocking(n: int) -> int:
        time.sleep(0.15)
        ended.append(n)
        return n

    async def main() -> int:
        with anyio.move_on_after(0.05) as scope:
            await arun(gather(task(blocking), task(blocking) >> task(blocking)), 1)
        assert scope.cancelled_caught
        return len(ended)

    assert on(main) == 2


@really_on_both
def test_a_run_from_a_worker_thread_of_a_run_works(on: Runner) -> None:
    """R-L1: with a single thread for each run."""

    def reentering(n: int) -> Any:
        return anyio.from_thread.run(_inner, n).unwrap() + run(task(lambda k: k + 1), n).unwrap()

    async def _inner(n: int) -> Any:
        return await arun(gather(task(lambda k: k), task(lambda k: k)) >> pure(sum), n, limits=Limits(threads=1))

    assert on(lambda: arun(gather(*[task(reentering)] * 3), 1, limits=Limits(threads=1))) == Success((4, 4, 4))


def test_many_threads_may_run_one_fresh_plan_at_once() -> None:
    """R-D1: what a plan remembers of itself is no race."""
    for _ in range(20):
        body: AnyPlan = task(lambda n: n + 1) >> pure(lambda n: n * 2) >> task(lambda n: n - 1)
        plan: AnyPlan = loop_while(lambda n: n < 50, gather(body, body) >> pure(sum)) >> choose(
            lambda n: n % 2, {0: body, 1: body >> body}
        )
        found: list[Any] = []
        barrier = threading.Barrier(8)

        def work(plan: AnyPlan = plan, barrier: Any = barrier, found: list[Any] = found) -> None:
            barrier.wait()
            found.append((run(plan, 1), hash(plan), repr(plan)))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert all(one == found[0] for one in found)


# --- scopes, generators, retries -------------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("count", [50, pytest.param(10_000, marks=pytest.mark.sweep)])
def test_no_cancellation_strays_from_a_run(on: Runner, count: int) -> None:
    """R-C7: timeouts, races and generators cut short, again and again, in one task."""
    start = time.monotonic()
    done = 0

    @task
    async def counting(n: int) -> Any:
        with anyio.CancelScope():
            for i in range(n):
                yield i
                await anyio.sleep(1)

    step = Ledger().step
    plan: AnyPlan = gather(
        (counting >> step(1)).timeout(1.5).attempt(),
        parallel(step(1), step(1), counting, policy=FIRST_COMPLETED),
        (step(3).timeout(1) | step(1)).timeout(2.5),
        parallel(step(5), step(1), policy=SETTLED, join=collect, timeout=1),
    )

    async def main() -> None:
        nonlocal done
        for _ in range(count):
            assert isinstance(await arun(plan, 9), Success)
            await anyio.sleep(3)
            done += 1
            if time.monotonic() - start > SWEEP_SECONDS:
                return

    on(main)
    print(f"{done} runs in {time.monotonic() - start:.1f} s")


@on_both
def test_cancellation_is_never_retried_recovered_or_attempted(on: Runner) -> None:
    """R-E4."""
    ledger = Ledger()
    step = ledger.step(10)
    plan: AnyPlan = (step.retry(5) | pure(lambda _: "recovered")).attempt().retry(Fixed(0.0))

    async def main() -> Any:
        return await cancelled_at(1, gather(plan, plan))

    assert on(main) == (True, pytest.approx(0))
    assert ledger.begun == 2


def test_a_branch_that_was_cancelled_by_somebody_else_is_no_value() -> None:
    """R-E4."""

    async def main() -> Any:
        lost: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        lost.cancel()

        @task
        async def waiting(_: Any) -> int:
            return await lost

        for plan in (waiting | pure(lambda _: 1), gather(waiting | pure(lambda _: 1), Ledger().step(1))):
            with pytest.raises(asyncio.CancelledError):
                await arun(plan, 0)
        me: Any = asyncio.current_task()
        return me.cancelling()

    assert on_asyncio(main) == 0


@on_both
@pytest.mark.parametrize("width", [1, 2, 3])
def test_no_permit_is_lost_or_made_by_timeouts_and_cancellations(on: Runner, width: int) -> None:
    """R-C3, R-L6: a fork inside a branch gives its place back while it waits, whatever ends it."""
    busy = Busy()
    work: AnyPlan = task(busy.work)
    slow = Ledger().step(10)
    failing = Ledger().step(0.5, error=OSError("x"))
    cut: AnyPlan = parallel(slow, slow, join=collect).timeout(1) | work
    lost: AnyPlan = parallel(failing, work, join=collect) | work
    raced: AnyPlan = parallel(work, slow, policy=FIRST_COMPLETED) >> work
    plan: AnyPlan = gather(gather(cut, cut, raced), gather(lost, cut), gather(raced, gather(lost, raced)))

    async def main() -> Any:
        for seconds in (0.5, 1.25, 2.5, 4.5):
            await cancelled_at(seconds, plan, limits=Limits(branches=width))
        return await arun(plan, 0, limits=Limits(branches=width))

    assert isinstance(on(main), Success)
    assert busy.peak <= width


def test_waiting_for_what_never_comes_is_seen_by_the_virtual_loop() -> None:
    """R-D3."""

    async def main() -> Any:
        never = asyncio.Event()

        @task
        async def waiting(n: int) -> int:
            await never.wait()
            return n

        return await arun(gather(waiting, waiting), 1)

    with pytest.raises(DeadlockError):
        on_asyncio(main)
    gc.collect()


def test_delays_in_one_thread_never_pass_a_deadline() -> None:
    """R-C5."""
    clock = Clock()

    def failing(_: Any) -> Any:
        raise OSError("again")

    fault = run(task(failing).retry(Fixed(2.0)).timeout(5), 0, context=Context(clock=clock)).failure()
    assert isinstance(fault, TimedOut)
    assert (clock.now, fault.late) == (5, 0)


# --- signals and the end of the program ------------------------------------------------------------------------------

PROGRAM = """
import asyncio, os, signal, sys, time, warnings
import anyio
from lambdacat import *
from lambdacat import ALL, FIRST_COMPLETED, NBest, SETTLED, arun, collect, gather, parallel, run, task

def say(*words):
    print(*words, flush=True)
"""


def program(body: str, *, seconds: float = 5) -> subprocess.CompletedProcess[str]:
    """The body as a program of its own, ended after ``seconds``."""
    code = PROGRAM.replace("from lambdacat import *\n", "") + body
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONWARNINGS": "default"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=seconds, env=environment, check=False
    )


STEPS = """
async def careful(n):
    say("begun")
    try:
        await anyio.sleep(30)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.05)
        say("cleaned")
"""
START = {
    "asyncio": "asyncio.run(main())",
    "trio": "import trio; trio.run(main)",
}


ENDINGS = [
    ("KeyboardInterrupt", "branch", "asyncio"),
    ("KeyboardInterrupt", "chain", "trio"),
    ("SystemExit", "branch", "trio"),
    *(
        pytest.param(error, where, backend, marks=pytest.mark.sweep)
        for error in ("KeyboardInterrupt", "SystemExit")
        for where in ("branch", "only", "chain")
        for backend in START
    ),
]


@pytest.mark.parametrize(("error", "where", "backend"), ENDINGS)
def test_what_ends_the_program_ends_it_as_itself(error: str, where: str, backend: str) -> None:
    """R-E3: from a branch; the sibling cleans up, nothing hangs."""
    ending = {
        "branch": "gather(task(ending), task(careful), task(careful))",
        "only": "task(ending)",
        "chain": "gather(task(first) >> task(ending), task(careful), task(careful)).timeout(20)",
    }[where]
    done = program(
        STEPS
        + f"""
async def first(n):
    await anyio.sleep(0.01)
async def ending(n):
    await anyio.sleep(0.1)
    raise {error}("done")
async def main():
    await arun({ending}, 1)
try:
    {START[backend]}
except BaseException as caught:
    while isinstance(caught, BaseExceptionGroup) and len(caught.exceptions) == 1:
        say("group")
        caught = caught.exceptions[0]
    say("left", type(caught).__name__)
"""
    )
    assert f"left {error}" in done.stdout, done
    assert "group" not in done.stdout, done
    assert done.stdout.count("begun") == done.stdout.count("cleaned") == (0 if where == "only" else 2), done


@pytest.mark.parametrize(
    "where",
    ["thread", pytest.param("cleanup", marks=pytest.mark.sweep), pytest.param("direct", marks=pytest.mark.sweep)],
)
def test_what_ends_the_program_from_a_thread_or_a_clean_up_never_hangs(where: str) -> None:
    """R-E3."""
    plan = {
        "thread": "arun(gather(task(blocking), task(careful)), 1)",
        "cleanup": "arun(gather(task(failing), task(unclean)), 1)",
        "direct": "asyncio.sleep(0, run(gather(task(blocking), task(blocking)), 1))",
    }[where]
    done = program(
        STEPS
        + f"""
def blocking(n):
    time.sleep(0.1)
    raise KeyboardInterrupt
async def failing(n):
    await anyio.sleep(0.1)
    raise OSError
async def unclean(n):
    try:
        await anyio.sleep(10)
    finally:
        raise KeyboardInterrupt
async def main():
    await {plan}
try:
    asyncio.run(main())
except BaseException as caught:
    say("left", type(caught).__name__)
"""
    )
    assert "left KeyboardInterrupt" in done.stdout, done
    assert done.stdout.count("begun") == done.stdout.count("cleaned"), done


@really_on_both
@pytest.mark.parametrize("where", ["thread", pytest.param("thread after another", marks=pytest.mark.sweep), "clean-up"])
@pytest.mark.parametrize("cut_by", ["lost race", "failing sibling", "timeout", "cancellation"])
def test_what_ends_the_program_leaves_a_fork_that_is_cut_off(on: Runner, where: str, cut_by: str) -> None:
    """R-E3: from a branch that has been cancelled already."""
    begun, goes_on = threading.Event(), threading.Event()

    def blocking(_: int) -> int:
        begun.set()
        goes_on.wait(10)
        raise SystemExit("done")

    async def first(n: int) -> int:
        return n

    async def unclean(_: int) -> int:
        begun.set()
        try:
            await anyio.sleep(10)
        finally:
            raise SystemExit("done")

    async def cut() -> None:
        while not begun.is_set():  # noqa: ASYNC110  it is set in a thread
            await anyio.sleep(0.005)
        threading.Timer(0.05, goes_on.set).start()
        await anyio.sleep(0.01)

    async def quick(n: int) -> int:
        await cut()
        return n

    async def fails(_: int) -> int:
        await cut()
        raise OSError

    step: AnyPlan = {
        "thread": task(blocking),
        "thread after another": task(first) >> task(blocking),
        "clean-up": task(first) >> task(unclean),
    }[where]
    plan: AnyPlan = {
        "lost race": parallel(task(quick), step, policy=FIRST_COMPLETED),
        "failing sibling": gather(task(fails), step),
        "timeout": gather(step, step).timeout(0.2),
        "cancellation": gather(step, gather(step, step)),
    }[cut_by]

    async def main() -> Any:
        # Set by a timer, while the branch that waits for its thread is cancelled already.
        timer = threading.Timer(0.3, goes_on.set)
        timer.start()
        try:
            with anyio.move_on_after(0.2 if cut_by == "cancellation" else 10):
                return await arun(plan, 1)
        finally:
            timer.cancel()
            timer.join()

    with pytest.raises(SystemExit, match="done"):
        on(main)


def signalled(number: int, policy: str, delay: float, backend: str = "asyncio") -> tuple[str, int, float]:
    """What a program says that is sent a signal while three branches run, how it exits, and how long that takes."""
    body = (
        STEPS
        + f"""
async def main():
    await arun(parallel(task(careful), task(careful) >> task(careful), task(careful), policy={policy}, join=collect), 1)
def stop(*_):
    raise SystemExit(3)
signal.signal(signal.SIGTERM, stop)
{START[backend]}
"""
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", PROGRAM.replace("from lambdacat import *\n", "") + body]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        time.sleep(delay)
        start = time.monotonic()
        process.send_signal(number)
        try:
            rest, _ = process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return "".join(lines) + rest, process.returncode, time.monotonic() - start


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_cleans_up_and_exits(backend: str) -> None:
    """R-C8."""
    text, code, took = signalled(signal.SIGINT, "ALL", 0.05, backend)
    print(f"exit {code} after {took:.2f} s")
    assert text.count("cleaned") == 3
    assert code != 0
    assert took < 1.5


@pytest.mark.sweep
@pytest.mark.parametrize("policy", ["ALL", "FIRST_COMPLETED", "SETTLED", "NBest(2, by=float)"])
def test_ctrl_c_cleans_up_at_any_moment(policy: str) -> None:
    """R-C8."""
    seed, start, done, slowest = random.randrange(10**9), time.monotonic(), 0, 0.0
    source = random.Random(seed)
    while done < 100 and time.monotonic() - start < SWEEP_SECONDS:
        number = source.choice([signal.SIGINT])
        text, code, took = signalled(number, policy, source.random() / 5)
        assert (text.count("cleaned"), code != 0) == (3, True)
        slowest = max(slowest, took)
        done += 1
    print(f"{done} signals, seed {seed}, slowest exit {slowest:.2f} s")
