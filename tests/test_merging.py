"""The three-way merge: what counts as a change is the value, and not the object that Python keeps it in."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve, field, frozen
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from rpds import HashTrieMap

from lambdacat import (
    Failure,
    FootprintConflict,
    Item,
    Lens,
    MergeConflict,
    Plan,
    Success,
    bind,
    focus,
    lens,
    merge,
    merged,
    parallel,
    pure,
    run,
    task,
)
from lambdacat.merging import Conflict
from lambdacat.place import is_prefix, overlaps
from lambdacat.testing import Sample, interpreters
from lambdacat.testing.proving import Draw, prove, rotating_seed
from lambdacat.testing.sample import ITEMS, LEFT, NEGATIVE, NOTES, POINT, RIGHT, Point, X, Y


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


# --- branches on lenses ----------------------------------------------------------------------------------------------

START = Sample(items=(1, 2, 3), point=Point(1, 2), table=HashTrieMap({"a": 1, "b": 2}), notes=("first",))
"""A state with a part at every place below."""
NUMBERS_AT: list[Lens[Sample, int]] = [
    LEFT,
    LEFT >> NEGATIVE,
    RIGHT,
    POINT >> X,
    POINT >> Y,
    *(lens(Sample, lambda s, n=n: s.items[n]) for n in (0, 1, 2, -1)),  # type: ignore[misc]
    *(lens(Sample, lambda s, key=key: s.table[key]) for key in "ab"),  # type: ignore[misc]
]


def written(optic: Lens[Sample, Any], n: int) -> Any:
    """A value of its own for branch ``n`` to write."""
    if optic in NUMBERS_AT:
        return 1000 + n
    return {POINT: Point(2000 + n, 3000 + n), ITEMS: (4000 + n,) * 3, NOTES: (*START.notes, f"note {n}")}[optic]


def writing(way: str, optic: Lens[Sample, Any], value: Any) -> Plan[Sample, Sample]:
    """A branch that writes the value; only some ways say so beforehand."""
    constant: Any = pure(lambda _: value)
    ways: dict[str, Callable[[], Any]] = {
        "task": lambda: task(reads=(), writes=optic)(lambda: value),
        "focus": lambda: focus(optic, constant),
        "between": lambda: constant.between(LEFT, optic),
        "whole": lambda: pure(lambda s: optic.set(s, value)),
        "bind": lambda: bind(lambda s: pure(lambda t: optic.set(t, value))),
    }
    plan: Plan[Sample, Sample] = ways[way]()
    return plan


OPTICS: st.SearchStrategy[Lens[Sample, Any]] = st.sampled_from([*NUMBERS_AT, POINT, ITEMS, NOTES])
WAYS = st.sampled_from(["task", "focus", "between", "whole", "bind"])


def no_update_is_lost(run_plan: Any, rows: list[tuple[str, Lens[Sample, Any]]]) -> str:
    """Which end it came to: every write is in the result, or the conflict has a name."""
    writes = [(way, optic, written(optic, n)) for n, (way, optic) in enumerate(rows)]
    places = [optic.place for _, optic, _ in writes if optic != NOTES]
    pairs = list(itertools.combinations(places, 2))
    try:
        plan = parallel(*(writing(*one) for one in writes))
    except FootprintConflict:
        assert any(overlaps(*pair) for pair in pairs)
        return "refused"
    outcome = run_plan(plan, START)
    if isinstance(outcome, Failure):
        assert isinstance(outcome.failure(), MergeConflict), outcome
        assert any(overlaps(*pair) for pair in pairs)
        return "conflict"
    made = outcome.unwrap()
    assert not any(is_prefix(*pair) or is_prefix(*reversed(pair)) for pair in pairs), f"{plan!r} lost an update"
    for _, optic, value in writes:
        assert optic == NOTES or optic.get(made) == value, f"{plan!r} lost what was written to {optic!r}"
    assert made.notes == (*START.notes, *(value[-1] for _, optic, value in writes if optic == NOTES))
    return "merged"


@given(st.lists(st.tuples(WAYS, OPTICS), min_size=2, max_size=6))
def test_no_update_through_a_lens_is_lost_silently(rows: list[tuple[str, Lens[Sample, Any]]]) -> None:
    """R-P1: lenses that are the same, lie in one another or stand apart, declared or not."""
    event(no_update_is_lost(run, rows))


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["run", "arun on asyncio", "arun on trio"])
def test_no_update_through_a_lens_is_lost_silently_at_full_count(name: str) -> None:
    """R-P1: 2 to 64 branches."""
    ends: Counter[str] = Counter()
    start, run_plan = rotating_seed(), interpreters()[name]

    def kept(draw: Draw) -> None:
        rows = draw(st.lists(st.tuples(WAYS, OPTICS), min_size=2, max_size=5))
        # Many branches are only merged where most of them add to the field that declares how.
        rows += [(way, NOTES) for way in draw(st.lists(WAYS, max_size=59))]
        ends[no_update_is_lost(run_plan, rows)] += 1

    prove("no update is lost", kept, max_examples=800, start=start)
    print(f"{name}: {dict(ends)}, seed {start}")
    assert min(ends[end] for end in ("merged", "conflict", "refused")) >= 20
