"""Streams of events: however the block around one is left, its run is over."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest
from clocks import Runner, on_asyncio, on_both
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdacat import Ended, Finished, Plan, gather, pure, stream, task
from lambdacat.testing import Sample, states, suspending_plans


class Step:
    """An async action that counts its beginnings and ends, and whose clean-up takes a while."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    async def __call__(self, n: int) -> int:
        self.begun += 1
        try:
            await anyio.sleep(10)
        finally:
            try:
                await anyio.sleep(0.2)
            finally:
                self.ended += 1
        return n


PLANS: dict[str, Callable[[Step], Plan[int, Any]]] = {
    "one step": lambda step: task(step),
    "branches": lambda step: gather(task(step), task(step) >> task(step)),
    "in place": lambda _: pure(abs),
}
plans_of = pytest.mark.parametrize("made", list(PLANS.values()), ids=list(PLANS))


@on_both
@plans_of
@pytest.mark.parametrize("raising", [False, True])
def test_a_block_that_is_left_before_the_run_began_is_left(
    on: Runner, made: Callable[[Step], Plan[int, Any]], raising: bool
) -> None:
    step = Step()

    async def main() -> None:
        with anyio.fail_after(5):
            async with stream(made(step), 1):
                if raising:
                    raise KeyError("mine")

    if raising:
        with pytest.raises(KeyError, match="mine"):
            on(main)
    else:
        on(main)
    assert step.begun == step.ended


@plans_of
def test_a_reader_may_be_cancelled_twice_at_any_two_turns_of_the_loop(made: Callable[[Step], Plan[int, Any]]) -> None:
    """R-C3: the second cancellation comes during the clean-up that the first began."""

    async def read(plan: Plan[int, Any]) -> None:
        async with stream(plan, 1) as events:
            async for _ in events:
                pass

    async def main() -> None:
        for first, second in itertools.product(range(8), range(8)):
            step = Step()
            reader = asyncio.ensure_future(read(made(step)))
            for pause in (first, second):
                for _ in range(pause):
                    await asyncio.sleep(0)
                reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader
            assert (step.begun, len(asyncio.all_tasks())) == (step.ended, 1), (first, second)

    on_asyncio(main)


@pytest.mark.parametrize("count", [40, pytest.param(1500, marks=pytest.mark.sweep)])
def test_a_cancelled_stream_of_any_plan_leaves_no_task_behind(count: int) -> None:
    pauses = st.lists(st.integers(0, 6), min_size=1, max_size=3)

    @settings(max_examples=count)
    @given(suspending_plans(), states(), pauses, st.booleans())
    def holds(plan: Plan[Sample, Sample], state: Sample, turns: list[int], reading: bool) -> None:
        async def read() -> None:
            async with stream(plan, state) as events:
                async for _ in events:
                    if not reading:
                        break

        async def main() -> None:
            reader = asyncio.ensure_future(read())
            for pause in turns:
                for _ in range(pause):
                    await asyncio.sleep(0)
                reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader
            assert asyncio.all_tasks() == {asyncio.current_task()}

        on_asyncio(main)

    holds()


def test_a_second_cancellation_of_the_reader_hurries_the_run_as_well() -> None:
    """As it would under ``arun``: whoever cancels twice does not mean to wait for a long clean-up."""

    @task
    async def tidy(n: int) -> int:
        try:
            await anyio.sleep(1000)
        finally:
            await anyio.sleep(500)
        return n

    async def read() -> None:
        async with stream(tidy, 1) as events:
            async for _ in events:
                pass

    async def main() -> float:
        reader = asyncio.ensure_future(read())
        for _ in range(2):
            await asyncio.sleep(1)
            reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader
        return asyncio.get_running_loop().time()

    assert on_asyncio(main) == pytest.approx(2)


def test_a_run_that_is_cancelled_from_outside_before_it_began_cancels_its_reader() -> None:
    async def main() -> None:
        async with stream(task(Step()), 1) as events:
            (run,) = asyncio.all_tasks() - {asyncio.current_task()}
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await anext(events)

    on_asyncio(main)


@on_both
def test_a_second_reader_is_refused_by_name_and_the_first_reads_on(on: Runner) -> None:
    async def main() -> list[Any]:
        seen: list[Any] = []

        async def read(events: Any) -> None:
            seen.extend([event async for event in events])

        async with stream(task(Step()), 1) as events, anyio.create_task_group() as group:
            await anext(events)
            group.start_soon(read, events)
            await anyio.sleep(1)
            with pytest.raises(RuntimeError, match="being read already"):
                await anext(events)
        return seen

    assert [type(event) for event in on(main)] == [Finished, Ended]
