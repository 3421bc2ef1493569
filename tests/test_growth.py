"""How work grows with the depth or length of a plan: in proportion, counted in calls and not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from lambdacat import Plan, check, identity, loop_while, optimise, pure, run, task, traced, when


@task
def up(n: int) -> int:
    return n + 1


@task
def bad(n: int) -> int:
    raise ValueError(n)


def nested(start: Plan[int, int], grown: Callable[[Plan[int, int]], Plan[int, int]], n: int) -> Plan[int, int]:
    for _ in range(n):
        start = grown(start)
    return start


def chosen(n: int) -> Plan[int, int]:
    return nested(bad, lambda plan: when(bool, plan, up), n)


WORK: dict[str, tuple[Callable[[int], Plan[int, int]], Callable[[Plan[int, int]], object]]] = {
    "tracing a fault below choices": (chosen, lambda plan: traced(plan)(1)),
    "saying a fault below choices": (chosen, lambda plan: str(run(plan, 1))),
    "checking alternatives": (lambda n: nested(up, lambda plan: plan.retry(1) | identity, n), check),
    "checking loops": (lambda n: nested(up, lambda plan: loop_while(bool, plan), n), check),
    "fusing functions": (lambda n: nested(up, lambda plan: plan >> pure(abs), n), optimise),
}


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, and generators resumed, during some work."""
    count = 0

    def counted(frame: Any, event: str, _: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("n", [150, pytest.param(2000, marks=pytest.mark.sweep)])
def test_twice_the_depth_is_at_most_twice_the_work(name: str, n: int) -> None:
    made, work = WORK[name]
    counts = []
    for size in (n, 2 * n):
        plan = made(size)
        work(made(10))
        counts.append(calls(lambda plan=plan: work(plan)))  # type: ignore[misc]
    assert counts[1] <= 2.1 * counts[0], counts
