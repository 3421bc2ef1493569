"""Findings: each rule where it holds, silence where it does not."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

import anyio
import pytest
from attrs import field, frozen, make_class
from naming import named_by
from rpds import HashTrieMap

from lambdacat import (
    FIRST_COMPLETED,
    Budget,
    Exponential,
    NBest,
    Plan,
    Quorum,
    Schedule,
    Stopped,
    TimedOut,
    arun,
    bind,
    check,
    dry_run,
    fail,
    gather,
    identity,
    lens,
    loop_while,
    parallel,
    pure,
    run,
    schedule,
    sequence,
    task,
    when,
)
from lambdacat.guard import Concurrency
from lambdacat.interpreters.check import RULES
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


def keep(value: Any) -> Any:
    return value


def next_plan(_: Any) -> Plan[Any, Any]:
    return plain


def rules(plan: Plan[Any, Any]) -> list[tuple[str, tuple[str | int, ...]]]:
    return [(found.rule, found.at) for found in check(plan)]


def test_a_sound_program_has_no_findings() -> None:
    loop = (write >> judge).loop_while(SCORE.where(lambda score: score < 0.8), at_most=3, then=identity)
    assert check((write.retry(3).timeout(5) & step("count", TOPIC, SCORE)) >> loop) == ()


def test_an_unbounded_loop() -> None:
    assert rules(plain >> loop_while(bool, plain)) == [("unbounded-loop", (1,))]
    assert rules(loop_while(bool, plain, at_most=9)) == []


def test_a_loop_that_a_timeout_ends_is_bounded() -> None:
    loop = loop_while(bool, plain)
    assert rules((plain >> loop).timeout(5)) == rules(parallel(plain, loop, timeout=5)) == []
    # One around a turn, or beside the loop, ends no loop.
    assert rules(loop_while(bool, plain.timeout(5))) == [("unbounded-loop", ())]
    assert rules(plain.timeout(5) >> loop) == [("unbounded-loop", (1,))]
    assert rules(loop_while(bool, loop.timeout(5))) == [("unbounded-loop", ())]


@pytest.mark.parametrize("body", [plain, pure(keep), plain >> pure(keep), when(bool, plain)], ids=named_by)
def test_a_timeout_ends_a_loop_that_never_waits(body: Any) -> None:
    """What the rule relies on."""
    plan = loop_while(lambda value: True, body).timeout(0.01)
    assert isinstance(run(plan, 1).failure(), TimedOut)
    assert isinstance(anyio.run(arun, plan, 1).failure(), TimedOut)


class Always(Schedule):
    """A schedule of a user's own, without an end."""

    def delay(self, attempt: int, source: Any = None) -> float | None:
        return 1.0


class Thrice(Schedule):
    """One with an end."""

    def delay(self, attempt: int, source: Any = None) -> float | None:
        return 1.0 if attempt <= 3 else None


SECOND = schedule.Fixed(1.0)
ENDLESS = [
    SECOND,
    Exponential(first=1),
    Exponential(first=1, cap=5).jittered(0.5),
    SECOND.times(2).then(SECOND),
    SECOND.then(SECOND.times(2)),
    schedule.Fixed(0.0).up_to(5),
    Always(),
]
ENDING = [
    3,
    5_000,
    SECOND.times(2),
    SECOND.times(5_000).jittered(0.5),
    SECOND.up_to(60),
    Exponential(first=1).up_to(1e9),
    SECOND.times(2).then(SECOND.times(1)),
    Thrice(),
]


@pytest.mark.parametrize("delays", ENDLESS, ids=named_by)
def test_a_retry_without_an_end(delays: Any) -> None:
    assert rules(plain >> plain.retry(delays)) == [("unbounded-retry", (1,))]
    assert rules(plain.timeout(5).retry(delays)) == [("unbounded-retry", ())]
    assert rules(parallel(plain, plain.retry(delays))) == [("unbounded-retry", (1,))]
    assert dry_run(plain.retry(delays)).calls == (1, inf)


@pytest.mark.parametrize("delays", ENDING, ids=named_by)
def test_a_retry_that_its_schedule_ends(delays: Any) -> None:
    assert rules(plain >> plain.retry(delays)) == []


@pytest.mark.parametrize("delays", ENDLESS, ids=named_by)
def test_a_retry_that_a_timeout_ends_or_that_never_begins(delays: Any) -> None:
    assert rules(plain.retry(delays).timeout(5)) == []
    assert rules((plain >> plain.retry(delays).named("inner")).timeout(5)) == []
    assert rules(parallel(plain, plain.retry(delays), policy=NBest(1, by=bool), timeout=5)) == []
    assert rules(identity.retry(delays)) == []


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


LENS_OF_LIST = lens(Bag, lambda s: s.items)


def test_a_mutable_field_is_reported_once() -> None:
    add = step("add", lens(Bag, lambda s: s.seen), lens(Bag, lambda s: s.seen))
    found = check(add >> add)
    assert [(one.rule, one.at) for one in found] == [("mutable-state", (0,))] * 2
    assert ["tuple" in one.message or "HashTrieMap" in one.message for one in found] == [True, True]


class Plain:
    """A class that says nothing of being changed."""

    def __init__(self) -> None:
        self.x = 1


class Rope(Mapping[str, int]):
    """A persistent mapping written in Python."""

    def __init__(self) -> None:
        self.inside: dict[str, int] = {}

    def __getitem__(self, key: str) -> int:
        return self.inside[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.inside)

    def __len__(self) -> int:
        return len(self.inside)


class Kind(Enum):
    SHORT = 1


class Slotted:
    __slots__ = ("x",)


class Speaking(Protocol):
    def say(self) -> str: ...


@dataclass
class Loose:
    n: int = 0


@frozen
class Fixed:
    n: int = 0


@pytest.mark.parametrize(
    ("kind", "clause"),
    [
        (Plain, "is a Plain, which can be changed in place and is shared by all branches"),
        (Slotted, "is a Slotted, which can be changed in place and is shared by all branches"),
        (Plain | None, "is a Plain, which can be changed in place and is shared by all branches"),
        (object, "may be anything, and what can be changed in place is shared by all branches"),
        (Loose, "is a Loose, which can be changed in place, so that every branch gets a copy; make it frozen"),
        (deque, "is a deque, which can be changed in place and is shared by all branches"),
        (Counter, "is a Counter, copied for every branch and compared by value"),
        (Annotated[list[int], "row"], "is a list, copied for every branch and compared by value; use a tuple"),
    ],
    ids=str,
)
def test_a_field_that_branches_could_change_under_each_other_is_reported(kind: Any, clause: str) -> None:
    state = make_class("State", {"part": field(type=kind, default=None)}, frozen=True)
    part: Any = lens(state, lambda s: s.part)
    (found,) = check(gather(step("one", part, part), step("two", part)))
    assert found.message.startswith(f"one works on State, whose field part {clause}")
    assert "\n" not in found.message


STEADY: list[Any] = [
    int, str | None, bytes, tuple[int, ...], frozenset[str], Fixed, date, datetime, UUID, Decimal, Fraction, Path, Kind,
    Literal["a"], HashTrieMap, type[int], Callable[[int], int], Mapping[str, int], Speaking, Any, range,
    re.Pattern[str], Rope,
]  # fmt: skip


@pytest.mark.parametrize("kind", STEADY, ids=str)
def test_a_field_of_what_nobody_changes_is_no_finding(kind: Any) -> None:
    state = make_class("State", {"part": field(type=kind, default=None)}, frozen=True)
    part: Any = lens(state, lambda s: s.part)
    assert rules(step("one", part, part)) == []


def test_a_class_that_is_not_frozen_is_reported() -> None:
    n = lens(Loose, lambda s: s.n)
    (found,) = check(step("one", n, n))
    assert (found.rule, found.at) == ("mutable-state", ())
    assert found.message.startswith("one works on Loose, which can be changed in place, so that every branch")


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


again = step("again", TOPIC, DRAFT)
ONE = Concurrency(1, name="one at a time")
pay = step("pay", idempotent=False)
QUOTED: dict[str, tuple[Plan[Any, Any], str]] = {
    "unbounded-loop": (loop_while(bool, plain), "loop_while(plain) may turn"),
    "unbounded-retry": (plain.retry(SECOND), "retry(plain) may try for ever"),
    "retry-not-idempotent": ((plain >> pay).retry(2), "retry(sequence(plain, pay)) may do pay twice"),
    "written-never-read": (write >> again, "what write writes to Note.draft is overwritten by again "),
    "read-before-written": (judge >> write, "judge reads Note.draft, which write writes only later"),
    "mutable-state": (step("add", LENS_OF_LIST, LENS_OF_LIST), "add works on Bag, whose field items is a list"),
    "opaque-bind": (bind(next_plan), "no analysis sees into bind next_plan;"),
    "unreachable": (fail(Stopped(reason="no")) >> plain, "plain never runs: fail before it always faults"),
    "too-many-wanted": (parallel(plain, judge, policy=Quorum(3)), "quorum of 3(plain, judge) wants 3 successes"),
    "timeout-longer-than-outer": (
        (plain.timeout(9) >> judge).timeout(2),
        "the timeout of 9 s on timeout 9 s(plain) never comes: around it is one of 2 s",
    ),
    "over-budget": (
        (judge >> plain).within(Budget(calls=1)),
        "sequence(judge, plain) cannot succeed within 1 calls: it needs 2 calls at least",
    ),
    "limited-inside-itself": (
        plain.limited(ONE).limited(ONE),
        "limited by one at a time(plain) is refused: around it one at a time is held already",
    ),
}


@pytest.mark.parametrize("rule", [name for name, _ in RULES])
def test_a_finding_quotes_its_piece_of_the_plan(rule: str) -> None:
    """And the piece alone, with whatever stands around it."""
    plan, quoted = QUOTED[rule]
    for whole in (plan, when(bool, plan), plan >> step("last", writes=(), reads=SCORE)):
        said = [found.message for found in check(whole) if found.rule == rule]
        assert said
        assert said[0].startswith(quoted)
        assert "last" not in said[0]


def test_a_long_piece_is_quoted_in_part() -> None:
    long = loop_while(bool, sequence(*[step(f"step {n}") for n in range(500)]))
    (found,) = check(long)
    quoted, _, advice = found.message.partition(" may turn")
    assert quoted.startswith("loop_while(sequence(step 0, step 1, ")
    assert len(quoted) < 100
    assert advice


@pytest.mark.parametrize("n", [3_000, pytest.param(20_000, marks=pytest.mark.sweep)])
def test_a_plan_of_any_depth_is_checked(n: int) -> None:
    plan = plain
    for _ in range(n):
        plan = (plain >> plan).named("inner")
    assert check(plan) == ()
