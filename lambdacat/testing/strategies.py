"""Hypothesis strategies: random plans with every kind of node, states for them, and lenses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, reduce
from typing import Any

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from rpds import HashTrieMap

from lambdacat.build import bind, choose, fail, focus, gather, loop_while, parallel, pure, recover, sequence, when
from lambdacat.fault import Stopped
from lambdacat.footprints import FootprintConflict
from lambdacat.leaf import task
from lambdacat.optics import Lens
from lambdacat.plan import Composite, Plan, identity
from lambdacat.policy import ALL, SETTLED, NBest, Quorum
from lambdacat.schedule import Fixed
from lambdacat.steps import each
from lambdacat.testing import actions as act
from lambdacat.testing.delays import Slow
from lambdacat.testing.sample import (
    CIRCLE,
    ITEMS,
    LEFT,
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
    Sample,
    Square,
    X,
    Y,
)

Numbers = Plan[int, int]
States = Plan[Sample, Sample]


@frozen(eq=False, repr=False)
class Wrapped(Composite[Sample, Sample]):
    """A node of a user's own."""

    plan: States

    def expand(self) -> States:
        """The plan itself."""
        return self.plan


LONG = 1e6
"""Seconds of the timeouts in random plans: they never pass."""

NUMBER_LEAVES: tuple[Numbers, ...] = (
    pure(act.add_one),
    pure(act.double),
    task(name="add_one", blocking="inline")(act.add_one),
    task(name="refuse_odd", blocking="inline")(act.refuse_odd),
    task(act.triple),
    task(name="add_bonus", blocking="inline")(act.add_bonus),
)
LEAVES: tuple[States, ...] = (
    identity,
    act.NINE,
    act.BUMP,
    pure(act.mirror),
    task(reads=(LEFT, RIGHT), writes=RIGHT, blocking="inline")(act.total),
    task(reads=(LEFT, RIGHT), writes=(LEFT, RIGHT))(act.swapped),
    task(reads=LEFT, blocking="inline")(act.look),
    task(reads=NOTES, writes=NOTES, blocking="inline")(act.note),
    task(reads=NOTES, writes=NOTES, name="other_note", blocking="inline")(act.other_note),
    task(act.push_item),
    task(name="refuse", blocking="inline")(act.refuse),
    fail(Stopped(reason="enough")),
    bind(act.by_size),
    bind(act.by_parity),
    bind(act.refuse_plan),
)
HOPS: tuple[States, ...] = (task(reads=RIGHT, writes=LEFT)(act.double),)
"""Actions that run in a worker thread under ``arun``."""


def _naps(seconds: float) -> tuple[States, ...]:
    return (
        task(name=f"nap {seconds:g}")(Slow(act.bump_left, seconds)),
        task(reads=LEFT, writes=RIGHT, name=f"nap {seconds:g} and double")(Slow(act.double, seconds)),
        task(reads=NOTES, writes=NOTES, name=f"nap {seconds:g} and note")(Slow(act.note, seconds)),
        task(reads=RIGHT, writes=LEFT, name=f"nap {seconds:g} and refuse odd")(Slow(act.refuse_odd, seconds)),
    )


NAPS: tuple[States, ...] = tuple(plan for seconds in (0.0, 1.0, 2.0) for plan in _naps(seconds))
"""Async actions that really suspend, on the clock of their event loop."""


@st.composite
def states(draw: st.DrawFn) -> Sample:
    """States of every shape."""
    return draw(_samples())


@cache
def _samples() -> SearchStrategy[Sample]:
    numbers = st.integers(0, 30)
    shapes = st.builds(Circle, numbers) | st.builds(Square, numbers)
    tables = st.dictionaries(st.sampled_from("ab"), numbers, max_size=2).map(HashTrieMap)
    return st.builds(
        Sample,
        left=numbers,
        right=numbers,
        point=st.builds(Point, numbers, numbers),
        items=st.lists(numbers, max_size=3).map(tuple),
        table=tables,
        shape=shapes,
        notes=st.sampled_from([(), ("first",)]),
    )


@cache
def lenses() -> SearchStrategy[Lens[Sample, Any]]:
    """Lenses of ``Sample``: to fields, through a record, through another form, to several kinds of part."""
    return st.sampled_from((*NUMBERS, POINT, ITEMS, TABLE, SHAPE, NOTES))


@st.composite
def number_plans(draw: st.DrawFn) -> Numbers:
    """Plans from a number to a number, for the inside of a focus."""
    return draw(_of_numbers())


@cache
def _of_numbers() -> SearchStrategy[Numbers]:
    leaves = st.sampled_from(NUMBER_LEAVES)

    def grown(inner: SearchStrategy[Numbers]) -> SearchStrategy[Numbers]:
        return st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(lambda row: sequence(*row)),
            st.builds(lambda p, q: when(act.is_even, p, q), inner, inner),
            st.builds(lambda p, q: p | q, inner, inner),
        )

    return st.recursive(leaves, grown, max_leaves=4)


@st.composite
def plans(draw: st.DrawFn, *, leaves: tuple[States, ...] = (*LEAVES, *HOPS)) -> States:
    """State plans with every kind of node; no action of theirs suspends, so that every interpreter can run them.

    ``leaves`` says what they are made of, simplest first.
    """
    return draw(_made_of(leaves))


@cache
def _made_of(leaves: tuple[States, ...]) -> SearchStrategy[States]:
    # A strategy is checked when first drawn from; made once, that is paid once.
    return st.recursive(st.sampled_from(leaves) | _focused(), _grown, max_leaves=7)


def suspending_plans() -> SearchStrategy[States]:
    """Plans with actions that sleep up to some seconds, for ``arun`` on virtual time. See ``awake``."""
    return plans(leaves=(*NAPS, *LEAVES))


def _focused() -> SearchStrategy[States]:
    inner, lens = _of_numbers(), st.sampled_from(NUMBERS)
    limits = st.none() | st.integers(1, 2)
    return st.one_of(
        st.builds(focus, lens, inner),
        st.builds(lambda optic, p, limit: focus(optic, p, limit=limit), st.sampled_from(REACHES), inner, limits),
        st.builds(lambda p: focus(POINT, focus(X, p)), inner),
        st.builds(lambda p, limit: focus(ITEMS, focus(each, p, limit=limit)), inner, limits),
        st.builds(lambda p, q: focus(POINT, focus(X, p) & focus(Y, q)), inner, inner),
        st.builds(lambda p: focus(SHAPE, focus(CIRCLE, focus(RADIUS, p))), inner),
        st.builds(lambda p, reads, writes: p.between(reads, writes), inner, lens, lens),
        st.builds(lambda p, limit: p.between(REACHES[0], ITEMS, limit=limit), inner, limits),
    )


def _grown(inner: SearchStrategy[States]) -> SearchStrategy[States]:
    two = st.lists(inner, min_size=2, max_size=3)
    small = LEFT.where(act.is_small)
    even = RIGHT.where(act.is_even)
    conditions = st.sampled_from([small, even, small & ~even, act.left_is_small])
    handlers = st.sampled_from([act.instead, act.pass_on, act.refuse_handling])
    return st.one_of(
        two.map(lambda row: sequence(*row)),
        two.map(side_by_side),
        _races(inner, two),
        st.builds(lambda c, p, q: when(c, p, q), conditions, inner, inner),
        st.builds(lambda p, q: choose(act.remainder, {0: p, 1: q}), inner, inner),
        st.builds(lambda p, q: choose(LEFT, {0: p}, default=q), inner, inner),
        st.builds(lambda c, p, n: loop_while(c, p, at_most=n), conditions, inner, st.integers(0, 3)),
        st.builds(lambda c, p, q: loop_while(c, p, at_most=2, then=q), conditions, inner, inner),
        st.builds(lambda p, q: p | q, inner, inner),
        st.builds(recover, inner, handlers),
        inner.map(lambda p: p.attempt().map(act.unpacked)),
        inner.map(lambda p: p.timeout(LONG)),
        st.builds(lambda p, n: p.retry(n), inner, st.integers(0, 2)),
        inner.map(lambda p: p.retry(Fixed(0.0).times(1), on=act.Refusal)),
        inner.map(lambda p: p.named("renamed")),
        inner.map(Wrapped),
    )


@st.composite
def stages(draw: st.DrawFn) -> States:
    """Rows of ``&`` over tasks on a few fields, one barrier after the other: what ``optimise`` may take apart."""
    return draw(_stages())


@cache
def _stages() -> SearchStrategy[States]:
    step = st.sampled_from(_steps())
    row = st.lists(step, min_size=2, max_size=3).map(side_by_side)
    return st.lists(row | row | step, min_size=2, max_size=3).map(lambda rows: sequence(*rows))


def _steps() -> tuple[States, ...]:
    """Tasks from one or two fields to one, and those that add to what branches merge, or read it."""
    fields = dict(zip(("left", "right", "x", "y"), NUMBERS, strict=False))
    found: list[States] = []
    for name, one in fields.items():
        note = task(reads=(NOTES, one), writes=NOTES, name=f"note {name}", blocking="inline")(act.note_down)
        count = task(reads=NOTES, writes=one, name=f"count to {name}", blocking="inline")(act.length)
        found += [note, count]
        for other, two in fields.items():
            step = task(reads=two, writes=one, name=f"{other} to {name}", blocking="inline")(act.counted)
            # Twice, since steps from two fields, of which there are as many again, seldom follow one branch alone.
            found += [step, step]
            if one is not two:
                both = task(reads=(one, two), writes=one, name=f"{name} and {other} to {name}", blocking="inline")
                found.append(both(act.counted))
    return tuple(found)


def side_by_side(row: Sequence[States]) -> States:
    """The plans joined by ``&``, or one after the other where their declared writes meet."""
    try:
        return reduce(lambda p, q: p & q, row)
    except FootprintConflict:
        return sequence(*row)


def _merged_in_time(row: Sequence[States]) -> States:
    try:
        return parallel(*row, limit=2, timeout=LONG)
    except FootprintConflict:
        return parallel(*row, policy=Quorum(2), join=act.pick_first)


def _races(inner: SearchStrategy[States], two: SearchStrategy[list[States]]) -> SearchStrategy[States]:
    limits = st.none() | st.integers(1, 2)
    joins = st.sampled_from([act.add_up, act.pick_first, act.refuse_join])
    policies = st.sampled_from(
        [ALL, Quorum(1), Quorum(2), NBest(1, by=RIGHT), NBest(2, by=act.right_score), NBest(1, by=act.refuse_score)]
    )
    return st.one_of(
        st.builds(
            lambda row, policy, join, limit: parallel(*row, policy=policy, join=join, limit=limit),
            two,
            policies,
            joins,
            limits,
        ),
        two.map(lambda row: parallel(*row, policy=Quorum(1), timeout=LONG)),
        two.map(lambda row: parallel(*row, policy=NBest(1, by=act.right_score), limit=1)),
        two.map(_merged_in_time),
        two.map(lambda row: parallel(*row, policy=SETTLED, join=act.count_wins)),
        two.map(lambda row: gather(*row).map(act.first_of)),
    )
