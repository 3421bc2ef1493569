"""Building a plan wrongly: refused at once, by name, in one line that says what to do."""

from __future__ import annotations

import operator
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from attrs import frozen
from untyped import approve, ask, choose, loop_while, parallel, pure, recover, sleep_until, when

import lambdacat
from lambdacat import (
    Estimate,
    Exponential,
    Fixed,
    Iso,
    Limits,
    Merges,
    NBest,
    PlanError,
    Prism,
    Quorum,
    Resource,
    Stopped,
    bind,
    fail,
    footprint,
    identity,
    lens,
    merged,
    task,
)


@frozen
class Shelf:
    count: int = 0


COUNT: Any = lens(Shelf, lambda s: s.count)


@task
def up(n: int) -> int:
    return n + 1


async def later(*given: Any) -> Any:
    return False


async def chunks(*given: Any) -> AsyncIterator[int]:
    yield 1


class Later:
    async def __call__(self, *given: Any) -> Any:
        return False

    async def method(self, *given: Any) -> Any:
        return False


ASYNC: dict[str, Any] = {
    "async def": later,
    "generator": chunks,
    "partial": partial(later, 1),
    "bound method": Later().method,
    "callable object": Later(),
    "partial of a callable object": partial(Later(), 1),
}
PLACES: dict[str, Callable[[Any], object]] = {
    "when": lambda f: when(f, up),
    "loop_while": lambda f: loop_while(f, up),
    "choose": lambda f: choose(f, {False: up}),
    "where": lambda f: COUNT.where(f),
    "where, joined": lambda f: COUNT.where(bool) & ~COUNT.where(f),
    "join=": lambda f: parallel(up, up, join=f),
    "by=": lambda f: NBest(1, by=f),
    "recover": lambda f: recover(up, f),
    "bind": bind,
    "pure": pure,
    "map": lambda f: up.map(f),
    "retry on=": lambda f: up.retry(1, on=f),
    "ask": lambda f: ask(f, into=COUNT),
    "approve": approve,
    "sleep_until": sleep_until,
    "a merge": Merges,
    "a merged field": lambda f: merged(f, default=0),
    "to=": lambda f: Iso("other", to=f, back=abs),
    "back=": lambda f: Iso("other", to=abs, back=f),
    "preview=": lambda f: Prism("one", preview=f, review=abs),
    "review=": lambda f: Prism("one", preview=abs, review=f),
    "lens": lambda f: lens(Shelf, f),
}


@pytest.mark.parametrize("shape", ASYNC)
@pytest.mark.parametrize("place", PLACES)
def test_an_async_function_is_refused_where_nothing_awaits_it(place: str, shape: str) -> None:
    with pytest.raises(PlanError, match=r"(later|chunks|method|Later) is async") as refused:
        PLACES[place](ASYNC[shape])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("place", PLACES)
def test_a_plain_function_that_may_give_anything_is_taken(place: str) -> None:
    PLACES[place](lambda value, *more: getattr(value, "count", value))


WRONG: dict[str, Callable[[], object]] = {
    "a timeout below 0": lambda: up.timeout(-1),
    "a task's timeout": lambda: task(timeout=float("nan"))(up.action),
    "a quorum of none": lambda: Quorum(0),
    "the best none": lambda: NBest(0, by=float),
    "no score": lambda: NBest(1, by=3),  # type: ignore[arg-type]
    "no test": lambda: COUNT.where(3),
    "no merge": lambda: merged(3, default=0),  # type: ignore[arg-type]
    "a schedule that goes back": lambda: Fixed(-1.0),
    "a schedule that shrinks": lambda: Exponential(first=1.0, factor=0.5),
    "a number of retries": lambda: Fixed(1.0).times(-1),
    "an estimate upside down": lambda: Estimate(seconds=(2, 1)),
    "no threads": lambda: Limits(threads=0),
    "no turns": lambda: loop_while(bool, up, at_most=-1),
    "no branches": lambda: choose(bool, {}),
    "no plan": lambda: when(bool, len),
}


OPERATORS: dict[str, Callable[[Any, Any], object]] = {
    ">>": operator.rshift,
    "&": operator.and_,
    "|": operator.or_,
}


@pytest.mark.parametrize("sign", OPERATORS)
@pytest.mark.parametrize("plan", [up, identity, fail(Stopped(reason="x"))], ids=str)
def test_a_plain_function_on_either_side_of_an_operator_is_named(sign: str, plan: Any) -> None:
    for pair in ((plan, len), (len, plan)):
        with pytest.raises(PlanError, match=f"{re.escape(sign)} wants two plans, and len is a plain function"):
            OPERATORS[sign](*pair)
    with pytest.raises(TypeError, match="unsupported operand"):
        OPERATORS[sign](3, plan)


def test_an_action_with_options_is_told_how_to_write_it() -> None:
    with pytest.raises(PlanError, match=r"not both: write task\(name='x', timeout=2\)\(len\)"):
        lambdacat.task(len, name="x", timeout=2)  # type: ignore[call-overload]


@pytest.mark.parametrize("mistake", WRONG)
def test_whatever_is_built_wrongly_raises_one_exception_which_is_a_value_error(mistake: str) -> None:
    with pytest.raises(PlanError) as refused:
        WRONG[mistake]()
    assert isinstance(refused.value, ValueError)
    assert "\n" not in str(refused.value)


def test_a_footprint_is_printed_in_words() -> None:
    one: Any = task(reads=COUNT, writes=COUNT, resources=(Resource("db", writes=True), Resource("web")))(abs)
    assert str(footprint(one)) == "reads .count; writes .count; uses web; changes db"
    assert str(footprint(up)) == "reads everything; writes everything"
    assert str(footprint(identity)) == "touches nothing"
