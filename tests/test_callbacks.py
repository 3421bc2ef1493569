"""Every kind of function that a user hands over: what it raises is a fault that says where, on what and why."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from attrs import define, evolve, field, frozen
from clocks import on_asyncio, on_trio
from untyped import (
    AnyPlan,
    arun,
    atraced,
    bind,
    choose,
    fail,
    focus,
    gather,
    loop_while,
    parallel,
    pure,
    recover,
    run,
    traced,
    when,
)

import lambdacat
from lambdacat import (
    SETTLED,
    ActionFailed,
    Composite,
    Iso,
    NBest,
    Prism,
    Schedule,
    Stopped,
    at,
    each,
    lens,
    merged,
    task,
)
from lambdacat.telling import shortened


class PlantedError(Exception):
    """What every function of these tests raises."""


def planted(*_: Any, **__: Any) -> Any:
    raise PlantedError("planted here")


def same_value(value: Any) -> Any:
    return value


def _refuses(fork: Any, left: Any, right: Any) -> Any:
    raise PlantedError("planted here")


def _above_0(_: object, __: object, n: int) -> None:
    if n < 0:
        raise PlantedError("planted here")


def _small(n: int) -> int:
    return n if n < 1000 else planted()


@frozen
class State:
    n: int = field(default=1, validator=_above_0, converter=_small)
    m: int = 2
    declared: int = merged(_refuses, default=0)
    rows: tuple[int, ...] = (1, 2)
    more: Any = None


class Odd:
    """A part that no library knows: its attribute is a function of the user's."""

    @property
    def part(self) -> Any:
        raise PlantedError("planted here")

    def __repr__(self) -> str:
        return "Odd()"


class Reluctant(Mapping[str, int]):
    """A mapping that says what it has and does not give it."""

    def __getitem__(self, key: str) -> int:
        raise PlantedError("planted here")

    def __iter__(self) -> Iterator[str]:
        return iter(("a",))

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "Reluctant()"


class Uncopied(list[int]):
    """A list that a branch cannot be given a copy of."""

    def __copy__(self) -> Any:
        raise PlantedError("planted here")


@define
class UncopiedState:
    """A state that changes in place, and says no to being copied."""

    n: int = 0

    def __copy__(self) -> Any:
        raise PlantedError("planted here")


class Unmerged:
    """A value whose class declares how it is merged."""

    __merge__ = planted

    def __repr__(self) -> str:
        return "Unmerged()"


class Neither:
    """What a condition must not give: it is neither true nor false."""

    def __bool__(self) -> bool:
        raise PlantedError("planted here")


class Hashless:
    """What a selector must not give: it is no key."""

    def __hash__(self) -> int:
        raise PlantedError("planted here")


class Waits(Schedule):
    """A schedule that looks right when a plan is built and raises when a run asks it."""

    def delay(self, attempt: int, source: Any = None) -> float | None:
        return 0.0 if source is None else planted()


@frozen(eq=False, repr=False)
class Unexpanded(Composite[Any, Any]):
    """A node that knows its meaning only when it is looked at."""

    def expand(self) -> Any:
        raise PlantedError("planted here")


ANY: Any = Any
N, M, ROWS, MORE = (lens(State, way) for way in (lambda s: s.n, lambda s: s.m, lambda s: s.rows, lambda s: s.more))
THERE: Any = Iso("there", to=planted, back=same_value)
BACK: Any = Iso("back", to=same_value, back=planted)
same: AnyPlan = pure(same_value)
one_more: AnyPlan = pure(lambda n: n + 1)
STOP: AnyPlan = fail(Stopped(reason="x"))
START = State()
ODD, MAPPED, LISTED, SHARED = (State(more=part) for part in (Odd(), Reluctant(), Uncopied(), Unmerged()))
ODD_PART: Any = lens(ANY, lambda s: s.more.part)

# The plan, what it is run on, and the way down from it to the node that is told.
CALLBACKS: dict[str, tuple[Callable[[], AnyPlan], Any, tuple[Any, ...]]] = {
    "action": (lambda: task(blocking="inline")(planted), START, ()),
    "action that reads": (lambda: task(reads=N, blocking="inline")(planted), START, ()),
    "action that reads and writes": (lambda: task(reads=(N, M), writes=ROWS, blocking="inline")(planted), START, ()),
    "pure": (lambda: pure(planted), START, ()),
    "condition": (lambda: when(planted, same), START, ()),
    "condition on a part": (lambda: when(N.where(planted), same), START, ()),
    "negated condition": (lambda: when(~N.where(planted), same), START, ()),
    "either condition": (lambda: when(M.where(lambda m: m < 0) | N.where(planted), same), START, ()),
    "both conditions": (lambda: when(M.where(bool) & N.where(planted), same), START, ()),
    "truth of a condition": (lambda: when(lambda _: Neither(), same), START, ()),
    "selector": (lambda: choose(planted, {1: same}), START, ()),
    "hash of a selection": (lambda: choose(lambda _: Hashless(), {1: same}), START, ()),
    "loop condition": (lambda: loop_while(planted, same, at_most=2), START, ()),
    "loop condition on a part": (lambda: loop_while(N.where(planted), same), START, ()),
    "truth of a loop condition": (lambda: loop_while(lambda _: Neither(), same), START, ()),
    "bind": (lambda: bind(planted), START, ()),
    "handler": (lambda: recover(STOP, planted), START, ()),
    "test of a retry": (lambda: STOP.retry(1, on=planted), START, ()),
    "schedule": (lambda: STOP.retry(Waits(), on=Stopped), START, ()),
    "join": (lambda: parallel(same, same, join=planted), START, ()),
    "join of one": (lambda: parallel(same, join=planted), START, ()),
    "join of outcomes": (lambda: parallel(same, STOP, policy=SETTLED, join=planted), START, ()),
    "join of winners": (lambda: parallel(same, same, policy=NBest(1, by=lambda s: s.n), join=planted), START, ()),
    "score": (lambda: parallel(same, same, policy=NBest(1, by=planted)), START, ()),
    "declared merge": (
        lambda: pure(lambda s: evolve(s, declared=1)) & pure(lambda s: evolve(s, declared=2)),
        START,
        (),
    ),
    "merge of a class": (
        lambda: pure(lambda s: evolve(s, more=Unmerged())) & pure(lambda s: evolve(s, more=Unmerged())),
        SHARED,
        (),
    ),
    "copy of a part": (lambda: gather(same, same), LISTED, ()),
    "copy of the state": (lambda: gather(same, same), UncopiedState(), ()),
    "attribute": (lambda: focus(ODD_PART, same), ODD, ()),
    "attribute that a task reads": (lambda: task(reads=ODD_PART, writes=(), blocking="inline")(same_value), ODD, ()),
    "attribute that between reads": (lambda: same.between(ODD_PART, lens(ANY, lambda s: s.n)), ODD, ()),
    "attribute of a condition": (lambda: when(ODD_PART.where(bool), same), ODD, ()),
    "attribute of a selector": (lambda: choose(ODD_PART, {1: same}), ODD, ()),
    "item": (lambda: focus(lens(ANY, lambda s: s.more["a"]), same), MAPPED, ()),
    "item that may be missing": (lambda: focus(MORE >> at("a"), same), MAPPED, ()),
    "every item": (lambda: focus(MORE >> each, same), MAPPED, ()),
    "form": (lambda: focus(N >> THERE, same), START, ()),
    "form, back": (lambda: focus(N >> BACK, one_more), START, ()),
    "form of a task": (lambda: task(reads=N >> THERE, writes=M, blocking="inline")(same_value), START, ()),
    "form of a task, back": (lambda: task(reads=M, writes=N >> BACK, blocking="inline")(same_value), START, ()),
    "form in between": (lambda: same.between(N >> THERE, M), START, ()),
    "form in between, back": (lambda: same.between(M, N >> BACK), START, ()),
    "form of each part": (lambda: focus(ROWS >> each >> THERE, same), START, ()),
    "alternative": (lambda: focus(N >> Prism("p", preview=planted, review=same_value), same), START, ()),
    "alternative, built": (lambda: focus(N >> Prism("p", preview=same_value, review=planted), one_more), START, ()),
    "validator": (lambda: focus(N, pure(lambda n: -n)), START, ()),
    "validator in between": (lambda: pure(lambda n: -n).between(M, N), START, ()),
    "validator of a task": (lambda: task(reads=M, writes=N, blocking="inline")(lambda m: -m), START, ()),
    "expansion": (lambda: Unexpanded(), START, ()),
    "converter": (lambda: focus(N, pure(lambda n: 1000)), START, ()),
}
PLACES: dict[str, tuple[Callable[[AnyPlan], AnyPlan], tuple[Any, ...]]] = {
    "alone": (lambda plan: plan, ()),
    "second": (lambda plan: same >> plan >> same, (1,)),
    "in a branch": (lambda plan: gather(same, plan), (1,)),
    "under bounds": (lambda plan: plan.timeout(60).retry(1, on=Stopped), ("retry", "timeout")),
    "in a loop": (lambda plan: loop_while(lambda _: True, plan), ("loop",)),
}


def every_outcome(plan: AnyPlan, value: Any) -> Iterator[Any]:
    """The outcome of a plan under every way to run it that says where a fault was."""
    yield run(plan, value)
    yield traced(plan)(value).value
    yield on_asyncio(lambda: arun(plan, value))
    yield on_asyncio(lambda: atraced(plan)(value)).value
    yield on_trio(lambda: arun(plan, value))


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        # One place for each; the rest of the square is in the sweep.
        pytest.param(kind, place, marks=() if place == "second" else pytest.mark.sweep)
        for kind, place in itertools.product(CALLBACKS, PLACES)
    ],
)
def test_what_a_function_raises_is_told_with_its_place_its_input_and_the_last_value(kind: str, place: str) -> None:
    """R-E1: and the state is as it was."""
    make, start, below = CALLBACKS[kind]
    around, above = PLACES[place]
    plan = around(make())
    if place == "in a branch" and kind.startswith("copy of"):
        # The fork that stands around it copies first.
        above = below = ()
    before = repr(start)
    for outcome in every_outcome(plan, start):
        fault = outcome.failure()
        assert isinstance(fault, ActionFailed), fault
        assert type(fault.error) is PlantedError
        # A focus on one step is fused with that step, and either may be told.
        assert fault.at in ((*above, *below), (*above, *below, "focus")), fault
        assert (repr(fault.input), repr(fault.last)) == (before, before)
        said = str(fault)
        assert said.splitlines()[0].endswith("PlantedError: planted here")
        assert f"  input  {shortened(start)}" in said
        assert re.search(r"^  (raised|from  ) .*test_callbacks\.py", said, re.MULTILINE)
    assert repr(start) == before


@pytest.mark.parametrize("look", [lambdacat.check, lambdacat.footprint, lambdacat.dry_run, lambdacat.render, hash])
def test_whoever_looks_at_a_node_that_cannot_say_what_it_stands_for_gets_its_own_error(look: Any) -> None:
    with pytest.raises(PlantedError, match="planted here"):
        look(same >> Unexpanded())
