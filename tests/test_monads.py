"""Writer, State and the shipped records obey the laws; plans mean the same under each of them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from returns.contrib.hypothesis.laws import check_all_laws
from returns.maybe import Nothing
from returns.result import Failure, Result, Success

from lambdacat import (
    Monad,
    Plan,
    State,
    Writer,
    arun,
    gather,
    identity,
    interpret,
    loop_while,
    pure,
    run,
    sequence,
    stateful,
    task,
    when,
)
from lambdacat.effects.records import IDENTITY, LIST, OPTION, READER, RESULT, STATE, WRITER
from lambdacat.testing import virtual_run


def _writers(_: type) -> st.SearchStrategy[Writer[Any, Any]]:
    return st.builds(Writer, st.integers(), st.lists(st.integers(), max_size=3).map(tuple))


_writer: Any = Writer
check_all_laws(_writer, container_strategy=_writers, settings_kwargs={"max_examples": 25})


def _states(_: type) -> st.SearchStrategy[State[Any, Any]]:
    return st.integers().map(lambda n: State(lambda s: (n, s + n)))


@pytest.fixture(autouse=True)
def _extensional(monkeypatch: pytest.MonkeyPatch) -> None:
    def same(one: Any, other: Any) -> bool:
        return all(one.run(start) == other.run(start) for start in (0, 1, -7))

    monkeypatch.setattr(State, "__eq__", same)
    monkeypatch.setattr(State, "__hash__", lambda _: 0)


_state: Any = State
check_all_laws(_state, container_strategy=_states, settings_kwargs={"max_examples": 25})


def _seen(monad: Monad[Any], wrapped: Any) -> Any:
    """A wrapped value as something that compares."""
    if monad is STATE:
        return wrapped.run(3)
    return wrapped(3) if monad is READER else wrapped


ALL_RECORDS = [IDENTITY, RESULT, OPTION, WRITER, STATE, READER, LIST]
NAMES = ["identity", "result", "option", "writer", "state", "reader", "list"]


def _arrows(monad: Monad[Any]) -> list[Any]:
    extra = {
        id(RESULT): lambda n: Failure("odd") if n % 2 else Success(n),
        id(OPTION): lambda n: Nothing if n % 2 else monad.unit(n),
        id(WRITER): lambda n: Writer(n + 1, (n,)),
        id(STATE): lambda n: State(lambda s: (n + s, s + 1)),
        id(LIST): lambda n: [n, n + 1],
    }
    return [lambda n: monad.unit(n * 2), extra.get(id(monad), lambda n: monad.unit(n - 1))]


@pytest.mark.parametrize("monad", ALL_RECORDS, ids=NAMES)
@given(n=st.integers())
def test_every_shipped_record_obeys_the_monad_laws(monad: Monad[Any], n: int) -> None:
    """CASES A38."""
    first, second = _arrows(monad)
    bind, unit = monad.bind, monad.unit
    assert _seen(monad, bind(unit(n), second)) == _seen(monad, second(n))
    assert _seen(monad, bind(second(n), unit)) == _seen(monad, second(n))
    left = bind(bind(second(n), first), second)
    right = bind(second(n), lambda m: bind(first(m), second))
    assert _seen(monad, left) == _seen(monad, right)


@pytest.mark.parametrize("monad", ALL_RECORDS, ids=NAMES)
@given(n=st.integers(0, 20))
def test_an_iteration_equals_binding_step_by_step(monad: Monad[Any], n: int) -> None:
    plan: Plan[int, str] = loop_while(lambda m: m > 0, task(lambda m: m - 1)) >> pure(str)
    slow = attrs.evolve(monad, iterate=None)
    assert _seen(monad, interpret(plan, monad)(n)) == _seen(monad, interpret(plan, slow)(n))


@task
def half(n: int) -> float:
    return 10 / n


def test_a_failure_short_circuits_and_keeps_what_came_before() -> None:
    """CASES A32."""
    seen: list[int] = []

    def note(action: Any, value: Any) -> Writer[Any, Any]:
        seen.append(value)
        return Writer(action(value), (value,))

    logged = attrs.evolve(WRITER, perform=note)
    down: Plan[int, int] = task(lambda n: n - 1)
    plan = down >> half >> pure(float)
    good, bad = interpret(plan, logged)(3), interpret(plan, logged)(1)
    assert good.value == Success(5.0)
    assert good.log == (3, 2, 5.0)
    assert bad.value.failure().name == "half"
    assert bad.log == (1,)
    assert seen == [3, 2, 5.0, 1, 0]


def test_actions_of_the_state_monad_thread_their_state() -> None:
    """CASES A32."""
    counting = attrs.evolve(STATE, perform=lambda action, value: State(lambda n: (action(value), n + 1)))
    plan: Plan[int, int] = sequence(*[task(lambda n: n * 2)] * 5)
    assert interpret(plan, counting)(1).run(0) == (Success(32), 5)


def test_a_result_that_fails_ends_the_plan() -> None:
    direct = attrs.evolve(RESULT, perform=lambda action, value: action(value))
    checked: Any = task(lambda n: Failure("odd") if n % 2 else Success(n))
    plan: Plan[int, Any] = checked >> task(lambda n: Success(n + 1))
    ended: list[Result[Any, Any]] = [interpret(plan, direct)(n) for n in (2, 3)]
    assert ended == [Success(Success(3)), Failure("odd")]


def test_every_outcome_of_a_choice_is_explored_in_order() -> None:
    explore = attrs.evolve(LIST, perform=lambda action, value: action(value))
    fork: Any = task(lambda n: [n, n + 1])
    plan: Plan[int, Any] = fork >> task(lambda n: [n * 10, n * 100])
    assert [o.unwrap() for o in interpret(plan, explore)(1)] == [10, 100, 20, 200]


def test_stateful_threads_the_state_and_leaves_it_alone_on_a_fault() -> None:
    assert stateful(task(lambda n: n + 1)).run(1) == (Success(2), 2)
    outcome, after = stateful(half >> pure(int)).run(0)
    assert after == 0
    assert outcome.failure().name == "half"


def test_map_on_state_runs_the_base_once() -> None:
    """CASES A39."""
    runs: list[int] = []
    base: State[int, int] = State(lambda s: (runs.append(s) or s, s))  # type: ignore[func-returns-value]
    assert base.map(lambda n: n + 1).map(lambda n: n * 2).run(3) == (8, 3)
    assert runs == [3]


@pytest.mark.parametrize("n", [10_000, pytest.param(100_000, marks=pytest.mark.sweep)])
def test_a_chain_of_many_binds_does_not_overflow(n: int) -> None:
    """CASES A39."""
    state: State[int, int] = State.from_value(0)
    for _ in range(n):
        state = state.bind(lambda n: State(lambda s: (n + 1, s + 1)))
    assert state.run(5) == (n, n + 5)


@pytest.mark.parametrize("n", [2_000, pytest.param(100_000, marks=pytest.mark.sweep)])
@pytest.mark.parametrize("monad", ALL_RECORDS, ids=NAMES)
def test_a_long_plan_is_stack_safe_under_every_shipped_record(monad: Monad[Any], n: int) -> None:
    plan = sequence(*[task(lambda n: n + 1)] * n)
    assert str(n) in repr(_seen(monad, interpret(plan, monad)(0)))


@given(values=st.lists(st.integers(), max_size=4))
@settings(max_examples=30)
def test_gathering_agrees_with_branches_one_after_the_other(values: list[int]) -> None:
    def constant(value: int) -> Plan[int, int]:
        return pure(lambda _: value)

    both: Plan[int, Any] = gather(*map(constant, values), constant(7))
    together = attrs.evolve(IDENTITY, gather=tuple)
    assert interpret(both, together)(7) == interpret(both, IDENTITY)(7) == run(both, 7)


def test_identity_means_unit() -> None:
    assert interpret(identity, LIST)(3) == [Success(3)]


# --- context variables -----------------------------------------------------------------------------------------------

SEEN: ContextVar[str] = ContextVar("SEEN", default="outside")


def enter(n: int) -> int:
    SEEN.set("inside")
    return n


def enter_and_refuse(n: int) -> int:
    SEEN.set("inside")
    raise ValueError(n)


async def enter_later(n: int) -> int:
    return enter(n)


def is_inside(_: object) -> bool:
    return SEEN.get() == "inside"


# In a worker thread what is set stays there.
here = task(blocking="inline")
look: Plan[int, str] = pure(lambda _: SEEN.get())
tell: Plan[int, str] = when(is_inside, pure(lambda _: "inside"), pure(lambda _: "outside"))
ENTRIES: dict[str, Plan[int, Any]] = {
    "sync": here(enter),
    "async": task(enter_later),
    "a row": here(enter) >> here(enter) >> here(enter),
    "a fork": gather(here(enter), here(enter)),
    "a loop": loop_while(lambda _: not is_inside(None), here(enter), at_most=3, then=identity),
    "a fault": here(enter_and_refuse).attempt(),
    "a fork with a fault": gather(here(enter), here(enter_and_refuse)).attempt(),
}
TOGETHER = [attrs.evolve(IDENTITY, gather=tuple), attrs.evolve(IDENTITY, iterate=None)]


@pytest.mark.parametrize("entry", list(ENTRIES))
@pytest.mark.parametrize("read", [look, tell], ids=["action", "condition"])
def test_a_context_variable_goes_down_and_neither_up_nor_sideways_under_any_monad(
    entry: str, read: Plan[int, str]
) -> None:
    """R-P3: what is set is seen by what follows in that branch, and by nothing else."""
    enters = ENTRIES[entry]
    stays = "outside" if "fork" in entry else "inside"
    plan: Plan[int, Any] = gather(enters, read, enters.map(lambda _: 1) >> read, gather(read, enters, read)).map(
        lambda row: (row[1], row[2], row[3][0], row[3][2])
    )
    expected = Success(("outside", stays, "outside", "outside"))
    for monad in (*ALL_RECORDS, *TOGETHER):
        assert _seen(monad, interpret(plan, monad)(1)) == _seen(monad, monad.unit(expected))
        assert SEEN.get() == "outside"
    assert run(plan, 1) == expected
    assert virtual_run(arun, plan, 1) == expected


def test_each_alternative_of_a_list_has_its_own_context_variables() -> None:
    """R-P3: a state that is gone on from twice begins alike both times."""
    counted: ContextVar[int] = ContextVar("counted", default=0)

    def twice(n: int) -> list[int]:
        counted.set(counted.get() + 1)
        return [n, n + 1]

    every = attrs.evolve(LIST, perform=lambda action, value: action(value))
    fork: Any = task(twice)
    plan: Plan[int, Any] = fork >> fork >> pure(lambda n: [(n, counted.get())])
    assert [one.unwrap() for one in interpret(plan, every)(0)] == [(0, 2), (1, 2), (1, 2), (2, 2)]
    assert counted.get() == 0
