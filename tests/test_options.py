"""Options that could never mean anything: refused when the plan is built, in one line that says what to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen
from untyped import focus

from lambdacat import Exponential, Iso, PlanError, Resource, TimedOut, each, lens, task


@frozen
class Shelf:
    count: int = 0
    row: tuple[int, ...] = ()


COUNT: Any = lens(Shelf, lambda s: s.count)
ROW: Any = lens(Shelf, lambda s: s.row)


def _up(n: int) -> int:
    return n + 1


up: Any = task(name="up")(_up)


def spoilt(**options: Any) -> object:
    anything: Any = task(**options)
    return anything(_up)


MAYBE: Any = None
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a cap below 0": (lambda: Exponential(first=1.0, cap=-5), "cap must be above 0, or inf for none, not -5"),
    "a cap that is no number": (lambda: Exponential(first=1.0, cap=float("nan")), "cap must be above 0"),
    "a factor without end": (lambda: Exponential(first=1.0, factor=float("inf")), "factor must be finite"),
    "a retry for a text": (lambda: up.retry(1, on=(OSError, "x")), "and 'x' is neither"),
    "a retry for numbers": (lambda: up.retry(1, on=int), "and <class 'int'> is neither"),
    "a retry for a plan": (lambda: up.retry(1, on=(up,)), "is neither"),
    "a retry for interrupts": (lambda: up.retry(1, on=(OSError, KeyboardInterrupt)), "never retried"),
    "an estimate that is a number": (lambda: spoilt(estimate=3), r"such as Estimate\(seconds=\(1, 3\)\), not 3"),
    "idempotent in words": (lambda: spoilt(idempotent="no"), "idempotent is True or False, not 'no'"),
    "a resource alone": (lambda: spoilt(resources=Resource("mail")), "resources is a row of Resource values"),
    "a resource by name": (lambda: spoilt(resources="mail"), "resources is a row of Resource values"),
    "resources by name": (lambda: spoilt(resources=["mail"]), "resources is a row of Resource values"),
    "a number of resources": (lambda: spoilt(resources=3), "resources is a row of Resource values"),
    "a resource without a name": (lambda: Resource(" "), "name is text that is not blank"),
    "a resource that is perhaps written": (lambda: Resource("mail", writes=MAYBE), "writes is True or False"),
    "a task without a name": (lambda: spoilt(name=""), "a name is text that is not blank, not ''"),
    "a task with a number for a name": (lambda: spoilt(name=3), "a name is text that is not blank, not 3"),
    "a limit on one part": (lambda: focus(COUNT, up, limit=2), r"and Shelf.count is one part: leave limit= out"),
    "a limit on one part, by method": (lambda: up.focus(COUNT, limit=2), r"Shelf.count is one part"),
    "a limit between two parts": (lambda: up.between(COUNT, COUNT, limit=2), r"Shelf.count is one part"),
    "a limit on another form": (lambda: focus(Iso("i", to=abs, back=abs), up, limit=1), "is one part"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_an_option_that_could_never_mean_anything_is_refused_when_the_plan_is_built(mistake: str) -> None:
    """A36."""
    build, said = REFUSED[mistake]
    with pytest.raises(PlanError, match=said) as refused:
        build()
    assert "\n" not in str(refused.value)


def test_what_looks_like_those_mistakes_and_is_none_is_taken() -> None:
    endless = Exponential(first=1.0, cap=float("inf")).then(Exponential(first=5.0, cap=0.5))
    assert list(endless.delays(3)) == [1.0, 2.0, 4.0]
    assert up.retry(1, on=(OSError, TimedOut)) == up.retry(1, on=(OSError, TimedOut))
    assert task(name="up", resources=[Resource("mail")], idempotent=False)(_up).name == "up"
    assert focus(each, up, limit=2) == focus(each, up, limit=2)
    assert up.between(ROW >> each, ROW, limit=2).name == "between Shelf.row[*] and Shelf.row"
