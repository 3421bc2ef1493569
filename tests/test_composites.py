"""Nodes of a user's own: what they expand to has an end, or is refused by name."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from lambdacat import ActionFailed, Composite, Plan, PlanError, Success, check, footprint, gather, render, run, task


@task
def up(n: int) -> int:
    return n + 1


class Itself(Composite[int, int]):
    def expand(self) -> Plan[int, int]:
        return self


class Later(Composite[int, int]):
    def expand(self) -> Plan[int, int]:
        return (up >> self.named("again")).retry(1)


class Fresh(Composite[int, int]):
    def expand(self) -> Plan[int, int]:
        return up >> Fresh()


class Twice(Composite[int, int]):
    def expand(self) -> Plan[int, int]:
        return gather(Twice(), Twice()).map(sum)


class Ping(Composite[int, int]):
    def expand(self) -> Plan[int, int]:
        return PONG >> up


class Pong(Composite[int, int]):
    def expand(self) -> Plan[int, int]:
        return PING | up


PING, PONG = Ping(), Pong()

ENDLESS: dict[str, tuple[Plan[int, int], str]] = {
    "itself": (Itself(), "itself"),
    "itself later": (Later(), "later"),
    "a new one each time": (Fresh(), "fresh"),
    "two new ones each time": (Twice(), "twice"),
    "one that stands for the other": (PING, "ping"),
    "inside others": (up >> Later().retry(2), "later"),
}
LOOKS: dict[str, Callable[[Plan[int, int]], object]] = {
    "repr": repr,
    "hash": hash,
    "render": render,
    "check": check,
    "footprint": footprint,
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", ENDLESS)
def test_a_node_that_stands_for_itself_is_refused_by_name(name: str, look: str) -> None:
    plan, culprit = ENDLESS[name]
    with pytest.raises(PlanError, match=f"{culprit} expands to itself.*; use bind or loop_while"):
        LOOKS[look](plan)


@pytest.mark.parametrize("name", ENDLESS)
def test_running_one_is_a_fault_that_says_so(name: str) -> None:
    plan, culprit = ENDLESS[name]
    fault = run(plan, 1).failure()
    assert isinstance(fault, ActionFailed)
    assert isinstance(fault.error, PlanError)
    assert f"{culprit} expands to itself" in str(fault)


@frozen(eq=False, repr=False)
class Down(Composite[int, int]):
    n: int

    def expand(self) -> Plan[int, int]:
        return up if self.n == 0 else up >> Down(self.n - 1)


@frozen(eq=False, repr=False)
class Tried(Composite[int, int]):
    plan: Plan[int, int]

    def expand(self) -> Plan[int, int]:
        return self.plan.retry(1)


def test_a_node_that_makes_smaller_ones_of_its_kind_has_an_end() -> None:
    assert run(Down(300), 0) == Success(301)
    assert "down" in render(Down(300))


@pytest.mark.parametrize("n", [3000, pytest.param(100_000, marks=pytest.mark.sweep)])
def test_nodes_may_hold_each_other_as_deep_as_anyone_writes_them(n: int) -> None:
    plan: Plan[int, int] = up
    for _ in range(n):
        plan = Tried(plan)
    assert run(plan, 1) == Success(2)


def test_one_node_may_stand_in_many_places() -> None:
    shared: Any = Tried(up)
    for _ in range(60):
        shared = Tried(gather(shared, shared).map(sum))
    assert footprint(shared) is not None


def test_what_a_node_stands_for_is_asked_once() -> None:
    asked: list[int] = []

    class Counted(Composite[int, int]):
        def expand(self) -> Plan[int, int]:
            asked.append(1)
            return up >> up

    plan = Counted()
    assert [run(plan, n) for n in (1, 2)] == [Success(3), Success(4)]
    assert render(plan)
    assert asked == [1]


def test_nodes_compare_by_their_names_and_what_they_stand_for() -> None:
    """A37: also where one was read again, and is no longer of the class that wrote it."""
    once = Tried(up)
    assert once == Tried(up)
    assert once == up.retry(1).named("tried")
    assert hash(once) == hash(up.retry(1).named("tried"))
    assert once != up.retry(1).named("again")
    assert once != Tried(up >> up)
    assert type(once).from_parts(*once.parts()) == once
    sent = pickle.loads(pickle.dumps(once >> up))
    assert sent == once >> up
    assert run(sent, 1) == Success(3)
