"""Running a plan concurrently, on asyncio or trio."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from lambdacat.bound import Limits
from lambdacat.context import Context, context_of
from lambdacat.fault import Outcome
from lambdacat.interpreters.run import check_plan, outcome_of
from lambdacat.machine.environment import Environment
from lambdacat.machine.meaning import MEANING, Table
from lambdacat.plan import Plan

if TYPE_CHECKING:
    from lambdacat.interpreters.journal import Journal

A = TypeVar("A")
B = TypeVar("B")

_LIMITS = Limits()


def driver_of(
    context: Context, limits: Limits, table: Table = MEANING, kind: Callable[[Any], Any] | None = None
) -> Any:
    """A driver for the event loop that is running; ``kind`` makes another class of it."""
    from anyio import Semaphore

    found, driver = _backend()
    if kind is not None:
        driver = kind(driver)
    env = Environment(context, context.clock if context.has_clock else found.clock(), limits)
    env.backend, env.post = found, found.poster()
    if limits.branches is not None:
        env.permits = Semaphore(limits.branches)
    return driver(env, table)


def backend() -> Any:
    """What threads need of the event loop that is running."""
    return _backend()[0]


def _backend() -> tuple[Any, Any]:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        from lambdacat.effects.on_trio import Backend as TrioBackend
        from lambdacat.effects.on_trio import OnTrio

        return TrioBackend, OnTrio
    from lambdacat.effects.on_asyncio import Backend, OnAsyncio

    return Backend, OnAsyncio


async def arun(
    plan: Plan[A, B],
    value: A,
    *,
    context: Context | Mapping[str, Any] | None = None,
    journal: Journal | None = None,
    observers: Collection[Callable[[Any], object]] = (),
    limits: Limits = _LIMITS,
) -> Outcome[B]:
    """The result, computed concurrently on asyncio or trio. Cancellation passes through as itself.

    With a journal the run survives its process: the same call, or ``resume``, goes on where it stopped.
    """
    check_plan("arun", plan)
    if journal is not None:
        from lambdacat.interpreters.journal import check_journal
        from lambdacat.interpreters.runs import arun_durable

        check_journal(journal)
        return (await arun_durable(plan, value, journal, context_of(context), limits, observers))[0]
    if observers:
        from lambdacat.interpreters.traced import arun_watched

        return await arun_watched(plan, value, context_of(context), limits, observers)
    driver = driver_of(context_of(context), limits)
    return outcome_of(await driver.enclosed((plan, value, None)))
