"""Depth and size: plans nested as deep as memory allows, loops without end, and what they cost."""

import asyncio
import copy
import gc
import pickle
import random
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen
from clocks import Runner, on_asyncio, on_both, without_collecting
from untyped import (
    AnyPlan,
    arun,
    bind,
    choose,
    fail,
    focus,
    gather,
    loop_while,
    parallel,
    pure,
    recover,
    run,
    sequence,
    when,
)

from lambdacat import FIRST_COMPLETED, Context, Limits, Stopped, Success, footprint, identity, lens, task


def add_one(n: int) -> int:
    return n + 1


async def add_one_later(n: int) -> int:
    return n + 1


inc: AnyPlan = task(blocking="inline")(add_one)
inc_later: AnyPlan = task(add_one_later)
add: AnyPlan = pure(add_one)


@frozen
class Box:
    n: Any = 0


N = lens(Box, lambda b: b.n)


@pytest.fixture(autouse=True)
def _recursion_limit_of_a_plain_program() -> Any:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


def left(n: int, step: AnyPlan) -> AnyPlan:
    plan = step
    for _ in range(n - 1):
        plan = plan >> step
    return plan


def right(n: int, step: AnyPlan) -> AnyPlan:
    plan = step
    for _ in range(n - 1):
        plan = step >> plan
    return plan


def scattered(n: int, step: AnyPlan) -> AnyPlan:
    source, row = random.Random(1), [step] * n
    while len(row) > 1:
        i = source.randrange(len(row) - 1) if len(row) < 2000 else 0
        row[i : i + 2] = [row[i] >> row[i + 1]]
    return row[0]


SHAPES: dict[str, Callable[[int, AnyPlan], AnyPlan]] = {
    "left": left,
    "right": right,
    "scattered": scattered,
    "at once": lambda n, step: sequence(*[step] * n),
}
counts = pytest.mark.parametrize("n", [5_000, pytest.param(1_000_000, marks=pytest.mark.sweep)])


@counts
@pytest.mark.parametrize("shape", list(SHAPES))
def test_sequences_run_flat_however_they_are_nested(shape: str, n: int) -> None:
    """A02, R-S1."""
    start = time.perf_counter()
    if shape == "scattered":
        n = min(n, 20_000)
    plan = SHAPES[shape](n, inc)
    assert run(plan, 0) == Success(n)
    middle = time.perf_counter()
    assert run(plan, 0) == Success(n)
    again = time.perf_counter() - middle
    print(f"{shape}: built and run {1e6 * (middle - start) / n:.2f} us a node, again {1e6 * again / n:.2f}")
    assert on_asyncio(lambda: arun(plan, 0)) == Success(n)
    gc.collect(1)


@counts
def test_a_node_of_a_sequence_is_small(n: int) -> None:
    """R-S1: bytes a node of a chain of >>, before it is run."""
    tracemalloc.start()
    plan = left(n, inc)
    size = tracemalloc.get_traced_memory()[0] / n
    tracemalloc.stop()
    print(f"{size:.0f} bytes a node")
    assert size <= 200
    assert run(plan, 0) == Success(n)


def nested(n: int, wrap: Callable[[AnyPlan], AnyPlan], base: AnyPlan = inc) -> AnyPlan:
    plan = base
    for _ in range(n):
        plan = wrap(plan)
    return plan


deep = lambda optic: lambda p: focus(optic, p)  # noqa: E731
NESTS: dict[str, Callable[[AnyPlan], AnyPlan]] = {
    "when": lambda p: when(lambda n: n >= 0, p, otherwise=inc),
    "choose": lambda p: choose(lambda n: "a", {"a": p, "b": inc}),
    "or": lambda p: p | inc,
    "failing or": lambda p: fail(Stopped(reason="x")) | p >> identity,
    "recover": lambda p: recover(p, lambda fault: inc),
    "retry": lambda p: p.retry(1),
    "loop": lambda p: loop_while(lambda n: n < 1, p),
    "attempt": lambda p: p.attempt().map(lambda outcome: outcome.unwrap()),
    "named": lambda p: (p >> identity).named("x") >> identity,
    "single parallel": lambda p: parallel(p),
    "bind": lambda p: bind(lambda n: p),
    "task beside a when": lambda p: add >> when(lambda n: n >= 0, p) >> pure(lambda n: n - 1),
}


@pytest.mark.parametrize("n", [2_000, pytest.param(100_000, marks=pytest.mark.sweep)])
@pytest.mark.parametrize("kind", list(NESTS))
def test_nests_of_every_kind_run_flat(kind: str, n: int) -> None:
    """A02, R-S2, R-S4."""
    start = time.perf_counter()
    plan = nested(n, NESTS[kind])
    assert run(plan, 0) == Success(1)
    assert on_asyncio(lambda: arun(plan, 0)) == Success(1)
    assert len(repr(plan)) < 1_000
    assert hash(plan) == hash(plan)
    print(f"{kind}: {1e6 * (time.perf_counter() - start) / n:.1f} us a level in all")


@pytest.mark.parametrize("n", [5_000, pytest.param(100_000, marks=pytest.mark.sweep)])
def test_focus_in_focus_runs_flat(n: int) -> None:
    """A02, R-S2."""
    whole: Any = 0
    for _ in range(n):
        whole = (whole,)
    first = lens(tuple[Any, ...], lambda t: t[0])
    for wrap in (lambda p: focus(first, p), lambda p: focus(first, p >> identity)):
        made = run(nested(n, wrap), whole).unwrap()
        depth = 0
        while isinstance(made, tuple):
            made, depth = made[0], depth + 1
        assert (made, depth) == (1, n)
    mixed = nested(n, lambda p: focus(first, when(lambda _: True, p)))
    made = on_asyncio(lambda: arun(mixed, whole)).unwrap()
    assert isinstance(made, tuple)
    while isinstance(made, tuple):
        made = made[0]
    assert made == 1


@pytest.mark.parametrize("n", [1_000, pytest.param(10_000, marks=pytest.mark.sweep)])
@pytest.mark.parametrize("policy", ["all", "race", "limited"])
def test_parallels_nest_as_deep(policy: str, n: int) -> None:
    """R-S2: built, run and cancelled in time that grows with the depth alone."""
    start = time.perf_counter()
    if policy == "all":
        plan = nested(n, lambda p: gather(p, inc_later) >> pure(lambda row: row[0]))
    elif policy == "race":
        plan = nested(n, lambda p: parallel(p, fail(Stopped(reason="x")), policy=FIRST_COMPLETED) >> identity)
    else:
        plan = nested(n, lambda p: gather(p >> identity, inc_later, limit=1) >> pure(lambda row: row[0]))
    built = time.perf_counter()
    assert run(plan, 0) == Success(1)
    assert on_asyncio(lambda: arun(plan, 0)) == Success(1)
    print(f"{policy}: built in {built - start:.2f} s, run in {time.perf_counter() - built:.2f} s")


def test_building_nested_parallels_is_linear() -> None:
    """R-S2: the second half of a plan costs about what the first did."""

    def seconds(n: int, step: AnyPlan) -> float:
        start = time.process_time()
        plan = step
        for _ in range(n):
            plan = (plan >> step) & step
            plan = step & plan
        return time.process_time() - start

    reading: AnyPlan = task(reads=N, writes=(), blocking="inline")(lambda n: None)
    for step in (inc, reading):
        small = min(seconds(100, step) for _ in range(3))
        large = min(seconds(800, step) for _ in range(2))
        print(f"8 times as much costs {large / small:.1f} times as long")
        assert large < 24 * small


@pytest.mark.parametrize("n", [1_000, pytest.param(10_000, marks=pytest.mark.sweep)])
def test_nested_parallels_are_cancelled_without_recursion(n: int) -> None:
    """R-S2, R-C1."""
    ended: list[int] = []

    @task
    async def waiting(k: int) -> int:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(1)
        return k

    plan = nested(n, lambda p: gather(p, inc_later) >> pure(lambda row: row[0]), waiting)
    start = time.perf_counter()
    outcome = on_asyncio(lambda: arun(plan.timeout(10) | pure(lambda _: "late"), 0, limits=Limits(grace=60)))
    print(f"{time.perf_counter() - start:.1f} s")
    assert (outcome, ended) == (Success("late"), [1])


@on_both
def test_a_mixed_nest_runs_flat(on: Runner) -> None:
    """R-S2."""

    def wrap(plan: AnyPlan) -> AnyPlan:
        inner = when(lambda n: True, (plan.retry(1) | inc) >> add).timeout(1e6)
        return gather(inner >> pure(lambda n: n - 1), identity) >> pure(lambda row: row[0])

    plan = nested(150, wrap)
    assert on(lambda: arun(plan, 0)) == Success(1) == run(plan, 0)


@on_both
def test_timeouts_nest_deep(on: Runner) -> None:
    """R-S2, R-C5."""
    plan = nested(1_500, lambda p: (p >> identity | inc).timeout(1e6), inc_later)
    assert on(lambda: arun(plan, 0)) == Success(1) == run(plan, 0)


@pytest.mark.parametrize("n", [5_000, pytest.param(1_000_000, marks=pytest.mark.sweep)])
@pytest.mark.parametrize("kind", ["fused", "async", "through a choice", "a fork each", "a fault each"])
def test_loops_use_constant_memory(kind: str, n: int) -> None:
    """A30, R-S3."""
    body: AnyPlan = {
        "fused": add >> add >> pure(lambda k: k - 1),
        "async": inc_later,
        "through a choice": when(lambda k: k % 2 == 0, add, otherwise=inc),
        "a fork each": gather(add, identity) >> pure(lambda row: row[0]),
        "a fault each": pure(lambda k: 1 // 0) | add,
    }[kind]
    if kind.startswith("a f"):
        n //= 20
    plan = loop_while(lambda k: k < n, body)
    run(loop_while(lambda k: k < 10, body), 0)
    on_asyncio(lambda: arun(loop_while(lambda k: k < 10, body), 0))
    gc.collect(1)
    thresholds = gc.get_threshold()
    gc.set_threshold(700, 10, 10)  # as Python has it: a fault is garbage that refers to itself
    start = time.perf_counter()
    tracemalloc.start()
    assert run(plan, 0) == Success(n)
    here = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    assert on_asyncio(lambda: arun(plan, 0)) == Success(n)
    peak = max(here, tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    gc.set_threshold(*thresholds)
    print(f"{kind}: peak {peak / 1e3:.0f} kB, {time.perf_counter() - start:.1f} s")
    assert peak < 2_000_000


ENDLESS: dict[str, AnyPlan] = {
    "inline": inc,
    "pure with a bound": add,
    "async": inc_later,
    "through a choice": when(lambda k: True, add),
    "a fork each": gather(add, identity) >> pure(lambda row: row[0]),
    "retried": (pure(lambda k: 1 // 0) | add),
}


@on_both
@pytest.mark.parametrize("kind", list(ENDLESS))
def test_an_endless_loop_can_be_cancelled_soon(on: Runner, kind: str) -> None:
    """R-S3: within a thousand rounds of the moment at which it is asked."""
    import anyio

    rounds = [0, 0]

    def condition(_: Any) -> bool:
        rounds[0] += 1
        if rounds[0] > 200_000:
            raise RuntimeError("never cancelled")
        return True

    at_most = 10**9 if kind == "pure with a bound" else None
    plan = loop_while(condition, ENDLESS[kind], at_most=at_most, then=None if at_most is None else identity)

    async def main() -> None:
        async with anyio.create_task_group() as group:

            async def asking() -> None:
                await anyio.lowlevel.checkpoint()
                rounds[1] = rounds[0]
                group.cancel_scope.cancel()

            group.start_soon(arun, plan, 0)
            group.start_soon(asking)

    on(main)
    print(f"asked after {rounds[1]}, ended after {rounds[0]} rounds")
    assert rounds[0] - rounds[1] <= 1_000
    assert rounds[0] < 5_000


@pytest.mark.parametrize("n", [1_500, pytest.param(100_000, marks=pytest.mark.sweep)])
def test_structural_operations_are_flat(n: int) -> None:
    """R-S4: ==, hash, repr, copy, pickle, footprint, and letting go."""
    wraps: list[Callable[[AnyPlan], AnyPlan]] = [
        lambda p: p >> top,
        lambda p: recover(p, handler),
        lambda p: (p | top).retry(1),
        lambda p: choose(selector, {1: p, 2: top}),
    ]
    for wrap in wraps:
        one, two = nested(n, wrap, top), nested(n, wrap, top)
        assert one == two
        assert hash(one) == hash(two)
        assert one != nested(n - 1, wrap, top)
        assert len(repr(one)) < 1_000
        assert copy.deepcopy(one) == copy.copy(one) == one
        assert pickle.loads(pickle.dumps(one)) == one
        assert footprint(one).reads
        del one, two
        gc.collect(1)


top: AnyPlan = pure(add_one)


def handler(fault: object) -> AnyPlan:
    return top


def selector(n: int) -> int:
    return 1


def test_shared_parts_are_compared_once() -> None:
    """R-S4: a plan that doubles sixty times."""
    one, two = inc, inc
    for _ in range(60):
        one, two = when(selector, one, otherwise=one), when(selector, two, otherwise=two)
    assert one == two
    assert hash(one) == hash(two)
    assert footprint(one) == footprint(two)


@pytest.mark.parametrize("n", [5_000, pytest.param(20_000, marks=pytest.mark.sweep)])
def test_a_fault_far_down_says_where_without_recursion(n: int) -> None:
    """R-S2."""

    def refuse(_: Any) -> Any:
        raise ValueError("no")

    plan = nested(n, lambda p: when(lambda _: True, add >> p), task(blocking="inline")(refuse))
    fault = run(plan, 0).failure()
    assert len(fault.at) == 2 * n
    text = str(fault)
    assert len(text.splitlines()) < 30
    print(len(text), "characters")


def test_ten_thousand_retries_cost_no_more_each_than_a_hundred() -> None:
    """A46: a schedule is not read from its beginning at each attempt."""

    def refuse(_: Any) -> Any:
        raise ValueError("no")

    def seconds(n: int) -> float:
        class Still:
            def __call__(self) -> float:
                return 0.0

        start = time.process_time()
        run(task(refuse).retry(n), 0, context=Context(clock=Still()))
        return time.process_time() - start

    with without_collecting():
        small, large = min(seconds(500) for _ in range(3)), min(seconds(8_000) for _ in range(2))
    print(f"16 times as many retries cost {large / small:.0f} times as long")
    assert large < 64 * small
