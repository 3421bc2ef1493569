"""Calls of tools as plans: what is known of them, what is refused, what they share."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import anyio
import pytest
import toolbox_samples
from clocks import Runner, on_both
from toolbox_samples import CITY, DAYS, REPORT, Trip, send
from untyped import arun, gather, run

from lambdacat import (
    ActionFailed,
    Attr,
    Context,
    Estimate,
    Key,
    MemoryJournal,
    PlanError,
    Resource,
    Success,
    TimedOut,
    check,
    collect,
    dry_run,
    each,
    footprint,
    lens,
    optimise,
    parallel,
    pure,
    render,
    task,
)
from lambdacat.plan import Parallel, Task
from lambdacat.structure import nodes
from lambdacat.tools import Toolbox, tool

BOX: Any = Toolbox.from_module(toolbox_samples)


def task_in(plan: Any) -> Any:
    """The one task of a plan."""
    [found] = [node for node in nodes(plan) if type(node) is Task]
    return found


@on_both
def test_a_task_takes_constants_and_lenses(on: Runner) -> None:
    plan = BOX.task("weather.get", city=CITY, days=3, into=REPORT) >> BOX.task("math.add", a=DAYS, b=40, into=DAYS)
    assert on(lambda: arun(plan, Trip())) == Success(Trip(report="Turin: rain for 3 days", days=42))


def test_what_is_declared_is_known_of_the_plan() -> None:
    plan = BOX.task("weather.get", city=CITY, into=REPORT)
    known, step = footprint(plan), task_in(plan)
    assert known.reads == {(Attr("city"),)}
    assert known.writes == {(Attr("report"),)}
    assert known.resources == {Resource("weather")}
    assert (step.name, step.seconds, step.idempotent) == ("weather.get", 5, True)
    assert step.estimate == Estimate(seconds=(1, 1), tokens=(0, 0), money=(0, 0.01))
    assert dry_run(plan).seconds == (1.0, 1.0)
    letter = footprint(BOX.task("mail.send", to={"street": "x", "number": 1}, text=REPORT, into=()))
    assert letter.resources == {Resource("mail", writes=True), Resource("log", writes=True)}
    assert letter.writes == frozenset()


def test_an_estimate_says_more_than_a_class_of_latency() -> None:
    def cost(**options: Any) -> Any:
        return tool("a.b", **options)(lambda: None).cost

    assert [cost(latency=one).seconds[0] for one in ("fast", "medium", "slow", "very slow")] == [0.1, 1, 10, 60]
    assert cost() is None
    assert cost(latency="slow", estimate=Estimate(seconds=(2, 3))) == Estimate(seconds=(2, 3))


def test_without_a_place_for_it_the_result_is_the_value() -> None:
    assert run(BOX.task("math.add", a=DAYS, b=1), Trip()) == Success(3)
    assert run(BOX.task("math.add", a=1, b=1) >> pure(str), "anything") == Success("2")
    assert run(BOX.from_arguments("math.add"), {"a": 1, "b": 2}) == Success(3)
    assert run(BOX.task("math.add", {"a": 1}, b=DAYS, into=()), Trip()) == Success(Trip())


def test_plans_that_say_the_same_are_the_same() -> None:
    def made() -> Any:
        return BOX.task("mail.send", to={"street": "x", "number": 1}, text=REPORT, into=())

    assert made() == made()
    assert hash(made()) == hash(made())
    assert made() != BOX.task("mail.send", to={"street": "x", "number": 2}, text=REPORT, into=())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cty": "Turin"}, "weather.get: cty: no such argument; did you mean 'city'?; city: missing"),
        ({"city": 5}, "weather.get: city: expected str, got int"),
        ({"city": 5, "days": "x"}, "weather.get: city: expected str, got int; days: expected int, got str"),
        ({}, "weather.get: city: missing"),
        ({"cty": 1, "days": "x"}, "did you mean 'city'?; city: missing; days: expected int, got str"),
        ({"city": task(lambda s: s)}, "city: an argument is a constant or a lens, and this is a plan"),
        ({"city": lens(Trip, lambda s: s.days) >> each}, "this is an optic with several parts"),
        ({"city": lens(tuple[str, ...], lambda s: s[0])}, "weather.get: its lenses are of different states"),
        ({"city": "x", "into": "report"}, "weather.get: into= is a lens, or () to drop the result, not 'report'"),
    ],
)
def test_what_is_known_to_be_wrong_is_refused_when_the_plan_is_built(arguments: Any, message: str) -> None:
    with pytest.raises(PlanError) as refused:
        BOX.task("weather.get", **{"into": REPORT, **arguments})
    assert message in str(refused.value)


def test_an_argument_is_given_once() -> None:
    with pytest.raises(PlanError, match="city is given twice"):
        BOX.task("weather.get", {"city": "a"}, city="b")
    with pytest.raises(PlanError, match="arguments are a mapping with names"):
        BOX.task("weather.get", ["a"])


def test_bad_arguments_are_named_before_the_call_and_bad_results_after_it() -> None:
    calls = []

    @tool("text.count", blocking="inline")
    def count(words: list[str]) -> int:
        calls.append(words)
        return "many"  # type: ignore[return-value]

    box: Any = Toolbox(count)
    match run(box.task("text.count", words=DAYS, into=DAYS), Trip(days=["a", 2])).failure():
        case ActionFailed(error=error, name="text.count"):
            assert str(error) == "text.count: words[1]: expected str, got int"
        case other:
            raise AssertionError(other)
    assert calls == []
    match run(box.task("text.count", words=DAYS, into=DAYS), Trip(days=["a"])).failure():
        case ActionFailed(error=error):
            assert str(error) == "text.count: result: expected int, got str"
        case other:
            raise AssertionError(other)
    assert calls == [["a"]]


@on_both
def test_what_is_awaited_is_checked(on: Runner) -> None:
    async def wrong() -> int:
        return "many"  # type: ignore[return-value]

    def left() -> Any:
        return wrong()

    left.__annotations__["return"] = Awaitable[int]
    for action in (wrong, left):
        fault = on(lambda action=action: arun(tool("a.b")(action).task(), 0)).failure()
        assert str(fault.error) == "a.b: result: expected int, got str"


@pytest.mark.parametrize("given", [[1, 2], '{"a": 1}', None, {1: 2}, {1: 2, "a": 3}])
def test_arguments_that_are_no_object_are_bad_arguments(given: Any) -> None:
    fault = run(BOX.from_arguments("math.add"), given).failure()
    assert str(fault.error).startswith("math.add: expected an object of arguments by name, got ")


@on_both
def test_a_tool_in_a_durable_run_is_called_once(on: Runner) -> None:
    calls = []

    @tool("a.b")
    async def once(n: int) -> int:
        calls.append(n)
        return n + 1

    journal = MemoryJournal()
    plan: Any = Toolbox(once).strict().task("a.b", n=DAYS, into=DAYS)
    for _ in range(2):
        assert on(lambda: arun(plan, Trip(), journal=journal)) == Success(Trip(days=3))
    assert calls == [2]


def test_constants_are_the_call_s_own() -> None:
    rows: list[Any] = []
    given = {"n": [1]}

    @tool("a.b", blocking="inline")
    def grow(of: Any) -> None:
        of["n"].append(2)
        rows.append(of)

    plan: Any = Toolbox(grow).task("a.b", of=given, into=())
    given["n"].append(3)
    assert run(plan >> plan, 0) == Success(0)
    assert rows == [{"n": [1, 2]}] * 2


def test_a_fault_of_the_function_shows_its_own_line_alone() -> None:
    said = str(run(BOX.task("math.root", of=-1.0), 0).failure())
    assert "math.root raised ValueError" in said
    assert "toolbox_samples.py" in said
    assert "acting.py" not in said


@on_both
def test_a_timeout_counts_from_the_call(on: Runner) -> None:
    @tool("a.slow", timeout=1.5, limit=1)
    async def slow(seconds: float) -> float:
        await anyio.sleep(seconds)
        return seconds

    box: Any = Toolbox(slow)
    two = parallel(*[box.task("a.slow", seconds=1)] * 2, join=collect)
    assert on(lambda: arun(two, 0)) == Success((1.0, 1.0))
    assert isinstance(on(lambda: arun(box.task("a.slow", seconds=2), 0)).failure(), TimedOut)


@on_both
def test_all_tasks_of_a_tool_share_its_limit(on: Runner) -> None:
    """Also those of other toolboxes, and of no toolbox."""
    sent: list[Any] = []

    async def main() -> float:
        to = {"street": "x", "number": 1}
        ways = [BOX.task, lambda _, **a: send.task(**a), Toolbox(send).strict().task]
        letters = [ways[i % 3]("mail.send", to=to, text=str(i)) for i in range(6)]
        begin = anyio.current_time()
        context = Context().provide(Key("sent"), sent).provide(Key("mail"), sent)
        outcomes = (await arun(gather(*(one.attempt() for one in letters)), 0, context=context)).unwrap()
        # Strict mode hands out what was declared, which ``sent`` is not.
        assert [isinstance(one, Success) for one in outcomes] == [True, True, False] * 2
        return anyio.current_time() - begin

    assert on(main) == pytest.approx(3.0)


def test_a_retry_of_what_is_not_idempotent_is_found() -> None:
    plan = BOX.task("mail.send", to={"street": "x", "number": 1}, text=REPORT, into=()).retry(2)
    assert "retry-not-idempotent" in [found.rule for found in check(plan)]


def test_two_that_write_one_resource_are_never_put_side_by_side() -> None:
    """R-P4: what the declarations say is enough to know it."""
    to = {"street": "x", "number": 1}
    one, two = (BOX.task("mail.send", to=to, text=text, into=()) for text in "ab")
    other = BOX.task("weather.get", city=CITY, into=REPORT)
    assert not footprint(one).disjoint_from(footprint(two))
    assert footprint(one).disjoint_from(footprint(other))
    assert not any(type(node) is Parallel for node in nodes(optimise(one >> two)[0]))
    assert "mail.send" in render(one)
