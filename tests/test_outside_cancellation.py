"""A run that is cancelled from outside ends within its grace, whatever its clean-up waits for, and leaves no mark."""

from __future__ import annotations

import asyncio
import warnings
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest
from untyped import arun, atraced, gather

from lambdacat import GraceExceeded, Limits, pure, task
from lambdacat.testing import virtual_asyncio_run

GRACE = 0.5


def cleaning(seconds: float, log: list[str], swallows: bool = False) -> Any:
    """A step whose clean-up takes so long."""

    async def step(n: int) -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if not swallows:
                raise
            log.append("swallowed")
        finally:
            await asyncio.sleep(seconds)
            log.append("cleaned up")
        return n

    return task(step)


SHAPES: dict[str, Any] = {
    "one step": lambda step: step,
    "straight": lambda step: pure(lambda n: n) >> step >> pure(lambda n: n),
    "under a timeout": lambda step: step.timeout(30),
    "in branches": lambda step: gather(step, step),
    "a run in a step": lambda step: task(_inner(step)),
}


def _inner(step: Any) -> Any:
    async def inner(n: int) -> int:
        result: int = (await arun(step, n, limits=Limits(grace=GRACE))).unwrap()
        return result

    return inner


shapes = pytest.mark.parametrize("shape", SHAPES)


async def cancelled_after(seconds: float, plan: Any) -> tuple[Any, int]:
    """How long a run went on after it was cancelled, and how many cancellations its task still holds."""
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(arun(plan, 1, limits=Limits(grace=GRACE)))
    await asyncio.sleep(seconds)
    begin = loop.time()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    return loop.time() - begin, work.cancelling()


@shapes
def test_a_clean_up_that_never_ends_is_ended_after_the_grace(shape: str) -> None:
    """R-C2, R-C8."""
    log: list[str] = []
    with pytest.warns(GraceExceeded, match=r"has not ended after 0\.5 s; it is cancelled again"):
        took, left = virtual_asyncio_run(cancelled_after, 1.0, SHAPES[shape](cleaning(3600, log)))
    assert (len(log), took, left) == (0, pytest.approx(GRACE, abs=0.01), 1)


@shapes
def test_a_clean_up_within_the_grace_is_left_alone(shape: str) -> None:
    log: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        took, left = virtual_asyncio_run(cancelled_after, 1.0, SHAPES[shape](cleaning(0.4, log)))
    assert (set(log), took, left) == ({"cleaned up"}, pytest.approx(0.4, abs=0.01), 1)


@shapes
@pytest.mark.parametrize("cut", [asyncio.timeout, anyio.fail_after], ids=["asyncio", "anyio"])
def test_a_timeout_around_a_run_is_still_its_own(shape: str, cut: Any) -> None:
    """What was added to a cancellation is taken back, or the timeout would take it for somebody else's."""
    log: list[str] = []

    async def running() -> None:
        async with AsyncExitStack() as stack:
            if cut is asyncio.timeout:
                await stack.enter_async_context(cut(1.0))
            else:
                stack.enter_context(cut(1.0))
            await arun(SHAPES[shape](cleaning(3600, log)), 1, limits=Limits(grace=GRACE))

    async def main() -> float:
        begin = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await running()
        took = asyncio.get_running_loop().time() - begin
        await asyncio.sleep(5)  # nothing strays into what comes after
        return took

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraceExceeded)
        assert virtual_asyncio_run(main) <= 1.0 + GRACE + 0.01
    assert log == []


def test_a_run_that_swallows_its_cancellation_goes_on_and_leaves_no_mark() -> None:
    log: list[str] = []

    async def main() -> tuple[Any, int]:
        work = asyncio.ensure_future(arun(cleaning(0.2, log, swallows=True), 1, limits=Limits(grace=GRACE)))
        await asyncio.sleep(1)
        work.cancel()
        outcome = await work
        await asyncio.sleep(5)
        return outcome, work.cancelling()

    outcome, left = virtual_asyncio_run(main)
    assert (outcome.unwrap(), log, left) == (1, ["swallowed", "cleaned up"], 1)


def test_a_future_that_somebody_cancels_is_no_cancellation_of_the_run() -> None:
    async def main() -> list[str]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        log: list[str] = []

        async def step(n: int) -> int:
            try:
                await future
            except asyncio.CancelledError:
                await asyncio.sleep(10)
                log.append("waited")
            return n

        asyncio.get_running_loop().call_later(1, future.cancel)
        assert (await arun(task(step), 1, limits=Limits(grace=GRACE))).unwrap() == 1
        return log

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert virtual_asyncio_run(main) == ["waited"]


@pytest.mark.parametrize("inside", ["asyncio", "anyio"])
def test_a_timeout_inside_an_action_is_no_cancellation_of_the_run(inside: str) -> None:
    @task
    async def step(n: int) -> int:
        if inside == "asyncio":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.sleep(60)
        else:
            with anyio.move_on_after(1):
                await asyncio.sleep(60)
        await asyncio.sleep(10 * GRACE)
        return n + 1

    async def main() -> tuple[Any, float]:
        """Cancelled in earnest, after that, it is insisted on as ever."""
        outcome = await arun(step, 1, limits=Limits(grace=GRACE))
        return outcome, (await cancelled_after(3 * GRACE + 1, step >> cleaning(3600, [])))[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraceExceeded)
        outcome, took = virtual_asyncio_run(main)
    assert outcome.unwrap() == 2
    assert took <= GRACE + 0.01


def test_a_step_that_was_timed_out_before_is_insisted_on_when_it_is_cancelled() -> None:
    @task
    async def step(n: int) -> int:
        with anyio.move_on_after(1):
            await asyncio.sleep(60)
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(3600)
        return n

    with pytest.warns(GraceExceeded):
        took, left = virtual_asyncio_run(cancelled_after, 30.0, step)
    assert (took, left) == (pytest.approx(GRACE, abs=0.01), 1)


def test_a_traced_run_ends_within_its_grace_too() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        work = asyncio.ensure_future(atraced(cleaning(3600, []))(1))
        await asyncio.sleep(1)
        begin = loop.time()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        return loop.time() - begin

    with pytest.warns(GraceExceeded):
        assert virtual_asyncio_run(main) == pytest.approx(GRACE, abs=0.01)
