"""The same seed gives the same run: ties, jitter, order and text, here and in another process."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from clocks import Clock, Runner, on_asyncio, on_both

import lambdacat
from lambdacat import FIRST_COMPLETED, Context, Exponential, NBest, Success, collect, each, task

# Plans that are odd or wrong on purpose: what checkers say of right ones is stated where the types are tested.
arun: Any = lambdacat.arun
choose: Any = lambdacat.choose
focus: Any = lambdacat.focus
gather: Any = lambdacat.gather
loop_while: Any = lambdacat.loop_while
parallel: Any = lambdacat.parallel
pure: Any = lambdacat.pure
run: Any = lambdacat.run

AnyPlan = Any


def _failing(_: Any) -> Any:
    raise OSError("again")


def jittered(times: int = 4) -> AnyPlan:
    return task(_failing).retry(Exponential(first=1.0, cap=8.0).jittered(0.5).times(times)).attempt()


def delays(seed: int, plan: AnyPlan) -> list[float]:
    clock = Clock()
    run(plan, 0, context=Context(seed=seed, clock=clock))
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


def test_rounds_and_parts_have_delays_of_their_own() -> None:
    """R-D1."""
    looped: AnyPlan = loop_while(lambda n: n < 3, jittered(1) >> pure(lambda _: 3)).attempt()
    parts: AnyPlan = focus(each, jittered(1))
    clock = Clock()
    run(parts, (1, 2, 3), context=Context(seed=1, clock=clock))
    assert len(set(clock.slept)) == 3
    assert len(delays(1, looped)) == 1


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
    return repr((clock.slept, str(outcome), merged, str(conflict), repr(plan)))


def test_another_process_with_another_hash_seed_says_the_same() -> None:
    """R-D1."""
    texts = set()
    for seed in ("0", "12345"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent.parent)}
        command = [sys.executable, "-c", PROGRAM.format(tests=str(Path(__file__).parent))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        texts.add(done.stdout)
    assert len(texts) == 1


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
            if time.monotonic() - start > 50:
                return

    on(main)
    print(f"{done} ties, seed {seed}, {time.monotonic() - start:.1f} s")


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
