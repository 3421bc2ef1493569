"""Blocking calls in worker threads that give something to await: cut off at any moment, nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import threading
import time
import warnings
from typing import Any

import anyio
import anyio.from_thread
import pytest
from clocks import Runner, really_on_asyncio, really_on_both

from lambdacat import ActionFailed, Failure, Plan, Success, arun, run, task
from lambdacat.effects.hop import Hop


async def nothing(value: Any) -> Any:
    return value


async def refuse(value: Any) -> Any:
    raise ValueError(value)


class Flag:
    """What a thread sets when it has ended."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        self.is_set = True


# --- one hop, left at each moment ------------------------------------------------------------------------------------


MOMENTS = ["before", "between", "inside", "after"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_call_gave_to_await_is_closed_when_nobody_waits_any_more(moment: str) -> None:
    """R-C1: a coroutine that nothing will await is closed, and says no word of it."""
    made: list[Any] = []
    over = Flag()

    def first(value: int) -> int:
        if moment == "between":
            hop.leave()
        return value

    def second(value: int) -> Any:
        made.append(nothing(value))
        if moment == "inside":
            hop.leave()
        return made[-1]

    hop = Hop((first, second), 1, over)
    if moment == "before":
        hop.leave()
    hop.run()
    if moment == "after":
        hop.leave()
    assert over.is_set
    assert len(made) == (moment in ("inside", "after"))
    assert all(one.cr_frame is None for one in made)


def test_a_hop_goes_as_far_as_the_first_call_that_gives_something_to_await() -> None:
    hop = Hop((lambda n: n + 1, nothing, abs), 1, Flag())
    hop.run()
    assert (hop.given, len(hop.work), hop.error) == (2, 1, None)
    hop.value.close()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_program_is_no_fault_and_is_kept_for_whoever_waits(error: type[BaseException]) -> None:
    """R-E3."""
    over = Flag()

    def ends(_: Any) -> Any:
        raise error("done")

    hop = Hop((ends, abs), 1, over)
    with pytest.raises(error, match="done") as caught:
        hop.run()
    assert (hop.defect, hop.error, over.is_set) == (caught.value, None, True)


# --- whole runs ------------------------------------------------------------------------------------------------------


async def cut_off_after(begun: threading.Event, goes_on: threading.Event, plan: Plan[Any, Any]) -> None:
    """Cancel a run when its thread works, and let the thread go on when the cancellation has been seen."""

    async def cancel() -> None:
        await anyio.to_thread.run_sync(begun.wait, 10)
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)
            goes_on.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancel)
        await arun(plan, 1)


@really_on_both
@pytest.mark.parametrize("blocking", ["thread", "abandon"])
def test_a_coroutine_that_comes_too_late_is_closed(on: Runner, blocking: Any) -> None:
    """R-C1."""
    begun, goes_on = threading.Event(), threading.Event()
    made: list[Any] = []

    def act(value: int) -> Any:
        begun.set()
        goes_on.wait(10)
        made.append(nothing(value))
        return made[-1]

    on(lambda: cut_off_after(begun, goes_on, task(blocking=blocking)(act)))
    until = time.monotonic() + 5
    while not (made and made[0].cr_frame is None) and time.monotonic() < until:
        time.sleep(0.001)  # a thread that was left behind ends when it likes
    assert made[0].cr_frame is None


@really_on_both
def test_a_thread_after_something_that_was_awaited_is_waited_for_as_well(on: Runner) -> None:
    """R-C6: the second stay in a thread is a stay of its own."""
    begun, goes_on = threading.Event(), threading.Event()
    ended: list[int] = []

    def last(value: int) -> int:
        begun.set()
        goes_on.wait(10)
        time.sleep(0.02)
        ended.append(value)
        return value

    plan: Plan[int, int] = task(lambda n: nothing(n)) >> task(last)
    on(lambda: cut_off_after(begun, goes_on, plan))
    assert ended == [1]


@really_on_both
def test_a_coroutine_that_raises_is_the_fault_of_the_call_that_gave_it(on: Runner) -> None:
    """R-E1: with the input of that call, whether it was awaited or not."""
    plan: Plan[Any, Any] = task(lambda n: n + 1) >> task(lambda n: refuse(n)) >> task(abs)
    for outcome in (run(plan, 1), on(lambda: arun(plan, 1))):
        assert isinstance(outcome, Failure)
        fault = outcome.failure()
        assert isinstance(fault, ActionFailed)
        assert (fault.at, fault.input, fault.error.args) == ((1,), 2, (2,))
    assert on(lambda: arun(task(lambda n: nothing(n + 1)) >> task(abs), 1)) == Success(2)


@really_on_both
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("cut_by", ["timeout", "cancellation"])
@pytest.mark.parametrize(
    "wraps", ["after another", *(pytest.param(one, marks=pytest.mark.sweep) for one in ("alone", "retried"))]
)
def test_what_ends_the_program_in_a_thread_leaves_a_run_that_is_cut_off(
    on: Runner, error: type[BaseException], cut_by: str, wraps: str
) -> None:
    """R-E3: whoever waits for the thread has been cancelled, and yet the end of the program is not lost."""
    goes_on = threading.Event()

    def ends(_: int) -> int:
        goes_on.wait(10)
        raise error("done")

    step: Plan[int, int] = task(ends)
    plan = {"alone": step, "retried": step.retry(2), "after another": task(nothing) >> step}[wraps]

    async def main() -> Any:
        # Set by a timer, while the run already waits for its thread though it is cancelled.
        timer = threading.Timer(0.1, goes_on.set)
        timer.start()
        try:
            if cut_by == "timeout":
                return await arun(plan.timeout(0.06), 1)
            with anyio.move_on_after(0.06):
                return await arun(plan, 1)
        finally:
            timer.join()

    with pytest.raises(error, match="done"):
        on(main)


@really_on_both
def test_a_thread_that_sees_its_cancellation_is_cancelled_and_no_more(on: Runner) -> None:
    """R-C1: what it raises then is not the end of the program."""

    def looks(value: int) -> int:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            anyio.from_thread.check_cancelled()
            time.sleep(0.001)
        return value

    async def main() -> bool:
        with anyio.move_on_after(0.02) as scope:
            await arun(task(looks), 1)
        return scope.cancelled_caught

    assert on(main)


def test_a_cancellation_that_a_thread_makes_up_does_not_replace_the_one_from_outside() -> None:
    """R-C1: it passes as itself, with its reason."""

    def makes_up(_: int) -> int:
        begun.set()
        time.sleep(0.1)
        raise asyncio.CancelledError("made up")

    begun = threading.Event()

    async def main() -> None:
        running = asyncio.create_task(arun(task(makes_up), 1))
        await asyncio.to_thread(begun.wait, 10)
        running.cancel("from outside")
        await running

    with pytest.raises(asyncio.CancelledError, match="from outside"):
        really_on_asyncio(main)


@pytest.mark.sweep
@really_on_both
def test_no_coroutine_is_left_wherever_a_thread_is_cut_off_at_full_count(on: Runner) -> None:
    """R-C1: with real threads, at random moments."""
    dice = random.Random(7)

    async def main() -> None:
        for _ in itertools.repeat(None, 1500):
            with anyio.move_on_after(dice.random() / 1500):
                await arun(task(lambda n: anyio.sleep(60)), 1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        on(main)
        gc.collect()
