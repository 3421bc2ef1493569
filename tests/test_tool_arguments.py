"""Arguments and results held against types and schemas: two libraries that know JSON Schema agree on what is right."""

from __future__ import annotations

import datetime
import enum
import json
import socket
import sys
import urllib.request
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from toolbox_samples import DAYS, Trip
from typing_extensions import TypedDict
from untyped import run

from lambdacat import PlanError, Success
from lambdacat.tools import BadArguments, Tool, Toolbox, tool
from lambdacat.tools.arguments import taken


class Colour(enum.Enum):
    """A closed row of words."""

    RED = "red"
    BLUE = "blue"


@frozen
class Point:
    """A record."""

    x: int
    y: int = 0


class Pair(NamedTuple):
    """A record by position."""

    a: int
    b: str


class Options(TypedDict, total=False):
    """A record that is a dict."""

    deep: bool


class Model(BaseModel):
    """A record of another library."""

    n: int


def takes(*kinds: Any, **defaults: Any) -> Tool[Any, Any]:
    """A tool whose arguments a, b, ... have these types, and which gives them."""

    def action(**given: Any) -> Any:
        return given

    from inspect import Parameter, Signature

    names = "abcdef"[: len(kinds)]
    made: Any = action
    made.__annotations__ = dict(zip(names, kinds, strict=True))
    made.__signature__ = Signature(
        [Parameter(name, Parameter.KEYWORD_ONLY, default=defaults.get(name, Parameter.empty)) for name in names]
    )
    return tool("any.thing", blocking="inline")(made)


def problems(made: Any, **given: Any) -> tuple[str, ...]:
    """What is wrong with arguments."""
    try:
        taken(made.name, made.takes, given)
    except BadArguments as error:
        return error.problems
    return ()


# --- random types and values -----------------------------------------------------------------------------------------

LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-(2**53), 2**53)),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (str, st.text(max_size=5)),
    (bool, st.booleans()),
    (Literal["p", "q"], st.sampled_from(["p", "q"])),
    (Colour, st.sampled_from(list(Colour))),
    (Point, st.builds(Point, st.integers(0, 9), st.integers(0, 9))),
    (Pair, st.builds(Pair, st.integers(0, 9), st.text(max_size=3))),
    (Options, st.fixed_dictionaries({}, optional={"deep": st.booleans()})),
    (Annotated[int, msgspec.Meta(ge=3)], st.integers(3, 9)),
]
Typed = tuple[Any, st.SearchStrategy[Any]]


def larger(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    """Types made of other types, each with its values."""

    def containers(one: Typed) -> list[Typed]:
        kind, values = one
        return [
            (list[kind], st.lists(values, max_size=3)),  # type: ignore[valid-type]
            (tuple[kind, ...], st.lists(values, max_size=3).map(tuple)),  # type: ignore[valid-type]
            (dict[str, kind], st.dictionaries(st.text(max_size=3), values, max_size=3)),  # type: ignore[valid-type]
            (kind | None, st.none() | values),
        ]

    return inner.flatmap(lambda one: st.sampled_from(containers(one)))


types = st.recursive(st.sampled_from(LEAVES), larger, max_leaves=3)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["p", "red", "x", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "y", "a"]), inner, max_size=2),
    max_leaves=4,
)


@given(st.data(), st.lists(types, min_size=1, max_size=3))
def test_what_a_model_writes_arrives_as_what_a_program_gives(data: st.DataObject, kinds: list[Typed]) -> None:
    """By way of JSON or directly: equal values, of the types that the function wants; and its schema allows them."""
    made: Any = takes(*(kind for kind, _ in kinds))
    values = {name: data.draw(one) for name, (_, one) in zip("abc", kinds, strict=False)}
    box: Any = Toolbox(made)
    written = json.loads(msgspec.json.encode(values))
    assert run(box.task("any.thing", values), 0) == Success(values)
    assert run(box.from_arguments("any.thing"), written) == Success(values)
    schema = made.listing()["function"]["parameters"]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(written, schema)


@given(st.sampled_from(LEAVES).flatmap(lambda one: larger(st.just(one)) | st.just(one)), json_values)
def test_what_is_refused_is_what_its_schema_refuses(kind: Typed, value: Any) -> None:
    made: Any = takes(kind[0])
    schema = made.listing()["function"]["parameters"]
    allowed = jsonschema.Draft202012Validator(schema).is_valid({"a": value})
    assert (problems(made, a=value) == ()) is allowed
    again: Any = tool("any.thing", input=schema)(made.action)
    assert (problems(again, a=value) == ()) is allowed


# --- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (str, 5, "a: expected str, got int"),
        (int, True, "a: expected int, got bool"),
        (list[Point], [{"x": 1}, {"x": "no"}], "a[1].x: expected int, got str"),
        (dict[str, int], {"k": "v"}, "a[...]: expected int, got str"),
        (dict[str, dict[str, int]], {"k": {1: 2}}, "a[...] (a key): expected str, got int"),
        (Point, {}, "a: object missing required field x"),
        (Literal["p"], "q", "a: invalid enum value 'q'"),
        (Annotated[int, msgspec.Meta(ge=3)], 2, "a: expected int >= 3"),
        (Path, 3, "a: expected Path, got int"),
        (Pair, [1], "a: expected array of length 2, got 1"),
        (datetime.date, "soon", "a: invalid RFC3339 encoded date"),
    ],
)
def test_problems_are_named_by_path(kind: Any, value: Any, said: str) -> None:
    assert problems(takes(kind), a=value) == (said,)


def test_every_problem_is_said_at_once() -> None:
    assert problems(takes(int, int, int), a="x", c=None, d=1) == (
        "d: no such argument; it takes a, b, c",
        "b: missing",
        "a: expected int, got str",
        "c: expected int, got null",
    )


def test_classes_that_json_does_not_know() -> None:
    """A path is text; a model of pydantic makes itself; of any other class there are only its own values."""
    made = takes(Path, Model, Toolbox)
    values = taken(made.name, made.takes, {"a": "/x", "b": {"n": 1}, "c": Toolbox()})
    assert values == {"a": Path("/x"), "b": Model(n=1), "c": Toolbox()}
    assert problems(made, a="/x", b={"n": "x"}, c=1)[1] == "c: expected Toolbox, got int"
    with pytest.raises(PlanError, match=r"any\.thing: b is a Model, of which a model can be told nothing; give input="):
        made.listing()
    assert takes(Path).listing()["function"]["parameters"]["properties"] == {"a": {"type": "string", "format": "path"}}


def test_a_type_that_nothing_can_be_held_against_is_refused_when_the_plan_is_built() -> None:
    with pytest.raises(PlanError, match=r"any\.thing: a has a type that nothing can be held against: Type unions may"):
        Toolbox(takes(Point | Pair | list[int])).task("any.thing", a=1)


def test_what_is_nested_too_deep_is_a_problem() -> None:
    deep: Any = 1
    for _ in range(sys.getrecursionlimit() * 3):
        deep = [deep]
    row = {"items": {"$ref": "#/$defs/row"}}
    nested = {"type": "object", "$defs": {"row": row}, "properties": {"a": {"$ref": "#/$defs/row"}}}
    # Which of two libraries gives up first depends on the version of Python.
    [problem] = problems(tool("any.thing", input=nested)(lambda a: a), a=deep)
    assert problem in ("a: nested too deep", "arguments: nested too deep")


def test_what_types_refer_to_is_told_in_one_order() -> None:
    for kinds in ((Point, Options, Colour), (Colour, Point, Options)):
        assert list(takes(*kinds).listing()["function"]["parameters"]["$defs"]) == ["Colour", "Options", "Point"]


def test_defaults_are_told_and_used() -> None:
    made = takes(int, list[int], Any, a=1, b=[], c=object())
    assert made.listing()["function"]["parameters"]["properties"] == {
        "a": {"type": "integer", "default": 1},
        "b": {"type": "array", "items": {"type": "integer"}, "default": []},
        "c": {},
    }
    assert problems(made) == ()


# --- given as JSON Schema --------------------------------------------------------------------------------------------

ORDER = {
    "type": "object",
    "properties": {"user-id": {"type": "integer"}, "size": {"enum": ["s", "m"]}, "rows": {"type": "array"}},
    "required": ["user-id"],
    "dependentRequired": {"size": ["rows"]},
    "additionalProperties": False,
}


def ordered(**options: Any) -> Any:
    """A tool that says its arguments as JSON Schema."""
    return Toolbox(tool("shop.order", blocking="inline", **options)(lambda **given: given))


def test_a_schema_that_was_given_is_kept_and_told() -> None:
    box = ordered(input=ORDER)
    assert run(box.task("shop.order", {"user-id": 1}, size="s", rows=(1, 2)), 0) == Success(
        {"user-id": 1, "size": "s", "rows": [1, 2]}
    )
    [told] = box.listing()
    assert told["function"]["parameters"] == ORDER
    told["function"]["parameters"]["properties"].clear()
    assert box.listing()[0]["function"]["parameters"] == ORDER


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "user-id: missing"),
        ({"userid": 1}, "userid: no such argument; did you mean 'user-id'?; user-id: missing"),
        ({"user-id": "x"}, "user-id: expected integer, got string"),
        ({"user-id": 1, "size": "xl"}, "size: 'xl' is not one of ['s', 'm']"),
        ({"user-id": 1, "size": "s"}, "'rows' is a dependency of 'size'"),
        ({"user-id": 1, "rows": {1j}}, "rows: set is nothing that JSON has"),
    ],
)
def test_arguments_are_held_against_a_schema_that_was_given(arguments: Any, said: str) -> None:
    with pytest.raises(PlanError) as refused:
        ordered(input=ORDER).task("shop.order", arguments)
    assert str(refused.value) == f"shop.order: {said}"


def test_what_holds_between_arguments_is_held_against_what_comes_from_a_state() -> None:
    box = ordered(input=ORDER)
    assert run(box.task("shop.order", {"user-id": DAYS}, rows=[]), Trip()) == Success({"user-id": 2, "rows": []})
    fault = run(box.task("shop.order", {"user-id": DAYS}, size="s"), Trip()).failure()
    assert str(fault.error) == "shop.order: 'rows' is a dependency of 'size'"


def test_a_schema_never_leads_to_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that would answer hears nothing."""
    monkeypatch.setattr(urllib.request, "urlopen", partial(urllib.request.urlopen, timeout=0.2))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        ref = f"http://127.0.0.1:{server.getsockname()[1]}/schema"
        with pytest.raises(PlanError, match="its JSON Schema refers to what it does not hold: http"):
            ordered(input={"type": "object", "properties": {"a": {"$ref": ref}}}).task("shop.order", a=1)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_schema_that_is_none_is_refused() -> None:
    with pytest.raises(PlanError, match=r"its JSON Schema refers to what it does not hold: .*/none"):
        ordered(input={"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}).task("shop.order", a=1)
    with pytest.raises(PlanError, match=r"shop\.order: its JSON Schema is none"):
        ordered(input={"type": "object", "properties": {"a": {"type": "text"}}}).task("shop.order", a=1)


def test_names_may_be_open() -> None:
    assert run(ordered(input={"type": "object"}).task("shop.order", anything=1), 0) == Success({"anything": 1})
    pattern = {"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False}
    assert run(ordered(input=pattern).task("shop.order", x1=1), 0) == Success({"x1": 1})
    with pytest.raises(PlanError, match="does not match"):
        ordered(input=pattern).task("shop.order", y=1)


def test_a_result_is_held_against_a_schema_that_was_given() -> None:
    box = ordered(input={"type": "object"}, output={"type": "object", "properties": {"n": {"type": "integer"}}})
    assert run(box.task("shop.order", n=1), 0) == Success({"n": 1})
    fault = run(box.task("shop.order", n="x"), 0).failure()
    assert str(fault.error) == "shop.order: result.n: expected integer, got string"


def test_without_the_library_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(PlanError, match=r"needs jsonschema: pip install 'lambdacat\[schema\]'"):
        ordered(input=ORDER).task("shop.order", {"user-id": 1})
