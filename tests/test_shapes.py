"""Changing a plan under a run that lies still: what may change goes on, what may not is said before anything runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from lambdacat import (
    ALL,
    Fixed,
    MemoryJournal,
    Plan,
    PlanChanged,
    Quorum,
    Success,
    approve,
    ask,
    bind,
    can_resume,
    choose,
    footprint,
    identity,
    lens,
    parallel,
    pure,
    resume,
    run,
    sequence,
    task,
    when,
)
from lambdacat.codec import Codec, Codecs
from lambdacat.interpreters.journal import past_of
from lambdacat.interpreters.shape import NOWHERE, compared, shape
from lambdacat.testing import Sample, plans, states, virtual_asyncio_run
from lambdacat.testing.sample import Circle, Point, Square


@frozen
class Desk:
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0


A = lens(Desk, lambda s: s.a)
B = lens(Desk, lambda s: s.b)
C = lens(Desk, lambda s: s.c)
D = lens(Desk, lambda s: s.d)
LENSES = (A, B, C, D)

calls: Counter[str] = Counter()


def step(name: str, reads: Any, writes: Any) -> Plan[Desk, Desk]:
    def act(value: int) -> int:
        calls[name] += 1
        return value + len(name)

    made: Plan[Desk, Desk] = task(reads=reads, writes=writes, name=name)(act)
    return made


@st.composite
def steps(draw: st.DrawFn) -> list[Plan[Desk, Desk]]:
    pairs = draw(st.lists(st.tuples(st.sampled_from(LENSES), st.sampled_from(LENSES)), min_size=2, max_size=5))
    return [step(f"step {i}", reads, writes) for i, (reads, writes) in enumerate(pairs)]


def commute(rows: Sequence[Plan[Desk, Desk]], order: Sequence[int]) -> bool:
    """Whether every two steps whose order is turned round are disjoint."""
    return all(
        footprint(rows[i]).disjoint_from(footprint(rows[j]))
        for i, j in combinations(range(len(rows)), 2)
        if order.index(i) > order.index(j)
    )


def kept(journal: MemoryJournal, count: int) -> MemoryJournal:
    made = MemoryJournal(codecs=journal.codecs)
    made.append_all(list(journal.entries())[:count])
    return made


@given(steps(), st.data())
def test_steps_may_change_places_just_when_they_commute(rows: list[Plan[Desk, Desk]], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(rows))))
    moved = sequence(*(rows[i] for i in order))
    journal = MemoryJournal()
    outcome = run(sequence(*rows), Desk(), journal=journal)
    assert bool(can_resume(moved, journal)) == commute(rows, order)
    for count in range(1, len(list(journal.entries())) + 1):
        rest = kept(journal, count)
        calls.clear()
        ended = run(moved, Desk(), journal=rest)
        if commute(rows, order):
            assert ended == outcome
            assert sum(calls.values()) == max(0, len(rows) - (count - 1))
        else:
            assert isinstance(ended.failure(), PlanChanged)
            assert not calls


@given(plans())
def test_a_plan_has_its_own_shape(plan: Plan[Sample, Sample]) -> None:
    assert compared(shape(plan), plan) is NOWHERE


@given(plans(), plans(), states(), st.integers(1, 6))
def test_of_two_plans_either_goes_on_with_the_run_of_the_other_or_does_nothing(
    plan: Plan[Sample, Sample], other: Plan[Sample, Sample], value: Sample, count: int
) -> None:
    journal = MemoryJournal(codecs=Codecs(Sample, Point, Circle, Square))
    run(plan, value, journal=journal)
    rest = kept(journal, count)
    before = list(rest.entries())
    if not can_resume(other, rest):
        assert isinstance(run(other, value, journal=rest).failure(), PlanChanged)
        assert list(rest.entries()) == before


one, two, three = step("one", A, A), step("two", B, B), step("three", A, B)
PLAN = one >> two >> three


@pytest.mark.parametrize(
    ("changed", "at", "recorded", "found"),
    [
        (one >> step("new", C, C) >> two >> three, (1,), "two [Desk.b -> Desk.b]", "new [Desk.c -> Desk.c]"),
        (one >> three, (1,), "two [Desk.b -> Desk.b]", "three [Desk.a -> Desk.b]"),
        (one >> two, (2,), "three [Desk.a -> Desk.b]", "nothing there"),
        (one >> two >> three >> one, (3,), "nothing there", "one [Desk.a -> Desk.a]"),
        (one >> two.named("renamed") >> three, (1,), "two [Desk.b -> Desk.b]", "renamed [Desk.b -> Desk.b]"),
        (one >> step("two", B, C) >> three, (1,), "two [Desk.b -> Desk.b]", "two [Desk.b -> Desk.c]"),
        (one >> three >> two, (1,), "two [Desk.b -> Desk.b]", "three [Desk.a -> Desk.b]"),
        (one >> two.retry(2) >> three, (1,), "two [Desk.b -> Desk.b]", "retry"),
        (one, (), "sequence", "one [Desk.a -> Desk.a]"),
    ],
)
def test_a_plan_that_changed_is_named_at_its_first_difference_and_nothing_runs(
    changed: Plan[Desk, Desk], at: tuple[Any, ...], recorded: str, found: str
) -> None:
    journal = MemoryJournal()
    run(PLAN, Desk(), journal=journal)
    calls.clear()
    before = list(journal.entries())
    outcome = run(changed, Desk(), journal=kept(journal, 2))
    match outcome.failure():
        case PlanChanged() as change:
            assert (change.at, change.recorded, change.found) == (at, recorded, found)
        case other:
            raise AssertionError(other)
    said = can_resume(changed, journal)
    assert not said
    assert said.change is not None
    assert said.change.at == at
    assert "cannot go on" in str(said)
    assert not calls
    assert list(journal.entries()) == before


SAME = [
    (one.retry(2), one.retry(Fixed(1.0).times(5))),
    (one.timeout(5), one.timeout(60)),
    (one.loop_while(A.where(lambda n: n < 3), at_most=5), one.loop_while(A.where(lambda n: n < 9), at_most=7)),
    (parallel(one, two, limit=1), parallel(one, two, limit=2)),
    (when(lambda s: s.a == 0, one), when(lambda s: s.a < 1, one)),
    (ask("Is it so?", into=A), ask("Is it not so?", into=A)),
    (approve("Go?"), approve(lambda s: f"Go with {s.a}?")),
    (one & two, two & one),
]


@pytest.mark.parametrize(("plan", "tuned"), SAME)
def test_bounds_bodies_and_the_order_of_disjoint_branches_may_change(
    plan: Plan[Desk, Desk], tuned: Plan[Desk, Desk]
) -> None:
    journal = MemoryJournal(codecs=[Desk])
    run(plan, Desk(), journal=journal)
    assert can_resume(tuned, journal)
    calls.clear()
    run(tuned, Desk(), journal=journal)


OTHER = [
    (parallel(one, two, policy=ALL), parallel(one, two, policy=Quorum(1))),
    (parallel(one, two, policy=Quorum(1)), parallel(one, two, policy=Quorum(2))),
    (choose(lambda s: s.a, {0: one, 1: two}), choose(lambda s: s.a, {0: one, 2: two})),
    (one | two, one.recover(lambda fault: two)),
    (one.timeout(5), one.retry(5)),
    (pure(lambda s: s) >> one, one),
    (ask("?", into=A), ask("?", into=B)),
    (ask("?", into=A), approve("?")),
    (one.named("x"), one.named("y")),
    (bind(lambda s: one), one),
]


@pytest.mark.parametrize(("plan", "other"), OTHER)
def test_policies_keys_names_and_lenses_may_not_change(plan: Plan[Desk, Desk], other: Plan[Desk, Desk]) -> None:
    journal = MemoryJournal(codecs=[Desk])
    run(plan, Desk(), journal=journal)
    assert not can_resume(other, journal)
    assert not can_resume(plan >> identity >> one, journal)


def test_branches_that_changed_places_keep_the_verdict_that_they_came_to() -> None:
    @task(reads=A, writes=A, name="fails")
    def fails(value: int) -> int:
        calls["fails"] += 1
        raise ValueError("no")

    plan = (two & fails) | one
    journal = MemoryJournal()
    assert run(plan, Desk(), journal=journal) == Success(Desk(a=3))
    calls.clear()
    for count in range(3, len(list(journal.entries())) + 1):
        assert run((fails & two) | one, Desk(), journal=kept(journal, count)) == Success(Desk(a=3))
    assert calls["fails"] == 0


def test_what_may_be_resumed_says_how_far_it_has_come() -> None:
    journal = MemoryJournal("r7")
    run(PLAN, Desk(), journal=journal)
    said = can_resume(PLAN, journal)
    assert (said.run, said.done, said.status) == ("r7", 3, "success")
    assert str(said) == "run 'r7' can go on (success; steps done: 3)"
    past = past_of(journal)
    assert past is not None


# --- another version of the state ------------------------------------------------------------------------------------


@frozen
class Cents:
    total: int = 0


@frozen
class Account:
    total: Any = 0
    currency: str = ""


def versioned(migrate: Any) -> Codecs:
    return Codecs(Codec(Account, name="State", version=2, migrations={1: migrate}))


def begun(amount: int) -> MemoryJournal:
    journal = MemoryJournal(codecs=Codecs(Codec(Cents, name="State")))

    @task(name="add")
    def add(state: Cents) -> Cents:
        return Cents(state.total + 1)

    run(add >> add, Cents(amount), journal=journal)
    return journal


@task(name="add")
def add_to_account(state: Account) -> Account:
    return Account(state.total + 1, state.currency)


def test_a_run_goes_on_when_its_state_has_got_a_field() -> None:
    old = begun(500)
    for count in range(1, 5):
        rest = MemoryJournal(codecs=versioned(lambda fields: {**fields, "currency": "EUR"}))
        rest.append_all(list(old.entries())[:count])
        assert can_resume(add_to_account >> add_to_account, rest)
        ended = virtual_asyncio_run(resume, add_to_account >> add_to_account, rest)
        assert ended == Success(Account(502, "EUR"))


@pytest.mark.parametrize(
    "migrate",
    [
        lambda fields: {"total": fields["total"] / 100, "currency": "EUR"},
        lambda fields: {"total": 0, "currency": f"{fields['total']} cents"},
    ],
)
def test_a_migration_that_cannot_reach_what_was_recorded_stops_before_anything_runs(migrate: Any) -> None:
    old = begun(7)
    rest = MemoryJournal(codecs=versioned(migrate))
    rest.append_all(list(old.entries())[:2])
    before = list(rest.entries())
    said = can_resume(add_to_account >> add_to_account, rest)
    assert not said
    assert "State of version 1" in str(said)
    assert "State of version 2" in str(said)
    ended: Any = virtual_asyncio_run(resume, add_to_account >> add_to_account, rest)
    assert isinstance(ended.failure(), PlanChanged)
    assert list(rest.entries()) == before
    fresh = MemoryJournal(codecs=versioned(migrate))
    fresh.append_all(list(old.entries())[:1])
    assert can_resume(add_to_account >> add_to_account, fresh), "nothing was recorded that it could not reach"
