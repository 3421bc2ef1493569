"""Whole plans as tools, and what an agent remembers as tools."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from attrs import field, frozen
from toolbox_samples import CITY, DAYS, REPORT, Trip, add
from untyped import run

from lambdacat import (
    ActionFailed,
    Attr,
    PlanError,
    Resource,
    Success,
    TimedOut,
    footprint,
    lens,
    pure,
    render,
    task,
    traced,
)
from lambdacat.state import MEMORY, AgentState, Memory, NotRemembered, forget, recall, remember
from lambdacat.tools import Toolbox, memory_tools


@frozen
class Question:
    """What a plan is asked."""

    text: str
    rounds: int = 1


@task(blocking="inline")
def answer(question: Question) -> str:
    """Answer it."""
    return question.text * question.rounds


@task(blocking="inline", resources=(Resource("model"),))
def upper(text: str) -> str:
    """Say it loudly."""
    return text.upper()


def loud() -> Any:
    """A toolbox with a plan that takes a record."""
    return Toolbox(add).with_plan("agent.answer", answer >> upper, kind="agent", takes=Question, gives=str)


def test_the_fields_of_a_record_are_the_arguments_of_a_plan() -> None:
    box = loud()
    assert (box["agent.answer"].kind, box["math.add"].kind) == ("agent", "function")
    plan = box.task("agent.answer", text=CITY, rounds=DAYS, into=REPORT)
    assert run(plan, Trip()) == Success(Trip(report="TURINTURIN"))
    assert run(box.task("agent.answer", text=CITY), Trip()) == Success("TURIN")
    assert run(box.task("agent.answer", text="a", into=()), Trip()) == Success(Trip())
    assert run(box.from_arguments("agent.answer"), {"text": "a", "rounds": 2}) == Success("AA")
    [told] = Toolbox(box["agent.answer"]).listing()
    assert told["function"]["parameters"] == {
        "type": "object",
        "properties": {"text": {"type": "string"}, "rounds": {"type": "integer", "default": 1}},
        "required": ["text"],
        "additionalProperties": False,
    }


def test_another_type_is_one_argument() -> None:
    box: Any = Toolbox().with_plan("text.upper", upper, takes=str, description="Say it loudly.")
    assert run(box.task("text.upper", input=CITY, into=REPORT), Trip()) == Success(Trip(report="TURIN"))
    assert box["text.upper"].description == "Say it loudly."


def test_a_plan_may_say_its_arguments_as_json_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    box: Any = Toolbox().with_plan("a.b", pure(lambda given: given["n"] + 1), input=schema)
    assert run(box.task("a.b", n=DAYS, into=DAYS), Trip()) == Success(Trip(days=3))


def test_without_arguments_a_plan_stands_where_its_task_stands() -> None:
    box: Any = Toolbox().with_plan("trip.plan", loud().task("agent.answer", text=CITY, into=REPORT))
    assert run(box.task("trip.plan"), Trip()) == Success(Trip(report="TURIN"))
    count: Any = Toolbox().with_plan("trip.count", pure(lambda trip: trip.days + 1))
    assert run(count.task("trip.count", into=DAYS), Trip()) == Success(Trip(days=3))
    with pytest.raises(PlanError, match=r"trip\.plan works on a state, so its arguments alone are not enough"):
        box.from_arguments("trip.plan")
    with pytest.raises(PlanError, match="text: no such argument; it takes none"):
        box.task("trip.plan", text="x")


def test_what_a_plan_touches_is_known_of_its_task() -> None:
    box = loud()
    one: Any = footprint(box.task("agent.answer", text=CITY, into=REPORT))
    assert (one.reads, one.writes, one.resources) == ({(Attr("city"),)}, {(Attr("report"),)}, {Resource("model")})
    two: Any = footprint(box.task("agent.answer", text=CITY, rounds=DAYS, into=REPORT))
    assert (two.reads, two.writes) == ({()}, {(Attr("report"),)})
    assert box["agent.answer"].reads == ("model",)
    assert "agent.answer" in render(box.task("agent.answer", text=CITY, into=REPORT))


@frozen
class Outer:
    """A state inside a state."""

    trip: Trip


def test_arguments_below_one_place_are_read_there() -> None:
    trip = lens(Outer, lambda s: s.trip)
    plan = loud().task("agent.answer", text=trip >> CITY, rounds=trip >> DAYS, into=trip >> REPORT)
    assert footprint(plan).reads == {(Attr("trip"),)}
    assert run(plan, Outer(Trip())) == Success(Outer(Trip(report="TURINTURIN")))


def test_steps_of_a_plan_are_steps_of_the_run() -> None:
    plan = loud().task("agent.answer", text=CITY, into=REPORT)
    names = [span.name for span in traced(plan)(Trip()).log.spans]
    assert [name for name in names if name in ("answer", "upper")] == ["answer", "upper"]


def test_arguments_and_results_of_a_plan_are_checked() -> None:
    box = loud().with_plan("a.b", pure(lambda n: "many"), takes=int, gives=int)
    with pytest.raises(PlanError, match=r"agent\.answer: rounds: expected int, got str"):
        box.task("agent.answer", text="a", rounds="x")
    fault = run(box.task("agent.answer", text="a", rounds=DAYS), Trip(days="x")).failure()
    assert str(fault.error) == "agent.answer: rounds: expected int, got str"
    fault = run(box.task("a.b", input=1), 0).failure()
    assert str(fault.error) == "a.b: result: expected int, got str"


def test_a_plan_as_a_tool_goes_to_another_process() -> None:
    box = loud()
    assert pickle.loads(pickle.dumps(box)) == box
    for plan in (box.task("agent.answer", text=CITY, into=REPORT), box.strict().task("agent.answer", text=CITY)):
        there = pickle.loads(pickle.dumps(plan))
        assert there == plan
        assert run(there, Trip()) == run(plan, Trip())


def test_a_plan_is_bounded_as_its_tool_says() -> None:
    @task
    def slow(n: int) -> int:
        from time import sleep

        sleep(0.05)
        return n

    box: Any = Toolbox().with_plan("a.slow", slow >> slow, takes=int, timeout=0.02, limit=1)
    match run(box.task("a.slow", input=1), 0).failure():
        case TimedOut(seconds=seconds):
            assert seconds == 0.02
        case other:
            raise AssertionError(other)
    with pytest.raises(PlanError, match=r"a\.b: gives= has a type that nothing can be held against"):
        box.with_plan("a.b", slow, gives=Question | Trip).task("a.b")
    with pytest.raises(PlanError, match=r"with_plan wants a plan, not .*; declare a function with @tool"):
        box.with_plan("a.b", slow.action)


# --- memory ----------------------------------------------------------------------------------------------------------

KEY = lens(AgentState, lambda s: s.data["key"])
FOUND = lens(AgentState, lambda s: s.data["found"])


def test_memory_is_there_as_tools() -> None:
    box: Any = memory_tools()
    assert box.names == ("memory.forget", "memory.recall", "memory.save")
    assert box.undeclared() == {}
    assert box.task("memory.save", key="name", value="Ada") == remember("name", "Ada")
    assert box.task("memory.recall", key=KEY, into=FOUND) == recall(KEY, FOUND)
    assert box.task("memory.forget", key=KEY) == forget(KEY)
    saved: Any = run(box.task("memory.save", key="name", value="Ada"), AgentState()).unwrap()
    assert MEMORY.get(saved)["name"].value == "Ada"
    assert "name" not in MEMORY.get(run(box.task("memory.forget", key="name"), saved).unwrap())


@frozen
class Notes:
    """A state with a memory of its own."""

    kept: Memory = field(factory=Memory)
    found: Any = None


def test_the_memory_is_where_its_lens_says() -> None:
    kept, found = lens(Notes, lambda s: s.kept), lens(Notes, lambda s: s.found)
    box: Any = memory_tools(kept)
    plan = box.task("memory.save", key="a", value=[1]) >> box.task("memory.recall", key="a", into=found)
    done = run(plan, Notes()).unwrap()
    assert done.found == [1]
    assert footprint(box.task("memory.recall", key="a", into=found)).writes == {(Attr("found"),)}
    match run(
        plan >> box.task("memory.forget", key="a") >> box.task("memory.recall", key="a", into=found), Notes()
    ).failure():
        case ActionFailed(error=NotRemembered()):
            pass
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("memory.save", {"key": 1, "value": 2}, "memory.save: key: expected str, got int"),
        ("memory.save", {"key": "a"}, "memory.save: value: missing"),
        ("memory.save", {"key": "a", "value": 1, "into": KEY}, "memory.save: it changes the memory and gives nothing"),
        ("memory.recall", {"key": "a"}, "memory.recall: into= is the lens of where"),
    ],
)
def test_calls_of_memory_that_cannot_be_are_refused(name: str, given: Any, message: str) -> None:
    with pytest.raises(PlanError) as refused:
        memory_tools().task(name, **given)
    assert message in str(refused.value)
    with pytest.raises(PlanError, match="works on a state"):
        memory_tools().from_arguments(name)


def test_memory_tools_are_told_to_models_beside_others() -> None:
    box = memory_tools() | Toolbox(add)
    told = {one["function"]["name"]: one["function"] for one in box.listing()}
    assert told["memory__save"]["parameters"]["properties"] == {"key": {"type": "string"}, "value": {}}
    assert told["memory__recall"]["description"] == "What is remembered under a key."
    with pytest.raises(TypeError, match=r"memory\.save is no function"):
        memory_tools()["memory.save"]("a", 1)
    with pytest.raises(PlanError, match="memory_tools wants the lens of a memory, not 3"):
        memory_tools(3)  # type: ignore[arg-type]
