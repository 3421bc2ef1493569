"""Changed plans: a run goes on under another plan only where that cannot matter, and says so before it runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from attrs import evolve, frozen, make_class
from hypothesis import given
from hypothesis import strategies as st

from lambdacat import (
    ALL,
    FIRST_COMPLETED,
    Failure,
    JournalCorrupt,
    Lens,
    MemoryJournal,
    Plan,
    PlanChanged,
    Quorum,
    SqliteJournal,
    Success,
    arun,
    bind,
    can_resume,
    choose,
    each,
    lens,
    parallel,
    resume,
    run,
    sequence,
    task,
)
from lambdacat.codec import Codec, StateCorrupt
from lambdacat.testing import virtual_asyncio_run


@frozen
class Page:
    """The state of the plans here."""

    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    word: str = ""
    parts: tuple[int, ...] = (1, 2)


Pages = Plan[Page, Page]

A, B, C, D = (lens(Page, read) for read in (lambda p: p.a, lambda p: p.b, lambda p: p.c, lambda p: p.d))
WORD = lens(Page, lambda p: p.word)
PARTS = lens(Page, lambda p: p.parts)
FIELDS = (A, B, C, D)


class Killed(KeyboardInterrupt):
    """Stands for the end of the process."""


class Calls:
    """Steps that count, and that end the process after so many calls."""

    def __init__(self, last: int | None = None) -> None:
        self.made: list[str] = []
        self.last = last

    def step(self, name: str, reads: Lens[Page, int] = A, writes: Lens[Page, int] = A, by: int = 1) -> Pages:
        """What is read, and the name, are in what is written."""

        @task(name=name, reads=reads, writes=writes)
        def counted(number: int) -> int:
            if len(self.made) == self.last:
                raise Killed
            self.made.append(name)
            return 7 * number + by

        return counted


def broken_off(plan: Callable[[Calls], Pages], last: int) -> MemoryJournal:
    """The journal of a run whose process ended after so many steps."""
    journal = MemoryJournal()
    with suppress(Killed):
        run(plan(Calls(last)), Page(), journal=journal)
    return journal


def refused(plan: Callable[[Calls], Pages], journal: Any) -> PlanChanged:
    """The fault that a changed plan ends with; nothing was performed, and nothing written."""
    calls, before = Calls(), list(journal.entries())
    told = can_resume(plan(calls), journal)
    assert not told
    outcome = run(plan(calls), Page(), journal=journal)
    assert calls.made == []
    assert list(journal.entries()) == before
    match outcome:
        case Failure(PlanChanged() as fault):
            assert told.change is not None
            assert (told.change.at, told.change.recorded, told.change.found) == (fault.at, fault.recorded, fault.found)
            assert fault.recorded in str(told)
            return fault
        case _:
            raise AssertionError(f"{outcome} is no PlanChanged")


def gone_on(plan: Callable[[Calls], Pages], journal: Any) -> None:
    """A changed plan comes to what it would have come to, and performs only what was not done."""
    fresh, calls = Calls(), Calls()
    wanted = run(plan(fresh), Page())
    done = can_resume(plan(calls), journal).done
    assert can_resume(plan(calls), journal)
    assert run(plan(calls), Page(), journal=journal) == wanted
    assert len(calls.made) == len(fresh.made) - done


# --- rows of steps ---------------------------------------------------------------------------------------------------

Row = tuple[tuple[str, int, int], ...]
"""Steps in order: name, field that is read, field that is written."""


def sequence_of(row: Row, calls: Calls) -> Pages:
    steps = [calls.step(name, FIELDS[reads], FIELDS[writes], by) for by, (name, reads, writes) in enumerate(row)]
    return sequence(*steps)


def rows(least: int = 2) -> st.SearchStrategy[Row]:
    fields = st.integers(0, len(FIELDS) - 1)
    pairs = st.lists(st.tuples(fields, fields), min_size=least, max_size=6)
    return pairs.map(lambda row: tuple((f"step {number}", *pair) for number, pair in enumerate(row)))


def first_difference(one: Row, two: Row) -> tuple[int, ...]:
    return next(((i,) for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), (min(len(one), len(two)),))


def commute(one: tuple[str, int, int], two: tuple[str, int, int]) -> bool:
    return one[2] not in two[1:] and two[2] not in one[1:]


@given(rows(), st.data())
def test_steps_that_commute_may_change_places_and_no_others(row: Row, data: st.DataObject) -> None:
    """R-J8."""
    other = tuple(data.draw(st.permutations(row)))
    journal = broken_off(partial(sequence_of, row), data.draw(st.integers(0, len(row))))
    moved = [(a, b) for i, a in enumerate(row) for b in row[i + 1 :] if other.index(a) > other.index(b)]
    if all(commute(a, b) for a, b in moved):
        gone_on(lambda calls: ordered(row, other, calls), journal)
    else:
        assert refused(partial(sequence_of, other), journal).at == first_difference(row, other)


def ordered(row: Row, other: Row, calls: Calls) -> Pages:
    """The steps of ``row`` in another order, each as it was."""
    steps = {one: calls.step(one[0], FIELDS[one[1]], FIELDS[one[2]], by) for by, one in enumerate(row)}
    return sequence(*(steps[one] for one in other))


@given(rows(3), st.data())
def test_a_step_that_was_put_in_or_taken_out_or_renamed_is_named(row: Row, data: st.DataObject) -> None:
    """R-J8."""
    at = data.draw(st.integers(0, len(row) - 1))
    changes = {
        "put in": (*row[:at], ("another", 0, 1), *row[at:]),
        "taken out": (*row[:at], *row[at + 1 :]),
        "renamed": (*row[:at], ("another", *row[at][1:]), *row[at + 1 :]),
        "lens": (*row[:at], (row[at][0], (row[at][1] + 1) % 4, row[at][2]), *row[at + 1 :]),
        "two renamed": tuple((f"another {name}", *pair) for name, *pair in row),
    }
    other: Any = changes[data.draw(st.sampled_from(sorted(changes)))]
    journal = broken_off(partial(sequence_of, row), data.draw(st.integers(0, len(row))))
    fault = refused(partial(sequence_of, other), journal)
    assert fault.at == first_difference(row, other)


# --- plans of every shape --------------------------------------------------------------------------------------------


def even(page: Page) -> str:
    return "even" if page.a % 2 == 0 else "odd"


def shaped(
    calls: Calls,
    *,
    left: str = "left",
    turn: str = "turn",
    odd: str = "odd",
    part: str = "part",
    again: int = 2,
    seconds: float = 60,
    policy: Any = FIRST_COMPLETED,
    key: str = "even",
    by: int = 1,
    swap: bool = False,
) -> Pages:
    """A plan in which each of these can be changed."""
    branches = [calls.step(left, B, B), calls.step("right", C, C)]
    one, two = reversed(branches) if swap else branches

    @task(name=part)
    def parted(number: int) -> int:
        calls.made.append(part)
        return number + 1

    return (
        calls.step("first", A, A, by)
        >> (one & two).timeout(seconds)
        >> calls.step(turn, D, D).retry(again).loop_while(D.where(lambda d: d < 50))
        >> choose(even, {key: calls.step("even", B, B), "odd": calls.step(odd, B, B)})
        >> parallel(calls.step("x", C, C), calls.step("y", B, B), policy=policy)
        >> parted.focus(PARTS >> each)
    )


@pytest.mark.parametrize("last", [0, 3, 6])
@pytest.mark.parametrize(
    ("changed", "at"),
    [
        ({"left": "other"}, (1, "timeout", 0)),
        ({"turn": "other"}, (2, "loop", "retry")),
        ({"odd": "other"}, (3, "odd")),
        ({"key": "EVEN"}, (3,)),
        ({"policy": ALL}, (4,)),
        ({"policy": Quorum(2)}, (4,)),
        ({"part": "other"}, (5, "focus")),
        ({"odd": "other", "part": "other"}, (3, "odd")),
        ({"left": "other", "part": "other"}, (1, "timeout", 0)),
    ],
)
def test_what_changed_deep_inside_is_named_by_its_path(last: int, changed: dict[str, Any], at: tuple[Any, ...]) -> None:
    """R-J8."""
    journal = broken_off(shaped, last)
    assert refused(partial(shaped, **changed), journal).at == at


@pytest.mark.parametrize("last", [0, 3, 6])
@pytest.mark.parametrize("changed", [{"again": 7}, {"seconds": 5.0}, {"swap": True}, {}])
def test_numbers_of_bounds_and_the_order_of_branches_may_change(last: int, changed: dict[str, Any]) -> None:
    gone_on(partial(shaped, **changed), broken_off(shaped, last))


def test_what_a_step_does_may_change() -> None:
    """What was done stays as it was done."""
    journal = broken_off(shaped, 1)
    calls = Calls()
    page = run(shaped(calls, by=100), Page(), journal=journal).unwrap()
    assert page.a == 1
    assert "first" not in calls.made


# --- states that change their shape ----------------------------------------------------------------------------------


@frozen
class State:
    """The first version of a state."""

    total: int = 0


def later(**fields: Any) -> Any:
    """A later version of it, under the same name."""
    return make_class("State", {name: attrs.field(default=default) for name, default in fields.items()}, frozen=True)


def adding(state: Any, field: str, killed: bool = False) -> Plan[Any, Any]:
    """Two steps that add one; between them, the process may end."""

    def add(value: Any) -> Any:
        return evolve(value, **{field: getattr(value, field) + 1})

    def stop(value: Any) -> Any:
        if killed:
            raise Killed
        return value

    return task(name="add")(add) >> task(name="stop")(stop) >> task(name="add")(add)


def begun(path: Path) -> None:
    """A run of the first version that was broken off after a step."""
    journal = SqliteJournal(path, run_id="a run", codecs=[State])
    with suppress(Killed):
        run(adding(State, "total", killed=True), State(), journal=journal)


def went_on(path: Path, state: Any, field: str, migration: Callable[[Any], Any] | None) -> Any:
    """What the run comes to under a later version."""
    migrations = {} if migration is None else {1: migration}
    codec = Codec(state, name="State", version=2, migrations=migrations)
    journal = SqliteJournal(path, run_id="a run", codecs=[codec])
    return virtual_asyncio_run(resume, adding(state, field), journal)


def test_a_declared_migration_of_the_state_takes_a_run_along(tmp_path: Path) -> None:
    """R-J8."""
    begun(tmp_path / "runs.db")
    state = later(total=0, words=())
    outcome = went_on(tmp_path / "runs.db", state, "total", lambda fields: {**fields, "words": ("from", "before")})
    assert outcome == Success(state(2, ("from", "before")))


def test_another_version_without_a_migration_is_refused_by_name(tmp_path: Path) -> None:
    begun(tmp_path / "runs.db")
    with pytest.raises(StateCorrupt, match="State was stored in version 1 and there is no way to version 2"):
        went_on(tmp_path / "runs.db", later(total=0, words=()), "total", None)


@pytest.mark.parametrize(
    ("fields", "field", "migration", "right"),
    [
        ({"count": 0}, "count", lambda fields: {"count": fields["total"]}, 2),
        ({"total": 0.0}, "total", lambda fields: {"total": fields["total"] / 100}, 1.01),
    ],
)
def test_a_migration_of_what_a_step_has_changed_is_right_or_refused(
    fields: dict[str, Any], field: str, migration: Callable[[Any], Any], right: float, tmp_path: Path
) -> None:
    """A journal says what a step changed, in the version of that time."""
    begun(tmp_path / "runs.db")
    try:
        outcome = went_on(tmp_path / "runs.db", later(**fields), field, migration)
    except (StateCorrupt, JournalCorrupt) as refused:
        assert "State" in str(refused)  # noqa: PT017
    else:
        match outcome:
            case Failure(PlanChanged() as change):
                assert "State of version 1" in str(change)
            case _:
                assert getattr(outcome.unwrap(), field) == right


# --- what a bind makes -----------------------------------------------------------------------------------------------

Counts = Plan[int, int]


def counting(name: str, calls: list[str], *, dies: bool = False) -> Counts:
    @task(name=name)
    def act(number: int) -> int:
        calls.append(name)
        if dies:
            raise KeyboardInterrupt  # stands for the end of the process
        return number + 1

    return act


def bound_run(calls: list[str]) -> tuple[MemoryJournal, Callable[[Counts], Pages]]:
    """A run that died in the second step of what a bind made, beside another branch, and the plan with another bind."""
    journal, first = MemoryJournal("monday"), counting("first", calls)

    @task(reads=A, writes=A)
    async def beside(number: int) -> int:
        calls.append("beside")
        await anyio.sleep(1)
        return number + 1

    def around(made: Counts) -> Pages:
        return beside & (first >> bind(lambda number: made if number else first)).between(B, B)

    with suppress(KeyboardInterrupt):
        plan = around(counting("one", calls) >> counting("two", calls, dies=True))
        virtual_asyncio_run(partial(arun, journal=journal), plan, Page())
    assert calls == ["beside", "first", "one", "two"]
    calls.clear()
    return journal, around


def resumed_on_a_loop(plan: Pages, journal: MemoryJournal) -> Any:
    return virtual_asyncio_run(lambda plan, _: resume(plan, journal), plan, Page())


def resumed_in_thread(plan: Pages, journal: MemoryJournal) -> Any:
    return run(plan, Page(), journal=journal)


@pytest.mark.parametrize("going_on", [resumed_on_a_loop, resumed_in_thread])
def test_another_step_where_a_bind_made_one_is_seen_before_anything_is_performed(going_on: Any) -> None:
    """R-J8."""
    calls: list[str] = []
    journal, around = bound_run(calls)
    entries = list(journal.entries())
    changed = around(counting("other", calls) >> counting("two", calls))
    found = can_resume(changed, journal)
    assert found.change is not None
    assert (found.change.recorded, found.change.found) == ("one", "other")
    assert str(found).startswith("run 'monday' cannot go on: PlanChanged: ")
    assert going_on(changed, journal) == Failure(found.change)
    assert (calls, list(journal.entries())) == ([], entries)


def test_what_a_bind_makes_is_not_performed_to_be_seen_and_may_go_on() -> None:
    calls: list[str] = []
    journal, around = bound_run(calls)
    same = around(counting("one", calls) >> counting("two", calls))
    later = around(counting("one", calls) >> counting("new", calls))
    for plan in (same, later):
        assert can_resume(plan, journal), "nothing was recorded of the second step"
    assert calls == []
    assert resumed_on_a_loop(same, journal) == Success(Page(a=1, b=3))
    assert sorted(calls) == ["beside", "two"]
    assert not can_resume(later, journal), "now it is recorded"
