"""The three-way merge: what counts as a change is the value, and not the object that Python keeps it in."""

from __future__ import annotations

import math
from typing import Any

import pytest
from attrs import evolve, field, frozen
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lambdacat import Item, MergeConflict, Success, merge, merged, pure, run
from lambdacat.merging import Conflict


@frozen
class Inner:
    part: Any = None


@frozen
class State:
    part: Any = None
    inner: Inner = Inner()
    rows: Any = ()
    called: Any = field(default=0)


def rebuilt(value: Any) -> Any:
    """An equal value made of new objects, wherever Python lets there be one."""
    match value:
        case bool() | None:
            return value
        case int() | float():
            return type(value)(repr(value))
        case str():
            return "".join(list(value))
        case bytes():
            return bytes(bytearray(value))
        case tuple() | list():
            return type(value)(map(rebuilt, value))
        case dict():
            return {rebuilt(key): rebuilt(part) for key, part in value.items()}
        case _:
            return Inner(rebuilt(value.part))


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(250, 260),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.floats(allow_nan=False),
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=2),
        st.builds(Inner, inner),
    ),
    max_leaves=5,
)


def same(one: Any, two: Any) -> bool:
    """Whether two values look the same: the classes of numbers and the sign of a zero count."""
    return repr(one) == repr(two)


@settings(max_examples=25)
@given(VALUES, VALUES, st.booleans())
def test_a_branch_that_puts_an_equal_value_where_it_was_changes_nothing(old: Any, new: Any, first: bool) -> None:
    fork = State(part=old, inner=Inner(old), rows=(0, old))
    equal = State(part=rebuilt(old), inner=Inner(rebuilt(old)), rows=(0, rebuilt(old)))
    changed = State(part=new, inner=Inner(new), rows=(0, new))
    made = merge(fork, (equal, changed) if first else (changed, equal))
    assert same(made, changed)


@given(ATOMS, ATOMS, ATOMS)
def test_two_changes_conflict_whatever_python_keeps_one_object_of(old: Any, one: Any, two: Any) -> None:
    assume(not same(old, one) and not same(old, two))
    with pytest.raises(Conflict):
        merge(State(part=old), (State(part=one), State(part=rebuilt(two))))


@pytest.mark.parametrize(("old", "new"), [(0.0, -0.0), (math.nan, float("nan")), (1, True), (1, 1.0), (0j, -0j)])
def test_what_is_equal_and_yet_another_value_is_a_change(old: Any, new: Any) -> None:
    with pytest.raises(Conflict):
        merge(State(part=old), (State(part=new), State(part=7)))
    made = merge({"row": [old]}, ({"row": [new]}, {"row": [old]}))
    assert same(made, {"row": [new]})


@given(st.integers())
def test_a_declared_merge_is_asked_only_about_changes(n: int) -> None:
    def refuse(fork: Any, left: Any, right: Any) -> Any:
        raise AssertionError(f"asked about {left!r} and {right!r}")

    @frozen
    class Counted:
        count: int = merged(refuse, default=0)

    fork = Counted(n)
    assert merge(fork, (Counted(rebuilt(n)), Counted(n + 1))) == Counted(n + 1)


@pytest.mark.parametrize("n", [256, 257, 10**30])
def test_a_plan_that_puts_back_what_it_read_never_conflicts(n: int) -> None:
    def put_back(state: State) -> State:
        return evolve(state, part=int(str(state.part)))

    def up(state: State) -> State:
        return evolve(state, part=state.part + 1)

    assert run(pure(put_back) & pure(up), State(part=n)) == Success(State(part=n + 1))
    fault = run(pure(up) & pure(up), State(part=n)).failure()
    assert isinstance(fault, MergeConflict)


def test_an_item_put_back_is_no_change_and_a_new_one_is() -> None:
    fork = {"a": "tea " * 10, "b": 1000}
    kept = {"a": rebuilt(fork["a"]), "b": 2000}
    assert merge(fork, (kept, {"a": "cake", "b": rebuilt(1000)})) == {"a": "cake", "b": 2000}
    with pytest.raises(Conflict) as conflict:
        merge(fork, ({**fork, "c": 1000}, {**fork, "c": rebuilt(1000)}))
    assert conflict.value.place == (Item("c"),)
