"""The questions of the bench: what users pay over the code they would have written by hand."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from attrs import frozen
from rpds import HashTrieMap

from bench.pairs import Question, Row, compared, seconds
from lambdacat import (
    FIRST_COMPLETED,
    Plan,
    arun,
    collect,
    focus,
    identity,
    lens,
    parallel,
    pure,
    run,
    sequence,
    task,
    traced,
    value_or_raise,
    when,
)
from lambdacat.structure import nodes

Work = Callable[[], object]


def inc(n: int) -> int:
    """One step of work that is as small as a call can be."""
    return n + 1


async def ainc(n: int) -> int:
    """The same, async."""
    return n + 1


INC = task(inc)
AINC = task(ainc)


def fail(n: int) -> int:
    """A step that raises."""
    raise ValueError(n)


FAILING = task(fail)


def sequential(pairs: int) -> Row:
    """A straight run of sync tasks."""
    fns, plan = [inc] * 1000, sequence(*[INC] * 1000)

    def floor() -> int:
        value = 0
        for fn in fns:
            value = fn(value)
        return value

    return compared("1,000 sync tasks vs a for-loop", lambda: run(plan, 0), floor, 1.25, pairs, 1000)


def awaited(pairs: int) -> Row:
    """A straight run of async tasks."""
    fns, plan = [ainc] * 1000, sequence(*[AINC] * 1000)

    async def floor() -> int:
        value = 0
        for fn in fns:
            value = await fn(value)
        return value

    return _on_loop("1,000 async tasks vs an await loop", lambda: arun(plan, 0), floor, 1.20, pairs, 1000)


def _on_loop(
    question: str, ours: Callable[[], Any], floor: Callable[[], Any], reach: float, pairs: int, each: int
) -> Row:
    with asyncio.Runner() as runner:

        async def once(work: Callable[[], Any]) -> Any:
            return await work()

        return compared(question, lambda: runner.run(once(ours)), lambda: runner.run(once(floor)), reach, pairs, each)


def _turned(state: dict[str, int]) -> dict[str, int]:
    return {**state, "n": state["n"] + 1}


def _less(state: dict[str, int]) -> bool:
    return state["n"] < 10_000


def looped(pairs: int, at_most: int | None = None) -> Row:
    """A loop around one task."""
    plan = task(_turned).loop_while(_less, at_most=at_most)

    def floor() -> dict[str, int]:
        state = {"n": 0, "a": 1}
        while state["n"] < 10_000:
            state = _turned(state)
        return state

    name = "loop_while, 10,000 rounds" + ("" if at_most is None else ", at_most")
    return compared(name, lambda: run(plan, {"n": 0, "a": 1}), floor, 1.3 if at_most is None else 1.4, pairs, 10_000)


def branches(pairs: int) -> Row:
    """A fan-out of trivial branches."""
    plan = parallel(*[AINC] * 1000, join=collect)

    async def floor() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ainc(0)) for _ in range(1000)]
        return [one.result() for one in tasks]

    eager = sys.version_info >= (3, 12)
    question = "1,000 branches vs asyncio.TaskGroup" + (" (eager)" if eager else "")
    return _on_loop(question, lambda: arun(plan, 0), floor, 0.4 if eager else 1.1, pairs, 1000)


async def _nap(n: int) -> int:
    await asyncio.sleep(0.01)
    return n


def napping(pairs: int) -> Row:
    """A fan-out of branches that wait."""
    plan = parallel(*[task(_nap)] * 100, join=collect)

    async def floor() -> list[int]:
        return list(await asyncio.gather(*[_nap(0) for _ in range(100)]))

    return _on_loop("100 branches of 10 ms", lambda: arun(plan, 0), floor, 1.05, pairs, 1)


async def _long(n: int) -> int:
    await asyncio.sleep(30)
    return n


def racing(pairs: int) -> Row:
    """The first of many, the others cancelled and finished."""
    plan = parallel(task(_nap), *[task(_long)] * 99, policy=FIRST_COMPLETED)

    async def floor() -> int:
        tasks = [asyncio.create_task(_nap(0)), *[asyncio.create_task(_long(0)) for _ in range(99)]]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in rest:
            one.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        return next(iter(done)).result()

    return _on_loop("first of 100, losers finished", lambda: arun(plan, 0), floor, 1.05, pairs, 1)


@frozen
class Six:
    """A state of six fields."""

    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    e: int = 0
    f: int = 0


A = lens(Six, lambda s: s.a)
C = lens(Six, lambda s: s.c)


def _copied(state: dict[str, int]) -> dict[str, int]:
    return {**state, "c": 1}


def one_field(pairs: int) -> Row:
    """A step that reads one field and writes another, over a step by hand that only copies a dict with as many keys."""

    def floor() -> dict[str, int]:
        state = {"a": 0, "b": 0, "c": 0, "d": 0, "e": 0, "f": 0}
        for step in [_copied] * 1000:
            state = step(state)
        return state

    return _stepped("read one field, write one of six vs dict copy", floor, 6, pairs)


def one_field_in_line(pairs: int) -> Row:
    """The same over the copy alone, with no function around it: more than a step by hand would leave out."""

    def floor() -> dict[str, int]:
        state = {"a": 0, "b": 0, "c": 0, "d": 0, "e": 0, "f": 0}
        for _ in range(1000):
            state = {**state, "c": 1}
        return state

    return _stepped("the same vs a dict copy without a call", floor, None, pairs)


def _stepped(question: str, floor: Work, reach: float | None, pairs: int) -> Row:
    plan = sequence(*[task(reads=A, writes=C)(inc)] * 1000)
    return compared(question, lambda: run(plan, Six()), floor, reach, pairs, 1000)


@frozen
class Big:
    """A state with a large persistent map."""

    items: HashTrieMap[str, int]


def one_key(pairs: int) -> Row:
    """One key of a large map, over a copy of a dict with as many."""
    rows = {f"key {i}": i for i in range(100_000)}
    state = Big(HashTrieMap(rows))
    key = lens(Big, lambda s: s.items["key 500"])
    plan = sequence(*[task(reads=key, writes=key)(inc)] * 100)

    def floor() -> None:
        for _ in range(100):
            rows.copy()

    return compared("one key of a 100,000-entry map vs dict copy", lambda: run(plan, state), floor, 0.01, pairs, 100)


def _straight() -> int:
    value = 0
    for fn in [inc] * 1000:
        value = fn(value)
    return value


def tracing(pairs: int) -> Row:
    """A straight run with a trace that is kept."""
    arrow = traced(sequence(*[INC] * 1000))
    return compared("trace kept vs a for-loop", lambda: arrow(0), _straight, 4, pairs, 1000)


def reading_spans(pairs: int) -> Row:
    """The same with its spans read, which makes them."""
    arrow = traced(sequence(*[INC] * 1000))

    def ours() -> int:
        return len(arrow(0).log.spans)

    return compared("trace kept and its spans read vs a for-loop", ours, _straight, None, pairs, 1000)


def not_tracing(pairs: int) -> Row:
    """The price of being able to trace, when nobody does: ``run`` against the machine without watchers."""
    from contextvars import copy_context

    from lambdacat.bound import Limits
    from lambdacat.context import Context
    from lambdacat.effects.direct import Direct
    from lambdacat.machine.environment import Environment

    plan = sequence(*[INC] * 1000)

    def floor() -> object:
        direct = Direct(Environment(Context(), time.monotonic, Limits()))
        return copy_context().run(direct.iterate, (plan, 0, None))

    question = "tracing off vs a machine that cannot trace"
    return compared(question, lambda: run(plan, 0), floor, 1.02, max(pairs, 45), 1000)


SEED = 20
"""Draws the mixed plan: the same one every time, or figures of two days could not be compared."""


def mixed_plan(size: int, seed: int = SEED) -> Plan[int, int]:
    """A random plan of about ``size`` nodes of every plain kind, some inside others."""
    source = random.Random(seed)
    parts: list[Plan[int, int]] = [INC]
    chosen: list[Plan[int, int]] = []
    count = 0
    while count < size:
        part = _mixed(source, source.choice(parts), source.choice(parts))
        weight = sum(1 for _ in nodes(part))
        if weight <= 12:
            parts.append(part)
        chosen.append(part)
        count += weight
    return sequence(*chosen)


def _mixed(source: random.Random, one: Plan[int, int], two: Plan[int, int]) -> Plan[int, int]:
    """A node of some kind around these."""
    match source.randrange(10):
        case 0:
            return when(lambda n: n % 2 == 0, one, two)
        case 1:
            return one | two
        case 2:
            return FAILING | one
        case 3:
            return one.retry(1)
        case 4:
            return focus(lens(int, lambda n: n), one >> pure(inc))
        case 5:
            return one.named("named")
        case 6:
            return parallel(one, two, join=lambda n, results: max(results))
        case 7:
            return one.timeout(60)
        case 8:
            return one.loop_while(lambda n: n % 3 == 1, at_most=2, then=identity)
        case _:
            return one >> two


def mixed(pairs: int) -> Row:
    """A random plan of many kinds of nodes, a node that is performed; the floor is one microsecond."""
    plan = mixed_plan(1000)
    outcome = traced(plan)(0)
    count = len(outcome.log.spans)
    value_or_raise(outcome.value)
    times = [seconds(lambda: run(plan, 0)) / count * 1e6 for _ in range(pairs)]
    middle = median(times)
    return Row(f"a random plan, {count} nodes performed, us a node", "us", middle, 1.0, middle, 5, pairs)


def importing(pairs: int) -> Row:
    """What ``import lambdacat`` costs a script."""

    def python(code: str) -> Work:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    return compared("import lambdacat vs python -c pass", python("import lambdacat"), python("pass"), 8, pairs, 1)


QUESTIONS: tuple[Question, ...] = (
    sequential,
    awaited,
    looped,
    lambda pairs: looped(pairs, at_most=20_000),
    branches,
    napping,
    racing,
    one_field,
    one_field_in_line,
    one_key,
    tracing,
    reading_spans,
    not_tracing,
    mixed,
    importing,
)
