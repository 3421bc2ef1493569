"""Pydantic models as states: a copy with another part is checked by the model's own validators, and stays a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, ValidationError, field_validator
from pydantic import model_validator as validates_model
from untyped import focus, pure, run

from lambdacat import ActionFailed, Lens, Success, each, lens, task
from lambdacat.testing import check_lens_laws

SEEN: list[Any] = []
"""What validators and constructors were given."""


class Part(BaseModel):
    n: int = 0
    word: str = ""


class State(BaseModel):
    """A state with a validator of every kind."""

    model_config = ConfigDict(frozen=True, str_strip_whitespace=True)

    n: int = Field(default=0, ge=0)
    low: int = 0
    high: int = 10
    name: str = ""
    fixed: int = Field(default=1, frozen=True)
    aliased: int = Field(default=1, alias="other")
    rows: tuple[int, ...] = ()
    part: Part = Part()
    _hidden: list[str] = PrivateAttr(default_factory=list)

    def __init__(self, **given: Any) -> None:
        SEEN.append("constructor")
        super().__init__(**given)

    def model_post_init(self, context: Any) -> None:
        SEEN.append("post init")
        self._hidden.append("begun")

    @field_validator("name")
    @classmethod
    def louder(cls, name: str) -> str:
        SEEN.append(name)
        return name + "!"

    @field_validator("rows", mode="before")
    @classmethod
    def listed(cls, rows: Any) -> Any:
        SEEN.append(rows)
        return rows

    @validates_model(mode="before")
    @classmethod
    def whole_before(cls, given: Any) -> Any:
        SEEN.append("before")
        return given

    @validates_model(mode="after")
    def whole_after(self) -> State:
        SEEN.append(("after", self._hidden[0]))
        if self.low > self.high:
            raise ValueError(f"{self.low} is above {self.high}")
        return self


N, LOW, HIGH, NAME, FIXED = (
    lens(State, lambda s: s.n),
    lens(State, lambda s: s.low),
    lens(State, lambda s: s.high),
    lens(State, lambda s: s.name),
    lens(State, lambda s: s.fixed),
)
ALIASED, ROWS, WORD = (
    lens(State, lambda s: s.aliased),
    lens(State, lambda s: s.rows),
    lens(State, lambda s: s.part.word),
)
START = State(name="a", rows=(1, 2), other=5)


@pytest.fixture(autouse=True)
def _unseen() -> None:
    SEEN.clear()


WRONG: dict[str, tuple[Lens[State, Any], Any, str]] = {
    "a bound": (N, -5, "greater than or equal to 0"),
    "a type": (ROWS, "x", "should be a valid tuple"),
    "the model's own validator": (LOW, 11, "11 is above 10"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_part_that_the_model_refuses_is_not_put_there(kind: str) -> None:
    """A29: by hand it raises; in a plan it is the fault of the step that did it."""
    way, part, said = WRONG[kind]
    with pytest.raises(ValidationError, match=said) as refused:
        way.set(START, part)
    assert refused.value.title == "State"
    writing: Any = task(reads=(), writes=way)
    fault = run(writing(lambda: part), START).failure()
    assert isinstance(fault, ActionFailed)
    assert isinstance(fault.error, ValidationError)
    assert isinstance(run(focus(way, pure(lambda _: part)), START).failure(), ActionFailed)


def test_only_what_is_new_is_validated_and_the_rest_stays_the_same_object() -> None:
    """A29, R-P1: a validator that is not idempotent would change a part that nobody touched."""
    made = LOW.set(START, 3)
    assert (made.low, made.name, made.fixed, made.aliased) == (3, "a!", 1, 5)
    assert made.rows is START.rows
    assert made.part is START.part
    assert SEEN == ["before", ("after", "begun")]
    SEEN.clear()
    assert NAME.set(START, "  b ").name == "b!"
    assert SEEN == ["before", "b", ("after", "begun")]
    assert WORD.set(START, "w").part == Part(word="w")


def test_what_cannot_be_assigned_can_be_copied_with_another_value() -> None:
    """A frozen field, a frozen model, a field with an alias."""
    assert FIXED.set(START, 2).fixed == 2
    assert ALIASED.set(START, 7).aliased == 7
    assert (START.fixed, START.aliased) == (1, 5)


def test_a_copy_keeps_what_else_a_model_carries_as_its_own() -> None:
    made = N.set(START, 1)
    assert made._hidden == ["begun"]
    assert made.model_fields_set == {"n", "name", "rows", "aliased"}
    assert START.model_fields_set == {"name", "rows", "aliased"}
    assert made == START.model_copy(update={"n": 1})
    assert made.model_dump(by_alias=True) == {**START.model_dump(by_alias=True), "n": 1}
    loose = Loose.model_validate({"n": 1, "more": (1,)})
    loose._count = 4
    copied = lens(Loose, lambda m: m.n).set(loose, 2)
    assert (copied.n, copied.model_extra, copied._count) == (2, {"more": (1,)}, 4)
    copied._count = 9
    copied.model_extra["later"] = 1  # type: ignore[index]
    assert (loose._count, loose.model_extra) == (4, {"more": (1,)})


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    n: int = 0
    _count: int = PrivateAttr(default=0)


def test_changes_of_several_branches_are_judged_together() -> None:
    """A16: each of them is sound; whether their sum is, the model says, and not on the way there."""
    both = pure(lambda s: s.model_copy(update={"low": 20, "high": 30})) & pure(lambda s: s.model_copy(update={"n": 4}))
    made = run(both, START)
    assert made == Success(START.model_copy(update={"low": 20, "high": 30, "n": 4}))
    assert SEEN == ["before", ("after", "begun")]
    clash: Any = task(reads=(), writes=LOW)(lambda: 8) & task(reads=(), writes=HIGH)(lambda: 3)
    fault = run(clash, START).failure()
    assert isinstance(fault, ActionFailed)
    assert "8 is above 3" in str(fault.error)
    assert (fault.at, fault.name) == ((), "parallel")


# --- models of other shapes ------------------------------------------------------------------------------------------


class Tree(BaseModel):
    kids: list[Tree] = []
    n: int = Field(default=0, ge=0)


class Row(RootModel[tuple[int, ...]]):
    """A model that is one value."""


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    held: T


class Shouted(Part):
    """A model of a model."""

    @validates_model(mode="wrap")
    @classmethod
    def wrapped(cls, given: Any, handler: Any) -> Any:
        made = handler(given)
        if made.n > 100:
            raise ValueError("too loud")
        return made


SHAPES: dict[str, tuple[Any, Any, Any, Any]] = {
    "recursive": (lens(Tree, lambda t: t.n), Tree(kids=[Tree(n=1)]), 3, -1),
    "recursive, inside": (lens(Tree, lambda t: t.kids[0].n), Tree(kids=[Tree(n=1)]), 3, -1),
    "recursive, the rest of it": (lens(Tree, lambda t: t.kids), Tree(n=1), [Tree(n=2)], [{"n": -1}]),
    "a root": (lens(Row, lambda r: r.root), Row((1, 2)), (3,), ("x",)),
    "an item of a root": (lens(Row, lambda r: r.root[0]), Row((1, 2)), 3, "x"),
    "generic": (lens(Box[int], lambda b: b.held), Box[int](held=1), 2, "x"),
    "wrapped": (lens(Shouted, lambda p: p.n), Shouted(n=1), 2, 101),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_models_of_every_shape_are_checked_alike(shape: str) -> None:
    way, start, fits, wrong = SHAPES[shape]
    made = way.set(start, fits)
    assert type(made) is type(start)
    assert way.get(made) == fits
    assert made != start
    with pytest.raises(ValidationError):
        way.set(start, wrong)


def test_every_item_of_a_model_may_be_changed_at_once() -> None:
    doubled = focus(lens(Tree, lambda t: t.kids) >> each, pure(lambda t: Tree(n=2 * t.n)))
    assert run(doubled, Tree(kids=[Tree(n=1), Tree(n=2)])).unwrap() == Tree(kids=[Tree(n=2), Tree(n=4)])


def test_lenses_of_a_model_obey_their_laws() -> None:
    """A29."""
    states = st.builds(lambda n, low: State(n=n, low=low), st.integers(0, 9), st.integers(0, 9))
    check_lens_laws(N, states, [3, 4, 5], max_examples=20)
    check_lens_laws(WORD, states, ["a", "b"], max_examples=20)


class Assigned(BaseModel):
    model_config = ConfigDict(validate_assignment=True)
    n: int = Field(default=0, ge=0)
    word: str = ""


def assigned(part: Any) -> Any:
    made: Any = Assigned()
    made.n = part
    return made


def messages(make: Callable[[Any], Any], part: Any) -> Any:
    """What a model is made of, or why it is refused."""
    try:
        return make(part)
    except ValidationError as error:
        return [(each["loc"], each["msg"]) for each in error.errors()]


@given(st.integers(-3, 3) | st.text(max_size=2) | st.none() | st.floats(allow_nan=False))
def test_a_lens_refuses_what_assignment_does(part: Any) -> None:
    way = lens(Assigned, lambda m: m.n)
    assert messages(lambda new: way.set(Assigned(), new), part) == messages(assigned, part)
