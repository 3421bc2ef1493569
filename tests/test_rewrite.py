"""Optimised plans: fewer nodes and barriers, the same results, and the laws that say so."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen

from lambdacat import (
    Plan,
    Resource,
    Rewrite,
    Stopped,
    fail,
    focus,
    lens,
    merged,
    optimise,
    pure,
    run,
    sequence,
    task,
)


@frozen
class Desk:
    """Four fields to work on."""

    a: int = 1
    b: int = 2
    c: int = 3
    d: int = 4
    log: tuple[str, ...] = merged(lambda fork, left, right: (*left, *right[len(fork) :]), default=())


A = lens(Desk, lambda s: s.a)
B = lens(Desk, lambda s: s.b)
C = lens(Desk, lambda s: s.c)
D = lens(Desk, lambda s: s.d)


def inc(n: int) -> int:
    return n + 1


def step(reads: Any, writes: Any, name: str, **options: Any) -> Plan[Desk, Desk]:
    made: Plan[Desk, Desk] = task(reads=reads, writes=writes, name=name, **options)(inc)
    return made


a_to_a, b_to_b, a_to_c, b_to_d = step(A, A, "a"), step(B, B, "b"), step(A, C, "c"), step(B, D, "d")


def test_pure_functions_in_a_row_become_one() -> None:
    plan, laws = optimise(pure(inc) >> pure(str) >> task(len) >> pure(inc) >> pure(inc))
    assert [node.name for node in plan.parts()[1]] == ["inc then str", "len", "inc then inc"]
    assert [rewrite.law for rewrite in laws] == ["pure functions fuse"]
    assert run(plan, 9) == run(pure(inc) >> pure(str) >> task(len) >> pure(inc) >> pure(inc), 9)


def test_a_barrier_goes_where_nothing_needs_it() -> None:
    before = (a_to_a & b_to_b) >> (a_to_c & b_to_d)
    after, laws = optimise(before)
    assert after == (a_to_a >> a_to_c) & (b_to_b >> b_to_d)
    assert laws == (Rewrite("disjoint footprints commute", ()),)
    assert run(after, Desk()) == run(before, Desk())


def test_a_step_that_needs_both_branches_keeps_its_barrier() -> None:
    both = task(reads=(A, B), writes=C)(lambda a, b: a + b)
    plan = (a_to_a & b_to_b) >> both
    assert optimise(plan) == (plan, ())


def test_a_step_on_the_whole_value_keeps_its_barrier() -> None:
    plan = (a_to_a & b_to_b) >> task(lambda s: s)
    assert optimise(plan) == (plan, ())


def test_a_shared_resource_keeps_a_barrier() -> None:
    mail = Resource("mail", writes=True)
    plan = (step(A, A, "a", resources=(mail,)) & b_to_b) >> step(B, D, "d", resources=(mail,))
    assert optimise(plan)[1] == ()


def test_nothing_is_kept_after_fail() -> None:
    stopped = fail(Stopped(reason="enough"))
    plan, laws = optimise(a_to_a >> stopped >> b_to_b)
    assert plan == a_to_a >> stopped
    assert [rewrite.law for rewrite in laws] == ["fail is a left zero"]


def test_two_focuses_on_one_part_become_one() -> None:
    plan, _ = optimise(focus(A, task(inc)) >> focus(A, task(inc) >> task(inc)))
    assert plan == focus(A, sequence(*[task(inc)] * 3))


def test_what_cannot_fault_needs_no_rescue() -> None:
    plan, laws = optimise(a_to_a.attempt() | pure(lambda s: s))
    assert plan == a_to_a.attempt()
    assert laws == (Rewrite("success is left alone", ()),)


def test_a_rewrite_says_where_it_was() -> None:
    same: Plan[Desk, Desk] = pure(lambda s: s)
    plan = a_to_a >> (same >> same).named("both") >> a_to_a
    assert optimise(plan)[1] == (Rewrite("pure functions fuse", (1, "both")),)


def test_optimising_twice_changes_nothing_more() -> None:
    plan, _ = optimise((a_to_a & b_to_b) >> (a_to_c & b_to_d) >> pure(lambda s: s) >> pure(lambda s: s))
    assert optimise(plan) == (plan, ())


@pytest.mark.parametrize("n", [6_000, pytest.param(20_000, marks=pytest.mark.sweep)])
def test_a_plan_nested_thousands_deep_is_optimised_without_recursion(n: int) -> None:
    plan: Plan[Any, Any] = pure(inc)
    for _ in range(n):
        plan = (plan | pure(inc)) >> task(inc)
    assert run(optimise(plan)[0], 0) == run(plan, 0)


def test_a_step_writes_the_field_it_names_and_no_other() -> None:
    assert run(a_to_c, Desk()).unwrap() == Desk(c=2)
    assert run(a_to_c >> b_to_d, Desk()).unwrap() == Desk(c=2, d=3)
