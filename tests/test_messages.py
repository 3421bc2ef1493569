"""The messages of faults: whose line it was, what could not be read, and nothing that runs away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import field, frozen

from lambdacat import (
    FIRST_COMPLETED,
    ActionFailed,
    Context,
    Plan,
    Stopped,
    arun,
    choose,
    each,
    fail,
    focus,
    gather,
    identity,
    lens,
    parallel,
    run,
    sequence,
    task,
    traced,
)


@frozen
class State:
    n: int = 0
    table: dict[str, int] = field(factory=dict)
    items: tuple[int, ...] = ()


N, KEY, ITEMS = lens(State, lambda s: s.n), lens(State, lambda s: s.table["k"]), lens(State, lambda s: s.items)


@task
def up(n: int) -> int:
    return n + 1


@task(reads=(N, KEY), writes=N)
def add(n: int, k: int) -> int:
    return n + k


@task(reads=KEY, writes=KEY)
async def later(k: int) -> int:
    return k


@task(reads=KEY, writes=KEY)
def with_context(k: int, ctx: Context) -> int:
    return k


# What a checker would refuse, a program may still do.
any_up: Any = up
any_context: Any = with_context
RUNNERS: dict[str, Callable[[Plan[Any, Any], Any], Any]] = {
    "run": run,
    "arun": lambda plan, value: asyncio.run(arun(plan, value)),
    "traced": lambda plan, value: traced(plan)(value).value,
}
runners = pytest.mark.parametrize("runner", list(RUNNERS.values()), ids=list(RUNNERS))

UNREADABLE: list[tuple[Any, Any, str, tuple[Any, ...]]] = [
    (focus(N, up), 3, "focus State.n could not read it from int", ()),
    (focus(N, up >> up), 3, "focus State.n could not read it from int", ()),
    (sequence(identity, focus(N, up), focus(N, up)), None, "focus State.n could not read it from NoneType", (0,)),
    (focus(KEY, up), State(), 'focus State.table["k"] could not read it from State', ()),
    (focus(ITEMS >> each, up), 3, "focus State.items[*] could not read it from int", ()),
    (focus(each, up), 3, "focus each could not read it from int", ()),
    (up.between(N, KEY), 3, 'between State.n and State.table["k"] could not read State.n from int', ()),
    (add, State(), 'add could not read State.table["k"] from State', ()),
    (add, 3, "add could not read State.n from int", ()),
    (later, State(), 'later could not read State.table["k"] from State', ()),
    (with_context, State(), 'with_context could not read State.table["k"] from State', ()),
    (focus(N, any_context), State(), 'with_context could not read State.table["k"] from int', ("focus",)),
]


@runners
@pytest.mark.parametrize(("plan", "value", "words", "at"), UNREADABLE, ids=[row[2] for row in UNREADABLE])
def test_a_lens_that_cannot_read_is_blamed_and_not_the_action(
    runner: Any, plan: Any, value: Any, words: str, at: tuple[Any, ...]
) -> None:
    fault = runner(plan, value).failure()
    assert str(fault).startswith(f"ActionFailed: {words}: ")
    assert fault.at == at
    assert isinstance(fault.error, (AttributeError, LookupError, TypeError))


@runners
def test_an_action_that_broke_what_it_was_given_is_blamed_itself(runner: Any) -> None:
    def emptied(table: dict[str, int], k: int) -> int:
        table.clear()
        raise KeyError("mine")

    plan: Any = task(reads=(lens(State, lambda s: s.table), KEY), writes=N)(emptied)
    fault = runner(plan, State(table={"k": 1})).failure()
    assert str(fault).startswith("ActionFailed: emptied raised KeyError: 'mine'")
    assert fault.reading == ""


def test_the_line_is_the_step_s_own_and_the_innermost_where_that_is_elsewhere() -> None:
    def outside(text: str) -> Any:
        return json.loads(text)

    def inside(n: int) -> int:
        return 1 // n

    def nested(n: int) -> int:
        return inside(n)

    def runs(n: int) -> Any:
        return value_of_a_run(n)

    lines = str(run(task(outside), "{").failure()).splitlines()
    (raised,) = (line for line in lines if line.startswith("  raised "))
    (origin,) = (line for line in lines if line.startswith("  from   "))
    assert "test_messages.py" in raised
    assert raised.endswith(" in outside")
    assert "decoder.py" in origin
    within = [line for line in str(run(task(nested), 0).failure()).splitlines() if "test_messages.py" in line]
    assert [line.endswith(" in inside") for line in within] == [True]
    assert [line for line in str(run(task(runs), 0).failure()).splitlines() if "  from  " in line] == []


def value_of_a_run(n: int) -> Any:
    from lambdacat import value_or_raise

    return value_or_raise(run(fail(Stopped(reason=str(n))), n))


def test_a_node_that_stands_alone_has_its_place_named() -> None:
    assert "\n  where  up   <- here\n" in str(run(any_up, None).failure())
    (first, second) = (line for line in str(run(any_up.retry(1), None).failure()).splitlines() if "retry" in line)
    assert (first, second) == ("  where  retry", "         retry")


def test_every_line_of_an_exception_stands_below_the_first() -> None:
    def shout(n: int) -> int:
        raise ValueError("one\ntwo\n\nfour\n")

    lines = str(run(gather(up, task(shout)), 1).failure()).splitlines()
    assert lines[:4] == ["ActionFailed: shout raised ValueError: one", "         two", "         ", "         four"]
    assert all(line.startswith("  ") for line in lines[1:])
    race = parallel(task(shout), policy=FIRST_COMPLETED)
    listed = [line for line in str(run(race, 1).failure()).splitlines() if line.startswith("  - ")]
    assert [line.partition(" (at")[0] for line in listed] == ["  - shout raised ValueError: one two  four"]


def test_what_a_plan_says_when_it_stops_is_shown() -> None:
    text = str(run(fail(Stopped(reason="full", details={"room": 0})), 1).failure())
    assert text.splitlines()[:2] == ["Stopped: fail stopped the run: full", "  with   {'room': 0}"]
    assert "with" not in str(run(fail(Stopped(reason="full")), 1).failure())


@pytest.mark.parametrize("n", [3, 100_000])
def test_a_choice_of_very_many_names_a_few(n: int) -> None:
    fault = run(choose(lambda key: key, dict.fromkeys(range(n), up)), -1).failure()
    text = str(fault)
    assert len(text) < 500
    assert f"... ({n} in all)" in text if n > 3 else "it has 0, 1, 2" in text


@runners
def test_an_input_of_none_is_shown(runner: Any) -> None:
    fault = runner(up, None).failure()
    assert isinstance(fault, ActionFailed)
    assert "\n  input  None" in str(fault)
