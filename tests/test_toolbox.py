"""Tools and toolboxes: what may be declared, what is refused, what models are told."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import toolbox_samples
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from toolbox_samples import DAYS, TOTAL, Trip, add, root, send, weather
from untyped import run

from lambdacat import (
    PlanError,
    Success,
    task,
)
from lambdacat.tools import Tool, Toolbox, UnknownTool, model_name, name_of_model, tool

BOX: Any = Toolbox.from_module(toolbox_samples)


# --- a tool ----------------------------------------------------------------------------------------------------------


def test_a_tool_is_still_its_function() -> None:
    assert add(1, b=2) == 3
    assert weather.__name__ == "weather"
    assert weather.description == "The weather in a city."
    assert asyncio.run(_first_step(weather("Turin"))) == "suspended"


async def _first_step(coroutine: Any) -> str:
    assert coroutine.send(None) is not None
    coroutine.close()
    return "suspended"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit is a whole number of calls, at least 1, not 0"),
        ({"limit": True}, "limit is a whole number"),
        ({"timeout": 0}, "timeout is a number of seconds above 0, not 0"),
        ({"timeout": float("inf")}, "timeout is a number of seconds, finite"),
        ({"latency": "quick"}, "latency is 'fast', 'medium', 'slow', 'very slow' or nothing, not 'quick'"),
        ({"idempotent": 1}, "idempotent is True, False or nothing, not 1"),
        ({"estimate": 3}, "estimate is an Estimate"),
        ({"reads": 3}, "resources are named"),
        ({"writes": ("",)}, "name is text that is not blank"),
        ({"capabilities": "net"}, "the capability 'net' says of what"),
        ({"capabilities": "fs:reports"}, "a capability of files has an absolute path, not 'reports'"),
        ({"capabilities": 3}, "capabilities are written as text"),
        ({"capabilities": "Net:x"}, "a capability is written"),
        ({"input": {"type": "string"}}, "input= is the JSON Schema of an object"),
        ({"metadata": 3}, "are mappings, not 3"),
        ({"description": 3}, "description is text, not 3"),
        ({"blocking": "maybe"}, "blocking is 'thread', 'abandon', 'inline' or nothing"),
        ({"read": "x"}, "a tool has no option 'read'; did you mean 'reads'?"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(options: Any, message: str) -> None:
    with pytest.raises(PlanError) as refused:
        tool("a.b", **options)(lambda: None)
    assert message in str(refused.value)


@pytest.mark.parametrize("name", ["", " ", "get", "a.", ".b", "a..b", "a b.c", "a.b__c", "_a.b", "a._b", "a.b_", "a.é"])
def test_a_name_is_a_category_and_a_word(name: str) -> None:
    """A36: an empty name is refused, and whatever a model could not be told and tell back."""
    with pytest.raises(PlanError, match=r"a tool is named category\.name, such as 'weather\.get'"):
        tool(name)(lambda: None)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (task(lambda n: n), r"a.b is a whole plan: toolbox.with_plan\('a.b', plan\)"),
        (add, "a tool is made of a function"),
        (3, "a tool is made of a function, not of 3"),
        (lambda a, /: a, "a tool's arguments have names, and a of <lambda> has none in a call"),
        (lambda *rest: rest, r"\*rest of <lambda>"),
        (lambda **rest: rest, r"\*\*rest of <lambda>"),
    ],
)
def test_what_cannot_be_called_by_name_is_no_tool(action: Any, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Toolbox(tool("a.b")(action)).task("a.b")


class Greeter:
    """A class whose instances are called."""

    def __call__(self, name: str) -> str:
        """Greet somebody."""
        return f"hello {name}"


def test_partials_and_callable_objects_are_functions_too() -> None:
    some = tool("a.some")(partial(add.action, b=2))
    greet = tool("a.greet")(Greeter())
    assert (some.description, greet.description) == ("Add two numbers.", "Greet somebody.")
    assert some.listing()["function"]["parameters"]["required"] == ["a"]
    assert run(some.task(a=1), 0) == Success(3)
    assert run(greet.task(name="Ada"), 0) == Success("hello Ada")


def test_a_decorator_without_a_name_says_so() -> None:
    made: Any = tool
    with pytest.raises(PlanError, match=r"a tool has a name: @tool\('category.name'\), not @tool on test_"):
        made(test_a_decorator_without_a_name_says_so)


def test_an_async_generator_is_told_what_to_do() -> None:
    async def chunks() -> Any:
        yield 1

    with pytest.raises(PlanError, match=r"send chunks with ctx\.emit"):
        tool("a.b")(chunks)


def test_an_annotation_that_is_not_there_is_refused_when_it_is_first_needed() -> None:
    def missing(a: Nowhere) -> int:  # type: ignore[name-defined]  # noqa: F821
        return 1

    box = Toolbox(tool("a.b")(missing))
    with pytest.raises(PlanError, match=r"a\.b: an annotation of missing cannot be looked up: name 'Nowhere'"):
        box.task("a.b", a=1)


def test_a_tool_goes_to_another_process_by_its_name() -> None:
    plan = toolbox_samples.add.task(a=1, b=DAYS, into=DAYS)
    assert pickle.loads(pickle.dumps(add)) is add
    assert run(pickle.loads(pickle.dumps(plan)), Trip(days=2)) == Success(Trip(days=3))


# --- a toolbox -------------------------------------------------------------------------------------------------------


def test_a_toolbox_is_asked_for_tools() -> None:
    """G17."""
    assert BOX.names == ("mail.send", "math.add", "math.root", "weather.get")
    assert "math.add" in BOX
    assert "math.sub" not in BOX
    assert (len(BOX), BOX["math.add"], BOX.get("math.sub")) == (4, add, None)
    assert BOX.categories == {"mail": (send,), "math": (add, root), "weather": (weather,)}
    assert list(BOX) == [send, add, root, weather]


def test_a_name_that_is_not_there_is_refused_when_the_plan_is_built() -> None:
    """A35."""
    with pytest.raises(UnknownTool, match=r"there is no tool 'wether\.get'; did you mean 'weather\.get'\?"):
        BOX.task("wether.get", city="Turin")
    with pytest.raises(PlanError, match=r"there is no tool 'sum'; there are mail\.send, math\.add"):
        BOX.from_arguments("sum")
    with pytest.raises(UnknownTool, match=r"did you mean 'mail\.send'"):
        BOX["letters.send"]
    with pytest.raises(LookupError, match="the toolbox is empty"):
        Toolbox()["a.b"]


def test_a_duplicate_is_refused_and_a_toolbox_never_changes() -> None:
    """A36, G17: an overwrite has to be asked for."""
    other = tool("math.add")(lambda a: a)
    same = tool("math.plus")(add.action)
    box = Toolbox(add)
    with pytest.raises(PlanError, match=r"there is a tool 'math\.add' already; to put another in its place, use repl"):
        box.with_(other)
    with pytest.raises(PlanError, match=r"'math\.plus' and 'math\.add' are one function"):
        box.with_(same)
    with pytest.raises(PlanError, match="a toolbox holds tools, not"):
        box.with_(print)  # type: ignore[arg-type]
    assert box.replacing(other)["math.add"] is other
    assert box == Toolbox(add)
    with pytest.raises(UnknownTool):
        box.replacing(same)
    with pytest.raises(UnknownTool):
        box.without("math.sub")
    with pytest.raises(AttributeError):
        box.is_strict = True  # type: ignore[misc]


class Shelf:
    """An object whose methods are tools."""

    def put(self, book: str) -> str:
        """Put a book away."""
        return book


def test_a_method_is_one_function_too() -> None:
    shelf = Shelf()
    with pytest.raises(PlanError, match="are one function"):
        Toolbox(tool("shelf.put")(shelf.put), tool("shelf.add")(shelf.put))
    assert len(Toolbox(tool("shelf.put")(shelf.put), tool("other.put")(Shelf().put))) == 2


PAIRS = [("x", "x"), ("x", "y"), ("y", "x"), ("y", "y")]
POOL = [tool(f"{a}.{b}")(lambda n=n: n) for n, (a, b) in enumerate([*PAIRS, *PAIRS[:2]])]
"""Six tools, of which two pairs have one name."""
boxes = (
    st.sets(st.sampled_from(range(6)))
    .filter(lambda s: not {0, 4} <= s and not {1, 5} <= s)
    .map(lambda s: Toolbox(*(POOL[i] for i in sorted(s, reverse=True))))
)


def joined(*given: Any) -> Any:
    """The union, or that there is none."""
    whole = Toolbox()
    for one in given:
        try:
            whole = whole | (one() if callable(one) else one)
        except PlanError:
            return "refused"
    return whole


def test_two_tools_of_one_name_are_never_joined() -> None:
    with pytest.raises(PlanError, match=r"there is a tool 'x\.x' already"):
        Toolbox(POOL[0]) | Toolbox(POOL[4])
    assert Toolbox(POOL[0]) | Toolbox(evolve(POOL[0])) == Toolbox(POOL[0])


def test_a_strict_toolbox_stays_strict() -> None:
    box = Toolbox(add).strict()
    for other in (box.with_(root), box.without("math.add"), box.replacing(add), box.with_plan("a.b", task(len))):
        assert other.is_strict
    assert not Toolbox(add).is_strict
    assert box != Toolbox(add)


@settings(max_examples=60)
@given(boxes, boxes, boxes)
def test_the_union_of_toolboxes_has_laws(a: Any, b: Any, c: Any) -> None:
    assert joined(a, b) == joined(b, a)
    right = joined(b, c)
    assert joined(a, b, c) == (right if right == "refused" else joined(a, right))
    assert (a | a, a | Toolbox(), Toolbox() | a) == (a, a, a)
    assert (a | b.strict()) == (a | b).strict() if joined(a, b) != "refused" else True
    assert a.without(*a.names) == Toolbox()
    assert Toolbox().with_(*a) == a
    assert hash(Toolbox(*reversed(list(a)))) == hash(a)


def test_a_module_without_tools_says_so() -> None:
    module = ModuleType("empty")
    with pytest.raises(PlanError, match="empty has no tools: decorate its functions"):
        Toolbox.from_module(module)
    vars(module).update({"one": add, "two": add, "__all__": ["one", "two"], "three": root})
    assert Toolbox.from_module(module).names == ("math.add",)


def test_what_nobody_declared_is_listed() -> None:
    assert BOX.undeclared() == {
        "mail.send": ("cost",),
        "math.root": ("idempotent", "resources", "cost"),
    }


# --- what a model is told --------------------------------------------------------------------------------------------


def test_the_listing_is_what_models_take() -> None:
    assert Toolbox(weather).listing() == [
        {
            "type": "function",
            "function": {
                "name": "weather__get",
                "description": "The weather in a city.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "city": {"type": "string", "description": "The city's own name."},
                        "days": {"type": "integer", "default": 1},
                    },
                    "required": ["city"],
                    "additionalProperties": False,
                },
            },
        }
    ]
    [letter] = Toolbox(send).listing()
    assert letter["function"]["parameters"]["properties"]["to"] == {"$ref": "#/$defs/Address"}
    assert letter["function"]["parameters"]["$defs"]["Address"]["required"] == ["number", "street"]
    assert "ctx" not in letter["function"]["parameters"]["properties"]


def test_the_listing_is_the_same_bytes_in_every_process() -> None:
    """G17."""
    code = (
        "import sys, json; sys.path.insert(0, 'tests')\n"
        "import toolbox_samples, typing; from lambdacat.tools import *\n"
        "odd = tool('a.b')(lambda kind=frozenset({'a', 'b', 'c'}): 0)\n"
        "odd.action.__annotations__['kind'] = frozenset[typing.Literal['x', 'y', 'z']]\n"
        "print(json.dumps((Toolbox.from_module(toolbox_samples) | Toolbox(odd)).listing()))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


words = st.lists(st.sampled_from(["a", "B", "9z"]), min_size=1, max_size=3)
names = st.lists(
    st.tuples(words, st.sampled_from("_-")).map(lambda row: row[1].join(row[0])), min_size=2, max_size=4
).map(".".join)


@given(names, names)
def test_names_for_models_can_be_turned_back(one: str, other: str) -> None:
    made = tool(one)(lambda: None)
    told = made.listing()["function"]["name"]
    assert name_of_model(told) == one
    assert set(told) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert len(told) <= 64
    assert (model_name(one) == model_name(other)) is (one == other)


def test_a_name_that_is_too_long_for_models_is_refused() -> None:
    with pytest.raises(PlanError, match="models take names of at most 64 characters"):
        tool(f"a.{'b' * 62}")(lambda: None)


def test_nothing_heavy_is_loaded_before_a_call_is_built() -> None:
    code = (
        "import sys, lambdacat\n"
        "from lambdacat.tools import Toolbox, tool\n"
        "box = Toolbox(tool('a.b')(lambda n: n))\n"
        "print({'msgspec', 'jsonschema', 'anyio', 'asyncio'} & set(sys.modules))\n"
        "box.task('a.b', n=1)\n"
        "print({'msgspec', 'jsonschema', 'anyio', 'asyncio'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["set()", "{'msgspec'}"]


def test_the_type_of_a_tool_is_a_value() -> None:
    again = evolve(add, description="Another.")
    assert isinstance(again, Tool)
    assert again != add
    assert evolve(again, description=add.description) == add
    assert TOTAL.get(Trip()) == 0.0
