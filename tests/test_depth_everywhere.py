"""Depth and size under every interpreter: sequences, nests, faults and loops as large as memory allows."""

import gc
import random
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from attrs import frozen
from clocks import Runner, on_asyncio, on_trio, without_collecting
from untyped import (
    AnyPlan,
    arun,
    atraced,
    choose,
    fail,
    focus,
    gather,
    interpret,
    loop_while,
    pure,
    run,
    stateful,
    stream,
    when,
)

from lambdacat import (
    Ended,
    Finished,
    Started,
    Stopped,
    Success,
    check,
    dry_run,
    footprint,
    identity,
    lens,
    optimise,
    render,
    task,
    traced,
)
from lambdacat.effects.records import IDENTITY, LIST, OPTION, READER, RESULT, STATE, WRITER

FULL = 100_000


@pytest.fixture(autouse=True)
def _recursion_limit_of_a_plain_program() -> Any:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


def add_one(n: int) -> int:
    return n + 1


async def add_one_later(n: int) -> int:
    return n + 1


inc: AnyPlan = task(blocking="inline", name="inc")(add_one)
inc_later: AnyPlan = task(name="inc")(add_one_later)
add: AnyPlan = pure(add_one)

# --- shapes ----------------------------------------------------------------------------------------------------------


@frozen(eq=False)
class Case:
    """A large plan, its input, the number that a run ends with, and what there is in it."""

    plan: AnyPlan
    value: Any
    end: int
    acts: int
    """Actions that a run performs."""
    leaves: int
    """Tasks that stand in the plan."""
    depth: int = 0
    """Tuples around the number, before and after."""


def left(n: int) -> Case:
    plan = inc
    for _ in range(n - 1):
        plan = plan >> inc
    return Case(plan, 0, n, n, n)


def right(n: int) -> Case:
    plan = inc
    for _ in range(n - 1):
        plan = inc >> plan
    return Case(plan, 0, n, n, n)


def scattered(n: int) -> Case:
    """Brackets at random, as deep as the row is long."""
    source, plan = random.Random(1), inc
    for _ in range(n - 1):
        plan = plan >> inc if source.random() < 0.5 else inc >> plan
    return Case(plan, 0, n, n, n)


def nested(n: int, wrap: Callable[[AnyPlan], AnyPlan], base: AnyPlan) -> AnyPlan:
    plan = base
    for _ in range(n):
        plan = wrap(plan)
    return plan


def chosen(n: int) -> Case:
    plan = nested(n, lambda p: choose(lambda _: "a", {"a": p, "b": inc}), inc)
    return Case(plan, 0, 1, 1, n + 1)


def wrapped(n: int) -> Any:
    whole: Any = 0
    for _ in range(n):
        whole = (whole,)
    return whole


FIRST = lens(tuple[Any, ...], lambda row: row[0])


def focused(n: int) -> Case:
    """A choice at each level keeps the lenses apart: without it they are one lens."""
    plan = nested(n, lambda p: focus(FIRST, when(lambda _: True, p)), inc)
    return Case(plan, wrapped(n), 1, 1, 1, depth=n)


def composed(n: int) -> Case:
    """One lens, of so many."""
    return Case(nested(n, lambda p: focus(FIRST, p), inc), wrapped(n), 1, 1, 1, depth=n)


def branching(n: int) -> Case:
    """Two branches a level, a tenth as deep: a level is a fork, two steps and a join."""
    n //= 10
    plan = nested(n, lambda p: gather(p, inc_later) >> pure(lambda row: row[0]), inc_later)
    return Case(plan, 0, 1, n + 1, n + 1)


SHAPES: dict[str, Callable[[int], Case]] = {
    "left": left,
    "right": right,
    "scattered": scattered,
    "choose": chosen,
    "focus": focused,
    "one lens": composed,
    "parallel": branching,
}


def number(made: Any, depth: int) -> Any:
    """What stands inside so many tuples: comparing or printing the nest would recurse."""
    for _ in range(depth):
        (made,) = made
    return made


# --- interpreters ----------------------------------------------------------------------------------------------------


def _traced(plan: AnyPlan, value: Any, case: Case | None = None) -> Any:
    made = traced(plan)(value)
    return _with_spans(made, case)


def _atraced(on: Runner) -> Callable[..., Any]:
    def runner(plan: AnyPlan, value: Any, case: Case | None = None) -> Any:
        return _with_spans(on(lambda: atraced(plan)(value)), case)

    return runner


def _with_spans(made: Any, case: Case | None) -> Any:
    if case is not None:
        spans = made.log.spans
        assert sum(span.name == "inc" for span in spans) == case.acts
        assert {span.status for span in spans} == {"succeeded"}
    return made.value


def _streamed(on: Runner) -> Callable[..., Any]:
    def runner(plan: AnyPlan, value: Any, case: Case | None = None) -> Any:
        seen: Counter[Any] = Counter()

        async def main() -> Any:
            last: Any = None
            async with stream(plan, value) as events:
                async for last in events:
                    if isinstance(last, (Started, Finished)):
                        seen[type(last), last.name] += 1
            assert isinstance(last, Ended)
            return last.result

        outcome = on(main)
        if case is not None:
            assert seen[Started, "inc"] == seen[Finished, "inc"] == case.acts
        return outcome

    return runner


def _observed(plan: AnyPlan, value: Any, case: Case | None = None) -> Any:
    seen: Counter[Any] = Counter()
    outcome = run(plan, value, observers=[lambda event: seen.update([type(event)])])
    assert seen[Ended] == 1
    return outcome


INTERPRETERS: dict[str, Callable[..., Any]] = {
    "run": lambda plan, value, _=None: run(plan, value),
    "run observed": _observed,
    "arun on asyncio": lambda plan, value, _=None: on_asyncio(lambda: arun(plan, value)),
    "arun on trio": lambda plan, value, _=None: on_trio(lambda: arun(plan, value)),
    "traced": _traced,
    "atraced on asyncio": _atraced(on_asyncio),
    "atraced on trio": _atraced(on_trio),
    "stream on asyncio": _streamed(on_asyncio),
    "stream on trio": _streamed(on_trio),
    "stateful": lambda plan, value, _=None: stateful(plan).run(value)[0],
    "interpret IDENTITY": lambda plan, value, _=None: interpret(plan, IDENTITY)(value),
    "interpret RESULT": lambda plan, value, _=None: interpret(plan, RESULT)(value).unwrap(),
    "interpret OPTION": lambda plan, value, _=None: interpret(plan, OPTION)(value).unwrap(),
    "interpret WRITER": lambda plan, value, _=None: interpret(plan, WRITER)(value).value,
    "interpret STATE": lambda plan, value, _=None: interpret(plan, STATE)(value).run(None)[0],
    "interpret READER": lambda plan, value, _=None: interpret(plan, READER)(value)(None),
    "interpret LIST": lambda plan, value, _=None: interpret(plan, LIST)(value)[0],
}
"""Every way to perform a plan."""


def _forecast(case: Case, forecast: Any) -> None:
    assert forecast.calls[0] <= case.acts <= forecast.calls[1] <= case.leaves
    assert forecast.may_run.count("inc") >= case.acts


def _optimised(case: Case) -> None:
    plan, _ = optimise(case.plan)
    assert number(run(plan, case.value).unwrap(), case.depth) == case.end


def _drawn(case: Case, form: Any) -> None:
    assert render(case.plan, form).count("inc") >= case.leaves


LOOKS: dict[str, Callable[[Case], None]] = {
    "dry_run": lambda case: _forecast(case, dry_run(case.plan)),
    "dry_run of a value": lambda case: _forecast(case, dry_run(case.plan, case.value)),
    "check": lambda case: _equal(check(case.plan), ()),
    "footprint": lambda case: _equal(bool(footprint(case.plan).reads), True),
    "optimise": _optimised,
    "render text": lambda case: _drawn(case, "text"),
    "render mermaid": lambda case: _drawn(case, "mermaid"),
    "render dot": lambda case: _drawn(case, "dot"),
}
"""Every way to look at a plan."""


def _equal(found: object, expected: object) -> None:
    assert found == expected


def _performed(name: str, case: Case) -> None:
    outcome = INTERPRETERS[name](case.plan, case.value, case)
    assert isinstance(outcome, Success)
    assert number(outcome.unwrap(), case.depth) == case.end


def ways(name: str, case: Case) -> None:
    """Perform the plan, or look at it."""
    if name in INTERPRETERS:
        _performed(name, case)
    else:
        LOOKS[name](case)


EVERY = [*INTERPRETERS, *LOOKS]
LOOKS_AT_PLACES = ("check", "footprint", "dry_run of a value")


# --- sequences and nests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_plans_deeper_than_the_python_stack_mean_the_same_everywhere(name: str) -> None:
    """R-S1, R-S2: a thousand levels, which one call a level could not enter; of forks, which are more, fifty."""
    for shape in ("scattered", "focus", "parallel"):
        ways(name, SHAPES[shape](500 if shape == "parallel" else 1_000))


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("name", "shape"),
    [(name, shape) for name in EVERY for shape in SHAPES],
)
def test_plans_of_full_size_mean_the_same_everywhere_in_linear_time(name: str, shape: str) -> None:
    """R-S1, R-S2: ten times the size costs far less than a hundred times the time."""
    seconds = []
    for n in (FULL // 10, FULL):
        case = SHAPES[shape](n)
        with without_collecting():
            start = time.process_time()  # of this process alone: others may be busy
            ways(name, case)
            seconds.append(time.process_time() - start)
        del case
        gc.collect()
    print(f"{name}, {shape}: {1e6 * seconds[1] / FULL:.1f} us a node, 10 times as large {seconds[1] / seconds[0]:.1f}")
    assert seconds[1] < 40 * seconds[0]


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["run", "arun on asyncio", "arun on trio"])
def test_a_million_steps_in_brackets_at_random_run_flat(name: str) -> None:
    """R-S1."""
    start = time.perf_counter()
    case = scattered(1_000_000)
    built = time.perf_counter()
    ways(name, case)
    print(f"{name}: {built - start:.2f} us a node to build, {time.perf_counter() - built:.2f} to run")


# --- faults ----------------------------------------------------------------------------------------------------------

WATCHED = ("run observed", "traced", "atraced on asyncio", "atraced on trio", "stream on asyncio", "stream on trio")
"""The interpreters that write down what happens."""
KEEP_NOTHING = [name for name in INTERPRETERS if name not in WATCHED]


@task(blocking="inline")
def refuse(_: object) -> int:
    raise ValueError("no")


def failing(n: int) -> AnyPlan:
    return nested(n, lambda p: when(lambda _: True, add >> p), refuse)


@pytest.mark.parametrize(
    ("name", "n"),
    [
        *((name, 1_000) for name in ("run", "arun on asyncio", "traced", "interpret STATE")),
        *(pytest.param(name, FULL, marks=pytest.mark.sweep) for name in INTERPRETERS),
    ],
)
def test_a_fault_from_far_down_says_where_everywhere(name: str, n: int) -> None:
    """R-S2: two steps of the path for each level."""
    fault = INTERPRETERS[name](failing(n), 0).failure()
    assert (fault.name, len(fault.at), fault.input) == ("refuse", 2 * n, n)


def fill_free_lists() -> None:
    """Let what is freed be free: Python keeps the first 2,000 tuples of each small length that are freed."""
    for length in range(10):
        [(0,) * length + (k,) for k in range(2_000)].clear()


def peak_bytes(work: Callable[[], Any]) -> int:
    """The most memory that the work held above what there was."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["run observed", "traced", "atraced on asyncio"])
def test_a_watched_fault_costs_memory_in_proportion_to_its_depth(name: str) -> None:
    """R-S2: four times as deep is about four times as much."""
    small, large = (peak_bytes(lambda n=n: INTERPRETERS[name](failing(n), 0)) for n in (20, 80))  # type: ignore[misc]
    print(f"{small} bytes, four times as deep {large}")
    assert large < 6 * small


@pytest.mark.parametrize("name", LOOKS_AT_PLACES)
def test_a_look_at_nested_focuses_costs_memory_in_proportion_to_their_depth(name: str) -> None:
    """R-S2: four times as deep is about four times as much."""
    cases = [focused(n) for n in (100, 400)]
    small, large = (peak_bytes(lambda case=case: LOOKS[name](case)) for case in cases)  # type: ignore[misc]
    print(f"{small} bytes, four times as deep {large}")
    assert large < 6 * small


# --- loops -----------------------------------------------------------------------------------------------------------

BODIES: dict[str, AnyPlan] = {
    "an action": inc,
    "async": inc_later,
    "through a choice": when(lambda k: k % 2 == 0, add, otherwise=inc),
    "a fork each": gather(add, identity) >> pure(lambda row: row[0]),
    "a fault each": (add >> fail(Stopped(reason="x"))) | add,
}
rounds = pytest.mark.parametrize("n", [240, pytest.param(FULL, marks=pytest.mark.sweep)])


def growth(name: str, body: AnyPlan, n: int) -> float:
    """Bytes that each further round of a loop holds, between a quarter of the rounds and all of them."""

    def turning(count: int) -> None:
        assert INTERPRETERS[name](loop_while(lambda k: k < count, body), 0) == Success(count)

    turning(10)
    fill_free_lists()
    few, many = (peak_bytes(lambda count=count: turning(count)) for count in (n // 4, n))  # type: ignore[misc]
    return (many - few) / (n - n // 4)


def kept_objects(name: str, body: AnyPlan, n: int) -> float:
    """Blocks of memory that each further round of a loop holds, counted in the loop itself: that costs no time."""
    counted = []

    def condition(k: int) -> bool:
        if k in (n // 4, n - 1):
            gc.collect()
            counted.append(sys.getallocatedblocks())
        return k < n

    assert INTERPRETERS[name](loop_while(condition, body), 0) == Success(n)
    return (counted[1] - counted[0]) / (n - 1 - n // 4)


@pytest.mark.parametrize("name", [name for name in KEEP_NOTHING if not name.startswith(("run", "arun"))])
def test_a_loop_uses_constant_memory_in_every_monad(name: str) -> None:
    """R-S3: nothing is kept of a round."""
    for kind in ("through a choice", "a fault each"):
        kept = growth(name, BODIES[kind], 240)
        print(f"{name}, {kind}: {kept:.2f} bytes a round")
        assert abs(kept) < 16


@pytest.mark.sweep
@pytest.mark.parametrize("kind", list(BODIES))
@pytest.mark.parametrize("name", KEEP_NOTHING)
def test_a_loop_uses_constant_memory_at_full_count(name: str, kind: str) -> None:
    """R-S3: of a hundred rounds not one object is kept."""
    kept = kept_objects(name, BODIES[kind], FULL)
    print(f"{name}, {kind}: {kept:.4f} objects a round")
    assert kept < 0.01


@rounds
@pytest.mark.parametrize("name", ["traced", "atraced on asyncio", "atraced on trio"])
def test_a_traced_loop_keeps_its_spans_and_little_else(name: str, n: int) -> None:
    """R-S3: a trace that is kept whole grows with the rounds, by what a span is made of."""
    kept = growth(name, inc, n)
    print(f"{name}: {kept:.0f} bytes a round of one span")
    assert 100 < kept < 700


MILLION = """
import re, resource, sys
from pathlib import Path
from lambdacat import atraced, loop_while, pure, task, traced, when
from lambdacat.testing import virtual_run

way, n = sys.argv[1], int(sys.argv[2])

def up(k):
    return k + 1

def resident():
    # Where there is one, what is held now: the other is the most that there ever was.
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmRSS:\\s+(\\d+) kB", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)

marks = []

def going_on(k):
    if k in (n // 10, n - 1):
        marks.append(resident())
    return k < n

body = when(lambda k: k % 2 == 0, task(blocking="inline")(up), otherwise=pure(up))
loop = loop_while(going_on, body)
if way == "traced":
    trace = traced(loop, keep=100)(0).log
else:
    trace = virtual_run(atraced(loop, keep=100), 0, backend=way).log
assert [total.count for total in trace.totals] == [1, n, n // 2, n // 2], trace.totals
print(marks[1] - marks[0], len(trace.spans), trace.left_out)
"""


@pytest.mark.parametrize("n", [15_000, pytest.param(1_000_000, marks=pytest.mark.sweep)])
@pytest.mark.parametrize("way", ["traced", "asyncio", "trio"])
def test_a_traced_loop_of_which_some_is_kept_uses_constant_memory(way: str, n: int) -> None:
    """R-S3: at most 5 MB more, in a program of its own."""
    said = subprocess.run([sys.executable, "-c", MILLION, way, str(n)], capture_output=True, text=True, check=True)
    grown, kept, left_out = map(int, said.stdout.split())
    print(f"{way}: {n} rounds, +{grown} kB, {kept} spans kept and {left_out} left out")
    assert grown <= 5_000
    assert kept + left_out == 2 * n + 1
    assert kept <= 3 * 200 + 400


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("run observed", 240),
        pytest.param("stream on asyncio", 8_000, marks=pytest.mark.sweep),
        pytest.param("stream on trio", 8_000, marks=pytest.mark.sweep),
    ],
)
def test_a_loop_that_is_only_observed_uses_constant_memory(name: str, n: int) -> None:
    """R-S3: events that nobody keeps are gone; a stream is some hundreds of rounds behind its run."""
    kept = growth(name, BODIES["an action"], n)
    print(f"{name}: {kept:.0f} bytes a round")
    assert kept < 8


@pytest.mark.parametrize(
    ("way", "on"),
    [
        pytest.param("atraced", on_asyncio, id="atraced on asyncio"),
        pytest.param("atraced", on_trio, id="atraced on trio"),
        pytest.param("stream", on_asyncio, id="stream on asyncio"),
        pytest.param("stream", on_trio, id="stream on trio"),
    ],
)
@pytest.mark.parametrize("kind", [pytest.param("an action", marks=pytest.mark.sweep), "through a choice"])
def test_an_endless_loop_that_is_watched_can_be_cancelled_soon(way: str, on: Runner, kind: str) -> None:
    """R-S3: within a thousand rounds of the moment at which it is asked."""
    turns = [0, 0]

    def condition(_: object) -> bool:
        turns[0] += 1
        if turns[0] > 3_000:
            raise RuntimeError("never cancelled")
        return True

    plan = loop_while(condition, BODIES[kind])

    async def watching() -> None:
        if way == "atraced":
            await atraced(plan)(0)
        else:
            async with stream(plan, 0) as events:
                async for _ in events:
                    pass

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(watching)
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            turns[1] = turns[0]
            group.cancel_scope.cancel()

    on(main)
    print(f"asked after {turns[1]}, ended after {turns[0]} rounds")
    assert 0 < turns[0] < 3_000
    assert turns[0] - turns[1] <= 1_000
