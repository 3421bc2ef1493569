"""The same seed gives the same run: ties, jitter, order and text, here and in another process."""

import itertools
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from clocks import SWEEP_SECONDS, Clock, Runner, on_asyncio, on_both
from hypothesis import given, settings
from hypothesis import strategies as st
from untyped import AnyPlan, arun, atraced, choose, focus, gather, loop_while, parallel, pure, run

from lambdacat import FIRST_COMPLETED, Context, Exponential, NBest, Success, collect, each, task
from lambdacat.testing import Sample, Slow, states, suspending_plans, virtual_asyncio_run
from lambdacat.testing.sample import ITEMS
from lambdacat.testing.strategies import NAPS


def _failing(_: Any) -> Any:
    raise OSError("again")


def jittered(times: int = 4) -> AnyPlan:
    return task(_failing).retry(Exponential(first=1.0, cap=8.0).jittered(0.5).times(times)).attempt()


def delays(seed: int, plan: AnyPlan, value: Any = 0) -> list[float]:
    clock = Clock()
    run(plan, value, context=Context(seed=seed, clock=clock))
    return clock.slept


def test_jitter_depends_on_the_seed_and_the_place_alone() -> None:
    """R-D1."""
    plan: AnyPlan = gather(jittered(), pure(lambda n: n) >> jittered())
    first = delays(1, plan)
    assert first == delays(1, plan)
    assert first != delays(2, plan)
    assert first[:4] != first[4:]
    assert len({tuple(delays(seed, plan)) for seed in range(40)}) >= 38


@on_both
def test_jitter_is_the_same_on_a_loop_as_in_one_thread(on: Runner) -> None:
    """R-D1, R-D4."""
    plan: AnyPlan = jittered(3)

    async def main() -> float:
        start = anyio.current_time()
        await arun(plan, 0, context=Context(seed=5))
        return anyio.current_time() - start

    inline: AnyPlan = (
        task(blocking="inline")(_failing).retry(Exponential(first=1.0, cap=8.0).jittered(0.5).times(3)).attempt()
    )
    plan = inline
    assert on(main) == pytest.approx(sum(delays(5, inline)))


@pytest.mark.parametrize(
    ("kind", "start"),
    [("rounds", 0), ("rounds of two steps", 0), ("parts", (1, 2, 3)), ("rounds of parts", (0, 0))],
)
def test_rounds_and_parts_have_delays_of_their_own(kind: str, start: Any) -> None:
    """R-D1: the place of a delay in the plan is not all that it depends on, and one seed gives the same ones again."""
    turn: AnyPlan = jittered(1) >> pure(lambda _: 0)
    rounds = iter(itertools.cycle([True, True, True, False]))
    plan: AnyPlan = {
        "rounds": loop_while(lambda _: next(rounds), jittered(1)),
        "rounds of two steps": loop_while(lambda _: next(rounds), turn),
        "parts": focus(each, jittered(1)),
        "rounds of parts": loop_while(lambda _: next(rounds), focus(each, turn)),
    }[kind]
    found = delays(1, plan, start)
    assert len(set(found)) == len(found) == (6 if kind == "rounds of parts" else 3)
    assert delays(1, plan, start) == found
    assert delays(2, plan, start) != found


# --- traces on a loop that shuffles ----------------------------------------------------------------------------------

LONG = 3600.0


def wandering() -> AnyPlan:
    """A plan of naps that end together: what goes on first is up to the loop."""
    row = NAPS[4] >> NAPS[8] >> NAPS[4]
    # Awaited, since no seed decides when a thread is done.
    tired: AnyPlan = task(Slow(_failing, 0.0)).retry(Exponential(first=1.0, cap=2.0).jittered(0.5).times(2))
    race: AnyPlan = parallel(NAPS[5], NAPS[6] >> NAPS[4], policy=FIRST_COMPLETED)
    return gather(*[row] * 6, race, (tired | NAPS[0]).timeout(LONG), focus(ITEMS >> each, task(Slow(abs, 1.0))))


def trace_of(plan: AnyPlan, value: Any, seed: int) -> bytes:
    """Everything that a traced run leaves, on virtual time and with what is ready in an order of the loop's seed.

    The seed of the run stays, or else jitter alone would tell two traces apart.
    """
    made: Any = virtual_asyncio_run(atraced(plan, context=Context(seed=5)), value, seed=seed)
    return "\n".join(map(repr, (made.value, *made.log.spans))).encode()


@pytest.mark.parametrize("count", [20, pytest.param(1_000, marks=pytest.mark.sweep)])
def test_the_same_seed_gives_the_same_trace_and_others_give_others(count: int) -> None:
    """R-D1: byte for byte; at least 95 of 100 seeds go ways of their own."""
    plan, value = wandering(), Sample(left=3, items=(1, 2, 3))
    first = [trace_of(plan, value, seed) for seed in range(count)]
    assert [trace_of(wandering(), value, seed) for seed in range(count)] == first
    print(f"{len(set(first))} traces of {count} seeds")
    assert len(set(first)) >= 0.95 * count


@settings(max_examples=20)
@given(suspending_plans(), states(), st.integers(0, 999))
def test_the_same_seed_gives_the_same_trace_of_any_plan(plan: AnyPlan, value: Sample, seed: int) -> None:
    """R-D1."""
    assert trace_of(plan, value, seed) == trace_of(plan, value, seed)


# --- another process -------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from test_determinism import told
print(told())
"""


def told() -> str:
    """Everything that a run says, as text."""
    clock = Clock()
    plan: AnyPlan = gather(jittered(), choose(lambda n: "ab"[n % 2], {"a": jittered(2), "b": pure(str)}), jittered(1))
    outcome = run(plan, 0, context=Context(seed=3, clock=clock))
    states: AnyPlan = parallel(
        *[pure(lambda s, k=k: {**s, f"key {k}": k}) for k in range(9)], policy=NBest(5, by=lambda s: 0)
    )
    merged = run(states, {"x": {"y"}})
    conflict = run(parallel(*[pure(lambda s, k=k: {**s, "same": k}) for k in range(4)]), {})
    traces = [trace_of(wandering(), Sample(left=3, items=(1, 2, 3)), seed) for seed in range(5)]
    return repr((clock.slept, str(outcome), merged, str(conflict), repr(plan), traces))


def test_another_process_with_another_hash_seed_says_the_same() -> None:
    """R-D1."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", PROGRAM.format(tests=str(Path(__file__).parent))]
    both = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONHASHSEED": seed},
        )
        for seed in ("0", "12345")
    ]
    (one, said), (two, also) = (process.communicate(timeout=20) for process in both)
    assert [process.returncode for process in both] == [0, 0], said + also
    assert one == two


@on_both
@pytest.mark.parametrize("count", [30, pytest.param(10_000, marks=pytest.mark.sweep)])
def test_ties_have_a_rule(on: Runner, count: int) -> None:
    """R-D2: equal times and equal scores, with the branches in any order of starting."""
    start, seed = time.monotonic(), random.randrange(10**9) if count > 30 else 1
    source, done = random.Random(seed), 0

    def branch(k: int, rests: int) -> AnyPlan:
        async def later(_: Any) -> int:
            await anyio.sleep(2 - rests * 0.5)
            for _ in range(1):
                await anyio.sleep(rests * 0.5)
            return k

        return task(later)

    async def main() -> None:
        nonlocal done
        for _ in range(count):
            width = source.randrange(2, 8)
            row = [branch(k, source.choice([1, 2])) for k in range(width)]
            best: AnyPlan = parallel(*row, policy=NBest(2, by=lambda _: 1.0), join=collect)
            assert await arun(best, 0) == Success((0, 1))
            rows = [branch(k, 1) for k in range(width)]
            assert await arun(parallel(*rows, policy=FIRST_COMPLETED), 0) == Success(0)
            done += 1
            if time.monotonic() - start > SWEEP_SECONDS:
                return

    on(main)
    print(f"{done} ties, seed {seed}, {time.monotonic() - start:.1f} s")


@on_both
def test_of_what_ends_in_one_tick_the_branch_written_first_wins_while_others_still_run(on: Runner) -> None:
    """R-D2."""

    def branch(name: str, seconds: float) -> AnyPlan:
        async def later(_: Any) -> str:
            await anyio.sleep(seconds)
            return name

        # Two actions, so that no branch is a single action that ends by itself.
        return pure(lambda n: n) >> task(later)

    one, two, rest = branch("one", 1), branch("two", 1), branch("rest", 9)

    async def main() -> None:
        assert await arun(parallel(one, two, rest, policy=FIRST_COMPLETED), 0) == Success("one")
        assert await arun(parallel(rest, two, one, policy=FIRST_COMPLETED), 0) == Success("two")

    on(main)


def test_what_happens_on_virtual_time_happens_again() -> None:
    """R-D1: the order of every effect, a hundred times."""

    def once() -> list[tuple[float, str]]:
        log: list[tuple[float, str]] = []

        def step(name: str, seconds: float) -> AnyPlan:
            async def later(n: int) -> int:
                log.append((anyio.current_time(), f"{name} begins"))
                try:
                    await anyio.sleep(seconds)
                finally:
                    log.append((anyio.current_time(), f"{name} ends"))
                return n

            return task(name=name)(later)

        plan: AnyPlan = gather(
            parallel(step("a", 1), step("b", 1), step("c", 2), policy=FIRST_COMPLETED),
            (step("d", 3) >> step("e", 1)).timeout(3.5) | step("f", 1),
            step("g", 1),
        )
        on_asyncio(lambda: arun(plan, 0))
        return log

    first = once()
    assert all(once() == first for _ in range(100))
