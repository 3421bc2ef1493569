"""An action may use a task group of asyncio whose task fails: that is its failure, and no cancellation of the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from untyped import arun, gather, parallel

from lambdacat import FIRST_COMPLETED, ActionFailed, TimedOut, pure, task
from lambdacat.testing import virtual_asyncio_run

identity: Any = pure(lambda n: n)


async def fails() -> None:
    raise ValueError("in the group")


async def left(n: int) -> int:
    """The group is left before its task fails."""
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(1))
        group.create_task(fails())
    return n


async def inside(n: int) -> int:
    """The task fails while the group is not left yet."""
    async with asyncio.TaskGroup() as group:
        group.create_task(fails())
        await asyncio.sleep(1)
    return n


@asynccontextmanager
async def workers() -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(1))
        group.create_task(fails())
        yield


async def managed(n: int) -> int:
    """The group is in a context manager of the user's."""
    async with workers():
        pass
    return n


def catching(action: Any) -> Any:
    """The same action, which sees to the failure itself."""

    async def caught(n: int) -> int:
        try:
            await action(n)
        except* ValueError:
            pass
        return n

    return caught


@task
async def long(n: int) -> int:
    await asyncio.sleep(60)
    return n + 1


@task
async def broken(n: int) -> int:
    await asyncio.sleep(1)
    raise OSError("later")


AROUND: dict[str, Any] = {
    "alone": lambda plan: plan,
    "in a sequence": lambda plan: identity >> plan >> identity.map(lambda n: n),
    "under a timeout": lambda plan: plan.timeout(300),
    "in a branch": lambda plan: gather(plan, identity).map(lambda both: both[0]),
    "in a race": lambda plan: parallel(plan.timeout(300), plan, policy=FIRST_COMPLETED),
    "in a run in a step": lambda plan: task(_inner(plan)),
}


def _inner(plan: Any) -> Any:
    async def inner(n: int) -> Any:
        return (await arun(plan, n)).unwrap()

    return inner


around = pytest.mark.parametrize("shape", [shape for shape in AROUND if shape != "in a run in a step"])
everywhere = pytest.mark.parametrize("shape", AROUND)
actions = pytest.mark.parametrize("action", [left, inside, managed])


async def outcome_and_mark(plan: Any) -> tuple[Any, int]:
    made = await arun(plan, 1)
    me = asyncio.current_task()
    assert me is not None
    return made, me.cancelling()


@actions
@around
def test_a_task_that_fails_is_the_fault_of_the_action(action: Any, shape: str) -> None:
    made, mark = virtual_asyncio_run(outcome_and_mark, AROUND[shape](task(action)))
    assert mark == 0
    fault = made.failure().faults[0] if shape == "in a race" else made.failure()
    assert (type(fault), type(fault.error)) == (ActionFailed, ExceptionGroup)


@actions
@around
def test_it_can_be_tried_again_and_recovered_from(action: Any, shape: str) -> None:
    plan = AROUND[shape](task(action).retry(2) | identity)
    assert virtual_asyncio_run(outcome_and_mark, plan)[0].unwrap() == 1


@actions
@everywhere
def test_what_follows_a_failure_that_was_seen_to_is_not_cancelled(action: Any, shape: str) -> None:
    after = task(catching(action))
    assert virtual_asyncio_run(outcome_and_mark, AROUND[shape](after >> long))[0].unwrap() == 2
    assert virtual_asyncio_run(outcome_and_mark, AROUND[shape](after >> broken | identity))[0].unwrap() == 1


@actions
def test_a_timeout_after_it_is_a_timeout(action: Any) -> None:
    after = task(catching(action))
    for plan in ((after >> long).timeout(5), after.timeout(3) >> long.timeout(5), gather((after >> long).timeout(5))):
        assert isinstance(virtual_asyncio_run(outcome_and_mark, plan)[0].failure(), TimedOut)


@actions
@everywhere
def test_a_cancellation_from_outside_is_still_one(action: Any, shape: str) -> None:
    async def cancelled(plan: Any, seconds: float) -> int:
        work = asyncio.ensure_future(arun(plan, 1))
        await asyncio.sleep(seconds)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        mark: int = work.cancelling()
        return mark

    after = task(catching(action))
    assert virtual_asyncio_run(cancelled, AROUND[shape](after >> long), 10.0) == 1
    assert virtual_asyncio_run(cancelled, AROUND[shape](long >> after), 10.0) == 1
