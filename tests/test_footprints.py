"""Footprints as upper bounds: what a plan declares is all that a run reads and all that it writes."""

from typing import Any

import pytest
from attrs import evolve
from hypothesis import event, given
from hypothesis import strategies as st
from rpds import HashTrieMap

from lambdacat import (
    FIRST_COMPLETED,
    Failure,
    Lens,
    NBest,
    Outcome,
    Place,
    Plan,
    Stopped,
    Success,
    at,
    choose,
    each,
    fail,
    focus,
    footprint,
    identity,
    loop_while,
    parallel,
    run,
    sequence,
    task,
    when,
)
from lambdacat.footprints import EVERYTHING
from lambdacat.place import overlaps
from lambdacat.testing import Sample, interpreters, plans, states
from lambdacat.testing import actions as act
from lambdacat.testing.proving import Draw, prove, rotating_seed
from lambdacat.testing.sample import (
    CIRCLE,
    ITEMS,
    LEFT,
    NEGATIVE,
    NOTES,
    NUMBERS,
    POINT,
    RADIUS,
    REACHES,
    RIGHT,
    SHAPE,
    TABLE,
    Circle,
    Point,
    X,
    Y,
)
from lambdacat.testing.strategies import LEAVES, NUMBER_LEAVES, side_by_side, stages

States = Plan[Sample, Sample]
SPOTS: tuple[Lens[Sample, Any], ...] = (LEFT, RIGHT, POINT >> X, POINT >> Y, ITEMS, TABLE, SHAPE, NOTES)
"""Lenses that are disjoint and together the whole state."""
CONDITIONS = [LEFT.where(act.is_small), RIGHT.where(act.is_even), (POINT >> X).where(act.is_small)]


def grown(inner: st.SearchStrategy[States]) -> st.SearchStrategy[States]:
    several = st.lists(inner, min_size=2, max_size=3)
    condition = st.sampled_from(CONDITIONS)
    return st.one_of(
        several.map(lambda row: sequence(*row)),
        several.map(side_by_side),
        several.map(lambda row: parallel(*row, policy=FIRST_COMPLETED)),
        st.builds(lambda c, p, q: when(~c, p, q), condition, inner, inner),
        st.builds(lambda p, q: choose(LEFT, {0: p, 1: q}, default=identity), inner, inner),
        st.builds(lambda c, p, q: loop_while(c, p, at_most=2, then=q), condition, inner, inner),
        st.builds(lambda p, q: p | q, inner, inner),
        inner.map(lambda p: p.retry(1).timeout(60).named("bounded")),
    )


numbers = st.sampled_from(NUMBER_LEAVES)
number_lenses = st.sampled_from(NUMBERS)
DECLARED: st.SearchStrategy[States] = st.recursive(
    st.one_of(
        st.sampled_from([leaf for leaf in LEAVES if EVERYTHING not in footprint(leaf).writes]),
        st.builds(focus, number_lenses, numbers),
        st.builds(focus, st.sampled_from(REACHES), numbers),
        st.builds(lambda p, reads, writes: p.between(reads, writes), numbers, number_lenses, number_lenses),
    ),
    grown,
    max_leaves=5,
)
"""Plans of every node whose footprint is less than everything."""
PLANS = DECLARED | DECLARED | stages() | plans()


def touched(places: frozenset[Place], spot: Lens[Sample, Any]) -> bool:
    return any(overlaps(place, spot.place) for place in places)


def writes_no_more(run_plan: Any, plan: States, value: Sample) -> int:
    """How many places were held against what the run left there."""
    outcome = run_plan(plan, value)
    still = [spot for spot in SPOTS if not touched(footprint(plan).writes, spot)]
    if isinstance(outcome, Failure):
        return 0
    for spot in still:
        assert spot.get(outcome.unwrap()) == spot.get(value), f"{plan!r} wrote {spot!r}, outside its footprint"
    return len(still)


def reads_no_more(run_plan: Any, plan: States, value: Sample, other: Sample) -> int:
    """How many places were changed without a change anywhere else in what came out."""
    before = run_plan(plan, value)
    unread = [spot for spot in SPOTS if not touched(footprint(plan).reads, spot)]
    for spot in unread:
        after = run_plan(plan, spot.set(value, spot.get(other)))
        assert elsewhere(after, spot) == elsewhere(before, spot), f"{plan!r} read {spot!r}, outside its footprint"
    return len(unread)


def elsewhere(outcome: Outcome[Sample], spot: Lens[Sample, Any]) -> Any:
    """What came out, but for one place."""
    if isinstance(outcome, Success):
        return tuple(other.get(outcome.unwrap()) for other in SPOTS if other != spot)
    return type(outcome.failure())


@given(PLANS, states())
def test_a_run_writes_nothing_outside_its_footprint(plan: States, value: Sample) -> None:
    event(f"{writes_no_more(run, plan, value)} of {len(SPOTS)} places")


@given(PLANS, states(), states())
def test_what_a_run_does_not_read_changes_nothing_elsewhere(plan: States, value: Sample, other: Sample) -> None:
    event(f"{reads_no_more(run, plan, value, other)} of {len(SPOTS)} places")


again: States = task(reads=NOTES, writes=NOTES)(act.note)
number: Plan[int, int] = task(act.add_one)
FAILING: States = task(reads=LEFT, writes=LEFT)(act.add_one) >> fail(Stopped(reason="no"))
READERS: dict[str, tuple[States, Lens[Sample, Any]]] = {
    "task": (task(reads=LEFT, writes=RIGHT)(act.double), LEFT),
    "task of two": (task(reads=(LEFT, POINT >> X), writes=RIGHT)(act.total), POINT >> X),
    "condition": (when(LEFT.where(act.is_small), again), LEFT),
    "negated condition": (when(~LEFT.where(act.is_small), again), LEFT),
    "second condition": (when(RIGHT.where(act.is_even) & LEFT.where(act.is_small), again), LEFT),
    "selector": (choose(LEFT, {1: again}, default=identity), LEFT),
    "loop": (loop_while(LEFT.where(act.is_small), again, at_most=1, then=identity), LEFT),
    "between": (number.between(LEFT, RIGHT), LEFT),
    "between parts": (number.between(TABLE >> each, ITEMS), TABLE),
    "score": (parallel(act.NINE >> again, identity, policy=NBest(1, by=LEFT)), LEFT),
    "branch": (again & task(reads=LEFT, writes=RIGHT)(act.double), LEFT),
    "second choice": (focus(LEFT, task(act.refuse_odd)) | again, LEFT),
}
WRITERS: dict[str, tuple[States, Lens[Sample, Any]]] = {
    "task": (task(reads=LEFT, writes=RIGHT)(act.double), RIGHT),
    "task of two": (task(reads=(LEFT, RIGHT), writes=(LEFT, POINT >> Y))(act.swapped), POINT >> Y),
    "focus": (focus(POINT >> X, number), POINT >> X),
    "focus on each item": (focus(ITEMS >> each, number), ITEMS),
    "focus on a key": (focus(TABLE >> at("a"), number), TABLE),
    "focus on a variant": (focus(SHAPE >> CIRCLE >> RADIUS, number), SHAPE),
    "focus on a form": (focus(LEFT >> NEGATIVE, number), LEFT),
    "between": (number.between(LEFT, RIGHT), RIGHT),
    "between parts": (number.between(TABLE >> each, ITEMS), ITEMS),
    "branch": (again & task(reads=LEFT, writes=RIGHT)(act.double), RIGHT),
    "chosen": (choose(LEFT, {1: focus(POINT >> Y, number)}, default=identity), POINT >> Y),
    "turn of a loop": (loop_while(LEFT.where(act.is_small), focus(RIGHT, number), at_most=1, then=identity), RIGHT),
    "after a loop": (loop_while(LEFT.where(act.is_small), identity, at_most=1, then=focus(RIGHT, number)), RIGHT),
    "second choice": (FAILING | focus(RIGHT, number), RIGHT),
}
FULL = Sample(left=1, right=6, point=Point(5, 6), items=(7, 8), table=HashTrieMap({"a": 9}), shape=Circle(2))
OTHER = Sample(left=80, right=4, point=Point(50, 60), items=(7,), table=HashTrieMap({"a": 90}), shape=Circle(3))


@pytest.mark.parametrize("kind", READERS)
def test_whatever_reads_a_place_has_it_in_its_footprint(kind: str) -> None:
    plan, spot = READERS[kind]
    changed = spot.set(FULL, spot.get(OTHER))
    assert elsewhere(run(plan, changed), spot) != elsewhere(run(plan, FULL), spot), "it reads what it says it does"
    assert touched(footprint(plan).reads, spot)
    assert EVERYTHING not in footprint(plan).reads


@pytest.mark.parametrize("kind", WRITERS)
def test_whatever_writes_a_place_has_it_in_its_footprint(kind: str) -> None:
    plan, spot = WRITERS[kind]
    assert spot.get(run(plan, FULL).unwrap()) != spot.get(FULL), "it writes what it says it does"
    assert touched(footprint(plan).writes, spot)
    assert EVERYTHING not in footprint(plan).writes


ONE_THREAD = ("run", "traced", "stateful", "interpret", "optimised")
"""Where a race ends alike each time, so that two runs can be held against each other."""


@pytest.mark.sweep
@pytest.mark.parametrize("name", interpreters())
def test_a_footprint_bounds_every_run(name: str) -> None:
    start, held, run_plan = rotating_seed(), 0, interpreters()[name]

    def bounded(draw: Draw) -> None:
        nonlocal held
        plan, value, other = draw(PLANS), draw(states()), draw(states())
        held += writes_no_more(run_plan, plan, value)
        if name in ONE_THREAD:
            held += reads_no_more(run_plan, plan, value, other)

    tried = prove("a footprint bounds every run", bounded, max_examples=200, start=start)
    print(f"{name}: {tried} plans, {held} places, seed {start}")
    assert held > 200


def test_both_laws_tell_of_a_footprint_that_lies() -> None:
    """What a task does beside its lenses is what they are there to find."""
    start, far = Sample(), Sample(left=7)
    sly: States = task(reads=RIGHT, writes=RIGHT)(act.add_one)
    assert writes_no_more(run, sly, start) > 0
    with pytest.raises(AssertionError, match=r"Sample\.left, outside its footprint"):
        writes_no_more(lambda plan, s: Success(evolve(s, left=s.left + 1)), sly, start)
    assert reads_no_more(run, sly, start, far) > 0
    with pytest.raises(AssertionError, match=r"Sample\.left, outside its footprint"):
        reads_no_more(lambda plan, s: Success(evolve(s, right=s.left)), sly, start, far)
