"""Findings: each rule where it holds, silence where it does not."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen

from lambdacat import (
    FIRST_COMPLETED,
    NBest,
    Plan,
    Quorum,
    Stopped,
    bind,
    check,
    fail,
    identity,
    lens,
    loop_while,
    parallel,
    task,
)
from lambdacat.structure import located


@frozen
class Note:
    """A state."""

    topic: str
    draft: str = ""
    score: float = 0.0


TOPIC, DRAFT, SCORE = lens(Note, lambda s: s.topic), lens(Note, lambda s: s.draft), lens(Note, lambda s: s.score)


def step(name: str, reads: Any = None, writes: Any = None, **options: Any) -> Plan[Any, Any]:
    made: Any = task
    if reads is None and writes is None:
        plan: Plan[Any, Any] = made(name=name, **options)(lambda value: value)
    else:
        plan = made(reads=reads or (), writes=writes or (), name=name, **options)(lambda *given: given[0])
    return plan


write = step("write", TOPIC, DRAFT)
judge = step("judge", DRAFT, SCORE)
plain = step("plain")


def rules(plan: Plan[Any, Any]) -> list[tuple[str, tuple[str | int, ...]]]:
    return [(found.rule, found.at) for found in check(plan)]


def test_a_sound_program_has_no_findings() -> None:
    loop = (write >> judge).loop_while(SCORE.where(lambda score: score < 0.8), at_most=3, then=identity)
    assert check((write.retry(3).timeout(5) & step("count", TOPIC, SCORE)) >> loop) == ()


def test_an_unbounded_loop() -> None:
    assert rules(plain >> loop_while(bool, plain)) == [("unbounded-loop", (1,))]


def test_a_retry_around_a_task_that_must_not_be_done_twice_at_any_depth() -> None:
    pay = step("pay", idempotent=False)
    assert rules((plain >> pay.named("checkout")).retry(2)) == [("retry-not-idempotent", ())]
    assert rules(pay >> plain.retry(2)) == []


def test_a_write_that_is_surely_overwritten_unread() -> None:
    assert rules(write >> step("again", TOPIC, DRAFT)) == [("written-never-read", (0,))]
    assert rules(write >> step("again", TOPIC, DRAFT).retry(1).named("x")) == [("written-never-read", (0,))]


@pytest.mark.parametrize(
    "between",
    [
        judge,
        plain,
        loop_while(DRAFT.where(bool), judge, at_most=1),
        parallel(judge, step("other", TOPIC), policy=FIRST_COMPLETED),
    ],
)
def test_a_read_between_keeps_a_write_alive(between: Plan[Any, Any]) -> None:
    assert "written-never-read" not in [rule for rule, _ in rules(write >> between >> write)]


def test_a_write_that_is_only_perhaps_overwritten_is_alive() -> None:
    again = step("again", TOPIC, DRAFT)
    assert rules(write >> loop_while(SCORE.where(bool), again, at_most=1)) == []
    assert rules(write >> parallel(again, step("c", TOPIC, SCORE), policy=FIRST_COMPLETED)) == []


def test_a_read_that_only_a_later_step_fills() -> None:
    assert rules(judge >> write) == [("read-before-written", (0,))]
    assert rules((judge & step("look", TOPIC)) >> write) == [("read-before-written", (0,))]


def test_a_read_is_in_order_when_the_caller_gives_it_or_the_loop_does() -> None:
    assert rules(write >> step("retitle", DRAFT, TOPIC)) == []
    assert rules((judge >> write).loop_while(SCORE.where(bool), at_most=2, then=identity)) == []
    assert rules(judge >> step("improve", DRAFT, DRAFT)) == []
    assert rules(plain >> judge >> write) == []


@frozen
class Bag:
    """A state with a list."""

    items: list[str]
    seen: dict[str, int] | None = None


def test_a_mutable_field_is_reported_once() -> None:
    add = step("add", lens(Bag, lambda s: s.seen), lens(Bag, lambda s: s.seen))
    found = check(add >> add)
    assert [(one.rule, one.at) for one in found] == [("mutable-state", (0,))] * 2
    assert ["tuple" in one.message or "HashTrieMap" in one.message for one in found] == [True, True]


def test_a_bind_hides_what_it_does() -> None:
    assert rules(bind(lambda value: plain)) == [("opaque-bind", ())]


def test_what_never_runs() -> None:
    stop = fail(Stopped(reason="no"))
    assert rules(plain >> stop.named("stop") >> plain) == [("unreachable", (2,))]
    assert rules(plain.attempt() | plain) == [("unreachable", ("or",))]
    assert rules(loop_while(bool, plain, at_most=0)) == [("unreachable", ("loop",))]
    assert rules(plain | plain) == []


def test_more_winners_than_branches() -> None:
    assert rules(parallel(write, judge, policy=Quorum(3), join=lambda note, _: note)) == [("too-many-wanted", ())]
    assert rules(parallel(write, judge, policy=NBest(2, by=float), join=lambda note, _: note)) == []


def test_a_timeout_that_an_outer_one_forestalls() -> None:
    assert rules((plain >> plain.timeout(9)).timeout(5)) == [("timeout-longer-than-outer", ("timeout", 1))]
    assert rules((plain >> step("slow", timeout=9)).timeout(5)) == [("timeout-longer-than-outer", ("timeout", 1))]
    assert rules((plain >> plain.timeout(5)).timeout(5)) == []


def test_every_finding_comes_at_once_in_the_order_of_the_plan_and_at_its_node() -> None:
    plan = loop_while(bool, plain >> bind(lambda value: plain)) >> loop_while(bool, plain)
    found = check(plan)
    assert [one.at for one in found] == [(0,), (0, "loop", 1), (1,)]
    assert {one.at for one in found} <= {at for at, _ in located(plan)}
    assert all(";" in one.message for one in found)


@pytest.mark.parametrize("n", [8_000, pytest.param(20_000, marks=pytest.mark.sweep)])
def test_a_plan_of_any_depth_is_checked(n: int) -> None:
    plan = plain
    for _ in range(n):
        plan = (plain >> plan).named("inner")
    assert check(plan) == ()
