"""What a timeout says of blocking steps: how late it could cut off, what it left behind, what never got a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from clocks import Clock, Runner, on_asyncio, really_on_asyncio, really_on_both
from untyped import arun, gather, parallel

import lambdacat
from lambdacat import SETTLED, Context, GraceExceeded, Limits, Plan, Quorum, TimedOut, collect, run, task

SECONDS = 0.1
"""What a blocking step takes. Units: seconds."""
BOUND = 0.02

SHAPES: dict[str, Callable[[Any, float], Plan[Any, Any]]] = {
    "timeout": lambda step, bound: step.timeout(bound),
    "task": lambda step, bound: task(timeout=bound, blocking=step.blocking)(step.action),
    "parallel": lambda step, bound: parallel(step, step, timeout=bound),
    "settled": lambda step, bound: parallel(step, step, policy=SETTLED, join=collect, timeout=bound).map(
        lambda row: row[-1]
    ),
    "quorum": lambda step, bound: parallel(step, step, policy=Quorum(1), timeout=bound),
    "around branches": lambda step, bound: gather(step, step).timeout(bound),
}
shapes = pytest.mark.parametrize("shape", SHAPES)


def cut_off(outcome: Any) -> TimedOut:
    """The timeout in an outcome: the fault itself, that of a branch, or a settled one."""
    value = outcome.failure() if isinstance(outcome, lambdacat.Failure) else outcome.unwrap().failure()
    fault = value.faults[0] if isinstance(value, lambdacat.AllFailed) else value
    assert isinstance(fault, TimedOut)
    return fault


def sleeping(n: int) -> int:
    time.sleep(SECONDS)
    return n


@really_on_both
@shapes
def test_a_timeout_says_how_late_it_could_cut_off_whichever_node_it_is(on: Runner, shape: str) -> None:
    """R-C6."""
    fault = cut_off(on(lambda: arun(SHAPES[shape](task(sleeping), BOUND), 1)))
    assert (fault.late > SECONDS / 2, fault.abandoned, fault.unbegun) == (True, 0, 0)
    assert "it could only stop" in str(fault)


def left_behind(on: Runner, shape: str, bound: float) -> tuple[TimedOut, int]:
    """The timeout around blocking steps that do not end before it, and how many of them had begun."""
    begun, released = list[int](), threading.Event()

    def waiting(n: int) -> int:
        begun.append(n)
        released.wait(20)
        return n

    async def main() -> tuple[TimedOut, int]:
        fault = cut_off(await arun(SHAPES[shape](task(blocking="abandon")(waiting), bound), 1))
        return fault, len(begun)

    try:
        found: tuple[TimedOut, int] = on(main)
    finally:
        released.set()
    return found


@really_on_both
@pytest.mark.parametrize("shape", ["task", "settled", "around branches"])
def test_a_timeout_counts_the_threads_that_it_left_behind(on: Runner, shape: str) -> None:
    """R-C6."""
    branches = 1 if shape == "task" else 2
    # On a busy machine a thread may begin after the timeout has passed; then the next one is longer.
    rows = (left_behind(on, shape, BOUND * 2**attempt) for attempt in range(9))
    fault = next(fault for fault, begun in rows if begun == branches)
    assert (fault.late < SECONDS, fault.abandoned, fault.unbegun) == (True, branches, 0)


@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "quorum"])
def test_in_one_thread_a_timeout_says_how_late_it_was(shape: str) -> None:
    clock = Clock()

    def slow(n: int) -> int:
        clock.sleep(5.0)
        return n

    fault = cut_off(run(SHAPES[shape](task(slow), BOUND), 1, context=Context(clock=clock)))
    assert fault.late == pytest.approx(5.0 - BOUND)


def test_one_timeout_does_not_count_the_threads_of_another() -> None:
    step = task(blocking="abandon")(sleeping)
    both = gather(step.timeout(BOUND).attempt(), step.timeout(2 * BOUND).attempt())
    outcome = really_on_asyncio(lambda: arun(both, 1))
    assert [one.failure().abandoned for one in outcome.unwrap()] == [1, 1]


@really_on_both
def test_a_step_that_never_got_a_thread_says_so(on: Runner) -> None:
    over = threading.Event()

    def released(outcome: Any) -> Any:
        over.set()
        return outcome

    busy: Any = task(name="busy")(lambda n: over.wait(20))
    never = task(name="never")(lambda n: n)
    release: Any = task(blocking="inline")(released)
    plan = gather(busy, gather(never, never).timeout(BOUND).attempt() >> release)
    inner = on(lambda: arun(plan, 1, limits=Limits(threads=1))).unwrap()[1].failure()
    assert (inner.unbegun, inner.abandoned) == (2, 0)
    assert "2 blocking steps never began: all threads were busy, see Limits(threads=)" in str(inner)


@really_on_both
def test_what_another_node_kept_from_a_thread_is_not_told_of_a_later_timeout(on: Runner) -> None:
    over = threading.Event()

    async def wait(n: int) -> int:
        over.set()
        await anyio.sleep(20)
        return n

    async def fail(n: int) -> int:
        await anyio.sleep(BOUND)
        raise OSError("first")

    busy: Any = task(lambda n: over.wait(20))
    lost = gather(task(lambda n: n), task(fail)) | task(wait)
    plan = gather(busy, lost.timeout(5 * BOUND).attempt())
    fault = on(lambda: arun(plan, 1, limits=Limits(threads=1))).unwrap()[1].failure()
    assert isinstance(fault, TimedOut)
    assert fault.unbegun == 0


@pytest.mark.parametrize("shape", ["alone", "in a row", "in a branch", "inside another run"])
def test_a_late_clean_up_is_shown_where_it_stands_in_the_step_s_own_code(shape: str) -> None:
    """R-C4."""

    async def tidy_up() -> None:
        await asyncio.sleep(1000)

    @task
    async def stubborn(n: int) -> int:
        try:
            await asyncio.sleep(100)
        finally:
            await tidy_up()
        return n

    @task
    async def nested(n: int) -> Any:
        return await arun(stubborn, n)

    plans: dict[str, Plan[int, Any]] = {
        "alone": stubborn.timeout(1),
        "in a row": (stubborn >> stubborn).retry(0).timeout(1),
        "in a branch": gather(stubborn, stubborn).timeout(1),
        "inside another run": nested.timeout(1),
    }

    async def main() -> list[str]:
        with pytest.warns(GraceExceeded) as caught:
            await arun(plans[shape], 1)
        return [str(one.message) for one in caught]

    for text in on_asyncio(main):
        assert [line.split(" in ")[-1] for line in text.splitlines() if "test_overtime.py" in line][-2:] == [
            "stubborn",
            "tidy_up",
        ]
        assert "await asyncio.sleep(1000)" in text
        assert str(Path(lambdacat.__file__).parent) not in text
